/*
 * The first messages between two jobs, by which the leaders of MPI_Comm_connect and MPI_Comm_accept find
 * each other: they go by tag alone, to whoever accepts, and can be given up.
 */
#include "ferry_impl.h"

/* No communicator has this context id. */
#define DYNAMIC_CONTEXT MPIR_INVALID_CONTEXT_ID

/* The header of the word that a message is given up. */
struct withdrawal {
    uint64_t number; /* of the message */
};

/* A message to an acceptor that its sender does not wait for any longer. */
struct withdrawn {
    struct withdrawn *next;
    ferry_peer_t *peer;
    uint64_t number;
};

static struct withdrawn *withdrawn_list;
static uint64_t next_number;

/* A message of ours; lives until both Ferry and the caller are through with it. */
struct parcel {
    ferry_request_t ferry;
    bool finished;
    bool abandoned; /* the caller went away: free it when Ferry is through */

    /* From here on it travels. The number tells messages of one process apart. */
    uint64_t number;
    char bytes[];
};

#define PARCEL_LENGTH(size) (sizeof(struct parcel) - offsetof(struct parcel, number) + (size))

static void parcel_done(ferry_request_t *ferry)
{
    struct parcel *parcel = (struct parcel *) ferry;

    parcel->finished = true;
    if (parcel->abandoned)
        MPL_free(parcel);
}

static struct parcel *new_parcel(int size)
{
    struct parcel *parcel = MPL_calloc(1, sizeof *parcel + size, MPL_MEM_OTHER);
    if (parcel != NULL)
        parcel->ferry.done = parcel_done;
    return parcel;
}

/* Progress until it is finished, or for timeout seconds (0: without end). */
static int wait_parcel(struct parcel *parcel, int timeout)
{
    int mpi_errno = MPI_SUCCESS;
    MPL_time_t start, now;
    double passed = 0;

    MPL_wtime(&start);
    while (!parcel->finished && (timeout == 0 || passed < timeout)) {
        mpi_errno = MPID_Progress_test(NULL);
        MPIR_ERR_CHECK(mpi_errno);
        MPID_THREAD_CS_YIELD(GLOBAL, MPIR_THREAD_GLOBAL_ALLFUNC_MUTEX);
        MPL_wtime(&now);
        MPL_wtime_diff(&start, &now, &passed);
    }

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* The sender of a message that nobody has received yet gave it up. */
static void withdrawn(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                      const void *data, size_t length, ferry_message_t *message)
{
    const struct withdrawal *withdrawal = header;

    struct withdrawn *new = MPL_malloc(sizeof *new, MPL_MEM_OTHER);
    if (header_length != sizeof *withdrawal || new == NULL) {
        MPL_free(new);
        return;
    }
    new->peer = peer;
    new->number = withdrawal->number;
    new->next = withdrawn_list;
    withdrawn_list = new;
}

/* Whether a message that was received had been given up. */
static bool was_withdrawn(struct parcel *parcel)
{
    for (struct withdrawn **place = &withdrawn_list; *place != NULL; place = &(*place)->next) {
        struct withdrawn *one = *place;
        if (one->peer == parcel->ferry.peer && one->number == parcel->number) {
            *place = one->next;
            MPL_free(one);
            return true;
        }
    }
    return false;
}

int MPIDI_FERRY_dynamic_send(uint64_t remote_gpid, int tag, const void *buffer, int size,
                             int timeout)
{
    int mpi_errno = MPI_SUCCESS;
    int avtid = (int) MPIDIU_GPID_GET_AVTID(remote_gpid);
    int lpid = (int) MPIDIU_GPID_GET_LPID(remote_gpid);
    ferry_peer_t *peer = MPIDI_FERRY_AV(&MPIDIU_get_av(avtid, lpid)).peer;
    struct parcel *parcel;

    parcel = new_parcel(size);
    MPIR_ERR_CHKANDJUMP(parcel == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");
    memcpy(parcel->bytes, buffer, size);

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    parcel->number = next_number++;
    int ret = ferry_send(peer, MPIDI_FERRY_match(DYNAMIC_CONTEXT, 0, tag), &parcel->number,
                         PARCEL_LENGTH(size), FERRY_SYNC, &parcel->ferry);
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    if (ret != 0) {
        parcel->finished = true;
        parcel->ferry.status = ret < 0 ? ret : 0;
    }

    mpi_errno = wait_parcel(parcel, timeout);
    bool failed = !parcel->finished || parcel->ferry.status != 0;
    if (!failed) {
        MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
        MPIDI_FERRY_met(peer);
        MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    }
    if (parcel->finished) {
        MPL_free(parcel);
    } else {
        struct withdrawal withdrawal = {.number = parcel->number};
        parcel->abandoned = true;
        MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
        ferry_am_send(peer, MPIDI_FERRY_AM_WITHDRAW, &withdrawal, sizeof withdrawal, NULL, 0, NULL);
        MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    }
    MPIR_ERR_CHECK(mpi_errno);
    if (failed && MPIR_Process.has_parent && MPIR_Process.comm_parent == NULL)
        /* MPI_Init does not look whether there is a parent. */
        MPID_Abort(MPIR_Process.comm_world, MPI_SUCCESS, 1,
                   "ferry: the process that spawned this one can't be reached");
    MPIR_ERR_CHKANDJUMP(failed, mpi_errno, MPI_ERR_PORT, "**comm_connect_fail");

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_dynamic_recv(int tag, void *buffer, int size, int timeout)
{
    int mpi_errno = MPI_SUCCESS;
    struct parcel *parcel;
    int ret;

again:
    parcel = new_parcel(size);
    MPIR_ERR_CHKANDJUMP(parcel == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    ret = ferry_recv(MPIDI_FERRY_global.context, MPIDI_FERRY_match(DYNAMIC_CONTEXT, 0, tag), 0,
                     &parcel->number, PARCEL_LENGTH(size), &parcel->ferry);
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    if (ret != 0) {
        parcel->finished = true;
        parcel->ferry.status = ret < 0 ? ret : parcel->ferry.status;
    }

    mpi_errno = wait_parcel(parcel, timeout);
    if (!parcel->finished) {
        MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
        if (ferry_cancel(MPIDI_FERRY_global.context, &parcel->ferry) == 0)
            MPL_free(parcel);
        else
            parcel->abandoned = true;
        MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
        MPIR_ERR_CHECK(mpi_errno);
        MPIR_ERR_SETANDJUMP(mpi_errno, MPI_ERR_PORT, "**comm_connect_fail");
    }

    /* That it was given up may have arrived behind it. */
    if (mpi_errno == MPI_SUCCESS)
        mpi_errno = MPID_Progress_test(NULL);
    bool failed = parcel->ferry.status != 0 || parcel->ferry.length < PARCEL_LENGTH(0);
    bool stale = !failed && was_withdrawn(parcel);
    memcpy(buffer, parcel->bytes, size);
    MPL_free(parcel);
    MPIR_ERR_CHECK(mpi_errno);
    if (stale)
        goto again;
    MPIR_ERR_CHKANDJUMP(failed, mpi_errno, MPI_ERR_PORT, "**comm_connect_fail");

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_first_init(ferry_context_t *context)
{
    withdrawn_list = NULL;
    return ferry_am_register(context, MPIDI_FERRY_AM_WITHDRAW, withdrawn);
}

void MPIDI_FERRY_first_finalize(void)
{
    while (withdrawn_list != NULL) {
        struct withdrawn *one = withdrawn_list;
        withdrawn_list = one->next;
        MPL_free(one);
    }
}
