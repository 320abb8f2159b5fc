/*
 * Receiving: posted receives and unexpected messages, in one packet, in pieces, or on offer (see offer.c).
 */
#include <errno.h>
#include <stdlib.h>

#include "config.h"
#include "internal.h"

/* A message that comes unasked is at most this long, whatever its sender says. */
#define EAGER_LIMIT ((size_t) 16 << 20)

/* ---- Storing ---- */

static inline struct ferry_recv_op *recv_op(ferry_request_t *request)
{
    return ferry_op(request, struct ferry_recv_op);
}

/* Puts bytes of a message where they belong; what does not fit is dropped. */
static inline void store(ferry_request_t *request, size_t offset, const void *from, size_t length)
{
    struct ferry_recv_op *op = recv_op(request);

    if (unlikely(offset + length > op->room)) {
        if (offset >= op->room)
            return;
        length = op->room - offset;
    }
    if (unlikely(request->stream != NULL))
        request->stream->unpack(op->buffer, offset, from, length);
    else if (length)
        memcpy((char *) op->buffer + offset, from, length);
}

/* To be asked when bytes of a packet were stored, before anybody is told. */
static inline int arrived(struct ferry_endpoint *endpoint)
{
    return likely(!endpoint->ops->intact || endpoint->ops->intact(endpoint)) ? 0 : -EIO;
}

/* Stores bytes of a packet. A stream can't be told to go back, so it gets only what is sure.
 * Errors: -EIO they may be anything; -ENOMEM. */
static int store_packet(struct ferry_endpoint *endpoint, ferry_request_t *request, size_t offset,
                        const void *from, size_t length)
{
    void *copy;
    int error;

    if (likely(!request->stream || !endpoint->ops->intact)) {
        store(request, offset, from, length);
        return arrived(endpoint);
    }
    copy = malloc(length + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, from, length);
    error = arrived(endpoint);
    if (!error)
        store(request, offset, copy, length);
    free(copy);
    return error;
}

/* A message was stored; one so long an adapter could have put there. */
static inline void note_copied(struct ferry_endpoint *endpoint, ferry_request_t *request,
                               size_t length)
{
    struct ferry_recv_op *op = recv_op(request);

    if (unlikely(length > endpoint->eager_max) && endpoint->ops->copied && !request->stream)
        endpoint->ops->copied(endpoint, op->buffer, length < op->room ? length : op->room);
}

void ferry_recv_results(ferry_request_t *request, int status, uint64_t match, size_t length,
                        ferry_peer_t *peer)
{
    size_t room = recv_op(request)->room;

    request->match = match;
    request->peer = peer;
    request->length = length < room ? length : room;
    request->status = !status && length > room ? -EMSGSIZE : status;
}

void ferry_recv_complete(ferry_request_t *request, int status)
{
    struct ferry_recv_op *op = recv_op(request);

    if (op->handle)
        ferry_handle_free(&request->peer->context->handles, op->handle);
    ferry_recv_results(request, status, request->match, request->length, request->peer);
    request->done(request);
}

/* ---- Messages ---- */

/* A sender whose messages nobody receives is asked to offer them, so that they stay with it. */
static void count_unexpected(struct ferry_endpoint *endpoint, size_t bytes)
{
    endpoint->core.unexpected += bytes;
    if (endpoint->core.unexpected <= ferry_config()->unexpected_max || endpoint->core.holding ||
        !endpoint->ops->hold)
        return;
    endpoint->core.holding = true;
    endpoint->ops->hold(endpoint, true);
}

static void uncount_unexpected(struct ferry_endpoint *endpoint, size_t bytes)
{
    endpoint->core.unexpected -= bytes;
    if (!endpoint->core.holding || endpoint->core.unexpected > ferry_config()->unexpected_max / 2)
        return;
    endpoint->core.holding = false;
    endpoint->ops->hold(endpoint, false);
}

static struct ferry_message *message_new(struct ferry_endpoint *endpoint, uint64_t match,
                                         enum ferry_message_kind kind, size_t length, size_t room)
{
    struct ferry_message *message = malloc(sizeof(*message) + room);

    if (!message)
        return NULL;
    *message = (struct ferry_message){.link.match = match,
                                      .context = endpoint->transport->context,
                                      .peer = endpoint->peer,
                                      .kind = kind,
                                      .length = length,
                                      .room = room,
                                      .data = (uint8_t *) (message + 1)};
    if (room)
        count_unexpected(endpoint, room);
    return message;
}

