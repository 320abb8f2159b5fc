/*
 * Contexts: their transports, and progress.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "auth.h"
#include "clock.h"
#include "config.h"
#include "internal.h"
#include "list.h"
#include "log.h"

/* How many messages one endpoint may finish before the others have their turn. */
#define PUSH_MAX 64

const struct ferry_transport_ops *const ferry_transports[] = {
    &ferry_shm_ops,
    &ferry_guests_ops,
#ifdef HAVE_LIBFABRIC
    &ferry_fabric_ops,
#ifdef HAVE_VERBS
    &ferry_verbs_ops,
#endif
#endif
    NULL,
};

/* ---- Opening and closing ---- */

static int open_transport(ferry_context_t *context, unsigned index)
{
    int error = ferry_transports[index]->open(context, &context->transports[index]);

    if (error)
        return error;
    context->active[context->active_count++] = context->transports[index];
    return 0;
}

enum { AT_ONCE, ON_DEMAND, RESERVE };

static bool belongs(const struct ferry_transport_ops *ops, int to)
{
    return ops->on_demand == (to != AT_ONCE) && (to != RESERVE || !ops->upon) &&
           ferry_list_has(ferry_config()->transports, ops->name);
}

/* The transports that FERRY_TRANSPORTS allows, of these. Returns how many are open. Errors: -ENOMEM. */
static int open_allowed(ferry_context_t *context, int which)
{
    int opened = 0;

    for (unsigned i = 0; ferry_transports[i]; i++) {
        int error;

        if (!belongs(ferry_transports[i], which))
            continue;
        error = context->transports[i] ? 0 : open_transport(context, i);
        if (error == -ENOMEM)
            return error;
        opened += !error;
    }
    return opened;
}

int ferry_open(const ferry_params_t *params, ferry_context_t **out)
{
    const struct ferry_config *config = ferry_config();
    ferry_context_t *context;

    if (!config)
        return -EINVAL;
    context = calloc(1, sizeof(*context));
    if (!context)
        return -ENOMEM;
    context->params = *params;
    ferry_log_set_rank((int) params->rank);
    ferry_random(context->nonce, sizeof(context->nonce));
    memcpy(context->job.key, params->key, FERRY_KEY_SIZE);
    ferry_key_id(params->key, context->job.id);
    ferry_match_init(&context->match, params->carried_bits);
    ferry_handles_init(&context->handles);
    ferry_rma_init(context);
    ferry_wait_init(context);
    if (open_allowed(context, AT_ONCE) == -ENOMEM) {
        ferry_close(context);
        return -ENOMEM;
    }
    *out = context;
    return 0;
}

int ferry_open_fabric(ferry_context_t *context)
{
    int opened = open_allowed(context, ON_DEMAND);

    if (opened)
        return opened < 0 ? opened : 0;
    ferry_log(FERRY_LOG_ERROR,
              "some processes share no memory, and there is no network transport: let "
              "FERRY_TRANSPORTS allow fabric (FERRY_LOG=info says more)");
    return -ENODEV;
}

int ferry_open_reserve(ferry_context_t *context)
{
    int opened = open_allowed(context, RESERVE);

    if (!opened)
        ferry_log(FERRY_LOG_INFO, "should the memory that processes share be taken from them, this "
                                  "job ends, for there is no network");
    return opened < 0 ? opened : 0;
}

static void report(ferry_context_t *context)
{
    char text[160];

    for (uint32_t i = 0; i < context->peer_count; i++) {
        ferry_peer_t *peer = context->peers[i];

        if (!peer->endpoint)
            continue;
        ferry_peer_describe(peer, text, sizeof(text));
        ferry_log(FERRY_LOG_ERROR, "peer %d: %s", peer->rank, text);
    }
}

/* Forgets what an endpoint still had to do. */
static void drop_work(struct ferry_endpoint *endpoint)
{
    struct ferry_pending *lists[2] = {endpoint->core.first, endpoint->core.streams};

    for (unsigned i = 0; i < 2; i++)
        for (struct ferry_pending *pending = lists[i], *next; pending; pending = next) {
            next = pending->next;
            ferry_pending_drop(pending);
        }
    if (endpoint->core.assembly && !endpoint->core.assembly->queued)
        free(endpoint->core.assembly);
}

