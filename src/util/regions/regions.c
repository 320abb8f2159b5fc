#include "regions.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "memory_events.h"
#include "regions_internal.h"

#define USUAL_COUNT 65536u

/* ---- Opening and closing ---- */

static void *room(size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

static size_t order_length(const struct ferry_regions *cache)
{
    return cache->options.count * sizeof(cache->order.entries[0]);
}

static void free_cache(struct ferry_regions *cache)
{
    if (cache->front)
        munmap(cache->front, ferry_regions_front_length(cache));
    if (cache->order.entries)
        munmap(cache->order.entries, order_length(cache));
    free(cache);
}

static const char *find_events(enum ferry_regions_events events)
{
    switch (events) {
    case FERRY_REGIONS_HOOKED:
        return ferry_memory_events_start(ferry_regions_unmapping, ferry_regions_unmapped);
    case FERRY_REGIONS_TOLD:
        return NULL;
    default:
        return "nobody tells of unmapped memory";
    }
}

int ferry_regions_open(const struct ferry_regions_adapter *adapter,
                       const struct ferry_regions_options *options, struct ferry_regions **out)
{
    struct ferry_regions *cache;
    int result = ferry_region_pool_open();

    if (result)
        return result;
    cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    cache->adapter = *adapter;
    cache->options = *options;
    if (!cache->options.bytes)
        cache->options.bytes = UINT64_MAX;
    if (!cache->options.count)
        cache->options.count = USUAL_COUNT;
    if (cache->options.count > FERRY_REGIONS_MAX)
        cache->options.count = FERRY_REGIONS_MAX;
    cache->bound = cache->options.bytes;
    /* Two slots for each region, in sets of eight, few of which overflow. */
    while ((cache->front_mask + 1) * FERRY_REGIONS_WAYS < 2 * cache->options.count)
        cache->front_mask = 2 * cache->front_mask + 1;
    cache->front = room(ferry_regions_front_length(cache));
    cache->order.entries = room(order_length(cache));
    if (!cache->front || !cache->order.entries)
        result = -ENOMEM;
    if (!result) {
        cache->off = find_events(options->events);
        result = ferry_regions_list(cache);
    }
    if (result)
        free_cache(cache);
    else
        *out = cache;
    return result;
}

void ferry_regions_close(struct ferry_regions *cache)
{
    ferry_regions_lock();
    ferry_regions_kill_range(cache, 0, UINTPTR_MAX);
    ferry_regions_unlock();
    /* A hit of another cache's may be just looking at what was its region once. */
    for (int tries = 0; tries < 1000 && cache->dead; tries++) {
        ferry_regions_reap(cache);
        sched_yield();
    }
    ferry_regions_unlist(cache);
    free_cache(cache);
}

const char *ferry_regions_off(const struct ferry_regions *cache)
{
    return cache->off;
}

/* ---- Finding ---- */

static struct ferry_region_entry *find(const struct ferry_regions *cache, uintptr_t start)
{
    uint64_t hash = ferry_regions_hash(start);
    _Atomic uint64_t *set = ferry_regions_set(cache, hash);

    for (unsigned i = 0; i < FERRY_REGIONS_WAYS; i++) {
        uint64_t slot = atomic_load_explicit(&set[i], memory_order_acquire);

        if (slot >> 32 == hash >> 32 && (uint32_t) slot)
            return &ferry_region_pool.entries[(uint32_t) slot - 1];
    }
    return NULL;
}

/* Whoever wanted to deregister it may have seen this use; whose region it is now can't be known. */
static void give_up(struct ferry_region_thread *self, struct ferry_region_entry *entry)
{
    ferry_region_use(self, entry, -1);
    if (atomic_load_explicit(&entry->live, memory_order_acquire))
        return;
    ferry_regions_lock();
    if (entry->state == FERRY_REGION_DEAD)
        ferry_regions_alert();
    ferry_regions_unlock();
}

/* Takes it and then looks whether it may be taken: who kills it does these in the other order. */
static bool take(struct ferry_regions *cache, struct ferry_region_thread *self,
                 struct ferry_region_entry *entry, uintptr_t start, uintptr_t end)
{
    uint64_t now = atomic_load_explicit(&cache->clock, memory_order_relaxed) + 1;
    _Atomic uint64_t *hits = &self->hits[cache->number];

    ferry_region_use(self, entry, 1);
    if (!atomic_load_explicit(&entry->live, memory_order_acquire) || entry->cache != cache ||
        start < entry->region.start || end > entry->region.end ||
        atomic_load_explicit(&cache->attention, memory_order_relaxed)) {
        give_up(self, entry);
        return false;
    }
    /* The line of a region that is used by many stays theirs together. */
    if (atomic_load_explicit(&entry->stamp, memory_order_relaxed) != now)
        atomic_store_explicit(&entry->stamp, now, memory_order_relaxed);
    atomic_store_explicit(hits, atomic_load_explicit(hits, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    return true;
}

int ferry_regions_get(struct ferry_regions *cache, const void *address, size_t length,
                      const struct ferry_region **out)
{
    uintptr_t start = (uintptr_t) address, end = start + length;
    struct ferry_region_thread *self = ferry_region_self;
    struct ferry_region_entry *entry = find(cache, start);

    if (__builtin_expect(entry && self && start < end, true) &&
        take(cache, self, entry, start, end)) {
        *out = &entry->region;
        return 0;
    }
    if (start >= end)
        return -EINVAL;
    return ferry_regions_miss(cache, start, end, out);
}

void ferry_regions_put(const struct ferry_region *region)
{
    struct ferry_region_entry *entry = (struct ferry_region_entry *) (uintptr_t) region;
    struct ferry_regions *cache =
        entry->cache; /* it may be another's as soon as it is given back */
    struct ferry_region_thread *self = ferry_region_self;

    if (!self)
        self = ferry_region_thread();
    if (!self)
        return; /* no memory to count in: the region stays registered, which harms nobody else */
    ferry_region_use(self, entry, -1);
    if (__builtin_expect(!atomic_load_explicit(&entry->live, memory_order_acquire), false))
        ferry_regions_reap(cache);
}

/* ---- Counters ---- */

struct ferry_regions_counters ferry_regions_count(struct ferry_regions *cache)
{
    struct ferry_regions_counters counters;

    ferry_regions_lock();
    counters = cache->counters;
    counters.regions = cache->count;
    counters.bytes = cache->bytes;
    counters.bound = cache->bound;
    ferry_regions_unlock();
    counters.hits += ferry_region_hits(cache->number);
    return counters;
}
