/*
 * Active messages: a handler at the receiver for each id.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

int ferry_am_register(ferry_context_t *context, unsigned id, ferry_am_fn handler)
{
    if (id >= FERRY_AM_IDS)
        return -EINVAL;
    context->handlers[id] = handler;
    return 0;
}

static uint64_t word_of(unsigned id, size_t header_length)
{
    return id | (uint64_t) header_length << 16;
}

size_t ferry_am_eager_max(ferry_peer_t *peer, size_t header_length)
{
    struct ferry_endpoint *endpoint = ferry_peer_endpoint(peer);

    return endpoint && endpoint->packet_max > header_length ? endpoint->packet_max - header_length
                                                            : 0;
}

static int push_am(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    struct ferry_send_op *op = ferry_container(pending, struct ferry_send_op, pending);
    struct ferry_head head = {.type = FERRY_PKT_AM,
                              .word = op->word,
                              .length = (uint16_t) (op->header_length + op->length)};
    struct ferry_payload payload = {.lead = op->header,
                                    .lead_length = op->header_length,
                                    .data = op->buffer,
                                    .stream = ferry_request_of(op)->stream,
                                    .length = op->length};
    int error = endpoint->ops->send(endpoint, &head, &payload);

    return error ? error : 1;
}

/* Sends or queues; a header that has to wait is copied. */
static int post_with_header(struct ferry_send_op *op, const void *header)
{
    int result;

    op->header = (void *) header;
    result = ferry_try(op->endpoint, &op->pending);
    op->header = NULL;
    if (result != -EAGAIN)
        return result;
    if (op->header_length) {
        op->header = malloc(op->header_length);
        if (!op->header)
            return -ENOMEM;
        memcpy(op->header, header, op->header_length);
    }
    ferry_append(op->endpoint, &op->pending);
    return 0;
}

int ferry_am_send(ferry_peer_t *peer, unsigned id, const void *header, size_t header_length,
                  const void *buffer, size_t length, ferry_request_t *request)
{
    struct ferry_endpoint *endpoint = ferry_peer_endpoint(peer);
    struct ferry_send_op *op;
    int result;

    if (unlikely(!endpoint))
        return peer->error;
    if (unlikely(header_length > FERRY_AM_HEADER_MAX))
        return -EMSGSIZE;
    ferry_acts(peer->context);
    if (length == 0) {
        result = ferry_answer(endpoint, FERRY_PKT_AM, word_of(id, header_length), header,
                              header_length);
        if (result)
            return result;
        ferry_count(&endpoint->core.sent, 0);
        return 1;
    }
    op = ferry_op(request, struct ferry_send_op);
    *op = (struct ferry_send_op){
        .pending = {.push = push_am, .finish = ferry_send_finish},
        .endpoint = endpoint,
        .buffer = buffer,
        .length = length,
        .word = word_of(id, header_length),
        .header_length = (uint32_t) header_length,
        .type = FERRY_PKT_AM_RTS,
    };
    request->status = 0;
    if (length + header_length > endpoint->packet_max && ferry_offer_init(op))
        return -ENOMEM;
    result = post_with_header(op, header);
    if (result >= 0)
        ferry_count(&endpoint->core.sent, length);
    else
        ferry_offer_undo(op);
    return result;
}

/* Splits a packet's word and copies the header to where nobody else can write. NULL: nonsense. */
static ferry_am_fn unpack(ferry_context_t *context, uint64_t word, const uint8_t *from, size_t room,
                          uint8_t *header, size_t *header_length)
{
    uint64_t id = word & 0xffff;

    *header_length = word >> 16;
    if (id >= FERRY_AM_ALL_IDS || *header_length > FERRY_AM_HEADER_MAX || *header_length > room)
        return NULL;
    memcpy(header, from, *header_length);
    return context->handlers[id];
}

int ferry_on_am(struct ferry_endpoint *endpoint, const struct ferry_head *head, const void *payload)
{
    ferry_context_t *context = endpoint->transport->context;
    alignas(16) uint8_t header[FERRY_AM_HEADER_MAX];
    size_t header_length;
    ferry_am_fn handler = unpack(context, head->word, payload, head->length, header,
                                 &header_length);

    if (!handler)
        return -EPROTO;
    ferry_count(&endpoint->core.received, head->length - header_length);
    handler(context->params.user, endpoint->peer, header, header_length,
            (const uint8_t *) payload + header_length, head->length - header_length, NULL);
    return 0;
}

int ferry_on_am_rts(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                    const void *payload)
{
    ferry_context_t *context = endpoint->transport->context;
    alignas(16) uint8_t header[FERRY_AM_HEADER_MAX];
    struct ferry_message *message;
    size_t header_length;
    struct ferry_rts rts;
    ferry_am_fn handler;

    if (head->length < sizeof(rts))
        return -EPROTO;
    memcpy(&rts, payload, sizeof(rts));
    handler = unpack(context, head->word, (const uint8_t *) payload + sizeof(rts),
                     head->length - sizeof(rts), header, &header_length);
    if (!handler || (head->length > sizeof(rts) + header_length && !endpoint->ops->read))
        return -EPROTO;
    message = ferry_offer_new(endpoint, 0, &rts,
                              (const uint8_t *) payload + sizeof(rts) + header_length,
                              head->length - sizeof(rts) - header_length);
    if (!message)
        return -ENOMEM;
    ferry_count(&endpoint->core.received, rts.length);
    handler(context->params.user, endpoint->peer, header, header_length, NULL, rts.length, message);
    return 0;
}
