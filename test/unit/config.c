#include "unit.h"

#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct ferry_config_row *row_of(const char *name)
{
    for (size_t i = 0; i < ferry_config_row_count; i++)
        if (strcmp(ferry_config_rows[i].name, name) == 0)
            return &ferry_config_rows[i];
    fail_msg("no row %s", name);
    return NULL;
}

/* Sets a row to text; what was said about it, "" for nothing. */
static const char *set(struct ferry_config *config, const char *name, const char *text)
{
    static char why[512];
    int error;

    why[0] = '\0';
    error = ferry_config_set(config, row_of(name), text, why, sizeof(why));
    assert_int_equal(error, why[0] != '\0' ? -EINVAL : 0);
    return why;
}

#define refused(why, part)                                             \
    do {                                                               \
        const char *refusal = why;                                     \
        if (strstr(refusal, part) == NULL)                             \
            fail_msg("\"%s\" does not contain \"%s\"", refusal, part); \
    } while (0)

/* Reads an environment; what was reported is in *report, to be freed. */
static int read_environment(struct ferry_config *config, char **environment, char **report)
{
    size_t length;
    FILE *out = open_memstream(report, &length);
    int errors = ferry_config_read(config, environment, out);

    fclose(out);
    return errors;
}

static void defaults(void **state)
{
    struct ferry_config config;

    ferry_config_defaults(&config);
    assert_string_equal(config.transports, "shm,guests,verbs,fabric");
    assert_string_equal(config.fabric_interface, "");
    assert_string_equal(config.log, "warn");
    assert_int_equal(config.ring_slots,
                     strtoull(row_of("FERRY_RING_SLOTS")->default_text, NULL, 10));
    assert_int_equal(config.spin, 1000);
    assert_false(config.report);
}

static void every_default_reads_back_as_it_prints(void **state)
{
    struct ferry_config config;
    char text[256];

    ferry_config_defaults(&config);
    for (size_t i = 0; i < ferry_config_row_count; i++) {
        const struct ferry_config_row *row = &ferry_config_rows[i];

        ferry_config_text(&config, row, text, sizeof(text));
        assert_string_equal(text, row->default_text);
        assert_string_equal(set(&config, row->name, text), "");
        assert_true(strlen(row->help) > 10);
    }
}

static void sizes(void **state)
{
    struct ferry_config config;

    ferry_config_defaults(&config);
    assert_string_equal(set(&config, "FERRY_EAGER_MAX", "12345"), "");
    assert_int_equal(config.eager_max, 12345);
    assert_string_equal(set(&config, "FERRY_EAGER_MAX", "64K"), "");
    assert_int_equal(config.eager_max, 65536);
    assert_string_equal(set(&config, "FERRY_EAGER_MAX", "1m"), "");
    assert_int_equal(config.eager_max, 1 << 20);
    assert_string_equal(set(&config, "FERRY_FETCH_MIN", "2G"), "");
    assert_int_equal(config.fetch_min, 2ull << 30);
    assert_string_equal(set(&config, "FERRY_EAGER_MAX", "0"), "");
    assert_int_equal(config.eager_max, 0);
}

static void bad_sizes_change_nothing(void **state)
{
    static const char *const bad[] = {"",    " ",    "-1",  "+1",  " 1",   "1 ",     "1KB", "K",
                                      "0x1", "1.5M", "1us", "1e3", "64KM", "1K..2K", "1,2"};
    struct ferry_config config;

    ferry_config_defaults(&config);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(set(&config, "FERRY_EAGER_MAX", bad[i]), "not a size");
    refused(set(&config, "FERRY_EAGER_MAX", "18446744073709551616"), "not a size");
    refused(set(&config, "FERRY_EAGER_MAX", "18014398509481985K"), "not a size");
    assert_int_equal(config.eager_max, 65536);
}

static void ranges(void **state)
{
    struct ferry_config config;

    ferry_config_defaults(&config);
    assert_string_equal(set(&config, "FERRY_EAGER_MAX", "16M"), "");
    refused(set(&config, "FERRY_EAGER_MAX", "16777217"), "too large; allowed: 0..16M");
    refused(set(&config, "FERRY_RING_SLOTS", "1"), "too small; allowed: 8..64K, a power of two");
    refused(set(&config, "FERRY_RING_SLOTS", "100"), "not a power of two");
    assert_string_equal(set(&config, "FERRY_RING_SLOTS", "8"), "");
    assert_string_equal(set(&config, "FERRY_RING_SLOTS", "64K"), "");
    assert_int_equal(config.ring_slots, 65536);
}