/* Frees the headers of active messages that were offered and not called for. */
static void drop_offers(ferry_context_t *context)
{
    for (uint32_t i = 0; i < context->handles.count; i++) {
        uintptr_t tagged = (uintptr_t) context->handles.entries[i].object;
        struct ferry_send_op *op = (struct ferry_send_op *) (tagged - FERRY_HANDLE_SEND);

        if (tagged && (tagged & 7) == FERRY_HANDLE_SEND && op->pending.awaiting)
            free(op->header);
    }
}

void ferry_close(ferry_context_t *context)
{
    if (ferry_config()->report)
        report(context);
    for (uint32_t i = 0; i < context->peer_count; i++)
        for (struct ferry_endpoint *endpoint = context->peers[i]->endpoint; endpoint;
             endpoint = endpoint->lower)
            drop_work(endpoint);
    drop_offers(context);
    ferry_rma_close(context);
    ferry_recv_close(context);
    ferry_wait_close(context);
    for (unsigned i = 0; i < context->active_count; i++)
        context->active[i]->ops->close(context->active[i]);
    ferry_peers_free(context);
    ferry_handles_fini(&context->handles);
    free(context);
}

/* ---- Sending what waits ---- */

void ferry_endpoint_busy(struct ferry_endpoint *endpoint)
{
    ferry_context_t *context = endpoint->transport->context;

    if (endpoint->core.busy)
        return;
    endpoint->core.busy = true;
    endpoint->core.next_busy = context->busy;
    context->busy = endpoint;
    ferry_core_rouse(context);
}

int ferry_try(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    int result;

    if (endpoint->core.first)
        return -EAGAIN;
    result = pending->push(endpoint, pending);
    pending->awaiting = result == 0;
    return result;
}

void ferry_append(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    pending->next = NULL;
    if (endpoint->core.first)
        endpoint->core.last->next = pending;
    else
        endpoint->core.first = pending;
    endpoint->core.last = pending;
    endpoint->transport->context->counts.stalls++;
    ferry_endpoint_busy(endpoint);
}

int ferry_post(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    int result = ferry_try(endpoint, pending);

    if (result != -EAGAIN)
        return result;
    ferry_append(endpoint, pending);
    return 0;
}

void ferry_post_stream(struct ferry_endpoint *endpoint, struct ferry_pending *pending)
{
    struct ferry_pending **last = &endpoint->core.streams;

    while (*last)
        last = &(*last)->next;
    pending->next = NULL;
    *last = pending;
    ferry_endpoint_busy(endpoint);
}

/* Pushes what waits in order. Returns events, or the error by which the endpoint is lost. */
static int push_ordered(struct ferry_endpoint *endpoint)
{
    int events = 0;

    while (endpoint->core.first && events < PUSH_MAX) {
        struct ferry_pending *pending = endpoint->core.first;
        int result = pending->push(endpoint, pending);

        if (result == -EAGAIN)
            break;
        if (result < 0)
            return result;
        events++;
        endpoint->core.first = pending->next;
        pending->awaiting = result == 0;
        if (result)
            pending->finish(pending, 0);
    }
    return events;
}

/* Pushes the first of the long messages, and puts it behind the others. */
static int push_streams(struct ferry_endpoint *endpoint)
{
    struct ferry_pending *pending = endpoint->core.streams;
    int result;

    if (!pending)
        return 0;
    endpoint->core.streams = pending->next;
    result = pending->push(endpoint, pending);
    if (result == 1) {
        pending->finish(pending, 0);
        return 1;
    }
    ferry_post_stream(endpoint, pending);
    return result == -EAGAIN ? 0 : result;
}

