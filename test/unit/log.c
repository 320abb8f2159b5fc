#include "unit.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs say() in a child with FERRY_LOG=level (NULL: unset); what it said, and in how many writes. */
static size_t said_by(void (*say)(void), const char *level, char *said, size_t room)
{
    int ends[2], status;
    size_t length = 0, writes = 0;
    ssize_t n;
    pid_t child;

    /* Packets keep writes apart. */
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        if (level != NULL)
            setenv("FERRY_LOG", level, 1);
        else
            unsetenv("FERRY_LOG");
        say();
        _exit(0);
    }
    close(ends[1]);
    for (; (n = read(ends[0], said + length, room - 1 - length)) > 0; writes++)
        length += n;
    said[length] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return writes;
}

static void say_all(void)
{
    ferry_log(FERRY_LOG_ERROR, "e%d", 1);
    ferry_log(FERRY_LOG_WARN, "w%s", "2");
    ferry_log(FERRY_LOG_INFO, "i");
    ferry_log(FERRY_LOG_DEBUG, "d");
}

static void levels(void **state)
{
    char said[256];

    assert_int_equal(said_by(say_all, NULL, said, sizeof(said)), 2);
    assert_string_equal(said, "ferry: e1\nferry: w2\n");
    assert_int_equal(said_by(say_all, "error", said, sizeof(said)), 1);
    assert_string_equal(said, "ferry: e1\n");
    assert_int_equal(said_by(say_all, "info", said, sizeof(said)), 3);
    assert_int_equal(said_by(say_all, "debug", said, sizeof(said)), 4);
}

static void say_as_rank(void)
{
    ferry_log_set_rank(7);
    ferry_log(FERRY_LOG_ERROR, "hello");
    ferry_log_set_rank(-1);
    ferry_log(FERRY_LOG_ERROR, "bye");
}

static void rank(void **state)
{
    char said[256];

    said_by(say_as_rank, NULL, said, sizeof(said));
    assert_string_equal(said, "ferry: rank 7: hello\nferry: bye\n");
}

static void say_much(void)
{
    char *text = malloc(5001);

    memset(text, 'x', 5000);
    text[5000] = '\0';
    ferry_log(FERRY_LOG_ERROR, "%s", text);
    free(text);
    ferry_log(FERRY_LOG_ERROR, "a\nferry: \033[2Jb\177");
}

static void long_and_strange_lines(void **state)
{
    char said[8192];

    assert_int_equal(said_by(say_much, NULL, said, sizeof(said)), 2);
    assert_true(strcspn(said, "\n") > 500);
    assert_true(strcspn(said, "\n") < 1024);
    assert_string_equal(strchr(said, '\n') + 1, "ferry: a?ferry: ?[2Jb?\n");
}

static void say_without_anybody(void)
{
    close(STDERR_FILENO);
    errno = ENOENT;
    ferry_log(FERRY_LOG_ERROR, "nobody hears this");
    if (errno != ENOENT)
        _exit(1);
}

static void errno_is_kept(void **state)
{
    char said[256];

    assert_int_equal(said_by(say_without_anybody, NULL, said, sizeof(said)), 0);
}

static void say_to_a_closed_pipe(void)
{
    int ends[2];

    if (pipe(ends) != 0 || dup2(ends[1], STDERR_FILENO) < 0)
        _exit(1);
    close(ends[0]);
    ferry_log(FERRY_LOG_ERROR, "nobody hears this");
}

static void a_closed_pipe_does_not_kill(void **state)
{
    char said[256];

    said_by(say_to_a_closed_pipe, NULL, said, sizeof(said));
}

/* A bad configuration must not silence the words that tell of it. */
static void bad_level(void **state)
{
    char said[1024];

    said_by(say_all, "loud", said, sizeof(said));
    assert_non_null(strstr(said, "ferry: FERRY_LOG=loud"));
    assert_non_null(strstr(said, "ferry: w2\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(rank),
        cmocka_unit_test(long_and_strange_lines),
        cmocka_unit_test(errno_is_kept),
        cmocka_unit_test(a_closed_pipe_does_not_kill),
        cmocka_unit_test(bad_level),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
