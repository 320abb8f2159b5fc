/*
 * How a board looks, in the segment and in this process: for board.c, heap.c and member.c alone.
 */
#ifndef FERRY_LAYOUT_H
#define FERRY_LAYOUT_H

#include <pthread.h>
#include <stdalign.h>

#include "board.h"
#include "link.h"
#include "quota.h"

/* Of a member: what it says of itself. */
enum { FERRY_MEMBER_ABSENT, FERRY_MEMBER_JOINED, FERRY_MEMBER_LEFT };

/* ---- In the segment ---- */

struct ferry_member {
    uint8_t nonce[16];
    uint8_t probe[16];
    uint64_t probe_address;
    _Atomic uint32_t state;
    uint32_t has_fence;       /* see ferry_board_needs_fence() */
    struct ferry_quota quota; /* of processor time */
    cpu_set_t cpus;
    alignas(64) _Atomic uint32_t knocks;
    alignas(64) _Atomic uint32_t asleep; /* a futex */
    alignas(64) _Atomic uint32_t beats;  /* in a line that nobody else writes, and few read */
};

struct ferry_board_head {
    uint64_t magic;
    uint64_t size;
    uint32_t members;
    uint32_t id;
    alignas(64) _Atomic uint64_t taken; /* everything below is in use */
    alignas(64) struct ferry_member member[];
};

/* ---- In this process ---- */

struct ferry_board {
    struct ferry_link link; /* all boards of the process */
    struct ferry_place *place;
    struct ferry_meet_door *door; /* NULL: somebody else's, or closed */
    enum ferry_segment_kind kind;
    bool named; /* this process made the name */
    char name[FERRY_NAME_SIZE];
    int fd;
    uint64_t size;
    uint32_t rank, members;
    uint32_t id;
    struct ferry_board_head *head;
    size_t head_length;
    _Atomic uint64_t *resting; /* a set of members, behind the last of head */
    _Atomic uint64_t *rows;    /* rows[to * stride + from]: what `from` told `to` */
    size_t rows_offset, row_stride, rows_length;
    uint64_t heap;          /* memory to be taken begins here */
    struct ferry_link gaps; /* in it, which this process took and gave back */
    uint64_t spare;         /* where the pieces kept back begin that are left */
    uint32_t spares;
    size_t spare_length;
    _Atomic bool faulted;
    uint32_t beats;
};

#define FERRY_BOARD_PAGE 4096u

static inline size_t ferry_board_pages(size_t length)
{
    return (length + FERRY_BOARD_PAGE - 1) & ~(size_t) (FERRY_BOARD_PAGE - 1);
}

/* heap.c; the range is of pages, and within the segment. Errors: as mmap's; -ENOMEM. */
int ferry_range_map(struct ferry_board *board, uint64_t offset, size_t length, void **memory);
void ferry_range_unmap(void *memory, size_t length);
/* Takes address room and memory. Errors: -ENOSPC. */
int ferry_board_take_filled(struct ferry_board *board, size_t length, uint64_t *offset);
void ferry_heap_init(struct ferry_board *board);
void ferry_heap_end(struct ferry_board *board);

/* All boards of this process; to be locked. */
extern struct ferry_link ferry_boards;
extern pthread_mutex_t ferry_boards_lock;

#endif
