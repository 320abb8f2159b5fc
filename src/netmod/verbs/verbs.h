/*
 * What the files of the verbs transport share.
 *
 * Its endpoints are raised upon those of the fabric: packets go over these until queue pairs are connected, and again
 * when the device, the port or a queue pair has failed. doc/verbs.md tells how two processes go over, and back.
 */
#ifndef FERRY_VERBS_H
#define FERRY_VERBS_H

#include <infiniband/verbs.h>

#include "cards.h"
#include "devices.h"
#include "link.h"
#include "messages.h"
#include "regions.h"
#include "transport.h"

/* Of a packet with all that is before it: a page, and a packet of most networks. */
#define FERRY_VERBS_SLOT 4096u

/* Packets that one peer may have sent and not been told of that they were taken in. */
#define FERRY_VERBS_WINDOW 12u

/* Slots that are added with each peer: receives for the window and for acknowledgements, which go beyond it, of
 * which each side has one under way at most, one that was taken in by the adapter but not yet here; and two to send
 * from. 64 KiB. */
#define FERRY_VERBS_PEER_RECEIVES (FERRY_VERBS_WINDOW + 2)
#define FERRY_VERBS_PEER_SLOTS (FERRY_VERBS_PEER_RECEIVES + 2)

/* Slots to send from that a device has at first, for all peers. */
#define FERRY_VERBS_FIRST_SLOTS 64u

#define FERRY_VERBS_PEERS_MAX 1024u /* by queue pairs; more stay with the fabric */

/* Before a packet's head */
struct ferry_verbs_lead {
    uint32_t acknowledged; /* packets taken in from the receiver of this one */
    uint32_t reserved;
};
#define FERRY_VERBS_BEFORE (sizeof(struct ferry_verbs_lead) + sizeof(struct ferry_head))
#define FERRY_VERBS_PACKET (FERRY_VERBS_SLOT - FERRY_VERBS_BEFORE)

/* The payload of a longer packet is in a place of the sender's. As long as the fabric's, which may have to carry it. */
#define FERRY_VERBS_LONG (32768u + 64u)
#define FERRY_VERBS_PLACE 36864u /* whole pages */
#define FERRY_VERBS_PLACES 10u   /* of a device, to send from, and as many to read into */

/* In place of the payload: where it is. */
struct ferry_verbs_reference {
    uint64_t address;
    uint32_t key;
    uint32_t reserved;
};

struct ferry_verbs_place {
    struct ferry_verbs_place *next;
    uint8_t *bytes;
};

struct ferry_verbs_places {
    uint8_t *memory;
    struct ibv_mr *mr; /* NULL: they can't be used */
    struct ferry_verbs_place all[FERRY_VERBS_PLACES], *free;
};

enum ferry_verbs_slot_state {
    FERRY_VERBS_SLOT_WHOLE,
    FERRY_VERBS_SLOT_REFERS,  /* its payload is to be read, */
    FERRY_VERBS_SLOT_FETCHING /* is being read */
};

struct ferry_verbs_slot {
    struct ferry_verbs_slot *next;
    struct ferry_verbs_slab *slab;
    uint8_t *bytes;
    uint32_t number; /* of the device's slots */
    uint32_t length;
    bool receives;
    struct ferry_verbs_place *place; /* with a long packet's payload, or NULL */
    enum ferry_verbs_slot_state state;
    struct ibv_recv_wr request; /* where it receives */
    struct ibv_sge part;
};

/* Slots that are registered together. Keeps its memory when the device goes. */
struct ferry_verbs_slab {
    struct ferry_verbs_slab *next;
    void *memory;
    size_t length;
    struct ibv_mr *mr; /* NULL while the device is not there */
    struct ferry_verbs_slot slots[];
};

#define FERRY_VERBS_BUCKETS 64

#define FERRY_VERBS_READS 8 /* of one endpoint, under way at once */

