/*
 * The transport between virtual machines: who is met in which region, and the table of operations.
 */
#include "guests.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "list.h"
#include "log.h"

/* ---- Opening ---- */

static void guests_close(struct ferry_transport *transport)
{
    struct ferry_guests *guests = ferry_guests_of(transport);

    ferry_guests_program_close(guests);
    ferry_guests_regions_close(guests);
    for (uint32_t i = 0; i < guests->endpoint_count; i++) {
        free(guests->endpoints[i]->kept);
        free(guests->endpoints[i]);
    }
    free(guests->members);
    free(guests->endpoints);
    free(guests->readers);
    free(guests->bounce);
    free(guests->packed);
    free(guests);
}

static int guests_open(ferry_context_t *context, struct ferry_transport **out)
{
    uint32_t size = ferry_core_params(context)->size;
    struct ferry_guests *guests = calloc(1, sizeof(*guests));

    if (!guests)
        return -ENOMEM;
    guests->base = (struct ferry_transport){.ops = &ferry_guests_ops, .context = context};
    ferry_guests_regions_open(guests);
    if (!guests->region_count) {
        ferry_log(FERRY_LOG_DEBUG, "no memory is shared with other virtual machines here");
        guests_close(&guests->base);
        return -ENODEV;
    }
    guests->members = calloc(size, sizeof(*guests->members));
    guests->endpoints = calloc(size, sizeof(*guests->endpoints));
    guests->readers = calloc(size, sizeof(*guests->readers));
    guests->bounce = malloc(FERRY_PAYLOAD_MAX);
    guests->packed = malloc(FERRY_PAYLOAD_MAX);
    if (!guests->members || !guests->endpoints || !guests->readers || !guests->bounce ||
        !guests->packed) {
        guests_close(&guests->base);
        return -ENOMEM;
    }
    *out = &guests->base;
    return 0;
}

/* ---- Addresses: where the seats are ---- */

struct entry {
    uint32_t region; /* its tag: only a hint at who shares it */
    uint32_t page;   /* of the region, where the seat begins; and ALONE */
    uint64_t owner, seal;
};

#define PAGE 4096u
#define ALONE 0x80000000u /* whoever has that seat may use no network */

/* Nothing once all who start together know each other: to others the network leads. */
static size_t guests_address(struct ferry_transport *transport, void *part, size_t room)
{
    struct ferry_guests *guests = ferry_guests_of(transport);
    uint32_t alone = ferry_list_has(ferry_config()->transports, "fabric") ? 0 : ALONE;
    size_t length = 0;

    for (unsigned i = 0; i < guests->region_count && !guests->settled; i++) {
        struct ferry_guests_region *region = guests->regions[i];
        struct entry entry = {.region = region->tag,
                              .page = (uint32_t) (region->place.name.offset / PAGE) | alone,
                              .owner = region->place.name.tag,
                              .seal = region->place.name.seal};

        if (room - length < sizeof(entry))
            break;
        memcpy((char *) part + length, &entry, sizeof(entry));
        length += sizeof(entry);
        region->published = true;
    }
    return length;
}

/* Keeps of the common regions those that this peer names, too. */
static void intersect(struct ferry_guests *guests, const struct entry *entries, unsigned count)
{
    unsigned kept = 0;

    if (guests->noted++ == 0) {
        guests->common_count = count;
        for (unsigned i = 0; i < count; i++)
            guests->common[i] = entries[i].region;
        return;
    }
    for (unsigned i = 0; i < guests->common_count; i++)
        for (unsigned k = 0; k < count; k++)
            if (guests->common[i] == entries[k].region) {
                guests->common[kept++] = guests->common[i];
                break;
            }
    guests->common_count = kept;
}

/* Looks for a peer's seat in one of the own regions: its nonce there is the proof. Where it knows of no seat of ours in
 * that region, it finds nothing either, so nothing is to be found. */
static void find(struct ferry_guests *guests, struct ferry_guests_member *member, unsigned index,
                 const struct entry *entry)
{
    struct ferry_guests_region *region = guests->regions[index];
    struct ferry_commons_owner owner = {.tag = entry->owner};
    struct ferry_commons_name name = {.offset = (uint64_t) (entry->page & ~ALONE) * PAGE,
                                      .length = region->place.name.length,
                                      .tag = entry->owner,
                                      .seal = entry->seal};

    memcpy(owner.nonce, ferry_peer_nonce(member->peer), sizeof(owner.nonce));
    if (ferry_commons_state(region->commons, &owner) != FERRY_COMMONS_LIVES ||
        ferry_commons_attach(region->commons, &name, &member->at[index].place))
        return;
    member->at[index].owner = owner;
    member->in |= 1u << index;
}