static int push_busy(ferry_context_t *context)
{
    struct ferry_endpoint *endpoint = context->busy, *next;
    int events = 0;

    context->busy = NULL;
    for (; endpoint; endpoint = next) {
        int result = push_ordered(endpoint);

        next = endpoint->core.next_busy;
        endpoint->core.busy = false;
        if (result >= 0) {
            events += result;
            result = push_streams(endpoint);
        }
        if (result < 0)
            ferry_core_lost(endpoint, result, "sending failed");
        else
            events += result;
        if (endpoint->core.first || endpoint->core.streams)
            ferry_endpoint_busy(endpoint);
    }
    return events;
}

/* ---- Progress ---- */

/* One look at everything. */
static inline int look(ferry_context_t *context, bool waits)
{
    int events = 0;

    for (unsigned i = 0; i < context->active_count; i++)
        events += context->active[i]->ops->progress(context->active[i]);
    if (unlikely(context->busy != NULL))
        events += push_busy(context);
    if (unlikely(context->fetching != NULL))
        events += ferry_fetch_progress(context);
    if (!events) {
        /* A program may look for messages all the time, and does not want to feel it. */
        if (++context->idle % FERRY_POLLS == 0 || context->wait.crowded ||
            (waits && context->wait.resting))
            ferry_idle(context, waits);
        return 0;
    }
    context->idle = 0;
    if (unlikely(context->wait.sleepers))
        ferry_core_rouse(context); /* what came may be for them */
    return events;
}

int ferry_progress(ferry_context_t *context)
{
    return look(context, false);
}

int ferry_await(ferry_context_t *context)
{
    return look(context, true);
}

int ferry_poll(ferry_context_t *context)
{
    ferry_acts(context);
    ferry_pass(context);
    return look(context, false);
}

void ferry_core_await(ferry_context_t *context, bool (*is_there)(void *arg), void *arg)
{
    ferry_acts(context);
    ferry_wait_for(is_there, arg);
    while (!is_there(arg)) {
        look(context, true);
        if (context->params.unlock && context->params.unlock(context->params.user)) {
            sched_yield();
            context->params.lock(context->params.user);
        }
    }
    ferry_wait_for(NULL, NULL);
    ferry_acts(context);
}

int ferry_wait(ferry_context_t *context, uint64_t microseconds)
{
    uint64_t end = ferry_now_ns() + microseconds * 1000;
    int events;

    context->wait.until_ns = end;
    do
        events = look(context, true);
    while (!events && ferry_now_ns() < end);
    context->wait.until_ns = 0;
    return events;
}

static bool flushed(ferry_context_t *context)
{
    if (context->busy)
        return false;
    for (unsigned i = 0; i < context->active_count; i++) {
        struct ferry_transport *transport = context->active[i];

        if (transport->ops->flushed && !transport->ops->flushed(transport))
            return false;
    }
    return true;
}

int ferry_flush(ferry_context_t *context, uint64_t microseconds)
{
    uint64_t end = ferry_now_ns() + microseconds * 1000;

    context->wait.until_ns = end;
    while (!flushed(context) && ferry_now_ns() < end)
        look(context, true);
    context->wait.until_ns = 0;
    return flushed(context) ? 0 : -ETIMEDOUT;
}

/* ---- What transports call ---- */

int ferry_core_receive(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                       const void *payload)
{
    if (unlikely(endpoint->core.lost))
        return -EPROTO;
    switch (head->type) {
    case FERRY_PKT_EAGER:
        return ferry_on_eager(endpoint, head, payload);
    case FERRY_PKT_FIRST:
        return ferry_on_first(endpoint, head, payload);
    case FERRY_PKT_NEXT:
        return ferry_on_next(endpoint, head, payload);
    case FERRY_PKT_RTS:
        return ferry_on_rts(endpoint, head, payload);
    case FERRY_PKT_CTS:
        return ferry_on_cts(endpoint, head, payload);
    case FERRY_PKT_DATA:
        return ferry_on_data(endpoint, head, payload);
    case FERRY_PKT_DONE:
        return ferry_on_done(endpoint, head);
    case FERRY_PKT_AM:
        return ferry_on_am(endpoint, head, payload);
    case FERRY_PKT_AM_RTS:
        return ferry_on_am_rts(endpoint, head, payload);
    default:
        return -EPROTO;
    }
}

