/*
 * The shared-memory transport: which boards there are, who is met on which, and the rings.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "host.h"
#include "log.h"
#include "shm.h"

/* ---- Opening ---- */

static void shm_close(struct ferry_transport *transport);

static void leave_board(struct ferry_shm_board *board)
{
    ferry_board_leave(board->board);
    free(board->attached);
    free(board->neighbours);
    *board = (struct ferry_shm_board){0};
}

/* So many rings a process can always make. */
#define SPARES_MAX 32u

static void join_boards(struct ferry_shm *shm)
{
    const ferry_params_t *params = ferry_core_params(shm->base.context);
    struct ferry_board_params board = {.key = params->key,
                                       .nonce = ferry_core_nonce(shm->base.context),
                                       .rank = params->rank,
                                       .size = params->size,
                                       .quota = ferry_core_quota(shm->base.context),
                                       .spares = params->size < SPARES_MAX ? params->size
                                                                           : SPARES_MAX,
                                       .spare_length = FERRY_SHM_LEAST,
                                       .probe = shm->probe};

    for (unsigned i = 0; i < shm->place_count; i++) {
        struct ferry_shm_board *entry = &shm->boards[shm->board_count];

        entry->board = ferry_board_join(&shm->places[i], i, &board);
        if (!entry->board)
            continue;
        entry->attached = calloc(params->size, 1);
        entry->neighbours = calloc(FERRY_BOARD_SET(params->size), sizeof(*entry->neighbours));
        if (entry->attached && entry->neighbours)
            shm->board_count++;
        else
            leave_board(entry);
    }
}

static int shm_open(ferry_context_t *context, struct ferry_transport **out)
{
    uint32_t size = ferry_core_params(context)->size;
    struct ferry_shm *shm = calloc(1, sizeof(*shm));

    if (!shm)
        return -ENOMEM;
    shm->base = (struct ferry_transport){.ops = &ferry_shm_ops, .context = context};
    shm->peers = calloc(size, sizeof(*shm->peers));
    shm->endpoints = calloc(size, sizeof(*shm->endpoints));
    shm->readers = calloc(size, sizeof(*shm->readers));
    shm->far = calloc(size, sizeof(*shm->far));
    shm->token = ferry_host_show(ferry_core_nonce(context));
    if (!shm->peers || !shm->endpoints || !shm->readers || !shm->far) {
        shm_close(&shm->base);
        return -ENOMEM;
    }
    ferry_random(shm->probe, sizeof(shm->probe));
    shm->place_count = ferry_places_open(shm->places);
    ferry_boards_lock_again();
    join_boards(shm);
    if (!shm->board_count)
        ferry_log(
            FERRY_LOG_WARN,
            "no memory can be shared here, so all messages take the network, which is slower: no "
            "directory of FERRY_DIR (%s) can be used with FERRY_SEGMENT=%s; FERRY_LOG=debug says "
            "why",
            ferry_config()->dir, ferry_config()->segment);
    *out = &shm->base;
    return 0;
}

static void shm_close(struct ferry_transport *transport)
{
    struct ferry_shm *shm = ferry_shm_of(transport);

    for (uint32_t i = 0; i < shm->endpoint_count; i++)
        ferry_shm_free(shm->endpoints[i]);
    for (unsigned i = 0; i < shm->board_count; i++)
        leave_board(&shm->boards[i]);
    ferry_places_close(shm->places, shm->place_count);
    if (shm->token >= 0)
        close(shm->token);
    free(shm->far);
    free(shm->peers);
    free(shm->endpoints);
    free(shm->readers);
    free(shm);
}

/* ---- Addresses: the ids of the boards one is a member of ---- */

