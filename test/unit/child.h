/*
 * Parts of a test that need a process of their own, such as one with another environment, or one that
 * is killed.
 */
#ifndef FERRY_TEST_CHILD_H
#define FERRY_TEST_CHILD_H

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_SECONDS 60

/* In a child: ends it where the condition is wrong. */
#define check(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                               \
        }                                                                           \
    } while (0)

/* Starts body in a child. */
static pid_t child_start(void (*body)(void))
{
    pid_t child = fork();

    if (child == 0) {
        /* cmocka's handlers would go on with its tests in the child. */
        for (int number = 1; number < 32; number++)
            signal(number, SIG_DFL);
        alarm(CHILD_SECONDS);
        body();
        _exit(0);
    }
    return child;
}

/* Waits for a child: its exit status, or minus the signal that killed it. */
static int child_end(pid_t child)
{
    int status;

    if (waitpid(child, &status, 0) != child)
        return 1000;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int child_run(void (*body)(void))
{
    return child_end(child_start(body));
}

#endif
