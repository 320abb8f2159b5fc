/*
 * A region of memory for tests of the commons, which several processes share.
 */
#ifndef FERRY_TEST_COMMONS_REGION_H
#define FERRY_TEST_COMMONS_REGION_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "auth.h"
#include "child.h"
#include "commons.h"

#define MIB ((size_t) 1 << 20)
#define MS ((uint64_t) 1000000)
#define SECOND (1000 * MS)

/* All zero, shared with children. */
static char *region_new(size_t size)
{
    char *region = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (region == MAP_FAILED)
        abort();
    return region;
}

/* Opens a region as a process of its own would. NULL: it can't be. */
static struct ferry_commons *region_open(char *region, size_t size, uint32_t lease_ms, bool thread)
{
    uint8_t nonce[16];
    struct ferry_commons_params params = {.memory = region,
                                          .size = size,
                                          .nonce = nonce,
                                          .lease_ms = lease_ms,
                                          .without_thread = !thread};
    struct ferry_commons *commons = NULL;
    char why[256];

    ferry_random(nonce, sizeof(nonce));
    return ferry_commons_open(&params, &commons, why, sizeof(why)) ? NULL : commons;
}

static uint64_t region_free(struct ferry_commons *commons)
{
    struct ferry_commons_usage usage;

    ferry_commons_usage(commons, &usage);
    return usage.free;
}

static bool region_is_empty(struct ferry_commons *commons)
{
    struct ferry_commons_usage usage;

    ferry_commons_usage(commons, &usage);
    return usage.free == usage.total;
}

#endif
