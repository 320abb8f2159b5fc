/*
 * Coming back: memory that was lost is there again, for the device was plugged in again, or a pause is over.
 *
 * Who has opened it tells all with whom it talks over the network (BACK). A peer that finds it there, by its nonce, makes
 * a ring, tells of it over the network as well (RING), and sends by it from then on; so does the first, in answer. Each
 * direction changes on its own, and in order, for a RING comes after all that was sent before it. Where a ring can't be
 * read, it is as if the memory were lost once more (fall.c).
 */
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "log.h"

#include "guests.h"

/* Between two looks for memory that was lost. A look reads some files of the kernel's. */
#define LOOK_NS 1000000000u

/* Who has opened which region, and where its seat is. */
struct back {
    uint64_t region; /* its tag */
    uint64_t owner;
    uint64_t offset, seal;
};

struct ring {
    struct back who;
    uint64_t number; /* see ferry_ring_number() */
    uint64_t seal;
};

/* ---- The memory ---- */

static bool is_used(const struct ferry_guests *guests, const struct ferry_guests_region *region)
{
    for (uint32_t i = 0; i < guests->endpoint_count; i++) {
        const struct ferry_guests_endpoint *endpoint = guests->endpoints[i];

        if (!ferry_peer_lost(endpoint->base.peer) &&
            (endpoint->tx_region == region || endpoint->rx_region == region))
            return true;
    }
    return false;
}

/* What pointed into the region that was there before. */
static void forget(struct ferry_guests *guests, const struct ferry_guests_region *old)
{
    uint32_t size = ferry_core_params(guests->base.context)->size;

    for (uint32_t rank = 0; rank < size; rank++)
        guests->members[rank].in &= ~(1u << old->index);
    for (uint32_t i = 0; i < guests->endpoint_count; i++) {
        struct ferry_guests_endpoint *endpoint = guests->endpoints[i];

        if (endpoint->tx_region == old || endpoint->rx_region == old)
            endpoint->tx_region = endpoint->rx_region = NULL;
    }
}

/* What the program has in a region that is lost has ended the job. */
static void look(struct ferry_guests *guests)
{
    for (unsigned i = 0; i < guests->region_count && !guests->own; i++) {
        struct ferry_guests_region *old = guests->regions[i], *region;

        if (!old->lost || is_used(guests, old))
            continue;
        /* Only one can have the device's bell. */
        ferry_guests_bell_close(old);
        ferry_vfio_close(&old->memory.vfio);
        region = ferry_guests_reopen(guests, i);
        if (!region)
            continue;
        forget(guests, old);
        ferry_guests_region_close(old);
        guests->regions[i] = region;
        guests->openings++;
    }
}

/* ---- Telling ---- */

static struct back own_place(const struct ferry_guests_region *region)
{
    const struct ferry_commons_name *name = &region->place.name;

    return (struct back){
        .region = region->tag, .owner = name->tag, .offset = name->offset, .seal = name->seal};
}

static void say_back(struct ferry_guests *guests, struct ferry_guests_endpoint *endpoint)
{
    for (unsigned i = 0; i < guests->region_count; i++) {
        struct back back = own_place(guests->regions[i]);

        if (!guests->regions[i]->lost &&
            ferry_core_tell(endpoint->base.lower, FERRY_GUESTS_BACK, &back, sizeof(back)))
            return;
    }
    endpoint->told = guests->openings;
}

/* From here on what is sent goes by the ring. */
static int say_ring(struct ferry_guests_endpoint *endpoint)
{
    struct ferry_endpoint *base = &endpoint->base;
    struct ring ring = {.who = own_place(endpoint->tx_region),
                        .number = ferry_guests_ring_number(endpoint),
                        .seal = endpoint->tx_ring.name.seal};

    endpoint->state = FERRY_GUESTS_SHARED;
    base->way = NULL;
    base->eager_max = ferry_config()->eager_max;
    ferry_log(FERRY_LOG_INFO, "messages to process %u go through shared memory again",
              endpoint->rank);
    return ferry_core_tell(base->lower, FERRY_GUESTS_RING, &ring, sizeof(ring));
}

