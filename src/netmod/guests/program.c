/*
 * Memory of the program's that lies in a region: a message that is sent from there is read by its receiver where it is,
 * which saves one of two copies.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "guests.h"
#include "list.h"

/* Bytes that are copied before others have their turn. */
#define SLICE ((size_t) 256 << 10)

#define PAGE 4096u

struct ferry_guests_own {
    struct ferry_guests_own *next;
    struct ferry_guests_region *region;
    struct ferry_commons_segment segment;
    size_t length;
};

/* Where a message lies, as its receiver is told. */
struct place {
    uint32_t region; /* its tag */
    uint32_t page;   /* of the region, where the segment begins */
    uint64_t length; /* of the segment */
    uint64_t seal;
    uint64_t start; /* of the message, in the segment */
};

_Static_assert(sizeof(struct place) <= FERRY_DESCRIPTOR_MAX, "size");

struct ferry_guests_read {
    struct ferry_guests_read *next;
    struct ferry_guests_endpoint *endpoint;
    struct ferry_commons_segment segment;
    const uint8_t *from;
    uint8_t *to;
    size_t length, done;
    void *op;
};

/* ---- Taking and giving ---- */

void *ferry_guests_take_memory(struct ferry_transport *transport, size_t length)
{
    struct ferry_guests *guests = ferry_guests_of(transport);
    struct ferry_guests_own *own;

    if (!ferry_config()->guests_alloc || !guests->reached || !length)
        return NULL;
    own = calloc(1, sizeof(*own));
    for (unsigned i = 0; own && i < guests->region_count; i++) {
        own->region = guests->regions[i];
        if (ferry_guests_take(own->region, length, &own->segment))
            continue;
        own->length = length;
        own->next = guests->own;
        guests->own = own;
        return own->segment.memory;
    }
    free(own);
    return NULL;
}

bool ferry_guests_give_memory(struct ferry_transport *transport, void *memory)
{
    for (struct ferry_guests_own **at = &ferry_guests_of(transport)->own; *at; at = &(*at)->next) {
        struct ferry_guests_own *own = *at;

        if (own->segment.memory != memory)
            continue;
        ferry_commons_free(own->region->commons, &own->segment);
        *at = own->next;
        free(own);
        return true;
    }
    return false;
}

bool ferry_guests_own_is_lost(const struct ferry_guests *guests)
{
    for (const struct ferry_guests_own *own = guests->own; own; own = own->next)
        if (!ferry_commons_holds(&own->segment))
            return true;
    return false;
}

void ferry_guests_program_close(struct ferry_guests *guests)
{
    while (guests->own) {
        struct ferry_guests_own *own = guests->own;

        guests->own = own->next;
        free(own);
    }
    while (guests->reads) {
        struct ferry_guests_read *read = guests->reads;

        guests->reads = read->next;
        free(read);
    }
}

/* ---- The sender ---- */

static struct ferry_guests_own *own_of(const struct ferry_guests *guests, const void *from,
                                       size_t length)
{
    for (struct ferry_guests_own *own = guests->own; own; own = own->next) {
        uintptr_t start = (uintptr_t) from - (uintptr_t) own->segment.memory;

        if (start <= own->length && length <= own->length - start)
            return own;
    }
    return NULL;
}

/* What exposes it is where it begins: memory that is given back meanwhile is not described any more. */
void *ferry_guests_expose(struct ferry_endpoint *base, const void *from, size_t length)
{
    struct ferry_guests *guests = ferry_guests_of(base->transport);

    return ferry_guests_endpoint(base)->state == FERRY_GUESTS_SHARED && own_of(guests, from, length)
               ? (void *) from
               : NULL;
}

size_t ferry_guests_describe_exposed(struct ferry_endpoint *base, void *exposed, void *descriptor)
{
    struct ferry_guests_own *own = own_of(ferry_guests_of(base->transport), exposed, 0);
    struct place place;

    if (!own || ferry_guests_endpoint(base)->state != FERRY_GUESTS_SHARED ||
        !ferry_commons_holds(&own->segment))
        return 0;
    place = (struct place){.region = own->region->tag,
                           .page = (uint32_t) (own->segment.name.offset / PAGE),
                           .length = own->segment.name.length,
                           .seal = own->segment.name.seal,
                           .start = (uintptr_t) exposed - (uintptr_t) own->segment.memory};
    memcpy(descriptor, &place, sizeof(place));
    return sizeof(place);
}

void ferry_guests_withdraw(struct ferry_endpoint *base, void *exposed)
{
    (void) base;
    (void) exposed;
}

/* ---- The receiver ---- */

static int find(struct ferry_guests_endpoint *endpoint, const struct place *place, size_t length,
                struct ferry_commons_segment *segment)
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);
    const struct ferry_guests_member *member = &guests->members[endpoint->rank];
    struct ferry_commons_name name = {
        .offset = (uint64_t) place->page * PAGE, .length = place->length, .seal = place->seal};

    if (place->start > place->length || length > place->length - place->start)
        return -EPROTO;
    for (unsigned i = 0; i < guests->region_count; i++) {
        if (guests->regions[i]->tag != place->region || !(member->in >> i & 1))
            continue;
        name.tag = member->at[i].owner.tag;
        return ferry_commons_attach(guests->regions[i]->commons, &name, segment);
    }
    return -EPROTO;
}

int ferry_guests_read(struct ferry_endpoint *base, const void *descriptor, size_t descriptor_length,
                      void *to, size_t length, void *op)
{
    struct ferry_guests_endpoint *endpoint = ferry_guests_endpoint(base);
    struct ferry_guests *guests = ferry_guests_of(base->transport);
    struct ferry_guests_read *read, **last = &guests->reads;
    struct place place;

    if (descriptor_length != sizeof(place) || endpoint->state != FERRY_GUESTS_SHARED)
        return -ENOTSUP;
    memcpy(&place, descriptor, sizeof(place));
    read = malloc(sizeof(*read));
    if (!read)
        return -ENOTSUP;
    *read = (struct ferry_guests_read){.endpoint = endpoint, .to = to, .length = length, .op = op};
    if (find(endpoint, &place, length, &read->segment)) {
        free(read);
        return -ENOTSUP;
    }
    read->from = (const uint8_t *) read->segment.memory + place.start;
    while (*last)
        last = &(*last)->next;
    *last = read;
    return 0;
}

/* Copies the next part. Returns whether it has come to its end, with *error. */
static bool go_on(struct ferry_guests_read *read, int *error)
{
    size_t part = read->length - read->done < SLICE ? read->length - read->done : SLICE;

    memcpy(read->to + read->done, read->from + read->done, part);
    read->done += part;
    *error = ferry_commons_holds(&read->segment) ? 0 : -EIO;
    return *error || read->done == read->length;
}

static void end(struct ferry_guests_read **at, int error)
{
    struct ferry_guests_read *read = *at;
    void *op = read->op;

    *at = read->next;
    free(read);
    ferry_core_read_done(op, error);
}

int ferry_guests_go_on_reading(struct ferry_guests *guests)
{
    struct ferry_guests_read **at = &guests->reads;
    int events = 0, error;

    while (*at) {
        events++;
        if (go_on(*at, &error)) {
            end(at, error);
            break;
        }
        at = &(*at)->next;
    }
    return events;
}

void ferry_guests_end_reads(struct ferry_guests_endpoint *endpoint)
{
    struct ferry_guests_read **at = &ferry_guests_of(endpoint->base.transport)->reads;

    while (*at)
        if ((*at)->endpoint == endpoint)
            end(at, -EIO);
        else
            at = &(*at)->next;
}