static void message_free(struct ferry_message *message)
{
    if (message->room)
        uncount_unexpected(message->peer->endpoint, message->room);
    free(message);
}

struct ferry_message *ferry_offer_new(struct ferry_endpoint *endpoint, uint64_t match,
                                      const struct ferry_rts *rts, const void *descriptor,
                                      size_t descriptor_length)
{
    struct ferry_message *message;

    if (descriptor_length > (endpoint->ops->read ? FERRY_DESCRIPTOR_MAX : 0))
        return NULL;
    message = malloc(sizeof(*message) + descriptor_length);
    if (!message)
        return NULL;
    *message = (struct ferry_message){.link.match = match,
                                      .context = endpoint->transport->context,
                                      .peer = endpoint->peer,
                                      .kind = FERRY_MSG_OFFER,
                                      .length = rts->length,
                                      .sender = rts->handle,
                                      .address = rts->address,
                                      .data = (uint8_t *) (message + 1),
                                      .descriptor_length = (uint8_t) descriptor_length};
    memcpy(message->data, descriptor, descriptor_length);
    return message;
}

static void queue_unexpected(struct ferry_message *message)
{
    message->queued = true;
    message->context->counts.unexpected++;
    ferry_match_add(&message->context->match, &message->link);
}

static int answer_sync(struct ferry_message *message)
{
    struct ferry_endpoint *endpoint = message->peer->endpoint;

    if (!message->sender || !endpoint)
        return 0;
    return ferry_answer(endpoint, FERRY_PKT_DONE, message->sender, NULL, 0);
}

/* Gives a message that is in no queue to a request. Returns as a posting call does. */
static int consume(struct ferry_message *message, ferry_request_t *request)
{
    int result = message->error;

    if (message->kind != FERRY_MSG_WHOLE && message->peer->error)
        result = message->peer->error;
    if (result) {
        message_free(message);
        return result;
    }
    switch (message->kind) {
    case FERRY_MSG_WHOLE:
        store(request, 0, message->data, message->length);
        if (message->peer->endpoint)
            note_copied(message->peer->endpoint, request, message->length);
        ferry_recv_results(request, 0, message->link.match, message->length, message->peer);
        answer_sync(message);
        message_free(message);
        return 1;
    case FERRY_MSG_PIECES:
        recv_op(request)->handle = 0;
        request->match = message->link.match;
        request->peer = message->peer;
        request->length = message->length;
        store(request, 0, message->data, message->got);
        message->request = request;
        return 0;
    case FERRY_MSG_OFFER:
        result = ferry_offer_accept(
            message->peer->endpoint,
            &(struct ferry_offer){message->link.match, message->length, message->sender,
                                  message->address, message->data, message->descriptor_length},
            request);
        message_free(message);
        return result;
    }
    return -EINVAL;
}

/* ---- Posting ---- */

int ferry_recv(ferry_context_t *context, uint64_t match, uint64_t ignore, void *buffer,
               size_t length, ferry_request_t *request)
{
    struct ferry_recv_op *op = recv_op(request);
    struct ferry_unexpected *found;

    ferry_acts(context);
    op->buffer = buffer;
    op->room = length;
    op->handle = 0;
    op->posted.link.next = NULL;
    found = ferry_match_find(&context->match, match, ignore);
    if (found) {
        struct ferry_message *message = ferry_container(found, struct ferry_message, link);

        ferry_match_remove(found);
        message->queued = false;
        return consume(message, request);
    }
    op->posted.match = match;
    op->posted.ignore = ignore;
    op->endpoint = NULL;
    ferry_match_post(&context->match, &op->posted);
    return 0;
}

int ferry_cancel(ferry_context_t *context, ferry_request_t *request)
{
    struct ferry_posted *posted = &recv_op(request)->posted;

    (void) context;
    if (!posted->link.next)
        return -EBUSY;
    ferry_link_remove(&posted->link);
    posted->link.next = NULL;
    return 0;
}

bool ferry_probe(ferry_context_t *context, uint64_t match, uint64_t ignore, ferry_probe_t *probe,
                 ferry_message_t **out)
{
    struct ferry_unexpected *found = ferry_match_find(&context->match, match, ignore);
    struct ferry_message *message;

    if (!found)
        return false;
    ferry_acts(context);
    message = ferry_container(found, struct ferry_message, link);
    *probe = (ferry_probe_t){
        .match = message->link.match, .length = message->length, .peer = message->peer};
    if (out) {
        ferry_match_remove(found);
        message->queued = false;
        *out = message;
    }
    return true;
}

