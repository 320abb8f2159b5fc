/*
 * What is not found at once: looked up in the tree, registered, or to be copied; and deregistering.
 */
#include <errno.h>

#include "clock.h"
#include "regions_internal.h"

/* A request that starts over again and again, as others get in its way, is copied. */
#define TRIES 16
/* Requests which a lowered bound turned away before the first bound is tried again. */
#define PATIENCE 1000

struct wish {
    struct ferry_regions *cache;
    uintptr_t start, end;             /* what the caller asked for */
    uintptr_t exact_start, exact_end; /* its pages */
    uintptr_t from, to;               /* what is to be registered */
};

/* ---- Deregistering ---- */

/* Of the dead those that nobody uses; the others are dead again. */
static struct ferry_region_entry *pick(struct ferry_regions *cache, struct ferry_region_entry *dead)
{
    struct ferry_region_entry *picked = NULL, *next;

    for (; dead; dead = next) {
        struct ferry_region_entry **list = ferry_region_used(dead) ? &cache->dead : &picked;

        next = dead->next;
        dead->next = *list;
        *list = dead;
    }
    return picked;
}

void ferry_regions_reap(struct ferry_regions *cache)
{
    struct ferry_region_entry *dead, *next;
    uint64_t start;

    ferry_regions_lock();
    atomic_store(&cache->attention, false);
    dead = cache->dead;
    cache->dead = NULL;
    ferry_regions_unlock();
    if (!dead)
        return;
    ferry_region_settle();
    ferry_regions_lock();
    dead = pick(cache, dead);
    ferry_regions_unlock();
    for (; dead; dead = next) {
        next = dead->next;
        start = ferry_now_ns();
        cache->adapter.leave(cache->adapter.context, dead->region.handle);
        start = ferry_now_ns() - start;
        ferry_regions_lock();
        cache->counters.registering_ns += start;
        cache->count--;
        cache->bytes -= dead->region.end - dead->region.start;
        ferry_region_free(dead);
        ferry_regions_unlock();
    }
}

/* ---- Under the lock ---- */

/* 0 found, -EAGAIN somebody is registering it, 1 there is none. */
static int search(struct wish *wish, const struct ferry_region **out)
{
    struct ferry_regions *cache = wish->cache;
    struct ferry_region_entry *entry = ferry_region_tree_above(cache->tree, wish->start);

    if (!entry || entry->region.start > wish->start || entry->region.end < wish->end)
        return 1;
    if (entry->state != FERRY_REGION_READY)
        return -EAGAIN;
    ferry_region_use(ferry_region_self, entry, 1);
    atomic_store(&entry->stamp, atomic_load(&cache->clock) + 1);
    ferry_regions_front(cache, wish->start, entry);
    cache->counters.hits++;
    *out = &entry->region;
    return 0;
}

/* Takes in what overlaps, and what lies directly beside where that is cheap. */
static void widen(struct wish *wish)
{
    struct ferry_regions *cache = wish->cache;
    size_t beside = ferry_region_policy_beside(&cache->options.policy);
    struct ferry_region_entry *entry = ferry_region_tree_above(cache->tree, wish->from - 1);

    if (entry && entry->region.start < wish->from &&
        (entry->region.end > wish->from || wish->from - entry->region.start <= beside))
        wish->from = entry->region.start;
    entry = ferry_region_tree_below(cache->tree, wish->to + 1);
    if (entry && entry->region.end > wish->to &&
        (entry->region.start < wish->to || entry->region.end - wish->to <= beside))
        wish->to = entry->region.end;
}

/* False: it was no more than its pages before. */
static bool narrow(struct wish *wish)
{
    if (wish->from == wish->exact_start && wish->to == wish->exact_end)
        return false;
    wish->from = wish->exact_start;
    wish->to = wish->exact_end;
    return true;
}

