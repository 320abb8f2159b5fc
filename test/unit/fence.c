/*
 * The fence of one side: two processes each write one word and read the other's, again and again. Never may both
 * miss what the other wrote, although only one of them has a fence.
 */
#include "fence.h"
#include "unit.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS 50000

struct shared {
    _Alignas(64) _Atomic int mine;
    _Alignas(64) _Atomic int theirs;
    _Alignas(64) _Atomic int seen;
    _Alignas(64) _Atomic int round, done;
};

/* The side that pays nothing. */
static void write_often(struct shared *shared)
{
    for (int i = 1; i <= ROUNDS; i++) {
        while (atomic_load(&shared->round) < i)
            ;
        atomic_store_explicit(&shared->theirs, i, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        atomic_store_explicit(&shared->seen,
                              atomic_load_explicit(&shared->mine, memory_order_relaxed),
                              memory_order_relaxed);
        atomic_store_explicit(&shared->done, i, memory_order_release);
    }
}

static void one_of_two_sees_the_other(void **state)
{
    struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child;

    (void) state;
    if (!ferry_fence_register())
        skip();
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        ferry_fence_register();
        write_often(shared);
        _exit(0);
    }
    for (int i = 1; i <= ROUNDS; i++) {
        int seen;

        atomic_store_explicit(&shared->round, i, memory_order_relaxed);
        for (volatile int k = i % 100; k > 0; k--) /* until the other is about as far */
            ;
        atomic_store_explicit(&shared->mine, i, memory_order_relaxed);
        assert_true(ferry_fence_all());
        seen = atomic_load_explicit(&shared->theirs, memory_order_relaxed);
        while (atomic_load_explicit(&shared->done, memory_order_acquire) < i)
            ;
        assert_true(seen == i || atomic_load(&shared->seen) == i);
    }
    waitpid(child, NULL, 0);
    munmap(shared, sizeof(*shared));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_of_two_sees_the_other)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
