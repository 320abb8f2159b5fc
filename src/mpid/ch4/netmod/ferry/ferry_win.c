/*
 * Windows: those of MPICH's generic layer, but for memory that is allocated with them.
 */
#include "ferry_win.h"

int MPIDI_FERRY_mpi_win_create(void *base, MPI_Aint length, int disp_unit, MPIR_Info *info,
                               MPIR_Comm *comm, MPIR_Win **win)
{
    return MPIDIG_mpi_win_create(base, length, disp_unit, info, comm, win);
}

int MPIDI_FERRY_mpi_win_allocate(MPI_Aint size, int disp_unit, MPIR_Info *info, MPIR_Comm *comm,
                                 void *base, MPIR_Win **win)
{
    return MPIDI_FERRY_win_allocate(size, disp_unit, info, comm, MPI_WIN_FLAVOR_ALLOCATE, base,
                                    win);
}

int MPIDI_FERRY_mpi_win_allocate_shared(MPI_Aint size, int disp_unit, MPIR_Info *info,
                                        MPIR_Comm *comm, void **base, MPIR_Win **win)
{
    int mpi_errno = MPI_SUCCESS;

    MPIR_ERR_CHKANDJUMP1(comm->local_size > 1 && !MPIDI_FERRY_is_one_node(comm), mpi_errno,
                         MPI_ERR_RMA_SHARED, "**ferryshared", "**ferryshared %s",
                         "not all processes of the communicator share memory; "
                         "MPI_Comm_split_type tells which do");
    mpi_errno = MPIDI_FERRY_win_allocate(size, disp_unit, info, comm, MPI_WIN_FLAVOR_SHARED, base,
                                         win);
    MPIR_ERR_CHECK(mpi_errno);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_mpi_win_create_dynamic(MPIR_Info *info, MPIR_Comm *comm, MPIR_Win **win)
{
    return MPIDIG_mpi_win_create_dynamic(info, comm, win);
}

int MPIDI_FERRY_mpi_win_attach(MPIR_Win *win, void *base, MPI_Aint size)
{
    return MPIDIG_mpi_win_attach(win, base, size);
}

int MPIDI_FERRY_mpi_win_detach(MPIR_Win *win, const void *base)
{
    return MPIDIG_mpi_win_detach(win, base);
}

int MPIDI_FERRY_mpi_win_free(MPIR_Win **win)
{
    return MPIDIG_mpi_win_free(win);
}

int MPIDI_FERRY_mpi_win_set_info(MPIR_Win *win, MPIR_Info *info)
{
    return MPIDIG_mpi_win_set_info(win, info);
}

int MPIDI_FERRY_mpi_win_get_info(MPIR_Win *win, MPIR_Info **info)
{
    return MPIDIG_mpi_win_get_info(win, info);
}

/* ---- What the generic layer calls back for ---- */

static int adopt(MPIR_Win *win)
{
    int mpi_errno = MPI_SUCCESS;

    /* One context, one lock. */
    MPIDI_WIN(win, am_vci) = 0;
    MPIDI_FERRY_WIN(win) = (MPIDI_FERRY_win_t){
        .has_posted = MPL_calloc(win->comm_ptr->local_size, sizeof(bool), MPL_MEM_RMA)};
    MPIR_ERR_CHKANDJUMP(MPIDI_FERRY_WIN(win).has_posted == NULL, mpi_errno, MPI_ERR_NO_MEM,
                        "**nomem");

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_mpi_win_create_hook(MPIR_Win *win)
{
    return adopt(win);
}

int MPIDI_FERRY_mpi_win_allocate_hook(MPIR_Win *win)
{
    return adopt(win);
}

int MPIDI_FERRY_mpi_win_allocate_shared_hook(MPIR_Win *win)
{
    return adopt(win);
}

int MPIDI_FERRY_mpi_win_create_dynamic_hook(MPIR_Win *win)
{
    return adopt(win);
}

int MPIDI_FERRY_mpi_win_attach_hook(MPIR_Win *win, void *base, MPI_Aint size)
{
    return MPI_SUCCESS;
}

int MPIDI_FERRY_mpi_win_detach_hook(MPIR_Win *win, const void *base)
{
    return MPI_SUCCESS;
}

int MPIDI_FERRY_mpi_win_free_hook(MPIR_Win *win)
{
    MPIDI_FERRY_win_release(win);
    MPL_free(MPIDI_FERRY_WIN(win).has_posted);
    return MPI_SUCCESS;
}
