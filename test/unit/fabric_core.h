/*
 * A core that only counts, for tests of the transport over libfabric: contexts, of this process and of
 * others, that send each other packets of which all know what must be in them.
 */
#ifndef FERRY_TEST_FABRIC_CORE_H
#define FERRY_TEST_FABRIC_CORE_H

#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "auth.h"
#include "clock.h"
#include "fabric/greet.h"
#include "fabric/sites.h"
#include "transport.h"

#define SECOND 1000000000ull
#define PEERS_MAX 8
#define PACKET 32768
#define NONSENSE UINT64_MAX

/* ---- A core that only counts ---- */

struct ferry_peer {
    ferry_context_t *context;
    struct ferry_endpoint *endpoint;
    uint8_t nonce[16], key[16];
    int rank;
    void *slot;
    bool lost;
    int error;
    char why[256];
    uint64_t got, sent; /* packets */
};

struct ferry_context {
    ferry_params_t params;
    uint8_t nonce[16], invitation[16];
    struct ferry_transport *transport;
    struct ferry_peer peers[PEERS_MAX];
    int peer_count, strangers;
    uint64_t housekeeping_ns;
};

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 33) * 0xff51afd7ed558ccdull;
    value = (value ^ value >> 33) * 0xc4ceb9fe1a85ec53ull;
    return value ^ value >> 33;
}

static uint32_t packets_are; /* all as long as this; 0: of many lengths */

/* The nth packet of a process is known to all: its length, and its bytes. */
static uint32_t packet_length(const uint8_t nonce[16], uint64_t n)
{
    uint64_t value = mix(n + ((uint64_t) nonce[0] << 32));

    if (packets_are)
        return packets_are;
    return value % 8 ? (uint32_t) (value >> 8) % 300 : (uint32_t) (value >> 8) % (PACKET + 1);
}

static uint64_t packet_seed(const uint8_t nonce[16], uint64_t n)
{
    return mix(n * 256 + nonce[0] + 1);
}

static void fill_packet(uint8_t *to, uint64_t seed, size_t offset, size_t length)
{
    for (size_t i = 0; i < length; i++)
        to[i] = (uint8_t) (seed + (offset + i) * 7 + (offset + i) / 256);
}

int ferry_core_receive(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                       const void *payload)
{
    struct ferry_peer *peer = endpoint->peer;
    uint64_t seed = packet_seed(peer->nonce, peer->got);
    const uint8_t *bytes = payload;

    assert_false(peer->lost);
    if (head->word == NONSENSE)
        return -EPROTO;
    assert_int_equal(head->word, peer->got);
    assert_int_equal(head->type, FERRY_PKT_EAGER);
    assert_int_equal(head->length, packet_length(peer->nonce, peer->got));
    for (size_t i = 0; i < head->length; i++)
        if (bytes[i] != (uint8_t) (seed + i * 7 + i / 256))
            fail_msg("packet %lu differs at byte %zu", (unsigned long) peer->got, i);
    peer->got++;
    return 0;
}

int ferry_core_receive_carried(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                               const void *payload)
{
    return ferry_core_receive(endpoint, head, payload);
}

void ferry_core_lost(struct ferry_endpoint *endpoint, int error, const char *why)
{
    assert_false(endpoint->peer->lost);
    assert_true(error < 0);
    endpoint->peer->lost = true;
    endpoint->peer->error = error;
    snprintf(endpoint->peer->why, sizeof(endpoint->peer->why), "%s", why);
    endpoint->ops->lost(endpoint);
}

/* What reads is an int: 0 until it has ended, then 1 or an error. */
void ferry_core_read_done(void *op, int error)
{
    assert_int_equal(*(int *) op, 0);
    *(int *) op = error ? error : 1;
}

struct ferry_endpoint *ferry_core_own_endpoint(struct ferry_transport *transport,
                                               ferry_peer_t *peer)
{
    struct ferry_endpoint *endpoint = ferry_core_endpoint(peer);

    return endpoint && endpoint->transport == transport ? endpoint : NULL;
}

struct ferry_endpoint *ferry_core_endpoint(ferry_peer_t *peer)
{
    struct ferry_transport *transport = peer->context->transport;

    if (!peer->endpoint && !peer->lost)
        assert_int_equal(transport->ops->connect(transport, peer, &peer->endpoint), 0);
    return peer->lost ? NULL : peer->endpoint;
}

const ferry_params_t *ferry_core_params(ferry_context_t *context)
{
    return &context->params;
}

const uint8_t *ferry_core_nonce(ferry_context_t *context)
{
    return context->nonce;
}

