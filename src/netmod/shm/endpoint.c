/*
 * Endpoints over shared memory: the rings of both directions, sending, receiving.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "list.h"
#include "log.h"
#include "shm.h"

/* Packets that are taken from one ring before the others have their turn. */
#define BATCH 32

/* ---- Endpoints ---- */

static struct ferry_shm_endpoint *new_endpoint(struct ferry_shm *shm, ferry_peer_t *peer)
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
                 .fetch_min = config->fetch_min,
                 .fetch_always = !strcmp(config->fetch, "always")},
        .board = *ferry_peer_slot(peer),
        .rank = (uint32_t) ferry_peer_rank(peer),
        .may_grow = true,
        .asleep = ferry_board_asleep(*ferry_peer_slot(peer), (uint32_t) ferry_peer_rank(peer)),
        .fences = ferry_shm_needs_fence(shm, (uint32_t) ferry_peer_rank(peer)),
    };
    ferry_copier_init(&endpoint->copier);
    ferry_copier_init(&endpoint->giver);
    return endpoint;
}

bool ferry_shm_is_scarce(const struct ferry_board *board, size_t length)
{
    return ferry_board_is_scarce(board, length, FERRY_SHM_LEAST);
}

static size_t halved(size_t now, size_t least)
{
    return now > least ? now / 2 : now;
}

/* What fits the byte area. */
static void set_sizes(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_endpoint *base = &endpoint->base;

    base->packet_max = (uint32_t) ferry_ring_payload_max(&endpoint->tx);
    base->chunk = (uint32_t) ferry_config()->chunk;
    if (base->chunk > base->packet_max)
        base->chunk = base->packet_max;
    base->cheap = true;
}

/* Once: it is the same for all peers. */
static void say_short(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_shm *shm = ferry_shm_of(endpoint->base.transport);

    if (shm->is_short)
        return;
    shm->is_short = true;
    ferry_log(
        FERRY_LOG_WARN,
        "little memory is left here for messages to process %u and maybe others: they take "
        "smaller pieces, which is slower. Give this container or job more memory (or a higher "
        "limit of file sizes, or a larger file system where FERRY_SEGMENT=file)",
        endpoint->rank);
}

/* Takes memory for a ring, of the sizes that are wanted or of the largest that can be had. */
static int take_ring(struct ferry_shm_endpoint *endpoint, uint32_t *slots, size_t *bytes)
{
    struct ferry_extent *extent = &endpoint->tx_ring;
    bool is_least;
    int error;

    for (;; *slots = (uint32_t) halved(*slots, FERRY_SHM_LEAST_SLOTS),
            *bytes = halved(*bytes, FERRY_SHM_LEAST_BYTES)) {
        is_least = *slots <= FERRY_SHM_LEAST_SLOTS && *bytes <= FERRY_SHM_LEAST_BYTES;
        extent->length = ferry_ring_size(*slots) + *bytes;
        error = -ENOSPC;
        if (is_least || !ferry_shm_is_scarce(endpoint->board, extent->length))
            error = ferry_board_alloc(endpoint->board, extent->length, &extent->offset,
                                      &extent->memory);
        if (!error)
            return 0;
        say_short(endpoint);
        if (is_least)
            return ferry_board_alloc_spare(endpoint->board, extent->length, &extent->offset,
                                           &extent->memory);
    }
}

/* Makes the ring from here to the peer, and tells it. */
static int make_ring(struct ferry_shm_endpoint *endpoint)
{
    uint32_t slots = (uint32_t) ferry_config()->ring_slots;
    size_t bytes = ferry_config()->ring_bytes;
    struct ferry_extent *extent = &endpoint->tx_ring;
    int error = take_ring(endpoint, &slots, &bytes);

    if (error) {
        extent->memory = NULL;
        return error;
    }
    ferry_ring_init(&endpoint->tx, extent->memory, slots,
                    (char *) extent->memory + ferry_ring_size(slots), bytes);
    endpoint->writing = true;
    set_sizes(endpoint);
    ferry_board_tell(endpoint->board, endpoint->rank,
                     ferry_ring_number(extent->offset, slots, bytes));
    return 0;
}

int ferry_shm_connect(struct ferry_transport *transport, ferry_peer_t *peer,
                      struct ferry_endpoint **out)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
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
        ferry_shm_free(endpoint);
        return error;
    }
    shm->endpoints[shm->endpoint_count++] = endpoint;
    *out = &endpoint->base;
    return 0;
}

/* Maps the ring from a peer, as it told. */
int ferry_shm_attach(struct ferry_shm *shm, struct ferry_shm_endpoint *endpoint, uint64_t told)
{
    struct ferry_extent *extent = &endpoint->rx_ring;
    size_t slots_length, room;
    uint32_t slots;
    int error = ferry_ring_from_number(told, &extent->offset, &slots, &room);

    if (error)
        return error;
    slots_length = ferry_ring_size(slots);
    extent->length = slots_length + room;
    error = ferry_board_map(endpoint->board, extent->offset, extent->length, &extent->memory);
    if (error) {
        extent->memory = NULL;
        return error;
    }
    ferry_ring_init(&endpoint->rx, extent->memory, slots, (char *) extent->memory + slots_length,
                    room);
    endpoint->reading = true;
    shm->readers[shm->reader_count++] = endpoint;
    return 0;
}