static void guests_note(struct ferry_transport *transport, ferry_peer_t *peer, const void *part,
                        size_t length)
{
    struct ferry_guests *guests = ferry_guests_of(transport);
    unsigned count = (unsigned) (length / sizeof(struct entry));
    struct entry entries[FERRY_GUESTS_MEMORIES_MAX];
    int rank = ferry_peer_rank(peer);
    struct ferry_guests_member *member;

    if (rank < 0 || count > FERRY_GUESTS_MEMORIES_MAX || guests->members[rank].peer)
        return;
    memcpy(entries, part, count * sizeof(entries[0]));
    intersect(guests, entries, count);
    guests->alone |= count && entries[0].page & ALONE;
    member = &guests->members[rank];
    member->peer = peer;
    for (unsigned i = 0; i < guests->region_count; i++)
        for (unsigned k = 0; k < count && guests->regions[i]->published && !(member->in >> i & 1);
             k++)
            find(guests, member, i, &entries[k]);
}

static bool guests_reach(struct ferry_transport *transport, ferry_peer_t *peer, const void *part,
                         size_t length)
{
    struct ferry_guests *guests = ferry_guests_of(transport);
    int rank = ferry_peer_rank(peer);

    (void) part;
    (void) length;
    if (rank < 0 || !guests->members[rank].in)
        return false;
    guests->reached += !guests->members[rank].reached;
    guests->members[rank].reached = true;
    return true;
}

static bool guests_reaches_all(struct ferry_transport *transport)
{
    struct ferry_guests *guests = ferry_guests_of(transport);

    return guests->common_count > 0 && guests->noted >= ferry_core_params(transport->context)->size;
}

static bool guests_may_fall(struct ferry_transport *transport)
{
    return !ferry_guests_of(transport)->alone;
}

static int guests_settle(struct ferry_transport *transport)
{
    struct ferry_guests *guests = ferry_guests_of(transport);

    guests->settled = true;
    for (unsigned i = 0; i < guests->region_count; i++) {
        ferry_guests_keep_spares(guests->regions[i], guests->reached);
        /* A ring may have been told of before its writer was known here. */
        guests->regions[i]->knocks = atomic_load(&guests->regions[i]->seat->knocks) - 1;
    }
    return 0;
}

/* ---- Progress ---- */

static void hear(struct ferry_guests *guests, struct ferry_guests_region *region, uint32_t rank)
{
    struct ferry_guests_told *told = &region->seat->told[rank];
    struct ferry_guests_member *member = &guests->members[rank];
    uint64_t number = atomic_load(&told->number), seal = atomic_load(&told->seal);
    struct ferry_endpoint *endpoint;
    int error;

    if (!number || region->attached[rank] || !member->peer)
        return;
    region->attached[rank] = 1;
    endpoint = member->reached ? ferry_core_endpoint(member->peer) : NULL;
    error = !member->reached                           ? -EHOSTUNREACH
            : !endpoint                                ? -ENOMEM
            : ferry_guests_endpoint(endpoint)->reading ? -EPROTO
                                                       : 0;
    if (!error)
        error = ferry_guests_attach(guests, ferry_guests_endpoint(endpoint), region, number, seal);
    /* Who has left took the ring along, and waited until nothing was in it; of others housekeeping tells. */
    if (error == -ESTALE &&
        ferry_commons_state(region->commons, &member->at[region->index].owner) !=
            FERRY_COMMONS_LIVES)
        return;
    if (error)
        ferry_core_peer_lost(member->peer, error,
                             member->reached
                                 ? "its ring in the shared memory makes no sense"
                                 : "it sends through memory that is not shared with it");
}

/* Somebody has told of rings: finds out who. */
static int answer_knocks(struct ferry_guests *guests, struct ferry_guests_region *region)
{
    uint32_t size = ferry_core_params(guests->base.context)->size;

    region->knocks = atomic_load(&region->seat->knocks);
    for (uint32_t rank = 0; rank < size; rank++)
        hear(guests, region, rank);
    return 1;
}

