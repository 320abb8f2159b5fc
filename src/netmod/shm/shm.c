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

/* Packets that are taken from one ring before the others have their turn. */
#define BATCH 32

/* A byte area is exchanged for a larger one when a payload is longer than this part of it. */
#define GROW_PART 8

struct board {
    struct ferry_board *board;
    uint32_t knocks; /* as last seen */
    bool used, lost;
    uint8_t *attached; /* by rank: its ring to here is mapped */
};

struct shm {
    struct ferry_transport base;
    struct ferry_place places[FERRY_PLACES_MAX];
    unsigned place_count, board_count;
    struct board boards[FERRY_PLACES_MAX];
    uint8_t probe[16];
    int token; /* of ferry_host_show(), or -1 */
    ferry_peer_t *
        *far; /* that started with us and share no memory with us; until they are settled */
    uint32_t far_count;
    uint32_t common[FERRY_PLACES_MAX]; /* ids of boards that all peers seen so far are members of */
    unsigned common_count;
    uint32_t seen;                         /* peers asked for */
    ferry_peer_t **peers;                  /* by rank, those that are reached */
    struct ferry_shm_endpoint **endpoints; /* all, in order of their making */
    uint32_t endpoint_count;
    struct ferry_shm_endpoint **readers; /* those with a ring to read */
    uint32_t reader_count;
};

static struct shm *shm_of(struct ferry_transport *transport)
{
    return (struct shm *) transport;
}

/* ---- Opening ---- */

static void shm_close(struct ferry_transport *transport);

static void join_boards(struct shm *shm)
{
    const ferry_params_t *params = ferry_core_params(shm->base.context);
    struct ferry_board_params board = {.key = params->key,
                                       .nonce = ferry_core_nonce(shm->base.context),
                                       .rank = params->rank,
                                       .size = params->size,
                                       .probe = shm->probe};

    for (unsigned i = 0; i < shm->place_count; i++) {
        struct board *entry = &shm->boards[shm->board_count];

        entry->board = ferry_board_join(&shm->places[i], i, &board);
        entry->attached = entry->board ? calloc(params->size, 1) : NULL;
        if (entry->attached)
            shm->board_count++;
        else if (entry->board)
            ferry_board_leave(entry->board);
    }
}

static int shm_open(ferry_context_t *context, struct ferry_transport **out)
{
    uint32_t size = ferry_core_params(context)->size;
    struct shm *shm = calloc(1, sizeof(*shm));

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
        ferry_log(FERRY_LOG_WARN, "no memory can be shared here: FERRY_LOG=debug says why");
    *out = &shm->base;
    return 0;
}

static void free_endpoint(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_extent *extents[] = {&endpoint->tx_ring, &endpoint->tx_bytes, &endpoint->rx_ring,
                                      &endpoint->rx_bytes};

    for (unsigned i = 0; i < 4; i++)
        if (extents[i]->memory)
            ferry_board_unmap(extents[i]->memory, extents[i]->length);
    ferry_copier_close(&endpoint->copier,
                       (struct ferry_place *) ferry_board_place(endpoint->board));
    free(endpoint);
}

static void leave_board(struct board *board)
{
    ferry_board_leave(board->board);
    free(board->attached);
}

