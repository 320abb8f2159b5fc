/*
 * The contract between libferry's core and a transport: one table of operations.
 *
 * The core matches, splits messages into packets, and keeps what can't be sent yet. A transport
 * carries packets, in order, each once, and knows who can be reached. It calls back into the core
 * with the functions at the end, and only from inside its progress().
 */
#ifndef FERRY_TRANSPORT_H
#define FERRY_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ferry.h"
#include "wire.h"

struct ferry_transport;
struct ferry_endpoint;
struct ferry_quota;
struct ferry_survey;
struct ferry_regions_counters;

/* The bytes that are sent after a packet's head: a few of the protocol's own, then user data. */
struct ferry_payload {
    const void *lead;
    size_t lead_length;
    const void *data; /* contiguous bytes, or what stream packs from */
    const ferry_stream_t *stream;
    size_t offset; /* where in data to begin */
    size_t length; /* bytes of data */
};

struct ferry_transport_ops {
    const char *name;
    bool near;      /* its peers share memory */
    bool falls;     /* that memory may be taken away, see ferry_core_fall_back() */
    bool on_demand; /* opened by ferry_open_fabric(), not from the beginning */

    /* The transport that this one is raised upon, or NULL. That one reaches the peer, tells of its end, and carries
     * packets until this one has a way of its own, and whenever it has lost that. reach() is asked only about peers
     * that it reaches; there is raise() in place of connect(). */
    const struct ferry_transport_ops *upon;

    /* Makes ready to meet others and returns at once; may leave a thread behind that lets others in
     * until settle(). -ENODEV: this transport can't be used here (a reason was logged). */
    int (*open)(ferry_context_t *context, struct ferry_transport **transport);
    void (*close)(struct ferry_transport *transport);

    /* Writes this transport's part of the address: at most room bytes; returns how many. */
    size_t (*address)(struct ferry_transport *transport, void *part, size_t room);

    /* Whether the peer with this part of an address is reached, proved as far as is possible without
     * its taking part. Called in order of the list of transports; the first that says yes has it. */
    bool (*reach)(struct ferry_transport *transport, ferry_peer_t *peer, const void *part,
                  size_t length);

    /* Shows a peer's part of an address, whoever reaches it; before reach() is asked. Optional. */
    void (*note)(struct ferry_transport *transport, ferry_peer_t *peer, const void *part,
                 size_t length);

    /* Whether all that start together reach each other by this transport, judged by their addresses
     * alone: the same answer in each of them. Asked once all were added. */
    bool (*reaches_all)(struct ferry_transport *transport);
    /* Whether they should know how to reach each other by a network all the same, for it may fall: as reaches_all().
     * Optional. */
    bool (*may_fall)(struct ferry_transport *transport);

    /* Divides those that start together into sets whose members all share one segment, judged by their addresses
     * alone, so that each of them finds the same: parts[rank], of lengths[rank] bytes (0: none). Fills
     * segments[rank] with a number that names the set's segment, or 0. Needs no open transport. Optional.
     * Errors: -ENOMEM. */
    int (*segments)(const uint8_t *const *parts, const uint8_t *lengths, uint32_t size,
                    uint32_t *segments);

    /* All that start together were added. Optional. Errors: -EHOSTUNREACH (reported). */
    int (*settle)(struct ferry_transport *transport);

    /* Makes the endpoint to a peer that is reached. Never blocks: an endpoint that is not yet
     * connected refuses with -EAGAIN. The transport allocates it with the base in front and keeps
     * it until close(). */
    int (*connect)(struct ferry_transport *transport, ferry_peer_t *peer,
                   struct ferry_endpoint **endpoint);

    /* Where upon is set: makes the endpoint upon lower, to the same peer. */
    int (*raise)(struct ferry_transport *transport, struct ferry_endpoint *lower,
                 struct ferry_endpoint **endpoint);
    /* A packet came over the endpoint that this one is raised upon. As ferry_core_receive(). */
    int (*carried)(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                   const void *payload);
    /* The peer leaves, and has all that it wants: what was sent to it need not be waited for. Optional. */
    void (*left)(struct ferry_endpoint *endpoint);
    /* The peer is lost: ends what it does for it, reads too. Optional. */
    void (*lost)(struct ferry_endpoint *endpoint);

    /* Copies one packet out, or refuses with -EAGAIN: then the core tries again in later progress.
     * Other errors mean that the endpoint is lost. head->seq is set by the transport. The payload is
     * at most endpoint->packet_max bytes. Never blocks, never calls back (except stream->pack). */
    int (*send)(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                const struct ferry_payload *payload);

