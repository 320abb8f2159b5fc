/*
 * Communicators: what Ferry keeps in them.
 */
#include "ferry_impl.h"

int MPIDI_FERRY_mpi_comm_commit_pre_hook(MPIR_Comm *comm)
{
    MPIDI_FERRY_COMM(comm) = (MPIDI_FERRY_comm_t){0};
    return MPI_SUCCESS;
}

int MPIDI_FERRY_mpi_comm_commit_post_hook(MPIR_Comm *comm)
{
    /* Operations in two steps, within nodes and between their first processes, gain nothing in a single node. */
    if (comm->hierarchy_kind == MPIR_COMM_HIERARCHY_KIND__PARENT && MPIDI_FERRY_is_one_node(comm))
        comm->hierarchy_kind = MPIR_COMM_HIERARCHY_KIND__FLAT;
    return MPI_SUCCESS;
}

int MPIDI_FERRY_mpi_comm_free_hook(MPIR_Comm *comm)
{
    MPIDI_FERRY_team_leave(&MPIDI_FERRY_COMM(comm));
    MPL_free(MPIDI_FERRY_COMM(comm).scratch);
    return MPI_SUCCESS;
}

int MPIDI_FERRY_comm_set_hints(MPIR_Comm *comm, MPIR_Info *info)
{
    return MPI_SUCCESS;
}
