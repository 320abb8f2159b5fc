/*
 * Two contexts in one process, joined by wires that a test holds in its hand: it can let packets
 * wait, refuse them, cut them, or put in its own.
 */
#ifndef FERRY_PAIR_H
#define FERRY_PAIR_H

#include "unit.h"

#include "config.h"
#include "internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct packet {
    struct packet *next;
    struct ferry_head head;
    uint8_t *payload; /* of exactly head.length bytes, so that a sanitizer sees one too many */
};

/* One end: what it sends waits here until the other side makes progress. */
struct wire {
    struct ferry_endpoint base;
    struct ferry_transport transport;
    struct wire *other;
    struct packet *first, **last;
    unsigned waiting, room; /* packets; room: refuses to hold more */
    uint32_t seq;
    unsigned deliver_max; /* packets taken in by one progress */
    long fetch_budget;    /* bytes that fetch() hands out before it fails; < 0: no end */
    bool fetch_later;     /* fetch() answers -EAGAIN */
    unsigned fetches;
};

struct pair {
    ferry_context_t *a, *b;
    ferry_peer_t *to_b, *to_a; /* b as seen from a, a as seen from b */
    struct wire wire_a, wire_b;
    unsigned lost; /* calls of peer_lost */
};

static inline struct wire *wire_of(struct ferry_endpoint *endpoint)
{
    return ferry_container(endpoint, struct wire, base);
}

static int wire_send(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                     const struct ferry_payload *payload)
{
    struct wire *wire = wire_of(endpoint);
    struct packet *packet;

    if (wire->waiting >= wire->room)
        return -EAGAIN;
    assert_int_equal(head->length, payload->lead_length + payload->length);
    assert_true(head->length <= endpoint->packet_max);
    packet = malloc(sizeof(*packet));
    *packet = (struct packet){.head = *head, .payload = malloc(head->length)};
    packet->head.seq = ++wire->seq;
    if (payload->lead_length)
        memcpy(packet->payload, payload->lead, payload->lead_length);
    if (payload->stream)
        payload->stream->pack((void *) payload->data, payload->offset,
                              packet->payload + payload->lead_length, payload->length);
    else if (payload->length)
        memcpy(packet->payload + payload->lead_length,
               (const char *) payload->data + payload->offset, payload->length);
    *wire->last = packet;
    wire->last = &packet->next;
    wire->waiting++;
    return 0;
}

static inline int wire_send_eager(struct ferry_endpoint *endpoint, uint64_t match, const void *data,
                                  uint32_t length)
{
    struct ferry_head head = {.type = FERRY_PKT_EAGER, .length = (uint16_t) length, .word = match};
    struct ferry_payload payload = {.data = data, .length = length};

    return wire_send(endpoint, &head, &payload);
}

static ssize_t wire_fetch(struct ferry_endpoint *endpoint, uint64_t address, void *to,
                          size_t length)
{
    struct wire *wire = wire_of(endpoint);

    wire->fetches++;
    if (wire->fetch_later)
        return -EAGAIN;
    if (wire->fetch_budget == 0)
        return -ENOTSUP;
    if (wire->fetch_budget > 0) {
        if (length > (size_t) wire->fetch_budget)
            length = (size_t) wire->fetch_budget;
        wire->fetch_budget -= (long) length;
    }
    memcpy(to, (const void *) (uintptr_t) address, length);
    return (ssize_t) length;
}

/* Takes the first packet out of what a wire holds, or NULL. */
static inline struct packet *wire_take(struct wire *wire)
{
    struct packet *packet = wire->first;

    if (!packet)
        return NULL;
    wire->first = packet->next;
    if (!wire->first)
        wire->last = &wire->first;
    wire->waiting--;
    return packet;
}

static inline void packet_free(struct packet *packet)
{
    free(packet->payload);
    free(packet);
}

static inline void wire_drop_all(struct wire *wire)
{
    struct packet *packet;

    while ((packet = wire_take(wire)))
        packet_free(packet);
}

