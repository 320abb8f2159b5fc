/*
 * The lock, and those who come without warning: memory that is unmapped, and fork().
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "regions_internal.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct ferry_regions *caches[FERRY_REGIONS_CACHES];

/* Whether this thread has the lock. volatile: a signal handler looks. */
static _Thread_local volatile bool holding __attribute__((tls_model("initial-exec")));

/* In a thread that forks: the parent. */
static _Thread_local volatile pid_t forking __attribute__((tls_model("initial-exec")));

/* A signal handler unmapped something while its thread had the lock. */
static _Atomic bool drop_all;

/* Ranges that are being unmapped. */
#define RANGES 64
static struct {
    uintptr_t start, end;
} ranges[RANGES];
static _Atomic uint64_t ranges_used;
static _Atomic uint32_t ranges_lost; /* for want of a place */
static _Thread_local struct {
    uint64_t ranges;
    uint32_t lost;
} mine __attribute__((tls_model("initial-exec")));

static void drop(void)
{
    while (atomic_exchange(&drop_all, false))
        for (unsigned i = 0; i < FERRY_REGIONS_CACHES; i++)
            if (caches[i])
                ferry_regions_kill_range(caches[i], 0, UINTPTR_MAX);
}

/* The mark is set before and cleared after, so that no signal handler waits for its own thread. One that comes at the
 * seams leaves its wish to whoever locks next; until then attention keeps hits away. */
void ferry_regions_lock(void)
{
    holding = true;
    pthread_mutex_lock(&lock);
    drop();
}

void ferry_regions_unlock(void)
{
    drop();
    pthread_mutex_unlock(&lock);
    holding = false;
}

void ferry_regions_alert(void)
{
    for (unsigned i = 0; i < FERRY_REGIONS_CACHES; i++)
        if (caches[i])
            atomic_store(&caches[i]->attention, true);
}

bool ferry_regions_vanishing(uintptr_t start, uintptr_t end)
{
    uint64_t used = atomic_load(&ranges_used);

    if (atomic_load(&ranges_lost))
        return true;
    for (; used; used &= used - 1) {
        unsigned i = (unsigned) __builtin_ctzll(used);

        if (ranges[i].start < end && start < ranges[i].end)
            return true;
    }
    return false;
}

void ferry_regions_unmapping(uintptr_t start, size_t length)
{
    uintptr_t end = start + length < start ? UINTPTR_MAX : start + length;
    uint64_t unused;

    /* In a child in which the lock is not made anew yet. */
    if (forking && forking != getpid())
        return;
    if (holding) {
        atomic_store(&drop_all, true);
        ferry_regions_alert();
        return;
    }
    ferry_regions_lock();
    unused = ~atomic_load(&ranges_used);
    if (unused) {
        unsigned i = (unsigned) __builtin_ctzll(unused);

        ranges[i].start = start;
        ranges[i].end = end;
        atomic_fetch_or(&ranges_used, 1ull << i);
        mine.ranges |= 1ull << i;
    } else {
        atomic_fetch_add(&ranges_lost, 1);
        mine.lost++;
    }
    for (unsigned i = 0; i < FERRY_REGIONS_CACHES; i++)
        if (caches[i])
            caches[i]->counters.invalidations += ferry_regions_kill_range(caches[i], start, end);
    ferry_regions_unlock();
}

void ferry_regions_unmapped(void)
{
    if (mine.ranges)
        atomic_fetch_and(&ranges_used, ~mine.ranges);
    if (mine.lost)
        atomic_fetch_sub(&ranges_lost, mine.lost);
    mine.ranges = 0;
    mine.lost = 0;
}

/* ---- fork(): what was registered is the parent's ---- */

/* The lock is not held meanwhile: fork() takes malloc()'s locks, which a thread that waits here may have. So whatever
 * it guards may be half done in the child, where all of it is forgotten. */
static void before_fork(void)
{
    forking = getpid();
}

static void in_parent(void)
{
    forking = 0;
}

static void forget(struct ferry_regions *cache)
{
    cache->off = "this is the child of a fork";
    cache->tree = cache->dead = NULL;
    cache->order.count = 0;
    cache->count = 0;
    cache->bytes = 0;
    atomic_store(&cache->attention, false);
    ferry_regions_front_clear(cache);
}

static void in_child(void)
{
    pthread_mutex_init(&lock, NULL);
    atomic_store(&drop_all, false);
    atomic_store(&ranges_used, 0);
    atomic_store(&ranges_lost, 0);
    ferry_region_pool_forked();
    for (unsigned i = 0; i < FERRY_REGIONS_CACHES; i++)
        if (caches[i])
            forget(caches[i]);
    forking = 0;
}

static void watch_forks(void)
{
    pthread_atfork(before_fork, in_parent, in_child);
}

/* ---- The list ---- */

int ferry_regions_list(struct ferry_regions *cache)
{
    int result = -ENOSPC;

    pthread_once(&once, watch_forks);
    ferry_regions_lock();
    for (unsigned i = 0; i < FERRY_REGIONS_CACHES && result; i++) {
        if (caches[i])
            continue;
        cache->number = i;
        ferry_region_forget_hits(i);
        caches[i] = cache;
        result = 0;
    }
    ferry_regions_unlock();
    return result;
}

void ferry_regions_unlist(struct ferry_regions *cache)
{
    ferry_regions_lock();
    caches[cache->number] = NULL;
    ferry_regions_unlock();
}
