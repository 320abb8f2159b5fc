#include "regions_internal.h"

#include <sys/mman.h>

/* Who sees that it is not live, under the lock or after ferry_region_settle(), has given back his use of it or
 * will; see doc/registration-cache.md. */
bool ferry_regions_kill(struct ferry_region_entry *entry)
{
    struct ferry_regions *cache = entry->cache;
    bool ready = entry->state == FERRY_REGION_READY;

    atomic_store(&entry->live, false);
    ferry_region_tree_remove(&cache->tree, entry);
    entry->state = FERRY_REGION_DEAD;
    if (ready) {
        ferry_region_order_remove(&cache->order, entry);
        ferry_regions_bury(entry);
    }
    return ready;
}

void ferry_regions_bury(struct ferry_region_entry *entry)
{
    struct ferry_regions *cache = entry->cache;

    entry->next = cache->dead;
    cache->dead = entry;
    atomic_store(&cache->attention, true);
}

unsigned ferry_regions_kill_range(struct ferry_regions *cache, uintptr_t start, uintptr_t end)
{
    struct ferry_region_entry *entry;
    unsigned killed = 0;

    while ((entry = ferry_region_tree_above(cache->tree, start)) && entry->region.start < end) {
        ferry_regions_kill(entry);
        killed++;
    }
    return killed;
}

bool ferry_regions_evict(struct ferry_regions *cache)
{
    uint64_t now = atomic_load(&cache->clock) + 1;

    for (uint32_t tries = cache->order.count; tries > 0; tries--) {
        struct ferry_region_entry *entry = ferry_region_order_oldest(&cache->order);

        if (!ferry_region_used(entry)) {
            ferry_regions_kill(entry);
            cache->counters.evictions++;
            return true;
        }
        if (atomic_load(&entry->stamp) == now)
            break; /* whatever else there is was used since the last miss as well */
        atomic_store(&entry->stamp, now);
    }
    return false;
}

/* A slot that says nothing any more, or the next one in turn. */
static unsigned choose(struct ferry_regions *cache, _Atomic uint64_t *set, uint64_t tag)
{
    for (unsigned i = 0; i < FERRY_REGIONS_WAYS; i++)
        if (set[i] >> 32 == tag)
            return i;
    for (unsigned i = 0; i < FERRY_REGIONS_WAYS; i++) {
        uint32_t number = (uint32_t) set[i];

        if (!number || !atomic_load(&ferry_region_pool.entries[number - 1].live))
            return i;
    }
    return cache->front_victim++ % FERRY_REGIONS_WAYS;
}

void ferry_regions_front(struct ferry_regions *cache, uintptr_t address,
                         struct ferry_region_entry *entry)
{
    uint64_t hash = ferry_regions_hash(address), tag = hash >> 32;
    _Atomic uint64_t *set = ferry_regions_set(cache, hash);

    atomic_store_explicit(&set[choose(cache, set, tag)],
                          tag << 32 | (ferry_region_number(entry) + 1), memory_order_release);
}

void ferry_regions_front_clear(struct ferry_regions *cache)
{
    madvise(cache->front, ferry_regions_front_length(cache), MADV_DONTNEED);
}