static void shm_close(struct ferry_transport *transport)
{
    struct shm *shm = shm_of(transport);

    for (uint32_t i = 0; i < shm->endpoint_count; i++)
        free_endpoint(shm->endpoints[i]);
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
    struct shm *shm = shm_of(transport);
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
static void intersect(struct shm *shm, const uint32_t *ids, size_t count)
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

static bool shm_reach(struct ferry_transport *transport, ferry_peer_t *peer, const void *part,
                      size_t length)
{
    struct shm *shm = shm_of(transport);
    size_t count = length / sizeof(uint32_t);
    uint32_t ids[FERRY_PLACES_MAX];
    int rank = ferry_peer_rank(peer);
    struct board *best = NULL;

    if (rank < 0 || count > FERRY_PLACES_MAX)
        return false;
    memcpy(ids, part, count * sizeof(ids[0]));
    intersect(shm, ids, count);
    for (unsigned i = 0; i < shm->board_count; i++) {
        struct board *board = &shm->boards[i];

        if (ferry_board_has(board->board, (uint32_t) rank, ferry_peer_nonce(peer)) &&
            (!best || ferry_board_preference(board->board) < ferry_board_preference(best->board)))
            best = board;
    }
    if (!best) {
        if (shm->far_count < ferry_core_params(transport->context)->size)
            shm->far[shm->far_count++] = peer;
        return false;
    }
    best->used = true;
    /* A ring of this peer may have been announced before the peer was known here. */
    best->knocks = ferry_board_knocks(best->board) - 1;
    shm->peers[rank] = peer;
    *ferry_peer_slot(peer) = best->board;
    return true;
}

static bool shm_reaches_all(struct ferry_transport *transport)
{
    struct shm *shm = shm_of(transport);

    return shm->common_count > 0 && shm->seen >= ferry_core_params(transport->context)->size;
}

/* Whether the processes that share processors with a member are more than those processors. As all
 * judge by what was said on the board, they know it of each other. */
static bool is_crowded(struct shm *shm, uint32_t member)
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

/* Says how processes of this host that share no memory could do so; once for all that do share. */
static void advise(struct shm *shm)
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
            "%u of the job's processes, process %d first, run on this host but share no memory "
            "with "
            "this one: their messages take the network. Mount one directory, such as /run/ferry, "
            "into all containers of the job to change that",
            count, lowest_far);
    free(nonces);
    free(here);
}

/* Leaves the boards on which nobody is met. */
static void shm_settle(struct ferry_transport *transport)
{
    struct shm *shm = shm_of(transport);
    unsigned kept = 0;
    uint32_t rank;

    for (unsigned i = 0; i < shm->board_count; i++) {
        ferry_board_settle(shm->boards[i].board);
        if (shm->boards[i].used)
            shm->boards[kept++] = shm->boards[i];
        else
            leave_board(&shm->boards[i]);
    }
    shm->board_count = kept;
    if (shm->far_count)
        advise(shm);
    shm->far_count = 0;
    rank = ferry_core_params(transport->context)->rank;
    ferry_core_crowded(transport->context, shm->peers[rank] && is_crowded(shm, rank));
}

/* ---- Endpoints ---- */

static struct ferry_shm_endpoint *new_endpoint(struct shm *shm, ferry_peer_t *peer)
{
    const struct ferry_config *config = ferry_config();
    struct ferry_shm_endpoint *endpoint = aligned_alloc(64,
                                                        (sizeof(*endpoint) + 63) & ~(size_t) 63);

    if (!endpoint)
        return NULL;
    *endpoint = (struct ferry_shm_endpoint){
        .base = {.ops = &ferry_shm_ops,
                 .transport = &shm->base,
                 .peer = peer,
                 .eager_max = config->eager_max,
                 .chunk = (uint32_t) config->chunk,
                 .fetch_min = config->fetch_min,
                 .fetch_always = !strcmp(config->fetch, "always")},
        .board = *ferry_peer_slot(peer),
        .rank = (uint32_t) ferry_peer_rank(peer),
        .may_grow = true,
        .may_sleep = is_crowded(shm, (uint32_t) ferry_peer_rank(peer)),
    };
    ferry_copier_init(&endpoint->copier);
    ferry_copier_init(&endpoint->giver);
    return endpoint;
}

static unsigned log2_of(uint64_t power)
{
    return (unsigned) __builtin_ctzll(power);
}

/* Makes the ring from here to the peer, and tells it. The number told is an offset, whose low bits
 * hold the logarithms of both sizes. */
