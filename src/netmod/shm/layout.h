/*
 * How a board looks, in the segment and in this process: for board.c and member.c alone.
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
    uint64_t heap;
    uint64_t spare; /* where the pieces kept back begin that are left */
    uint32_t spares;
    size_t spare_length;
    _Atomic bool faulted;
    uint32_t beats;
};

/* All boards of this process; to be locked. */
extern struct ferry_link ferry_boards;
extern pthread_mutex_t ferry_boards_lock;

#endif