static int wire_progress(struct ferry_transport *transport)
{
    struct wire *wire = ferry_container(transport, struct wire, transport);
    struct packet *packet;
    unsigned events = 0;
    int error;

    while (events < wire->deliver_max && !wire->base.core.lost &&
           (packet = wire_take(wire->other))) {
        error = ferry_core_receive(&wire->base, &packet->head, packet->payload);
        packet_free(packet);
        if (error)
            ferry_core_lost(&wire->base, error, "nonsense");
        events++;
    }
    return (int) events;
}

static inline bool wire_flushed(struct ferry_transport *transport)
{
    return !ferry_container(transport, struct wire, transport)->first;
}

static int wire_connect(struct ferry_transport *transport, ferry_peer_t *peer,
                        struct ferry_endpoint **endpoint)
{
    *endpoint = &ferry_container(transport, struct wire, transport)->base;
    return 0;
}

static void wire_close(struct ferry_transport *transport)
{
    wire_drop_all(ferry_container(transport, struct wire, transport));
}

static void wire_describe(struct ferry_transport *transport, ferry_peer_t *peer, char *text,
                          size_t room)
{
    snprintf(text, room, "wire");
}

static const struct ferry_transport_ops wire_ops = {
    .name = "wire",
    .close = wire_close,
    .connect = wire_connect,
    .send = wire_send,
    .send_eager = wire_send_eager,
    .fetch = wire_fetch,
    .progress = wire_progress,
    .flushed = wire_flushed,
    .describe = wire_describe,
};

static void wire_init(struct wire *wire, struct wire *other, ferry_context_t *context,
                      ferry_peer_t *peer)
{
    *wire = (struct wire){
        .base = {.ops = &wire_ops,
                 .transport = &wire->transport,
                 .peer = peer,
                 .packet_max = 1024,
                 .chunk = 256,
                 .eager_max = 2000,
                 .fetch_min = SIZE_MAX},
        .transport = {.ops = &wire_ops, .context = context},
        .other = other,
        .last = &wire->first,
        .room = 1000000,
        .deliver_max = 16,
        .fetch_budget = -1,
    };
    context->active[context->active_count++] = &wire->transport;
    peer->transport = &wire->transport;
    /* A transport makes the endpoint at the latest when the peer talks first. */
    assert_ptr_equal(ferry_core_endpoint(peer), &wire->base);
}

static void count_lost(void *user, ferry_peer_t *peer, int error, const char *why)
{
    struct pair *pair = user;

    assert_true(error < 0);
    assert_true(strlen(why) > 0);
    pair->lost++;
}

static void pair_open(struct pair *pair)
{
    ferry_params_t params = {.size = 2, .user = pair, .peer_lost = count_lost};

    /* No transport but the wires. */
    setenv("FERRY_TRANSPORTS", "fabric", 1);
    memset(pair, 0, sizeof(*pair));
    assert_int_equal(ferry_open(&params, &pair->a), 0);
    params.rank = 1;
    assert_int_equal(ferry_open(&params, &pair->b), 0);
    pair->wire_a.transport.context = pair->a;
    pair->wire_b.transport.context = pair->b;
    pair->to_b = ferry_core_stranger(&pair->wire_a.transport, ferry_core_nonce(pair->b));
    pair->to_a = ferry_core_stranger(&pair->wire_b.transport, ferry_core_nonce(pair->a));
    wire_init(&pair->wire_a, &pair->wire_b, pair->a, pair->to_b);
    wire_init(&pair->wire_b, &pair->wire_a, pair->b, pair->to_a);
}

static void pair_close(struct pair *pair)
{
    ferry_close(pair->a);
    ferry_close(pair->b);
}

/* What one test at a time works on. */
static struct pair pair;

static inline int pair_setup(void **state)
{
    (void) state;
    pair_open(&pair);
    return 0;
}

static inline int pair_teardown(void **state)
{
    (void) state;
    pair_close(&pair);
    return 0;
}

#define with_pair(test) cmocka_unit_test_setup_teardown(test, pair_setup, pair_teardown)

/* Progress on both sides until nothing moves any more. */
static inline void pair_run(struct pair *pair)
{
    unsigned quiet = 0;

    while (quiet < 3)
        if (ferry_progress(pair->a) + ferry_progress(pair->b))
            quiet = 0;
        else
            quiet++;
}

#endif
