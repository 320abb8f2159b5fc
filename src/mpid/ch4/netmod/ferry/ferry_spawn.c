/*
 * Processes of other jobs: MPI_Open_port, MPI_Comm_accept, MPI_Comm_connect, MPI_Comm_spawn.
 *
 * MPICH names a process by a upid, a string of bytes. Ferry's is the process's address with a key of
 * that process behind it, an invitation: who has the upid may connect. A port name holds one, with a
 * key that holds for this port until it is closed. When two groups of processes come together, the
 * leader of each tells the other the upids of its group; it asks each process for its own, because
 * only that one can invite.
 */
#include "ferry_impl.h"

#define UPID_MAX (FERRY_ADDRESS_MAX + FERRY_KEY_SIZE)

struct upid {
    int length;
    uint8_t bytes[UPID_MAX];
};

/* The header of a question for a name. */
struct question {
    uint64_t number; /* given back in the answer */
};

struct answer {
    uint64_t number;
    uint8_t upid[UPID_MAX]; /* to the end of the header */
};

/* A process that asked, and is answered outside of Ferry's progress. */
struct asker {
    struct asker *next;
    ferry_peer_t *peer;
    uint64_t number;
};

/* What a thread of this process asked for: questions are numbered, answers come in any order. */
struct asking {
    struct asking *next;
    uint64_t first_number;
    int count;
    int missing;
    struct upid *upids;
};

/* The leader of another job, as long as no message was exchanged with it: that it can't be reached is
 * no reason to end this job. */
struct unmet {
    struct unmet *next;
    ferry_peer_t *peer;
};

static struct {
    bool network_tried;
    bool invited;
    uint8_t key[FERRY_KEY_SIZE];

    struct asker *askers;
    struct asking *askings;
    uint64_t next_number;

    struct unmet *unmet;
} dynamic;

/* ---- Names ---- */

/* Others may be anywhere. Where there is no network (which is reported once), those that share memory
 * still meet. */
static void open_network(void)
{
    if (!dynamic.network_tried)
        ferry_open_fabric(MPIDI_FERRY_global.context);
    dynamic.network_tried = true;
}