static int guests_progress(struct ferry_transport *transport)
{
    struct ferry_guests *guests = ferry_guests_of(transport);
    int events = 0;

    if (__builtin_expect(guests->sleeps, 0))
        ferry_guests_get_up(guests);
    for (unsigned i = 0; i < guests->region_count; i++) {
        struct ferry_guests_region *region = guests->regions[i];

        if (__builtin_expect(atomic_load_explicit(&region->seat->knocks, memory_order_acquire) !=
                                 region->knocks,
                             0) &&
            guests->settled && !region->lost)
            events += answer_knocks(guests, region);
    }
    for (uint32_t i = 0; i < guests->reader_count; i++)
        if (guests->readers[i]->reading)
            events += ferry_guests_drain(guests->readers[i]);
    if (__builtin_expect(guests->falling != 0, 0))
        ferry_guests_tell_fallen(guests);
    if (__builtin_expect(guests->reads != NULL, 0))
        events += ferry_guests_go_on_reading(guests);
    return events;
}

/* ---- Looking after the memory and the peers ---- */

static const char *why_ended(enum ferry_commons_state state)
{
    switch (state) {
    case FERRY_COMMONS_SILENT:
        return "nothing was heard of it for the length of FERRY_LEASE: its virtual machine was "
               "killed, moved away or paused for too long";
    case FERRY_COMMONS_STRANGE:
        return "somebody wrote nonsense into the shared memory";
    default:
        return "its process ended without a word";
    }
}

static struct ferry_guests_endpoint *endpoint_of(struct ferry_guests *guests, ferry_peer_t *peer)
{
    for (uint32_t i = 0; i < guests->endpoint_count; i++)
        if (guests->endpoints[i]->base.peer == peer)
            return guests->endpoints[i];
    return NULL;
}

static void lose(struct ferry_guests_member *member, struct ferry_guests_endpoint *endpoint,
                 const char *why)
{
    if (endpoint)
        ferry_guests_lose(endpoint, -ECONNRESET, why);
    else
        ferry_core_peer_lost(member->peer, -ECONNRESET, why);
}

/* The memory in common is gone. An endpoint that is made later finds out by itself. */
static void fall(struct ferry_guests_member *member, struct ferry_guests_endpoint *endpoint,
                 const char *why)
{
    if (endpoint ? !ferry_guests_fall(endpoint, why) : !ferry_peer_has_network(member->peer))
        lose(member, endpoint, why);
}

/* A process has ended, or seems to: what it had sent before is still received, as far as it is there. */
static void bury(struct ferry_guests_member *member, struct ferry_guests_endpoint *endpoint,
                 enum ferry_commons_state state)
{
    if (endpoint)
        ferry_guests_drain_all(endpoint);
    if (ferry_peer_lost(member->peer))
        return;
    if (state == FERRY_COMMONS_SILENT)
        fall(member, endpoint, why_ended(state));
    else
        lose(member, endpoint, why_ended(state));
}

/* The memory in which a process is met, or NULL. */
static struct ferry_guests_region *region_of(struct ferry_guests *guests,
                                             const struct ferry_guests_member *member,
                                             const struct ferry_guests_endpoint *endpoint)
{
    if (endpoint)
        return endpoint->tx_region;
    return member->in ? guests->regions[__builtin_ctz(member->in)] : NULL;
}

static void look_after(struct ferry_guests *guests, struct ferry_guests_member *member)
{
    struct ferry_guests_endpoint *endpoint = endpoint_of(guests, member->peer);
    struct ferry_guests_region *region = region_of(guests, member, endpoint);
    enum ferry_commons_state state;

    if (!region || (endpoint && endpoint->state != FERRY_GUESTS_SHARED))
        return;
    state = ferry_commons_state(region->commons, &member->at[region->index].owner);
    /* Whatever was read there means nothing then. */
    region->lost = region->lost || !ferry_commons_holds(&region->place);
    if (region->lost)
        fall(member, endpoint, ferry_guests_why_lost(region));
    else if (state != FERRY_COMMONS_LIVES && state != FERRY_COMMONS_LEFT)
        bury(member, endpoint, state);
    else if (state == FERRY_COMMONS_LIVES && endpoint && !ferry_guests_is_sound(endpoint))
        fall(member, endpoint,
             ferry_guests_why_lost(endpoint->reading ? endpoint->rx_region : region));
}

/* What the program had in a region is no longer what it wrote: it can't go on. */
static void lose_all(struct ferry_guests *guests)
{
    uint32_t size = ferry_core_params(guests->base.context)->size;

    for (uint32_t rank = 0; rank < size; rank++) {
        struct ferry_guests_member *member = &guests->members[rank];

        if (member->reached && !ferry_peer_lost(member->peer))
            lose(member, endpoint_of(guests, member->peer),
                 "memory that this process got by FERRY_GUESTS_ALLOC was taken from it");
    }
}