void ferry_guests_come_back(struct ferry_guests *guests)
{
    uint64_t now = ferry_now_ns();

    if (guests->alone || now - guests->looked_ns < LOOK_NS)
        return;
    guests->looked_ns = now;
    look(guests);
    for (uint32_t i = 0; i < guests->endpoint_count; i++) {
        struct ferry_guests_endpoint *endpoint = guests->endpoints[i];

        if (endpoint->state == FERRY_GUESTS_FALLEN && endpoint->told != guests->openings &&
            !ferry_peer_lost(endpoint->base.peer))
            say_back(guests, endpoint);
    }
}

/* ---- Hearing ---- */

/* The region in which the peer says that it is, where it is found there. */
static struct ferry_guests_region *prove(struct ferry_guests_endpoint *endpoint,
                                         const struct back *back)
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);
    struct ferry_guests_member *member = &guests->members[endpoint->rank];
    struct ferry_commons_owner owner = {.tag = back->owner};

    memcpy(owner.nonce, ferry_peer_nonce(endpoint->base.peer), sizeof(owner.nonce));
    for (unsigned i = 0; i < guests->region_count; i++) {
        struct ferry_guests_region *region = guests->regions[i];
        struct ferry_commons_name name = {.offset = back->offset,
                                          .length = region->place.name.length,
                                          .tag = back->owner,
                                          .seal = back->seal};

        if (region->lost || region->tag != back->region ||
            ferry_commons_state(region->commons, &owner) != FERRY_COMMONS_LIVES ||
            ferry_commons_attach(region->commons, &name, &member->at[i].place))
            continue;
        member->at[i].owner = owner;
        member->in |= 1u << i;
        return region;
    }
    return NULL;
}

int ferry_guests_on_back(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                         const void *payload)
{
    struct ferry_guests_region *region;
    struct back back;

    if (head->length != sizeof(back))
        return -EPROTO;
    memcpy(&back, payload, sizeof(back));
    if (endpoint->state != FERRY_GUESTS_FALLEN)
        return 0;
    region = prove(endpoint, &back);
    if (!region || ferry_guests_make_ring(endpoint, region))
        return 0;
    return say_ring(endpoint);
}

static int attach(struct ferry_guests_endpoint *endpoint, const struct ring *ring)
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);
    struct ferry_guests_region *region = prove(endpoint, &ring->who);

    if (!region)
        return -ESTALE;
    return ferry_guests_attach(guests, endpoint, region, ring->number, ring->seal);
}

/* What the peer was asked for over the network it now sees in its ring. */
static void hold_again(struct ferry_guests_endpoint *endpoint)
{
    if (endpoint->base.core.holding)
        ferry_guests_hold(&endpoint->base, true);
}

int ferry_guests_on_ring(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                         const void *payload)
{
    struct ring ring;
    int error;

    if (head->length != sizeof(ring) || endpoint->reading)
        return -EPROTO;
    memcpy(&ring, payload, sizeof(ring));
    /* The peer is to send all that is in it again. */
    if (endpoint->state == FERRY_GUESTS_FALLING)
        return 0;
    error = attach(endpoint, &ring);
    if (!error) {
        endpoint->below = false;
        if (endpoint->state != FERRY_GUESTS_SHARED)
            error = ferry_guests_make_ring(endpoint, endpoint->rx_region);
    }
    if (!error) {
        if (endpoint->state != FERRY_GUESTS_SHARED)
            error = say_ring(endpoint);
        hold_again(endpoint);
        return error;
    }
    if (endpoint->state == FERRY_GUESTS_SHARED)
        return ferry_guests_fall(endpoint, "the memory that both share was lost again") ? 0
                                                                                        : -EPROTO;
    ferry_guests_fall_again(endpoint, "the memory that both share was lost again");
    return 0;
}