    /* The same for an EAGER packet of contiguous data, the way of small messages. NULL: send() is
     * used. */
    int (*send_eager)(struct ferry_endpoint *endpoint, uint64_t match, const void *data,
                      uint32_t length);

    /* Asks the peer, while on, to offer all but the smallest messages before it sends them: too many
     * wait here for a receive. Optional: the peer's endpoint->held follows some time later. */
    void (*hold)(struct ferry_endpoint *endpoint, bool on);

    /* Copies length bytes from an address of the peer's into to, by the kernel, in one copy.
     * Returns bytes copied (maybe fewer, never 0), or -ENOTSUP where there is no such way (any
     * more), -EAGAIN while one is being set up. NULL: no such way. */
    ssize_t (*fetch)(struct ferry_endpoint *endpoint, uint64_t address, void *to, size_t length);

    /* Opens length bytes at from to the peer's adapter, where it can and that pays: returns what describe() and
     * withdraw() name it by, else NULL. Optional, and then these are there, too, and read(). */
    void *(*expose)(struct ferry_endpoint *endpoint, const void *from, size_t length);
    /* Writes what the peer needs to read it, FERRY_DESCRIPTOR_MAX bytes at most; returns how many, 0 where it can't be
     * read any more. */
    size_t (*describe_exposed)(struct ferry_endpoint *endpoint, void *exposed, void *descriptor);
    void (*withdraw)(struct ferry_endpoint *endpoint, void *exposed);

    /* See ferry_alloc(). Optional, both. */
    void *(*take_memory)(struct ferry_transport *transport, size_t length);
    bool (*give_memory)(struct ferry_transport *transport, void *memory);

    /* So many bytes, longer than eager_max, were copied from the peer's message to where its adapter could have put
     * them: the next time may be another. Optional. */
    void (*copied)(struct ferry_endpoint *endpoint, const void *to, size_t length);

    /* Begins to read what the peer exposed; ferry_core_read_done(op, ...) follows, in progress.
     * Errors: -ENOTSUP it can't be read so, or copying is cheaper. */
    int (*read)(struct ferry_endpoint *endpoint, const void *descriptor, size_t descriptor_length,
                void *to, size_t length, void *op);

    /* A number that changes while the peer looks after its messages: if it does not for some
     * microseconds, fetch() is the quicker way. NULL: it always is. */
    uint32_t (*beats)(struct ferry_endpoint *endpoint);

    /* Whether what was copied out of a packet's payload is what the peer wrote: asked after each such copy, before
     * anybody is told. False: the memory has gone, and the endpoint with it. NULL: always. */
    bool (*intact)(struct ferry_endpoint *endpoint);

    /* Takes in what has arrived; a bounded number of packets. Returns the number of events. */
    int (*progress)(struct ferry_transport *transport);

    /* Where transport->sleeps: sleeps until something arrives by this transport, until rouse(), or until
     * microseconds have passed. Calls ferry_core_falls_asleep() when it is sure to notice a rouse(), and
     * ferry_core_release() around the sleep itself. Returns at once where that said so or something has
     * arrived. */
    void (*sleep)(struct ferry_transport *transport, unsigned microseconds);
    /* Ends the sleep of all threads of this process. Thread-safe. */
    void (*rouse)(struct ferry_transport *transport);

    /* Asked before a sleep: for how long progress() need not be called, in microseconds, unless a descriptor
     * that was told to ferry_core_watch() can be read. The next progress() must look. Optional where the
     * transport sleeps. */
    unsigned (*patience)(struct ferry_transport *transport);

    /* Whether the processes of the job that share processors with this one, and do not sleep, are more
     * than those processors. A hint; cheap. Optional. */
    bool (*crowded)(struct ferry_transport *transport);

    /* Rare work, called about ten times a second while idle: looks for the dead. Optional. */
    void (*housekeep)(struct ferry_transport *transport);

    /* Whether all that send() took has left for the peer. Optional; NULL: always. */
    bool (*flushed)(struct ferry_transport *transport);

    /* Adds what its caches of registered memory have counted. Optional. */
    void (*count_regions)(struct ferry_transport *transport, struct ferry_regions_counters *sum);

    /* One line for people: how this peer is reached. */
    void (*describe)(struct ferry_transport *transport, ferry_peer_t *peer, char *text,
                     size_t room);

    /* Finds out, for people, what it would use here: opens what open() would, without a context, and leaves nothing
     * behind. ferry_config() is good. It may take a second. Optional. */
    void (*survey)(struct ferry_survey *survey);
};

