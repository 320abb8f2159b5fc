/*
 * Collective operations through the memory of a team. Each member makes the same number of steps in an operation.
 */
#include "ferry_team.h"

/* Up to here each member reduces all data by itself; beyond, each a part of it for all. */
#define ALONE_MAX 2048

#define CHECK_TEAM(ret_)             \
    do {                             \
        int ret = (ret_);            \
        MPIDI_FERRY_CHKANDJUMP(ret); \
    } while (0)

static char *buffer_of(MPIDI_FERRY_team_t *team, int member)
{
    char *area = ferry_team_area(team->ferry, (uint32_t) member);
    unsigned large = team->buffer - MPIDI_FERRY_TEAM_SMALLS;

    if (team->buffer < MPIDI_FERRY_TEAM_SMALLS)
        return area + team->buffer * MPIDI_FERRY_TEAM_SMALL;
    return area + MPIDI_FERRY_TEAM_SMALLS * MPIDI_FERRY_TEAM_SMALL + large * MPIDI_FERRY_TEAM_ROOM;
}

/* Takes a buffer for so many bytes of each member, once all have read what was left there: a member that made a step
 * since has ended the operation that used it. There was one since, for buffers take turns. */
static int begin(MPIDI_FERRY_team_t *team, MPI_Aint bytes)
{
    uint64_t until;

    if (bytes <= MPIDI_FERRY_TEAM_SMALL)
        team->buffer = team->small++ % MPIDI_FERRY_TEAM_SMALLS;
    else
        team->buffer = MPIDI_FERRY_TEAM_SMALLS + team->large++ % MPIDI_FERRY_TEAM_LARGES;
    until = team->used_until[team->buffer];
    return until ? ferry_team_await(team->ferry, FERRY_TEAM_ALL, (uint32_t) (until + 1)) : 0;
}

static void step(MPIDI_FERRY_team_t *team)
{
    team->steps++;
    ferry_team_step(team->ferry);
    team->used_until[team->buffer] = team->steps;
}

static int await(MPIDI_FERRY_team_t *team, uint32_t member)
{
    return ferry_team_await(team->ferry, member, (uint32_t) team->steps);
}

