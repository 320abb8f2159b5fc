/*
 * Progress: what handlers of active messages leave to be done when Ferry's own is over, and the lock that is
 * held in all of it.
 */
#include "ferry_impl.h"

unsigned MPIDI_FERRY_waiting;

int MPIDI_FERRY_work(void)
{
    MPIDI_FERRY_global_t *global = &MPIDI_FERRY_global;
    int mpi_errno = global->mpi_errno;

    global->work = false;
    global->mpi_errno = MPI_SUCCESS;
    MPIR_ERR_CHECK(mpi_errno);
    mpi_errno = MPIDI_FERRY_spawn_work();
    MPIR_ERR_CHECK(mpi_errno);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* Only one of the two locks is there, as MPICH was configured; the macros of the other do nothing. */
bool MPIDI_FERRY_unlock(void *user)
{
    if (!MPIDI_FERRY_lock_is_simple())
        return false;
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    MPID_THREAD_CS_EXIT(GLOBAL, MPIR_THREAD_GLOBAL_ALLFUNC_MUTEX);
    return true;
}

void MPIDI_FERRY_lock(void *user)
{
    MPID_THREAD_CS_ENTER(GLOBAL, MPIR_THREAD_GLOBAL_ALLFUNC_MUTEX);
    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
}
