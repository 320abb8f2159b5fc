/*
 * How many want the machine's processors.
 */
#include "load.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_this_one),
        cmocka_unit_test(counts_who_runs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
