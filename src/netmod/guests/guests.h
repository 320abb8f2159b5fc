/*
 * The transport between virtual machines of one host, over memory that they share. No kernel reaches from one to
 * another: no futex, no socket, no lock. Who lives is told by leases (commons.h), and waiting is polling.
 *
 * In each region a process has a seat, where others tell it of their rings. Rings belong to whoever writes them.
 *
 * A region may be lost: the device is unplugged, a guest was paused past its lease. Then both go on over the network,
 * where that reaches (fall.c), and come back when the memory does (back.c).
 */
#ifndef FERRY_GUESTS_H
#define FERRY_GUESTS_H

#include <stdalign.h>

#include "commons.h"
#include "memory.h"
#include "ring.h"
#include "transport.h"

/* ---- In the region ---- */

/* Written by the process with this rank: its ring to whoever has the seat. */
struct ferry_guests_told {
    _Atomic uint64_t number; /* ferry_ring_number(), or 0; written last */
    _Atomic uint64_t seal;
};

struct ferry_guests_seat {
    alignas(FERRY_LINE) _Atomic uint32_t knocks;
    _Atomic uint32_t
        bell; /* by which its owner is rung, and can ring: the device's number and 1; 0: none */
    alignas(
        FERRY_LINE) _Atomic uint32_t sleeps; /* its owner wants to be rung; cleared by who does */
    alignas(FERRY_LINE) struct ferry_guests_told told[]; /* by rank */
};

/* ---- In this process ---- */

#define FERRY_GUESTS_SPARES 32u

struct ferry_guests_bell {
    volatile uint32_t *registers; /* NULL: there is none */
    size_t length;                /* of what is mapped there */
    int fd;                       /* an eventfd; -1: closed */
};

struct ferry_guests_region {
    unsigned index; /* of it, among those of this process */
    struct ferry_guests_memory memory;
    struct ferry_commons *commons;
    uint32_t tag;                       /* of its id: the same for all who share it */
    bool published;                     /* in the own address */
    struct ferry_commons_segment place; /* of the own seat */
    struct ferry_guests_seat *seat;
    uint32_t knocks; /* as last seen */
    struct ferry_guests_bell bell;
    bool lost;
    uint8_t *attached; /* by rank: its ring to here is read */
    /* For the smallest rings, when there is no more memory */
    struct ferry_commons_segment spares[FERRY_GUESTS_SPARES];
    unsigned spare_count;
};

/* A process of the job, as it is found in a region. */
struct ferry_guests_member {
    ferry_peer_t *peer; /* known by its address */
    bool reached;       /* by this transport */
    uint32_t in;        /* a set of regions (bits) in which it was proved */
    struct {
        struct ferry_commons_owner owner;
        struct ferry_commons_segment place; /* of its seat */
    } at[FERRY_GUESTS_MEMORIES_MAX];
};

enum ferry_guests_state {
    FERRY_GUESTS_SHARED,
    FERRY_GUESTS_FALLING, /* nothing is sent until both know what came by the rings */
    FERRY_GUESTS_FALLEN,  /* to the network */
};

struct ferry_guests_endpoint {
    struct ferry_endpoint base;
    uint32_t rank;
    enum ferry_guests_state state;
    bool reading, may_grow;
    bool is_private; /* what is being handed on was copied, and found intact */
    bool says;       /* FALLING: the peer is still to be told */
    bool below;      /* what the peer sends comes over the network */
    bool is_reader;  /* among the readers */
    uint32_t bell;   /* the peer's, if it can be rung; see ferry_guests_seat */
    uint32_t told;   /* the opening that the peer was told of, see openings */
    struct ferry_guests_region *tx_region, *rx_region;
    struct ferry_ring tx, rx;
    struct ferry_commons_segment tx_ring, tx_bytes, rx_ring, rx_bytes;
    uint8_t tx_key[16], rx_key[16]; /* of seals, see seal.h */
    uint64_t first_count;           /* of the own ring, before the first packet; */
    size_t first_room;              /* and its byte area then */
    uint64_t grown_at;              /* the packet that told of another one; 0: none did */
    struct ferry_guests_kept *kept; /* the last packet, where nobody knows whether it came */
    const char *why;                /* it fell */
};

static inline struct ferry_guests_endpoint *ferry_guests_endpoint(struct ferry_endpoint *endpoint)
{
    return (struct ferry_guests_endpoint *) endpoint;
}

