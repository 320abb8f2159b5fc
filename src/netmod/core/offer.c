/*
 * Offers that a receive takes: the way by which the message comes.
 */
#include <errno.h>

#include "clock.h"
#include "internal.h"

/* How often progress looks whether a sender that offered a message is about to answer. A sender that
 * polls shows it at each poll; this many of ours take some microseconds. */
#define PATIENCE 64

/* Bytes that are fetched in a microsecond, more or less: 10 GB/s. */
#define FETCHED_IN_US 10000u

/* How much is fetched before other work has its turn, bytes. */
#define FETCH_SLICE ((size_t) 1 << 20)

/* Calls for the rest of an offered message. */
static int call_for(ferry_request_t *request)
{
    struct ferry_recv_op *op = ferry_op(request, struct ferry_recv_op);
    struct ferry_cts cts = {.offset = op->got, .length = op->want - op->got};
    int error;

    op->handle = ferry_handle_make(op->endpoint->transport->context, FERRY_HANDLE_RECV, op);
    if (!op->handle)
        return -ENOMEM;
    cts.handle = op->handle;
    error = ferry_answer(op->endpoint, FERRY_PKT_CTS, op->sender, &cts, sizeof(cts));
    if (error) {
        ferry_handle_free(&request->peer->context->handles, op->handle);
        op->handle = 0;
    } else {
        ferry_count(&op->endpoint->transport->context->counts.piecewise, cts.length);
    }
    return error;
}

void ferry_core_read_done(void *op_, int error)
{
    struct ferry_recv_op *op = op_;
    ferry_request_t *request = ferry_request_of(op);

    if (op->endpoint->core.lost) {
        error = op->endpoint->peer->error;
    } else if (!error) {
        op->got = op->want;
        error = ferry_answer(op->endpoint, FERRY_PKT_DONE, op->sender, NULL, 0);
    } else {
        error = call_for(request);
        if (!error)
            return;
    }
    ferry_recv_complete(request, error);
}

static void fetch_later(ferry_context_t *context, struct ferry_recv_op *op)
{
    op->next_fetch = NULL;
    if (context->fetching)
        context->last_fetch->next_fetch = op;
    else
        context->fetching = op;
    context->last_fetch = op;
    ferry_core_rouse(context);
}

/* Lets the adapter read it, or reads it where it lies, where both buffers suit. */
static bool begin_read(struct ferry_recv_op *op, const struct ferry_offer *offer)
{
    struct ferry_endpoint *endpoint = op->endpoint;
    struct ferry_counts *counts = &endpoint->transport->context->counts;

    if (!offer->descriptor_length || !endpoint->ops->read || ferry_request_of(op)->stream ||
        endpoint->ops->read(endpoint, offer->descriptor, offer->descriptor_length, op->buffer,
                            op->want, op))
        return false;
    ferry_count(endpoint->ops->near ? &counts->read_in_place : &counts->read, op->want);
    return true;
}

/* Begins to receive an offered message: here the way is chosen that it takes. Returns as a posting call does. */
int ferry_offer_accept(struct ferry_endpoint *endpoint, const struct ferry_offer *offer,
                       ferry_request_t *request)
{
    struct ferry_recv_op *op = ferry_op(request, struct ferry_recv_op);
    uint64_t match = offer->match, length = offer->length;
    bool is_own;
    int error;

    request->match = match;
    request->peer = endpoint->peer;
    request->length = length;
    op->endpoint = endpoint;
    op->sender = offer->sender;
    op->address = offer->address;
    op->want = length < op->room ? length : op->room;
    op->got = 0;
    op->handle = 0;
    op->until_us = 0;
    if (endpoint->core.lost)
        return endpoint->peer->error;
    if (op->want == 0) {
        ferry_recv_results(request, 0, match, length, endpoint->peer);
        error = ferry_answer(endpoint, FERRY_PKT_DONE, op->sender, NULL, 0);
        return error ? error : 1;
    }
    is_own = ferry_peer_is_self(endpoint->peer);
    if (!is_own && begin_read(op, offer))
        return 0;
    if (op->address && !request->stream &&
        (is_own || (endpoint->ops->fetch && op->want >= endpoint->fetch_min))) {
        bool waits = !is_own && !endpoint->fetch_always && endpoint->ops->beats;

        op->patience = waits ? PATIENCE + 1 : 0;
        op->beats = op->patience ? endpoint->ops->beats(endpoint) : 0;
        fetch_later(endpoint->transport->context, op);
        return 0;
    }
    return call_for(request);
}