int ferry_core_receive_carried(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                               const void *payload)
{
    struct ferry_endpoint *upper = endpoint->upper;

    if (!upper)
        return ferry_core_receive(endpoint, head, payload);
    return upper->core.lost ? -EPROTO : upper->ops->carried(upper, head, payload);
}

int ferry_core_tell(struct ferry_endpoint *lower, uint64_t word, const void *payload, size_t length)
{
    return ferry_answer(lower, FERRY_PKT_UPPER, word, payload, length);
}

int ferry_core_forward(struct ferry_endpoint *lower, const struct ferry_head *head,
                       const void *payload)
{
    return ferry_answer_as(lower, head, payload);
}

int ferry_core_answer(struct ferry_endpoint *endpoint, uint64_t word, const void *payload,
                      size_t length)
{
    return ferry_answer(endpoint, FERRY_PKT_TRANSPORT, word, payload, length);
}

/* Ends all that is to be sent to a lost endpoint. */
static void fail_sends(struct ferry_endpoint *endpoint, int error)
{
    ferry_context_t *context = endpoint->transport->context;
    struct ferry_pending *lists[2] = {endpoint->core.first, endpoint->core.streams};

    endpoint->core.first = endpoint->core.streams = NULL;
    for (unsigned i = 0; i < 2; i++)
        for (struct ferry_pending *pending = lists[i], *next; pending; pending = next) {
            next = pending->next;
            pending->finish(pending, error);
        }
    for (uint32_t i = 0; i < context->handles.count; i++) {
        uintptr_t tagged = (uintptr_t) context->handles.entries[i].object;
        struct ferry_send_op *op = (struct ferry_send_op *) (tagged - FERRY_HANDLE_SEND);

        if (tagged && (tagged & 7) == FERRY_HANDLE_SEND && op->endpoint == endpoint)
            ferry_send_finish(&op->pending, error);
    }
}

void ferry_core_peer_lost(ferry_peer_t *peer, int error, const char *why)
{
    ferry_context_t *context = peer->context;

    if (peer->said)
        return;
    peer->error = error;
    peer->said = true;
    if (peer->endpoint) {
        peer->endpoint->core.lost = true;
        if (peer->endpoint->ops->lost)
            peer->endpoint->ops->lost(peer->endpoint);
        fail_sends(peer->endpoint, error);
        if (peer->endpoint->lower) {
            peer->endpoint->lower->core.lost = true;
            fail_sends(peer->endpoint->lower, error);
        }
    }
    ferry_recv_peer_lost(peer, error);
    ferry_rma_peer_lost(peer, error);
    if (context->params.peer_lost)
        context->params.peer_lost(context->params.user, peer, error, why);
    else
        ferry_log(FERRY_LOG_ERROR, "peer %d is lost: %s", peer->rank, why);
}

void ferry_core_lost(struct ferry_endpoint *endpoint, int error, const char *why)
{
    ferry_core_peer_lost(endpoint->peer, error, why);
}

void *ferry_alloc(ferry_context_t *context, size_t length)
{
    void *memory = NULL;

    for (unsigned i = 0; i < context->active_count && !memory; i++)
        if (context->active[i]->ops->take_memory)
            memory = context->active[i]->ops->take_memory(context->active[i], length);
    return memory;
}

bool ferry_free(ferry_context_t *context, void *memory)
{
    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->ops->give_memory &&
            context->active[i]->ops->give_memory(context->active[i], memory))
            return true;
    return false;
}

struct ferry_counts *ferry_core_counts(ferry_context_t *context)
{
    return &context->counts;
}

const ferry_params_t *ferry_core_params(ferry_context_t *context)
{
    return &context->params;
}

struct ferry_transport *ferry_core_transport(ferry_context_t *context,
                                             const struct ferry_transport_ops *ops)
{
    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->ops == ops)
            return context->active[i];
    return NULL;
}

const uint8_t *ferry_core_nonce(ferry_context_t *context)
{
    return context->nonce;
}