static void times(void **state)
{
    struct ferry_config config;

    ferry_config_defaults(&config);
    assert_string_equal(set(&config, "FERRY_SPIN", "10ms"), "");
    assert_int_equal(config.spin, 10000);
    assert_string_equal(set(&config, "FERRY_SPIN", "1s"), "");
    assert_int_equal(config.spin, 1000000);
    assert_string_equal(set(&config, "FERRY_SPIN", "7us"), "");
    assert_int_equal(config.spin, 7);
    assert_string_equal(set(&config, "FERRY_SPIN", "7"), "");
    assert_int_equal(config.spin, 7);
    refused(set(&config, "FERRY_SPIN", "1m"), "not a time");
    refused(set(&config, "FERRY_SPIN", "61s"), "too large");
}

static void bools(void **state)
{
    static const char *const yes[] = {"yes", "on", "true", "1", "YES", "True"};
    static const char *const no[] = {"no", "off", "false", "0", "No", "OFF"};
    static const char *const bad[] = {"", "2", "y", "yes ", "nope", "falsehood", "yes,no", "01"};
    struct ferry_config config;

    ferry_config_defaults(&config);
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        config.report = false;
        assert_string_equal(set(&config, "FERRY_REPORT", yes[i]), "");
        assert_true(config.report);
    }
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        config.report = true;
        assert_string_equal(set(&config, "FERRY_REPORT", no[i]), "");
        assert_false(config.report);
    }
    config.report = true;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refused(set(&config, "FERRY_REPORT", bad[i]), "allowed: yes, on");
        assert_true(config.report);
    }
}

static void words(void **state)
{
    struct ferry_config config;

    ferry_config_defaults(&config);
    assert_string_equal(set(&config, "FERRY_TRANSPORTS", "fabric"), "");
    assert_string_equal(config.transports, "fabric");
    assert_string_equal(set(&config, "FERRY_TRANSPORTS", "fabric, shm"), "");
    refused(set(&config, "FERRY_TRANSPORTS", "shm,fabrik"),
            "\"fabrik\" is not allowed (did you mean fabric?)");
    refused(set(&config, "FERRY_TRANSPORTS", "shm,ib"),
            "\"ib\" is not allowed; allowed: shm,guests,verbs,fabric");
    refused(set(&config, "FERRY_TRANSPORTS", ""), "an empty list");
    refused(set(&config, "FERRY_TRANSPORTS", " , "), "an empty list");
    assert_string_equal(config.transports, "fabric, shm");
    refused(set(&config, "FERRY_COPY", "cmma"), "did you mean cma?");
    assert_string_equal(set(&config, "FERRY_COPY", "none"), "");
    refused(set(&config, "FERRY_SEGMENT", "memdf"), "did you mean memfd?");
    refused(set(&config, "FERRY_LOG", "warning"), "allowed: error,warn,info,debug");
    refused(set(&config, "FERRY_LOG", "warn,info"), "not allowed");
    refused(set(&config, "FERRY_LOG", "inof"), "did you mean info?");
}

static void paths(void **state)
{
    struct ferry_config config;

    ferry_config_defaults(&config);
    assert_string_equal(set(&config, "FERRY_DIR", "/dev/shm,$TMPDIR"), "");
    assert_string_equal(config.dir, "/dev/shm,$TMPDIR");
    refused(set(&config, "FERRY_DIR", "/tmp,here"), "\"here\" is no path that begins with /");
    /* No directory at all is a choice: abstract sockets are left. */
    assert_string_equal(set(&config, "FERRY_DIR", ""), "");
}

static void strings_outlive_the_text(void **state)
{
    struct ferry_config config;
    char text[] = "fabric";

    ferry_config_defaults(&config);
    assert_string_equal(set(&config, "FERRY_TRANSPORTS", text), "");
    memset(text, 'x', 6);
    assert_string_equal(config.transports, "fabric");
}

static void environment(void **state)
{
    char *good[] = {"PATH=/bin", "FERRY_EAGER_MAX=1K", "FERRY_FABRIC_PROVIDER=efa", "FERRYBOAT=1",
                    NULL};
    struct ferry_config config;
    char *report;

    assert_int_equal(read_environment(&config, good, &report), 0);
    assert_string_equal(report, "");
    assert_int_equal(config.eager_max, 1024);
    assert_string_equal(config.fabric_provider, "efa");
    assert_int_equal(config.spin, 1000);
    free(report);
}