const uint8_t *ferry_peer_nonce(ferry_peer_t *peer)
{
    return peer->nonce;
}

int ferry_peer_rank(ferry_peer_t *peer)
{
    return peer->rank;
}

void **ferry_peer_slot(ferry_peer_t *peer)
{
    return &peer->slot;
}

const uint8_t *ferry_peer_key(ferry_peer_t *peer)
{
    return peer->key;
}

const uint8_t *ferry_core_find_key(ferry_context_t *context, const uint8_t id[8])
{
    uint8_t own[8];

    ferry_key_id(context->params.key, own);
    if (!memcmp(own, id, 8))
        return context->params.key;
    ferry_key_id(context->invitation, own);
    return memcmp(own, id, 8) ? NULL : context->invitation;
}

static struct ferry_peer *new_peer(ferry_context_t *context, const uint8_t nonce[16],
                                   const uint8_t key[16])
{
    struct ferry_peer *peer = &context->peers[context->peer_count];

    assert_true(context->peer_count < PEERS_MAX);
    *peer = (struct ferry_peer){.context = context, .rank = context->peer_count++};
    memcpy(peer->nonce, nonce, 16);
    memcpy(peer->key, key, 16);
    return peer;
}

ferry_peer_t *ferry_core_stranger(struct ferry_transport *transport, const uint8_t nonce[16])
{
    ferry_context_t *context = transport->context;

    context->strangers++;
    return new_peer(context, nonce, context->params.key);
}

ferry_peer_t *ferry_core_find_peer(ferry_context_t *context, const uint8_t nonce[16])
{
    for (int i = 0; i < context->peer_count; i++)
        if (!memcmp(context->peers[i].nonce, nonce, 16))
            return &context->peers[i];
    return NULL;
}

int ferry_core_watch(ferry_context_t *context, int fd)
{
    (void) context;
    (void) fd;
    return 0;
}

void ferry_core_has_called(ferry_context_t *context)
{
    (void) context;
}

void ferry_core_rouse(ferry_context_t *context)
{
    (void) context;
}

int ferry_core_answer(struct ferry_endpoint *endpoint, uint64_t word, const void *payload,
                      size_t length)
{
    struct ferry_head head = {
        .type = FERRY_PKT_TRANSPORT, .word = word, .length = (uint16_t) length};
    struct ferry_payload data = {.lead = payload, .lead_length = length};

    assert_int_equal(endpoint->ops->send(endpoint, &head, &data), 0);
    return 0;
}

/* ---- Contexts ---- */

static const uint8_t job_key[16] = "the job's secret";

static struct ferry_context *context_new(uint8_t nonce, const uint8_t key[16])
{
    struct ferry_context *context = calloc(1, sizeof(*context));

    assert_non_null(context);
    memcpy(context->params.key, key, 16);
    memset(context->nonce, nonce, 16);
    ferry_random(context->invitation, 16);
    assert_int_equal(ferry_fabric_ops.open(context, &context->transport), 0);
    return context;
}

static void context_free(struct ferry_context *context)
{
    ferry_fabric_ops.close(context->transport);
    free(context);
}

static struct ferry_peer *add(struct ferry_context *context, const uint8_t nonce[16],
                              const uint8_t *part, size_t length)
{
    struct ferry_peer *peer = new_peer(context, nonce, context->params.key);

    assert_true(ferry_fabric_ops.reach(context->transport, peer, part, length));
    return peer;
}

static struct ferry_peer *introduce(struct ferry_context *context, struct ferry_context *other)
{
    uint8_t part[28];
    size_t length = ferry_fabric_ops.address(other->transport, part, sizeof(part));

    assert_in_range(length, 1, sizeof(part));
    return add(context, other->nonce, part, length);
}

static void turn(struct ferry_context *context)
{
    uint64_t now = ferry_now_ns();

    ferry_fabric_ops.progress(context->transport);
    if (now - context->housekeeping_ns > SECOND / 10) {
        ferry_fabric_ops.housekeep(context->transport);
        context->housekeeping_ns = now;
    }
}

