/*
 * MPI_Init and MPI_Finalize.
 */
#include "ferry_map.h"
#include "ferry_win.h"

#include <sys/random.h>

/* What a process that leaves waits for its last messages to be taken, seconds: a pause (of a VM that
 * is migrated, say) must fit. */
#define FLUSH_NOTICE 10
#define FLUSH_MAX 120

/* For how long last words may be on their way. */
#define LAST_WORDS_NS 200000000

MPIDI_FERRY_global_t MPIDI_FERRY_global;

/* An address as it goes over PMI: of a fixed size, whatever the version. */
struct card {
    uint8_t length;
    uint8_t wants_map; /* rank 0's: whether FERRY_MAP names a file there */
    uint8_t address[126];
};

_Static_assert(sizeof(((struct card *) 0)->address) >= FERRY_ADDRESS_MAX, "an address fits");

static const char *explain(int error)
{
    switch (error) {
    case -EINVAL:
        return "a FERRY_* variable has a value that can't be used";
    case -EPROTO:
        return "the processes of this job use different versions of Ferry";
    case -ENODEV:
        return "some processes share no memory, and there is no network between them";
    case -EHOSTUNREACH:
        return "some processes of this job can't reach each other";
    default:
        return strerror(-error);
    }
}

static void peer_lost(void *user, ferry_peer_t *peer, int error, const char *why)
{
    char message[512];
    uintptr_t name = (uintptr_t) ferry_peer_user(peer);

    if (MPIDI_FERRY_global.leaving || !MPIDI_FERRY_is_connected(peer))
        return;
    if (MPIDIU_GPID_GET_AVTID(name - 1) == 0)
        snprintf(message, sizeof message, "ferry: rank %d is lost: %s",
                 (int) MPIDIU_GPID_GET_LPID(name - 1), why);
    else
        snprintf(message, sizeof message, "ferry: a process of another job is lost: %s", why);
    /* The launcher kills all as soon as it hears of an abort, and what they said is lost that is still on its way,
     * through a container's engine, say. */
    MPL_error_printf("%s\n", message);
    nanosleep(&(struct timespec){.tv_nsec = LAST_WORDS_NS}, NULL);
    MPID_Abort(MPIR_Process.comm_world, MPI_SUCCESS, 1, "a process of the job is lost");
}

/* ---- The last barrier: nobody leaves before all are through ----
 * A dissemination barrier: in round i each process tells the one 2^i ranks above. The communicators are
 * gone by now; and in the launcher's barrier all would wait for ever for one that died. */

static uint64_t last_rounds; /* a bit for each in which a word came */

static void on_last_round(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                          const void *data, size_t length, ferry_message_t *message)
{
    const uint8_t *round = header;

    if (header_length == sizeof *round && *round < 64)
        last_rounds |= UINT64_C(1) << *round;
}

