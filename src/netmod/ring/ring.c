#include "ring.h"

void ferry_ring_init(struct ferry_ring *ring, void *memory, uint32_t slots, void *bytes,
                     size_t room)
{
    *ring = (struct ferry_ring){
        .control = memory,
        .slots = (struct ferry_slot *) ((struct ferry_ring_control *) memory + 1),
        .slot_mask = slots - 1,
        .slot_room = slots,
        .bytes = bytes,
        .byte_room = room,
    };
}

static unsigned log2_of(uint64_t power)
{
    return (unsigned) __builtin_ctzll(power);
}

uint64_t ferry_ring_number(uint64_t offset, uint32_t slots, size_t room)
{
    return offset | log2_of(slots) << 6 | log2_of(room);
}

int ferry_ring_from_number(uint64_t number, uint64_t *offset, uint32_t *slots, size_t *room)
{
    unsigned log_slots = number >> 6 & 63, log_room = number & 63;

    if (log_slots < 2 || log_slots > 20 || log_room < 10 || log_room > 30)
        return -EPROTO;
    *offset = number & ~(uint64_t) 0xfff;
    *slots = 1u << log_slots;
    *room = (size_t) 1 << log_room;
    return 0;
}

void ferry_ring_change_bytes(struct ferry_ring *ring, void *bytes, size_t room)
{
    ring->bytes = bytes;
    ring->byte_room = room;
    ring->byte_base = ring->byte_count;
    ring->quarter = 0;
}

/* Whether so many bytes more fit. */
static bool fits(struct ferry_ring *ring, uint64_t span)
{
    for (int fresh = 0; fresh < 2; fresh++) {
        uint64_t taken = ring->known_bytes_taken > ring->byte_base ? ring->known_bytes_taken
                                                                   : ring->byte_base;

        if (ring->byte_count + span - taken <= ring->byte_room)
            return true;
        ring->held = atomic_load_explicit(&ring->control->hold, memory_order_relaxed);
        ring->known_bytes_taken = atomic_load_explicit(&ring->control->bytes_taken,
                                                       memory_order_acquire);
    }
    return false;
}

bool ferry_ring_has_bytes(struct ferry_ring *ring, size_t length)
{
    size_t start;

    return fits(ring, ferry_ring_span(ring, length, false, &start));
}

/* Memory that was never touched is dear: where the host has to find some, too, a page takes 20 us on each side. So the first
 * bytes, and short payloads always, stay in the first quarter of a large area while the reader keeps up; that is also
 * what the caches hold. A stream of long payloads wants all of it. */
#define LARGE_AREA ((size_t) 256 << 10)
#define SHORT_PAYLOAD ((size_t) 16 << 10)
#define FIRST_ROUNDS 32

/* Whether the next payload shall lie at the beginning again, if it can. Asks once in each quarter, as to look may cost a line. */
static bool should_begin_again(struct ferry_ring *ring, size_t length)
{
    uint64_t passed = ring->byte_count - ring->byte_base;
    unsigned quarter = (unsigned) ((passed & (ring->byte_room - 1)) / (ring->byte_room / 4));

    if (quarter == ring->quarter)
        return false;
    ring->quarter = quarter;
    return quarter && ring->byte_room >= LARGE_AREA &&
           (length <= SHORT_PAYLOAD || passed < FIRST_ROUNDS * ring->byte_room);
}

static uint8_t *reserve(struct ferry_ring *ring, size_t length, bool again)
{
    size_t start;
    uint64_t span = ferry_ring_span(ring, length, again, &start);

    if (!fits(ring, span))
        return NULL;
    ring->byte_count += span;
    return ring->bytes + start;
}

uint8_t *ferry_ring_reserve(struct ferry_ring *ring, size_t length)
{
    return reserve(ring, length, false);
}

/* The same, maybe at the beginning again, which it adds to the flags. */
static uint8_t *reserve_somewhere(struct ferry_ring *ring, size_t length, uint8_t *flags)
{
    uint8_t *to = should_begin_again(ring, length) ? reserve(ring, length, true) : NULL;

    if (!to)
        return reserve(ring, length, false);
    *flags |= FERRY_RING_AGAIN;
    ring->quarter = 0;
    return to;
}

int ferry_ring_put(struct ferry_ring *ring, const struct ferry_head *head,
                   const struct ferry_payload *payload)
{
    struct ferry_slot *slot;
    uint8_t *to, flags = head->flags;

    if (!ferry_ring_has_slot(ring))
        return -EAGAIN;
    slot = ferry_ring_slot(ring);
    to = head->length <= FERRY_SLOT_DATA ? slot->data
                                         : reserve_somewhere(ring, head->length, &flags);
    if (!to)
        return -EAGAIN;
    ferry_copy(to, payload->lead, payload->lead_length);
    to += payload->lead_length;
    if (payload->stream)
        payload->stream->pack((void *) payload->data, payload->offset, to, payload->length);
    else
        ferry_copy(to, (const char *) payload->data + payload->offset, payload->length);
    slot->word = head->word;
    ferry_ring_publish(ring, head->type, flags, head->length);
    return 0;
}
