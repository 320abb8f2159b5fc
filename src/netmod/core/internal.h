/*
 * What the files of the core share: contexts, peers, and operations on their way.
 */
#ifndef FERRY_INTERNAL_H
#define FERRY_INTERNAL_H

#include <stdalign.h>
#include <string.h>

#include "ferry.h"
#include "handle.h"
#include "load.h"
#include "match.h"
#include "quota.h"
#include "transport.h"
#include "wire.h"

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Up to this many bytes a message goes without asking even to a peer that holds. */
#define FERRY_TINY 48

#define FERRY_TRANSPORTS_MAX 5
#define FERRY_INVITATIONS_MAX 64

/* Ids that libferry uses itself, beyond those of the user. */
enum {
    FERRY_AM_GET = FERRY_AM_IDS,
    FERRY_AM_GET_REPLY,
    FERRY_AM_PUT,
    FERRY_AM_PUT_REPLY,
    FERRY_AM_ALL_IDS,
};

struct ferry_peer {
    struct ferry_endpoint *endpoint; /* NULL until first used */
    ferry_context_t *context;
    struct ferry_transport *transport; /* which reaches it, or NULL */
    struct ferry_transport *upper;     /* which is raised upon that, or NULL */
    struct ferry_transport
        *network; /* by which it is reached, too, if its transport falls; or NULL */
    void *slot, *user;
    int rank; /* among those that started together, or -1 */
    int error;
    bool said; /* to the user, that it is lost */
    bool anew; /* its endpoint is of no use any more: it may have another */
    uint8_t nonce[16], key[FERRY_KEY_SIZE];
    /* The part of its address by which nodes are found; until settle */
    uint8_t *near_part;
    uint8_t near_length;
};

/* What waits to be sent: part of a request, or an answer of the core's own. */
struct ferry_pending {
    struct ferry_pending *next;
    /* Goes on. Returns 1: finished, 0: all sent but an answer is awaited (the core holds a handle),
     * -EAGAIN: more to send, other errors: the endpoint is lost. */
    int (*push)(struct ferry_endpoint *endpoint, struct ferry_pending *pending);
    /* Called once after push finished from a queue, or with an error when the endpoint is lost. */
    void (*finish)(struct ferry_pending *pending, int status);
    bool awaiting; /* all sent, the peer's answer is due */
};

/* In request->internal. */
struct ferry_send_op {
    struct ferry_pending pending;
    struct ferry_endpoint *endpoint;
    const void *buffer;
    size_t length, offset; /* offset: how far it was sent */
    size_t end;            /* where a stream ends */
    uint64_t word;
    uint64_t handle; /* 0: none */
    uint64_t remote; /* receiver's handle */
    void *header;    /* of an active message that had to wait; ours */
    void *exposed;   /* to the peer's adapter */
    uint32_t header_length;
    uint8_t type;
    bool offered; /* counts in endpoint->core.offers */
};

struct ferry_recv_op {
    struct ferry_posted posted;
    void *buffer;
    size_t room;
    struct ferry_endpoint *endpoint;
    uint64_t handle;  /* ours, for DATA */
    uint64_t sender;  /* its handle */
    uint64_t address; /* where to fetch, in the sender */
    size_t want, got;
    struct ferry_recv_op *next_fetch;
    uint32_t beats; /* the sender's, when it offered */
    uint32_t
        patience; /* looks left before it is taken for busy elsewhere, and 1; 0: fetch in any case */
    uint32_t until_us; /* to wait for a sender that is to take messages from here; 0: not known */
};

_Static_assert(sizeof(struct ferry_send_op) <= sizeof(((ferry_request_t *) 0)->internal), "size");
_Static_assert(sizeof(struct ferry_recv_op) <= sizeof(((ferry_request_t *) 0)->internal), "size");

#define ferry_op(request, type) ((type *) (void *) (request)->internal)
#define ferry_request_of(op) ferry_container(op, ferry_request_t, internal)

enum ferry_message_kind { FERRY_MSG_WHOLE, FERRY_MSG_PIECES, FERRY_MSG_OFFER };

/* A message that has arrived, wholly, partly, or only as an offer. */
struct ferry_message {
    struct ferry_unexpected link;
    ferry_context_t *context;
    ferry_peer_t *peer;
    enum ferry_message_kind kind;
    bool queued; /* unexpected, in the match table */
    int error;   /* its sender is gone */
    size_t length, got;
    ferry_request_t *request; /* takes the pieces as they come */
    uint64_t sender;          /* its handle: of an offer, or to be told of a match */
    uint64_t address;
    size_t room;   /* bytes at data that count as unexpected */
    uint8_t *data; /* behind this struct; of an offer its descriptor */
    uint8_t descriptor_length;
};