static int last_barrier(void)
{
    int mpi_errno = MPI_SUCCESS;
    int size = MPIR_Process.size;
    uint8_t round = 0;

    for (int64_t step = 1; step < size; step *= 2, round++) {
        int to = (int) ((MPIR_Process.rank + step) % size);
        int ret = ferry_am_send(MPIDI_FERRY_AV(&MPIDIU_get_av(0, to)).peer, MPIDI_FERRY_AM_LAST,
                                &round, sizeof round, NULL, 0, NULL);
        MPIDI_FERRY_CHKANDJUMP(ret);
        while (!(last_rounds & UINT64_C(1) << round)) {
            MPIDI_FERRY_waits();
            mpi_errno = MPID_Progress_test(NULL);
            MPIR_ERR_CHECK(mpi_errno);
        }
    }

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* A secret that all processes of the job share. */
static int make_key(uint8_t key[FERRY_KEY_SIZE])
{
    int mpi_errno = MPI_SUCCESS;

    if (MPIR_Process.rank == 0) {
        ssize_t got;
        do
            got = getrandom(key, FERRY_KEY_SIZE, 0);
        while (got == -1 && errno == EINTR);
        MPIR_ERR_CHKANDJUMP1(got != FERRY_KEY_SIZE, mpi_errno, MPI_ERR_OTHER, "**ferryinit",
                             "**ferryinit %s", "the kernel gives no random bytes");
    }
    if (MPIR_Process.size > 1)
        mpi_errno = MPIR_pmi_bcast(key, FERRY_KEY_SIZE, MPIR_PMI_DOMAIN_ALL);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* Tells all processes of the job the address of each, and Ferry all addresses; and, from
 * rank 0, whether it wants a map. */
static int exchange(bool *wants_map)
{
    int mpi_errno = MPI_SUCCESS;
    int size = MPIR_Process.size;
    struct card *cards;

    cards = MPL_calloc(size, sizeof *cards, MPL_MEM_ADDRESS);
    MPIR_ERR_CHKANDJUMP(cards == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");

    struct card own = {0};
    own.length = (uint8_t) ferry_address(MPIDI_FERRY_global.context, own.address);
    own.wants_map = *wants_map;
    if (size > 1) {
        mpi_errno = MPIR_pmi_allgather(&own, sizeof own, cards, sizeof *cards, MPIR_PMI_DOMAIN_ALL);
        MPIR_ERR_CHECK(mpi_errno);
#ifdef USE_PMIX_API
        /* Each get waits for its one put only, and nobody may be called on before all are ready. */
        mpi_errno = MPIR_pmi_barrier();
        MPIR_ERR_CHECK(mpi_errno);
#endif
    }
    cards[MPIR_Process.rank] = own;
    *wants_map = cards[0].wants_map != 0;

    for (int rank = 0; rank < size; rank++) {
        ferry_peer_t *peer;
        int ret = ferry_peer_add(MPIDI_FERRY_global.context, cards[rank].address,
                                 cards[rank].length, NULL, &peer);
        MPIR_ERR_CHKANDJUMP1(ret < 0, mpi_errno, MPI_ERR_OTHER, "**ferryinit", "**ferryinit %s",
                             explain(ret));
        ferry_peer_set_user(peer, (void *) (uintptr_t) (MPIDIU_GPID_CREATE(0, rank) + 1));
        MPIDI_FERRY_AV(&MPIDIU_get_av(0, rank)).peer = peer;
    }

fn_exit:
    MPL_free(cards);
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_init_local(int *tag_bits)
{
    int mpi_errno = MPI_SUCCESS;

    MPIDI_FERRY_cvar_init();
    MPIDI_FERRY_pvar_init();

    /* One context serves all threads. */
    MPIDI_global.n_vcis = 1;

#ifndef MPIDI_ENABLE_AM_ONLY
    MPIDIG_am_reg_cb(MPIDIG_WIN_POST, NULL, MPIDI_FERRY_posted);
#endif

    *tag_bits = MPIDI_FERRY_TAG_BITS;
    MPIR_ERR_CHKANDJUMP1((uint64_t) MPIR_Process.size > MPIDI_FERRY_MASK(MPIDI_FERRY_RANK_BITS),
                         mpi_errno, MPI_ERR_OTHER, "**ferryinit", "**ferryinit %s",
                         "this job has more processes than Ferry can number");

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_init_world(void)
{
    int mpi_errno = MPI_SUCCESS;
    MPIDI_FERRY_global_t *global = &MPIDI_FERRY_global;
    ferry_context_t *context = NULL;
    bool threads = MPIR_ThreadInfo.thread_provided == MPI_THREAD_MULTIPLE;
    bool wants_map = MPIR_Process.rank == 0 && !MPIR_Process.has_parent;
    int ret;

    ferry_params_t params = {
        .rank = (uint32_t) MPIR_Process.rank,
        .size = (uint32_t) MPIR_Process.size,
        .unlock = threads ? MPIDI_FERRY_unlock : NULL,
        .lock = threads ? MPIDI_FERRY_lock : NULL,
        .carried_bits = MPIDI_FERRY_ERROR_MASK,
        .peer_lost = peer_lost,
    };
    mpi_errno = make_key(params.key);
    MPIR_ERR_CHECK(mpi_errno);

    ret = ferry_open(&params, &context);
    memset(params.key, 0, sizeof params.key);
    if (ret == 0)
        ret = MPIDI_FERRY_am_init(context);
    if (ret == 0)
        ret = MPIDI_FERRY_spawn_init(context);
    last_rounds = 0;
    if (ret == 0)
        ret = ferry_am_register(context, MPIDI_FERRY_AM_LAST, on_last_round);
    MPIR_ERR_CHKANDJUMP1(ret < 0, mpi_errno, MPI_ERR_OTHER, "**ferryinit", "**ferryinit %s",
                         explain(ret));
    global->leaving = false;
    global->context = context;

    wants_map = wants_map && ferry_job_wants_map();
    mpi_errno = exchange(&wants_map);
    MPIR_ERR_CHECK(mpi_errno);
    ret = ferry_settle(context);
    bool more = ret > FERRY_SETTLED;
    if (more)
        ret = ret == FERRY_SETTLE_NETWORK ? ferry_open_fabric(context)
                                          : ferry_open_reserve(context);
    MPIR_ERR_CHKANDJUMP1(ret < 0, mpi_errno, MPI_ERR_OTHER, "**ferryinit", "**ferryinit %s",
                         explain(ret));
    if (more) {
        mpi_errno = exchange(&wants_map);
        MPIR_ERR_CHECK(mpi_errno);
    }
    mpi_errno = MPIDI_FERRY_map_init(wants_map);
    MPIR_ERR_CHECK(mpi_errno);
    mpi_errno = MPIDI_FERRY_nodes_tell();
    MPIR_ERR_CHECK(mpi_errno);

fn_exit:
    return mpi_errno;
fn_fail:
    if (context != NULL)
        ferry_close(context);
    global->context = NULL;
    goto fn_exit;
}

int MPIDI_FERRY_post_init(void)
{
    return MPI_SUCCESS;
}

/* Waits until all that was sent has left. Others may need our progress for it no longer: they too
 * come here only when they have received all that was sent to them. */
static void flush(void)
{
    for (int waited = 0; waited < FLUSH_MAX; waited += FLUSH_NOTICE) {
        if (ferry_flush(MPIDI_FERRY_global.context, FLUSH_NOTICE * UINT64_C(1000000)) == 0)
            return;
        if (waited == 0)
            MPL_error_printf("ferry: rank %d is in MPI_Finalize and still has messages that nobody "
                             "takes; waits %d s more\n",
                             MPIR_Process.rank, FLUSH_MAX - FLUSH_NOTICE);
    }
    MPL_error_printf("ferry: rank %d gives up messages that nobody took\n", MPIR_Process.rank);
}

int MPIDI_FERRY_mpi_finalize_hook(void)
{
    int mpi_errno = MPI_SUCCESS;
    MPIDI_FERRY_global_t *global = &MPIDI_FERRY_global;

    if (global->context == NULL)
        goto fn_exit;

    flush();
    mpi_errno = MPIDI_FERRY_map_finalize();
    MPIR_ERR_CHECK(mpi_errno);
    mpi_errno = last_barrier();
    MPIR_ERR_CHECK(mpi_errno);
    flush();
    global->leaving = true;

    ferry_context_t *context = global->context;
    MPIDI_FERRY_pvar_keep();
    global->context = NULL;
    MPIDI_FERRY_teams_finalize();
    MPIDI_FERRY_spawn_finalize();
    MPIDI_FERRY_handles_finalize();
    ferry_close(context);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

void *MPIDI_FERRY_mpi_alloc_mem(MPI_Aint size, MPIR_Info *info)
{
    ferry_context_t *context = MPIDI_FERRY_global.context;
    void *memory = context != NULL ? ferry_alloc(context, (size_t) size) : NULL;

    return memory != NULL ? memory : MPIDIG_mpi_alloc_mem(size, info);
}

int MPIDI_FERRY_mpi_free_mem(void *memory)
{
    ferry_context_t *context = MPIDI_FERRY_global.context;

    return context != NULL && ferry_free(context, memory) ? MPI_SUCCESS
                                                          : MPIDIG_mpi_free_mem(memory);
}
