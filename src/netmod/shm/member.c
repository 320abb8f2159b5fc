/*
 * Members of a board: what they say of themselves, who lives, and sleep.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fence.h"
#include "layout.h"

/* ---- Who lives ---- */

/* A process does not see its own locks. */
static bool is_own(const struct ferry_board *board, uint32_t rank)
{
    bool own = false;

    pthread_mutex_lock(&ferry_boards_lock);
    for (struct ferry_link *link = ferry_boards.next; link != &ferry_boards; link = link->next) {
        struct ferry_board *other = ferry_container(link, struct ferry_board, link);

        own = own || (other->id == board->id && other->rank == rank);
    }
    pthread_mutex_unlock(&ferry_boards_lock);
    return own;
}

enum ferry_liveness ferry_board_liveness(const struct ferry_board *board, uint32_t rank, int *pid)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = rank, .l_len = 1};
    uint32_t state;

    if (is_own(board, rank)) {
        if (pid)
            *pid = getpid();
        return FERRY_ALIVE;
    }
    if (pid)
        *pid = 0;
    if (fcntl(board->fd, F_GETLK, &lock) || lock.l_type != F_UNLCK) {
        if (pid && lock.l_pid > 0)
            *pid = lock.l_pid;
        return FERRY_ALIVE;
    }
    /* Read after the lock, since whoever leaves says so first. */
    state = atomic_load(&board->head->member[rank].state);
    return state == FERRY_MEMBER_JOINED ? FERRY_DEAD : FERRY_LEFT;
}

/* ---- Members ---- */

uint32_t ferry_board_id(const struct ferry_board *board)
{
    return board->id;
}

bool ferry_board_has(const struct ferry_board *board, uint32_t rank, const uint8_t nonce[16])
{
    const struct ferry_member *member = &board->head->member[rank];

    return rank < board->members && atomic_load(&member->state) == FERRY_MEMBER_JOINED &&
           !memcmp(member->nonce, nonce, sizeof(member->nonce));
}

uint64_t ferry_board_probe(const struct ferry_board *board, uint32_t rank, uint8_t probe[16])
{
    const struct ferry_member *member = &board->head->member[rank];

    memcpy(probe, member->probe, sizeof(member->probe));
    return member->probe_address;
}

void ferry_board_beat(struct ferry_board *board)
{
    atomic_store_explicit(&board->head->member[board->rank].beats, ++board->beats,
                          memory_order_relaxed);
}

uint32_t ferry_board_beats(const struct ferry_board *board, uint32_t rank)
{
    return atomic_load_explicit(&board->head->member[rank].beats, memory_order_relaxed);
}

/* ---- Sleeping ----
 * The sleeper writes asleep and then looks for messages, whoever wakes writes messages and then looks at asleep.
 * A fence on both sides between the two steps makes sure that one of them sees the other; the one of
 * ferry_fence_all() serves for both. */

static long futex(_Atomic uint32_t *word, int operation, uint32_t value,
                  const struct timespec *timeout)
{
    return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

static void mark_resting(struct ferry_board *board, uint32_t rank, bool resting)
{
    _Atomic uint64_t *word = &board->resting[rank / 64];
    uint64_t bit = (uint64_t) 1 << rank % 64;

    if (!(atomic_load_explicit(word, memory_order_relaxed) & bit) == !resting)
        return;
    if (resting)
        atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
    else
        atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
}

uint32_t ferry_board_resting(const struct ferry_board *board, const uint64_t *set)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < FERRY_BOARD_SET(board->members); i++)
        count += (uint32_t) __builtin_popcountll(
            atomic_load_explicit(&board->resting[i], memory_order_relaxed) & set[i]);
    return count;
}

bool ferry_board_needs_fence(const struct ferry_board *board, uint32_t rank)
{
    const struct ferry_member *member = board->head->member;

    return !member[rank].has_fence || !member[board->rank].has_fence;
}

bool ferry_board_lie_down(struct ferry_board *board, bool for_all)
{
    mark_resting(board, board->rank, true);
    atomic_store(&board->head->member[board->rank].asleep, 1);
    if (for_all && board->head->member[board->rank].has_fence)
        return ferry_fence_all();
    atomic_thread_fence(memory_order_seq_cst);
    return true;
}

void ferry_board_sleep(struct ferry_board *board, unsigned microseconds)
{
    struct timespec timeout = {.tv_sec = microseconds / 1000000,
                               .tv_nsec = microseconds % 1000000 * 1000L};

    /* Not a private futex: the processes meet at the memory behind it. */
    futex(&board->head->member[board->rank].asleep, FUTEX_WAIT, 1, &timeout);
}

void ferry_board_get_up(struct ferry_board *board, bool to_work)
{
    _Atomic uint32_t *asleep = &board->head->member[board->rank].asleep;

    if (atomic_load_explicit(asleep, memory_order_relaxed))
        atomic_store_explicit(asleep, 0, memory_order_relaxed);
    if (to_work)
        mark_resting(board, board->rank, false);
}

_Atomic uint32_t *ferry_board_asleep(struct ferry_board *board, uint32_t rank)
{
    return &board->head->member[rank].asleep;
}

void ferry_board_wake(struct ferry_board *board, uint32_t rank)
{
    _Atomic uint32_t *asleep = &board->head->member[rank].asleep;

    if (!atomic_exchange(asleep, 0))
        return;
    mark_resting(board, rank, false);
    futex(asleep, FUTEX_WAKE, INT_MAX, NULL);
}

void ferry_board_cpus(const struct ferry_board *board, uint32_t rank, cpu_set_t *cpus)
{
    *cpus = board->head->member[rank].cpus;
}

struct ferry_quota ferry_board_quota(const struct ferry_board *board, uint32_t rank)
{
    return board->head->member[rank].quota;
}