/* A port of a device. */
struct ferry_verbs_device {
    struct ferry_verbs *verbs;
    char name[FERRY_NAME_ROOM];
    char node[64]; /* its file, once it was open */
    uint8_t port;
    bool usable;                 /* open, and its port is up */
    bool check;                  /* it may not be */
    bool said;                   /* to the user, that it is gone */
    struct ibv_context *context; /* NULL: not open */
    struct ibv_pd *pd;
    struct ibv_comp_channel *channel;
    struct ibv_cq *cq;
    struct ibv_srq *srq;
    bool armed; /* an event will come with the next completion; */
    bool late;  /* that was here, and the event not yet */
    struct ferry_card card;
    uint32_t reads; /* that a queue pair may ask for at once */
    uint32_t inline_max;
    uint32_t peers;                     /* with a queue pair here for packets */
    uint32_t queue_pairs;               /* all */
    uint32_t completions, receives_max; /* room for them */
    uint32_t receives;                  /* slots that receive */

    struct ferry_verbs_slab *slabs;
    struct ferry_verbs_slot **slots; /* by number */
    uint32_t slot_count, slot_room;
    struct ferry_verbs_slot *free; /* to send from */
    uint32_t free_count;
    struct ibv_recv_wr *chain, **chain_end;              /* receives to be posted */
    struct ferry_verbs_places out, in;                   /* long packets */
    bool short_of_places;                                /* some endpoint waits for one of in */
    struct ferry_verbs_rail *rails[FERRY_VERBS_BUCKETS]; /* by the queue pair's number */

    struct ferry_regions *regions;         /* NULL: long messages are not read here */
    struct ferry_regions_counters counted; /* by caches that were closed */
};

/* A queue pair. */
struct ferry_verbs_rail {
    struct ferry_verbs_rail *next; /* in the device's bucket */
    struct ferry_verbs_endpoint *endpoint;
    struct ferry_verbs_device *device;
    struct ferry_lane lane;
    struct ibv_qp *qp; /* NULL: there is none */
    uint32_t psn;
    /* Requests posted, known to be done, and posted when the last was that tells when it is */
    uint32_t posted, done, told;
    uint32_t reads; /* under way */
    bool probed;    /* and it works */
};

enum ferry_verbs_state {
    FERRY_VERBS_BELOW,    /* all goes over the fabric */
    FERRY_VERBS_OFFERED,  /* the leader waits to be answered */
    FERRY_VERBS_PROBING,  /* the leader's probes are under way */
    FERRY_VERBS_ACCEPTED, /* the follower waits for what the leader finds */
    FERRY_VERBS_UP,
    FERRY_VERBS_FALLING, /* it said so, and the peer has not yet */
};

struct ferry_verbs_endpoint {
    struct ferry_endpoint base;
    struct ferry_link link; /* of all */
    enum ferry_verbs_state state;
    bool leads;               /* it makes the offers */
    bool left;                /* the peer closes its queue pairs, which looks like a failure */
    bool failed;              /* to be brought down in progress */
    bool probed;              /* all probes have ended: to be gone on with in progress */
    const char *why;          /* it last fell; NULL: it did not yet */
    uint32_t generation;      /* of its queue pairs; the leader counts */
    struct ferry_cards other; /* the peer's */
    uint8_t serial;           /* of these */
    bool knows_other;         /* they came */
    unsigned round;           /* lanes that were tried in vain */
    bool next_lane;           /* the last one was */
    uint64_t retry_ns;        /* when the leader offers again; 0: not */
    unsigned retries;
    bool told;          /* the user, that no lane works */
    uint32_t said_down; /* of which generation */
    unsigned probes;    /* under way */

    uint32_t rail_count;
    struct ferry_verbs_rail rails[FERRY_CARDS_MAX];

    /* Packets by the first rail */
    bool sends_up, receives_up; /* each direction goes over by itself */
    uint32_t sent, acknowledged, got, got_told;
    bool got_long; /* whose places the peer keeps until it is told */
    struct ferry_verbs_slot *kept[FERRY_VERBS_WINDOW]; /* by number, until acknowledged */
    struct ferry_verbs_slot *inbox, *last_inbox;       /* what can't be taken in yet */
    unsigned inbox_count, fetches;                     /* fetches: that are read just now */
    bool fetching;                                     /* a place became free */
    bool long_packets;                                 /* the peer reads them */
    struct ferry_verbs_slot *own;                      /* for acknowledgements */
    bool acknowledging;                                /* one is under way */
    struct ferry_verbs_endpoint *next_owing;           /* of those that owe one */
    bool owes;

