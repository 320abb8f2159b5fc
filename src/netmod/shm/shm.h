/*
 * The shared-memory transport's own types.
 */
#ifndef FERRY_SHM_H
#define FERRY_SHM_H

#include "board.h"
#include "load.h"
#include "ring.h"
#include "transport.h"

/* What lies at an offset of a board and is mapped here. */
struct ferry_extent {
    uint64_t offset;
    size_t length;
    void *memory; /* NULL: none */
};

/* Packets of the transport's own: the word of a FERRY_PKT_TRANSPORT. */
enum ferry_shm_word {
    FERRY_SHM_GROW = 1, /* payload: u64 offset, u64 room: from here on the byte area is there */
    FERRY_SHM_MEM_WANT, /* these four: see copy.c */
    FERRY_SHM_MEM_CHALLENGE,
    FERRY_SHM_MEM_DOOR,
    FERRY_SHM_MEM_SENT,
};

/* How one process reads another's memory. */
enum ferry_copy_way {
    FERRY_COPY_UNTRIED,
    FERRY_COPY_CMA,
    FERRY_COPY_ASKING,
    FERRY_COPY_MEM,
    FERRY_COPY_NONE
};

struct ferry_copier {
    enum ferry_copy_way way;
    int pid;    /* for CMA */
    int fd;     /* for MEM, or -1 */
    int socket; /* at which a descriptor is awaited, or -1 */
    char name[FERRY_NAME_SIZE];
    uint8_t asked[16], own[16]; /* challenges of both sides while a descriptor is handed over */
};

struct ferry_shm_endpoint {
    struct ferry_endpoint base;
    struct ferry_board *board;
    uint32_t rank;
    bool writing, reading; /* which rings are there */
    bool may_grow;
    bool fences;              /* a memory fence is needed before asleep is read */
    _Atomic uint32_t *asleep; /* see ferry_board_asleep() */
    struct ferry_ring tx, rx;
    struct ferry_extent tx_ring, tx_bytes, rx_ring, rx_bytes;
    struct ferry_copier copier; /* of the peer's memory, to here */
    struct ferry_copier giver;  /* challenges while ours is handed to the peer */
};

static inline struct ferry_shm_endpoint *ferry_shm_endpoint(struct ferry_endpoint *endpoint)
{
    return (struct ferry_shm_endpoint *) endpoint;
}

struct ferry_shm_board {
    struct ferry_board *board;
    uint32_t knocks; /* as last seen */
    bool used, lost;
    uint8_t *attached;    /* by rank: its ring to here is mapped */
    uint32_t members;     /* processes of the job that say they are */
    uint64_t *neighbours; /* a set: who is met here and shares processors with this process */
};

struct ferry_shm {
    struct ferry_transport base;
    struct ferry_place places[FERRY_PLACES_MAX];
    unsigned place_count, board_count;
    struct ferry_board *node; /* the board that all of this process's node share, or NULL */
    struct ferry_shm_board boards[FERRY_PLACES_MAX];
    uint8_t probe[16];
    int token; /* of ferry_host_show(), or -1 */
    ferry_peer_t *
        *far; /* that started with us and share no memory with us; until they are settled */
    uint32_t far_count;
    uint32_t common[FERRY_PLACES_MAX]; /* ids of boards that all peers seen so far are members of */
    unsigned common_count;
    uint32_t seen;                         /* peers asked for */
    ferry_peer_t **peers;                  /* by rank, those that are reached */
    struct ferry_shm_endpoint **endpoints; /* all, in order of their making */
    uint32_t endpoint_count;
    struct ferry_shm_endpoint **readers; /* those with a ring to read */
    uint32_t reader_count;
    uint32_t neighbours, processors; /* neighbours on all boards and itself; what they share */
    struct ferry_load load;
    unsigned areas;    /* for large messages, that this process wanted */
    bool is_crowded;   /* neighbours are more than processors */
    unsigned sleepers; /* threads of this process */
    bool is_short;     /* of memory: the user was told */
};

/* The smallest ring: two pages. */
#define FERRY_SHM_LEAST_SLOTS 32u
#define FERRY_SHM_LEAST_BYTES 4096u
#define FERRY_SHM_LEAST (2u * 4096u)

static inline struct ferry_shm *ferry_shm_of(struct ferry_transport *transport)
{
    return (struct ferry_shm *) transport;
}

/* ---- endpoint.c ---- */

/* These are operations of the transport. */
int ferry_shm_connect(struct ferry_transport *transport, ferry_peer_t *peer,
                      struct ferry_endpoint **endpoint);
int ferry_shm_send(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                   const struct ferry_payload *payload);
int ferry_shm_send_eager(struct ferry_endpoint *endpoint, uint64_t match, const void *data,
                         uint32_t length);
void ferry_shm_hold(struct ferry_endpoint *endpoint, bool on);

/* Whether, with length bytes more taken, there would no longer be the smallest ring for every pair. */
bool ferry_shm_is_scarce(const struct ferry_board *board, size_t length);

/* Maps the ring from a peer, as it told. Errors: -EPROTO, -ENOMEM. */
int ferry_shm_attach(struct ferry_shm *shm, struct ferry_shm_endpoint *endpoint, uint64_t told);

/* Takes in a bounded number of packets. Returns how many. */
int ferry_shm_drain(struct ferry_shm_endpoint *endpoint);

void ferry_shm_free(struct ferry_shm_endpoint *endpoint);

/* ---- node.c ---- */

/* ferry_transport_ops.segments */
int ferry_shm_segments(const uint8_t *const *parts, const uint8_t *lengths, uint32_t size,
                       uint32_t *segments);
/* Finds the board of this process's node, and proves that all of the node are members.
 * Errors: -EHOSTUNREACH one is not. */
int ferry_shm_find_node(struct ferry_shm *shm);
bool ferry_shm_is_of_node(struct ferry_shm *shm, ferry_peer_t *peer);
/* The transport of a context, if this process's node has a board; or NULL. */
struct ferry_shm *ferry_shm_with_node(ferry_context_t *context);

/* ---- rest.c: who shares processors, and sleep ---- */

/* Whether the peer with this rank relies on a fence of whoever sends to it. */
bool ferry_shm_needs_fence(struct ferry_shm *shm, uint32_t rank);

/* To be called once all peers are settled. */
void ferry_shm_find_neighbours(struct ferry_shm *shm, uint32_t own_rank);

/* These are operations of the transport. */
void ferry_shm_sleep(struct ferry_transport *transport, unsigned microseconds);
void ferry_shm_rouse(struct ferry_transport *transport);
bool ferry_shm_crowded(struct ferry_transport *transport);

/* ---- survey.c ---- */

/* ferry_transport_ops.survey */
void ferry_shm_survey(struct ferry_survey *survey);

/* ---- copy.c: single copies ---- */

void ferry_copier_init(struct ferry_copier *copier);
void ferry_copier_close(struct ferry_copier *copier, struct ferry_place *place);

/* ferry_transport_ops.fetch */
ssize_t ferry_shm_fetch(struct ferry_endpoint *endpoint, uint64_t address, void *to, size_t length);

/* A packet about the hand-over of a descriptor. Returns 0 or -EPROTO. */
int ferry_copy_receive(struct ferry_shm_endpoint *endpoint, const struct ferry_head *head,
                       const void *payload);

/* For people. */
const char *ferry_copy_describe(const struct ferry_shm_endpoint *endpoint);

#endif