static int make_ring(struct ferry_shm_endpoint *endpoint)
{
    const struct ferry_config *config = ferry_config();
    struct ferry_extent *extent = &endpoint->tx_ring;
    size_t slots_length = ferry_ring_size((uint32_t) config->ring_slots);
    int error;

    extent->length = slots_length + config->ring_bytes;
    error = ferry_board_alloc(endpoint->board, extent->length, &extent->offset, &extent->memory);
    if (error)
        return error;
    ferry_ring_init(&endpoint->tx, extent->memory, (uint32_t) config->ring_slots,
                    (char *) extent->memory + slots_length, config->ring_bytes);
    endpoint->writing = true;
    endpoint->base.packet_max = (uint32_t) ferry_ring_payload_max(&endpoint->tx);
    if (endpoint->base.chunk > endpoint->base.packet_max)
        endpoint->base.chunk = endpoint->base.packet_max;
    return ferry_board_tell(endpoint->board, endpoint->rank,
                            extent->offset | log2_of(config->ring_slots) << 6 |
                                log2_of(config->ring_bytes));
}

static int shm_connect(struct ferry_transport *transport, ferry_peer_t *peer,
                       struct ferry_endpoint **out)
{
    struct shm *shm = shm_of(transport);
    struct ferry_shm_endpoint *endpoint = new_endpoint(shm, peer);
    int error;

    if (!endpoint)
        return -ENOMEM;
    error = make_ring(endpoint);
    if (error) {
        ferry_log(FERRY_LOG_ERROR,
                  "no shared memory is left to talk to process %u (%s): give this container or job "
                  "more memory, or set FERRY_TRANSPORTS=fabric",
                  endpoint->rank, strerror(-error));
        free_endpoint(endpoint);
        return error;
    }
    shm->endpoints[shm->endpoint_count++] = endpoint;
    *out = &endpoint->base;
    return 0;
}

/* Maps the ring from a peer, as it told. */
static int attach(struct shm *shm, struct ferry_shm_endpoint *endpoint, uint64_t told)
{
    unsigned log_slots = told >> 6 & 63, log_bytes = told & 63;
    struct ferry_extent *extent = &endpoint->rx_ring;
    size_t slots_length;
    int error;

    if (log_slots < 2 || log_slots > 20 || log_bytes < 10 || log_bytes > 30)
        return -EPROTO;
    slots_length = ferry_ring_size(1u << log_slots);
    extent->offset = told & ~(uint64_t) 0xfff;
    extent->length = slots_length + ((size_t) 1 << log_bytes);
    error = ferry_board_map(endpoint->board, extent->offset, extent->length, &extent->memory);
    if (error) {
        extent->memory = NULL;
        return error;
    }
    ferry_ring_init(&endpoint->rx, extent->memory, 1u << log_slots,
                    (char *) extent->memory + slots_length, (size_t) 1 << log_bytes);
    endpoint->reading = true;
    shm->readers[shm->reader_count++] = endpoint;
    return 0;
}

static void lose(struct ferry_shm_endpoint *endpoint, int error, const char *why)
{
    endpoint->reading = false;
    ferry_core_lost(&endpoint->base, error, why);
}

/* Somebody has told us of rings: finds out who. */
static int answer_knocks(struct shm *shm, struct board *board)
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
        error = endpoint ? attach(shm, ferry_shm_endpoint(endpoint), told) : -ENOMEM;
        if (error)
            ferry_core_peer_lost(shm->peers[rank], error, "its ring can't be mapped");
        events++;
    }
    return events;
}

/* ---- Sending ---- */

/* Exchanges the byte area for a larger one; when there is no memory for it, the small one does. */
static void grow(struct ferry_shm_endpoint *endpoint)
{
    size_t room = ferry_config()->bulk_bytes;
    struct ferry_extent extent = {.length = room};
    struct ferry_slot *slot = ferry_ring_slot(&endpoint->tx);
    uint64_t told[2];

    endpoint->may_grow = false;
    if (room <= endpoint->tx.byte_room ||
        ferry_board_alloc(endpoint->board, room, &extent.offset, &extent.memory))
        return;
    told[0] = extent.offset;
    told[1] = room;
    memcpy(slot->data, told, sizeof(told));
    slot->word = FERRY_SHM_GROW;
    ferry_ring_publish(&endpoint->tx, FERRY_PKT_TRANSPORT, 0, sizeof(told));
    ferry_ring_change_bytes(&endpoint->tx, extent.memory, room);
    endpoint->tx_bytes = extent;
}