/* Whether memory in it is being unmapped or registered by others. */
static bool disputed(const struct wish *wish)
{
    struct ferry_region_entry *entry = ferry_region_tree_above(wish->cache->tree, wish->from);

    if (ferry_regions_vanishing(wish->from, wish->to))
        return true;
    while (entry && entry->region.start < wish->to) {
        if (entry->state != FERRY_REGION_READY)
            return true;
        entry = ferry_region_tree_above(wish->cache->tree, entry->region.end);
    }
    return false;
}

static bool fits(const struct wish *wish)
{
    const struct ferry_regions *cache = wish->cache;

    return cache->count < cache->options.count && cache->bytes <= cache->bound &&
           wish->to - wish->from <= cache->bound - cache->bytes;
}

/* Drops regions until there will be room. 0: there is; 1: once what was dropped is deregistered. */
static int make_room(struct wish *wish)
{
    struct ferry_regions *cache = wish->cache;
    uint64_t bytes = cache->bytes, length = wish->to - wish->from;
    uint32_t count = cache->count;

    for (const struct ferry_region_entry *entry = cache->dead; entry; entry = entry->next) {
        bytes -= entry->region.end - entry->region.start;
        count--;
    }
    if (length > cache->bound)
        return -EAGAIN;
    while (count >= cache->options.count || bytes > cache->bound - length) {
        if (!ferry_regions_evict(cache))
            return -EAGAIN;
        bytes -= cache->dead->region.end - cache->dead->region.start;
        count--;
    }
    return fits(wish) ? 0 : 1;
}

/* Registering failed for want of memory that may be locked. What is registered now is taken for the most that there
 * may be, so that as much goes as is to come; less where all of that is less. */
static void lower_bound(struct wish *wish)
{
    struct ferry_regions *cache = wish->cache;
    uint64_t length = wish->to - wish->from;
    uint64_t most = cache->bytes >= length ? cache->bytes
                                           : cache->bytes + length - FERRY_REGIONS_PAGE;

    if (most < cache->bound)
        cache->bound = most;
}

static void turn_away(struct ferry_regions *cache)
{
    if (cache->bound < cache->options.bytes && ++cache->turned_away >= PATIENCE) {
        cache->turned_away = 0;
        cache->bound = cache->options.bytes;
    }
}

/* ---- Registering ---- */

/* Called with the lock, returns without. 1: try again. */
static int enter(struct wish *wish, bool alone, const struct ferry_region **out)
{
    struct ferry_regions *cache = wish->cache;
    struct ferry_region_entry *entry = ferry_region_new();
    uint64_t length = wish->to - wish->from, start;
    int result;

    if (!entry) {
        ferry_regions_unlock();
        return -EAGAIN;
    }
    entry->region = (struct ferry_region){.start = wish->from, .end = wish->to};
    entry->cache = cache;
    entry->state = alone ? FERRY_REGION_DEAD : FERRY_REGION_ENTERING;
    atomic_store(&entry->stamp, atomic_load(&cache->clock));
    if (!alone)
        ferry_region_tree_insert(&cache->tree, entry);
    cache->count++;
    cache->bytes += length;
    ferry_region_use(ferry_region_self, entry, 1);
    ferry_regions_unlock();
    start = ferry_now_ns();
    result = cache->adapter.enter(cache->adapter.context, (void *) wish->from, length,
                                  &entry->region.handle);
    start = ferry_now_ns() - start;
    ferry_regions_lock();
    cache->counters.registering_ns += start;
    if (result) {
        if (entry->state == FERRY_REGION_ENTERING)
            ferry_regions_kill(entry);
        ferry_region_use(ferry_region_self, entry, -1);
        cache->count--;
        cache->bytes -= length;
        cache->counters.failures++;
        ferry_region_free(entry);
        if (result == -ENOMEM || result == -EAGAIN)
            lower_bound(wish);
        ferry_regions_unlock();
        return result;
    }
    cache->counters.registrations++;
    if (entry->state == FERRY_REGION_ENTERING) {
        entry->state = FERRY_REGION_READY;
        ferry_region_order_add(&cache->order, entry);
        ferry_regions_front(cache, wish->start, entry);
        atomic_store(&entry->live, true);
    } else {
        /* It was unmapped, or the cache is off: it serves this request and no other. */
        ferry_regions_bury(entry);
    }
    *out = &entry->region;
    ferry_regions_unlock();
    return 0;
}

