/*
 * Gets and puts on memory that a peer exported, over active messages of libferry's own.
 */
#include <errno.h>
#include <stdlib.h>

#include "internal.h"

struct ferry_memory {
    ferry_context_t *context;
    uint8_t *base;
    size_t length;
    uint64_t handle;
};

/* What a peer asks for; its answer names the asker's operation. */
struct rma_ask {
    uint64_t memory; /* handle at the target */
    uint64_t offset, length;
    uint64_t operation; /* handle at the asker */
};

struct rma_answer {
    uint64_t operation;
    int64_t status;
};

/* An operation of ours that waits for its answer. */
struct rma_op {
    ferry_request_t send; /* of a put's data */
    ferry_request_t *user;
    ferry_peer_t *peer;
    void *buffer;
    size_t length;
    uint64_t handle;
    int status;
    bool sending, answered;
};

/* ---- Exporting ---- */

int ferry_memory_export(ferry_context_t *context, void *base, size_t length, ferry_memory_t **out)
{
    ferry_memory_t *memory = malloc(sizeof(*memory));

    if (!memory)
        return -ENOMEM;
    *memory = (ferry_memory_t){.context = context, .base = base, .length = length};
    memory->handle = ferry_handle_make(context, FERRY_HANDLE_MEMORY, memory);
    if (!memory->handle) {
        free(memory);
        return -ENOMEM;
    }
    *out = memory;
    return 0;
}

void ferry_memory_close(ferry_memory_t *memory)
{
    ferry_handle_free(&memory->context->handles, memory->handle);
    free(memory);
}

int ferry_memory_key(ferry_memory_t *memory, void *key)
{
    memcpy(key, &memory->handle, sizeof(memory->handle));
    return sizeof(memory->handle);
}

/* ---- Asking ---- */

static void end(struct rma_op *op, int status)
{
    ferry_request_t *user = op->user;

    ferry_handle_free(&op->peer->context->handles, op->handle);
    free(op);
    user->status = status;
    user->done(user);
}

static void end_if_both(struct rma_op *op)
{
    if (!op->sending && op->answered)
        end(op, op->status);
}

static void put_sent(ferry_request_t *send)
{
    struct rma_op *op = ferry_container(send, struct rma_op, send);

    op->sending = false;
    if (send->status && !op->answered) {
        op->answered = true;
        op->status = send->status;
    }
    end_if_both(op);
}

static struct rma_op *new_op(ferry_peer_t *peer, void *buffer, size_t length, ferry_request_t *user)
{
    struct rma_op *op = calloc(1, sizeof(*op));

    if (!op)
        return NULL;
    op->send.done = put_sent;
    op->user = user;
    op->peer = peer;
    op->buffer = buffer;
    op->length = length;
    op->handle = ferry_handle_make(peer->context, FERRY_HANDLE_RMA, op);
    if (!op->handle) {
        free(op);
        return NULL;
    }
    return op;
}

static int ask(unsigned id, ferry_peer_t *peer, const void *key, uint64_t offset, const void *data,
               struct rma_op *op)
{
    struct rma_ask ask = {.offset = offset, .length = op->length, .operation = op->handle};
    struct ferry_endpoint *endpoint = ferry_peer_endpoint(peer);
    int result;

    memcpy(&ask.memory, key, sizeof(ask.memory));
    if (!endpoint)
        result = peer->error;
    else
        result = ferry_am_send(peer, id, &ask, sizeof(ask), data, data ? op->length : 0, &op->send);
    op->sending = result == 0 && data;
    if (result < 0) {
        ferry_handle_free(&peer->context->handles, op->handle);
        free(op);
        return result;
    }
    return 0;
}

int ferry_get(ferry_peer_t *peer, const void *key, uint64_t offset, void *buffer, size_t length,
              ferry_request_t *request)
{
    struct rma_op *op;

    if (length == 0)
        return 1;
    op = new_op(peer, buffer, length, request);
    return op ? ask(FERRY_AM_GET, peer, key, offset, NULL, op) : -ENOMEM;
}

int ferry_put(ferry_peer_t *peer, const void *key, uint64_t offset, const void *buffer,
              size_t length, ferry_request_t *request)
{
    struct rma_op *op;

    if (length == 0)
        return 1;
    op = new_op(peer, NULL, length, request);
    if (!op)
        return -ENOMEM;
    op->send.stream = request->stream;
    return ask(FERRY_AM_PUT, peer, key, offset, buffer, op);
}

static struct rma_op *find_op(ferry_peer_t *peer, const void *header, size_t header_length,
                              struct rma_answer *answer)
{
    struct rma_op *op;

    if (header_length != sizeof(*answer))
        return NULL;
    memcpy(answer, header, sizeof(*answer));
    op = ferry_handle_find(peer->context, FERRY_HANDLE_RMA, answer->operation);
    return op && op->peer == peer ? op : NULL;
}

static void got(ferry_request_t *receive)
{
    end(ferry_container(receive, struct rma_op, send), receive->status);
}

static void on_get_reply(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                         const void *data, size_t length, ferry_message_t *message)
{
    struct rma_answer answer;
    struct rma_op *op = find_op(peer, header, header_length, &answer);
    ferry_request_t *receive;
    int result;

    (void) user;
    if (!op || !op->buffer || op->answered || (!answer.status && length != op->length)) {
        free(message);
        return;
    }
    op->answered = true;
    if (answer.status || !message) {
        if (!answer.status)
            memcpy(op->buffer, data, length);
        end(op, answer.status ? -EFAULT : 0);
        return;
    }
    receive = &op->send;
    receive->done = got;
    result = ferry_message_recv(message, op->buffer, op->length, receive);
    if (result)
        end(op, result < 0 ? result : receive->status);
}

