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

void ferry_ring_change_bytes(struct ferry_ring *ring, void *bytes, size_t room)
{
    ring->bytes = bytes;
    ring->byte_room = room;
    ring->byte_base = ring->byte_count;
}

uint8_t *ferry_ring_reserve(struct ferry_ring *ring, size_t length)
{
    size_t start;
    uint64_t span = ferry_ring_span(ring, length, &start);

    for (int fresh = 0; fresh < 2; fresh++) {
        uint64_t taken = ring->known_bytes_taken > ring->byte_base ? ring->known_bytes_taken
                                                                   : ring->byte_base;

        if (ring->byte_count + span - taken <= ring->byte_room) {
            ring->byte_count += span;
            return ring->bytes + start;
        }
        ring->held = atomic_load_explicit(&ring->control->hold, memory_order_relaxed);
        ring->known_bytes_taken = atomic_load_explicit(&ring->control->bytes_taken,
                                                       memory_order_acquire);
    }
    return NULL;
}