int ferry_message_recv(ferry_message_t *message, void *buffer, size_t length,
                       ferry_request_t *request)
{
    struct ferry_recv_op *op = recv_op(request);

    ferry_acts(message->context);
    op->buffer = buffer;
    op->room = length;
    op->handle = 0;
    op->endpoint = NULL;
    op->posted.link.next = NULL;
    return consume(message, request);
}

/* ---- Arrivals ---- */

/* The posted receive that takes a message, or NULL. */
static inline ferry_request_t *take_posted(ferry_context_t *context, uint64_t match)
{
    struct ferry_posted *posted = ferry_match_take(&context->match, match);

    if (!posted)
        return NULL;
    posted->link.next = NULL;
    return ferry_request_of(ferry_container(posted, struct ferry_recv_op, posted));
}

/* What was stored may be anything: the packet may come again, by another way. */
static int give_back(struct ferry_endpoint *endpoint, ferry_request_t *request, size_t length,
                     int error)
{
    endpoint->core.received.messages--;
    endpoint->core.received.bytes -= length;
    if (request)
        ferry_match_give_back(&endpoint->transport->context->match, &recv_op(request)->posted);
    return error;
}

bool ferry_core_may_stay(struct ferry_endpoint *endpoint, const struct ferry_head *head)
{
    return (head->type == FERRY_PKT_EAGER || head->type == FERRY_PKT_FIRST) &&
           !ferry_match_is_awaited(&endpoint->transport->context->match, head->word);
}

int ferry_on_eager(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                   const void *payload)
{
    ferry_context_t *context = endpoint->transport->context;
    const uint8_t *data = payload;
    size_t length = head->length;
    uint64_t sender = 0;
    struct ferry_message *message;
    ferry_request_t *request;
    int error;

    if (unlikely(head->flags & FERRY_PKT_SYNC)) {
        if (length < sizeof(sender))
            return -EPROTO;
        memcpy(&sender, data, sizeof(sender));
        data += sizeof(sender);
        length -= sizeof(sender);
    }
    ferry_count(&endpoint->core.received, length);
    request = take_posted(context, head->word);
    if (likely(request != NULL)) {
        error = store_packet(endpoint, request, 0, data, length);
        if (unlikely(error))
            return give_back(endpoint, request, length, error);
        note_copied(endpoint, request, length);
        ferry_recv_results(request, 0, head->word, length, endpoint->peer);
        if (unlikely(sender))
            ferry_answer(endpoint, FERRY_PKT_DONE, sender, NULL, 0);
        request->done(request);
        return 0;
    }
    message = message_new(endpoint, head->word, FERRY_MSG_WHOLE, length, length);
    if (!message)
        return -ENOMEM;
    memcpy(message->data, data, length);
    if (unlikely(arrived(endpoint))) {
        message_free(message);
        return give_back(endpoint, NULL, length, -EIO);
    }
    message->sender = sender;
    queue_unexpected(message);
    return 0;
}

/* Takes the next piece of the message that endpoint brings in pieces. */
static int add_piece(struct ferry_endpoint *endpoint, const void *data, size_t length)
{
    struct ferry_message *message = endpoint->core.assembly;
    int error;

    if (length > message->length - message->got)
        return -EPROTO;
    if (message->request) {
        error = store_packet(endpoint, message->request, message->got, data, length);
    } else {
        memcpy(message->data + message->got, data, length);
        error = arrived(endpoint);
    }
    if (unlikely(error))
        return error;
    message->got += length;
    if (message->got < message->length)
        return 0;
    endpoint->core.assembly = NULL;
    if (!message->request) {
        message->kind = FERRY_MSG_WHOLE;
        return 0;
    }
    answer_sync(message);
    note_copied(endpoint, message->request, message->length);
    ferry_recv_complete(message->request, 0);
    message_free(message);
    return 0;
}

