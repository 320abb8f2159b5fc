/*
 * Endpoints over a region: the own rings, and sending by them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "seal.h"

/* ---- Endpoints ---- */

static struct ferry_guests_endpoint *new_endpoint(struct ferry_guests *guests, ferry_peer_t *peer)
{
    size_t size = (sizeof(struct ferry_guests_endpoint) + 63) & ~(size_t) 63;
    struct ferry_guests_endpoint *endpoint = aligned_alloc(64, size);

    if (!endpoint)
        return NULL;
    *endpoint = (struct ferry_guests_endpoint){
        .base = {.ops = &ferry_guests_ops,
                 .transport = &guests->base,
                 .peer = peer,
                 .eager_max = ferry_config()->eager_max,
                 .fetch_min = SIZE_MAX},
        .rank = (uint32_t) ferry_peer_rank(peer),
        .may_grow = true,
    };
    ferry_seal_keys(endpoint);
    return endpoint;
}

/* What fits the byte area, with a seal. */
static void set_sizes(struct ferry_guests_endpoint *endpoint)
{
    struct ferry_endpoint *base = &endpoint->base;

    base->packet_max = (uint32_t) ferry_ring_payload_max(&endpoint->tx) - FERRY_SEAL_SIZE;
    /* Whatever is in the ring may have to go another way. */
    if (base->packet_max > FERRY_PAYLOAD_CARRIED)
        base->packet_max = FERRY_PAYLOAD_CARRIED;
    base->chunk = (uint32_t) ferry_config()->chunk;
    if (base->chunk > base->packet_max)
        base->chunk = base->packet_max;
    base->cheap = true;
}

/* Once: it is the same for all peers. */
static void say_short(struct ferry_guests_endpoint *endpoint)
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);

    if (guests->is_short)
        return;
    guests->is_short = true;
    ferry_log(FERRY_LOG_WARN,
              "little is left of the memory that virtual machines share (%s): messages to process "
              "%u and maybe others take smaller pieces, which is slower. Make it larger",
              endpoint->tx_region->memory.name, endpoint->rank);
}

void ferry_guests_start(struct ferry_ring *ring, const struct ferry_commons_segment *segment,
                        uint32_t slots, size_t room)
{
    ferry_ring_init(ring, segment->memory, slots, (char *) segment->memory + ferry_ring_size(slots),
                    room);
    ring->count = ring->known_taken = segment->name.seal & 0x7fffffff;
}

/* Takes memory for a ring, of the sizes that are wanted or of the largest that can be had. */
static int take_ring(struct ferry_guests_endpoint *endpoint, uint32_t *slots, size_t *room)
{
    struct ferry_guests_region *region = endpoint->tx_region;

    while (*slots > FERRY_GUESTS_LEAST_SLOTS || *room > FERRY_GUESTS_LEAST_BYTES) {
        if (!ferry_guests_take(region, ferry_ring_size(*slots) + *room, &endpoint->tx_ring))
            return 0;
        say_short(endpoint);
        if (*slots > FERRY_GUESTS_LEAST_SLOTS)
            *slots /= 2;
        if (*room > FERRY_GUESTS_LEAST_BYTES)
            *room /= 2;
    }
    return ferry_guests_take_spare(region, &endpoint->tx_ring);
}

int ferry_guests_make_ring(struct ferry_guests_endpoint *endpoint,
                           struct ferry_guests_region *region)
{
    const struct ferry_config *config = ferry_config();
    uint32_t slots = (uint32_t) config->ring_slots;
    size_t room = config->ring_bytes;
    int error;

    endpoint->tx_region = region;
    error = take_ring(endpoint, &slots, &room);
    if (error) {
        memset(&endpoint->tx_ring, 0, sizeof(endpoint->tx_ring));
        endpoint->tx_region = NULL;
        return error;
    }
    ferry_guests_start(&endpoint->tx, &endpoint->tx_ring, slots, room);
    atomic_store(&endpoint->tx.control->slots_taken, endpoint->tx.count);
    endpoint->first_count = endpoint->tx.count;
    endpoint->first_room = room;
    endpoint->tx_bytes = endpoint->tx_ring;
    set_sizes(endpoint);
    ferry_guests_find_bell(endpoint);
    return 0;
}

uint64_t ferry_guests_ring_number(const struct ferry_guests_endpoint *endpoint)
{
    return ferry_ring_number(endpoint->tx_ring.name.offset, endpoint->tx.slot_room,
                             endpoint->first_room);
}

