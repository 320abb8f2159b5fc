/*
 * A process that is its own peer: packets wait in a queue for its next progress.
 */
#include <errno.h>
#include <stdlib.h>

#include "fabric.h"

#define QUEUE_MAX 64
#define BATCH 16

int ferry_self_send(struct ferry_fabric_endpoint *endpoint, const struct ferry_head *head,
                    const struct ferry_payload *payload)
{
    struct ferry_fabric_buffer *buffer;

    if (endpoint->receives >= QUEUE_MAX)
        return -EAGAIN;
    buffer = malloc(sizeof(*buffer) + sizeof(*head) + head->length);
    if (!buffer)
        return -EAGAIN;
    ferry_fabric_fill(buffer->bytes, head, ++endpoint->sent_seq, payload);
    buffer->length = sizeof(*head) + head->length;
    buffer->next = NULL;
    if (endpoint->first)
        endpoint->last->next = buffer;
    else
        endpoint->first = buffer;
    endpoint->last = buffer;
    endpoint->receives++;
    ferry_core_rouse(endpoint->base.transport->context);
    return 0;
}

int ferry_self_progress(struct ferry_fabric_endpoint *endpoint)
{
    int events = 0;

    while (endpoint->first && events < BATCH) {
        struct ferry_fabric_buffer *buffer = endpoint->first;

        /* First, for what is delivered may be answered at once. */
        endpoint->first = buffer->next;
        endpoint->receives--;
        events++;
        ferry_fabric_deliver(endpoint, buffer->bytes, buffer->length);
        free(buffer);
    }
    return events;
}

void ferry_self_free(struct ferry_fabric_endpoint *endpoint)
{
    while (endpoint->first) {
        struct ferry_fabric_buffer *next = endpoint->first->next;

        free(endpoint->first);
        endpoint->first = next;
    }
}