/* Goes on with up to three contexts until something is true; it must be so in time. */
#define until(condition, seconds, ...)                                                \
    do {                                                                              \
        struct ferry_context *these[] = {__VA_ARGS__};                                \
        uint64_t end = ferry_now_ns() + (uint64_t) (seconds) *SECOND;                 \
        while (!(condition)) {                                                        \
            for (unsigned which = 0; which < sizeof(these) / sizeof(*these); which++) \
                turn(these[which]);                                                   \
            if (ferry_now_ns() > end)                                                 \
                fail_msg("not within %d s: %s", (int) (seconds), #condition);         \
        }                                                                             \
    } while (0)

#define during(seconds, ...)                                          \
    do {                                                              \
        uint64_t over = ferry_now_ns() + (uint64_t) ((seconds) *1e9); \
        until(ferry_now_ns() > over, (seconds) + 60, __VA_ARGS__);    \
    } while (0)

/* Sends the next packet of the series if there is room. */
static int try_send(struct ferry_peer *to)
{
    static uint8_t bytes[PACKET];
    struct ferry_endpoint *endpoint = ferry_core_endpoint(to);
    const uint8_t *nonce = to->context->nonce;
    struct ferry_head head = {.type = FERRY_PKT_EAGER, .word = to->sent};
    struct ferry_payload payload = {.data = bytes};
    int error;

    if (!endpoint)
        return to->error;
    head.length = (uint16_t) packet_length(nonce, to->sent);
    fill_packet(bytes, packet_seed(nonce, to->sent), 0, head.length);
    /* Some of it leads, the rest begins somewhere in data. */
    payload.lead_length = head.length % 17 < head.length ? head.length % 17 : 0;
    payload.lead = bytes;
    payload.offset = payload.lead_length;
    payload.length = head.length - payload.lead_length;
    error = endpoint->ops->send(endpoint, &head, &payload);
    if (!error)
        to->sent++;
    return error;
}

static void send_some(struct ferry_peer *to, uint64_t up_to)
{
    for (int i = 0; i < 64 && to->sent < up_to && !to->lost; i++)
        if (try_send(to))
            break;
}

/* Both send so many packets to each other, and get all of them. */
static void exchange(struct ferry_peer *a, struct ferry_peer *b, uint64_t count)
{
    uint64_t a_goal = a->sent + count, b_goal = b->sent + count;

    until((send_some(a, a_goal), send_some(b, b_goal), a->got >= b_goal && b->got >= a_goal), 120,
          a->context, b->context);
    assert_int_equal(a->sent, b->got);
    assert_int_equal(b->sent, a->got);
    assert_false(a->lost || b->lost);
}

struct pair {
    struct ferry_context *a, *b;
    struct ferry_peer *to_b, *to_a;
};

static struct pair pair_new(void)
{
    struct pair pair = {.a = context_new(1, job_key), .b = context_new(2, job_key)};

    pair.to_b = introduce(pair.a, pair.b);
    pair.to_a = introduce(pair.b, pair.a);
    return pair;
}

static void pair_free(struct pair *pair)
{
    context_free(pair->a);
    context_free(pair->b);
}

/* Sockets other than unix ones must be close-on-exec. */
static int count_descriptors(bool check)
{
    int count = 0, type;

    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_storage name;
        socklen_t length = sizeof(name), size = sizeof(type);

        if (fcntl(fd, F_GETFD) < 0)
            continue;
        count++;
        if (check && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) &&
            !getsockname(fd, (struct sockaddr *) &name, &length) && name.ss_family != AF_UNIX)
            assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    return count;
}

static uint16_t port_of(struct ferry_context *context)
{
    uint8_t part[28];
    struct ferry_sites sites;

    assert_true(ferry_sites_unpack(
        &sites, part, ferry_fabric_ops.address(context->transport, part, sizeof(part))));
    return sites.port;
}

/* ---- Other processes ---- */

struct board {
    uint8_t part[2][28];
    _Atomic size_t length[2];
    _Atomic int word;
};

static struct board *board_new(void)
{
    struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(board, MAP_FAILED);
    return board;
}

/* Opens a context in this process and finds the one of the other. */
static struct ferry_peer *join(struct board *board, int me)
{
    struct ferry_context *context = context_new((uint8_t) (me + 1), job_key);
    uint8_t nonce[16], part[28];
    size_t length = ferry_fabric_ops.address(context->transport, part, sizeof(part));

    memcpy(board->part[me], part, length);
    board->length[me] = length;
    until(board->length[1 - me], 60, context);
    memset(nonce, 2 - me, 16);
    return add(context, nonce, board->part[1 - me], board->length[1 - me]);
}

/* The other process, echoing for ever: sends as many as it got. */
static void echo(struct ferry_peer *peer)
{
    alarm(120); /* never left behind */
    for (;;) {
        turn(peer->context);
        send_some(peer, peer->got);
        if (peer->lost)
            _exit(0);
    }
}

static pid_t start_echo(struct board *board)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        echo(join(board, 1));
        _exit(1);
    }
    return pid;
}

#endif
