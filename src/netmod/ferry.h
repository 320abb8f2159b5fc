/*
 * libferry: messages between processes that run on hosts, in containers and in virtual machines.
 *
 * Start-up, the same in every process of a job, takes the steps
 *
 *     ferry_open()       with a key that all share
 *     ferry_address()    and an exchange of all addresses, by means of the caller's
 *     ferry_peer_add()   for every address, the own one too
 *     ferry_settle()     which tells whether a second exchange is needed:
 *                        then ferry_open_fabric(), ferry_address(), exchange, ferry_peer_add() again
 *
 * after which any process may send to any other; connections are made when first used.
 *
 * Threads: a context and all that belongs to it is used by one thread at a time. Different contexts
 * are independent of each other.
 *
 * Errors are negative errno values. Functions without an "Errors:" line can't fail.
 */
#ifndef FERRY_H
#define FERRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FERRY_VERSION_STRING "0.1.0"

/* Sizes in bytes. An address and a key together fit an MPI port name. */
#define FERRY_KEY_SIZE 16
#define FERRY_ADDRESS_MAX 102

typedef struct ferry_context ferry_context_t;
typedef struct ferry_peer ferry_peer_t;
typedef struct ferry_message ferry_message_t;
typedef struct ferry_memory ferry_memory_t;
typedef struct ferry_request ferry_request_t;

/* ---- Contexts ---- */

typedef struct ferry_params {
    uint8_t key[FERRY_KEY_SIZE]; /* secret of the job; proves to each other who belongs to it */
    uint32_t rank;               /* which of the processes that start together this one is */
    uint32_t size;               /* how many start together */
    /* Where several threads use the context, one at a time, by means of a lock: unlock is called before a
     * sleep, inside progress, and lock after it. unlock returns whether it did (maybe it can't, because
     * the caller holds the lock twice). Both NULL: one thread only. */
    bool (*unlock)(void *user);
    void (*lock)(void *user);
    uint64_t carried_bits; /* of match words: transported, but never compared */
    void *user;            /* handed to the callbacks below and to handlers of active messages */
    /* A peer died or broke the protocol; why is a sentence for the user. Called at most once for a
     * peer (unless it is added with another key), inside progress, after its requests ended with an error. May be NULL. */
    void (*peer_lost)(void *user, ferry_peer_t *peer, int error, const char *why);
} ferry_params_t;

/* Errors: -EINVAL a FERRY_* variable has a bad value (already reported), -ENOMEM. */
int ferry_open(const ferry_params_t *params, ferry_context_t **context);

/* Ends all connections, and removes what the context made. Requests still open are dropped without
 * a callback: finish them before. What was sent is delivered to peers that go on making progress
 * only after ferry_flush(). */
void ferry_close(ferry_context_t *context);

/* Writes what a peer must know to reach this context, at most FERRY_ADDRESS_MAX bytes, and returns
 * how many. After ferry_open_fabric() or ferry_open_reserve() the address holds more than before. */
int ferry_address(ferry_context_t *context, void *address);

/* Adds the process behind an address, or completes what is known of it when it was added before.
 * key: NULL for processes of the own job, else the invitation that came with the address; with another
 * one than before, a peer that was lost is tried again. Address and key are copied. The peer belongs to the context.
 * Errors: -EINVAL not an address; -EPROTO made by another version of Ferry (reported, both
 * named); -ENOMEM. */
int ferry_peer_add(ferry_context_t *context, const void *address, size_t length,
                   const uint8_t key[FERRY_KEY_SIZE], ferry_peer_t **peer);

/* Makes a new key; processes of other jobs that know it may connect until it is withdrawn.
 * Errors: -ENOSPC too many invitations. */
int ferry_invite(ferry_context_t *context, uint8_t key[FERRY_KEY_SIZE]);
void ferry_withdraw(ferry_context_t *context, const uint8_t key[FERRY_KEY_SIZE]);

/* Whether all must take part in a second exchange; the same in every process. */
enum ferry_settled {
    FERRY_SETTLED = 0, /* no: every process of the job reaches every other */
    FERRY_SETTLE_NETWORK, /* yes, after ferry_open_fabric(): some pair needs it, maybe none with this process */
    FERRY_SETTLE_RESERVE, /* yes, after ferry_open_reserve(): as for 0, but memory may be taken from them */
};

/* Called once, when all that start together were added. Proves which of them share memory with this
 * one. Returns an enum ferry_settled. Errors: -EHOSTUNREACH. */
int ferry_settle(ferry_context_t *context);

/* Opens the transport for peers that share no memory; done at once where it is open already.
 * Errors: -ENODEV no network that can be used (reported). */
