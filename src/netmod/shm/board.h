/*
 * Boards: the segment that the processes of a job share at one place. It begins with what each
 * member says of itself; the rest is memory for rings, taken piece by piece.
 *
 * A board is met at a name derived from the job's key: the first process to come makes it.
 */
#ifndef FERRY_BOARD_H
#define FERRY_BOARD_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "meet.h"
#include "place.h"
#include "quota.h"
#include "segment.h"

struct ferry_board;

struct ferry_board_params {
    const uint8_t *key;   /* the job's */
    const uint8_t *nonce; /* this process's */
    uint32_t rank, size;
    const struct ferry_quota *quota; /* of processor time, which this process is subject to */
    /* Pieces of memory to be kept back for when there is no more, and the length of each: whoever can't have them is no
     * member, while there is still another way. */
    uint32_t spares;
    size_t spare_length;
    const void
        *probe; /* 16 bytes of private memory, by which others test whether they can read it */
};

/* Joins the board of a place, or makes it. NULL: can't be had there (logged for debugging). */
struct ferry_board *ferry_board_join(struct ferry_place *place, unsigned place_index,
                                     const struct ferry_board_params *params);

/* To be called after files of a place were opened and closed: that drops the locks by which others
 * know that this process lives. */
void ferry_boards_lock_again(void);

/* All have joined: the name is removed. */
void ferry_board_settle(struct ferry_board *board);

/* Leaves, and unmaps all. */
void ferry_board_leave(struct ferry_board *board);

/* Names the board, the same in each member; not 0. Of several boards the one with the least is the better one. */
uint32_t ferry_board_id(const struct ferry_board *board);

/* Whether the process with this rank and nonce is a member: proof that it maps the same memory. */
bool ferry_board_has(const struct ferry_board *board, uint32_t rank, const uint8_t nonce[16]);

enum ferry_liveness { FERRY_ALIVE, FERRY_LEFT, FERRY_DEAD };
/* pid, unless NULL: of the process as seen from this PID namespace, or 0. */
enum ferry_liveness ferry_board_liveness(const struct ferry_board *board, uint32_t rank, int *pid);

/* A member's probe: where it lies in its memory, and what it holds. */
uint64_t ferry_board_probe(const struct ferry_board *board, uint32_t rank, uint8_t probe[16]);

/* Shows the others that this process looks after its messages; to be called often, cheap. */
void ferry_board_beat(struct ferry_board *board);
/* A number that changes while a member does. */
uint32_t ferry_board_beats(const struct ferry_board *board, uint32_t rank);

/* Going to sleep: ferry_board_lie_down(), then one more look whether anything has arrived, then
 * ferry_board_sleep(), which returns when another member called ferry_board_wake() after the first
 * step, or when microseconds have passed; then ferry_board_get_up(): to_work, or only to look around and
 * lie down again, in between which the member counts as resting still.
 * for_all: with a fence for those who leave theirs out. False: they may not notice; sleep short. Several
 * threads may sleep, the last gets up. */
bool ferry_board_lie_down(struct ferry_board *board, bool for_all);
void ferry_board_sleep(struct ferry_board *board, unsigned microseconds);
void ferry_board_get_up(struct ferry_board *board, bool to_work);

/* A set of members: so many words, in which bit r % 64 of word r / 64 stands for rank r. */
#define FERRY_BOARD_SET(members) (((members) + 63u) / 64u)

/* How many of a set rest. A hint: another may have woken one by now, one that died is not counted. */
uint32_t ferry_board_resting(const struct ferry_board *board, const uint64_t *set);

/* Not 0 while a member sleeps or is about to. Whoever wrote what it may wait for must look here after a memory
 * fence, which may be left out toward a member that lies down for_all, unless ferry_board_needs_fence(). */
_Atomic uint32_t *ferry_board_asleep(struct ferry_board *board, uint32_t rank);
bool ferry_board_needs_fence(const struct ferry_board *board, uint32_t rank);

/* Wakes all threads of a member that sleep or are about to. Thread-safe. */
void ferry_board_wake(struct ferry_board *board, uint32_t rank);

/* The processors that a member may run on, as it said when it joined. */
void ferry_board_cpus(const struct ferry_board *board, uint32_t rank, cpu_set_t *cpus);

/* The quota of processor time that a member is subject to, as it said when it joined. */
struct ferry_quota ferry_board_quota(const struct ferry_board *board, uint32_t rank);

/* Takes address room of the segment for length bytes (rounded up to pages). Errors: -ENOSPC. */
int ferry_board_take(struct ferry_board *board, size_t length, uint64_t *offset);

/* Gives back what this process took, and the memory behind it. */
void ferry_board_release(struct ferry_board *board, uint64_t offset, size_t length);

/* Takes length bytes, with memory behind them, and maps them. Errors: -ENOSPC, -ENOMEM. */
int ferry_board_alloc(struct ferry_board *board, size_t length, uint64_t *offset, void **memory);

/* The same with one of the pieces that were kept back. Errors: -ENOSPC there is none left, or length is more; -ENOMEM. */
int ferry_board_alloc_spare(struct ferry_board *board, size_t length, uint64_t *offset,
                            void **memory);

/* Whether, with length bytes more taken, there would no longer be least bytes for each two members. */
bool ferry_board_is_scarce(const struct ferry_board *board, size_t length, size_t least);

/* Maps what another member took and saw to; or a range to which each member sees in part, so that there is memory
 * behind [from, from + own), and the rest is not to be touched before others have mapped it.
 * Errors: -EPROTO not within the segment; -ENOMEM; the second: -ENOSPC. */
int ferry_board_map(struct ferry_board *board, uint64_t offset, size_t length, void **memory);
int ferry_board_map_part(struct ferry_board *board, uint64_t offset, size_t length, size_t from,
                         size_t own, void **memory);
void ferry_board_unmap(void *memory, size_t length);

/* Gives memory behind a range back; its content is lost. */
void ferry_board_drop(struct ferry_board *board, uint64_t offset, size_t length);

/* Tells member `to` a number (not 0): where and how it finds the ring from here to there. */
void ferry_board_tell(struct ferry_board *board, uint32_t to, uint64_t number);

/* The count of calls of ferry_board_tell() to this process: to be polled, cheap. */
uint32_t ferry_board_knocks(const struct ferry_board *board);

/* What member `from` told this process, or 0. Valid after the count of knocks has changed. */
uint64_t ferry_board_told(const struct ferry_board *board, uint32_t from);

/* Whether the memory was taken away (a file that somebody truncated): no member is to be trusted. */
bool ferry_board_faulted(const struct ferry_board *board);

const struct ferry_place *ferry_board_place(const struct ferry_board *board);
enum ferry_segment_kind ferry_board_kind(const struct ferry_board *board);

#endif
