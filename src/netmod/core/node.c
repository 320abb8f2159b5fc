/*
 * Nodes: which of the processes that start together all share one segment.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

int ferry_node_note(ferry_peer_t *peer, unsigned transport, const uint8_t *part, uint8_t length)
{
    if (!ferry_transports[transport]->segments || peer->rank < 0 || peer->near_part || !length)
        return 0;
    peer->near_part = malloc(length);
    if (!peer->near_part)
        return -ENOMEM;
    memcpy(peer->near_part, part, length);
    peer->near_length = length;
    return 0;
}

static int name_segments(ferry_context_t *context, const uint8_t **parts, uint8_t *lengths,
                         uint32_t *segments)
{
    uint32_t size = context->params.size;

    for (uint32_t i = 0; i < context->peer_count; i++) {
        ferry_peer_t *peer = context->peers[i];

        if (peer->rank < 0)
            continue;
        parts[peer->rank] = peer->near_part;
        lengths[peer->rank] = peer->near_length;
    }
    for (unsigned i = 0; ferry_transports[i]; i++)
        if (ferry_transports[i]->segments)
            return ferry_transports[i]->segments(parts, lengths, size, segments);
    return 0;
}

struct named {
    uint32_t segment, rank;
};

static int compare(const void *a, const void *b)
{
    const struct named *x = a, *y = b;

    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Names each set by its least rank instead. */
static int name_nodes(const uint32_t *segments, uint32_t size, uint32_t *nodes)
{
    struct named *named = malloc(size * sizeof(*named));

    if (!named)
        return -ENOMEM;
    for (uint32_t rank = 0; rank < size; rank++)
        named[rank] = (struct named){segments[rank], rank};
    qsort(named, size, sizeof(*named), compare);
    for (uint32_t i = 0; i < size; i++) {
        bool same = i && named[i].segment && named[i].segment == named[i - 1].segment;

        nodes[named[i].rank] = same ? nodes[named[i - 1].rank] : named[i].rank;
    }
    free(named);
    return 0;
}

int ferry_nodes_find(ferry_context_t *context)
{
    uint32_t size = context->params.size;
    const uint8_t **parts = calloc(size, sizeof(*parts));
    uint8_t *lengths = calloc(size, 1);
    uint32_t *segments = calloc(size, sizeof(*segments));
    int error = -ENOMEM;

    context->nodes = calloc(size, sizeof(*context->nodes));
    if (parts && lengths && segments && context->nodes)
        error = name_segments(context, parts, lengths, segments);
    if (!error)
        error = name_nodes(segments, size, context->nodes);
    if (!error)
        context->segment = segments[context->params.rank];
    for (uint32_t i = 0; i < context->peer_count; i++) {
        free(context->peers[i]->near_part);
        context->peers[i]->near_part = NULL;
    }
    free(segments);
    free(lengths);
    free(parts);
    return error;
}

uint32_t ferry_peer_node(ferry_peer_t *peer)
{
    return peer->context->nodes && peer->rank >= 0 ? peer->context->nodes[peer->rank] : UINT32_MAX;
}

uint32_t ferry_core_segment(ferry_context_t *context)
{
    return context->segment;
}