/* How this process waits; see wait.c. */
struct ferry_wait {
    uint64_t since_ns, last_ns; /* the wait under way began, was last seen to go on */
    uint64_t until_ns;          /* it shall not last longer; 0: no matter */
    uint64_t housekeeping_ns;
    bool polling, resting; /* in this wait */
    bool has_woken;        /* another process, since the last wait began; */
    bool has_called;       /* or said something that may wake one */
    bool is_brief, offers; /* the former, the latter was so when this wait began */
    unsigned sleepers;     /* threads */
    uint64_t past_ns;      /* all waits before this one, as far as they went */
    uint64_t slept_ns, sleeps;

    /* Who else wants the processor */
    bool crowded;        /* the job has more processes than processors */
    bool starved;        /* polling takes from the processor time that a cgroup leaves */
    bool is_stolen_from; /* by the hypervisor */
    uint32_t processors; /* of the machine */
    struct ferry_quota quota;
    struct ferry_load load;
    uint64_t stolen_ticks, all_ticks, steal_ns;
    uint64_t stolen_before_us; /* when the context was opened */
    unsigned vain;             /* how often it polled in vain since it was last of use */
    uint64_t no_poll_until_ns;

    /* Descriptors that can end a sleep */
    int epoll; /* of all of them; -1: there are none */
    int nudge; /* one of them, for other threads of this process; or -1 */
    struct ferry_watch *watch;
    bool alarmed; /* one told of something, and nothing was found yet */
};

struct ferry_context {
    ferry_params_t params;
    uint8_t nonce[16];
    struct ferry_match match;
    struct ferry_transport
        *transports[FERRY_TRANSPORTS_MAX];                /* as in ferry_transports; NULL: unused */
    struct ferry_transport *active[FERRY_TRANSPORTS_MAX]; /* those that progress visits */
    unsigned active_count;
    ferry_am_fn handlers[FERRY_AM_ALL_IDS];
    struct ferry_endpoint *busy;                 /* have something to send */
    struct ferry_recv_op *fetching, *last_fetch; /* receives that fetch, in order */
    struct ferry_handles handles;                /* of ferry_handled objects */
    struct ferry_link services;                  /* gets and puts of others that are under way */
    ferry_peer_t **peers;
    uint32_t peer_count, peer_room;
    struct ferry_invitation {
        bool used;
        uint8_t key[FERRY_KEY_SIZE], id[8];
    } job, invitations[FERRY_INVITATIONS_MAX];
    uint32_t *nodes;  /* by rank: the least rank of its node; NULL before settle */
    uint32_t segment; /* that all of the own node share, or 0 */
    bool unsaid;      /* some peer is lost, and the user does not know */
    uint32_t idle;    /* calls of progress without events, in a row */
    uint32_t passes;  /* calls of ferry_pass() */
    struct ferry_wait wait;
    struct ferry_counts counts;
};

static inline bool ferry_peer_is_self(const ferry_peer_t *peer)
{
    return !memcmp(peer->nonce, peer->context->nonce, sizeof(peer->nonce));
}

/* ---- Handles: what kind an object has is kept beside it, so that none is taken for another ---- */

enum ferry_handle_kind {
    FERRY_HANDLE_SEND = 1,
    FERRY_HANDLE_RECV,
    FERRY_HANDLE_MEMORY,
    FERRY_HANDLE_RMA
};

/* Kinds travel in the lowest bits of the pointer, which alignment leaves free. */
static inline uint64_t ferry_handle_make(ferry_context_t *context, enum ferry_handle_kind kind,
                                         void *object)
{
    return ferry_handle_new(&context->handles, (char *) object + kind);
}

static inline void *ferry_handle_find(ferry_context_t *context, enum ferry_handle_kind kind,
                                      uint64_t handle)
{
    uintptr_t tagged = (uintptr_t) ferry_handle_get(&context->handles, handle);

    return tagged && (tagged & 7) == kind ? (void *) (tagged - kind) : NULL;
}

/* ---- wait.c ---- */

void ferry_wait_init(ferry_context_t *context);
/* To be called before the transports are closed. */
void ferry_wait_close(ferry_context_t *context);

/* Nothing to do: after a while lets others have the processor, and looks for the dead now and then. waits: the
 * caller has nothing else to do either. context->idle counts the looks that found nothing; to be called with every so
 * manieth, and with each in a crowd and of who waits and rests. */
#define FERRY_POLLS 8u
void ferry_idle(ferry_context_t *context, bool waits);

/* What this thread awaits beside messages, or NULL. */
void ferry_wait_for(bool (*is_there)(void *arg), void *arg);

/* The program did something: if it waits hereafter, that is another wait. */
static inline void ferry_acts(ferry_context_t *context)
{
    context->idle = 0;
}

/* What has to be done now and then, by whoever never is idle. */
void ferry_pass(ferry_context_t *context);

/* For how long it has waited, by the looks at the clock: short waits do without. */
uint64_t ferry_wait_ns(const ferry_context_t *context);

/* Whether other processes of the job wait for the processor that this one polls on. */
bool ferry_is_crowded(ferry_context_t *context);

/* ---- context.c ---- */

