/*
 * Collective operations within a node: on little data through memory that all its processes share (ferry_coll.c), on more
 * by messages straight to whom they are for (ferry_straight.c). All others are those of MPICH's generic layer.
 */
#ifndef FERRY_COLL_H_INCLUDED
#define FERRY_COLL_H_INCLUDED

#include "ferry_impl.h"

#define MPIDI_NM_mpi_barrier MPIDI_FERRY_generic_barrier
#define MPIDI_NM_mpi_bcast MPIDI_FERRY_generic_bcast
#define MPIDI_NM_mpi_allreduce MPIDI_FERRY_generic_allreduce
#define MPIDI_NM_mpi_reduce MPIDI_FERRY_generic_reduce
#define MPIDI_NM_mpi_allgather MPIDI_FERRY_generic_allgather
#define MPIDI_NM_mpi_alltoall MPIDI_FERRY_generic_alltoall
#include "netmod_am_fallback_coll.h"
#undef MPIDI_NM_mpi_barrier
#undef MPIDI_NM_mpi_bcast
#undef MPIDI_NM_mpi_allreduce
#undef MPIDI_NM_mpi_reduce
#undef MPIDI_NM_mpi_allgather
#undef MPIDI_NM_mpi_alltoall

/* Up to so many processes the root of a broadcast sends to each of them itself. It need wait for nobody then. */
#define MPIDI_FERRY_STRAIGHT_BCAST_MAX 16

/* All processes of the communicator must come to the same answer: bytes is the same in each. */
MPL_STATIC_INLINE_PREFIX MPIDI_FERRY_team_t *MPIDI_FERRY_team(MPIR_Comm *comm, MPI_Aint bytes)
{
    MPIDI_FERRY_comm_t *ours = &MPIDI_FERRY_COMM(comm);

    if (bytes > MPIDI_FERRY_TEAM_ROOM || ours->is_alone)
        return NULL;
    return likely(ours->team != NULL) ? ours->team : MPIDI_FERRY_team_find(comm);
}

/* A message each way is all that two processes need, where each takes what the other has. */
MPL_STATIC_INLINE_PREFIX bool MPIDI_FERRY_is_pair(MPIR_Comm *comm)
{
    return comm->local_size == 2 && MPIDI_FERRY_is_near(comm);
}

/* Sizes of data are known at once, and the same everywhere, for datatypes and operations of MPI's own. */
MPL_STATIC_INLINE_PREFIX bool MPIDI_FERRY_is_plain(MPI_Datatype datatype, MPI_Op op)
{
    return HANDLE_IS_BUILTIN(datatype) && HANDLE_IS_BUILTIN(op);
}

MPL_STATIC_INLINE_PREFIX MPIDI_FERRY_team_t *
MPIDI_FERRY_team_to_reduce(MPIR_Comm *comm, MPI_Aint count, MPI_Datatype datatype, MPI_Op op)
{
    if (!MPIDI_FERRY_is_plain(datatype, op))
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

    if (comm->local_size <= MPIDI_FERRY_STRAIGHT_BCAST_MAX && MPIDI_FERRY_is_near(comm))
        return MPIDI_FERRY_straight_bcast(buffer, count, datatype, root, comm, errflag);
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

    if (team)
        return MPIDI_FERRY_allreduce(team, sendbuf, recvbuf, count, datatype, op);
    if (count >= comm->local_size && MPIDI_FERRY_is_plain(datatype, op) &&
        MPIDI_FERRY_is_near(comm))
        return MPIDI_FERRY_straight_allreduce(sendbuf, recvbuf, count, datatype, op, comm, errflag);
    return MPIDI_FERRY_generic_allreduce(sendbuf, recvbuf, count, datatype, op, comm, errflag);
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

    if (MPIDI_FERRY_is_pair(comm))
        return MPIDI_FERRY_straight_allgather(sendbuf, sendcount, sendtype, recvbuf, recvcount,
                                              recvtype, comm, errflag);
    MPIR_Datatype_get_size_macro(recvtype, size);
    team = MPIDI_FERRY_team(comm, recvcount * size);
    if (team)
        return MPIDI_FERRY_allgather(team, sendbuf, sendcount, sendtype, recvbuf, recvcount,
                                     recvtype);
    if (MPIDI_FERRY_is_near(comm))
        return MPIDI_FERRY_straight_allgather(sendbuf, sendcount, sendtype, recvbuf, recvcount,
                                              recvtype, comm, errflag);
    return MPIDI_FERRY_generic_allgather(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype,
                                         comm, errflag);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_alltoall(const void *sendbuf, MPI_Aint sendcount,
                                                   MPI_Datatype sendtype, void *recvbuf,
                                                   MPI_Aint recvcount, MPI_Datatype recvtype,
                                                   MPIR_Comm *comm, MPIR_Errflag_t *errflag)
{
    MPIDI_FERRY_team_t *team;
    MPI_Aint size;

    MPIR_Datatype_get_size_macro(recvtype, size);
    team = MPIDI_FERRY_is_pair(comm) ? NULL
                                     : MPIDI_FERRY_team(comm, recvcount * size * comm->local_size);
    if (team)
        return MPIDI_FERRY_alltoall(team, sendbuf, sendcount, sendtype, recvbuf, recvcount,
                                    recvtype);
    if (sendbuf != MPI_IN_PLACE && MPIDI_FERRY_is_near(comm))
        return MPIDI_FERRY_straight_alltoall(sendbuf, sendcount, sendtype, recvbuf, recvcount,
                                             recvtype, comm, errflag);
    return MPIDI_FERRY_generic_alltoall(sendbuf, sendcount, sendtype, recvbuf, recvcount, recvtype,
                                        comm, errflag);
}

#endif