    struct ferry_link exposures, reads; /* reads: the first ones are under way */
    struct ferry_verbs_read *by_number[FERRY_VERBS_READS];
};

struct ferry_verbs {
    struct ferry_transport base;
    struct ferry_verbs_device devices[FERRY_CARDS_MAX];
    unsigned device_count;
    bool opened;                                        /* tried to */
    struct ferry_cards own;                             /* as peers were told */
    struct ferry_verbs_device *places[FERRY_CARDS_MAX]; /* which device each is of */
    uint8_t serial;                                     /* how often they were told */
    bool check_events;
    uint64_t look_ns; /* when devices were last looked for */
    struct ferry_link endpoints;
    struct ferry_verbs_endpoint *owing;
    bool due; /* some endpoint has failed, or its probes have ended */
};

static inline struct ferry_verbs *ferry_verbs_of(struct ferry_transport *transport)
{
    return (struct ferry_verbs *) transport;
}

static inline struct ferry_verbs_endpoint *ferry_verbs_endpoint_of(struct ferry_endpoint *base)
{
    return (struct ferry_verbs_endpoint *) base;
}

static inline struct ferry_verbs *
ferry_verbs_of_endpoint(const struct ferry_verbs_endpoint *endpoint)
{
    return ferry_verbs_of(endpoint->base.transport);
}

/* What a completion is of, in its wr_id; with it the number of a slot or of requests posted, and of a read, or of the
 * slot whose packet is fetched. */
enum ferry_verbs_kind {
    FERRY_VERBS_RECEIVE,
    FERRY_VERBS_SEND,
    FERRY_VERBS_ACKNOWLEDGE,
    FERRY_VERBS_PROBE,
    FERRY_VERBS_READ,
    FERRY_VERBS_FETCH,
};

static inline uint64_t ferry_verbs_id(enum ferry_verbs_kind kind, uint32_t number)
{
    return (uint64_t) number << 8 | kind;
}

#define FERRY_VERBS_ID_READ 40 /* bit at which the number of a read, or slot, begins */

/* ---- device.c: ports, and what is made once for each ---- */

/* Opens what can be used. */
void ferry_verbs_open_devices(struct ferry_verbs *verbs);
/* Opens one that came back, or may have: sysfs is not read for it, since that waits while the kernel takes it away, which
 * waits for us. Returns whether it can be used. */
bool ferry_verbs_open_device(struct ferry_verbs_device *device);
void ferry_verbs_close_device(struct ferry_verbs_device *device);
/* Of one that was open and is closed: if it is being taken away, closes what libfabric has open of it. */
void ferry_verbs_let_go(const struct ferry_verbs_device *device);
/* Takes in what the kernel tells of it. Returns whether there was something. */
bool ferry_verbs_take_events(struct ferry_verbs_device *device);
/* Looks whether it can be used. Returns whether that, or what it is like, has changed. */
bool ferry_verbs_look_at(struct ferry_verbs_device *device);
/* Tells the user, once, that it can't be used (for more peers), and what would help. */
void ferry_verbs_say_unusable(struct ferry_verbs_device *device, int error);
/* Makes verbs->own anew of the devices that can be used, and tells all peers. */
void ferry_verbs_show_cards(struct ferry_verbs *verbs);

/* ---- prefix.c ---- */

/* How many bits of an address of IPv4 or IPv6, given as a GID, name its network, by the interface that has it (of an
 * IPv4 address: of its four bytes); 0: not known. */
uint8_t ferry_verbs_prefix(const uint8_t gid[16], unsigned interface);

/* ---- slab.c: memory that is registered once ---- */

