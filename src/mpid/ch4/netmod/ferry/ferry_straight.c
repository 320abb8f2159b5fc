/*
 * Collective operations of processes that share memory, on data that is too long for a team: each process sends what it has
 * straight to those who need it, all at the same time. Each byte is copied as often as it must be, and
 * nobody waits for a step of somebody who has no processor at the moment, as in rings and trees.
 */
#include "ferry_impl.h"

/* Memory in which parts from the others are reduced, bytes for each communicator: longer data is reduced in turns. It
 * fits a processor's second cache, more or less. */
#define SCRATCH (1 << 20)

/* Messages that are on their way at the same time. */
typedef struct {
    MPIR_Comm *comm;
    MPIR_Errflag_t *errflag;
    int tag;
    int error; /* the first, as an MPI error code */
    int count;
    MPIR_Request *requests[2 * MPIDI_FERRY_NEAR_MAX];
} batch_t;

static void note(batch_t *batch, int mpi_errno)
{
    if (mpi_errno != MPI_SUCCESS && batch->error == MPI_SUCCESS)
        batch->error = mpi_errno;
}

static void push(batch_t *batch, int mpi_errno, MPIR_Request *request)
{
    note(batch, mpi_errno);
    if (mpi_errno == MPI_SUCCESS && request != NULL)
        batch->requests[batch->count++] = request;
}

static void send_to(batch_t *batch, int to, const void *buffer, MPI_Aint count,
                    MPI_Datatype datatype)
{
    MPIR_Request *request = NULL;
    int mpi_errno = MPIC_Isend(buffer, count, datatype, to, batch->tag, batch->comm, &request,
                               batch->errflag);

    push(batch, mpi_errno, request);
}

static void receive_from(batch_t *batch, int from, void *buffer, MPI_Aint count,
                         MPI_Datatype datatype)
{
    MPIR_Request *request = NULL;
    int mpi_errno = MPIC_Irecv(buffer, count, datatype, from, batch->tag, batch->comm, &request);

    push(batch, mpi_errno, request);
}

/* Waits for all of them, also when one failed. Returns the first error. */
static int finish(batch_t *batch)
{
    for (int i = 0; i < batch->count; i++) {
        note(batch, MPIC_Wait(batch->requests[i], batch->errflag));
        note(batch, batch->requests[i]->status.MPI_ERROR);
        MPIR_Request_free(batch->requests[i]);
    }
    batch->count = 0;
    return batch->error;
}

static void begin(batch_t *batch, MPIR_Comm *comm, int tag, MPIR_Errflag_t *errflag)
{
    batch->comm = comm;
    batch->errflag = errflag;
    batch->tag = tag;
    batch->error = MPI_SUCCESS;
    batch->count = 0;
}

/* The members that come i after and before this one: each begins with another, so that none is asked by all at once. */
static int after(const MPIR_Comm *comm, int i)
{
    return (comm->rank + i) % comm->local_size;
}

static int before(const MPIR_Comm *comm, int i)
{
    return (comm->rank - i + comm->local_size) % comm->local_size;
}

int MPIDI_FERRY_straight_bcast(void *buffer, MPI_Aint count, MPI_Datatype datatype, int root,
                               MPIR_Comm *comm, MPIR_Errflag_t *errflag)
{
    batch_t batch;

    begin(&batch, comm, MPIR_BCAST_TAG, errflag);
    if (comm->rank != root)
        receive_from(&batch, root, buffer, count, datatype);
    else
        for (int i = 1; i < comm->local_size; i++)
            send_to(&batch, after(comm, i), buffer, count, datatype);
    return finish(&batch);
}

/* Each member sends what lies at from + i * stride to member i, and has what comes from it at the i-th place of to. Its
 * own part is copied, unless it is there. */
static int exchange(batch_t *batch, const char *from, MPI_Aint stride, MPI_Aint sendcount,
                    MPI_Datatype sendtype, char *to, MPI_Aint recvcount, MPI_Datatype recvtype)
{
    MPIR_Comm *comm = batch->comm;
    MPI_Aint extent;

    MPIR_Datatype_get_extent_macro(recvtype, extent);
    extent *= recvcount;
    for (int i = 1; i < comm->local_size; i++)
        receive_from(batch, before(comm, i), to + before(comm, i) * extent, recvcount, recvtype);
    for (int i = 1; i < comm->local_size; i++)
        send_to(batch, after(comm, i), from + after(comm, i) * stride, sendcount, sendtype);
    from += comm->rank * stride;
    to += comm->rank * extent;
    if (from != to)
        note(batch, MPIR_Localcopy(from, sendcount, sendtype, to, recvcount, recvtype));
    return finish(batch);
}