static void lose(struct ferry_shm_endpoint *endpoint, int error, const char *why)
{
    endpoint->reading = false;
    ferry_core_lost(&endpoint->base, error, why);
}

void ferry_shm_free(struct ferry_shm_endpoint *endpoint)
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

/* ---- Sending ---- */

/* What all areas of a process may have, roughly: who sends to more peers than fit gets smaller ones. Bytes. */
#define AREAS_BYTES ((size_t) 8 << 20)
#define AREA_LEAST ((size_t) 64 << 10)

static size_t area_room(struct ferry_shm *shm)
{
    size_t room = ferry_config()->bulk_bytes;

    shm->areas++;
    while (room > AREA_LEAST && room * shm->areas > AREAS_BYTES)
        room /= 2;
    return room;
}

/* Exchanges the byte area for a larger one; when there is no memory for it, the small one does. */
static void grow(struct ferry_shm_endpoint *endpoint)
{
    size_t room = area_room(ferry_shm_of(endpoint->base.transport));
    struct ferry_extent extent = {.length = FERRY_RING_AREA_BEGIN + room};
    struct ferry_slot *slot = ferry_ring_slot(&endpoint->tx);
    uint64_t told[2];

    endpoint->may_grow = false;
    if (room <= endpoint->tx.byte_room)
        return;
    if (ferry_shm_is_scarce(endpoint->board, extent.length) ||
        ferry_board_alloc(endpoint->board, extent.length, &extent.offset, &extent.memory)) {
        say_short(endpoint);
        return;
    }
    told[0] = extent.offset;
    told[1] = room;
    memcpy(slot->data, told, sizeof(told));
    slot->word = FERRY_SHM_GROW;
    ferry_ring_publish(&endpoint->tx, FERRY_PKT_TRANSPORT, 0, sizeof(told));
    ferry_ring_change_bytes(&endpoint->tx, (char *) extent.memory + FERRY_RING_AREA_BEGIN, room);
    endpoint->tx_bytes = extent;
    set_sizes(endpoint);
}

/* What was written comes before what the sleeper says is read: by a fence here, or by the one of the sleeper. */
static inline void fence(const struct ferry_shm_endpoint *endpoint)
{
    if (__builtin_expect(endpoint->fences, 0))
        atomic_thread_fence(memory_order_seq_cst);
    else
        atomic_signal_fence(memory_order_seq_cst);
}

static inline void wake(struct ferry_shm_endpoint *endpoint)
{
    fence(endpoint);
    if (__builtin_expect(atomic_load_explicit(endpoint->asleep, memory_order_relaxed), 0)) {
        ferry_board_wake(endpoint->board, endpoint->rank);
        ferry_core_has_woken(endpoint->base.transport->context);
    }
}

int ferry_shm_send(struct ferry_endpoint *base, const struct ferry_head *head,
                   const struct ferry_payload *payload)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(base);
    struct ferry_ring *ring = &endpoint->tx;
    int error;

    if (!ferry_ring_has_slot(ring))
        return -EAGAIN;
    base->held = ring->held;
    if (head->length > ring->byte_room / FERRY_RING_GROW_PART && endpoint->may_grow) {
        grow(endpoint);
        return ferry_shm_send(base, head, payload);
    }
    error = ferry_ring_put(ring, head, payload);
    if (!error)
        wake(endpoint);
    return error;
}

void ferry_shm_hold(struct ferry_endpoint *base, bool on)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(base);

    if (endpoint->rx_ring.memory)
        atomic_store_explicit(&endpoint->rx.control->hold, on, memory_order_relaxed);
}

int ferry_shm_send_eager(struct ferry_endpoint *base, uint64_t match, const void *data,
                         uint32_t length)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(base);
    int error;

    if (length > FERRY_SLOT_DATA) {
        struct ferry_head head = {
            .type = FERRY_PKT_EAGER, .length = (uint16_t) length, .word = match};
        struct ferry_payload payload = {.data = data, .length = length};

        return ferry_shm_send(base, &head, &payload);
    }
    error = ferry_ring_put_small(&endpoint->tx, FERRY_PKT_EAGER, match, data, length);
    if (!error)
        wake(endpoint);
    return error;
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
    extent = (struct ferry_extent){.offset = told[0], .length = FERRY_RING_AREA_BEGIN + told[1]};
    error = ferry_board_map(endpoint->board, extent.offset, extent.length, &extent.memory);
    if (error)
        return error;
    ferry_ring_change_bytes(&endpoint->rx, (char *) extent.memory + FERRY_RING_AREA_BEGIN, told[1]);
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

/* It has been told of room. */
static inline void wake_writer(struct ferry_shm_endpoint *endpoint)
{
    fence(endpoint);
    if (__builtin_expect(ferry_ring_is_wanted(&endpoint->rx), 0))
        wake(endpoint);
}

int ferry_shm_drain(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_ring *ring = &endpoint->rx;
    uint64_t slots = ring->known_taken, bytes = ring->known_bytes_taken;
    struct ferry_head head;
    const uint8_t *payload;
    int events;

    for (events = 0; events < BATCH; events++) {
        int result = ferry_ring_peek(ring, &head, &payload);

        if (result == 0)
            break;
        if (events && head.length > FERRY_SLOT_DATA && result > 0 &&
            ferry_core_may_stay(&endpoint->base, &head))
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
    if (ring->known_taken != slots || ring->known_bytes_taken != bytes)
        wake_writer(endpoint);
    return events;
}