int ferry_on_first(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                   const void *payload)
{
    struct ferry_message *message;
    ferry_request_t *request;
    uint64_t lead[2];
    int error;

    if (endpoint->core.assembly || head->length < sizeof(lead))
        return -EPROTO;
    memcpy(lead, payload, sizeof(lead));
    if (lead[0] > EAGER_LIMIT || head->length - sizeof(lead) > lead[0])
        return -EPROTO;
    ferry_count(&endpoint->core.received, lead[0]);
    ferry_count(&endpoint->transport->context->counts.piecewise, lead[0]);
    request = take_posted(endpoint->transport->context, head->word);
    message = message_new(endpoint, head->word, FERRY_MSG_PIECES, lead[0], request ? 0 : lead[0]);
    if (!message)
        return -ENOMEM;
    message->sender = head->flags & FERRY_PKT_SYNC ? lead[1] : 0;
    if (request)
        consume(message, request);
    else
        queue_unexpected(message);
    endpoint->core.assembly = message;
    error = add_piece(endpoint, (const uint8_t *) payload + sizeof(lead),
                      head->length - sizeof(lead));
    if (unlikely(error == -EIO || error == -ENOMEM)) {
        endpoint->core.assembly = NULL;
        if (!request)
            ferry_match_remove(&message->link);
        message_free(message);
        return give_back(endpoint, request, lead[0], error);
    }
    return error;
}

int ferry_on_next(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                  const void *payload)
{
    if (!endpoint->core.assembly)
        return -EPROTO;
    return add_piece(endpoint, payload, head->length);
}

int ferry_on_rts(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                 const void *payload)
{
    ferry_context_t *context = endpoint->transport->context;
    struct ferry_message *message;
    ferry_request_t *request;
    uint8_t descriptor[FERRY_DESCRIPTOR_MAX];
    struct ferry_rts rts;
    int result;

    if (head->length < sizeof(rts) ||
        head->length > sizeof(rts) + (endpoint->ops->read ? sizeof(descriptor) : 0))
        return -EPROTO;
    memcpy(&rts, payload, sizeof(rts));
    memcpy(descriptor, (const uint8_t *) payload + sizeof(rts), head->length - sizeof(rts));
    ferry_count(&endpoint->core.received, rts.length);
    request = take_posted(context, head->word);
    if (request) {
        result = ferry_offer_accept(endpoint,
                                    &(struct ferry_offer){head->word, rts.length, rts.handle,
                                                          rts.address, descriptor,
                                                          head->length - sizeof(rts)},
                                    request);
        if (result > 0)
            request->done(request);
        else if (result < 0)
            ferry_recv_complete(request, result);
        return 0;
    }
    message = ferry_offer_new(endpoint, head->word, &rts, descriptor, head->length - sizeof(rts));
    if (!message)
        return -ENOMEM;
    queue_unexpected(message);
    return 0;
}

int ferry_on_data(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                  const void *payload)
{
    struct ferry_recv_op *op = ferry_handle_find(endpoint->transport->context, FERRY_HANDLE_RECV,
                                                 head->word);
    int error;

    if (!op || op->endpoint != endpoint || head->length > op->want - op->got)
        return -EPROTO;
    error = store_packet(endpoint, ferry_request_of(op), op->got, payload, head->length);
    if (unlikely(error))
        return error;
    op->got += head->length;
    if (op->got == op->want) {
        note_copied(endpoint, ferry_request_of(op), op->want);
        ferry_recv_complete(ferry_request_of(op), 0);
    }
    return 0;
}

/* ---- Ends ---- */

void ferry_recv_peer_lost(ferry_peer_t *peer, int error)
{
    ferry_context_t *context = peer->context;
    struct ferry_message *pieces = peer->endpoint ? peer->endpoint->core.assembly : NULL;

    ferry_fetches_lose(context, peer, error);
    for (uint32_t i = 0; i < context->handles.count; i++) {
        uintptr_t tagged = (uintptr_t) context->handles.entries[i].object;
        struct ferry_recv_op *op = (struct ferry_recv_op *) (tagged - FERRY_HANDLE_RECV);

        if (tagged && (tagged & 7) == FERRY_HANDLE_RECV && op->endpoint->peer == peer)
            ferry_recv_complete(ferry_request_of(op), error);
    }
    if (pieces) {
        peer->endpoint->core.assembly = NULL;
        pieces->error = error;
        if (pieces->request) {
            ferry_recv_complete(pieces->request, error);
            message_free(pieces);
        }
    }
    for (struct ferry_link *link = context->match.all.next; link != &context->match.all;
         link = link->next) {
        struct ferry_message *message = ferry_container(
            ferry_container(link, struct ferry_unexpected, all), struct ferry_message, link);

        if (message->peer == peer && message->kind != FERRY_MSG_WHOLE)
            message->error = error;
    }
}

void ferry_recv_close(ferry_context_t *context)
{
    struct ferry_link *all = &context->match.all;

    while (!ferry_link_empty(all)) {
        struct ferry_unexpected *found = ferry_container(all->next, struct ferry_unexpected, all);

        ferry_match_remove(found);
        free(ferry_container(found, struct ferry_message, link));
    }
}