/* Each ring's own word decides in the end; this is for those that nothing comes through. */
static void guests_housekeep(struct ferry_transport *transport)
{
    struct ferry_guests *guests = ferry_guests_of(transport);
    uint32_t size = ferry_core_params(transport->context)->size;

    if (!guests->settled)
        return;
    if (ferry_guests_own_is_lost(guests))
        lose_all(guests);
    for (unsigned i = 0; i < guests->region_count; i++)
        guests->regions[i]->lost = guests->regions[i]->lost ||
                                   !ferry_commons_holds(&guests->regions[i]->place);
    for (uint32_t rank = 0; rank < size; rank++)
        if (guests->members[rank].reached && !ferry_peer_lost(guests->members[rank].peer))
            look_after(guests, &guests->members[rank]);
    ferry_guests_come_back(guests);
}

/* Where nobody can wake this process: a look so often costs it about a hundredth of a processor. */
#define PATIENCE_US 2000

static unsigned guests_patience(struct ferry_transport *transport)
{
    struct ferry_guests *guests = ferry_guests_of(transport);

    if (!guests->reached)
        return UINT_MAX;
    return guests->settled && ferry_guests_lie_down(guests) ? UINT_MAX : PATIENCE_US;
}

/* A ring goes with the process that wrote it, so its reader must have taken all. */
static bool guests_flushed(struct ferry_transport *transport)
{
    struct ferry_guests *guests = ferry_guests_of(transport);

    for (uint32_t i = 0; i < guests->endpoint_count; i++) {
        struct ferry_guests_endpoint *endpoint = guests->endpoints[i];

        if (ferry_peer_lost(endpoint->base.peer) || endpoint->state == FERRY_GUESTS_FALLEN)
            continue;
        if (endpoint->state == FERRY_GUESTS_FALLING ||
            (!ferry_ring_is_taken(&endpoint->tx) && ferry_commons_holds(&endpoint->tx_ring)))
            return false;
    }
    return true;
}

static void guests_describe(struct ferry_transport *transport, ferry_peer_t *peer, char *text,
                            size_t room)
{
    struct ferry_guests *guests = ferry_guests_of(transport);
    struct ferry_guests_endpoint *endpoint = endpoint_of(guests, peer);
    struct ferry_guests_region *region = region_of(guests, &guests->members[ferry_peer_rank(peer)],
                                                   endpoint);
    char memory[288] = "";

    if (endpoint && endpoint->state != FERRY_GUESTS_SHARED) {
        struct ferry_transport *lower = endpoint->base.lower->transport;

        lower->ops->describe(lower, peer, memory, sizeof(memory));
        snprintf(text, room, "%.100s; guests: %s", memory, endpoint->why ? endpoint->why : "lost");
        return;
    }
    if (region)
        ferry_guests_memory_describe(&region->memory, memory, sizeof(memory));
    snprintf(text, room, "guests (%s)", region ? memory : "whose memory was lost");
}

static void guests_lost(struct ferry_endpoint *endpoint)
{
    ferry_guests_end_reads(ferry_guests_endpoint(endpoint));
}

const struct ferry_transport_ops ferry_guests_ops = {
    .name = "guests",
    .near = true,
    .falls = true,
    .open = guests_open,
    .close = guests_close,
    .address = guests_address,
    .note = guests_note,
    .reach = guests_reach,
    .reaches_all = guests_reaches_all,
    .may_fall = guests_may_fall,
    .settle = guests_settle,
    .connect = ferry_guests_connect,
    .carried = ferry_guests_carried,
    .send = ferry_guests_send,
    .send_eager = ferry_guests_send_eager,
    .hold = ferry_guests_hold,
    .lost = guests_lost,
    .take_memory = ferry_guests_take_memory,
    .give_memory = ferry_guests_give_memory,
    .expose = ferry_guests_expose,
    .describe_exposed = ferry_guests_describe_exposed,
    .withdraw = ferry_guests_withdraw,
    .read = ferry_guests_read,
    .intact = ferry_guests_intact,
    .progress = guests_progress,
    .patience = guests_patience,
    .housekeep = guests_housekeep,
    .flushed = guests_flushed,
    .describe = guests_describe,
    .survey = ferry_guests_survey,
};
