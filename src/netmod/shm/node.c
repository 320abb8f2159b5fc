/*
 * Which processes all share one board. "Shares memory with" need not be transitive, so each goes with one of the
 * boards that it is a member of: the one with the most members, of these the better.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "shm.h"

struct membership {
    uint32_t board, rank;
};

static int compare(const void *a, const void *b)
{
    const struct membership *x = a, *y = b;

    return x->board < y->board ? -1 : x->board > y->board;
}

/* Returns how many. */
static size_t list_memberships(const uint8_t *const *parts, const uint8_t *lengths, uint32_t size,
                               struct membership *list)
{
    size_t count = 0;

    for (uint32_t rank = 0; rank < size; rank++)
        for (unsigned i = 0; i < lengths[rank] / sizeof(uint32_t) && i < FERRY_PLACES_MAX; i++) {
            memcpy(&list[count].board, parts[rank] + i * sizeof(uint32_t), sizeof(uint32_t));
            list[count++].rank = rank;
        }
    qsort(list, count, sizeof(*list), compare);
    return count;
}

int ferry_shm_segments(const uint8_t *const *parts, const uint8_t *lengths, uint32_t size,
                       uint32_t *segments)
{
    struct membership *list = malloc(size * FERRY_PLACES_MAX * sizeof(*list));
    size_t *best = calloc(size, sizeof(*best));
    size_t count, end;

    if (!list || !best) {
        free(list);
        free(best);
        return -ENOMEM;
    }
    count = list_memberships(parts, lengths, size, list);
    for (size_t begin = 0; begin < count; begin = end) {
        for (end = begin; end < count && list[end].board == list[begin].board; end++)
            ;
        for (size_t i = begin; i < end; i++)
            if (end - begin > best[list[i].rank]) {
                best[list[i].rank] = end - begin;
                segments[list[i].rank] = list[i].board;
            }
    }
    free(list);
    free(best);
    return 0;
}

bool ferry_shm_is_of_node(struct ferry_shm *shm, ferry_peer_t *peer)
{
    ferry_peer_t *self = shm->peers[ferry_core_params(shm->base.context)->rank];

    return self && ferry_peer_node(peer) == ferry_peer_node(self);
}

int ferry_shm_find_node(struct ferry_shm *shm)
{
    uint32_t segment = ferry_core_segment(shm->base.context);
    const ferry_params_t *params = ferry_core_params(shm->base.context);
    ferry_peer_t *self = shm->peers[params->rank];

    for (unsigned i = 0; self && i < shm->board_count; i++)
        if (ferry_board_id(shm->boards[i].board) == segment)
            shm->node = shm->boards[i].board;
    for (uint32_t rank = 0; self && rank < params->size; rank++) {
        ferry_peer_t *peer = shm->peers[rank];

        if (!peer || !ferry_shm_is_of_node(shm, peer))
            continue;
        if (!shm->node || !ferry_board_has(shm->node, rank, ferry_peer_nonce(peer))) {
            ferry_log(FERRY_LOG_ERROR,
                      "process %u says that it shares memory with this one, but does not: use "
                      "FERRY_TRANSPORTS=fabric",
                      rank);
            return -EHOSTUNREACH;
        }
    }
    return 0;
}

struct ferry_shm *ferry_shm_with_node(ferry_context_t *context)
{
    struct ferry_transport *transport = ferry_core_transport(context, &ferry_shm_ops);

    return transport && ferry_shm_of(transport)->node ? ferry_shm_of(transport) : NULL;
}
