/*
 * What the shared-memory transport says of places. The configuration is read once, so each case runs in a child.
 */
#include "unit.h"

#include "survey.h"
#include "transport.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ferry_survey survey;

static bool says(const char *label, const char *part)
{
    for (unsigned i = 0; i < survey.count; i++)
        if (strcmp(survey.facts[i].label, label) == 0 && strstr(survey.facts[i].text, part) != NULL)
            return true;
    fprintf(stderr, "\"%s\" does not say \"%s\"\n", label, part);
    return false;
}

static void in_child(const char *dir, const char *segment, const char *copy,
                     bool (*check)(const char *dir))
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        setenv("FERRY_DIR", dir, 1);
        setenv("FERRY_SEGMENT", segment, 1);
        setenv("FERRY_COPY", copy, 1);
        ferry_shm_ops.survey(&survey);
        _exit(check(dir) ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool is_good(const char *dir)
{
    return survey.usable && survey.why[0] == '\0' && says("one network namespace", "by memfd") &&
           says(dir, "processes of all users that hold the job's key by memfd") &&
           says("one copy by cma", "not allowed by FERRY_COPY") &&
           says("one copy by mem", "allowed");
}

static bool is_bad(const char *dir)
{
    return !survey.usable && strstr(survey.why, "FERRY_SEGMENT=file") != NULL &&
           strstr(survey.help, "let FERRY_SEGMENT name memfd") != NULL &&
           says("one network namespace", "not usable; file: not in memory") &&
           says("/nowhere/at/all", "not usable: No such file or directory") &&
           says("$FERRY_TEST_NOT_SET", "not usable: not set");
}

/* What belongs to others stays, and nothing is added. */
static void nothing_is_left(void **state)
{
    char dir[] = "/tmp/survey-XXXXXX", name[64];
    struct dirent *entry;
    unsigned count = 0;
    FILE *file;
    DIR *found;

    assert_non_null(mkdtemp(dir));
    snprintf(name, sizeof(name), "%s/-", dir);
    file = fopen(name, "w");
    assert_non_null(file);
    fclose(file);
    in_child(dir, "memfd,file", "mem", is_good);
    found = opendir(dir);
    assert_non_null(found);
    while ((entry = readdir(found)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(found);
    assert_int_equal(count, 1);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(rmdir(dir), 0);
}

static void no_place(void **state)
{
    in_child("/nowhere/at/all,$FERRY_TEST_NOT_SET", "file", "none", is_bad);
}

static void more_facts_than_room(void **state)
{
    for (unsigned i = 0; i < FERRY_SURVEY_FACTS + 5; i++)
        ferry_survey_add(&survey, "fact", "%u", i);
    assert_int_equal(survey.count, FERRY_SURVEY_FACTS);
    ferry_survey_fail(&survey, "help", "first");
    ferry_survey_fail(&survey, "other help", "second");
    assert_string_equal(survey.why, "first");
    assert_string_equal(survey.help, "help");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_left),
        cmocka_unit_test(no_place),
        cmocka_unit_test(more_facts_than_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
