/*
 * When to copy and when to register, by what both cost on this machine.
 */
#ifndef FERRY_REGION_POLICY_H
#define FERRY_REGION_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ferry_regions_adapter;

/* Times in picoseconds. Zeroes: registering costs nothing. */
struct ferry_region_policy {
    uint64_t register_ps, register_page_ps; /* once and for each page, deregistering included */
    uint64_t copy_kib_ps;                   /* for 1024 bytes */
    uint64_t lookup_ps;                     /* of a region that is found, given back as well */
    uint64_t copies;                        /* uses of a buffer that are copied in any case */
    uint64_t copies_most;                   /* and no more than these; 0: no limit */
};

/* Measures with length bytes at slab (whole pages, two at least; their contents are lost). Takes some ten times
 * what registering and copying the slab take. Errors: what the adapter's enter returned. */
int ferry_region_policy_measure(const struct ferry_regions_adapter *adapter, void *slab,
                                size_t length, struct ferry_region_policy *out);

/* How many uses of a buffer to copy before it is registered: as many as cost what registering costs, so that at
 * worst twice the least possible is paid (the "ski rental" problem, Karlin et al. 1988). UINT64_MAX: copying
 * takes less than looking it up. */
uint64_t ferry_region_policy_copies(const struct ferry_region_policy *policy, size_t length);

/* Whether a registration pays that serves one use. */
bool ferry_region_policy_once(const struct ferry_region_policy *policy, size_t length);

/* Of what length registered memory that lies beside is registered anew together with a new region: while that
 * costs no more than the fixed part. */
size_t ferry_region_policy_beside(const struct ferry_region_policy *policy);

/* Buffers that were copied lately. Bounded: the oldest of some that share a place is forgotten. */
#define FERRY_REGION_SEEN 1024
struct ferry_region_seen {
    struct ferry_region_sight {
        uintptr_t start;
        uint64_t uses;
    } sights[FERRY_REGION_SEEN];
};

/* How often start was noted before, and notes it once more. One thread at a time. */
uint64_t ferry_region_seen_note(struct ferry_region_seen *seen, uintptr_t start);

#endif