struct ferry_transport {
    const struct ferry_transport_ops *ops;
    ferry_context_t *context;
    bool sleeps; /* its peers can wake this process */
    bool
        moves; /* parts of messages come and go of which it tells only at the end; kept up by patience() */
};

struct ferry_pending;

struct ferry_volume {
    uint64_t messages, bytes;
};

/* Of a context; shown by counter.c. */
struct ferry_counts {
    struct ferry_volume piecewise;                    /* received */
    struct ferry_volume copied_by_cma, copied_by_mem; /* one for each call of fetch() that copied */
    struct ferry_volume read;                         /* by the adapter; one for each message */
    struct ferry_volume read_in_place;                /* from memory that is shared; the same */
    uint64_t copy_failures, stalls, unexpected, wakes;
};

struct ferry_endpoint {
    const struct ferry_transport_ops *ops;
    struct ferry_transport *transport;
    ferry_peer_t *peer;
    uint32_t packet_max; /* bytes of payload, at most FERRY_PAYLOAD_MAX; may change */
    uint32_t chunk;      /* bytes of payload that suit pipelined streaming best */
    bool cheap;          /* a packet costs little beside packing some KiB of small blocks into it */
    size_t eager_max;    /* up to this many bytes a message is sent without asking; */
    size_t copied_max;   /* and up to this many where it could be exposed and is not */
    bool held;           /* the peer asks for offers, see hold() */
    size_t fetch_min;    /* from here on fetch() may be used; SIZE_MAX: never */
    bool fetch_always;   /* also when the peer could stream */
    struct ferry_endpoint *upper, *lower; /* that is raised upon this one; upon which this one is */
    const struct ferry_transport_ops *way; /* by which messages go just now; NULL: ops */

    /* The core's own; zeroed by the transport. */
    struct {
        struct ferry_pending *first, *last; /* messages and answers that wait, in order */
        struct ferry_volume sent, received; /* beside what is looked at for each message */
        bool busy, lost, holding;
        uint32_t offers;               /* messages to the peer that were offered and are not done */
        struct ferry_pending *streams; /* large messages on their way, served in turn */
        struct ferry_message *assembly;   /* what NEXT packets belong to */
        struct ferry_endpoint *next_busy; /* the context's list of endpoints with work */
        size_t unexpected;                /* bytes from it that wait for a receive */
    } core;
};

/* ---- What a transport calls ---- */

/* A packet came in. head is a private copy. payload may be memory that others can write: it is
 * read once. Returns 0, or -EPROTO when the packet was nonsense: the transport must then call
 * ferry_core_lost() and deliver no more from this endpoint. */
int ferry_core_receive(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                       const void *payload);

/* Whether a packet had better stay where it is until the program has had a look at what came before it: it brings a
 * message that no receive is posted for yet, so that it would be kept in memory and copied once more. Who finds
 * it first when it looks again takes it. */
bool ferry_core_may_stay(struct ferry_endpoint *endpoint, const struct ferry_head *head);

/* ferry_core_receive() for an endpoint upon which another may be raised. */
int ferry_core_receive_carried(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                               const void *payload);

/* Copies a payload to where the packet is made: lead_length + length bytes. */
void ferry_core_fill(void *to, const struct ferry_payload *payload);

/* What read() began has ended: with error, the message is taken in another way. */
void ferry_core_read_done(void *op, int error);

/* Sends a packet of the upper transport over the endpoint that it is raised upon, later when there is no room now: in
 * order with what is sent over that. Errors: -ENOMEM. */
int ferry_core_tell(struct ferry_endpoint *lower, uint64_t word, const void *payload,
                    size_t length);

/* The same for any packet that the upper transport has kept: head, and head->length bytes of payload. */
int ferry_core_forward(struct ferry_endpoint *lower, const struct ferry_head *head,
                       const void *payload);

/* Sends a packet of the transport's own, later when there is no room now. Errors: -ENOMEM. */
int ferry_core_answer(struct ferry_endpoint *endpoint, uint64_t word, const void *payload,
                      size_t length);

/* ---- Waiting ---- */

/* Tells whether the processes of the job that share processors are more than these, so that whoever waits must
 * let others run; and how many share the quota of processor time with this one, itself counted. */
void ferry_core_shares(ferry_context_t *context, bool crowded, uint32_t in_quota);
const struct ferry_quota *ferry_core_quota(ferry_context_t *context);

/* While fd can be read, progress() has something to do. It may be closed without a word.
 * Errors: negative errno. */