static inline void wake(struct ferry_shm_endpoint *endpoint)
{
    if (__builtin_expect(endpoint->may_sleep, 0))
        ferry_board_wake(endpoint->board, endpoint->rank);
}

static int shm_send(struct ferry_endpoint *base, const struct ferry_head *head,
                    const struct ferry_payload *payload)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(base);
    struct ferry_ring *ring = &endpoint->tx;
    struct ferry_slot *slot;
    uint8_t *to;

    if (!ferry_ring_has_slot(ring))
        return -EAGAIN;
    base->held = ring->held;
    if (head->length > ring->byte_room / GROW_PART && endpoint->may_grow) {
        grow(endpoint);
        return shm_send(base, head, payload);
    }
    slot = ferry_ring_slot(ring);
    to = head->length <= FERRY_SLOT_DATA ? slot->data : ferry_ring_reserve(ring, head->length);
    if (!to)
        return -EAGAIN;
    ferry_copy(to, payload->lead, payload->lead_length);
    to += payload->lead_length;
    if (payload->stream)
        payload->stream->pack((void *) payload->data, payload->offset, to, payload->length);
    else
        ferry_copy(to, (const char *) payload->data + payload->offset, payload->length);
    slot->word = head->word;
    ferry_ring_publish(ring, head->type, head->flags, head->length);
    wake(endpoint);
    return 0;
}

static void shm_hold(struct ferry_endpoint *base, bool on)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(base);

    if (endpoint->rx_ring.memory)
        atomic_store_explicit(&endpoint->rx.control->hold, on, memory_order_relaxed);
}

static int shm_send_eager(struct ferry_endpoint *base, uint64_t match, const void *data,
                          uint32_t length)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(base);
    struct ferry_ring *ring = &endpoint->tx;
    struct ferry_slot *slot;

    if (length > FERRY_SLOT_DATA) {
        struct ferry_head head = {
            .type = FERRY_PKT_EAGER, .length = (uint16_t) length, .word = match};
        struct ferry_payload payload = {.data = data, .length = length};

        return shm_send(base, &head, &payload);
    }
    if (!ferry_ring_has_slot(ring))
        return -EAGAIN;
    slot = ferry_ring_slot(ring);
    ferry_copy(slot->data, data, length);
    slot->word = match;
    ferry_ring_publish(ring, FERRY_PKT_EAGER, 0, (uint16_t) length);
    wake(endpoint);
    return 0;
}

/* ---- Receiving ---- */

static int on_grow(struct ferry_shm_endpoint *endpoint, const struct ferry_head *head,
                   const void *payload)
{
    struct ferry_extent extent, old = endpoint->rx_bytes;
    uint64_t told[2];
    int error;

    if (head->length != sizeof(told))
        return -EPROTO;
    memcpy(told, payload, sizeof(told));
    if (told[1] < FERRY_LINE || told[1] > (uint64_t) 1 << 30 || (told[1] & (told[1] - 1)))
        return -EPROTO;
    extent = (struct ferry_extent){.offset = told[0], .length = told[1]};
    error = ferry_board_map(endpoint->board, extent.offset, extent.length, &extent.memory);
    if (error)
        return error;
    ferry_ring_change_bytes(&endpoint->rx, extent.memory, extent.length);
    if (old.memory)
        ferry_board_unmap(old.memory, old.length);
    endpoint->rx_bytes = extent;
    return 0;
}

static int receive_own(struct ferry_shm_endpoint *endpoint, const struct ferry_head *head,
                       const void *payload)
{
    if (head->word == FERRY_SHM_GROW)
        return on_grow(endpoint, head, payload);
    return ferry_copy_receive(endpoint, head, payload);
}

