#include "region_policy.h"

#include <string.h>

#include "clock.h"
#include "regions.h"

#define PAGE 4096u
#define WAYS 4
#define ROUNDS 5
#define LOOKUPS 2000

static uint64_t register_ps(const struct ferry_region_policy *policy, size_t length)
{
    return policy->register_ps + (length + PAGE - 1) / PAGE * policy->register_page_ps;
}

static uint64_t copy_ps(const struct ferry_region_policy *policy, size_t length)
{
    return length / 1024 * policy->copy_kib_ps + length % 1024 * policy->copy_kib_ps / 1024;
}

uint64_t ferry_region_policy_copies(const struct ferry_region_policy *policy, size_t length)
{
    uint64_t copy = copy_ps(policy, length), uses;

    if (copy < policy->lookup_ps)
        return UINT64_MAX;
    uses = copy ? register_ps(policy, length) / copy : 0;
    if (policy->copies_most && uses > policy->copies_most)
        uses = policy->copies_most;
    return uses > policy->copies ? uses : policy->copies;
}

bool ferry_region_policy_once(const struct ferry_region_policy *policy, size_t length)
{
    return register_ps(policy, length) <= copy_ps(policy, length);
}

size_t ferry_region_policy_beside(const struct ferry_region_policy *policy)
{
    return policy->register_page_ps ? policy->register_ps / policy->register_page_ps * PAGE : 0;
}

uint64_t ferry_region_seen_note(struct ferry_region_seen *seen, uintptr_t start)
{
    uint64_t set = (start >> 6) * 0x9e3779b97f4a7c15u >> 32;
    struct ferry_region_sight *sights = &seen->sights[set % (FERRY_REGION_SEEN / WAYS) * WAYS];
    struct ferry_region_sight noted = {.start = start};
    unsigned place = 0;

    while (place < WAYS - 1 && sights[place].start != start)
        place++;
    if (sights[place].start == start)
        noted.uses = sights[place].uses;
    memmove(&sights[1], &sights[0], place * sizeof(sights[0]));
    noted.uses++;
    sights[0] = noted;
    return noted.uses - 1;
}

/* ---- Measuring: the least of some rounds, as the rest is other people's work ---- */

static int time_register(const struct ferry_regions_adapter *adapter, void *slab, size_t length,
                         uint64_t *ns)
{
    *ns = UINT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = ferry_now_ns(), took;
        void *handle;
        int result = adapter->enter(adapter->context, slab, length, &handle);

        if (result)
            return result;
        adapter->leave(adapter->context, handle);
        took = ferry_now_ns() - start;
        *ns = took < *ns ? took : *ns;
    }
    return 0;
}

static uint64_t time_copy(char *slab, size_t length)
{
    uint64_t least = UINT64_MAX;

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = ferry_now_ns(), took;

        memcpy(slab, slab + length, length);
        __asm__ volatile("" ::"r"(slab) : "memory");
        took = ferry_now_ns() - start;
        least = took < least ? took : least;
    }
    return least;
}

static int enter_nothing(void *context, void *address, size_t length, void **handle)
{
    *handle = NULL;
    return 0;
}

static void leave_nothing(void *context, void *handle)
{
}

static uint64_t time_lookups(void *slab)
{
    const struct ferry_regions_adapter nothing = {enter_nothing, leave_nothing, NULL};
    const struct ferry_regions_options options = {.count = 1, .events = FERRY_REGIONS_TOLD};
    const struct ferry_region *region;
    struct ferry_regions *cache;
    uint64_t start;

    if (ferry_regions_open(&nothing, &options, &cache))
        return 0;
    start = ferry_now_ns();
    for (int i = 0; i < LOOKUPS; i++)
        if (ferry_regions_get(cache, slab, PAGE, &region) == 0)
            ferry_regions_put(region);
    start = ferry_now_ns() - start;
    ferry_regions_close(cache);
    return start;
}

int ferry_region_policy_measure(const struct ferry_regions_adapter *adapter, void *slab,
                                size_t length, struct ferry_region_policy *out)
{
    uint64_t one, all, pages = length / PAGE;
    int result;

    memset(slab, 1, length);
    result = time_register(adapter, slab, PAGE, &one);
    if (!result)
        result = time_register(adapter, slab, length, &all);
    if (result)
        return result;
    out->register_page_ps = all > one ? (all - one) * 1000 / (pages - 1) : 0;
    out->register_ps = one * 1000 -
                       (one * 1000 > out->register_page_ps ? out->register_page_ps : 0);
    out->copy_kib_ps = time_copy(slab, length / 2) * 1000 * 1024 / (length / 2);
    out->lookup_ps = time_lookups(slab) * 1000 / LOOKUPS;
    out->copies = 1;
    return 0;
}
