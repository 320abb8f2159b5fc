/*
 * What the parts of the netmod share: the process's context, and how MPI's names map to Ferry's.
 */

/* Outside of the guard: MPICH's header includes our inline functions, and these need what is here. */
#include <mpidimpl.h>

#ifndef FERRY_IMPL_H_INCLUDED
#define FERRY_IMPL_H_INCLUDED

#include "ch4_impl.h"
#include "mpidch4r.h"

#include "ferry_compat.h"

typedef struct MPIDI_FERRY_global {
    ferry_context_t *context; /* NULL before MPI_Init and after MPI_Finalize */
    bool work;                /* a handler left something to be done outside of Ferry's progress */
    bool leaving;             /* in MPI_Finalize: peers may go */
    int mpi_errno;            /* an error that progress shall return */
} MPIDI_FERRY_global_t;

extern MPIDI_FERRY_global_t MPIDI_FERRY_global;

#define MPIDI_FERRY_AV(av) ((av)->netmod.ferry)
#define MPIDI_FERRY_REQ(req) ((req)->dev.ch4.netmod.ferry)
#define MPIDI_FERRY_COMM(comm) ((comm)->dev.ch4.netmod.ferry)
#define MPIDI_FERRY_WIN(win) ((win)->dev.netmod.ferry)
#define MPIDI_FERRY_AMREQ(req) ((req)->dev.ch4.am.netmod_am.ferry)

/* MPICH's request around Ferry's; both kinds begin at the same place. */
MPL_STATIC_INLINE_PREFIX MPIR_Request *MPIDI_FERRY_request_of(ferry_request_t *request)
{
    return (MPIR_Request *) ((char *) request - offsetof(MPIR_Request, dev.ch4.netmod));
}

MPL_STATIC_INLINE_PREFIX ferry_peer_t *MPIDI_FERRY_peer(MPIR_Comm *comm, int rank)
{
    return MPIDI_FERRY_AV(MPIDIU_comm_rank_to_av(comm, rank)).peer;
}

/* ---- Match words ----
 * context id | rank of the sender in the communicator | tag. The highest bits of a tag are those by
 * which collectives tell of an error; they travel, but don't count in matching. */

#define MPIDI_FERRY_CONTEXT_BITS MPIR_CONTEXT_ID_BITS
#define MPIDI_FERRY_RANK_BITS 17
#define MPIDI_FERRY_TAG_BITS                                                       \
    (64 - MPIDI_FERRY_RANK_BITS - MPIDI_FERRY_CONTEXT_BITS < MPIR_TAG_BITS_DEFAULT \
         ? 64 - MPIDI_FERRY_RANK_BITS - MPIDI_FERRY_CONTEXT_BITS                   \
         : MPIR_TAG_BITS_DEFAULT)

#define MPIDI_FERRY_RANK_SHIFT MPIDI_FERRY_TAG_BITS
#define MPIDI_FERRY_CONTEXT_SHIFT (MPIDI_FERRY_RANK_SHIFT + MPIDI_FERRY_RANK_BITS)

#define MPIDI_FERRY_MASK(bits) ((UINT64_C(1) << (bits)) - 1)
#define MPIDI_FERRY_TAG_MASK MPIDI_FERRY_MASK(MPIDI_FERRY_TAG_BITS)
#define MPIDI_FERRY_RANK_MASK (MPIDI_FERRY_MASK(MPIDI_FERRY_RANK_BITS) << MPIDI_FERRY_RANK_SHIFT)
#define MPIDI_FERRY_ERROR_MASK \
    (MPIDI_FERRY_TAG_MASK & ~MPIDI_FERRY_MASK(MPIDI_FERRY_TAG_BITS - MPIDI_FERRY_ERROR_BITS))
/* What MPI_ANY_TAG stands for: all but the errors' bits and the one that collectives set. */
#define MPIDI_FERRY_USER_TAG_MASK \
    MPIDI_FERRY_MASK(MPIDI_FERRY_TAG_BITS - MPIDI_FERRY_ERROR_BITS - 1)

MPL_STATIC_INLINE_PREFIX uint64_t MPIDI_FERRY_match(MPIR_Context_id_t context_id, int rank, int tag)
{
    return (uint64_t) context_id << MPIDI_FERRY_CONTEXT_SHIFT |
           (uint64_t) (unsigned) rank << MPIDI_FERRY_RANK_SHIFT |
           ((uint64_t) (unsigned) tag & MPIDI_FERRY_TAG_MASK);
}

