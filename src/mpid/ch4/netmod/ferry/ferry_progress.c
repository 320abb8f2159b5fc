/*
 * What progress does seldom: work that handlers left, and rest when there is nothing to do.
 */
#include "ferry_impl.h"

#include <sched.h>
#include <time.h>

/* Waits longer than this give the processor to others. */
#define SPIN_NS 50000

/* So many idle calls until the clock is read again. */
#define LOOK_EVERY 100

/* A rest is no longer than this, microseconds: what Ferry does not wake us for is not held up longer. */
#define REST_MAX 1000

/* Calls that are further apart come from a program that computes in between and only tests: it is
 * not held up at all. */
#define APART_NS 1000

static uint64_t nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

/* Lets progress come here again after so many idle calls. */
static void look_again_after(MPIDI_FERRY_global_t *global, unsigned calls, uint64_t now)
{
    global->idle = global->idle_max - calls;
    global->idle_calls = calls;
    global->idle_looked = now;
}

static void rest(MPIDI_FERRY_global_t *global)
{
    uint64_t now = nanoseconds();

    if (global->idle_since == 0
        || (now - global->idle_looked) / global->idle_calls > APART_NS) {
        global->idle_since = now;
    } else if (now - global->idle_since > SPIN_NS) {
        if (MPIR_ThreadInfo.isThreaded) {
            /* Other threads may wait for the lock that we hold. */
            sched_yield();
        } else {
            uint64_t microseconds = (now - global->idle_since) / 2000;
            if (ferry_wait(global->context, MPL_MIN(microseconds, REST_MAX)) > 0) {
                global->idle = 0;
                global->idle_since = 0;
                return;
            }
        }
        look_again_after(global, 1, nanoseconds());
        return;
    }
    look_again_after(global, LOOK_EVERY, now);
}

int MPIDI_FERRY_progress_seldom(void)
{
    MPIDI_FERRY_global_t *global = &MPIDI_FERRY_global;
    int mpi_errno = MPI_SUCCESS;

    if (global->idle >= global->idle_max)
        rest(global);
    if (global->work) {
        global->work = false;
        mpi_errno = global->mpi_errno;
        global->mpi_errno = MPI_SUCCESS;
        MPIR_ERR_CHECK(mpi_errno);
        mpi_errno = MPIDI_FERRY_spawn_work();
        MPIR_ERR_CHECK(mpi_errno);
    }

  fn_exit:
    return mpi_errno;
  fn_fail:
    goto fn_exit;
}
