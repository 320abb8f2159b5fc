/*
 * Boards: making and joining them, telling others where rings are.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "fault.h"
#include "fence.h"
#include "headroom.h"
#include "layout.h"
#include "list.h"
#include "log.h"

#define MAGIC 0x3330596572726546u /* "FerrY03" */

/* Sparse: only what is taken costs memory. */
#define BOARD_SIZE ((uint64_t) 1 << 42)

pthread_mutex_t ferry_boards_lock = PTHREAD_MUTEX_INITIALIZER;
struct ferry_link ferry_boards = {&ferry_boards, &ferry_boards};

static void set_layout(struct ferry_board *board, uint32_t members)
{
    board->members = members;
    board->head_length = ferry_board_pages(sizeof(struct ferry_board_head) +
                                           members * sizeof(struct ferry_member) +
                                           FERRY_BOARD_SET(members) * sizeof(uint64_t));
    board->rows_offset = board->head_length;
    board->row_stride = ferry_board_pages(members * sizeof(uint64_t)) / sizeof(uint64_t);
    board->rows_length = members * board->row_stride * sizeof(uint64_t);
    board->heap = board->rows_offset + board->rows_length;
}

/* ---- Locks that tell who lives ----
 * A record lock belongs to the process, whoever else holds the file open, and goes with it. Closing
 * any descriptor of the file drops it; so boards of other contexts of this process, which may be the
 * same file, are locked again then. */

static int lock_alive(const struct ferry_board *board)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = board->rank, .l_len = 1};

    return fcntl(board->fd, F_SETLK, &lock) ? -errno : 0;
}

static void lock_others_again(void)
{
    for (struct ferry_link *link = ferry_boards.next; link != &ferry_boards; link = link->next)
        lock_alive(ferry_container(link, struct ferry_board, link));
}

void ferry_boards_lock_again(void)
{
    pthread_mutex_lock(&ferry_boards_lock);
    lock_others_again();
    pthread_mutex_unlock(&ferry_boards_lock);
}

/* ---- Making and joining ---- */

static int map_segment(struct ferry_board *board)
{
    int error = ferry_segment_fill(board->fd, 0, board->head_length, 1);
    size_t length = board->head_length + board->rows_length;
    void *memory;

    if (!error)
        error = ferry_range_map(board, 0, length, &memory);
    if (error)
        return error;
    board->head = memory;
    board->resting = (_Atomic uint64_t *) (void *) &board->head->member[board->members];
    board->rows = (_Atomic uint64_t *) (void *) ((char *) memory + board->rows_offset);
    return 0;
}

static uint64_t segment_size(void)
{
    uint64_t limit = ferry_file_size_limit();

    return limit < BOARD_SIZE ? limit & ~(uint64_t) (FERRY_BOARD_PAGE - 1) : BOARD_SIZE;
}

/* Writes what a new board begins with. */
static int initialize(struct ferry_board *board, unsigned place_index)
{
    struct ferry_board_head *head;
    int error;

    error = ferry_segment_check(board->fd, board->kind, &board->size);
    if (!error && board->size < board->heap)
        error = -ENOSPC;
    if (!error)
        error = map_segment(board);
    if (error)
        return error;
    head = board->head;
    head->magic = MAGIC;
    head->size = board->size;
    head->members = board->members;
    ferry_random(&head->id, sizeof(head->id));
    head->id = (uint32_t) board->kind << 30 | (place_index & 7) << 27 | head->id >> 5;
    atomic_store(&head->taken, board->heap);
    return 0;
}

static int make_memfd(struct ferry_board *board, unsigned place_index, const uint8_t *key)
{
    int listener, error;

    error = ferry_meet_claim(board->place, board->name, &listener);
    if (error)
        return error;
    board->named = true;
    error = ferry_segment_memfd(segment_size(), &board->fd);
    if (!error)
        error = initialize(board, place_index);
    if (error) {
        close(listener);
        return error;
    }
    return ferry_meet_serve(board->place, listener, key, board->fd, &board->door);
}

static int make_file(struct ferry_board *board, unsigned place_index)
{
    int error = ferry_segment_file(board->place, segment_size(), &board->fd);

    if (!error)
        error = initialize(board, place_index);
    if (!error)
        error = ferry_segment_file_publish(board->place, board->name, board->fd);
    board->named = !error;
    return error;
}

/* Takes what this process must not lack later: the row in which it is told of rings, and pieces to make its own
 * of where memory has become short. */
static int equip(struct ferry_board *board, const struct ferry_board_params *params)
{
    uint64_t row = board->rows_offset + board->rank * board->row_stride * sizeof(uint64_t);
    int error = ferry_segment_fill(board->fd, row, board->row_stride * sizeof(uint64_t),
                                   board->members);

    board->spare_length = ferry_board_pages(params->spare_length);
    board->spares = params->spares;
    if (!error && board->spares)
        error = ferry_board_take_filled(board, board->spares * board->spare_length, &board->spare);
    return error;
}

static void unmake(struct ferry_board *board)
{
    if (board->door)
        ferry_meet_end(board->door);
    board->door = NULL;
    if (board->named)
        ferry_place_remove(board->place, board->name);
    board->named = false;
    if (board->head)
        ferry_range_unmap(board->head, board->head_length + board->rows_length);
    board->head = NULL;
    if (board->fd >= 0)
        close(board->fd);
    board->fd = -1;
}