struct ferry_guests {
    struct ferry_transport base;
    struct ferry_guests_region *regions[FERRY_GUESTS_MEMORIES_MAX];
    unsigned region_count;
    uint32_t openings;                   /* of regions that had been lost */
    uint64_t looked_ns;                  /* for them */
    struct ferry_guests_member *members; /* by rank */
    uint32_t noted;
    uint32_t common[FERRY_GUESTS_MEMORIES_MAX]; /* tags of regions that all noted so far name */
    unsigned common_count;
    bool settled, is_short;
    bool alone;       /* some process may use no network */
    uint32_t reached; /* processes */
    struct ferry_guests_endpoint **endpoints;
    uint32_t endpoint_count;
    struct ferry_guests_endpoint **readers; /* those with a ring to read */
    uint32_t reader_count;
    uint8_t *bounce, *packed;     /* FERRY_PAYLOAD_MAX bytes each: what is taken in, and is sent */
    struct ferry_guests_own *own; /* what the program has in regions */
    struct ferry_guests_read *reads;
    uint32_t falling; /* endpoints that are still to tell their peers */
    bool sleeps;      /* and wants to be rung */
};

static inline struct ferry_guests *ferry_guests_of(struct ferry_transport *transport)
{
    return (struct ferry_guests *) transport;
}

/* ---- region.c ---- */

/* Opens the regions that there are, and takes seats in them. */
void ferry_guests_regions_open(struct ferry_guests *guests);
void ferry_guests_regions_close(struct ferry_guests *guests);

/* Opens memory that is there and not in use, in place of the region with this index, which is lost. NULL: there is none. */
struct ferry_guests_region *ferry_guests_reopen(struct ferry_guests *guests, unsigned index);
void ferry_guests_region_close(struct ferry_guests_region *region);

/* The smallest ring: two pages. */
#define FERRY_GUESTS_LEAST_SLOTS 32u
#define FERRY_GUESTS_LEAST_BYTES 4096u
#define FERRY_GUESTS_LEAST (2u * 4096u)

/* Takes memory, but not the last that others may need; or one of the pieces that were kept back. Errors: -ENOSPC and
 * those of ferry_commons_alloc(). */
int ferry_guests_take(struct ferry_guests_region *region, size_t length,
                      struct ferry_commons_segment *segment);
int ferry_guests_take_spare(struct ferry_guests_region *region,
                            struct ferry_commons_segment *segment);

/* Gives back what was kept for more peers than there are. */
void ferry_guests_keep_spares(struct ferry_guests_region *region, unsigned count);

/* Why the own seat is no longer held, as a sentence for people. */
const char *ferry_guests_why_lost(struct ferry_guests_region *region);

/* ---- endpoint.c ---- */

/* These are operations of the transport. */
int ferry_guests_connect(struct ferry_transport *transport, ferry_peer_t *peer,
                         struct ferry_endpoint **endpoint);
int ferry_guests_send(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                      const struct ferry_payload *payload);
int ferry_guests_send_eager(struct ferry_endpoint *endpoint, uint64_t match, const void *data,
                            uint32_t length);
void ferry_guests_hold(struct ferry_endpoint *endpoint, bool on);

/* Makes the ring to the peer in a region, of the sizes that are wanted or can be had; tells nobody.
 * Errors: -ENOSPC, -ESTALE. */
int ferry_guests_make_ring(struct ferry_guests_endpoint *endpoint,
                           struct ferry_guests_region *region);

/* A view of a ring in fresh memory. Counts begin elsewhere in each ring, so that what somebody writes late who had that
 * memory before is not taken for a packet. */
void ferry_guests_start(struct ferry_ring *ring, const struct ferry_commons_segment *segment,
                        uint32_t slots, size_t room);

/* Names that ring: see ferry_ring_number(). */
uint64_t ferry_guests_ring_number(const struct ferry_guests_endpoint *endpoint);

/* Whether this process may still write: see ferry_commons_holds(). */
static inline bool ferry_guests_may_write(const struct ferry_guests_endpoint *endpoint)
{
    return ferry_commons_holds(&endpoint->tx_ring) && ferry_commons_holds(&endpoint->tx_bytes);
}

/* See ferry_commons_confess(). */
void ferry_guests_confess(struct ferry_guests_endpoint *endpoint);
/* Ends an endpoint. */
void ferry_guests_lose(struct ferry_guests_endpoint *endpoint, int error, const char *why);

/* ---- receive.c ---- */

/* Begins to read the ring from a peer that it told of. Errors: -EPROTO, -ESTALE. */
int ferry_guests_attach(struct ferry_guests *guests, struct ferry_guests_endpoint *endpoint,
                        struct ferry_guests_region *region, uint64_t number, uint64_t seal);