int ferry_open_fabric(ferry_context_t *context);

/* Opens what processes that share memory go on by when that is taken from them. Where there is no network, they do
 * without. Errors: -ENOMEM. */
int ferry_open_reserve(ferry_context_t *context);

/* Whether some peer that was added can be reached only over the fabric. */
bool ferry_needs_fabric(ferry_context_t *context);

/* One line that says how the peer is reached, such as "shm (memfd met in /run/ferry)". */
void ferry_peer_describe(ferry_peer_t *peer, char *text, size_t room);

/* Whether memory is shared with the peer. */
bool ferry_peer_is_near(ferry_peer_t *peer);

/* The node of a peer that started together with this process: the least rank of a set of processes that all share
 * one segment of memory. The same answer in each process. Valid after ferry_settle(). Of others:
 * UINT32_MAX. */
uint32_t ferry_peer_node(ferry_peer_t *peer);

/* The user's pointer of a peer, NULL at first. */
void ferry_peer_set_user(ferry_peer_t *peer, void *user);
void *ferry_peer_user(ferry_peer_t *peer);

/* ---- Progress ---- */

/* Moves what can move; runs the callbacks. Returns the number of events, 0 when nothing happened. Not to
 * be called from a callback. For callers that look for events between two steps of something else: where calls
 * follow each other closely for longer than FERRY_SPIN and nothing happens, some sleep for a millisecond at most,
 * or until something comes. */
int ferry_progress(ferry_context_t *context);

/* The same, for callers that have nothing else to do before something happens, and call it until then: after
 * FERRY_SPIN (see there) it sleeps until something comes, 0.1 s at most and no longer than a quarter of the time that
 * was waited already. */
int ferry_await(ferry_context_t *context);

/* The same once, for callers that do something else meanwhile which Ferry does not see, such as to copy to memory in
 * common: never sleeps. */
int ferry_poll(ferry_context_t *context);

/* Waits until something happens or about microseconds have passed. Returns the number of events. */
int ferry_wait(ferry_context_t *context, uint64_t microseconds);

/* Progress until all that was sent has left this process, microseconds at most.
 * Errors: -ETIMEDOUT. */
int ferry_flush(ferry_context_t *context, uint64_t microseconds);

/* ---- Data and requests ---- */

/* Data that is not contiguous: both move bytes [offset, offset+length) of the packed stream. They
 * are called with ascending offsets, without gaps, from inside progress or the call that posts. */
typedef struct ferry_stream {
    void (*pack)(void *arg, size_t offset, void *to, size_t length);
    void (*unpack)(void *arg, size_t offset, const void *from, size_t length);
    /* Moved in small blocks, so slowly: one piece had better be unpacked while the next is packed. */
    bool fine;
} ferry_stream_t;

typedef void (*ferry_done_fn)(ferry_request_t *request);

/* Lives in the caller's memory from the call that posts it until done was called (or the call said
 * that it is finished). The caller sets the first block before posting; libferry the second. */
struct ferry_request {
    ferry_done_fn done;           /* called once, inside progress */
    const ferry_stream_t *stream; /* NULL: contiguous; else buffer is handed to it as arg */

    int status;         /* 0 or a negative errno; -EMSGSIZE: a message longer than the buffer, its
                        beginning was stored */
    size_t length;      /* bytes received and stored */
    uint64_t match;     /* the message's match word, for receives */
    ferry_peer_t *peer; /* its sender, for receives */

    uint64_t internal[16];
};

/* Posting calls return
 *   1  finished: the buffer may be used again, done will not be called, the results are set
 *   0  done will be called
 *  <0  an error at once: done will not be called */

/* ---- Tagged messages ----
 * A message carries a 64-bit match word. A receive names a word and a mask of bits to ignore; it
 * takes the earliest message that fits, and a message takes the earliest posted receive that fits.
 * Messages between two processes that fit the same receives are received in the order sent. */

enum {
    FERRY_SYNC = 1, /* finished only when a receive has matched */
};

int ferry_send(ferry_peer_t *peer, uint64_t match, const void *buffer, size_t length,
               unsigned flags, ferry_request_t *request);

/* Sends at once what is small, without a request: 0 sent, -EAGAIN use ferry_send(), or an error. */
int ferry_send_small(ferry_peer_t *peer, uint64_t match, const void *buffer, size_t length);

int ferry_recv(ferry_context_t *context, uint64_t match, uint64_t ignore, void *buffer,
               size_t length, ferry_request_t *request);

/* Takes a posted receive back: 0, and done will not be called; -EBUSY when a message is already
 * being received, and done will be called. */
