/*
 * More processes than processors: who shares which, and sleep until a message comes.
 */
#include "clock.h"
#include "load.h"
#include "shm.h"

bool ferry_shm_is_crowded(struct ferry_shm *shm, uint32_t member)
{
    const ferry_params_t *params = ferry_core_params(shm->base.context);
    cpu_set_t own, other, common, all;
    unsigned sharing = 0;

    ferry_board_cpus(*ferry_peer_slot(shm->peers[member]), member, &own);
    all = own;
    for (uint32_t rank = 0; rank < params->size; rank++) {
        if (!shm->peers[rank])
            continue;
        ferry_board_cpus(*ferry_peer_slot(shm->peers[rank]), rank, &other);
        CPU_AND(&common, &own, &other);
        if (CPU_COUNT(&common) == 0)
            continue;
        CPU_OR(&all, &all, &other);
        sharing++;
    }
    return sharing > (unsigned) CPU_COUNT(&all);
}

void ferry_shm_find_neighbours(struct ferry_shm *shm, uint32_t own_rank)
{
    uint32_t size = ferry_core_params(shm->base.context)->size;
    cpu_set_t own, all;

    ferry_board_cpus(*ferry_peer_slot(shm->peers[own_rank]), own_rank, &own);
    all = own;
    for (unsigned i = 0; i < shm->board_count; i++)
        for (uint32_t rank = 0; rank < size; rank++) {
            struct ferry_shm_board *board = &shm->boards[i];
            cpu_set_t other, common;

            if (!shm->peers[rank] || *ferry_peer_slot(shm->peers[rank]) != board->board)
                continue;
            ferry_board_cpus(board->board, rank, &other);
            CPU_AND(&common, &own, &other);
            if (CPU_COUNT(&common) == 0)
                continue;
            CPU_OR(&all, &all, &other);
            shm->neighbours++;
            if (rank != own_rank)
                board->neighbours[rank / 64] |= (uint64_t) 1 << rank % 64;
        }
    shm->processors = (uint32_t) CPU_COUNT(&all);
}

/* Whether there is anything to do, without doing it. */
static bool has_work(struct ferry_shm *shm)
{
    const uint8_t *payload;
    struct ferry_head head;

    for (uint32_t i = 0; i < shm->reader_count; i++)
        if (shm->readers[i]->reading && ferry_ring_peek(&shm->readers[i]->rx, &head, &payload))
            return true;
    for (unsigned i = 0; i < shm->board_count; i++)
        if (ferry_board_knocks(shm->boards[i].board) != shm->boards[i].knocks)
            return true;
    return false;
}

/* On several boards, one can't be woken by all: then for a short time only. */
#define SHORT_SLEEP_US 200

void ferry_shm_sleep(struct ferry_transport *transport, unsigned microseconds)
{
    struct ferry_shm *shm = ferry_shm_of(transport);

    if (!shm->board_count || shm->boards[0].lost)
        return;
    if (shm->board_count > 1 && microseconds > SHORT_SLEEP_US)
        microseconds = SHORT_SLEEP_US;
    for (unsigned i = 0; i < shm->board_count; i++)
        ferry_board_lie_down(shm->boards[i].board);
    if (!has_work(shm))
        ferry_board_sleep(shm->boards[0].board, microseconds);
    for (unsigned i = 0; i < shm->board_count; i++)
        ferry_board_get_up(shm->boards[i].board, microseconds <= SHORT_SLEEP_US || has_work(shm));
}

/* How long it is believed that processors are free, or not, before the kernel is asked again. */
#define FREE_NS 50000u
#define TAKEN_NS 1000000u

/* Processes may rest elsewhere, too: in a read(), say. */
static bool has_free_processors(struct ferry_shm *shm)
{
    uint64_t now = ferry_now_ns();
    int runnable;

    if (now < shm->free_until_ns || now < shm->taken_until_ns)
        return now < shm->free_until_ns;
    runnable = ferry_runnable();
    if (runnable > 0 && (uint32_t) runnable <= shm->processors)
        shm->free_until_ns = now + FREE_NS;
    else
        shm->taken_until_ns = now + TAKEN_NS;
    return now < shm->free_until_ns;
}

bool ferry_shm_crowded(struct ferry_transport *transport)
{
    struct ferry_shm *shm = ferry_shm_of(transport);
    uint32_t awake = shm->neighbours;

    for (unsigned i = 0; i < shm->board_count; i++)
        awake -= ferry_board_resting(shm->boards[i].board, shm->boards[i].neighbours);
    if (awake > shm->processors && !has_free_processors(shm))
        return true;
    for (unsigned i = 0; i < shm->board_count; i++)
        ferry_board_get_up(shm->boards[i].board, true);
    return false;
}
