/*
 * How many want the machine's processors, and how much of these is stolen.
 */
#include "load.h"
#include "machine.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

static _Atomic bool stop;

static void *spin(void *arg)
{
    while (!atomic_load(&stop))
        ;
    return arg;
}

static int most_of(int looks)
{
    int most = 0;

    for (int i = 0; i < looks; i++) {
        int count = ferry_runnable();

        most = count > most ? count : most;
        usleep(1000);
    }
    return most;
}

static void counts_this_one(void **state)
{
    (void) state;
    assert_true(ferry_runnable() >= 1);
}

static void counts_who_runs(void **state)
{
    enum { SPINNERS = 6 };
    pthread_t threads[SPINNERS];

    (void) state;
    for (int i = 0; i < SPINNERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, spin, NULL), 0);
    assert_true(most_of(20) >= SPINNERS);
    atomic_store(&stop, true);
    for (int i = 0; i < SPINNERS; i++)
        pthread_join(threads[i], NULL);
}

/* Fewer than all that run: the machine is taken, and that is believed for a while; then asked again. */
static void free_or_taken(void **state)
{
    struct ferry_load load = {0};
    uint64_t now = 1000000000;

    (void) state;
    assert_false(ferry_processors_free(&load, 0, now));
    assert_false(ferry_processors_free(&load, 1000000, now + 1));
    now += 1000000000;
    assert_true(ferry_processors_free(&load, 1000000, now));
    assert_true(ferry_processors_free(&load, 0, now + 1));
    now += 1000000000;
    assert_false(ferry_processors_free(&load, 0, now));
}

static void steal(void **state)
{
    uint64_t stolen = 0, all = 0;

    (void) state;
    assert_false(ferry_steal_time(root, &stolen, &all));
    put("/proc/stat", "cpu  10 1 20 300 4 5 6 70 8 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n");
    assert_true(ferry_steal_time(root, &stolen, &all));
    assert_int_equal(stolen, 70);
    assert_int_equal(all, 10 + 1 + 20 + 300 + 4 + 5 + 6 + 70);
    stolen = 70 * 1000000 / (uint64_t) sysconf(_SC_CLK_TCK);
    assert_int_equal(ferry_stolen_us(root, 0), stolen);
    assert_int_equal(ferry_stolen_us(root, 500), stolen - 500);
    assert_int_equal(ferry_stolen_us(root, stolen + 1), 0);
    put("/proc/stat", "cpu  10 1 20 300\ncpu0 1 1 1 1\n"); /* an old kernel */
    assert_false(ferry_steal_time(root, &stolen, &all));
    put("/proc/stat", "nothing of the kind\n");
    assert_false(ferry_steal_time(root, &stolen, &all));
    assert_int_equal(ferry_stolen_us(root, 0), 0);
}

static void spoiled(void **state)
{
    (void) state;
    assert_false(ferry_steal_spoils(0, 0));
    assert_false(ferry_steal_spoils(0, 5));
    assert_false(ferry_steal_spoils(10000, 1000000));
    assert_true(ferry_steal_spoils(10001, 1000000));
    assert_true(ferry_steal_spoils(10000, 999999));
    assert_true(ferry_steal_spoils(1, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_this_one),
        cmocka_unit_test(counts_who_runs),
        cmocka_unit_test(free_or_taken),
        cmocka_unit_test_setup_teardown(steal, make_machine, remove_machine),
        cmocka_unit_test(spoiled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
