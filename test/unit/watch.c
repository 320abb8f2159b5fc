/*
 * Watching a descriptor in a thread.
 */
#include "watch.h"
#include "unit.h"

#include <stdatomic.h>
#include <unistd.h>

static _Atomic int calls;

static void count(void *arg)
{
    assert_ptr_equal(arg, &calls);
    atomic_fetch_add(&calls, 1);
}

/* Ten seconds at most. */
static void wait_for(int wanted)
{
    for (int i = 0; i < 10000 && atomic_load(&calls) < wanted; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&calls), wanted);
}

static void calls_once_when_armed(void **state)
{
    struct ferry_watch *watch;
    char byte = 0;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    watch = ferry_watch_open(ends[0], count, &calls);
    assert_non_null(watch);
    assert_int_equal(write(ends[1], &byte, 1), 1);
    usleep(20000);
    assert_int_equal(atomic_load(&calls), 0); /* not armed */
    ferry_watch_arm(watch);
    wait_for(1);
    usleep(20000);
    assert_int_equal(atomic_load(&calls), 1); /* although it can still be read */
    ferry_watch_arm(watch);
    wait_for(2);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    ferry_watch_arm(watch);
    ferry_watch_arm(watch);
    usleep(20000);
    assert_int_equal(atomic_load(&calls), 2); /* nothing to be read */
    assert_int_equal(write(ends[1], &byte, 1), 1);
    wait_for(3);
    ferry_watch_arm(watch);
    ferry_watch_close(watch);
    close(ends[0]);
    close(ends[1]);
}

/* A test that hangs here did not end. */
static void ends_while_it_waits(void **state)
{
    struct ferry_watch *watch;
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    for (int i = 0; i < 100; i++) {
        watch = ferry_watch_open(ends[0], count, &calls);
        assert_non_null(watch);
        if (i % 2)
            ferry_watch_arm(watch);
        ferry_watch_close(watch);
    }
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_once_when_armed),
        cmocka_unit_test(ends_while_it_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
