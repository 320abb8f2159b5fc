/*
 * Receiving over a region: the rings of peers, and what comes by them.
 */
#include <errno.h>
#include <string.h>

#include "seal.h"

/* Packets that are taken from one ring before the others have their turn. */
#define BATCH 32

/* ---- Rings ---- */

static int attach(struct ferry_guests_endpoint *endpoint, struct ferry_guests_region *region,
                  uint64_t offset, size_t length, uint64_t seal,
                  struct ferry_commons_segment *segment)
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);
    struct ferry_guests_member *member = &guests->members[endpoint->rank];
    unsigned index = region->index;
    struct ferry_commons_usage usage;
    struct ferry_commons_name name = {
        .offset = offset, .tag = member->at[index].owner.tag, .seal = seal};

    if (!(member->in >> index & 1))
        return -EPROTO;
    ferry_commons_usage(region->commons, &usage);
    name.length = (length + usage.block - 1) / usage.block * usage.block;
    return ferry_commons_attach(region->commons, &name, segment);
}

int ferry_guests_attach(struct ferry_guests *guests, struct ferry_guests_endpoint *endpoint,
                        struct ferry_guests_region *region, uint64_t number, uint64_t seal)
{
    uint64_t offset;
    uint32_t slots;
    size_t room;
    int error = ferry_ring_from_number(number, &offset, &slots, &room);

    if (!error)
        error = attach(endpoint, region, offset, ferry_ring_size(slots) + room, seal,
                       &endpoint->rx_ring);
    if (error)
        return error;
    ferry_guests_start(&endpoint->rx, &endpoint->rx_ring, slots, room);
    endpoint->rx_region = region;
    endpoint->rx_bytes = endpoint->rx_ring;
    endpoint->reading = true;
    if (!endpoint->is_reader)
        guests->readers[guests->reader_count++] = endpoint;
    endpoint->is_reader = true;
    return 0;
}

static int on_grow(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                   const void *payload)
{
    struct ferry_commons_segment area;
    uint64_t told[3];
    int error;

    if (head->length != sizeof(told) || head->word)
        return -EPROTO;
    memcpy(told, payload, sizeof(told));
    if (told[1] < FERRY_LINE || told[1] > (uint64_t) 1 << 30 || (told[1] & (told[1] - 1)))
        return -EPROTO;
    error = attach(endpoint, endpoint->rx_region, told[0], FERRY_RING_AREA_BEGIN + told[1], told[2],
                   &area);
    if (error)
        return error;
    ferry_ring_change_bytes(&endpoint->rx, (char *) area.memory + FERRY_RING_AREA_BEGIN, told[1]);
    endpoint->rx_bytes = area;
    return 0;
}

/* ---- Packets ---- */

bool ferry_guests_intact(struct ferry_endpoint *base)
{
    struct ferry_guests_endpoint *endpoint = ferry_guests_endpoint(base);

    return endpoint->is_private ||
           (ferry_commons_holds(&endpoint->rx_ring) && ferry_commons_holds(&endpoint->rx_bytes));
}

bool ferry_guests_is_sound(const struct ferry_guests_endpoint *endpoint)
{
    return ferry_guests_may_write(endpoint) &&
           (!endpoint->reading ||
            (ferry_commons_holds(&endpoint->rx_ring) && ferry_commons_holds(&endpoint->rx_bytes) &&
             ferry_ring_is_sane(&endpoint->rx)));
}

/* Bytes of messages, which the core copies once to where they belong, and then asks whether they are intact. */
static inline bool is_bulk(const struct ferry_head *head)
{
    return head->length > FERRY_SLOT_DATA &&
           (head->type == FERRY_PKT_EAGER || head->type == FERRY_PKT_FIRST ||
            head->type == FERRY_PKT_NEXT || head->type == FERRY_PKT_DATA);
}

int ferry_guests_hand_on(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                         const void *payload)
{
    int error;

    endpoint->is_private = true;
    error = ferry_core_receive(&endpoint->base, head, payload);
    endpoint->is_private = false;
    return error;
}

static int hand_on(struct ferry_guests_endpoint *endpoint, struct ferry_head *head,
                   const uint8_t *payload)
{
    if (__builtin_expect(head->type == FERRY_PKT_TRANSPORT, 0))
        return on_grow(endpoint, head, payload);
    if (ferry_seals(head->type)) {
        int error = ferry_unseal(endpoint->rx_key, endpoint->rx.count + 1, head, &payload);

        if (error)
            return error;
    }
    return is_bulk(head) ? ferry_core_receive(&endpoint->base, head, payload)
                         : ferry_guests_hand_on(endpoint, head, payload);
}

/* All else is taken in as a private copy, which is what is checked. slot: room for what lies in a slot. */
static int take_in(struct ferry_guests_endpoint *endpoint, struct ferry_head *head,
                   const uint8_t *payload, uint8_t slot[FERRY_SLOT_DATA])
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);
    bool in_slot = head->length <= FERRY_SLOT_DATA;

    if (in_slot) {
        memcpy(slot, payload, FERRY_SLOT_DATA);
        payload = slot;
    } else if (!is_bulk(head)) {
        memcpy(guests->bounce, payload, head->length);
        payload = guests->bounce;
    }
    if (in_slot ? !ferry_commons_holds(&endpoint->rx_ring) : !ferry_guests_intact(&endpoint->base))
        return -EIO;
    return hand_on(endpoint, head, payload);
}

/* What came from the ring is of no use. */
static void give_up(struct ferry_guests_endpoint *endpoint, int error)
{
    const char *why = error == -EPROTO ? "somebody wrote nonsense into shared memory"
                                       : strerror(-error);

    if (!ferry_guests_intact(&endpoint->base)) {
        error = -EIO;
        why = ferry_guests_why_lost(endpoint->rx_region);
        if (ferry_guests_fall(endpoint, why))
            return;
    }
    ferry_guests_lose(endpoint, error, why);
}

int ferry_guests_drain(struct ferry_guests_endpoint *endpoint)
{
    struct ferry_ring *ring = &endpoint->rx;
    alignas(16) uint8_t slot[FERRY_SLOT_DATA];
    struct ferry_head head, whole;
    const uint8_t *payload;
    int events;

    for (events = 0; events < BATCH; events++) {
        int result = ferry_ring_peek(ring, &head, &payload);

        if (result == 0) {
            /* Who wrote it may wait for that, to leave. */
            if (ring->known_taken != ring->count && ferry_guests_intact(&endpoint->base))
                ferry_ring_tell(ring);
            break;
        }
        if (events && head.length > FERRY_SLOT_DATA && result > 0 &&
            ferry_core_may_stay(&endpoint->base, &head))
            break;
        whole = head;
        if (result > 0)
            result = take_in(endpoint, &head, payload, slot);
        if (__builtin_expect(result < 0, 0)) {
            give_up(endpoint, result);
            break;
        }
        ferry_ring_pop(ring, &whole);
    }
    return events;
}

void ferry_guests_drain_all(struct ferry_guests_endpoint *endpoint)
{
    while (endpoint->reading && ferry_guests_intact(&endpoint->base) &&
           ferry_guests_drain(endpoint))
        ;
}
