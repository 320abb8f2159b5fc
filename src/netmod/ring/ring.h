/*
 * A ring: a one-way queue of packets in memory that two processes map, one writer, one reader.
 *
 * Each packet takes one slot of a cache line, which also holds a payload of up to 48 bytes; so a
 * small message moves one line from writer to reader. Longer payloads lie in the ring's byte area,
 * in order. Where in that area is never written down: both sides count alike, and a packet may say that
 * its payload is at the area's beginning again. What the reader has taken it tells in a line of its own, now
 * and then.
 *
 * The reader trusts nothing: it reads a slot's head once, checks it, and computes positions from
 * counters that only it can write.
 */
#ifndef FERRY_RING_H
#define FERRY_RING_H

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "copy.h"
#include "transport.h"

#define FERRY_LINE 64
#define FERRY_SLOT_DATA 48

/* A byte area is exchanged for a larger one when a payload is longer than this part of it. */
#define FERRY_RING_GROW_PART 8

/* A larger byte area does not begin where a page does, as users' buffers often do: with both alike,
 * messages of 64 KiB took up to twice as long (doc/measurements.md). */
#define FERRY_RING_AREA_BEGIN 2112u

/* In the flags of a packet, the ring's own: its payload lies at the beginning of the byte area. */
#define FERRY_RING_AGAIN 0x80u

/* The first 8 bytes of struct ferry_head as one number, whose store publishes the slot. */
struct ferry_slot {
    _Atomic uint64_t tag; /* seq | type << 32 | flags << 40 | length << 48 */
    uint64_t word;
    uint8_t data[FERRY_SLOT_DATA];
};

_Static_assert(sizeof(struct ferry_slot) == FERRY_LINE, "a slot is a line");

/* In front of the slots. */
struct ferry_ring_control {
    alignas(FERRY_LINE) _Atomic uint64_t slots_taken; /* written by the reader */
    _Atomic uint64_t bytes_taken;
    _Atomic uint32_t hold;
    alignas(FERRY_LINE) _Atomic uint32_t
        wants; /* written by the writer: it sleeps until there is room */
};

/* One side's private view. */
struct ferry_ring {
    struct ferry_slot *slots;
    uint64_t count;       /* packets written, or taken */
    uint64_t known_taken; /* writer: as last read; reader: as last told */
    uint32_t slot_mask;
    uint32_t slot_room; /* how many slots there are */
    uint8_t *bytes;
    uint64_t byte_count; /* bytes of the area passed so far, by writing or taking */
    uint64_t byte_base;  /* byte_count when the present area came into use */
    uint64_t known_bytes_taken;
    uint64_t span; /* reader: what the packet that was peeked at takes of the area */
    size_t byte_room;
    unsigned quarter; /* writer: of the area, where it last looked whether to begin again */
    bool held;        /* writer: the reader asked for no more than it must get */
    struct ferry_ring_control *control;
};

/* Bytes of memory for a ring: control and slots. */
static inline size_t ferry_ring_size(uint32_t slots)
{
    return sizeof(struct ferry_ring_control) + (size_t) slots * sizeof(struct ferry_slot);
}

/* Begins to use memory (zeroed when fresh) as a ring, with a byte area. slots and room are powers
 * of two. */
void ferry_ring_init(struct ferry_ring *ring, void *memory, uint32_t slots, void *bytes,
                     size_t room);

/* From the next packet on, uses another byte area. Both sides do it at the same packet. */
void ferry_ring_change_bytes(struct ferry_ring *ring, void *bytes, size_t room);

/* The longest payload a packet may have: an empty ring must take it wherever its byte area stands,
 * though the reader may not have told the last eighth of it, and payloads do not wrap. */
static inline size_t ferry_ring_payload_max(const struct ferry_ring *ring)
{
    size_t part = ring->byte_room / 4;

    return part < FERRY_PAYLOAD_MAX ? part : FERRY_PAYLOAD_MAX;
}

/* Where a ring lies and how large it is, as one number: its offset in a segment, a multiple of 4096, with the logarithms
 * of both sizes in the low bits. */
uint64_t ferry_ring_number(uint64_t offset, uint32_t slots, size_t room);
/* Takes one apart. Errors: -EPROTO, no number of a ring. */
int ferry_ring_from_number(uint64_t number, uint64_t *offset, uint32_t *slots, size_t *room);

/* ---- Writer ---- */

static inline bool ferry_ring_has_slot(struct ferry_ring *ring)
{
    if (__builtin_expect(ring->count - ring->known_taken < ring->slot_room, 1))
        return true;
    ring->known_taken = atomic_load_explicit(&ring->control->slots_taken, memory_order_acquire);
    ring->held = atomic_load_explicit(&ring->control->hold, memory_order_relaxed);
    return ring->count - ring->known_taken < ring->slot_room;
}

/* Whether the byte area has room for so many bytes now. */
bool ferry_ring_has_bytes(struct ferry_ring *ring, size_t length);

/* Where in the byte area the next length bytes go, or NULL: no room yet. */
uint8_t *ferry_ring_reserve(struct ferry_ring *ring, size_t length);

static inline struct ferry_slot *ferry_ring_slot(struct ferry_ring *ring)
{
    return &ring->slots[ring->count & ring->slot_mask];
}

/* Whether the reader said that it has taken all. */
static inline bool ferry_ring_is_taken(const struct ferry_ring *ring)
{
    return atomic_load_explicit(&ring->control->slots_taken, memory_order_acquire) == ring->count;
}

/* Tells the reader whether the writer sleeps until there is room. */
static inline void ferry_ring_want(struct ferry_ring *ring, bool on)
{
    atomic_store_explicit(&ring->control->wants, on, memory_order_relaxed);
}

