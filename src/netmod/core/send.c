/*
 * Sending: eager messages in one packet or several, and offers of long ones.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

static inline void withdraw(struct ferry_send_op *op)
{
    if (unlikely(op->exposed != NULL))
        op->endpoint->ops->withdraw(op->endpoint, op->exposed);
    op->exposed = NULL;
}

void ferry_send_finish(struct ferry_pending *pending, int status)
{
    struct ferry_send_op *op = ferry_container(pending, struct ferry_send_op, pending);
    ferry_request_t *request = ferry_request_of(op);

    ferry_offer_undo(op);
    free(op->header);
    request->status = status;
    request->done(request);
}

static inline struct ferry_payload payload_of(const struct ferry_send_op *op, size_t length)
{
    return (struct ferry_payload){.data = op->buffer,
                                  .stream = ferry_request_of(op)->stream,
                                  .offset = op->offset,
                                  .length = length};
}

static int push_pieces(struct ferry_endpoint *endpoint, struct ferry_pending *pending);

/* A message of one packet. */
static int push_eager(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    struct ferry_send_op *op = ferry_container(pending, struct ferry_send_op, pending);
    struct ferry_head head = {.type = FERRY_PKT_EAGER, .word = op->word};
    struct ferry_payload payload = payload_of(op, op->length);
    int error;

    if (op->handle) {
        head.flags = FERRY_PKT_SYNC;
        payload.lead = &op->handle;
        payload.lead_length = sizeof(op->handle);
    }
    head.length = (uint16_t) (payload.lead_length + op->length);
    if (unlikely(head.length > endpoint->chunk)) {
        /* Packets became smaller while it waited. */
        pending->push = push_pieces;
        return push_pieces(endpoint, pending);
    }
    error = endpoint->ops->send(endpoint, &head, &payload);
    return error ? error : op->handle ? 0 : 1;
}

/* Of what is slow to pack and to unpack the receiver unpacks one piece while the next is packed. Four pieces of a message would
 * do, within these bounds. */
#define PIECE_LEAST 2048u
#define PIECE_MOST 4096u

static uint32_t piece_of(const struct ferry_endpoint *endpoint, const struct ferry_send_op *op)
{
    const ferry_stream_t *stream = ferry_request_of(op)->stream;
    size_t piece = op->length / 4;

    if (!stream || !stream->fine || !endpoint->cheap)
        return endpoint->chunk;
    piece = piece < PIECE_LEAST ? PIECE_LEAST : piece > PIECE_MOST ? PIECE_MOST : piece;
    return piece < endpoint->chunk ? (uint32_t) piece : endpoint->chunk;
}

/* A message of several packets that nobody asked for. */
static int push_pieces(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    struct ferry_send_op *op = ferry_container(pending, struct ferry_send_op, pending);
    uint64_t lead[2] = {op->length, op->handle};
    uint32_t piece = piece_of(endpoint, op);

    while (op->offset < op->length) {
        bool first = op->offset == 0;
        size_t lead_length = first ? sizeof(lead) : 0;
        size_t room = endpoint->chunk - lead_length;
        size_t length = op->length - op->offset;
        struct ferry_head head = {.type = first ? FERRY_PKT_FIRST : FERRY_PKT_NEXT,
                                  .flags = op->handle ? FERRY_PKT_SYNC : 0,
                                  .word = op->word};
        struct ferry_payload payload;
        int error;

        if (length > piece)
            length = piece;
        if (length > room)
            length = room;
        payload = payload_of(op, length);
        payload.lead = lead;
        payload.lead_length = lead_length;
        head.length = (uint16_t) (lead_length + length);
        error = endpoint->ops->send(endpoint, &head, &payload);
        if (error)
            return error;
        op->offset += length;
    }
    return op->handle ? 0 : 1;
}

