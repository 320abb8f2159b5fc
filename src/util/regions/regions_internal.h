/*
 * What the files of the registration cache share. One lock guards all caches; it is held for short steps in memory
 * only: never while an adapter works, while something is allocated or freed, nor while a fence is waited for.
 */
#ifndef FERRY_REGIONS_INTERNAL_H
#define FERRY_REGIONS_INTERNAL_H

#include "region_order.h"
#include "region_pool.h"
#include "region_tree.h"

#define FERRY_REGIONS_PAGE 4096u
/* Slots of one cache line: places for the same hash. */
#define FERRY_REGIONS_WAYS 8u

struct ferry_regions {
    /* Read by every hit. */
    _Atomic uint64_t *front; /* page's hash << 32 | number of a region + 1; 0: nothing */
    uint32_t front_mask;     /* of sets of slots */
    unsigned number;         /* of this cache */
    _Atomic bool attention;  /* something is to be reaped, or all to be dropped */
    _Atomic uint64_t clock;  /* two for each miss; a hit after it counts as one more */

    struct ferry_regions_adapter adapter;
    struct ferry_regions_options options;
    const char *off;

    /* Under the lock. */
    struct ferry_region_entry *tree; /* ENTERING and READY */
    struct ferry_region_order order; /* READY */
    struct ferry_region_entry *dead; /* perhaps in use; to be deregistered */
    uint32_t count;                  /* regions that are registered, dead ones included */
    uint64_t bytes;                  /* of these */
    uint64_t bound;                  /* lowered when registering fails */
    uint32_t turned_away;            /* by a lowered bound */
    uint32_t front_victim;
    struct ferry_regions_counters counters;
    struct ferry_region_seen seen;
};

/* ---- regions_lock.c: the lock, the list of caches, what happens at fork ---- */

void ferry_regions_lock(void);
void ferry_regions_unlock(void);
/* Errors: -ENOSPC. */
int ferry_regions_list(struct ferry_regions *cache);
void ferry_regions_unlist(struct ferry_regions *cache);
/* Makes all caches look for what is to be done. Under the lock. */
void ferry_regions_alert(void);
/* Whether memory in the range is being unmapped at this moment. Under the lock. */
bool ferry_regions_vanishing(uintptr_t start, uintptr_t end);

/* ---- regions_index.c: under the lock ---- */

/* Takes a region out of the index at once; false: it is being registered, and nobody will find it. */
bool ferry_regions_kill(struct ferry_region_entry *entry);
/* All that overlap; returns how many. */
unsigned ferry_regions_kill_range(struct ferry_regions *cache, uintptr_t start, uintptr_t end);
/* Makes it dead that its users deregister it. */
void ferry_regions_bury(struct ferry_region_entry *entry);
/* Drops one that is not in use, of all the one whose last use is the oldest. False: there is none. */
bool ferry_regions_evict(struct ferry_regions *cache);
/* Lets hits at address find the region. */
void ferry_regions_front(struct ferry_regions *cache, uintptr_t address,
                         struct ferry_region_entry *entry);

/* Hits find nothing any more. */
void ferry_regions_front_clear(struct ferry_regions *cache);

static inline size_t ferry_regions_front_length(const struct ferry_regions *cache)
{
    return ((size_t) cache->front_mask + 1) * FERRY_REGIONS_WAYS * sizeof(cache->front[0]);
}

static inline uint64_t ferry_regions_hash(uintptr_t address)
{
    return address / FERRY_REGIONS_PAGE * 0x9e3779b97f4a7c15u;
}

static inline _Atomic uint64_t *ferry_regions_set(const struct ferry_regions *cache, uint64_t hash)
{
    return &cache->front[((uint32_t) (hash >> 20) & cache->front_mask) * FERRY_REGIONS_WAYS];
}

/* ---- regions_miss.c ---- */

int ferry_regions_miss(struct ferry_regions *cache, uintptr_t start, uintptr_t end,
                       const struct ferry_region **out);

#endif
