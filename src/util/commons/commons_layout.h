/*
 * What lies where in a commons: the head, a table of entries (one for each owner), a table of blocks, then the
 * memory of the blocks. All zero is the empty state of everything but the head. All positions follow from the
 * size alone; each process computes them once, for itself.
 */
#ifndef FERRY_COMMONS_LAYOUT_H
#define FERRY_COMMONS_LAYOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FERRY_COMMONS_MAGIC 0x6d6f437972726546u /* "FerryCom" */

/* Written word by word, each by whoever comes first, the magic last. */
struct ferry_commons_head {
    _Atomic uint64_t magic, version;
    _Atomic uint64_t size;  /* of the region, bytes */
    _Atomic uint64_t shape; /* ferry_commons_shape() of the size: to find out nonsense */
    _Atomic uint64_t id[2];
};

/* So many generations in a row have marks of their own: see below. */
#define FERRY_COMMONS_MARKS 16

struct ferry_commons_entry {
    _Atomic uint64_t state;   /* generation << 8 | enum ferry_commons_entry_state */
    _Atomic uint64_t beats;   /* goes up while the owner lives */
    _Atomic uint64_t silence; /* how long others saw it still: ferry_commons_silence() */
    _Atomic uint64_t lease;   /* ferry_lease_word() */
    _Atomic uint64_t nonce[2];
    _Atomic uint64_t unused[2];
    /* A word for each generation modulo 16: 0 or the id of the owner's thread, in which the kernel sets
     * FUTEX_OWNER_DIED. It compares the ids only, and one of another guest may be the same; so what a process
     * that lost its entry long ago leaves when it dies at last hits another word. */
    _Atomic uint32_t mark[FERRY_COMMONS_MARKS];
};

enum ferry_commons_entry_state {
    FERRY_ENTRY_LEFT, /* this and the next two: free, and why */
    FERRY_ENTRY_DIED,
    FERRY_ENTRY_SILENT,
    FERRY_ENTRY_CLAIMED, /* being filled in; owns nothing yet */
    FERRY_ENTRY_LIVES
};

/* A block is in use while its tag is that of an entry which lives, in the same generation. So one store to an entry
 * frees all blocks of its owner, and what a late owner writes into a tag means nothing. */
struct ferry_commons_block {
    _Atomic uint64_t tag;  /* 0, or generation << 24 | index of the entry << 8 | kind */
    _Atomic uint64_t seal; /* of the segment that begins here */
};

enum ferry_commons_kind { FERRY_BLOCK_FIRST = 1, FERRY_BLOCK_REST };

#define FERRY_GENERATION_MASK (((uint64_t) 1 << 40) - 1)

static inline uint64_t ferry_commons_tag(uint64_t generation, uint32_t index)
{
    return generation << 24 | (uint64_t) index << 8;
}

static inline uint64_t ferry_tag_generation(uint64_t tag)
{
    return tag >> 24;
}

static inline uint32_t ferry_tag_index(uint64_t tag)
{
    return (uint32_t) (tag >> 8 & 0xffff);
}

static inline uint64_t ferry_tag_owner(uint64_t tag)
{
    return tag & ~(uint64_t) 0xff;
}

static inline unsigned ferry_tag_kind(uint64_t tag)
{
    return tag & 0xff;
}

static inline uint64_t ferry_entry_state(uint64_t generation, enum ferry_commons_entry_state state)
{
    return generation << 8 | (uint64_t) state;
}

/* The generation keeps two from writing the same. */
static inline uint64_t ferry_lease_word(uint64_t generation, uint64_t ms)
{
    return generation << 32 | ms;
}

/* The word in which observers sum up the silence, in units of 10 ms, of an owner whose state, beats and mark were all the
 * time what goes into the upper 40 bits. */
#define FERRY_SILENCE_MS 10
#define FERRY_SILENCE_MASK (((uint64_t) 1 << 24) - 1)

static inline uint64_t ferry_commons_silence(uint64_t state, uint64_t beats, bool marked)
{
    return ((beats + (state >> 8 << 24) + (state & 0xff)) * 2 + marked) << 24;
}

struct ferry_commons_layout {
    uint64_t size;
    uint32_t block, blocks, entries;
    uint64_t entries_at, blocks_at, memory_at; /* bytes from the begin */
};

/* The layout for a size, which must be at least FERRY_COMMONS_LEAST. */
void ferry_commons_lay_out(uint64_t size, struct ferry_commons_layout *layout);

/* What the head says of a layout beside its size; not 0. */
uint64_t ferry_commons_shape(const struct ferry_commons_layout *layout);

#endif
