/*
 * An adapter that only keeps accounts of what is registered, and fails as it is told.
 */
#ifndef FERRY_TEST_ADAPTER_H
#define FERRY_TEST_ADAPTER_H

#include "unit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "child.h"
#include "regions.h"

#define PAGE 4096u

struct registration {
    char *address;
    size_t length;
};

static struct {
    _Atomic int entered, left;
    _Atomic uint64_t bytes;
    uint64_t most_bytes;                             /* -ENOMEM beyond; 0: no limit */
    size_t longest;                                  /* -EFAULT beyond; 0: any */
    int error;                                       /* for all */
    void (*meanwhile)(void *address, size_t length); /* called by enter */
    struct registration last_entered, last_left;
} fake;

static int fake_enter(void *context, void *address, size_t length, void **handle)
{
    struct registration *registration;

    assert_ptr_equal(context, &fake);
    if (fake.meanwhile)
        fake.meanwhile(address, length);
    if (fake.error)
        return fake.error;
    if (fake.longest && length > fake.longest)
        return -EFAULT;
    if (fake.most_bytes && fake.bytes + length > fake.most_bytes)
        return -ENOMEM;
    registration = malloc(sizeof(*registration));
    *registration = (struct registration){address, length};
    fake.last_entered = *registration;
    fake.entered++;
    fake.bytes += length;
    *handle = registration;
    return 0;
}

static void fake_leave(void *context, void *handle)
{
    struct registration *registration = handle;

    assert_ptr_equal(context, &fake);
    fake.last_left = *registration;
    fake.left++;
    fake.bytes -= registration->length;
    free(registration);
}

static const struct ferry_regions_adapter fake_adapter = {fake_enter, fake_leave, &fake};

static struct ferry_regions *open_with(struct ferry_regions_options options)
{
    struct ferry_regions *cache;

    memset(&fake, 0, sizeof(fake));
    assert_int_equal(ferry_regions_open(&fake_adapter, &options, &cache), 0);
    return cache;
}

/* Everything that was registered has been deregistered. */
static void close_checked(struct ferry_regions *cache)
{
    ferry_regions_close(cache);
    assert_int_equal(fake.entered, fake.left);
    assert_int_equal(fake.bytes, 0);
}

/* Gets and puts. */
static int touch(struct ferry_regions *cache, const void *address, size_t length)
{
    const struct ferry_region *region;
    int result = ferry_regions_get(cache, address, length, &region);

    if (result)
        return result;
    assert_true(region->start <= (uintptr_t) address);
    assert_true(region->end >= (uintptr_t) address + length);
    ferry_regions_put(region);
    return 0;
}

static char *map_pages(size_t pages)
{
    char *memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);

    assert_true(memory != MAP_FAILED);
    return memory;
}

#endif