/* The match word of a receive, and in ignore the bits that may differ. */
MPL_STATIC_INLINE_PREFIX uint64_t MPIDI_FERRY_match_any(MPIR_Context_id_t context_id, int rank,
                                                        int tag, uint64_t *ignore)
{
    uint64_t free_bits = 0;
    if (unlikely(rank == MPI_ANY_SOURCE)) {
        rank = 0;
        free_bits |= MPIDI_FERRY_RANK_MASK;
    }
    if (unlikely(tag == MPI_ANY_TAG)) {
        tag = 0;
        free_bits |= MPIDI_FERRY_USER_TAG_MASK;
    }
    *ignore = free_bits;
    return MPIDI_FERRY_match(context_id, rank, tag);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_FERRY_match_rank(uint64_t match)
{
    return (int) ((match & MPIDI_FERRY_RANK_MASK) >> MPIDI_FERRY_RANK_SHIFT);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_FERRY_match_tag(uint64_t match)
{
    return (int) (match & MPIDI_FERRY_TAG_MASK);
}

/* ---- Errors ---- */

/* An MPI error of class MPI_ERR_OTHER, or of a better one, for an error of libferry's. */
int MPIDI_FERRY_error(int error, const char *function, int line);

#define MPIDI_FERRY_CHKANDJUMP(error_)                                   \
    do {                                                                 \
        if (unlikely((error_) < 0)) {                                    \
            mpi_errno = MPIDI_FERRY_error((error_), __func__, __LINE__); \
            goto fn_fail;                                                \
        }                                                                \
    } while (0)

/* ---- Data that is not contiguous (ferry_view.c) ---- */

typedef struct MPIDI_FERRY_view MPIDI_FERRY_view_t;

extern const ferry_stream_t MPIDI_FERRY_view_stream;
/* The same, for a message that is sent: it knows whether it is fine. */
const ferry_stream_t *MPIDI_FERRY_view_stream_to_send(const MPIDI_FERRY_view_t *view);

/* Data in a user's buffer, to be packed or unpacked piece by piece. Keeps the datatype. NULL: no
 * memory. */
MPIDI_FERRY_view_t *MPIDI_FERRY_view_create(const void *buffer, MPI_Aint count,
                                            MPI_Datatype datatype);
void MPIDI_FERRY_view_free(MPIDI_FERRY_view_t *view);

/* How many bytes were unpacked into whole elements; less than came when the sender's elements are
 * longer or shorter than the receiver's. */
MPI_Aint MPIDI_FERRY_view_unpacked(MPIDI_FERRY_view_t *view);

/* ---- Point-to-point, what is not inlined (ferry_pt2pt.c) ---- */

int MPIDI_FERRY_send(const void *buffer, MPI_Aint count, MPI_Datatype datatype, ferry_peer_t *peer,
                     uint64_t match, unsigned flags, MPIR_Request **request);
int MPIDI_FERRY_recv(void *buffer, MPI_Aint count, MPI_Datatype datatype, uint64_t match,
                     uint64_t ignore, MPIR_Request *request);
int MPIDI_FERRY_message_recv(void *buffer, MPI_Aint count, MPI_Datatype datatype,
                             MPIR_Request *request);
int MPIDI_FERRY_cancel(MPIR_Request *request);
void MPIDI_FERRY_received_oddly(MPIR_Request *request);
/* Completes a receive that failed at once. */
void MPIDI_FERRY_failed(ferry_request_t *ferry, int error);

/* ---- Active messages (ferry_am.c) ---- */

/* Of the 64 kinds that libferry has. */
enum {
    MPIDI_FERRY_AM_MPIDIG = 0, /* those of MPICH's own layer */
    MPIDI_FERRY_AM_UPID_ASK,   /* ferry_spawn.c */
    MPIDI_FERRY_AM_UPID_TELL,
    MPIDI_FERRY_AM_WITHDRAW, /* ferry_first.c */
    MPIDI_FERRY_AM_LAST,     /* ferry_init.c */
    MPIDI_FERRY_AM_MAP,      /* ferry_map.c */
};

/* In front of the headers of MPICH's layer. */
typedef struct MPIDI_FERRY_am_prefix {
    uint16_t handler_id;
    uint16_t reserved[3];
} MPIDI_FERRY_am_prefix_t;

#define MPIDI_FERRY_AM_HEADER_MAX (FERRY_AM_HEADER_MAX - sizeof(MPIDI_FERRY_am_prefix_t))

int MPIDI_FERRY_am_init(ferry_context_t *context);
int MPIDI_FERRY_am_header(ferry_peer_t *peer, int handler_id, const void *header, size_t length);
int MPIDI_FERRY_am_data(ferry_peer_t *peer, int handler_id, const void *header, size_t length,
                        const void *data, MPI_Aint count, MPI_Datatype datatype,
                        MPIR_Request *request);

/* ---- Handles in place of pointers (ferry_handle.c) ---- */

/* Puts handles in place of the pointers in a header that goes to the peer. False: no memory. */
bool MPIDI_FERRY_handles_out(int handler_id, void *header, ferry_peer_t *peer);
/* Puts pointers in place of the handles in a header that came from the peer. False: it is too short,
 * or names what this peer was not given. */
bool MPIDI_FERRY_handles_in(int handler_id, void *header, size_t length, ferry_peer_t *peer);
void MPIDI_FERRY_handle_release(uint64_t handle);
void MPIDI_FERRY_handles_finalize(void);

/* ---- Dynamic processes (ferry_spawn.c) ---- */

int MPIDI_FERRY_spawn_init(ferry_context_t *context);
int MPIDI_FERRY_spawn_work(void);
void MPIDI_FERRY_spawn_finalize(void);
/* A message was exchanged with the leader of another job. */
void MPIDI_FERRY_met(ferry_peer_t *peer);

/* ferry_first.c */
int MPIDI_FERRY_first_init(ferry_context_t *context);
void MPIDI_FERRY_first_finalize(void);
/* Whether a process of another job was met, and still has a part in some communicator. */
bool MPIDI_FERRY_is_connected(ferry_peer_t *peer);

/* ---- Nodes (ferry_node.c) ---- */

/* Tells MPICH which processes of this job share memory, in place of what the launcher said. */
int MPIDI_FERRY_nodes_tell(void);
bool MPIDI_FERRY_is_one_node(MPIR_Comm *comm);

/* ---- Collective operations within a node (ferry_team.c, ferry_coll.c, ferry_straight.c) ---- */

/* More members look at each other's steps for longer than messages take. */
#define MPIDI_FERRY_NEAR_MAX 64

/* Whether the processes of a communicator are of one node, and at most so many. Each of them gets the same answer. */
bool MPIDI_FERRY_is_near(MPIR_Comm *comm);

typedef struct MPIDI_FERRY_team MPIDI_FERRY_team_t;

/* Data of each process that a team carries, bytes. */
#define MPIDI_FERRY_TEAM_ROOM 16384

/* To be called by all processes of a communicator for the same operations. NULL: there is no team, yet or ever. */
MPIDI_FERRY_team_t *MPIDI_FERRY_team_find(MPIR_Comm *comm);
void MPIDI_FERRY_team_leave(MPIDI_FERRY_comm_t *ours);
void MPIDI_FERRY_teams_finalize(void);

int MPIDI_FERRY_barrier(MPIDI_FERRY_team_t *team);
int MPIDI_FERRY_bcast(MPIDI_FERRY_team_t *team, void *buffer, MPI_Aint count, MPI_Datatype datatype,
                      int root);
int MPIDI_FERRY_allreduce(MPIDI_FERRY_team_t *team, const void *sendbuf, void *recvbuf,
                          MPI_Aint count, MPI_Datatype datatype, MPI_Op op);
int MPIDI_FERRY_reduce(MPIDI_FERRY_team_t *team, const void *sendbuf, void *recvbuf, MPI_Aint count,
                       MPI_Datatype datatype, MPI_Op op, int root);
int MPIDI_FERRY_allgather(MPIDI_FERRY_team_t *team, const void *sendbuf, MPI_Aint sendcount,
                          MPI_Datatype sendtype, void *recvbuf, MPI_Aint recvcount,
                          MPI_Datatype recvtype);
int MPIDI_FERRY_alltoall(MPIDI_FERRY_team_t *team, const void *sendbuf, MPI_Aint sendcount,
                         MPI_Datatype sendtype, void *recvbuf, MPI_Aint recvcount,
                         MPI_Datatype recvtype);

/* Straight from each process to each that needs it, by messages between the processes of a node. */
int MPIDI_FERRY_straight_bcast(void *buffer, MPI_Aint count, MPI_Datatype datatype, int root,
                               MPIR_Comm *comm, MPIR_Errflag_t *errflag);
/* datatype and op are MPI's own. */
int MPIDI_FERRY_straight_allreduce(const void *sendbuf, void *recvbuf, MPI_Aint count,
                                   MPI_Datatype datatype, MPI_Op op, MPIR_Comm *comm,
                                   MPIR_Errflag_t *errflag);
int MPIDI_FERRY_straight_allgather(const void *sendbuf, MPI_Aint sendcount, MPI_Datatype sendtype,
                                   void *recvbuf, MPI_Aint recvcount, MPI_Datatype recvtype,
                                   MPIR_Comm *comm, MPIR_Errflag_t *errflag);
/* sendbuf is not MPI_IN_PLACE. */
int MPIDI_FERRY_straight_alltoall(const void *sendbuf, MPI_Aint sendcount, MPI_Datatype sendtype,
                                  void *recvbuf, MPI_Aint recvcount, MPI_Datatype recvtype,
                                  MPIR_Comm *comm, MPIR_Errflag_t *errflag);

/* ---- Control and performance variables (ferry_cvar.c, ferry_pvar.c) ---- */

void MPIDI_FERRY_cvar_init(void);
void MPIDI_FERRY_pvar_init(void);
void MPIDI_FERRY_pvar_keep(void);

/* ---- Progress (ferry_progress.c) ---- */

/* What waits for the end of Ferry's. */

int MPIDI_FERRY_work(void);

/* Around a sleep inside progress: other threads may call MPI meanwhile. See ferry_params_t. */
bool MPIDI_FERRY_unlock(void *user);
void MPIDI_FERRY_lock(void *user);

#endif