/* An offer, which the receiver answers when it has a place for the message. */
static int push_offer(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    struct ferry_send_op *op = ferry_container(pending, struct ferry_send_op, pending);
    struct {
        struct ferry_rts rts;
        uint8_t rest[FERRY_AM_HEADER_MAX + FERRY_DESCRIPTOR_MAX];
    } lead;
    struct ferry_head head = {.type = op->type, .word = op->word};
    struct ferry_payload payload = {.lead = &lead,
                                    .lead_length = sizeof(lead.rts) + op->header_length};
    bool contiguous = ferry_request_of(op)->stream == NULL;

    lead.rts = (struct ferry_rts){.handle = op->handle,
                                  .length = op->length,
                                  .address = contiguous ? (uintptr_t) op->buffer : 0};
    if (op->header_length)
        memcpy(lead.rest, op->header, op->header_length);
    if (op->exposed)
        payload.lead_length += endpoint->ops->describe_exposed(endpoint, op->exposed,
                                                               lead.rest + op->header_length);
    head.length = (uint16_t) payload.lead_length;
    return endpoint->ops->send(endpoint, &head, &payload);
}

/* What a receiver called for. */
static int push_stream(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    struct ferry_send_op *op = ferry_container(pending, struct ferry_send_op, pending);

    while (op->offset < op->end) {
        struct ferry_head head = {.type = FERRY_PKT_DATA, .word = op->remote};
        size_t length = op->end - op->offset;
        struct ferry_payload payload;
        int error;

        if (length > endpoint->chunk)
            length = endpoint->chunk;
        payload = payload_of(op, length);
        head.length = (uint16_t) length;
        error = endpoint->ops->send(endpoint, &head, &payload);
        if (error)
            return error;
        op->offset += length;
    }
    return 1;
}

static void expose(struct ferry_send_op *op)
{
    if (!op->exposed && op->endpoint->ops->expose && !ferry_request_of(op)->stream)
        op->exposed = op->endpoint->ops->expose(op->endpoint, op->buffer, op->length);
}

int ferry_offer_init(struct ferry_send_op *op)
{
    op->handle = ferry_handle_make(op->endpoint->transport->context, FERRY_HANDLE_SEND, op);
    op->pending.push = push_offer;
    if (!op->handle)
        return -ENOMEM;
    op->offered = true;
    op->endpoint->core.offers++;
    expose(op);
    return 0;
}

/* Whether to offer a message that is too long to be sent in any case. Exposes it, then, where that can be. */
static bool is_offered(struct ferry_send_op *op)
{
    if (op->endpoint->held || op->length > op->endpoint->copied_max)
        return true;
    expose(op);
    return op->exposed != NULL;
}

int ferry_send_small(ferry_peer_t *peer, uint64_t match, const void *buffer, size_t length)
{
    struct ferry_endpoint *endpoint = peer->endpoint;
    int error;

    if (unlikely(!endpoint || endpoint->core.first || length > endpoint->chunk ||
                 length > endpoint->eager_max || !endpoint->ops->send_eager ||
                 endpoint->core.lost || (endpoint->held && length > FERRY_TINY)))
        return -EAGAIN;
    ferry_acts(peer->context);
    error = endpoint->ops->send_eager(endpoint, match, buffer, (uint32_t) length);
    if (likely(!error))
        ferry_count(&endpoint->core.sent, length);
    return error;
}

int ferry_send(ferry_peer_t *peer, uint64_t match, const void *buffer, size_t length,
               unsigned flags, ferry_request_t *request)
{
    struct ferry_endpoint *endpoint = ferry_peer_endpoint(peer);
    struct ferry_send_op *op = ferry_op(request, struct ferry_send_op);
    bool sync = flags & FERRY_SYNC;
    int result;

    if (unlikely(!endpoint))
        return peer->error;
    ferry_acts(peer->context);
    *op = (struct ferry_send_op){.pending.finish = ferry_send_finish,
                                 .endpoint = endpoint,
                                 .buffer = buffer,
                                 .length = length,
                                 .word = match,
                                 .type = FERRY_PKT_RTS};
    request->status = 0;
    if ((length > endpoint->eager_max && is_offered(op)) ||
        (endpoint->held && length > FERRY_TINY)) {
        if (ferry_offer_init(op)) {
            withdraw(op);
            return -ENOMEM;
        }
    } else {
        if (sync) {
            op->handle = ferry_handle_make(peer->context, FERRY_HANDLE_SEND, op);
            if (!op->handle)
                return -ENOMEM;
        }
        op->pending.push = length + (sync ? sizeof(op->handle) : 0) <= piece_of(endpoint, op)
                               ? push_eager
                               : push_pieces;
    }
    result = ferry_post(endpoint, &op->pending);
    if (result >= 0)
        ferry_count(&endpoint->core.sent, length);
    else
        ferry_offer_undo(op);
    return result;
}