/* Makes the wish one that can be registered. Under the lock. 0: it is; 1: try again after deregistering. */
static int prepare(struct wish *wish)
{
    struct ferry_regions *cache = wish->cache;
    unsigned merged;
    int result;

    if (disputed(wish) && (!narrow(wish) || disputed(wish)))
        return -EAGAIN;
    merged = ferry_regions_kill_range(cache, wish->from, wish->to);
    cache->counters.merges += merged;
    result = make_room(wish);
    if (result < 0 && narrow(wish))
        result = make_room(wish);
    return result == 0 && merged ? 1 : result;
}

/* Whether another try may go better than one that ended with this error. */
static bool try_again(struct wish *wish, int error)
{
    return error == -ENOMEM || error == -EAGAIN || narrow(wish);
}

/* Called with the lock, returns without. */
static int enter_shared(struct wish *wish, const struct ferry_region **out)
{
    struct ferry_regions *cache = wish->cache;
    int result;

    widen(wish);
    for (int tries = 0; tries < TRIES; tries++) {
        result = search(wish, out);
        if (result == 1)
            result = prepare(wish);
        else if (result == 0)
            break;
        if (result < 0) {
            turn_away(cache);
            break;
        }
        if (result == 0) {
            result = enter(wish, false, out);
            if (result == 0 || !try_again(wish, result))
                return result;
        } else {
            ferry_regions_unlock();
        }
        ferry_regions_reap(cache);
        result = -EAGAIN;
        ferry_regions_lock();
    }
    ferry_regions_unlock();
    return result;
}

/* Called with the lock, returns without. */
static int enter_alone(struct wish *wish, const struct ferry_region **out)
{
    int result = -EAGAIN;

    if (!ferry_region_policy_once(&wish->cache->options.policy, wish->end - wish->start) ||
        !fits(wish)) {
        wish->cache->counters.copies++;
        ferry_regions_unlock();
        return result;
    }
    result = enter(wish, true, out);
    return result == -ENOMEM ? -EAGAIN : result;
}

static bool copy_first(struct wish *wish)
{
    struct ferry_regions *cache = wish->cache;
    uint64_t copies = ferry_region_policy_copies(&cache->options.policy, wish->end - wish->start);

    if (copies == 0 ||
        (copies != UINT64_MAX && ferry_region_seen_note(&cache->seen, wish->start) >= copies))
        return false;
    cache->counters.copies++;
    return true;
}

int ferry_regions_miss(struct ferry_regions *cache, uintptr_t start, uintptr_t end,
                       const struct ferry_region **out)
{
    const uintptr_t page = FERRY_REGIONS_PAGE;
    struct wish wish = {.cache = cache, .start = start, .end = end};
    int result;

    if (end > UINTPTR_MAX - page || !ferry_region_thread())
        return -EAGAIN;
    wish.exact_start = wish.from = start & ~(page - 1);
    wish.exact_end = wish.to = (end + page - 1) & ~(page - 1);
    *out = NULL;
    if (atomic_load(&cache->attention))
        ferry_regions_reap(cache);
    ferry_regions_lock();
    result = search(&wish, out);
    if (result != 1) {
        ferry_regions_unlock();
        return result;
    }
    atomic_fetch_add(&cache->clock, 2);
    cache->counters.misses++;
    if (cache->off)
        return enter_alone(&wish, out);
    if (copy_first(&wish)) {
        ferry_regions_unlock();
        return -EAGAIN;
    }
    return enter_shared(&wish, out);
}

void ferry_regions_copied(struct ferry_regions *cache, const void *address, size_t length)
{
    uintptr_t start = (uintptr_t) address;
    struct ferry_region_entry *entry;

    ferry_regions_lock();
    entry = ferry_region_tree_above(cache->tree, start);
    if (!cache->off &&
        (!entry || entry->region.start > start || entry->region.end < start + length))
        ferry_region_seen_note(&cache->seen, start);
    ferry_regions_unlock();
}