/* Takes in a bounded number of packets. Returns how many. */
int ferry_guests_drain(struct ferry_guests_endpoint *endpoint);

/* Takes in all that came. */
void ferry_guests_drain_all(struct ferry_guests_endpoint *endpoint);

/* Whether the memory of both directions is still what it was, and holds what the peer may have written. */
bool ferry_guests_is_sound(const struct ferry_guests_endpoint *endpoint);

/* Hands on a packet whose payload no other process can write. */
int ferry_guests_hand_on(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                         const void *payload);

/* This is an operation of the transport. */
bool ferry_guests_intact(struct ferry_endpoint *endpoint);

/* ---- fall.c ---- */

/* The memory of an endpoint is lost: it takes the network where there is one (returns true) and goes on. Else, and where
 * memory of the program's went with it, false, and the caller ends it. Never calls back. */
bool ferry_guests_fall(struct ferry_guests_endpoint *endpoint, const char *why);

/* The same for one that had gone on over the network, and whose peer sends by a ring again that can't be read here. */
void ferry_guests_fall_again(struct ferry_guests_endpoint *endpoint, const char *why);

/* A packet was written, and then the memory was not held any more: keeps it. Errors: -ENOMEM. */
int ferry_guests_keep(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                      const struct ferry_payload *payload);

/* Tells the peers of those that fell. */
void ferry_guests_tell_fallen(struct ferry_guests *guests);

/* What processes tell each other over the network. */
enum ferry_guests_word {
    FERRY_GUESTS_TOOK = 1, /* how far a ring was read that is lost */
    FERRY_GUESTS_HOLD,
    FERRY_GUESTS_GO_ON,
    FERRY_GUESTS_BACK, /* a region is there again */
    FERRY_GUESTS_RING, /* what comes next is in this ring */
};

/* These are operations of the transport. */
int ferry_guests_carried(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                         const void *payload);
/* Of an endpoint that fell. */
int ferry_guests_send_below(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                            const struct ferry_payload *payload);
void ferry_guests_hold_below(struct ferry_guests_endpoint *endpoint, bool on);

/* ---- back.c ---- */

/* Looks for memory that was lost, now and then, and tells peers of what was found. */
void ferry_guests_come_back(struct ferry_guests *guests);

/* The words of a peer that has memory again. Errors: -EPROTO; -ENOMEM. */
int ferry_guests_on_back(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                         const void *payload);
int ferry_guests_on_ring(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                         const void *payload);

/* ---- bell.c ---- */

/* Has this process woken by the region's device, where that can be; else says why not, once. It has its seat. */
void ferry_guests_bell_open(struct ferry_guests *guests, struct ferry_guests_region *region);
void ferry_guests_bell_close(struct ferry_guests_region *region);

/* Fills endpoint->bell, for a ring in tx_region. */
void ferry_guests_find_bell(struct ferry_guests_endpoint *endpoint);
/* After each packet to a peer that has a bell: rings where it sleeps. */
void ferry_guests_ring(struct ferry_guests_endpoint *endpoint);

/* Before a sleep: returns whether all who may write will ring. */
bool ferry_guests_lie_down(struct ferry_guests *guests);
void ferry_guests_get_up(struct ferry_guests *guests);

/* ---- program.c: memory of the program's in a region ---- */

/* These are operations of the transport. */
void *ferry_guests_take_memory(struct ferry_transport *transport, size_t length);
bool ferry_guests_give_memory(struct ferry_transport *transport, void *memory);
void *ferry_guests_expose(struct ferry_endpoint *endpoint, const void *from, size_t length);
size_t ferry_guests_describe_exposed(struct ferry_endpoint *endpoint, void *exposed,
                                     void *descriptor);
void ferry_guests_withdraw(struct ferry_endpoint *endpoint, void *exposed);
int ferry_guests_read(struct ferry_endpoint *endpoint, const void *descriptor,
                      size_t descriptor_length, void *to, size_t length, void *op);

/* Goes on with what is being read, each by a part. Returns the number of parts. */
int ferry_guests_go_on_reading(struct ferry_guests *guests);
/* What is being read from this peer comes in another way, or not at all. */
void ferry_guests_end_reads(struct ferry_guests_endpoint *endpoint);
/* Whether memory of the program's was taken from this process. */
bool ferry_guests_own_is_lost(const struct ferry_guests *guests);
void ferry_guests_program_close(struct ferry_guests *guests);

/* ---- survey.c ---- */

/* ferry_transport_ops.survey */
void ferry_guests_survey(struct ferry_survey *survey);

#endif