static size_t shm_address(struct ferry_transport *transport, void *part, size_t room)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
    uint32_t ids[FERRY_PLACES_MAX];
    size_t length = shm->board_count * sizeof(ids[0]);

    for (unsigned i = 0; i < shm->board_count; i++)
        ids[i] = ferry_board_id(shm->boards[i].board);
    if (length > room)
        length = room & ~(sizeof(ids[0]) - 1);
    memcpy(part, ids, length);
    return length;
}

/* Keeps of the common boards those that this peer names, too. */
static void intersect(struct ferry_shm *shm, const uint32_t *ids, size_t count)
{
    unsigned kept = 0;

    if (shm->seen++ == 0) {
        shm->common_count = (unsigned) count;
        memcpy(shm->common, ids, count * sizeof(*ids));
        return;
    }
    for (unsigned i = 0; i < shm->common_count; i++)
        for (size_t k = 0; k < count; k++)
            if (shm->common[i] == ids[k]) {
                shm->common[kept++] = shm->common[i];
                break;
            }
    shm->common_count = kept;
}

/* The board to meet a process at: the node's for processes of the node; else of those that both are members of the
 * one with the most members, so that few are used, and of these the better. Both sides judge by the same. */
static struct ferry_shm_board *choose(struct ferry_shm *shm, ferry_peer_t *peer)
{
    uint32_t rank = (uint32_t) ferry_peer_rank(peer);
    struct ferry_shm_board *best = NULL;

    for (unsigned i = 0; i < shm->board_count; i++) {
        struct ferry_shm_board *board = &shm->boards[i];

        if (!ferry_board_has(board->board, rank, ferry_peer_nonce(peer)))
            continue;
        if (board->board == shm->node && ferry_shm_is_of_node(shm, peer))
            return board;
        if (!best || board->members > best->members ||
            (board->members == best->members &&
             ferry_board_id(board->board) < ferry_board_id(best->board)))
            best = board;
    }
    return best;
}

static void count_member(struct ferry_shm *shm, const uint32_t *ids, size_t count)
{
    for (unsigned i = 0; i < shm->board_count; i++)
        for (size_t k = 0; k < count; k++)
            shm->boards[i].members += ferry_board_id(shm->boards[i].board) == ids[k];
}

static bool shm_reach(struct ferry_transport *transport, ferry_peer_t *peer, const void *part,
                      size_t length)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
    size_t count = length / sizeof(uint32_t);
    uint32_t ids[FERRY_PLACES_MAX];
    int rank = ferry_peer_rank(peer);

    if (rank < 0 || count > FERRY_PLACES_MAX)
        return false;
    memcpy(ids, part, count * sizeof(ids[0]));
    intersect(shm, ids, count);
    count_member(shm, ids, count);
    if (!choose(shm, peer)) {
        if (shm->far_count < ferry_core_params(transport->context)->size)
            shm->far[shm->far_count++] = peer;
        return false;
    }
    shm->peers[rank] = peer;
    return true;
}

static bool shm_reaches_all(struct ferry_transport *transport)
{
    struct ferry_shm *shm = ferry_shm_of(transport);

    return shm->common_count > 0 && shm->seen >= ferry_core_params(transport->context)->size;
}

/* Says how processes of this host that share no memory could do so; once for all that do share. */
static void advise(struct ferry_shm *shm)
{
    uint32_t size = ferry_core_params(shm->base.context)->size;
    const uint8_t **nonces = calloc(size, sizeof(*nonces));
    bool *here = calloc(size, sizeof(*here));
    int lowest_near = (int) size, lowest_far = (int) size;
    unsigned count = 0;

    for (uint32_t rank = 0; rank < size && lowest_near == (int) size; rank++)
        if (shm->peers[rank])
            lowest_near = (int) rank;
    if (nonces && here) {
        for (uint32_t i = 0; i < shm->far_count; i++)
            nonces[i] = ferry_peer_nonce(shm->far[i]);
        count = ferry_host_look(nonces, shm->far_count, here);
        for (uint32_t i = 0; i < shm->far_count; i++)
            if (here[i] && ferry_peer_rank(shm->far[i]) < lowest_far)
                lowest_far = ferry_peer_rank(shm->far[i]);
    }
    if (count && lowest_near < lowest_far &&
        lowest_near == (int) ferry_core_params(shm->base.context)->rank)
        ferry_log(
            FERRY_LOG_WARN,
            "%u of the job's processes, process %d first, share this host with this one, but no "
            "memory: their messages take a slower way. Mount one directory, such as /run/ferry, "
            "into all containers of the job to change that",
            count, lowest_far);
    free(nonces);
    free(here);
}

