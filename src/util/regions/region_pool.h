/*
 * Where regions live, for all caches of the process, and who uses them. Their memory is never given back, so a
 * pointer to one may always be looked at; and each thread counts its own uses of each region, so that threads which
 * use the same one don't hand a cache line to and fro.
 */
#ifndef FERRY_REGION_POOL_H
#define FERRY_REGION_POOL_H

#include <stdatomic.h>
#include <stdbool.h>

#include "regions.h"

enum ferry_region_state {
    FERRY_REGION_FREE,
    FERRY_REGION_ENTERING,
    FERRY_REGION_READY,
    FERRY_REGION_DEAD
};

struct ferry_region_entry {
    /* What a hit reads. */
    struct ferry_region region;
    struct ferry_regions *cache;
    _Atomic uint64_t stamp; /* of the last use: the cache's clock then */
    _Atomic bool live;      /* may be taken */
    /* Under the lock. */
    enum ferry_region_state state;
    uint32_t place; /* in the order of use */
    uint64_t known_stamp;
    struct ferry_region_entry *left, *right; /* in the tree */
    struct ferry_region_entry *next;         /* in whatever list it is */
} __attribute__((aligned(64)));

struct ferry_region_thread {
    _Atomic uint32_t
        uses[FERRY_REGIONS_MAX]; /* taken minus given back by this thread, modulo 2^32 */
    _Atomic uint64_t hits[FERRY_REGIONS_CACHES];
    _Atomic bool taken; /* by a living thread */
    struct ferry_region_thread *next;
};

extern struct ferry_region_pool {
    struct ferry_region_entry *entries;
    bool fences; /* ferry_fence_all() works, so that uses need no fence of their own */
} ferry_region_pool;

/* This thread's counts; NULL before ferry_region_thread(). Read in places where nothing may be allocated. */
extern _Thread_local struct ferry_region_thread *ferry_region_self
    __attribute__((tls_model("initial-exec")));

/* To be called before all else. Errors: -ENOMEM. */
int ferry_region_pool_open(void);

/* This thread's counts, made where there are none. NULL: no memory. */
struct ferry_region_thread *ferry_region_thread(void);

/* Under the lock of the caches. Errors: NULL, too many. */
struct ferry_region_entry *ferry_region_new(void);
void ferry_region_free(struct ferry_region_entry *entry);

/* Whether somebody uses it. Exact for an entry that is not live if ferry_region_settle() was called since. */
bool ferry_region_used(const struct ferry_region_entry *entry);

/* Makes every thread see what this one wrote, and the other way round, with regard to uses. */
void ferry_region_settle(void);

uint64_t ferry_region_hits(unsigned cache);
void ferry_region_forget_hits(unsigned cache);

/* In the child of a fork: the other threads are no more, and the lock was perhaps held. */
void ferry_region_pool_forked(void);

static inline uint32_t ferry_region_number(const struct ferry_region_entry *entry)
{
    return (uint32_t) (entry - ferry_region_pool.entries);
}

/* One use more (1) or less (-1); what is read after that is newer. Only the thread itself writes its counts. */
static inline void ferry_region_use(struct ferry_region_thread *self,
                                    const struct ferry_region_entry *entry, int change)
{
    _Atomic uint32_t *uses = &self->uses[ferry_region_number(entry)];

    atomic_store_explicit(uses,
                          atomic_load_explicit(uses, memory_order_relaxed) + (uint32_t) change,
                          memory_order_release);
    if (ferry_region_pool.fences)
        atomic_signal_fence(memory_order_seq_cst);
    else
        atomic_thread_fence(memory_order_seq_cst);
}

#endif