int ferry_core_watch(ferry_context_t *context, int fd);

/* See ferry_transport_ops.sleep; falls_asleep returns whether what the thread awaits is there. Release gives other threads the context, where there are any, until acquire;
 * false: acquire must not be called. microseconds are made fewer where others may have to wait. */
bool ferry_core_falls_asleep(ferry_context_t *context);
bool ferry_core_release(ferry_context_t *context, unsigned *microseconds);
void ferry_core_acquire(ferry_context_t *context);

/* Progress until is_there() says so. is_there is also called with the context given to other threads. */
void ferry_core_await(ferry_context_t *context, bool (*is_there)(void *arg), void *arg);

/* Tells that this process has just woken another one, or said something that may wake one. */
void ferry_core_has_woken(ferry_context_t *context);
void ferry_core_has_called(ferry_context_t *context);

/* Wakes other threads of this process that sleep in progress: there is something that one may wait for. */
void ferry_core_rouse(ferry_context_t *context);

/* ---- Lost peers ---- */

/* The endpoint is gone for good: all its requests end with error, the user is told why. The
 * transport keeps the memory of the endpoint until close(). */
void ferry_core_lost(struct ferry_endpoint *endpoint, int error, const char *why);

/* The same for a peer with which there may be no endpoint yet. */
void ferry_core_peer_lost(ferry_peer_t *peer, int error, const char *why);

/* The endpoint of a peer, made when there is none yet (a peer that talks first). NULL: no memory. */
struct ferry_endpoint *ferry_core_endpoint(ferry_peer_t *peer);
/* The same for the part of it that is this transport's: the one below, where another is raised upon it. NULL: none. */
struct ferry_endpoint *ferry_core_own_endpoint(struct ferry_transport *transport,
                                               ferry_peer_t *peer);

struct ferry_counts *ferry_core_counts(ferry_context_t *context);

/* For a transport that falls: makes the endpoint of a network transport to the same peer, upon which this one goes on,
 * as endpoint->lower, and returns it; carried() is called for what comes over that. NULL: the peer is not reached by a
 * network, or there is no memory. Never blocks, never calls back. */
struct ferry_endpoint *ferry_core_fall_back(struct ferry_endpoint *endpoint);
/* Whether it would find a network. */
bool ferry_peer_has_network(const ferry_peer_t *peer);

/* Facts about the process that a transport may need. */
const ferry_params_t *ferry_core_params(ferry_context_t *context);
/* The open transport of a kind, or NULL. */
struct ferry_transport *ferry_core_transport(ferry_context_t *context,
                                             const struct ferry_transport_ops *ops);
/* See ferry_transport_ops.segments: of this process; valid from settle() on. */
uint32_t ferry_core_segment(ferry_context_t *context);
/* 16 random bytes that are this context's alone; in its address. */
const uint8_t *ferry_core_nonce(ferry_context_t *context);

/* Facts about a peer. */
const uint8_t *ferry_peer_nonce(ferry_peer_t *peer);
/* Its rank among those that started together with us, or -1. */
int ferry_peer_rank(ferry_peer_t *peer);
/* The transport's own pointer of a peer, for the transport that reaches it. */
void **ferry_peer_slot(ferry_peer_t *peer);

/* Whether it was lost. */
bool ferry_peer_lost(ferry_peer_t *peer);

/* What to prove to this peer, and have proved by it: the job's key, or its invitation. */
const uint8_t *ferry_peer_key(ferry_peer_t *peer);

/* The key of this context (the job's, or an invitation that stands) with this id, or NULL. An id is
 * ferry_key_id() of util/auth.h. */
const uint8_t *ferry_core_find_key(ferry_context_t *context, const uint8_t id[8]);

/* A process that proved a key of this context and is not among the peers: adds it, reached by this
 * transport, so that it can be answered. Errors: NULL, no memory. */
ferry_peer_t *ferry_core_stranger(struct ferry_transport *transport, const uint8_t nonce[16]);

/* The peer with this nonce, or NULL. */
ferry_peer_t *ferry_core_find_peer(ferry_context_t *context, const uint8_t nonce[16]);

/* The table's list, in order of preference, ending with NULL. */
extern const struct ferry_transport_ops *const ferry_transports[];
extern const struct ferry_transport_ops ferry_shm_ops;
extern const struct ferry_transport_ops ferry_guests_ops;
extern const struct ferry_transport_ops ferry_fabric_ops;
extern const struct ferry_transport_ops ferry_verbs_ops;

#endif
