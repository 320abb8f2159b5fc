/*
 * Regions: opening them, the own seat in each, and memory for rings.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "guests.h"
#include "log.h"

/* A ring takes at most this part of what is free: others come, too. */
#define SHARE 4

static size_t seat_size(uint32_t size)
{
    return sizeof(struct ferry_guests_seat) + size * sizeof(struct ferry_guests_told);
}

void ferry_guests_region_close(struct ferry_guests_region *region)
{
    ferry_guests_bell_close(region);
    ferry_commons_close(region->commons);
    ferry_guests_memory_unmap(&region->memory);
    free(region->attached);
    free(region);
}

/* Whoever gets no seat, or not the smallest rings, uses no region: now there is another way still. */
static int take_seat(struct ferry_guests_region *region, uint32_t size)
{
    unsigned spares = size < FERRY_GUESTS_SPARES ? size : FERRY_GUESTS_SPARES;
    int error = ferry_commons_alloc(region->commons, seat_size(size), &region->place);

    if (error)
        return error;
    region->seat = region->place.memory;
    while (region->spare_count < spares) {
        error = ferry_commons_alloc(region->commons, FERRY_GUESTS_LEAST,
                                    &region->spares[region->spare_count]);
        if (error)
            return error;
        region->spare_count++;
    }
    return 0;
}

/* Said at the beginning, not of what is looked for again and again. */
static void say_unused(const struct ferry_guests *guests, const struct ferry_guests_memory *memory,
                       const char *why, const char *help)
{
    char text[320];

    if (guests->settled)
        return;
    ferry_guests_memory_describe(memory, text, sizeof(text));
    ferry_log(
        FERRY_LOG_WARN,
        "memory that virtual machines may share is not used, so messages between them take the "
        "network: %s: %s%s%s",
        text, why, help[0] ? ". What would help: " : "", help);
}

static int open_commons(struct ferry_guests *guests, struct ferry_guests_region *region)
{
    const uint8_t *nonce = ferry_core_nonce(guests->base.context);
    struct ferry_commons_params params = {.memory = region->memory.base,
                                          .size = region->memory.size,
                                          .nonce = nonce,
                                          .lease_ms = (uint32_t) (ferry_config()->lease / 1000)};
    char why[320];
    uint8_t id[16];
    int error = ferry_commons_open(&params, &region->commons, why, sizeof(why));

    if (error) {
        say_unused(guests, &region->memory, why, "");
        return error;
    }
    ferry_commons_id(region->commons, id);
    memcpy(&region->tag, id, sizeof(region->tag));
    if (why[0])
        ferry_log(FERRY_LOG_INFO, "%s: %s", region->memory.name, why);
    return 0;
}

static int fill_region(struct ferry_guests *guests, struct ferry_guests_region *region)
{
    uint32_t size = ferry_core_params(guests->base.context)->size;
    int error = ferry_guests_memory_map(&region->memory);

    if (error) {
        say_unused(guests, &region->memory, region->memory.why, region->memory.help);
        return error;
    }
    error = open_commons(guests, region);
    if (error)
        return error;
    error = take_seat(region, size);
    if (error)
        say_unused(guests, &region->memory,
                   error == -ENOSPC ? "it is too small for all who use it" : strerror(-error),
                   "make it larger");
    region->attached = error ? NULL : calloc(size, 1);
    return error ? error : region->attached ? 0 : -ENOMEM;
}

/* Returns NULL where it can't be used. */
static struct ferry_guests_region *
open_region(struct ferry_guests *guests, const struct ferry_guests_memory *memory, unsigned index)
{
    struct ferry_guests_region *region = calloc(1, sizeof(*region));

    if (!region)
        return NULL;
    region->index = index;
    region->memory = *memory;
    region->bell.fd = -1;
    if (!fill_region(guests, region)) {
        ferry_guests_bell_open(guests, region);
        return region;
    }
    ferry_guests_region_close(region);
    return NULL;
}

void ferry_guests_regions_open(struct ferry_guests *guests)
{
    struct ferry_guests_memory found[FERRY_GUESTS_MEMORIES_MAX];
    unsigned count = ferry_guests_memories_find(found);

    for (unsigned i = 0; i < count; i++) {
        struct ferry_guests_region *region = open_region(guests, &found[i], guests->region_count);

        if (region)
            guests->regions[guests->region_count++] = region;
    }
}

/* Whether a region that is not lost is made of this memory. */
static bool is_open(const struct ferry_guests *guests, const struct ferry_guests_memory *memory)
{
    for (unsigned i = 0; i < guests->region_count; i++) {
        const struct ferry_guests_region *region = guests->regions[i];

        if (!region->lost && region->memory.kind == memory->kind &&
            !strcmp(region->memory.name, memory->name))
            return true;
    }
    return false;
}

struct ferry_guests_region *ferry_guests_reopen(struct ferry_guests *guests, unsigned index)
{
    struct ferry_guests_memory found[FERRY_GUESTS_MEMORIES_MAX];
    unsigned count = ferry_guests_memories_find(found);
    struct ferry_guests_region *region = NULL;

    for (unsigned i = 0; i < count && !region; i++)
        if (!is_open(guests, &found[i]))
            region = open_region(guests, &found[i], index);
    if (region) {
        region->knocks = atomic_load(&region->seat->knocks);
        ferry_guests_keep_spares(region, guests->reached);
    }
    return region;
}

void ferry_guests_regions_close(struct ferry_guests *guests)
{
    for (unsigned i = 0; i < guests->region_count; i++)
        ferry_guests_region_close(guests->regions[i]);
}

int ferry_guests_take(struct ferry_guests_region *region, size_t length,
                      struct ferry_commons_segment *segment)
{
    struct ferry_commons_usage usage;

    ferry_commons_usage(region->commons, &usage);
    if (length > usage.free / SHARE)
        return -ENOSPC;
    return ferry_commons_alloc(region->commons, length, segment);
}

int ferry_guests_take_spare(struct ferry_guests_region *region,
                            struct ferry_commons_segment *segment)
{
    if (!region->spare_count)
        return ferry_commons_alloc(region->commons, FERRY_GUESTS_LEAST, segment);
    *segment = region->spares[--region->spare_count];
    return ferry_commons_holds(segment) ? 0 : -ESTALE;
}

void ferry_guests_keep_spares(struct ferry_guests_region *region, unsigned count)
{
    while (region->spare_count > count)
        ferry_commons_free(region->commons, &region->spares[--region->spare_count]);
}

const char *ferry_guests_why_lost(struct ferry_guests_region *region)
{
    char why[320];
    struct ferry_commons_owner self;

    if (atomic_load(&region->memory.faulted))
        return "somebody truncated the file behind the shared memory";
    if (ferry_commons_look(region->memory.base, region->memory.size, why, sizeof(why)) == -ENODATA)
        return "the device of shared memory was taken out of the virtual machine, or erased";
    ferry_commons_self(region->commons, &self);
    switch (ferry_commons_state(region->commons, &self)) {
    case FERRY_COMMONS_SILENT:
    case FERRY_COMMONS_GONE:
        return "this process was silent for longer than FERRY_LEASE, as after a long pause of its "
               "virtual machine, and lost its place in the shared memory";
    default:
        return "somebody wrote nonsense into the shared memory";
    }
}
