/*
 * What Ferry keeps in MPICH's own objects. Included before MPICH's types are complete.
 */
#ifndef FERRY_PRE_H_INCLUDED
#define FERRY_PRE_H_INCLUDED

#include <ferry/ferry.h>

/* Inserted where a call can't return before something has happened: the next progress may sleep. Progress that is
 * made otherwise, such as by MPI_Test, must not for long. */
extern unsigned MPIDI_FERRY_waiting;
#define MPIDI_FERRY_WAITS 1u
#define MPIDI_FERRY_PASSES 2u
#define MPIDI_FERRY_waits() ((void) (MPIDI_FERRY_waiting |= MPIDI_FERRY_WAITS))

/* To be said before a loop that makes progress once in any case: that one does not sleep at all. */
#define MPIDI_FERRY_passes() ((void) (MPIDI_FERRY_waiting = MPIDI_FERRY_PASSES))

struct MPIDI_FERRY_view;

/* Of a send, a receive or a matched probe. */
typedef struct MPIDI_FERRY_request {
    ferry_request_t ferry;
    union {
        struct MPIDI_FERRY_view *view; /* data that is not contiguous, else NULL */
        ferry_message_t *message;      /* of a matched probe, until it is received */
    };
} MPIDI_FERRY_request_t;

/* Of an active message. Begins with the former and is longer, because MPICH looks behind this
 * structure at what belongs to its active messages, also in requests that are none. */
typedef struct MPIDI_FERRY_am_request {
    MPIDI_FERRY_request_t base;
    uint64_t handle; /* by which the peer names this request, 0: by none */
    int handler_id;
} MPIDI_FERRY_am_request_t;

typedef struct MPIDI_FERRY_addr {
    ferry_peer_t *peer;
} MPIDI_FERRY_addr_t;

typedef struct MPIDI_FERRY_part {
    uint64_t handle; /* by which the peer names this request */
} MPIDI_FERRY_part_t;

/* Of a communicator. */
typedef struct MPIDI_FERRY_comm {
    struct MPIDI_FERRY_team *team; /* its processes are one, or NULL */
    bool is_alone;                 /* they can't be */
    uint8_t calls;                 /* that a team could have served, before there was one */
    bool is_seen;                  /* whether its processes share memory was looked up: */
    bool is_near;  /* they do, and are few enough for what ferry_team.c and ferry_straight.c do */
    void *scratch; /* of ferry_straight.c, or NULL */
} MPIDI_FERRY_comm_t;

/* Of a window; what memory was allocated with it, if any. */
typedef struct MPIDI_FERRY_win {
    uint64_t name; /* of memory that the processes of this node share */
    void *memory;  /* where that is mapped, or NULL */
    MPI_Aint length;
    bool *has_posted; /* by rank: an MPI_Win_post for which no MPI_Win_start has waited yet */
} MPIDI_FERRY_win_t;

/* Nothing is kept in these. */
typedef struct {
    int unused;
} MPIDI_FERRY_dt_t;

typedef struct {
    int unused;
} MPIDI_FERRY_op_t;

typedef struct {
    int unused;
} MPIDI_FERRY_Global_t;

/* ---- Ports: what MPICH's ch4_spawn.c calls (ferry_spawn.c) ---- */

/* Gives a upid of this process, which is about to become part of a port's name, a key of its own. */
int MPIDI_FERRY_port_opens(void *upid, int length);
void MPIDI_FERRY_port_closes(const void *upid, int length);

#endif