/* Puts an endpoint on the list of those that have something to send. */
void ferry_endpoint_busy(struct ferry_endpoint *endpoint);

/* Sends now if nothing waits before it: what push returned, or -EAGAIN. */
int ferry_try(struct ferry_endpoint *endpoint, struct ferry_pending *pending);

/* Appends to what the endpoint sends in order; finish() comes later. */
void ferry_append(struct ferry_endpoint *endpoint, struct ferry_pending *pending);

/* Tries, then appends. As the posting calls of ferry.h: 1 finished, 0 finish() comes later. */
int ferry_post(struct ferry_endpoint *endpoint, struct ferry_pending *pending);

/* Adds a message that is streamed beside others. */
void ferry_post_stream(struct ferry_endpoint *endpoint, struct ferry_pending *pending);

/* ---- peer.c ---- */

/* The endpoint to send over, or NULL with the reason in peer->error. */
struct ferry_endpoint *ferry_peer_connect(ferry_peer_t *peer);

static inline struct ferry_endpoint *ferry_peer_endpoint(ferry_peer_t *peer)
{
    struct ferry_endpoint *endpoint = peer->endpoint;

    return likely(endpoint != NULL && !endpoint->core.lost) ? endpoint : ferry_peer_connect(peer);
}

void ferry_peers_free(ferry_context_t *context);

static inline void ferry_count(struct ferry_volume *volume, size_t bytes)
{
    volume->messages++;
    volume->bytes += bytes;
}

/* "shm", "guests", "verbs", "fabric", "self"; NULL: not reached. */
const char *ferry_peer_way(const ferry_peer_t *peer);

/* ---- node.c ---- */

/* Keeps what of an address is needed to find nodes. Errors: -ENOMEM. */
int ferry_node_note(ferry_peer_t *peer, unsigned transport, const uint8_t *part, uint8_t length);
/* All were added. Errors: -ENOMEM. */
int ferry_nodes_find(ferry_context_t *context);

/* ---- send.c ---- */

/* A small packet of the core's own. Errors: -ENOMEM. */
int ferry_answer(struct ferry_endpoint *endpoint, uint8_t type, uint64_t word, const void *payload,
                 size_t length);

/* The same with head and all. */
int ferry_answer_as(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                    const void *payload);

int ferry_on_cts(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                 const void *payload);
int ferry_on_done(struct ferry_endpoint *endpoint, const struct ferry_head *head);

/* Makes an operation one that offers its message (RTS, AM_RTS) and waits to be called for it.
 * Errors: -ENOMEM. */
int ferry_offer_init(struct ferry_send_op *op);
/* Takes that back, where the offer could not be sent. */
void ferry_offer_undo(struct ferry_send_op *op);
/* Frees what the core keeps for something that will not be sent any more. */
void ferry_pending_drop(struct ferry_pending *pending);

void ferry_send_finish(struct ferry_pending *pending, int status);

/* ---- recv.c ---- */

int ferry_on_eager(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                   const void *payload);
int ferry_on_first(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                   const void *payload);
int ferry_on_next(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                  const void *payload);
int ferry_on_rts(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                 const void *payload);
int ferry_on_data(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                  const void *payload);

/* A message that is on offer. Errors: NULL, no memory, or a descriptor that is too long. */
struct ferry_message *ferry_offer_new(struct ferry_endpoint *endpoint, uint64_t match,
                                      const struct ferry_rts *rts, const void *descriptor,
                                      size_t descriptor_length);

/* Fills in what a receive tells of its message; the second also ends it. */
void ferry_recv_results(ferry_request_t *request, int status, uint64_t match, size_t length,
                        ferry_peer_t *peer);
void ferry_recv_complete(ferry_request_t *request, int status);

/* Ends receives and unexpected messages that hang on a lost peer. */
void ferry_recv_peer_lost(ferry_peer_t *peer, int error);

/* Drops all that no receive has taken. */
void ferry_recv_close(ferry_context_t *context);

/* ---- offer.c ---- */

struct ferry_offer {
    uint64_t match, length, sender, address;
    const void *descriptor;
    size_t descriptor_length;
};

/* Takes the message that is offered, in the best way that there is. As the posting calls of ferry.h: 1 finished, 0 its
 * end comes later; or negative errno. */
int ferry_offer_accept(struct ferry_endpoint *endpoint, const struct ferry_offer *offer,
                       ferry_request_t *request);

/* A bounded part of the receives that fetch. Returns the number of events. */
int ferry_fetch_progress(ferry_context_t *context);
/* Ends those from a lost peer. */
void ferry_fetches_lose(ferry_context_t *context, ferry_peer_t *peer, int error);

/* ---- am.c, rma.c ---- */

int ferry_on_am(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                const void *payload);
int ferry_on_am_rts(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                    const void *payload);
void ferry_rma_init(ferry_context_t *context);
void ferry_rma_close(ferry_context_t *context);
void ferry_rma_peer_lost(ferry_peer_t *peer, int error);

#endif
