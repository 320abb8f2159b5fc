/*
 * Whose MPI_Win_post has come.
 *
 * MPICH's generic layer counts posts without telling whose they are, and MPI_Win_start waits until as many have come as
 * its group has members. A process that is ahead may post for its next epoch before another's start has returned; the
 * count then passes the number that is waited for, and the start never returns. Here each process's post is noted by
 * its rank. One from each is enough: its next is sent only after this process has completed the epoch of the former.
 */
#include "ferry_win.h"

int MPIDI_FERRY_posted(void *header, void *data, MPI_Aint length, uint32_t attr,
                       MPIR_Request **request)
{
    const MPIDIG_win_cntrl_msg_t *message = header;
    MPIR_Win *win = MPIDIU_map_lookup(MPIDI_global.win_map, message->win_id);

    if (attr & MPIDIG_AM_ATTR__IS_ASYNC)
        *request = NULL;
    if (win != NULL && win != MPIDIU_MAP_NOT_FOUND && message->origin_rank >= 0 &&
        message->origin_rank < win->comm_ptr->local_size)
        MPIDI_FERRY_WIN(win).has_posted[message->origin_rank] = true;
    return MPI_SUCCESS;
}

static bool have_all_posted(MPIR_Win *win, const int *ranks, int count)
{
    for (int i = 0; i < count; i++)
        if (!MPIDI_FERRY_WIN(win).has_posted[ranks[i]])
            return false;
    return true;
}

static int wait_for_posts(MPIR_Win *win, const int *ranks, int count)
{
    int mpi_errno = MPI_SUCCESS;

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    MPIDIU_PROGRESS_WHILE(!have_all_posted(win, ranks, count), 0);
    for (int i = 0; i < count; i++)
        MPIDI_FERRY_WIN(win).has_posted[ranks[i]] = false;

fn_exit:
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_win_start(MPIR_Group *group, int assert, MPIR_Win *win)
{
    int mpi_errno = MPI_SUCCESS;
    int *ranks = MPL_malloc((group->size + 1) * sizeof *ranks, MPL_MEM_RMA);

    MPIR_ERR_CHKANDJUMP(ranks == NULL, mpi_errno, MPI_ERR_NO_MEM, "**nomem");
    MPIDIG_ACCESS_EPOCH_CHECK_NONE(win, mpi_errno, goto fn_fail);
    mpi_errno = MPIDIG_fill_ranks_in_win_grp(win, group, ranks);
    MPIR_ERR_CHECK(mpi_errno);
    for (int i = 0; i < group->size; i++)
        MPIR_ERR_CHKANDJUMP(ranks[i] < 0, mpi_errno, MPI_ERR_GROUP, "**group");

    if (!(assert &MPI_MODE_NOCHECK)) {
        mpi_errno = wait_for_posts(win, ranks, group->size);
        MPIR_ERR_CHECK(mpi_errno);
    }
    mpi_errno = MPIDIG_mpi_win_start(group, assert | MPI_MODE_NOCHECK, win);

fn_exit:
    MPL_free(ranks);
    return mpi_errno;
fn_fail:
    goto fn_exit;
}
