/*
 * Collective operations on little data within a node go through memory that all its processes share; all others
 * are those of MPICH's generic layer.
 */
#ifndef FERRY_COLL_H_INCLUDED
#define FERRY_COLL_H_INCLUDED

#include "ferry_impl.h"

#define MPIDI_NM_mpi_barrier MPIDI_FERRY_generic_barrier
#define MPIDI_NM_mpi_bcast MPIDI_FERRY_generic_bcast
#define MPIDI_NM_mpi_allreduce MPIDI_FERRY_generic_allreduce
#define MPIDI_NM_mpi_reduce MPIDI_FERRY_generic_reduce
#define MPIDI_NM_mpi_allgather MPIDI_FERRY_generic_allgather
#include "netmod_am_fallback_coll.h"
#undef MPIDI_NM_mpi_barrier
#undef MPIDI_NM_mpi_bcast
#undef MPIDI_NM_mpi_allreduce
#undef MPIDI_NM_mpi_reduce
#undef MPIDI_NM_mpi_allgather

/* All processes of the communicator must come to the same answer: bytes is the same in each. */
MPL_STATIC_INLINE_PREFIX MPIDI_FERRY_team_t *MPIDI_FERRY_team(MPIR_Comm *comm, MPI_Aint bytes)
{
    MPIDI_FERRY_comm_t *ours = &MPIDI_FERRY_COMM(comm);

    if (bytes > MPIDI_FERRY_TEAM_ROOM || ours->is_alone)
        return NULL;
    return likely(ours->team != NULL) ? ours->team : MPIDI_FERRY_team_find(comm);
}

/* Sizes of data are known at once, and the same everywhere, for datatypes and operations of MPI's own. */
MPL_STATIC_INLINE_PREFIX MPIDI_FERRY_team_t *
MPIDI_FERRY_team_to_reduce(MPIR_Comm *comm, MPI_Aint count, MPI_Datatype datatype, MPI_Op op)
{
    if (!HANDLE_IS_BUILTIN(datatype) || !HANDLE_IS_BUILTIN(op))
        return NULL;
    return MPIDI_FERRY_team(comm, count * (MPI_Aint) MPIR_Datatype_get_basic_size(datatype));
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_barrier(MPIR_Comm *comm, MPIR_Errflag_t *errflag)
{
    MPIDI_FERRY_team_t *team = MPIDI_FERRY_team(comm, 0);

    return team ? MPIDI_FERRY_barrier(team) : MPIDI_FERRY_generic_barrier(comm, errflag);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_bcast(void *buffer, MPI_Aint count, MPI_Datatype datatype,
                                                int root, MPIR_Comm *comm, MPIR_Errflag_t *errflag)
{
    MPIDI_FERRY_team_t *team;
    MPI_Aint size;

    MPIR_Datatype_get_size_macro(datatype, size);
    team = MPIDI_FERRY_team(comm, count * size);
    return team ? MPIDI_FERRY_bcast(team, buffer, count, datatype, root)
                : MPIDI_FERRY_generic_bcast(buffer, count, datatype, root, comm, errflag);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_allreduce(const void *sendbuf, void *recvbuf,
                                                    MPI_Aint count, MPI_Datatype datatype,
                                                    MPI_Op op, MPIR_Comm *comm,
                                                    MPIR_Errflag_t *errflag)
{
    MPIDI_FERRY_team_t *team = MPIDI_FERRY_team_to_reduce(comm, count, datatype, op);

    return team ? MPIDI_FERRY_allreduce(team, sendbuf, recvbuf, count, datatype, op)
                : MPIDI_FERRY_generic_allreduce(sendbuf, recvbuf, count, datatype, op, comm,
                                                errflag);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_reduce(const void *sendbuf, void *recvbuf, MPI_Aint count,
                                                 MPI_Datatype datatype, MPI_Op op, int root,
                                                 MPIR_Comm *comm, MPIR_Errflag_t *errflag)
{
    MPIDI_FERRY_team_t *team = MPIDI_FERRY_team_to_reduce(comm, count, datatype, op);

    /* What the root of all gave, reducing within its node to another process. */
    if (unlikely(sendbuf == MPI_IN_PLACE && comm->rank != root))
        sendbuf = recvbuf;
    return team ? MPIDI_FERRY_reduce(team, sendbuf, recvbuf, count, datatype, op, root)
                : MPIDI_FERRY_generic_reduce(sendbuf, recvbuf, count, datatype, op, root, comm,
                                             errflag);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_allgather(const void *sendbuf, MPI_Aint sendcount,
                                                    MPI_Datatype sendtype, void *recvbuf,
                                                    MPI_Aint recvcount, MPI_Datatype recvtype,
                                                    MPIR_Comm *comm, MPIR_Errflag_t *errflag)
{
    MPIDI_FERRY_team_t *team;
    MPI_Aint size;

    MPIR_Datatype_get_size_macro(recvtype, size);
    team = MPIDI_FERRY_team(comm, recvcount * size);
    return team ? MPIDI_FERRY_allgather(team, sendbuf, sendcount, sendtype, recvbuf, recvcount,
                                        recvtype)
                : MPIDI_FERRY_generic_allgather(sendbuf, sendcount, sendtype, recvbuf, recvcount,
                                                recvtype, comm, errflag);
}

#endif
