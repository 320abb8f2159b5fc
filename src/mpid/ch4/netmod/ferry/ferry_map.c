/*
 * The map of the job, in MPI_Finalize: each rank tells rank 0 where it sits and what it sent, and rank 0 draws.
 */
#include "ferry_map.h"

/* More than any rank tells. */
#define TOLD_MAX (4 << 20)

/* What is on its way: to rank 0, or in rank 0, from one rank. */
struct told {
    ferry_request_t request;
    char *text; /* NULL: nothing that is of use */
    size_t length;
    bool done;
};

static bool is_wanted;
static struct told *all; /* in rank 0, by rank */

static void on_done(ferry_request_t *request)
{
    struct told *told = MPL_container_of(request, struct told, request);

    told->done = true;
}

static void on_dropped(ferry_request_t *request)
{
    MPL_free(request);
}

static void drop(ferry_message_t *message)
{
    ferry_request_t *request = MPL_calloc(1, sizeof *request, MPL_MEM_OTHER);

    if (request == NULL)
        return;
    request->done = on_dropped;
    if (ferry_message_recv(message, NULL, 0, request) != 0)
        MPL_free(request);
}

/* The place for what a rank tells; NULL: it has told already, or is none of ours. */
static struct told *place_of(ferry_peer_t *peer)
{
    uintptr_t name = (uintptr_t) ferry_peer_user(peer);
    struct told *told;

    if (name == 0 || MPIDIU_GPID_GET_AVTID(name - 1) != 0)
        return NULL;
    told = &all[MPIDIU_GPID_GET_LPID(name - 1)];
    return told->done || told->text != NULL ? NULL : told;
}

/* May come before rank 0 is in MPI_Finalize. */
static void on_told(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                    const void *data, size_t length, ferry_message_t *message)
{
    struct told *told = place_of(peer);

    if (told != NULL && length <= TOLD_MAX)
        told->text = MPL_malloc(length + 1, MPL_MEM_OTHER);
    if (told == NULL || told->text == NULL) {
        if (told != NULL)
            told->done = true;
        if (message != NULL)
            drop(message);
        return;
    }
    told->length = length;
    told->request.done = on_done;
    if (message == NULL) {
        memcpy(told->text, data, length);
        told->done = true;
    } else {
        told->done = ferry_message_recv(message, told->text, length, &told->request) != 0;
    }
}

int MPIDI_FERRY_map_init(bool wanted)
{
    int mpi_errno = MPI_SUCCESS;
    int ret;

    is_wanted = wanted;
    if (!wanted || MPIR_Process.rank != 0)
        goto fn_exit;
    all = MPL_calloc(MPIR_Process.size, sizeof *all, MPL_MEM_OTHER);
    MPIR_ERR_CHKANDJUMP(all == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");
    ret = ferry_am_register(MPIDI_FERRY_global.context, MPIDI_FERRY_AM_MAP, on_told);
    MPIDI_FERRY_CHKANDJUMP(ret);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

static int tell(void)
{
    int mpi_errno = MPI_SUCCESS;
    struct told own = {.request = {.done = on_done}};
    int ret;

    own.text = ferry_job_entry(MPIDI_FERRY_global.context, &own.length);
    if (own.text == NULL)
        own.length = 0;
    ret = ferry_am_send(MPIDI_FERRY_AV(&MPIDIU_get_av(0, 0)).peer, MPIDI_FERRY_AM_MAP, NULL, 0,
                        own.text, own.length, &own.request);
    MPIDI_FERRY_CHKANDJUMP(ret);
    own.done |= ret == 1;
    MPIDIU_PROGRESS_WHILE(!own.done, 0);

fn_exit:
    MPL_external_free(own.text);
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* Rank 0's own is libferry's memory, that of others MPICH's. */
static int draw(void)
{
    int mpi_errno = MPI_SUCCESS;
    uint32_t count = (uint32_t) MPIR_Process.size;
    char **texts = MPL_calloc(count, sizeof *texts, MPL_MEM_OTHER);
    size_t *lengths = MPL_calloc(count, sizeof *lengths, MPL_MEM_OTHER);

    for (uint32_t i = 1; i < count; i++)
        MPIDIU_PROGRESS_WHILE(!all[i].done, 0);
    if (texts == NULL || lengths == NULL)
        goto fn_exit;
    texts[0] = ferry_job_entry(MPIDI_FERRY_global.context, &lengths[0]);
    for (uint32_t i = 1; i < count; i++) {
        texts[i] = all[i].text;
        lengths[i] = all[i].length;
    }
    ferry_job_draw(texts, lengths, count);
    MPL_external_free(texts[0]);

fn_exit:
    for (uint32_t i = 1; i < count; i++)
        MPL_free(all[i].text);
    MPL_free(all);
    all = NULL;
    MPL_free(texts);
    MPL_free(lengths);
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_map_finalize(void)
{
    if (!is_wanted)
        return MPI_SUCCESS;
    return MPIR_Process.rank == 0 ? draw() : tell();
}