int MPIDI_FERRY_barrier(MPIDI_FERRY_team_t *team)
{
    int mpi_errno = MPI_SUCCESS;

    team->steps++;
    ferry_team_step(team->ferry);
    CHECK_TEAM(await(team, FERRY_TEAM_ALL));

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_bcast(MPIDI_FERRY_team_t *team, void *buffer, MPI_Aint count, MPI_Datatype datatype,
                      int root)
{
    int mpi_errno = MPI_SUCCESS;
    MPI_Aint size;

    MPIR_Datatype_get_size_macro(datatype, size);
    CHECK_TEAM(begin(team, count * size));
    if (team->rank == root) {
        mpi_errno = MPIR_Localcopy(buffer, count, datatype, buffer_of(team, root), count * size,
                                   MPI_BYTE);
        step(team);
        MPIR_ERR_CHECK(mpi_errno);
    } else {
        step(team);
        CHECK_TEAM(await(team, (uint32_t) root));
        mpi_errno = MPIR_Localcopy(buffer_of(team, root), count * size, MPI_BYTE, buffer, count,
                                   datatype);
        MPIR_ERR_CHECK(mpi_errno);
    }

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* Reduces elements [first, first + count) of all members' buffers, in the order of ranks, into to. */
static int reduce_all(MPIDI_FERRY_team_t *team, void *to, MPI_Aint first, MPI_Aint count,
                      MPI_Datatype datatype, MPI_Op op)
{
    MPI_Aint size = MPIR_Datatype_get_basic_size(datatype);
    int mpi_errno = MPI_SUCCESS;

    memcpy(to, buffer_of(team, team->size - 1) + first * size, count * size);
    for (int i = team->size - 2; i >= 0 && mpi_errno == MPI_SUCCESS; i--)
        mpi_errno = MPIR_Reduce_local(buffer_of(team, i) + first * size, to, count, datatype, op);
    return mpi_errno;
}

/* Each member reduces a part of the data, in its own buffer in place, and takes the others' parts from theirs. */
static int reduce_parts(MPIDI_FERRY_team_t *team, char *to, MPI_Aint count, MPI_Datatype datatype,
                        MPI_Op op)
{
    MPI_Aint size = MPIR_Datatype_get_basic_size(datatype);
    MPI_Aint first = count * team->rank / team->size;
    MPI_Aint own = count * (team->rank + 1) / team->size - first;
    int mpi_errno = MPI_SUCCESS;

    mpi_errno = reduce_all(team, to + first * size, first, own, datatype, op);
    memcpy(buffer_of(team, team->rank) + first * size, to + first * size, own * size);
    step(team);
    MPIR_ERR_CHECK(mpi_errno);
    CHECK_TEAM(await(team, FERRY_TEAM_ALL));
    for (int i = 0; i < team->size; i++) {
        MPI_Aint from = count * i / team->size;
        MPI_Aint end = count * (i + 1) / team->size;
        if (i != team->rank)
            memcpy(to + from * size, buffer_of(team, i) + from * size, (end - from) * size);
    }

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* Lets the others see what this member has to be reduced. */
static int contribute(MPIDI_FERRY_team_t *team, const void *sendbuf, const void *recvbuf,
                      MPI_Aint bytes)
{
    int ret = begin(team, bytes);

    if (ret == 0) {
        memcpy(buffer_of(team, team->rank), sendbuf == MPI_IN_PLACE ? recvbuf : sendbuf, bytes);
        step(team);
    }
    return ret;
}

int MPIDI_FERRY_allreduce(MPIDI_FERRY_team_t *team, const void *sendbuf, void *recvbuf,
                          MPI_Aint count, MPI_Datatype datatype, MPI_Op op)
{
    int mpi_errno = MPI_SUCCESS;
    MPI_Aint bytes = count * (MPI_Aint) MPIR_Datatype_get_basic_size(datatype);

    CHECK_TEAM(contribute(team, sendbuf, recvbuf, bytes));
    CHECK_TEAM(await(team, FERRY_TEAM_ALL));
    if (bytes <= ALONE_MAX)
        mpi_errno = reduce_all(team, recvbuf, 0, count, datatype, op);
    else
        mpi_errno = reduce_parts(team, recvbuf, count, datatype, op);
    MPIR_ERR_CHECK(mpi_errno);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_reduce(MPIDI_FERRY_team_t *team, const void *sendbuf, void *recvbuf, MPI_Aint count,
                       MPI_Datatype datatype, MPI_Op op, int root)
{
    int mpi_errno = MPI_SUCCESS;
    MPI_Aint bytes = count * (MPI_Aint) MPIR_Datatype_get_basic_size(datatype);

    CHECK_TEAM(contribute(team, sendbuf, recvbuf, bytes));
    if (team->rank == root) {
        CHECK_TEAM(await(team, FERRY_TEAM_ALL));
        mpi_errno = reduce_all(team, recvbuf, 0, count, datatype, op);
        MPIR_ERR_CHECK(mpi_errno);
    }

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* Each member shows what it has, bytes of it, and takes the part at offset of what each of them shows. */
static int exchange(MPIDI_FERRY_team_t *team, const void *sendbuf, MPI_Aint sendcount,
                    MPI_Datatype sendtype, MPI_Aint bytes, MPI_Aint offset, char *recvbuf,
                    MPI_Aint recvcount, MPI_Datatype recvtype)
{
    int mpi_errno = MPI_SUCCESS;
    MPI_Aint size, extent;

    MPIR_Datatype_get_size_macro(recvtype, size);
    MPIR_Datatype_get_extent_macro(recvtype, extent);
    CHECK_TEAM(begin(team, bytes));
    mpi_errno = MPIR_Localcopy(sendbuf, sendcount, sendtype, buffer_of(team, team->rank), bytes,
                               MPI_BYTE);
    step(team);
    MPIR_ERR_CHECK(mpi_errno);
    CHECK_TEAM(await(team, FERRY_TEAM_ALL));
    for (int i = 0; i < team->size; i++) {
        mpi_errno = MPIR_Localcopy(buffer_of(team, i) + offset, recvcount * size, MPI_BYTE,
                                   recvbuf + i * recvcount * extent, recvcount, recvtype);
        MPIR_ERR_CHECK(mpi_errno);
    }

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_allgather(MPIDI_FERRY_team_t *team, const void *sendbuf, MPI_Aint sendcount,
                          MPI_Datatype sendtype, void *recvbuf, MPI_Aint recvcount,
                          MPI_Datatype recvtype)
{
    MPI_Aint size, extent;

    MPIR_Datatype_get_size_macro(recvtype, size);
    MPIR_Datatype_get_extent_macro(recvtype, extent);
    if (sendbuf == MPI_IN_PLACE) {
        sendbuf = (char *) recvbuf + team->rank * recvcount * extent;
        sendcount = recvcount;
        sendtype = recvtype;
    }
    return exchange(team, sendbuf, sendcount, sendtype, recvcount * size, 0, recvbuf, recvcount,
                    recvtype);
}

int MPIDI_FERRY_alltoall(MPIDI_FERRY_team_t *team, const void *sendbuf, MPI_Aint sendcount,
                         MPI_Datatype sendtype, void *recvbuf, MPI_Aint recvcount,
                         MPI_Datatype recvtype)
{
    MPI_Aint size;

    MPIR_Datatype_get_size_macro(recvtype, size);
    size *= recvcount;
    if (sendbuf == MPI_IN_PLACE) {
        sendbuf = recvbuf;
        sendcount = recvcount;
        sendtype = recvtype;
    }
    return exchange(team, sendbuf, sendcount * team->size, sendtype, size * team->size,
                    team->rank * size, recvbuf, recvcount, recvtype);
}
