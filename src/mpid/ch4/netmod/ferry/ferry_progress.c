/*
 * What handlers of active messages leave to be done when Ferry's own progress is over.
 */
#include "ferry_impl.h"

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