int ferry_cancel(ferry_context_t *context, ferry_request_t *request);

typedef struct ferry_probe {
    uint64_t match;
    size_t length;
    ferry_peer_t *peer;
} ferry_probe_t;

/* Looks for a message that no receive has taken: true when there is one. Makes no progress. With
 * message, takes it out so that only ferry_message_recv() gets it. */
bool ferry_probe(ferry_context_t *context, uint64_t match, uint64_t ignore, ferry_probe_t *probe,
                 ferry_message_t **message);

/* Receives a message that was taken out, and consumes it. buffer may be shorter (length 0 drops). */
int ferry_message_recv(ferry_message_t *message, void *buffer, size_t length,
                       ferry_request_t *request);

/* ---- Active messages ---- */

#define FERRY_AM_IDS 64         /* ids are below */
#define FERRY_AM_HEADER_MAX 512 /* bytes */

/* Called inside progress. header is a private copy, valid during the call, 16-byte aligned. The
 * payload is either all at data (valid during the call; read it once, others may write there), or,
 * with message not NULL, still on its way: the handler keeps message and receives it with
 * ferry_message_recv(), there or later. A handler may send and post. */
typedef void (*ferry_am_fn)(void *user, ferry_peer_t *peer, const void *header,
                            size_t header_length, const void *data, size_t length,
                            ferry_message_t *message);

/* Errors: -EINVAL id out of range. */
int ferry_am_register(ferry_context_t *context, unsigned id, ferry_am_fn handler);

/* header is copied; buffer is used until finished. Active messages to one peer are handled in the
 * order sent, relative to each other. request may be NULL where length is 0 (then returns 0 or an
 * error). Errors: -EMSGSIZE header too long, -ENOMEM. */
int ferry_am_send(ferry_peer_t *peer, unsigned id, const void *header, size_t header_length,
                  const void *buffer, size_t length, ferry_request_t *request);

/* The longest payload that is sure to arrive at data, not as a message, with this header. */
size_t ferry_am_eager_max(ferry_peer_t *peer, size_t header_length);

/* ---- Memory from which messages take one copy less ---- */

/* Memory for the program's data that other virtual machines of this host map, too (see FERRY_GUESTS_ALLOC), filled with
 * zeros, or NULL: none is to be had, use any other. It is the context's, until ferry_close() or until it is given back. */
void *ferry_alloc(ferry_context_t *context, size_t length);
/* Gives it back; nothing that is under way may use it any more. Returns false, and does nothing, for other memory. */
bool ferry_free(ferry_context_t *context, void *memory);

/* ---- Memory of others ---- */

#define FERRY_MEMORY_KEY_MAX 32

/* Opens [base, base+length) to gets and puts of all peers. Errors: -ENOMEM. */
int ferry_memory_export(ferry_context_t *context, void *base, size_t length,
                        ferry_memory_t **memory);
void ferry_memory_close(ferry_memory_t *memory);
/* Writes the key that peers need; returns its length. */
int ferry_memory_key(ferry_memory_t *memory, void *key);

/* Reads or writes length bytes at offset of a peer's exported memory. A put is finished when the
 * bytes are in place. status -EFAULT: not within what the peer exports. */
int ferry_get(ferry_peer_t *peer, const void *key, uint64_t offset, void *buffer, size_t length,
              ferry_request_t *request);
int ferry_put(ferry_peer_t *peer, const void *key, uint64_t offset, const void *buffer,
              size_t length, ferry_request_t *request);

/* ---- Memory in common ----
 * A range of memory that processes of one node map. One takes it and tells the others its name, each sees to the memory
 * of its own part. Begins at a page; what was not written yet is zero. */

/* Takes address room for length bytes. Errors: -ENOTSUP this process shares no memory; -ENOSPC. */
int ferry_shared_take(ferry_context_t *context, size_t length, uint64_t *name);
/* To be called by whoever took it, when nobody has it mapped: room and memory are free again. */
void ferry_shared_release(ferry_context_t *context, uint64_t name, size_t length);

/* Maps it, and makes sure of the memory of [from, from + own): never a SIGBUS later, and no kill by the memory limit
 * of a container. Parts of others must not be touched before these have mapped it, too. It must be unmapped before the
 * context is closed. Errors: -ENOTSUP, -EPROTO no such memory; -ENOSPC, -ENOMEM there is not so much. */
int ferry_shared_map(ferry_context_t *context, uint64_t name, size_t length, size_t from,
                     size_t own, void **memory);
void ferry_shared_unmap(void *memory, size_t length);