static void choose_all(struct ferry_shm *shm)
{
    const ferry_params_t *params = ferry_core_params(shm->base.context);

    for (uint32_t rank = 0; rank < params->size; rank++) {
        struct ferry_shm_board *board = shm->peers[rank] ? choose(shm, shm->peers[rank]) : NULL;

        if (!board)
            continue;
        board->used = true;
        shm->base.sleeps = shm->base.sleeps || rank != params->rank || params->unlock;
        /* A ring of this peer may have been announced before the peer was known here. */
        board->knocks = ferry_board_knocks(board->board) - 1;
        *ferry_peer_slot(shm->peers[rank]) = board->board;
    }
}

/* Leaves the boards on which nobody is met. The node's is the first then: there the process sleeps. */
static void leave_others(struct ferry_shm *shm)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < shm->board_count; i++) {
        ferry_board_settle(shm->boards[i].board);
        if (shm->boards[i].used || shm->boards[i].board == shm->node)
            shm->boards[kept++] = shm->boards[i];
        else
            leave_board(&shm->boards[i]);
    }
    shm->board_count = kept;
    for (unsigned i = 1; i < kept; i++)
        if (shm->boards[i].board == shm->node) {
            struct ferry_shm_board first = shm->boards[i];

            shm->boards[i] = shm->boards[0];
            shm->boards[0] = first;
        }
}

static int shm_settle(struct ferry_transport *transport)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
    uint32_t rank = ferry_core_params(transport->context)->rank;
    int error = ferry_shm_find_node(shm);

    if (error)
        return error;
    choose_all(shm);
    leave_others(shm);
    if (shm->far_count)
        advise(shm);
    shm->far_count = 0;
    if (shm->peers[rank])
        ferry_shm_find_neighbours(shm, rank);
    return 0;
}

/* Somebody has told us of rings: finds out who. */
static int answer_knocks(struct ferry_shm *shm, struct ferry_shm_board *board)
{
    uint32_t knocks = ferry_board_knocks(board->board);
    uint32_t size = ferry_core_params(shm->base.context)->size;
    int events = 0;

    board->knocks = knocks;
    for (uint32_t rank = 0; rank < size; rank++) {
        uint64_t told = board->attached[rank] ? 0 : ferry_board_told(board->board, rank);
        struct ferry_endpoint *endpoint;
        int error;

        if (!told || !shm->peers[rank] || *ferry_peer_slot(shm->peers[rank]) != board->board)
            continue;
        board->attached[rank] = 1;
        endpoint = ferry_core_endpoint(shm->peers[rank]);
        error = endpoint ? ferry_shm_attach(shm, ferry_shm_endpoint(endpoint), told) : -ENOMEM;
        if (error)
            ferry_core_peer_lost(shm->peers[rank], error, "its ring can't be mapped");
        events++;
    }
    return events;
}

/* The memory of a board is gone, and with it all who are met there. */
static int lose_board(struct ferry_shm *shm, struct ferry_shm_board *board)
{
    uint32_t size = ferry_core_params(shm->base.context)->size;

    board->lost = true;
    shm->base.sleeps = shm->base.sleeps && !shm->boards[0].lost;
    for (uint32_t i = 0; i < shm->endpoint_count; i++)
        if (shm->endpoints[i]->board == board->board)
            shm->endpoints[i]->reading = false;
    for (uint32_t rank = 0; rank < size; rank++)
        if (shm->peers[rank] && *ferry_peer_slot(shm->peers[rank]) == board->board)
            ferry_core_peer_lost(shm->peers[rank], -EIO,
                                 "somebody truncated the file behind the shared memory");
    return 1;
}