void ferry_offer_undo(struct ferry_send_op *op)
{
    if (op->handle)
        ferry_handle_free(&op->endpoint->transport->context->handles, op->handle);
    if (op->offered)
        op->endpoint->core.offers--;
    withdraw(op);
}

/* ---- Answers ---- */

struct answer {
    struct ferry_pending pending;
    struct ferry_head head;
    uint8_t payload[];
};

static int push_answer(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    struct answer *answer = ferry_container(pending, struct answer, pending);
    struct ferry_payload payload = {.lead = answer->payload, .lead_length = answer->head.length};
    int error = endpoint->ops->send(endpoint, &answer->head, &payload);

    return error ? error : 1;
}

static void finish_answer(struct ferry_pending *pending, int status)
{
    (void) status;
    free(ferry_container(pending, struct answer, pending));
}

void ferry_pending_drop(struct ferry_pending *pending)
{
    if (pending->finish == finish_answer)
        finish_answer(pending, 0);
    else
        free(ferry_container(pending, struct ferry_send_op, pending)->header);
}

int ferry_answer(struct ferry_endpoint *endpoint, uint8_t type, uint64_t word, const void *payload,
                 size_t length)
{
    struct ferry_head head = {.type = type, .word = word, .length = (uint16_t) length};

    return ferry_answer_as(endpoint, &head, payload);
}

int ferry_answer_as(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                    const void *payload)
{
    size_t length = head->length;
    struct ferry_payload direct = {.lead = payload, .lead_length = length};
    struct answer *answer;
    int result = -EAGAIN;

    if (endpoint->core.lost)
        return 0;
    if (!endpoint->core.first)
        result = endpoint->ops->send(endpoint, head, &direct);
    if (result != -EAGAIN)
        return result;
    answer = malloc(sizeof(*answer) + length);
    if (!answer)
        return -ENOMEM;
    *answer = (struct answer){.pending = {.push = push_answer, .finish = finish_answer},
                              .head = *head};
    if (length)
        memcpy(answer->payload, payload, length);
    ferry_append(endpoint, &answer->pending);
    return 0;
}

/* ---- Answers that come in ---- */

int ferry_on_cts(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                 const void *payload)
{
    struct ferry_cts cts;
    struct ferry_send_op *op = ferry_handle_find(endpoint->transport->context, FERRY_HANDLE_SEND,
                                                 head->word);

    if (head->length != sizeof(cts) || !op || op->endpoint != endpoint || !op->pending.awaiting ||
        op->pending.push != push_offer)
        return -EPROTO;
    memcpy(&cts, payload, sizeof(cts));
    if (cts.offset > op->length || cts.length > op->length - cts.offset)
        return -EPROTO;
    op->remote = cts.handle;
    op->offset = cts.offset;
    op->end = cts.offset + cts.length;
    op->pending.push = push_stream;
    op->pending.awaiting = false;
    withdraw(op);
    ferry_post_stream(endpoint, &op->pending);
    return 0;
}

int ferry_on_done(struct ferry_endpoint *endpoint, const struct ferry_head *head)
{
    struct ferry_send_op *op = ferry_handle_find(endpoint->transport->context, FERRY_HANDLE_SEND,
                                                 head->word);

    /* A message that is still being sent can't have been received. */
    if (!op || op->endpoint != endpoint || !op->pending.awaiting)
        return -EPROTO;
    ferry_send_finish(&op->pending, 0);
    return 0;
}