/* Adds slots to send from. Errors: -ENOMEM, or what registering says. */
int ferry_verbs_add_slots(struct ferry_verbs_device *device, unsigned count);
/* One more peer sends to this device, or one less. Errors: the same; -ENOSPC there are too many. */
int ferry_verbs_add_peer(struct ferry_verbs_device *device);
void ferry_verbs_remove_peer(struct ferry_verbs_device *device);
/* Registers all slabs anew with a device that came back. */
int ferry_verbs_renew_slabs(struct ferry_verbs_device *device);
void ferry_verbs_forget_slabs(struct ferry_verbs_device *device); /* deregisters them */
void ferry_verbs_free_slabs(struct ferry_verbs_device *device);
/* A slot to send from. NULL: there is none left for this endpoint. */
struct ferry_verbs_slot *ferry_verbs_take_slot(struct ferry_verbs_endpoint *endpoint);
void ferry_verbs_give_slot(struct ferry_verbs_device *device, struct ferry_verbs_slot *slot);
/* Receives that are to be posted again: together, at the end of a round. */
void ferry_verbs_receive_into(struct ferry_verbs_device *device, struct ferry_verbs_slot *slot);
void ferry_verbs_post_receives(struct ferry_verbs_device *device);

/* ---- places.c: memory for long packets ---- */

/* Registers them with the device; where that can't be, they have no mr. */
void ferry_verbs_open_places(struct ferry_verbs_device *device);
void ferry_verbs_forget_places(struct ferry_verbs_device *device); /* deregisters them */
void ferry_verbs_free_places(struct ferry_verbs_device *device);
/* NULL: there is none left. */
struct ferry_verbs_place *ferry_verbs_take_place(struct ferry_verbs_places *places);
void ferry_verbs_give_place(struct ferry_verbs_places *places, struct ferry_verbs_place *place);

/* ---- rail.c: queue pairs ---- */

/* Makes one that can't send yet. Errors: negative errno. */
int ferry_verbs_rail_make(struct ferry_verbs_rail *rail, struct ferry_verbs_endpoint *endpoint,
                          struct ferry_verbs_device *device, const struct ferry_lane *lane);
/* Connects it to the peer's. Errors: negative errno. */
int ferry_verbs_rail_connect(struct ferry_verbs_rail *rail, const struct ferry_verbs_end *other);
void ferry_verbs_rail_destroy(struct ferry_verbs_rail *rail);
/* What the peer has to know of it. */
struct ferry_verbs_end ferry_verbs_rail_end(const struct ferry_verbs_rail *rail);
struct ferry_verbs_rail *ferry_verbs_rail_find(struct ferry_verbs_device *device, uint32_t number);
/* Whether a request can be posted: room for those that must not fail is kept. */
bool ferry_verbs_rail_has_room(const struct ferry_verbs_rail *rail);
/* Posts one, with a wr_id that counts. Errors: positive errno, as ibv_post_send(). */
int ferry_verbs_rail_post(struct ferry_verbs_rail *rail, struct ibv_send_wr *request,
                          enum ferry_verbs_kind kind, bool tell);
/* All requests up to this number are done. */
static inline void ferry_verbs_rail_done(struct ferry_verbs_rail *rail, uint32_t posted)
{
    if ((int32_t) (posted - rail->done) > 0)
        rail->done = posted;
}

/* ---- handshake.c: going over to queue pairs, and back ---- */

/* Tells the peer of the own cards. */
void ferry_verbs_say_hello(struct ferry_verbs_endpoint *endpoint);
/* A packet of the handshake came. Errors: -EPROTO. */
int ferry_verbs_told(struct ferry_verbs_endpoint *endpoint, uint64_t word, const void *payload,
                     size_t length);
/* A probe has ended. */
void ferry_verbs_probed(struct ferry_verbs_rail *rail, bool works);
/* All of them have. */
void ferry_verbs_after_probes(struct ferry_verbs_endpoint *endpoint);
/* The leader offers, where it is time to. */
void ferry_verbs_retry(struct ferry_verbs_endpoint *endpoint, uint64_t now);
/* To be brought down when progress comes to it: from where nothing may be called back. */
void ferry_verbs_fail(struct ferry_verbs_endpoint *endpoint, const char *why);
/* Ends the use of its queue pairs: packets go over the fabric again, once the peer has said what it got. */
void ferry_verbs_fall(struct ferry_verbs_endpoint *endpoint, const char *why);
/* The same for all that use a device. */
void ferry_verbs_leave_device(struct ferry_verbs_device *device, const char *why);

