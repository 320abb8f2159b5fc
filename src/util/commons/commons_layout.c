#include "commons_layout.h"

#define LEAST_BLOCK 4096u
/* Indices of blocks and of entries have 16 bits. */
#define BLOCKS_MAX 65536u
#define ENTRIES_LEAST 32u
#define ENTRIES_MAX 1024u
/* A process wants some segments, and these have several blocks. */
#define BLOCKS_PER_ENTRY 16u
#define HEAD_LENGTH 4096u

static uint64_t round_up(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

void ferry_commons_lay_out(uint64_t size, struct ferry_commons_layout *layout)
{
    uint32_t most = ENTRIES_LEAST;
    uint64_t block = LEAST_BLOCK;

    size = size / LEAST_BLOCK * LEAST_BLOCK;
    while (size / block > BLOCKS_MAX)
        block *= 2;
    while (most < ENTRIES_MAX && (uint64_t) most * BLOCKS_PER_ENTRY < size / block)
        most *= 2;
    *layout = (struct ferry_commons_layout){
        .size = size, .block = (uint32_t) block, .entries = most, .entries_at = HEAD_LENGTH};
    layout->blocks_at = layout->entries_at + most * sizeof(struct ferry_commons_entry);
    layout->memory_at =
        round_up(layout->blocks_at + size / block * sizeof(struct ferry_commons_block), block);
    layout->blocks = (uint32_t) ((size - layout->memory_at) / block);
}

uint64_t ferry_commons_shape(const struct ferry_commons_layout *layout)
{
    return (uint64_t) layout->block << 32 | layout->blocks | (uint64_t) layout->entries << 20;
}