static uint32_t shm_beats(struct ferry_endpoint *base)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(base);

    return ferry_board_beats(endpoint->board, endpoint->rank);
}

static int shm_progress(struct ferry_transport *transport)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
    int events = 0;

    /* Messages last: what is done after one came in delays the answer. */
    for (unsigned i = 0; i < shm->board_count; i++) {
        struct ferry_shm_board *board = &shm->boards[i];

        if (__builtin_expect(board->lost, 0))
            continue;
        if (__builtin_expect(ferry_board_faulted(board->board), 0))
            events += lose_board(shm, board);
        else if (__builtin_expect(ferry_board_knocks(board->board) != board->knocks, 0))
            events += answer_knocks(shm, board);
        ferry_board_beat(board->board);
    }
    for (uint32_t i = 0; i < shm->reader_count; i++)
        if (shm->readers[i]->reading && !ferry_ring_is_empty(&shm->readers[i]->rx))
            events += ferry_shm_drain(shm->readers[i]);
    return events;
}

/* A process died: what it had sent before is still received. */
static void bury(struct ferry_shm *shm, ferry_peer_t *peer)
{
    for (uint32_t i = 0; i < shm->reader_count; i++) {
        struct ferry_shm_endpoint *endpoint = shm->readers[i];

        if (endpoint->base.peer != peer)
            continue;
        while (endpoint->reading && ferry_shm_drain(endpoint))
            ;
        endpoint->reading = false;
    }
    ferry_core_peer_lost(peer, -ECONNRESET, "its process ended without a word");
}

/* Looks for the dead. Whoever left in order has said all before. */
static void shm_housekeep(struct ferry_transport *transport)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
    uint32_t size = ferry_core_params(transport->context)->size;

    for (uint32_t rank = 0; rank < size; rank++) {
        ferry_peer_t *peer = shm->peers[rank];

        if (peer && !ferry_peer_lost(peer) &&
            ferry_board_liveness(*ferry_peer_slot(peer), rank, NULL) == FERRY_DEAD)
            bury(shm, peer);
    }
}

static void shm_describe(struct ferry_transport *transport, ferry_peer_t *peer, char *text,
                         size_t room)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
    struct ferry_board *board = *ferry_peer_slot(peer);
    const char *large = "two copies";

    for (uint32_t i = 0; i < shm->endpoint_count; i++)
        if (shm->endpoints[i]->base.peer == peer)
            large = ferry_copy_describe(shm->endpoints[i]);
    snprintf(text, room, "shm (%s met in %s; large messages: %s)",
             ferry_board_kind(board) == FERRY_SEGMENT_MEMFD ? "memfd" : "file",
             ferry_board_place(board)->shown, large);
}

const struct ferry_transport_ops ferry_shm_ops = {
    .name = "shm",
    .near = true,
    .open = shm_open,
    .close = shm_close,
    .address = shm_address,
    .reach = shm_reach,
    .reaches_all = shm_reaches_all,
    .segments = ferry_shm_segments,
    .settle = shm_settle,
    .connect = ferry_shm_connect,
    .send = ferry_shm_send,
    .send_eager = ferry_shm_send_eager,
    .hold = ferry_shm_hold,
    .fetch = ferry_shm_fetch,
    .beats = shm_beats,
    .progress = shm_progress,
    .sleep = ferry_shm_sleep,
    .rouse = ferry_shm_rouse,
    .crowded = ferry_shm_crowded,
    .housekeep = shm_housekeep,
    .describe = shm_describe,
    .survey = ferry_shm_survey,
};