/* ---- Teams ----
 * Processes of one node that go through the same steps, each with an area of memory that it writes and all read. One
 * makes the memory and tells the others its name. */

typedef struct ferry_team ferry_team_t;

#define FERRY_TEAM_ALL UINT32_MAX

/* Takes memory for a team: an area of room bytes for each member.
 * Errors: -ENOTSUP this process shares no memory; -ENOSPC, -ENOMEM. */
int ferry_team_make(ferry_context_t *context, uint32_t members, size_t room, uint64_t *name);
/* Gives it back where not all could join, and nobody is in it. */
void ferry_team_unmake(ferry_context_t *context, uint32_t members, size_t room, uint64_t name);

/* Joins as the member with this index; peers[members]: all of them, in the same order everywhere. The team must be left
 * before the context is closed. Errors: -ENOTSUP they are not of one node; -EPROTO no such memory; -ENOSPC,
 * -ENOMEM. */
int ferry_team_join(ferry_context_t *context, uint64_t name, uint32_t members, size_t room,
                    ferry_peer_t *const *peers, uint32_t index, ferry_team_t **team);
/* The memory is given back when the last has left. */
void ferry_team_leave(ferry_team_t *team);

/* A member's area, aligned to 64 bytes, at first zeroed. */
void *ferry_team_area(ferry_team_t *team, uint32_t index);

/* Makes one step: whoever sees it sees what was written to the own area before. Returns how many were made. */
uint32_t ferry_team_step(ferry_team_t *team);

/* Waits, making progress, until a member (or FERRY_TEAM_ALL) has made so many steps; numbers wrap. As
 * ferry_progress(), not to be called from a callback. Errors: -ECONNRESET one of them was lost. */
int ferry_team_await(ferry_team_t *team, uint32_t member, uint32_t steps);

/* ---- What was sent ---- */

/* transport: by which the peer is reached: "shm", "guests", "fabric", or "self" for the process itself, however that is done; NULL:
 * not reached yet. Counted is what was sent to it since ferry_open(), bytes of data without headers. */
typedef struct ferry_traffic {
    const char *transport;
    uint64_t messages, bytes;
} ferry_traffic_t;

/* Counted when posted: what was sent by ferry_send(), ferry_send_small() and ferry_am_send(). A put or a get is two
 * active messages: what is asked, which holds the data of a put, and the answer, which holds that of a get. */
void ferry_peer_traffic(ferry_peer_t *peer, ferry_traffic_t *traffic);

/* ---- The job's map: a picture of where each process sits, and which way what it sent took ---- */

/* Whether FERRY_MAP names a file to draw. If its name has no known ending, says so to the user. */
bool ferry_job_wants_map(void);

/* What this process has to tell of itself, of length bytes; to be freed by the caller. NULL: no memory. */
char *ferry_job_entry(ferry_context_t *context, size_t *length);

/* Draws what count processes told, by rank, into the file that FERRY_MAP names; NULL among them: nothing is known.
 * Errors, which the user was told: that the file can't be written, negative errno. */
int ferry_job_draw(char *const *entries, const size_t *lengths, uint32_t count);

/* ---- Counters ----
 * What a context has counted since ferry_open(). */

typedef enum ferry_counter_kind {
    FERRY_COUNTER_COUNT, /* only grows */
    FERRY_COUNTER_TIME,  /* only grows; microseconds */
    FERRY_COUNTER_LEVEL, /* how much there is now */
} ferry_counter_kind_t;

typedef struct ferry_counter {
    const char *name; /* with ferry_ */
    const char *unit; /* or "" */
    const char *help; /* half a sentence */
    ferry_counter_kind_t kind;
} ferry_counter_t;

/* Fills counter with the index-th; false: there are no more. The strings live as long as the process. Thread-safe. */
bool ferry_counter(unsigned index, ferry_counter_t *counter);

/* Its value; 0 where there is no such counter. Takes some microseconds: to be called seldom. */
uint64_t ferry_counter_value(ferry_context_t *context, unsigned index);

/* ---- Configuration ---- */

typedef struct ferry_variable {
    const char *name;         /* with FERRY_ */
    const char *value;        /* as it holds for this process, as text */
    const char *default_text; /* the value where the environment says nothing */
    const char *unit;         /* or "" */
    const char *help;         /* half a sentence */
} ferry_variable_t;

/* Fills variable with the index-th of the variables that users set in the environment; false: there are
 * no more, or their values are bad (then ferry_open() fails, too). The strings live as long as the
 * process. Thread-safe. */
bool ferry_variable(unsigned index, ferry_variable_t *variable);

#ifdef __cplusplus
}
#endif
#endif