static int own_upid(struct upid *upid)
{
    int mpi_errno = MPI_SUCCESS;
    ferry_context_t *context = MPIDI_FERRY_global.context;
    int ret;

    open_network();
    if (!dynamic.invited) {
        ret = ferry_invite(context, dynamic.key);
        MPIDI_FERRY_CHKANDJUMP(ret);
        dynamic.invited = true;
    }
    upid->length = ferry_address(context, upid->bytes);
    memcpy(upid->bytes + upid->length, dynamic.key, FERRY_KEY_SIZE);
    upid->length += FERRY_KEY_SIZE;

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* ---- Ports ---- */

int MPIDI_FERRY_port_opens(void *upid, int length)
{
    int mpi_errno = MPI_SUCCESS;

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    int ret = ferry_invite(MPIDI_FERRY_global.context, (uint8_t *) upid + length - FERRY_KEY_SIZE);
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    MPIDI_FERRY_CHKANDJUMP(ret);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

void MPIDI_FERRY_port_closes(const void *upid, int length)
{
    if (length <= FERRY_KEY_SIZE)
        return;
    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    ferry_withdraw(MPIDI_FERRY_global.context, (const uint8_t *) upid + length - FERRY_KEY_SIZE);
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
}

/* ---- Who is known ---- */

static void add_unmet(ferry_peer_t *peer)
{
    struct unmet *unmet = MPL_malloc(sizeof *unmet, MPL_MEM_OTHER);

    if (unmet == NULL)
        return;
    unmet->peer = peer;
    unmet->next = dynamic.unmet;
    dynamic.unmet = unmet;
}

static struct unmet **find_unmet(ferry_peer_t *peer)
{
    struct unmet **place = &dynamic.unmet;

    while (*place != NULL && (*place)->peer != peer)
        place = &(*place)->next;
    return place;
}

void MPIDI_FERRY_met(ferry_peer_t *peer)
{
    struct unmet **place = find_unmet(peer);
    struct unmet *unmet = *place;

    if (unmet != NULL)
        *place = unmet->next;
    MPL_free(unmet);
}

/* The name by which MPICH knows a peer, if it (still) knows it. */
static bool known_gpid(ferry_peer_t *peer, uint64_t *gpid)
{
    uintptr_t name = (uintptr_t) ferry_peer_user(peer);
    if (name == 0)
        return false;

    *gpid = (uint64_t) name - 1;
    int avtid = (int) MPIDIU_GPID_GET_AVTID(*gpid);
    int lpid = (int) MPIDIU_GPID_GET_LPID(*gpid);
    return avtid < MPIDIU_get_n_avts() && MPIDIU_get_av_table(avtid) != NULL &&
           lpid < MPIDIU_get_av_table(avtid)->size &&
           MPIDI_FERRY_AV(&MPIDIU_get_av(avtid, lpid)).peer == peer;
}

bool MPIDI_FERRY_is_connected(ferry_peer_t *peer)
{
    uint64_t gpid;
    return known_gpid(peer, &gpid) && *find_unmet(peer) == NULL;
}

int MPIDI_FERRY_upids_to_gpids(int size, int *remote_upid_size, char *remote_upids,
                               uint64_t *remote_gpids)
{
    int mpi_errno = MPI_SUCCESS;
    const uint8_t *upid = (const uint8_t *) remote_upids;
    ferry_peer_t **strangers = NULL;
    int stranger_count = 0;

    /* The caller may not look at what we return. */
    memset(remote_gpids, 0, size * sizeof *remote_gpids);

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    strangers = MPL_calloc(size, sizeof *strangers, MPL_MEM_ADDRESS);
    MPIR_ERR_CHKANDJUMP(strangers == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");

    open_network();
    for (int i = 0; i < size; i++) {
        int length = remote_upid_size[i];
        MPIR_ERR_CHKANDJUMP(length <= FERRY_KEY_SIZE || length > UPID_MAX, mpi_errno, MPI_ERR_PORT,
                            "**ferryport");
        length -= FERRY_KEY_SIZE;
        ferry_peer_t *peer;
        int ret = ferry_peer_add(MPIDI_FERRY_global.context, upid, length, upid + length, &peer);
        MPIR_ERR_CHKANDJUMP(ret == -EINVAL, mpi_errno, MPI_ERR_PORT, "**ferryport");
        MPIDI_FERRY_CHKANDJUMP(ret);
        if (!known_gpid(peer, &remote_gpids[i])) {
            strangers[i] = peer;
            stranger_count++;
        }
        upid += remote_upid_size[i];
    }

    if (stranger_count > 0) {
        int avtid;
        mpi_errno = MPIDIU_new_avt(stranger_count, &avtid);
        MPIR_ERR_CHECK(mpi_errno);
        for (int i = 0, lpid = 0; i < size; i++) {
            if (strangers[i] == NULL)
                continue;
            remote_gpids[i] = MPIDIU_GPID_CREATE(avtid, lpid);
            MPIDI_FERRY_AV(&MPIDIU_get_av(avtid, lpid)).peer = strangers[i];
            ferry_peer_set_user(strangers[i], (void *) (uintptr_t) (remote_gpids[i] + 1));
            if (size == 1) /* a leader; the others' names come from one that was met */
                add_unmet(strangers[i]);
            lpid++;
        }
    }

fn_exit:
    MPL_free(strangers);
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* ---- Asking for names ---- */

static void asked(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                  const void *data, size_t length, ferry_message_t *message)
{
    const struct question *question = header;

    struct asker *asker = MPL_malloc(sizeof *asker, MPL_MEM_OTHER);
    if (header_length != sizeof *question || asker == NULL) {
        MPL_free(asker);
        return;
    }
    asker->peer = peer;
    asker->number = question->number;
    asker->next = dynamic.askers;
    dynamic.askers = asker;
    MPIDI_FERRY_global.work = true;
}

static void told(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                 const void *data, size_t length, ferry_message_t *message)
{
    const struct answer *answer = header;
    struct asking *asking = dynamic.askings;

    if (header_length <= offsetof(struct answer, upid) || header_length > sizeof *answer)
        return;
    while (asking != NULL && answer->number - asking->first_number >= (uint64_t) asking->count)
        asking = asking->next;
    if (asking == NULL)
        return;
    struct upid *upid = &asking->upids[answer->number - asking->first_number];
    if (upid->length != 0)
        return;
    upid->length = (int) (header_length - offsetof(struct answer, upid));
    memcpy(upid->bytes, answer->upid, upid->length);
    asking->missing--;
}

/* Answers those who asked. Called outside of Ferry's progress, with the lock held. */
int MPIDI_FERRY_spawn_work(void)
{
    int mpi_errno = MPI_SUCCESS;

    while (dynamic.askers != NULL) {
        struct asker asker = *dynamic.askers;
        MPL_free(dynamic.askers);
        dynamic.askers = asker.next;

        struct upid upid;
        mpi_errno = own_upid(&upid);
        MPIR_ERR_CHECK(mpi_errno);
        struct answer answer = {.number = asker.number};
        memcpy(answer.upid, upid.bytes, upid.length);
        int ret = ferry_am_send(asker.peer, MPIDI_FERRY_AM_UPID_TELL, &answer,
                                offsetof(struct answer, upid) + upid.length, NULL, 0, NULL);
        MPIDI_FERRY_CHKANDJUMP(ret);
    }

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* Asks every process of a group; upids are zero at first. */
static int ask(MPIR_Comm *comm, struct upid *upids)
{
    int mpi_errno = MPI_SUCCESS;
    int size = comm->local_size;
    ferry_peer_t *self = MPIDI_FERRY_AV(&MPIDIU_get_av(0, MPIR_Process.rank)).peer;
    struct asking asking = {.count = size, .missing = size, .upids = upids};

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    asking.first_number = dynamic.next_number;
    dynamic.next_number += size;
    asking.next = dynamic.askings;
    dynamic.askings = &asking;
    for (int i = 0; i < size && mpi_errno == MPI_SUCCESS; i++) {
        ferry_peer_t *peer = MPIDI_FERRY_peer(comm, i);
        if (peer == self) {
            mpi_errno = own_upid(&upids[i]);
            asking.missing--;
        } else {
            struct question question = {.number = asking.first_number + i};
            int ret = ferry_am_send(peer, MPIDI_FERRY_AM_UPID_ASK, &question, sizeof question, NULL,
                                    0, NULL);
            if (ret < 0)
                mpi_errno = MPIDI_FERRY_error(ret, __func__, __LINE__);
        }
    }
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);

    while (mpi_errno == MPI_SUCCESS && asking.missing > 0) {
        mpi_errno = MPID_Progress_test(NULL);
        MPID_THREAD_CS_YIELD(GLOBAL, MPIR_THREAD_GLOBAL_ALLFUNC_MUTEX);
    }

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    struct asking **place = &dynamic.askings;
    while (*place != &asking)
        place = &(*place)->next;
    *place = asking.next;
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    return mpi_errno;
}

int MPIDI_FERRY_get_local_upids(MPIR_Comm *comm, int **local_upid_size, char **local_upids)
{
    int mpi_errno = MPI_SUCCESS;
    int size = comm->local_size;
    struct upid *upids;

    *local_upid_size = NULL;
    *local_upids = NULL;
    upids = MPL_calloc(size, sizeof *upids, MPL_MEM_ADDRESS);
    MPIR_ERR_CHKANDJUMP(upids == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");
    mpi_errno = ask(comm, upids);
    MPIR_ERR_CHECK(mpi_errno);

    size_t total = 0;
    for (int i = 0; i < size; i++)
        total += upids[i].length;
    *local_upid_size = MPL_malloc(size * sizeof(int), MPL_MEM_ADDRESS);
    *local_upids = MPL_malloc(total, MPL_MEM_ADDRESS);
    MPIR_ERR_CHKANDJUMP(*local_upid_size == NULL || *local_upids == NULL, mpi_errno, MPI_ERR_OTHER,
                        "**nomem");
    char *to = *local_upids;
    for (int i = 0; i < size; i++) {
        (*local_upid_size)[i] = upids[i].length;
        memcpy(to, upids[i].bytes, upids[i].length);
        to += upids[i].length;
    }

fn_exit:
    MPL_free(upids);
    return mpi_errno;
fn_fail:
    MPL_free(*local_upid_size);
    MPL_free(*local_upids);
    *local_upid_size = NULL;
    *local_upids = NULL;
    goto fn_exit;
}

/* ---- Beginning and end ---- */

int MPIDI_FERRY_spawn_init(ferry_context_t *context)
{
    memset(&dynamic, 0, sizeof dynamic);
    int ret = ferry_am_register(context, MPIDI_FERRY_AM_UPID_ASK, asked);
    if (ret == 0)
        ret = ferry_am_register(context, MPIDI_FERRY_AM_UPID_TELL, told);
    if (ret == 0)
        ret = MPIDI_FERRY_first_init(context);
    return ret;
}

void MPIDI_FERRY_spawn_finalize(void)
{
    while (dynamic.askers != NULL) {
        struct asker *asker = dynamic.askers;
        dynamic.askers = asker->next;
        MPL_free(asker);
    }
    MPIDI_FERRY_first_finalize();
    while (dynamic.unmet != NULL)
        MPIDI_FERRY_met(dynamic.unmet->peer);
    memset(&dynamic, 0, sizeof dynamic);
}