/* ---- packet.c ---- */

int ferry_verbs_send(struct ferry_endpoint *base, const struct ferry_head *head,
                     const struct ferry_payload *payload);
int ferry_verbs_send_eager(struct ferry_endpoint *base, uint64_t match, const void *data,
                           uint32_t length);
/* Whether the peer has still to read a long packet. */
bool ferry_verbs_is_read_from(const struct ferry_verbs_endpoint *endpoint);
/* Forgets what the peer has taken in. Errors: -EPROTO: it can't have. */
int ferry_verbs_acknowledge(struct ferry_verbs_endpoint *endpoint, uint32_t acknowledged);
/* Notes that the peer may wait to be told what was taken in. */
void ferry_verbs_owe(struct ferry_verbs_endpoint *endpoint);
/* Tells peers what was taken in, where they may wait for it. */
void ferry_verbs_pay(struct ferry_verbs *verbs);
/* Sends what the peer did not take in over the fabric. */
void ferry_verbs_send_again(struct ferry_verbs_endpoint *endpoint);
/* Posts something whose end is told, so that it is known when all before it has left. */
void ferry_verbs_nudge(struct ferry_verbs_endpoint *endpoint);

/* ---- inbox.c ---- */

/* A packet came in a slot, which is used again. */
void ferry_verbs_received(struct ferry_verbs_rail *rail, struct ferry_verbs_slot *slot,
                          uint32_t length);
/* The peer goes over: hands on what came early. */
void ferry_verbs_receive_early(struct ferry_verbs_endpoint *endpoint);
/* Hands on what is whole, in order. */
void ferry_verbs_deliver(struct ferry_verbs_endpoint *endpoint);
/* A long packet was read. */
void ferry_verbs_fetched(struct ferry_verbs_rail *rail, uint32_t slot, bool works);
/* Reads those that had to wait. */
void ferry_verbs_fetch_on(struct ferry_verbs_endpoint *endpoint);
/* Its queue pairs are gone. */
void ferry_verbs_drop_inbox(struct ferry_verbs_endpoint *endpoint);

/* ---- completion.c ---- */

/* Takes in what is done; returns the number of events. */
int ferry_verbs_poll(struct ferry_verbs_device *device);
/* All that there is, before a queue pair is destroyed. */
void ferry_verbs_drain(struct ferry_verbs_device *device);

/* ---- read.c: long messages ---- */

int ferry_verbs_open_regions(struct ferry_verbs_device *device);
/* No endpoint exposes or reads any more. */
void ferry_verbs_close_regions(struct ferry_verbs_device *device);
/* Adds what its cache has counted, before it was lost too. */
void ferry_verbs_count_regions(const struct ferry_verbs_device *device,
                               struct ferry_regions_counters *sum);
void *ferry_verbs_expose(struct ferry_endpoint *base, const void *from, size_t length);
size_t ferry_verbs_describe_exposed(struct ferry_endpoint *base, void *exposed, void *descriptor);
void ferry_verbs_withdraw(struct ferry_endpoint *base, void *exposed);
/* Gives back what the device has registered for it; the exposures stay, and can't be read any more. */
void ferry_verbs_hide_all(struct ferry_verbs_endpoint *endpoint);
void ferry_verbs_copied(struct ferry_endpoint *base, const void *to, size_t length);
int ferry_verbs_read(struct ferry_endpoint *base, const void *descriptor, size_t descriptor_length,
                     void *to, size_t length, void *op);
/* A part of a read has ended. */
void ferry_verbs_read_part(struct ferry_verbs_rail *rail, uint32_t number, bool works);
/* Asks for parts that had to wait. */
void ferry_verbs_read_on(struct ferry_verbs_endpoint *endpoint);
/* Its queue pairs are gone: all reads end. */
void ferry_verbs_end_reads(struct ferry_verbs_endpoint *endpoint);
/* At the end: all that is left, without a word. */
void ferry_verbs_free_reads(struct ferry_verbs_endpoint *endpoint);

#endif
