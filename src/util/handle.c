#include "handle.h"

#include <stdlib.h>

#define NO_ENTRY UINT32_MAX
#define FIRST_COUNT 64

void ferry_handles_init(struct ferry_handles *handles)
{
    *handles = (struct ferry_handles){.first_free = NO_ENTRY};
}

void ferry_handles_fini(struct ferry_handles *handles)
{
    free(handles->entries);
    ferry_handles_init(handles);
}

static int grow(struct ferry_handles *handles)
{
    uint32_t count = handles->count ? handles->count * 2 : FIRST_COUNT;
    struct ferry_handle_entry *entries;

    if (count < handles->count)
        return -1;
    entries = realloc(handles->entries, count * sizeof(*entries));
    if (!entries)
        return -1;
    for (uint32_t i = handles->count; i < count; i++)
        entries[i] = (struct ferry_handle_entry){.generation = 1,
                                                 .next_free = i + 1 < count ? i + 1 : NO_ENTRY};
    handles->first_free = handles->count;
    handles->entries = entries;
    handles->count = count;
    return 0;
}

uint64_t ferry_handle_new(struct ferry_handles *handles, void *object)
{
    struct ferry_handle_entry *entry;
    uint32_t index;

    if (handles->first_free == NO_ENTRY && grow(handles))
        return 0;
    index = handles->first_free;
    entry = &handles->entries[index];
    handles->first_free = entry->next_free;
    entry->object = object;
    return (uint64_t) entry->generation << 32 | index;
}

void ferry_handle_free(struct ferry_handles *handles, uint64_t handle)
{
    uint32_t index = (uint32_t) handle;
    struct ferry_handle_entry *entry = &handles->entries[index];

    entry->object = NULL;
    if (++entry->generation == 0)
        entry->generation = 1;
    entry->next_free = handles->first_free;
    handles->first_free = index;
}