/* Makes the next slot, whose word and data are written, visible to the reader. */
static inline void ferry_ring_publish(struct ferry_ring *ring, uint8_t type, uint8_t flags,
                                      uint16_t length)
{
    struct ferry_slot *slot = ferry_ring_slot(ring);
    uint64_t tag = (uint32_t) ++ring->count | (uint64_t) type << 32 | (uint64_t) flags << 40 |
                   (uint64_t) length << 48;

    atomic_store_explicit(&slot->tag, tag, memory_order_release);
}

/* Writes a packet, if there is room, as ferry_transport_ops.send. Errors: -EAGAIN. */
int ferry_ring_put(struct ferry_ring *ring, const struct ferry_head *head,
                   const struct ferry_payload *payload);

/* The same for up to FERRY_SLOT_DATA bytes, without flags. */
static inline int ferry_ring_put_small(struct ferry_ring *ring, uint8_t type, uint64_t word,
                                       const void *data, size_t length)
{
    struct ferry_slot *slot;

    if (!ferry_ring_has_slot(ring))
        return -EAGAIN;
    slot = ferry_ring_slot(ring);
    ferry_copy(slot->data, data, length);
    slot->word = word;
    ferry_ring_publish(ring, type, 0, (uint16_t) length);
    return 0;
}

/* ---- Reader ---- */

static inline bool ferry_ring_is_empty(struct ferry_ring *ring)
{
    return (uint32_t) atomic_load_explicit(&ferry_ring_slot(ring)->tag, memory_order_acquire) !=
           (uint32_t) (ring->count + 1);
}

/* Looks for the next packet: fills head and payload and returns 1; 0 none; -EPROTO nonsense. */
static inline int ferry_ring_peek(struct ferry_ring *ring, struct ferry_head *head,
                                  const uint8_t **payload);

/* Goes on to the next packet, without a word to the writer. */
static inline void ferry_ring_pass(struct ferry_ring *ring, const struct ferry_head *head);

/* Gives the packet that was peeked at back to the writer. */
static inline void ferry_ring_pop(struct ferry_ring *ring, const struct ferry_head *head);

/* Tells the writer of all that was taken. */
static inline void ferry_ring_tell(struct ferry_ring *ring)
{
    ring->known_taken = ring->count;
    atomic_store_explicit(&ring->control->slots_taken, ring->count, memory_order_release);
}

/* Whether the writer sleeps until it is told of room: to be asked after a fence, when it was told. */
static inline bool ferry_ring_is_wanted(const struct ferry_ring *ring)
{
    return atomic_load_explicit(&ring->control->wants, memory_order_relaxed);
}

/* Whether the next slot holds what it may: nothing yet, the packet before the last round, or the next one. */
static inline bool ferry_ring_is_sane(const struct ferry_ring *ring)
{
    uint64_t tag = atomic_load_explicit(&ring->slots[ring->count & ring->slot_mask].tag,
                                        memory_order_acquire);
    uint32_t next = (uint32_t) (ring->count + 1);

    return !tag || (uint32_t) tag == next || (uint32_t) tag == next - ring->slot_room;
}

/* ---- In detail ---- */

/* Payloads in the byte area begin at lines and do not wrap. */
static inline uint64_t ferry_ring_span(const struct ferry_ring *ring, size_t length, bool again,
                                       size_t *start)
{
    size_t whole = (length + FERRY_LINE - 1) & ~(size_t) (FERRY_LINE - 1);
    size_t at = (size_t) (ring->byte_count - ring->byte_base) & (ring->byte_room - 1);
    size_t skip = at && (again || at + whole > ring->byte_room) ? ring->byte_room - at : 0;

    *start = skip ? 0 : at;
    return skip + whole;
}

static inline int ferry_ring_peek(struct ferry_ring *ring, struct ferry_head *head,
                                  const uint8_t **payload)
{
    struct ferry_slot *slot = ferry_ring_slot(ring);
    uint64_t tag = atomic_load_explicit(&slot->tag, memory_order_acquire);
    size_t start;

    if ((uint32_t) tag != (uint32_t) (ring->count + 1))
        return 0;
    head->seq = (uint32_t) tag;
    head->type = (uint8_t) (tag >> 32);
    head->flags = (uint8_t) (tag >> 40) & (uint8_t) ~FERRY_RING_AGAIN;
    head->length = (uint16_t) (tag >> 48);
    head->word = slot->word;
    *payload = slot->data;
    if (__builtin_expect(head->length > FERRY_SLOT_DATA, 0)) {
        if (head->length > ferry_ring_payload_max(ring))
            return -EPROTO;
        ring->span = ferry_ring_span(ring, head->length, (tag >> 40) & FERRY_RING_AGAIN, &start);
        *payload = ring->bytes + start;
    }
    return 1;
}

static inline void ferry_ring_pass(struct ferry_ring *ring, const struct ferry_head *head)
{
    ring->count++;
    if (head->length > FERRY_SLOT_DATA)
        ring->byte_count += ring->span;
}

static inline void ferry_ring_pop(struct ferry_ring *ring, const struct ferry_head *head)
{
    ferry_ring_pass(ring, head);
    if (head->length > FERRY_SLOT_DATA &&
        ring->byte_count - ring->known_bytes_taken >= ring->byte_room / 8) {
        ring->known_bytes_taken = ring->byte_count;
        atomic_store_explicit(&ring->control->bytes_taken, ring->byte_count, memory_order_release);
    }
    if (ring->count - ring->known_taken >= ring->slot_room / 4)
        ferry_ring_tell(ring);
}

#endif