/* ---- Fetching ---- */

/* Whether to call for the message, or the rest of it, since its sender is there to stream it: quicker, as both copy. One look
 * at its messages while it was waited for shows that; while a part was fetched as many as a sender that polls makes. */
static bool sender_attends(struct ferry_recv_op *op)
{
    uint32_t beats = op->patience ? op->endpoint->ops->beats(op->endpoint) - op->beats : 0;

    return beats >= (op->got ? PATIENCE : 1);
}

/* Whether to wait still for a sender that has not shown itself: some polls; where it is to take messages from here, too, it is
 * likely to be at that, so then for as long as fetching would take. */
static bool waits_on(struct ferry_recv_op *op)
{
    struct ferry_endpoint *endpoint = op->endpoint;
    uint32_t now;

    if (op->patience > 1) {
        op->patience--;
        return true;
    }
    if (!endpoint->core.offers)
        return false;
    now = (uint32_t) (ferry_now_ns() / 1000);
    if (!op->until_us)
        op->until_us = (now + (uint32_t) (op->want / FETCHED_IN_US)) | 1;
    return (int32_t) (now - op->until_us) < 0;
}

/* A message of this process to itself. It says again where it lies, for the offer came through memory that others write. */
static ssize_t copy_own(const struct ferry_recv_op *op, size_t length)
{
    const struct ferry_send_op *from = ferry_handle_find(op->endpoint->transport->context,
                                                         FERRY_HANDLE_SEND, op->sender);

    if (!from || from->endpoint != op->endpoint || ferry_request_of(from)->stream ||
        op->want > from->length)
        return -ENOTSUP;
    memcpy((char *) op->buffer + op->got, (const char *) from->buffer + op->got, length);
    return (ssize_t) length;
}

static ssize_t fetch(struct ferry_recv_op *op)
{
    struct ferry_endpoint *endpoint = op->endpoint;
    size_t length = op->want - op->got;

    if (length > FETCH_SLICE)
        length = FETCH_SLICE;
    if (ferry_peer_is_self(endpoint->peer))
        return copy_own(op, length);
    return endpoint->ops->fetch(endpoint, op->address + op->got, (char *) op->buffer + op->got,
                                length);
}

/* Calls for what is missing, or tells the sender that nothing is. */
static int finish_fetch(struct ferry_recv_op *op)
{
    ferry_request_t *request = ferry_request_of(op);
    int error = op->got < op->want
                    ? call_for(request)
                    : ferry_answer(op->endpoint, FERRY_PKT_DONE, op->sender, NULL, 0);

    if (error || op->got == op->want)
        ferry_recv_complete(request, error);
    return 1;
}

/* Returns 1: some bytes or an end, 0: not yet. *finished: op is off the list. */
static int fetch_some(struct ferry_recv_op *op, bool *finished)
{
    struct ferry_endpoint *endpoint = op->endpoint;
    ssize_t got;

    *finished = sender_attends(op);
    if (*finished)
        return finish_fetch(op);
    if (op->patience && waits_on(op))
        return 0;
    if (op->patience)
        op->beats = endpoint->ops->beats(endpoint);
    got = fetch(op);
    if (got == -EAGAIN)
        return 0;
    if (got > 0)
        op->got += (size_t) got;
    *finished = got < 0 || op->got == op->want;
    return *finished ? finish_fetch(op) : 1;
}

int ferry_fetch_progress(ferry_context_t *context)
{
    struct ferry_recv_op *todo = context->fetching, *next;
    int events = 0;

    context->fetching = NULL;
    for (; todo; todo = next) {
        bool finished;

        next = todo->next_fetch;
        events += fetch_some(todo, &finished);
        if (!finished)
            fetch_later(context, todo);
    }
    return events;
}

void ferry_fetches_lose(ferry_context_t *context, ferry_peer_t *peer, int error)
{
    struct ferry_recv_op *todo = context->fetching, *next;

    context->fetching = NULL;
    for (; todo; todo = next) {
        next = todo->next_fetch;
        if (todo->endpoint->peer == peer)
            ferry_recv_complete(ferry_request_of(todo), error);
        else
            fetch_later(context, todo);
    }
}