/* Makes the first ring from here to the peer, and tells it. */
static int make_first(struct ferry_guests_endpoint *endpoint, struct ferry_guests_member *member)
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);
    uint32_t own = ferry_core_params(guests->base.context)->rank;
    const struct ferry_commons_segment *place;
    struct ferry_guests_seat *seat;
    unsigned index;
    int error;

    /* Its seat is where the memory was that is lost now. */
    if (!member->in)
        return -ESTALE;
    index = (unsigned) __builtin_ctz(member->in);
    place = &member->at[index].place;
    seat = place->memory;
    error = ferry_guests_make_ring(endpoint, guests->regions[index]);
    if (error)
        return error;
    if (!ferry_commons_holds(place))
        return -ESTALE;
    atomic_store(&seat->told[own].seal, endpoint->tx_ring.name.seal);
    atomic_store(&seat->told[own].number, ferry_guests_ring_number(endpoint));
    atomic_fetch_add(&seat->knocks, 1);
    if (endpoint->bell)
        ferry_guests_ring(endpoint);
    return 0;
}

/* There is no ring. Returns whether there is another way. */
static bool do_without(struct ferry_guests_endpoint *endpoint, int error)
{
    const char *why =
        error == -ENOSPC
            ? "there is no room in the memory that virtual machines share; make it larger"
            : "the memory that virtual machines share was taken away";

    if (ferry_guests_fall(endpoint, why))
        return true;
    ferry_log(FERRY_LOG_ERROR, "process %u can't be reached: %s. Let FERRY_TRANSPORTS allow fabric",
              endpoint->rank, why);
    return false;
}

int ferry_guests_connect(struct ferry_transport *transport, ferry_peer_t *peer,
                         struct ferry_endpoint **out)
{
    struct ferry_guests *guests = ferry_guests_of(transport);
    struct ferry_guests_endpoint *endpoint = new_endpoint(guests, peer);
    int error;

    if (!endpoint)
        return -ENOMEM;
    error = make_first(endpoint, &guests->members[endpoint->rank]);
    if (error && !do_without(endpoint, error)) {
        free(endpoint);
        return error;
    }
    guests->endpoints[guests->endpoint_count++] = endpoint;
    *out = &endpoint->base;
    return 0;
}

void ferry_guests_confess(struct ferry_guests_endpoint *endpoint)
{
    struct ferry_commons_segment *written[] = {&endpoint->tx_ring, &endpoint->tx_bytes};

    for (unsigned i = 0; i < 2; i++)
        if (written[i]->memory)
            ferry_commons_confess(endpoint->tx_region->commons, written[i]);
    if (endpoint->rx_region)
        ferry_commons_confess(endpoint->rx_region->commons, &endpoint->rx_ring);
}

void ferry_guests_lose(struct ferry_guests_endpoint *endpoint, int error, const char *why)
{
    endpoint->reading = false;
    ferry_guests_confess(endpoint);
    ferry_core_lost(&endpoint->base, error, why);
}

/* ---- Sending ---- */

/* Exchanges the byte area for a larger one; when there is no memory for it, the small one does. */
static void grow(struct ferry_guests_endpoint *endpoint)
{
    size_t room = ferry_config()->bulk_bytes;
    struct ferry_commons_segment area;
    uint64_t told[3];

    endpoint->may_grow = false;
    if (room <= endpoint->tx.byte_room)
        return;
    if (ferry_guests_take(endpoint->tx_region, FERRY_RING_AREA_BEGIN + room, &area)) {
        say_short(endpoint);
        return;
    }
    told[0] = area.name.offset;
    told[1] = room;
    told[2] = area.name.seal;
    ferry_ring_put_small(&endpoint->tx, FERRY_PKT_TRANSPORT, 0, told, sizeof(told));
    endpoint->grown_at = endpoint->tx.count;
    ferry_ring_change_bytes(&endpoint->tx, (char *) area.memory + FERRY_RING_AREA_BEGIN, room);
    endpoint->tx_bytes = area;
    set_sizes(endpoint);
}

/* The memory is not held any more, which a send finds out: without a network that ends the endpoint in housekeeping, for a
 * send never calls back. */
static int cant_write(struct ferry_guests_endpoint *endpoint)
{
    ferry_guests_fall(endpoint, ferry_guests_why_lost(endpoint->tx_region));
    return -EAGAIN;
}

/* A packet was written: it came if the memory is held still. */
static inline int wrote(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                        const struct ferry_payload *payload)
{
    int error;

    if (__builtin_expect(ferry_guests_may_write(endpoint), 1)) {
        if (__builtin_expect(endpoint->bell != 0, 0))
            ferry_guests_ring(endpoint);
        return 0;
    }
    error = ferry_guests_keep(endpoint, head, payload);
    cant_write(endpoint);
    return error;
}