static void environment_with_errors(void **state)
{
    char *bad[] = {"FERRY_EAGER_MAX=huge", "FERRY_LOG=loud", "FERRY_SPIN=5us", NULL};
    struct ferry_config config;
    char *report;

    assert_int_equal(read_environment(&config, bad, &report), 2);
    refused(
        report,
        "ferry: FERRY_EAGER_MAX=huge: not a size, such as 512, 64K, 1M or 2G; allowed: 0..16M\n");
    refused(report, "ferry: FERRY_LOG=loud: \"loud\" is not allowed");
    assert_null(strstr(report, "SPIN"));
    assert_int_equal(config.eager_max, 65536);
    assert_int_equal(config.spin, 5);
    free(report);
}

static void environment_with_unknown_names(void **state)
{
    char *odd[] = {"FERRY_EAGER_MIN=1", "FERRY_WXYZ=1",   "FERRY_=1",
                   "FERRY_CACHE=/c",    "FERRY_TEST_X=1", NULL};
    struct ferry_config config;
    char *report;

    assert_int_equal(read_environment(&config, odd, &report), 0);
    refused(report, "ferry: there is no variable FERRY_EAGER_MIN; did you mean FERRY_EAGER_MAX?\n");
    refused(report, "ferry: there is no variable FERRY_WXYZ; ferry_info -c shows");
    refused(report, "there is no variable FERRY_;");
    assert_null(strstr(report, "CACHE"));
    assert_null(strstr(report, "TEST"));
    free(report);
}

static void nearest(void **state)
{
    assert_string_equal(ferry_config_nearest("FERRY_TRANSPORT"), "FERRY_TRANSPORTS");
    assert_string_equal(ferry_config_nearest("FERRY_EAGERMAX"), "FERRY_EAGER_MAX");
    assert_string_equal(ferry_config_nearest("FERRY_DRI"), "FERRY_DIR");
    assert_string_equal(ferry_config_nearest("FERRY_FABRIC_IFACE"), "FERRY_FABRIC_INTERFACE");
    assert_null(ferry_config_nearest("FERRY_SOMETHING"));
    assert_null(ferry_config_nearest("FERRY_"));
}

static void print(void **state)
{
    char *environment[] = {"FERRY_CHUNK=8192", "FERRY_SPIN=never", "FERRY_CHUNKS=1", NULL};
    struct ferry_config config;
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    ferry_config_defaults(&config);
    set(&config, "FERRY_CHUNK", "8192");
    ferry_config_print(&config, environment, out);
    fclose(out);
    refused(text, "FERRY_CHUNK=8K\n    piece in which");
    refused(text, "    origin: environment\n    default: 32K; allowed: 256..32K; unit: bytes");
    refused(text, "    origin: default, for what the environment says is wrong\n    default: 1ms;");
    refused(text, "    origin: default\n    default: 256; allowed: 8..");
    refused(text, "FERRY_FABRIC_INTERFACE=\n");
    for (size_t i = 0; i < ferry_config_row_count; i++)
        refused(text, ferry_config_rows[i].name);
    free(text);
}

/* The process's own configuration is read once, so each case runs in a child. */
static int in_child(const char *name, const char *value, void (*check)(void), char *said,
                    size_t room)
{
    int ends[2], status;
    size_t length = 0;
    ssize_t n;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        setenv(name, value, 1);
        check();
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], said + length, room - 1 - length)) > 0)
        length += n;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100;
}

static void expect_good(void)
{
    const struct ferry_config *config = ferry_config();

    if (config == NULL || config->eager_max != 2048 || config != ferry_config())
        _exit(1);
}

static void expect_none(void)
{
    if (ferry_config() != NULL || ferry_config() != NULL)
        _exit(1);
}

static void own_environment(void **state)
{
    char said[1024];

    assert_int_equal(in_child("FERRY_EAGER_MAX", "2K", expect_good, said, sizeof(said)), 0);
    assert_string_equal(said, "");
    assert_int_equal(in_child("FERRY_EAGER_MAX", "2Q", expect_none, said, sizeof(said)), 0);
    refused(said, "ferry: FERRY_EAGER_MAX=2Q: not a size");
    /* Said once, although asked twice. */
    assert_null(strstr(strstr(said, "2Q") + 1, "2Q"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_default_reads_back_as_it_prints),
        cmocka_unit_test(sizes),
        cmocka_unit_test(bad_sizes_change_nothing),
        cmocka_unit_test(ranges),
        cmocka_unit_test(times),
        cmocka_unit_test(bools),
        cmocka_unit_test(words),
        cmocka_unit_test(paths),
        cmocka_unit_test(strings_outlive_the_text),
        cmocka_unit_test(environment),
        cmocka_unit_test(environment_with_errors),
        cmocka_unit_test(environment_with_unknown_names),
        cmocka_unit_test(nearest),
        cmocka_unit_test(print),
        cmocka_unit_test(own_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