static int adopt(struct ferry_board *board)
{
    const struct ferry_board_head *head;
    int error = ferry_segment_check(board->fd, board->kind, &board->size);

    if (!error && board->size < board->heap)
        error = -EPROTO;
    if (!error)
        error = map_segment(board);
    if (error)
        return error;
    head = board->head;
    return head->magic == MAGIC && head->members == board->members && head->size == board->size
               ? 0
               : -EPROTO;
}

/* Makes the board, or joins the one of whoever was first. */
static int make_or_join(struct ferry_board *board, unsigned place_index,
                        const struct ferry_board_params *params)
{
    bool memfd = board->kind == FERRY_SEGMENT_MEMFD;
    int error = memfd ? make_memfd(board, place_index, params->key) : make_file(board, place_index);

    if (error != -EADDRINUSE && error != -EEXIST)
        return error;
    unmake(board);
    error = memfd
                ? ferry_meet_join(board->place, board->name, params->key, params->rank, &board->fd)
                : ferry_segment_file_open(board->place, board->name, &board->fd);
    return error ? error : adopt(board);
}

/* How often a folder is made again that other jobs, which end, remove when they find it empty. */
#define TRIES 10

static int meet(struct ferry_board *board, enum ferry_segment_kind kind, unsigned place_index,
                const struct ferry_board_params *params)
{
    bool memfd = kind == FERRY_SEGMENT_MEMFD;
    int error;

    board->kind = kind;
    board->fd = -1;
    ferry_place_name(params->key, memfd ? "ferry board" : "ferry board file", "", 0, board->name);
    for (unsigned i = 0; i < TRIES; i++) {
        error = make_or_join(board, place_index, params);
        if (!error)
            error = equip(board, params);
        if (!error)
            return 0;
        unmake(board);
        if (error != -ENOENT || ferry_place_reopen(board->place))
            break;
    }
    ferry_log(FERRY_LOG_DEBUG, "no %s segment at %s: %s", memfd ? "memfd" : "file",
              board->place->shown, strerror(-error));
    return error;
}

static void enroll(struct ferry_board *board, const struct ferry_board_params *params)
{
    struct ferry_member *self = &board->head->member[board->rank];

    board->id = board->head->id;
    memcpy(self->nonce, params->nonce, sizeof(self->nonce));
    memcpy(self->probe, params->probe, sizeof(self->probe));
    self->probe_address = (uintptr_t) params->probe;
    sched_getaffinity(0, sizeof(self->cpus), &self->cpus);
    self->has_fence = ferry_fence_register();
    self->quota = *params->quota;
    pthread_mutex_lock(&ferry_boards_lock);
    lock_alive(board);
    ferry_link_append(&ferry_boards, &board->link);
    pthread_mutex_unlock(&ferry_boards_lock);
    atomic_store(&self->state, FERRY_MEMBER_JOINED);
}

struct ferry_board *ferry_board_join(struct ferry_place *place, unsigned place_index,
                                     const struct ferry_board_params *params)
{
    static const struct {
        const char *word;
        enum ferry_segment_kind kind;
    } kinds[] = {{"memfd", FERRY_SEGMENT_MEMFD}, {"file", FERRY_SEGMENT_FILE}};
    struct ferry_board *board = calloc(1, sizeof(*board));

    if (!board)
        return NULL;
    board->place = place;
    board->rank = params->rank;
    ferry_heap_init(board);
    set_layout(board, params->size);
    for (unsigned i = 0; i < 2; i++)
        if (ferry_list_has(ferry_config()->segment, kinds[i].word) &&
            !meet(board, kinds[i].kind, place_index, params)) {
            enroll(board, params);
            return board;
        }
    free(board);
    return NULL;
}

void ferry_board_settle(struct ferry_board *board)
{
    if (board->door)
        ferry_meet_end(board->door);
    board->door = NULL;
    if (board->named)
        ferry_place_remove(board->place, board->name);
    board->named = false;
}

void ferry_board_leave(struct ferry_board *board)
{
    ferry_board_settle(board);
    if (board->spares)
        ferry_board_drop(board, board->spare, board->spares * board->spare_length);
    atomic_store(&board->head->member[board->rank].state, FERRY_MEMBER_LEFT);
    pthread_mutex_lock(&ferry_boards_lock);
    ferry_link_remove(&board->link);
    unmake(board);
    lock_others_again();
    pthread_mutex_unlock(&ferry_boards_lock);
    ferry_heap_end(board);
    free(board);
}

const struct ferry_place *ferry_board_place(const struct ferry_board *board)
{
    return board->place;
}

enum ferry_segment_kind ferry_board_kind(const struct ferry_board *board)
{
    return board->kind;
}

bool ferry_board_faulted(const struct ferry_board *board)
{
    return atomic_load_explicit(&board->faulted, memory_order_relaxed);
}

/* ---- Telling ---- */

void ferry_board_tell(struct ferry_board *board, uint32_t to, uint64_t number)
{
    /* There is memory for it since `to` became a member. */
    atomic_store(&board->rows[to * board->row_stride + board->rank], number);
    atomic_fetch_add(&board->head->member[to].knocks, 1); /* and a fence */
    ferry_board_wake(board, to);
}

uint32_t ferry_board_knocks(const struct ferry_board *board)
{
    return atomic_load_explicit(&board->head->member[board->rank].knocks, memory_order_acquire);
}

uint64_t ferry_board_told(const struct ferry_board *board, uint32_t from)
{
    return atomic_load(&board->rows[board->rank * board->row_stride + from]);
}
