/*
 * What the parts of the commons share.
 *
 * Every access to the tables goes through one of the four functions below. Loads acquire and swaps acquire and
 * release: who finds a block free, or an entry dead, by what another wrote, comes after all that the other did before.
 * Where that is not enough there is a fence, with its reason. x86-64 needs no instruction for it but the locked swap;
 * arm64 has ldar and casal.
 *
 * The rule that keeps late writes out: a word in the region changes only by a swap from a value that was read
 * before the entry was last seen to be the own. Whoever was paused meanwhile, and lost the entry, then either
 * swaps before the new owner, whose own swap fails and is done again, or fails himself. (Values don't come
 * back: they are random or hold the generation.)
 */
#ifndef FERRY_COMMONS_INTERNAL_H
#define FERRY_COMMONS_INTERNAL_H

#include <pthread.h>

#include "commons.h"
#include "commons_layout.h"

/* A test may put something between the accesses. */
#ifndef FERRY_COMMONS_STEP
#define FERRY_COMMONS_STEP() ((void) 0)
#endif

/* Nobody else swaps the same word so often, unless to disturb. */
#define FERRY_COMMONS_TRIES 64

struct ferry_commons_mark;

/* What this process saw of another owner. */
struct ferry_commons_seen {
    uint64_t state, beats, looked_ns;
    uint64_t before_ms, silent_ns; /* silence: by others before, and what was seen since */
    bool marked;
};

struct ferry_commons_own {
    struct ferry_commons_own *next;
    struct ferry_commons_segment segment;
};

struct ferry_commons {
    struct ferry_commons_layout layout;
    char *memory;
    struct ferry_commons_entry *entries;
    struct ferry_commons_block *blocks;
    int pid;
    uint64_t nonce[2];
    uint64_t lease_ms;

    /* The own entry. */
    uint32_t index;
    bool owns;                           /* there is one */
    uint64_t generation, claimed, lives; /* the last two: its state */
    struct ferry_commons_mark *mark;     /* NULL: no thread */

    pthread_mutex_t lock; /* of the rest */
    bool closing, lost;
    struct ferry_commons_own *own;
    struct ferry_commons_seen *seen; /* one for each entry */
};

static inline uint64_t ferry_word(const _Atomic uint64_t *word)
{
    FERRY_COMMONS_STEP();
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline bool ferry_word_swap(_Atomic uint64_t *word, uint64_t from, uint64_t to)
{
    FERRY_COMMONS_STEP();
    return atomic_compare_exchange_strong_explicit(word, &from, to, memory_order_acq_rel,
                                                   memory_order_acquire);
}

static inline uint32_t ferry_mark(const _Atomic uint32_t *word)
{
    FERRY_COMMONS_STEP();
    return atomic_load_explicit(word, memory_order_acquire);
}

static inline bool ferry_mark_swap(_Atomic uint32_t *word, uint32_t from, uint32_t to)
{
    FERRY_COMMONS_STEP();
    return atomic_compare_exchange_strong_explicit(word, &from, to, memory_order_acq_rel,
                                                   memory_order_acquire);
}

static inline struct ferry_commons_entry *ferry_commons_entry(const struct ferry_commons *commons)
{
    return &commons->entries[commons->index];
}

/* Whether the own entry is in a state. */
static inline bool ferry_commons_is(const struct ferry_commons *commons, uint64_t state)
{
    return ferry_word(&ferry_commons_entry(commons)->state) == state;
}

/* A lease within what is possible, ms. */
static inline uint64_t ferry_commons_lease(uint64_t ms)
{
    return ms < FERRY_COMMONS_LEASE_LEAST ? FERRY_COMMONS_LEASE_LEAST
           : ms > FERRY_COMMONS_LEASE_MAX ? FERRY_COMMONS_LEASE_MAX
                                          : ms;
}

/* ---- commons_head.c ---- */

/* Formats the region if it must be, and finds its layout. Errors: as ferry_commons_open(). */
int ferry_commons_found(void *memory, size_t size, struct ferry_commons_layout *layout, char *why,
                        size_t room);

/* ---- commons_owners.c ---- */

/* Takes an entry and fills it in; it is claimed then. Errors: -EUSERS. */
int ferry_commons_claim(struct ferry_commons *commons);

/* Makes the own entry live. Errors: -ESTALE it was lost meanwhile. */
int ferry_commons_begin(struct ferry_commons *commons);

/* Gives the own entry back, and with it all blocks. */
void ferry_commons_end(struct ferry_commons *commons);

/* Writes a word of the own entry, or of a block, by the rule above; state: the own entry's. False: it was lost. */
bool ferry_commons_write(struct ferry_commons *commons, uint64_t state, _Atomic uint64_t *word,
                         uint64_t value);
/* The own mark. */
bool ferry_commons_write_mark(struct ferry_commons *commons, uint32_t value);
_Atomic uint32_t *ferry_commons_own_mark(const struct ferry_commons *commons);

bool ferry_commons_beat(struct ferry_commons *commons);

/* Looks at all other entries, and takes those from their owners that are dead or silent. To be called with the
 * lock. now_ns: 0, the clock; else what it is taken to show. */
void ferry_commons_judge(struct ferry_commons *commons, uint64_t now_ns);

/* Whether a tag is that of a living owner's block. */
bool ferry_commons_is_used(const struct ferry_commons *commons, uint64_t tag);

/* ---- commons_mark.c ---- */

/* Starts the thread that beats, and whose death marks the own entry. The entry must be claimed. *works: whether a trial
 * showed that the kernel does mark it. Errors: -ENOMEM, -EAGAIN, -ESTALE. */
int ferry_commons_mark_start(struct ferry_commons *commons, bool *works);

/* Ends the thread; nothing gets marked. */
void ferry_commons_mark_stop(struct ferry_commons_mark *mark);

/* Frees what a child got by fork. */
void ferry_commons_mark_forget(struct ferry_commons_mark *mark);

#endif
