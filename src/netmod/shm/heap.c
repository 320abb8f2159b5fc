/*
 * The memory of a board: ranges are taken one behind the other; what is given back is taken again by whoever gave it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "fault.h"
#include "layout.h"

/* ---- Mapping ---- */

/* A memfd is sealed against shrinking; a file can't be, and is guarded. */
int ferry_range_map(struct ferry_board *board, uint64_t offset, size_t length, void **memory)
{
    int error = 0;

    *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, board->fd, (off_t) offset);
    if (*memory == MAP_FAILED)
        return -errno;
    /* A child neither uses nor keeps what it did not ask for. */
    madvise(*memory, length, MADV_DONTFORK);
    if (board->kind == FERRY_SEGMENT_FILE)
        error = ferry_fault_guard(*memory, length, &board->faulted);
    if (error)
        munmap(*memory, length);
    return error;
}

void ferry_range_unmap(void *memory, size_t length)
{
    ferry_fault_unguard(memory);
    munmap(memory, length);
}

static bool is_within(const struct ferry_board *board, uint64_t offset, size_t length)
{
    return length <= board->size && offset % FERRY_BOARD_PAGE == 0 && offset >= board->heap &&
           offset <= board->size && ferry_board_pages(length) <= board->size - offset;
}

/* There is memory behind it: whoever took it saw to that. A liar could take it away at any later time, too; then
 * that of a memfd comes anew when it is touched, and a file is guarded. */
int ferry_board_map(struct ferry_board *board, uint64_t offset, size_t length, void **memory)
{
    return is_within(board, offset, length)
               ? ferry_range_map(board, offset, ferry_board_pages(length), memory)
               : -EPROTO;
}

int ferry_board_map_part(struct ferry_board *board, uint64_t offset, size_t length, size_t from,
                         size_t own, void **memory)
{
    uint64_t begin = from & ~(uint64_t) (FERRY_BOARD_PAGE - 1), parts;
    int error = 0;

    if (!is_within(board, offset, length) || from > length || own > length - from)
        return -EPROTO;
    /* All see to their parts at the same time: there must be enough for the whole. */
    parts = own ? (length + own - 1) / own : 1;
    if (own)
        error = ferry_segment_fill(board->fd, offset + begin, ferry_board_pages(from + own) - begin,
                                   parts < UINT32_MAX ? (uint32_t) parts : UINT32_MAX);
    if (!error)
        error = ferry_board_map(board, offset, length, memory);
    /* It is the program's: a child has it, too. */
    if (!error)
        madvise(*memory, ferry_board_pages(length), MADV_DOFORK);
    return error;
}

void ferry_board_unmap(void *memory, size_t length)
{
    ferry_range_unmap(memory, ferry_board_pages(length));
}

void ferry_board_drop(struct ferry_board *board, uint64_t offset, size_t length)
{
    fallocate(board->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) offset,
              (off_t) ferry_board_pages(length));
}

/* ---- Taking ---- */

struct gap {
    struct ferry_link link;
    uint64_t offset, length;
};

void ferry_heap_init(struct ferry_board *board)
{
    ferry_link_init(&board->gaps);
}

static void remove_gap(struct gap *gap)
{
    ferry_link_remove(&gap->link);
    free(gap);
}

void ferry_heap_end(struct ferry_board *board)
{
    while (board->gaps.next != &board->gaps)
        remove_gap(ferry_container(board->gaps.next, struct gap, link));
}

static bool take_gap(struct ferry_board *board, uint64_t length, uint64_t *offset)
{
    for (struct ferry_link *link = board->gaps.next; link != &board->gaps; link = link->next) {
        struct gap *gap = ferry_container(link, struct gap, link);

        if (gap->length < length)
            continue;
        *offset = gap->offset;
        gap->offset += length;
        gap->length -= length;
        if (!gap->length)
            remove_gap(gap);
        return true;
    }
    return false;
}

int ferry_board_take(struct ferry_board *board, size_t length, uint64_t *offset)
{
    uint64_t taken = atomic_load(&board->head->taken);

    if (length > board->size)
        return -ENOSPC;
    length = ferry_board_pages(length);
    if (take_gap(board, length, offset))
        return 0;
    do
        if (taken > board->size || length > board->size - taken)
            return -ENOSPC;
    while (!atomic_compare_exchange_weak(&board->head->taken, &taken, taken + length));
    *offset = taken;
    /* Others can write it. */
    return is_within(board, taken, length) ? 0 : -ENOSPC;
}

/* Gives the last range that was taken, if it is a gap, to all. */
static bool lower_end(struct ferry_board *board)
{
    for (struct ferry_link *link = board->gaps.next; link != &board->gaps; link = link->next) {
        struct gap *gap = ferry_container(link, struct gap, link);
        uint64_t end = gap->offset + gap->length;

        if (!atomic_compare_exchange_strong(&board->head->taken, &end, gap->offset))
            continue;
        remove_gap(gap);
        return true;
    }
    return false;
}

void ferry_board_release(struct ferry_board *board, uint64_t offset, size_t length)
{
    struct gap *gap = malloc(sizeof(*gap));

    ferry_board_drop(board, offset, length);
    if (!gap)
        return;
    gap->offset = offset;
    gap->length = ferry_board_pages(length);
    ferry_link_append(&board->gaps, &gap->link);
    while (lower_end(board))
        ;
}

int ferry_board_take_filled(struct ferry_board *board, size_t length, uint64_t *offset)
{
    int error = ferry_board_take(board, length, offset);

    if (error)
        return error;
    error = ferry_segment_fill(board->fd, *offset, ferry_board_pages(length), board->members);
    if (error)
        ferry_board_release(board, *offset, length);
    return error;
}

int ferry_board_alloc(struct ferry_board *board, size_t length, uint64_t *offset, void **memory)
{
    int error = ferry_board_take_filled(board, length, offset);

    return error ? error : ferry_board_map(board, *offset, length, memory);
}

int ferry_board_alloc_spare(struct ferry_board *board, size_t length, uint64_t *offset,
                            void **memory)
{
    if (!board->spares || length > board->spare_length)
        return -ENOSPC;
    *offset = board->spare;
    board->spare += board->spare_length;
    board->spares--;
    return ferry_board_map(board, *offset, length, memory);
}

bool ferry_board_is_scarce(const struct ferry_board *board, size_t length, size_t least)
{
    uint64_t taken = atomic_load(&board->head->taken) + ferry_board_pages(length);
    uint64_t kept = (uint64_t) board->members * board->members * ferry_board_pages(least);

    return taken > board->size || board->size - taken < kept;
}