static int drain(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_ring *ring = &endpoint->rx;
    struct ferry_head head;
    const uint8_t *payload;
    int events;

    for (events = 0; events < BATCH; events++) {
        int result = ferry_ring_peek(ring, &head, &payload);

        if (result == 0)
            break;
        if (result > 0) {
            if (__builtin_expect(head.type == FERRY_PKT_TRANSPORT, 0))
                result = receive_own(endpoint, &head, payload);
            else
                result = ferry_core_receive(&endpoint->base, &head, payload);
        }
        if (__builtin_expect(result < 0, 0)) {
            lose(endpoint, result,
                 result == -EPROTO ? "it wrote nonsense into shared memory" : strerror(-result));
            break;
        }
        ferry_ring_pop(ring, &head);
    }
    return events;
}

/* The memory of a board is gone, and with it all who are met there. */
static int lose_board(struct shm *shm, struct board *board)
{
    uint32_t size = ferry_core_params(shm->base.context)->size;

    board->lost = true;
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
    struct shm *shm = shm_of(transport);
    int events = 0;

    /* Messages last: what is done after one came in delays the answer. */
    for (unsigned i = 0; i < shm->board_count; i++) {
        struct board *board = &shm->boards[i];

        if (__builtin_expect(board->lost, 0))
            continue;
        if (__builtin_expect(ferry_board_faulted(board->board), 0))
            events += lose_board(shm, board);
        else if (__builtin_expect(ferry_board_knocks(board->board) != board->knocks, 0))
            events += answer_knocks(shm, board);
        ferry_board_beat(board->board);
    }
    for (uint32_t i = 0; i < shm->reader_count; i++)
        if (shm->readers[i]->reading)
            events += drain(shm->readers[i]);
    return events;
}

/* Whether there is anything to do, without doing it. */
static bool has_work(struct shm *shm)
{
    const uint8_t *payload;
    struct ferry_head head;

    for (uint32_t i = 0; i < shm->reader_count; i++)
        if (shm->readers[i]->reading && ferry_ring_peek(&shm->readers[i]->rx, &head, &payload))
            return true;
    for (unsigned i = 0; i < shm->board_count; i++)
        if (ferry_board_knocks(shm->boards[i].board) != shm->boards[i].knocks)
            return true;
    return false;
}

/* On several boards, one can't be woken by all: then for a short time only. */
#define SHORT_SLEEP_US 200

static void shm_sleep(struct ferry_transport *transport, unsigned microseconds)
{
    struct shm *shm = shm_of(transport);
    struct ferry_board *board;

    if (!shm->board_count || shm->boards[0].lost)
        return;
    if (shm->board_count > 1 && microseconds > SHORT_SLEEP_US)
        microseconds = SHORT_SLEEP_US;
    board = shm->boards[0].board;
    ferry_board_lie_down(board);
    if (!has_work(shm))
        ferry_board_sleep(board, microseconds);
    ferry_board_get_up(board);
}

/* A process died: what it had sent before is still received. */
static void bury(struct shm *shm, ferry_peer_t *peer)
{
    for (uint32_t i = 0; i < shm->reader_count; i++) {
        struct ferry_shm_endpoint *endpoint = shm->readers[i];

        if (endpoint->base.peer != peer)
            continue;
        while (endpoint->reading && drain(endpoint))
            ;
        endpoint->reading = false;
    }
    ferry_core_peer_lost(peer, -ECONNRESET, "its process ended without a word");
}

/* Looks for the dead. Whoever left in order has said all before. */
static void shm_housekeep(struct ferry_transport *transport)
{
    struct shm *shm = shm_of(transport);
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
    struct shm *shm = shm_of(transport);
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
    .settle = shm_settle,
    .connect = shm_connect,
    .send = shm_send,
    .send_eager = shm_send_eager,
    .hold = shm_hold,
    .fetch = ferry_shm_fetch,
    .beats = shm_beats,
    .progress = shm_progress,
    .sleep = shm_sleep,
    .housekeep = shm_housekeep,
    .describe = shm_describe,
};
