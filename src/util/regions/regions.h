/*
 * A cache of memory that is registered with an adapter, so that a buffer which is used again and again is
 * registered once. Knows no adapter: registering is two functions of the caller's. Why it is right is argued in
 * doc/registration-cache.md.
 */
#ifndef FERRY_REGIONS_H
#define FERRY_REGIONS_H

#include <stddef.h>
#include <stdint.h>

#include "region_policy.h"

/* Caches that may be open at once, and regions of all of them. */
#define FERRY_REGIONS_CACHES 8
#define FERRY_REGIONS_MAX 262144u

struct ferry_regions; /* a cache */

/* Registered memory, whole pages. Belongs to the cache. */
struct ferry_region {
    uintptr_t start, end;
    void *handle; /* the adapter's */
};

/* Both functions may be called by any thread at once with others, never while a lock of the cache's is held; they
 * may allocate, free and unmap. */
struct ferry_regions_adapter {
    /* Registers whole pages. Errors: -ENOMEM, -EAGAIN no more may be locked for now; others as they come. */
    int (*enter)(void *context, void *address, size_t length, void **handle);
    void (*leave)(void *context, void *handle);
    void *context;
};

enum ferry_regions_events {
    FERRY_REGIONS_HOOKED, /* unmapped memory is noticed, or else the cache turns itself off */
    FERRY_REGIONS_TOLD,   /* the caller tells, by ferry_regions_unmapping() */
    FERRY_REGIONS_BLIND   /* nobody tells: off */
};

struct ferry_regions_options {
    uint64_t bytes; /* that are registered at once, at most; 0: as many as the adapter takes */
    uint32_t count; /* of regions, at most; 0: 65536 */
    enum ferry_regions_events events;
    struct ferry_region_policy policy; /* zeroes: whatever is asked for is registered at once */
};

/* Opens a cache; adapter and options are copied. Errors: -ENOMEM; -ENOSPC too many are open. */
int ferry_regions_open(const struct ferry_regions_adapter *adapter,
                       const struct ferry_regions_options *options, struct ferry_regions **out);

/* Deregisters all. No region is in use any more, and no thread is in the cache. */
void ferry_regions_close(struct ferry_regions *cache);

/* Why the cache is off, so that each region serves one request only; NULL: it is on. Static text. */
const char *ferry_regions_off(const struct ferry_regions *cache);

/* A region with all of [address, address + length), to be given back by ferry_regions_put(). Takes tens of
 * nanoseconds when it is found. Any thread; not for signal handlers.
 * Errors: -EAGAIN copy this time; others are the adapter's, and copying helps as well. */
int ferry_regions_get(struct ferry_regions *cache, const void *address, size_t length,
                      const struct ferry_region **out);

/* A request that another side has answered by "copy": the buffer was used, and next time may be registered. As
 * ferry_regions_get() does where it says -EAGAIN. */
void ferry_regions_copied(struct ferry_regions *cache, const void *address, size_t length);

/* Gives it back, from any thread. The memory may be unmapped already. */
void ferry_regions_put(const struct ferry_region *region);

/* Deregisters what was unmapped and is not in use any more. Other calls do so in passing; this one is for who
 * makes none for a while. */
void ferry_regions_reap(struct ferry_regions *cache);

/* For FERRY_REGIONS_TOLD, before the range is unmapped or gets other pages, and after, by the same thread. They
 * wait for no registering, allocate nothing, and tell all caches of the process. */
void ferry_regions_unmapping(uintptr_t start, size_t length);
void ferry_regions_unmapped(void);

struct ferry_regions_counters {
    uint64_t hits, misses;
    uint64_t copies; /* misses that were answered by "copy": registrations avoided */
    uint64_t registrations, failures;
    uint64_t registering_ns; /* time spent in the adapter's enter and leave */
    uint64_t merges;         /* regions that went into a longer one */
    uint64_t evictions, invalidations;
    uint64_t regions, bytes; /* registered now */
    uint64_t bound;          /* bytes that may be; UINT64_MAX: none is known */
};

/* What was counted until now. Any thread. */
struct ferry_regions_counters ferry_regions_count(struct ferry_regions *cache);

#endif
