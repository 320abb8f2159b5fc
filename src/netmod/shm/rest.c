/*
 * Waiting: which processes share processors with this one, and sleep until a message comes.
 */
#include "clock.h"
#include "shm.h"

/* Whether the processes that share processors with a member are more than those processors. As all
 * judge by what was said on the board, they know it of each other. */
static bool is_crowded(struct ferry_shm *shm, uint32_t member)
{
    const ferry_params_t *params = ferry_core_params(shm->base.context);
    cpu_set_t own, other, common, all;
    unsigned sharing = 0;

    ferry_board_cpus(*ferry_peer_slot(shm->peers[member]), member, &own);
    all = own;
    for (uint32_t rank = 0; rank < params->size; rank++) {
        if (!shm->peers[rank])
            continue;
        ferry_board_cpus(*ferry_peer_slot(shm->peers[rank]), rank, &other);
        CPU_AND(&common, &own, &other);
        if (CPU_COUNT(&common) == 0)
            continue;
        CPU_OR(&all, &all, &other);
        sharing++;
    }
    return sharing > (unsigned) CPU_COUNT(&all);
}

bool ferry_shm_needs_fence(struct ferry_shm *shm, uint32_t rank)
{
    /* In a crowd sleep is frequent, and the other kind of fence dear. */
    return is_crowded(shm, rank) ||
           ferry_board_needs_fence(*ferry_peer_slot(shm->peers[rank]), rank);
}

/* How many of the processes that are reached share a quota of processor time with this one, and itself. */
static uint32_t in_quota(struct ferry_shm *shm, uint32_t own_rank)
{
    struct ferry_quota own = ferry_board_quota(*ferry_peer_slot(shm->peers[own_rank]), own_rank);
    uint32_t size = ferry_core_params(shm->base.context)->size, count = 0;

    for (uint32_t rank = 0; rank < size; rank++)
        if (shm->peers[rank]) {
            struct ferry_quota other = ferry_board_quota(*ferry_peer_slot(shm->peers[rank]), rank);

            count += other.milli && other.group == own.group;
        }
    return count;
}

void ferry_shm_find_neighbours(struct ferry_shm *shm, uint32_t own_rank)
{
    uint32_t size = ferry_core_params(shm->base.context)->size;
    cpu_set_t own, all;

    ferry_board_cpus(*ferry_peer_slot(shm->peers[own_rank]), own_rank, &own);
    all = own;
    for (unsigned i = 0; i < shm->board_count; i++)
        for (uint32_t rank = 0; rank < size; rank++) {
            struct ferry_shm_board *board = &shm->boards[i];
            cpu_set_t other, common;

            if (!shm->peers[rank] || *ferry_peer_slot(shm->peers[rank]) != board->board)
                continue;
            ferry_board_cpus(board->board, rank, &other);
            CPU_AND(&common, &own, &other);
            if (CPU_COUNT(&common) == 0)
                continue;
            CPU_OR(&all, &all, &other);
            shm->neighbours++;
            if (rank != own_rank)
                board->neighbours[rank / 64] |= (uint64_t) 1 << rank % 64;
        }
    shm->processors = (uint32_t) CPU_COUNT(&all);
    shm->is_crowded = shm->neighbours > shm->processors;
    ferry_core_shares(shm->base.context, shm->is_crowded, in_quota(shm, own_rank));
}

/* Whether something waits for room in its ring. */
static bool is_full(const struct ferry_shm_endpoint *endpoint)
{
    return endpoint->writing && (endpoint->base.core.first || endpoint->base.core.streams);
}

/* Readers are told who sleeps until they make room. */
static void want_room(struct ferry_shm *shm, bool on)
{
    for (uint32_t i = 0; i < shm->endpoint_count; i++)
        if (is_full(shm->endpoints[i]))
            ferry_ring_want(&shm->endpoints[i]->tx, on);
}

static bool got_room(struct ferry_shm *shm)
{
    for (uint32_t i = 0; i < shm->endpoint_count; i++) {
        struct ferry_shm_endpoint *endpoint = shm->endpoints[i];

        if (is_full(endpoint) && ferry_ring_has_slot(&endpoint->tx) &&
            ferry_ring_has_bytes(&endpoint->tx, endpoint->base.chunk))
            return true;
    }
    return false;
}

/* Whether there is anything to do, without doing it. */
static bool has_work(struct ferry_shm *shm)
{
    const uint8_t *payload;
    struct ferry_head head;

    for (uint32_t i = 0; i < shm->reader_count; i++)
        if (shm->readers[i]->reading && ferry_ring_peek(&shm->readers[i]->rx, &head, &payload))
            return true;
    for (unsigned i = 0; i < shm->board_count; i++)
        if (ferry_board_knocks(shm->boards[i].board) != shm->boards[i].knocks)
            return true;
    return got_room(shm);
}

/* On several boards, one can't be woken by all; and without the fence that others rely on, by none. */
#define SEVERAL_BOARDS_US 1000
#define UNFENCED_US 100

static void get_up(struct ferry_shm *shm, bool to_work)
{
    for (unsigned i = 0; i < shm->board_count; i++)
        ferry_board_get_up(shm->boards[i].board, to_work);
}

void ferry_shm_sleep(struct ferry_transport *transport, unsigned microseconds)
{
    struct ferry_shm *shm = ferry_shm_of(transport);

    want_room(shm, true);
    if (shm->board_count > 1 && microseconds > SEVERAL_BOARDS_US)
        microseconds = SEVERAL_BOARDS_US;
    for (unsigned i = 0; i < shm->board_count; i++)
        if (!ferry_board_lie_down(shm->boards[i].board, !shm->is_crowded) &&
            microseconds > UNFENCED_US)
            microseconds = UNFENCED_US;
    shm->sleepers++;
    if (!ferry_core_falls_asleep(transport->context) && !has_work(shm)) {
        bool released = ferry_core_release(transport->context, &microseconds);

        ferry_board_sleep(shm->boards[0].board, microseconds);
        if (released)
            ferry_core_acquire(transport->context);
    }
    if (--shm->sleepers == 0) {
        get_up(shm, has_work(shm));
        want_room(shm, false);
    }
}

void ferry_shm_rouse(struct ferry_transport *transport)
{
    struct ferry_shm *shm = ferry_shm_of(transport);

    ferry_board_wake(shm->boards[0].board, ferry_core_params(transport->context)->rank);
}

bool ferry_shm_crowded(struct ferry_transport *transport)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
    uint32_t awake = shm->neighbours;

    for (unsigned i = 0; i < shm->board_count; i++)
        awake -= ferry_board_resting(shm->boards[i].board, shm->boards[i].neighbours);
    /* Processes may rest elsewhere, too: in a read(), say. */
    if (awake > shm->processors &&
        !ferry_processors_free(&shm->load, shm->processors, ferry_now_ns()))
        return true;
    if (!shm->sleepers)
        get_up(shm, true);
    return false;
}