static int put_sealed(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                      const struct ferry_payload *payload)
{
    uint8_t lead[FERRY_SEAL_SIZE + FERRY_SEALED_MAX];
    struct ferry_payload with = *payload;
    struct ferry_head longer = *head;
    uint64_t seal;

    if (payload->lead_length > FERRY_SEALED_MAX)
        return -EMSGSIZE;
    seal = ferry_seal(endpoint->tx_key, endpoint->tx.count + 1, head, payload->lead,
                      payload->lead_length);
    memcpy(lead, &seal, sizeof(seal));
    memcpy(lead + sizeof(seal), payload->lead, payload->lead_length);
    with.lead = lead;
    with.lead_length += sizeof(seal);
    longer.length += sizeof(seal);
    return ferry_ring_put(&endpoint->tx, &longer, &with);
}

static int put(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
               const struct ferry_payload *payload)
{
    int error = ferry_seals(head->type) ? put_sealed(endpoint, head, payload)
                                        : ferry_ring_put(&endpoint->tx, head, payload);

    return error ? error : wrote(endpoint, head, payload);
}

/* A stream can't be told to go back: what it packs is first put where it stays, so that it can be sent again.
 * Errors: -EAGAIN nothing was packed. */
static int pack(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                struct ferry_payload *payload)
{
    uint8_t *packed = ferry_guests_of(endpoint->base.transport)->packed;
    size_t length = head->length + (ferry_seals(head->type) ? FERRY_SEAL_SIZE : 0);

    if (length > FERRY_SLOT_DATA && !ferry_ring_has_bytes(&endpoint->tx, length))
        return -EAGAIN;
    payload->stream->pack((void *) payload->data, payload->offset, packed, payload->length);
    payload->stream = NULL;
    payload->data = packed;
    payload->offset = 0;
    return 0;
}

int ferry_guests_send(struct ferry_endpoint *base, const struct ferry_head *head,
                      const struct ferry_payload *payload)
{
    struct ferry_guests_endpoint *endpoint = ferry_guests_endpoint(base);

    if (__builtin_expect(endpoint->state != FERRY_GUESTS_SHARED, 0))
        return ferry_guests_send_below(endpoint, head, payload);
    if (__builtin_expect(!ferry_guests_may_write(endpoint), 0))
        return cant_write(endpoint);
    if (!ferry_ring_has_slot(&endpoint->tx))
        return -EAGAIN;
    base->held = endpoint->tx.held;
    if (head->length > endpoint->tx.byte_room / FERRY_RING_GROW_PART && endpoint->may_grow) {
        grow(endpoint);
        return ferry_guests_send(base, head, payload);
    }
    if (payload->stream && ferry_peer_has_network(base->peer)) {
        struct ferry_payload packed = *payload;

        return pack(endpoint, head, &packed) ? -EAGAIN : put(endpoint, head, &packed);
    }
    return put(endpoint, head, payload);
}

int ferry_guests_send_eager(struct ferry_endpoint *base, uint64_t match, const void *data,
                            uint32_t length)
{
    struct ferry_guests_endpoint *endpoint = ferry_guests_endpoint(base);
    struct ferry_head head = {.type = FERRY_PKT_EAGER, .length = (uint16_t) length, .word = match};
    struct ferry_payload payload = {.data = data, .length = length};

    if (length > FERRY_SLOT_DATA || __builtin_expect(endpoint->state != FERRY_GUESTS_SHARED, 0) ||
        __builtin_expect(!ferry_commons_holds(&endpoint->tx_ring), 0))
        return ferry_guests_send(base, &head, &payload);
    if (ferry_ring_put_small(&endpoint->tx, FERRY_PKT_EAGER, match, data, length))
        return -EAGAIN;
    /* The byte area has no part in it. */
    return __builtin_expect(ferry_commons_holds(&endpoint->tx_ring) && !endpoint->bell, 1)
               ? 0
               : wrote(endpoint, &head, &payload);
}

void ferry_guests_hold(struct ferry_endpoint *base, bool on)
{
    struct ferry_guests_endpoint *endpoint = ferry_guests_endpoint(base);

    if (endpoint->state == FERRY_GUESTS_FALLEN)
        ferry_guests_hold_below(endpoint, on);
    else if (endpoint->reading && ferry_commons_holds(&endpoint->rx_ring))
        atomic_store_explicit(&endpoint->rx.control->hold, on, memory_order_relaxed);
}