static void on_put_reply(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                         const void *data, size_t length, ferry_message_t *message)
{
    struct rma_answer answer;
    struct rma_op *op = find_op(peer, header, header_length, &answer);

    (void) user;
    (void) data;
    (void) length;
    free(message);
    if (!op || op->answered)
        return;
    op->answered = true;
    op->status = answer.status ? -EFAULT : 0;
    end_if_both(op);
}

/* ---- Serving ---- */

/* Part of somebody's put or get that is under way here. */
struct service {
    struct ferry_link link;
    ferry_request_t request;
    ferry_peer_t *peer;
    struct rma_answer answer;
};

static struct service *service_new(ferry_peer_t *peer, ferry_done_fn done)
{
    struct service *service = calloc(1, sizeof(*service));

    if (!service)
        return NULL;
    service->request.done = done;
    service->peer = peer;
    ferry_link_append(&peer->context->services, &service->link);
    return service;
}

static void service_free(struct service *service)
{
    ferry_link_remove(&service->link);
    free(service);
}

static uint8_t *place_of(ferry_peer_t *peer, const struct rma_ask *ask)
{
    ferry_memory_t *memory = ferry_handle_find(peer->context, FERRY_HANDLE_MEMORY, ask->memory);

    if (!memory || ask->offset > memory->length || ask->length > memory->length - ask->offset)
        return NULL;
    return memory->base + ask->offset;
}

static void served_get(ferry_request_t *request)
{
    service_free(ferry_container(request, struct service, request));
}

static void on_get(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                   const void *data, size_t length, ferry_message_t *message)
{
    struct service *service;
    struct rma_answer answer;
    struct rma_ask ask;
    uint8_t *place;
    int result;

    (void) user;
    (void) data;
    (void) length;
    free(message);
    if (header_length != sizeof(ask))
        return;
    memcpy(&ask, header, sizeof(ask));
    place = place_of(peer, &ask);
    answer = (struct rma_answer){.operation = ask.operation};
    service = place ? service_new(peer, served_get) : NULL;
    if (!service) {
        answer.status = -EFAULT;
        ferry_am_send(peer, FERRY_AM_GET_REPLY, &answer, sizeof(answer), NULL, 0, NULL);
        return;
    }
    result = ferry_am_send(peer, FERRY_AM_GET_REPLY, &answer, sizeof(answer), place, ask.length,
                           &service->request);
    if (result)
        service_free(service);
}

static void answer_put(ferry_peer_t *peer, struct rma_answer *answer)
{
    ferry_am_send(peer, FERRY_AM_PUT_REPLY, answer, sizeof(*answer), NULL, 0, NULL);
}

static void served_put(ferry_request_t *request)
{
    struct service *service = ferry_container(request, struct service, request);

    if (!service->answer.status)
        service->answer.status = request->status;
    answer_put(service->peer, &service->answer);
    service_free(service);
}

static void on_put(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                   const void *data, size_t length, ferry_message_t *message)
{
    struct service *service;
    struct rma_ask ask;
    uint8_t *place;

    (void) user;
    if (header_length != sizeof(ask)) {
        free(message);
        return;
    }
    memcpy(&ask, header, sizeof(ask));
    place = ask.length == length ? place_of(peer, &ask) : NULL;
    if (!message) {
        struct rma_answer answer = {.operation = ask.operation, .status = place ? 0 : -EFAULT};

        if (place)
            memcpy(place, data, length);
        answer_put(peer, &answer);
        return;
    }
    service = service_new(peer, served_put);
    if (!service) {
        free(message);
        return;
    }
    service->answer = (struct rma_answer){.operation = ask.operation,
                                          .status = place ? 0 : -EFAULT};
    if (ferry_message_recv(message, place, place ? length : 0, &service->request))
        served_put(&service->request);
}

void ferry_rma_init(ferry_context_t *context)
{
    ferry_link_init(&context->services);
    context->handlers[FERRY_AM_GET] = on_get;
    context->handlers[FERRY_AM_GET_REPLY] = on_get_reply;
    context->handlers[FERRY_AM_PUT] = on_put;
    context->handlers[FERRY_AM_PUT_REPLY] = on_put_reply;
}

void ferry_rma_close(ferry_context_t *context)
{
    for (uint32_t i = 0; i < context->handles.count; i++) {
        uintptr_t tagged = (uintptr_t) context->handles.entries[i].object;

        if (tagged && (tagged & 7) == FERRY_HANDLE_RMA)
            free((void *) (tagged - FERRY_HANDLE_RMA));
    }
    while (!ferry_link_empty(&context->services))
        service_free(ferry_container(context->services.next, struct service, link));
}

void ferry_rma_peer_lost(ferry_peer_t *peer, int error)
{
    ferry_context_t *context = peer->context;

    for (uint32_t i = 0; i < context->handles.count; i++) {
        uintptr_t tagged = (uintptr_t) context->handles.entries[i].object;
        struct rma_op *op = (struct rma_op *) (tagged - FERRY_HANDLE_RMA);

        if (tagged && (tagged & 7) == FERRY_HANDLE_RMA && op->peer == peer)
            end(op, error);
    }
}