int MPIDI_FERRY_straight_allgather(const void *sendbuf, MPI_Aint sendcount, MPI_Datatype sendtype,
                                   void *recvbuf, MPI_Aint recvcount, MPI_Datatype recvtype,
                                   MPIR_Comm *comm, MPIR_Errflag_t *errflag)
{
    MPI_Aint extent;
    batch_t batch;

    if (sendbuf == MPI_IN_PLACE) {
        MPIR_Datatype_get_extent_macro(recvtype, extent);
        sendbuf = (char *) recvbuf + comm->rank * recvcount * extent;
        sendcount = recvcount;
        sendtype = recvtype;
    }
    begin(&batch, comm, MPIR_ALLGATHER_TAG, errflag);
    return exchange(&batch, sendbuf, 0, sendcount, sendtype, recvbuf, recvcount, recvtype);
}

int MPIDI_FERRY_straight_alltoall(const void *sendbuf, MPI_Aint sendcount, MPI_Datatype sendtype,
                                  void *recvbuf, MPI_Aint recvcount, MPI_Datatype recvtype,
                                  MPIR_Comm *comm, MPIR_Errflag_t *errflag)
{
    MPI_Aint extent;
    batch_t batch;

    MPIR_Datatype_get_extent_macro(sendtype, extent);
    begin(&batch, comm, MPIR_ALLTOALL_TAG, errflag);
    return exchange(&batch, sendbuf, sendcount * extent, sendcount, sendtype, recvbuf, recvcount,
                    recvtype);
}

/* ---- Reducing ---- */

/* Elements of which member i reduces those from share(i) to share(i + 1). */
static MPI_Aint share(const MPIR_Comm *comm, MPI_Aint count, int i)
{
    return count * i / comm->local_size;
}

static int reduce_turn(const char *from, char *to, MPI_Aint count, MPI_Datatype datatype, MPI_Op op,
                       batch_t *batch)
{
    MPIR_Comm *comm = batch->comm;
    MPI_Aint size = MPIR_Datatype_get_basic_size(datatype);
    MPI_Aint first = share(comm, count, comm->rank);
    MPI_Aint own = share(comm, count, comm->rank + 1) - first;
    char *scratch = MPIDI_FERRY_COMM(comm).scratch;

    for (int i = 1; i < comm->local_size; i++)
        receive_from(batch, before(comm, i), scratch + (i - 1) * own * size, own, datatype);
    for (int i = 1; i < comm->local_size; i++) {
        MPI_Aint begins = share(comm, count, after(comm, i));
        send_to(batch, after(comm, i), from + begins * size,
                share(comm, count, after(comm, i) + 1) - begins, datatype);
    }
    if (from != to)
        memcpy(to + first * size, from + first * size, own * size);
    finish(batch);
    for (int i = 1; i < comm->local_size && batch->error == MPI_SUCCESS; i++)
        note(batch, MPIR_Reduce_local(scratch + (i - 1) * own * size, to + first * size, own,
                                      datatype, op));
    for (int i = 1; i < comm->local_size; i++) {
        MPI_Aint begins = share(comm, count, before(comm, i));
        receive_from(batch, before(comm, i), to + begins * size,
                     share(comm, count, before(comm, i) + 1) - begins, datatype);
    }
    for (int i = 1; i < comm->local_size; i++)
        send_to(batch, after(comm, i), to + first * size, own, datatype);
    return finish(batch);
}

int MPIDI_FERRY_straight_allreduce(const void *sendbuf, void *recvbuf, MPI_Aint count,
                                   MPI_Datatype datatype, MPI_Op op, MPIR_Comm *comm,
                                   MPIR_Errflag_t *errflag)
{
    const char *from = sendbuf == MPI_IN_PLACE ? recvbuf : sendbuf;
    MPI_Aint size = MPIR_Datatype_get_basic_size(datatype), turn = SCRATCH / size;
    int mpi_errno = MPI_SUCCESS;
    batch_t batch;

    if (MPIDI_FERRY_COMM(comm).scratch == NULL)
        MPIDI_FERRY_COMM(comm).scratch = MPL_malloc(SCRATCH, MPL_MEM_COMM);
    MPIR_ERR_CHKANDJUMP(MPIDI_FERRY_COMM(comm).scratch == NULL, mpi_errno, MPI_ERR_OTHER,
                        "**nomem");
    begin(&batch, comm, MPIR_ALLREDUCE_TAG, errflag);
    for (MPI_Aint done = 0; done < count && mpi_errno == MPI_SUCCESS; done += turn)
        mpi_errno = reduce_turn(from + done * size, (char *) recvbuf + done * size,
                                MPL_MIN(turn, count - done), datatype, op, &batch);
    MPIR_ERR_CHECK(mpi_errno);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}
