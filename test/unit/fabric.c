/*
 * The transport over libfabric, with a core that only counts: contexts in one process, in several, and
 * in network namespaces of their own; strangers, liars, and the dead.
 */
#include "unit.h"

#ifndef HAVE_LIBFABRIC
int main(void)
{
    return 77; /* skipped */
}
#else

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

/* The nth packet of a process is known to all: its length, and its bytes. */
static uint32_t packet_length(const uint8_t nonce[16], uint64_t n)
{
    uint64_t value = mix(n + ((uint64_t) nonce[0] << 32));

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
    assert_int_equal(head->word, peer->got);
    assert_int_equal(head->type, FERRY_PKT_EAGER);
    assert_int_equal(head->length, packet_length(peer->nonce, peer->got));
    for (size_t i = 0; i < head->length; i++)
        if (bytes[i] != (uint8_t) (seed + i * 7 + i / 256))
            fail_msg("packet %lu differs at byte %zu", (unsigned long) peer->got, i);
    peer->got++;
    return 0;
}

void ferry_core_lost(struct ferry_endpoint *endpoint, int error, const char *why)
{
    assert_false(endpoint->peer->lost);
    assert_true(error < 0);
    endpoint->peer->lost = true;
    endpoint->peer->error = error;
    snprintf(endpoint->peer->why, sizeof(endpoint->peer->why), "%s", why);
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

ferry_peer_t *ferry_core_stranger(ferry_context_t *context, const uint8_t nonce[16])
{
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

/* ---- Addresses and greetings ---- */

static void addresses_travel(void **state)
{
    struct ferry_sites sites = {.port = 4711}, back;
    uint8_t bytes[64];

    (void) state;
    for (sites.count = 1; sites.count <= FERRY_SITES_MAX; sites.count++) {
        size_t length;

        memset(&sites.at[sites.count - 1], 0, sizeof(sites.at[0]));
        sites.at[sites.count - 1].family = AF_INET;
        sites.at[sites.count - 1].address[3] = sites.count;
        length = ferry_sites_pack(&sites, bytes, 28);
        assert_true(ferry_sites_unpack(&back, bytes, length));
        assert_memory_equal(&sites, &back, sizeof(sites));
        for (size_t wrong = 0; wrong < 40; wrong++)
            assert_true(wrong == length || !ferry_sites_unpack(&back, bytes, wrong));
    }
    /* Two of IPv4 and one of IPv6 fill the part. */
    memset(sites.at + 3, 0, 3 * sizeof(sites.at[0]));
    sites.count = 3;
    sites.at[2] = (struct ferry_site){.family = AF_INET6, .address = {0xfd, [15] = 9}};
    assert_int_equal(ferry_sites_pack(&sites, bytes, 28), 27);
    assert_true(ferry_sites_unpack(&back, bytes, 27));
    assert_memory_equal(&sites, &back, sizeof(sites));
    for (int i = 0; i < 100000; i++) {
        uint8_t noise[32];

        ferry_random(noise, sizeof(noise));
        if (ferry_sites_unpack(&back, noise, noise[31] % 32))
            assert_in_range(back.count, 1, FERRY_SITES_MAX);
    }
}

static void own_networks_come_first(void **state)
{
    struct ferry_net nets[] = {
        {.site = {.family = AF_INET, .address = {10, 1, 255, 1}}, .prefix = 13}};
    struct ferry_sites sites = {.port = 1,
                                .count = 3,
                                .at = {{.family = AF_INET, .address = {172, 17, 0, 1}},
                                       {.family = AF_INET, .address = {10, 8, 0, 1}},
                                       {.family = AF_INET, .address = {10, 7, 3, 4}}}};

    (void) state;
    ferry_sites_nearest_first(&sites, nets, 1);
    assert_int_equal(sites.at[0].address[1], 7);
    assert_int_equal(sites.at[1].address[1], 17);
    assert_int_equal(sites.at[2].address[1], 8);
}

static void proofs_bind_all(void **state)
{
    struct ferry_greeting said, forged;
    struct ferry_greet_proof proof;
    uint8_t caller[16] = {1}, answerer[16] = {2}, other[16] = "another key", seal[16], back[16];
    size_t spoken = offsetof(struct ferry_greeting, welcome);

    (void) state;
    ferry_greet_hello(&said, caller, answerer, job_key);
    ferry_greet_answer(&said, job_key);
    assert_true(ferry_greet_answer_holds(&said, job_key));
    assert_false(ferry_greet_answer_holds(&said, other));
    ferry_greet_proof(&said, job_key, &proof);
    assert_true(ferry_greet_proof_holds(&said, job_key, &proof));
    assert_false(ferry_greet_proof_holds(&said, other, &proof));
    for (size_t i = 0; i < spoken; i++) {
        forged = said;
        ((uint8_t *) &forged)[i] ^= 1;
        assert_false(ferry_greet_answer_holds(&forged, job_key));
        assert_false(ferry_greet_proof_holds(&forged, job_key, &proof));
    }
    /* A proof of one side is none of the other. */
    assert_memory_not_equal(said.answer.proof, proof.proof, 16);
    ferry_greet_welcome(&said, 99);
    ferry_greet_seal(&said, job_key, true, seal);
    ferry_greet_seal(&said, job_key, false, back);
    assert_memory_not_equal(seal, back, 16);
}

/* ---- Connections ---- */

static void packets_arrive_whole_and_in_order(void **state)
{
    struct pair pair = pair_new();
    char text[80];

    (void) state;
    exchange(pair.to_b, pair.to_a, 100000);
    ferry_fabric_ops.describe(pair.a->transport, pair.to_b, text, sizeof(text));
    assert_non_null(strstr(text, "fabric (tcp, "));
    pair_free(&pair);
}

static void one_side_calls(void **state)
{
    struct pair pair = pair_new();

    (void) state;
    until((send_some(pair.to_b, 10), pair.to_a->got == 10), 20, pair.a, pair.b);
    until((send_some(pair.to_a, 10), pair.to_b->got == 10), 20, pair.a, pair.b);
    pair_free(&pair);
}

static void both_call_at_once(void **state)
{
    (void) state;
    for (int i = 0; i < 30; i++) {
        struct pair pair = pair_new();

        /* Every time a bit later, and now the one, now the other. */
        try_send(i % 2 ? pair.to_b : pair.to_a);
        for (int k = 0; k < i / 2; k++)
            turn(i % 2 ? pair.a : pair.b);
        try_send(i % 2 ? pair.to_a : pair.to_b);
        exchange(pair.to_b, pair.to_a, 20);
        pair_free(&pair);
    }
}

static void three_talk(void **state)
{
    struct ferry_context *c[3];
    struct ferry_peer *to[3][3];
    uint64_t got = 0;

    (void) state;
    for (int i = 0; i < 3; i++)
        c[i] = context_new((uint8_t) (i + 1), job_key);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++)
            to[i][k] = introduce(c[i], c[k]); /* itself, too */
    until((got = 0, ({
               for (int i = 0; i < 3; i++)
                   for (int k = 0; k < 3; k++) {
                       send_some(to[i][k], 3000);
                       got += to[i][k]->got;
                   }
           }),
           got == 9 * 3000),
          60, c[0], c[1], c[2]);
    for (int i = 0; i < 3; i++)
        context_free(c[i]);
}

static void full_buffers_refuse(void **state)
{
    struct pair pair = pair_new();
    uint64_t before;

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    /* b does nothing: what a sends must stop before long, and be whole in the end. */
    for (int i = 0; i < 200000; i++) {
        try_send(pair.to_b);
        turn(pair.a);
    }
    before = pair.to_b->sent;
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(try_send(pair.to_b), -EAGAIN);
        turn(pair.a);
    }
    assert_false(ferry_fabric_ops.flushed(pair.a->transport));
    until(pair.to_a->got == before, 30, pair.a, pair.b);
    until(ferry_fabric_ops.flushed(pair.a->transport), 5, pair.a, pair.b);
    exchange(pair.to_b, pair.to_a, 1000);
    pair_free(&pair);
}

static size_t packed_to;

static void pack(void *arg, size_t offset, void *to, size_t length)
{
    assert_int_equal(offset, packed_to); /* ascending, without gaps, never twice */
    fill_packet(to, *(uint64_t *) arg, offset, length);
    packed_to += length;
}

static void streams_are_packed_once(void **state)
{
    static const ferry_stream_t stream = {.pack = pack};
    struct pair pair = pair_new();

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    while (pair.to_b->sent < 5000) {
        uint64_t seed = packet_seed(pair.a->nonce, pair.to_b->sent);
        struct ferry_head head = {
            .type = FERRY_PKT_EAGER,
            .word = pair.to_b->sent,
            .length = (uint16_t) packet_length(pair.a->nonce, pair.to_b->sent)};
        struct ferry_payload payload = {.data = &seed, .stream = &stream, .length = head.length};

        packed_to = 0;
        if (pair.to_b->endpoint->ops->send(pair.to_b->endpoint, &head, &payload) == 0) {
            assert_int_equal(packed_to, head.length);
            pair.to_b->sent++;
        } else {
            assert_int_equal(packed_to, 0);
            turn(pair.b);
        }
        turn(pair.a);
    }
    until(pair.to_a->got == 5000, 30, pair.a, pair.b);
    pair_free(&pair);
}

static void a_peer_asks_to_be_spared(void **state)
{
    struct pair pair = pair_new();

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    ferry_fabric_ops.hold(pair.to_a->endpoint, true);
    until(pair.to_b->endpoint->held, 5, pair.a, pair.b);
    ferry_fabric_ops.hold(pair.to_a->endpoint, false);
    until(!pair.to_b->endpoint->held, 5, pair.a, pair.b);
    exchange(pair.to_b, pair.to_a, 10);
    pair_free(&pair);
}

/* ---- Descriptors ---- */

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

static void descriptors_come_and_go(void **state)
{
    struct pair pair = pair_new();
    int before = 0;

    (void) state;
    exchange(pair.to_b, pair.to_a, 10);
    count_descriptors(true);
    pair_free(&pair);
    for (int i = 0; i < 10; i++) {
        int now = count_descriptors(false);

        assert_true(i < 2 || now == before);
        before = now;
        pair = pair_new();
        exchange(pair.to_b, pair.to_a, 10);
        pair_free(&pair);
    }
}

/* ---- Ends ---- */

static void goodbye_is_no_loss(void **state)
{
    struct pair pair = pair_new();

    (void) state;
    exchange(pair.to_b, pair.to_a, 100);
    context_free(pair.b);
    during(0.5, pair.a);
    assert_false(pair.to_b->lost);
    assert_int_equal(try_send(pair.to_b), -ECONNRESET);
    context_free(pair.a);
}

static void what_was_flushed_arrives(void **state)
{
    (void) state;
    for (int i = 0; i < 20; i++) {
        struct pair pair = pair_new();
        uint64_t sent;

        exchange(pair.to_b, pair.to_a, 1);
        /* b reads nothing while a sends, says goodbye and leaves with packets of b's unread. */
        for (int k = 0; k < 100 && try_send(pair.to_a) == 0; k++)
            ;
        for (int k = 0; k < 40 + 10 * i; k++)
            if (try_send(pair.to_b))
                break;
        sent = pair.to_b->sent;
        until(ferry_fabric_ops.flushed(pair.a->transport), 10, pair.a);
        context_free(pair.a);
        until(pair.to_a->got == sent || pair.to_a->lost, 10, pair.b);
        assert_int_equal(pair.to_a->got, sent);
        context_free(pair.b);
    }
}

static void nobody_there(void **state)
{
    struct pair pair = pair_new();

    (void) state;
    context_free(pair.b);
    until((try_send(pair.to_b), pair.to_b->lost), 30, pair.a);
    assert_int_equal(pair.to_b->error, -EHOSTUNREACH);
    assert_non_null(strstr(pair.to_b->why, "Connection refused"));
    context_free(pair.a);
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

static void the_dead_are_noticed(void **state)
{
    (void) state;
    for (int busy = 0; busy < 2; busy++) {
        struct board *board = board_new();
        pid_t pid = start_echo(board);
        struct ferry_peer *peer = join(board, 0);
        uint64_t began;

        until((send_some(peer, 1000), peer->got == 1000), 60, peer->context);
        kill(pid, SIGKILL);
        began = ferry_now_ns();
        if (busy)
            until((send_some(peer, UINT64_MAX), peer->lost), 5, peer->context);
        else
            until(peer->lost, 5, peer->context);
        assert_true(ferry_now_ns() - began < 2 * SECOND);
        assert_int_equal(peer->error, -ECONNRESET);
        waitpid(pid, NULL, 0);
        context_free(peer->context);
        munmap(board, sizeof(*board));
    }
}

static void the_paused_are_not_lost(void **state)
{
    struct board *board = board_new();
    pid_t pid = start_echo(board);
    struct ferry_peer *peer = join(board, 0);

    (void) state;
    until((send_some(peer, 1000), peer->got == 1000), 60, peer->context);
    kill(pid, SIGSTOP);
    for (int i = 0; i < 30; i++) {
        send_some(peer, 3000);
        during(0.1, peer->context);
    }
    assert_false(peer->lost);
    kill(pid, SIGCONT);
    until((send_some(peer, 3000), peer->got == 3000), 60, peer->context);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    context_free(peer->context);
    munmap(board, sizeof(*board));
}

/* A peer that does not answer for a while after it was called, for instance because it computes. */
static void the_busy_are_waited_for(void **state)
{
    struct pair pair = pair_new();

    (void) state;
    try_send(pair.to_b);
    during(12, pair.a);
    assert_false(pair.to_b->lost);
    exchange(pair.to_b, pair.to_a, 100);
    pair_free(&pair);
}

/* ---- Strangers ---- */

static uint16_t port_of(struct ferry_context *context)
{
    uint8_t part[28];
    struct ferry_sites sites;

    assert_true(ferry_sites_unpack(
        &sites, part, ferry_fabric_ops.address(context->transport, part, sizeof(part))));
    return sites.port;
}

static int knock(struct ferry_context *context)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port_of(context)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    return fd;
}

/* Reads so much, or until the end; returns how much. */
static size_t hear(struct ferry_context *context, int fd, void *to, size_t length)
{
    size_t got = 0;
    ssize_t result = 1;

    until((result = recv(fd, (char *) to + got, length - got, MSG_DONTWAIT),
           got += result > 0 ? (size_t) result : 0,
           got == length || result == 0 || (result < 0 && errno != EAGAIN)),
          20, context);
    return got;
}

static void say(int fd, const void *what, size_t length)
{
    assert_int_equal(send(fd, what, length, MSG_NOSIGNAL), length);
}

static void noise_does_no_harm(void **state)
{
    struct pair pair = pair_new();
    uint8_t noise[300];

    (void) state;
    exchange(pair.to_b, pair.to_a, 10);
    for (int i = 0; i < 500; i++) {
        int fd = knock(pair.b);

        ferry_random(noise, sizeof(noise));
        if (i % 3 == 0) {
            /* The beginning is right. */
            struct ferry_greeting said;

            ferry_greet_hello(&said, pair.a->nonce, pair.b->nonce, job_key);
            memcpy(noise, &said.hello, (size_t) (i % 69));
        }
        send(fd, noise, (size_t) (i % 300), MSG_NOSIGNAL);
        if (i % 2)
            exchange(pair.to_b, pair.to_a, 2);
        close(fd);
    }
    exchange(pair.to_b, pair.to_a, 100);
    assert_int_equal(pair.b->strangers, 0);
    pair_free(&pair);
}

static void the_silent_hold_no_doors(void **state)
{
    struct pair pair = pair_new();
    int fds[100], before, after;
    char byte;

    (void) state;
    before = count_descriptors(false);
    for (int i = 0; i < 100; i++)
        fds[i] = knock(pair.b);
    during(0.3, pair.b);
    after = count_descriptors(false);
    assert_true(after - before <= 100 + 64);
    exchange(pair.to_b, pair.to_a, 10); /* comes in all the same */
    /* In the end all are shown the door. */
    for (int i = 0; i < 100; i++) {
        assert_int_equal(hear(pair.b, fds[i], &byte, 1), 0);
        close(fds[i]);
    }
    pair_free(&pair);
}

static void another_key_is_refused(void **state)
{
    uint8_t other[16] = "not the job's";
    struct ferry_context *a = context_new(1, job_key), *b = context_new(2, other);
    struct ferry_peer *to_b = introduce(a, b);

    (void) state;
    introduce(b, a);
    until((try_send(to_b), to_b->lost), 30, a, b);
    assert_non_null(strstr(to_b->why, "another job"));
    assert_int_equal(to_b->sent, 0);
    assert_int_equal(b->peers[0].got, 0);
    context_free(a);
    context_free(b);
}

/* Says that it knows the key, but does not. */
static void a_false_proof_is_refused(void **state)
{
    struct ferry_context *b = context_new(2, job_key);
    uint8_t nonce[16] = {9}, byte;
    struct ferry_greeting said;
    struct ferry_greet_proof proof;
    int fd = knock(b);

    (void) state;
    ferry_greet_hello(&said, nonce, b->nonce, job_key);
    say(fd, &said.hello, sizeof(said.hello));
    assert_int_equal(hear(b, fd, &said.answer, sizeof(said.answer)), sizeof(said.answer));
    assert_true(ferry_greet_answer_holds(&said, job_key));
    ferry_greet_proof(&said, nonce, &proof);
    say(fd, &proof, sizeof(proof));
    assert_int_equal(hear(b, fd, &byte, 1), 0);
    assert_int_equal(b->strangers, 0);
    close(fd);
    context_free(b);
}

static void another_version_is_refused(void **state)
{
    struct ferry_context *b = context_new(2, job_key);
    struct ferry_greeting said;
    struct ferry_greet_head head;
    uint8_t nonce[16] = {9};
    char text[200], both[40];
    int fd = knock(b);

    (void) state;
    ferry_greet_hello(&said, nonce, b->nonce, job_key);
    said.hello.head.wire++;
    said.hello.head.length = 200; /* whatever that version says */
    say(fd, &said.hello, sizeof(said.hello));
    assert_int_equal(hear(b, fd, &head, sizeof(head)), sizeof(head));
    assert_int_equal(head.status, FERRY_GREET_VERSION);
    assert_int_equal(head.wire, FERRY_WIRE_VERSION);
    assert_int_equal(hear(b, fd, &head, 1), 0);
    ferry_greet_version_text(&said.hello.head, text, sizeof(text));
    snprintf(both, sizeof(both), "(wire version %d)", FERRY_WIRE_VERSION + 1);
    assert_non_null(strstr(text, both));
    snprintf(both, sizeof(both), "(wire version %d)", FERRY_WIRE_VERSION);
    assert_non_null(strstr(text, both));
    close(fd);
    context_free(b);
}

/* Listens where a peer should be. */
static int pose(uint8_t part[28], size_t *length)
{
    struct ferry_sites sites = {.count = 1, .at = {{.family = AF_INET, .address = {127, 0, 0, 1}}}};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *) &address, size), 0);
    assert_int_equal(listen(fd, 16), 0);
    getsockname(fd, (struct sockaddr *) &address, &size);
    sites.port = ntohs(address.sin_port);
    *length = ferry_sites_pack(&sites, part, 28);
    return fd;
}

static void impostors_get_nothing(void **state)
{
    (void) state;
    for (int kind = 0; kind < 3; kind++) {
        struct ferry_context *a = context_new(1, job_key);
        uint8_t part[28], nonce[16] = {7}, other[16] = "guessed";
        size_t length;
        int listener = pose(part, &length), fd = -1;
        struct ferry_peer *peer = add(a, nonce, part, length);
        struct ferry_greeting said;

        until((try_send(peer), (fd = accept(listener, NULL, NULL)) >= 0 || peer->lost), 10, a);
        while (!peer->lost) {
            assert_int_equal(hear(a, fd, &said.hello, sizeof(said.hello)), sizeof(said.hello));
            if (kind == 0) {
                ferry_greet_answer(&said, other); /* does not know the key */
                send(fd, &said.answer, sizeof(said.answer), MSG_NOSIGNAL);
            } else if (kind == 1) {
                ferry_greet_refuse(&said.answer.head, FERRY_GREET_ANSWER, FERRY_GREET_VERSION);
                said.answer.head.wire += 3;
                send(fd, &said.answer.head, sizeof(said.answer.head), MSG_NOSIGNAL);
            } else {
                ferry_random(&said, sizeof(said));
                send(fd, &said, sizeof(said), MSG_NOSIGNAL);
            }
            until((fd >= 0 && recv(fd, &said, 1, MSG_DONTWAIT) == 0 ? close(fd), fd = -1 : 0,
                   fd < 0 && (fd = accept(listener, NULL, NULL)) >= 0) ||
                      peer->lost,
                  20, a);
        }
        assert_int_equal(peer->sent, 0);
        assert_non_null(strstr(peer->why, kind == 0   ? "does not know the key"
                                          : kind == 1 ? "(wire version 4), this process"
                                                      : "another program"));
        close(fd);
        close(listener);
        context_free(a);
    }
}

static void the_invited_may_come(void **state)
{
    struct ferry_context *a = context_new(1, job_key),
                         *s = context_new(3, (uint8_t[16]){"other job"});
    struct ferry_peer *to_a = introduce(s, a), *back;

    (void) state;
    memcpy(to_a->key, a->invitation, 16);
    until((try_send(to_a), a->strangers == 1), 20, a, s);
    back = ferry_core_find_peer(a, s->nonce);
    assert_non_null(back);
    exchange(to_a, back, 1000);
    context_free(s);
    context_free(a);
}

/* Whoever was invited can't say that it is a process of the job. */
static void the_invited_do_not_pose(void **state)
{
    struct pair pair = pair_new();
    struct ferry_context *liar = context_new(2, (uint8_t[16]){"other job"});
    struct ferry_peer *to_a = introduce(liar, pair.a);

    (void) state;
    memcpy(to_a->key, pair.a->invitation, 16);
    until((try_send(to_a), to_a->lost), 30, liar, pair.a);
    assert_int_equal(pair.to_b->got, 0);
    assert_null(pair.to_b->endpoint);
    exchange(pair.to_b, pair.to_a, 10);
    context_free(liar);
    pair_free(&pair);
}

/* ---- Many addresses ---- */

static void the_next_address_is_tried(void **state)
{
    struct ferry_context *a = context_new(1, job_key), *b = context_new(2, job_key);
    struct ferry_sites sites = {.port = port_of(b),
                                .count = 4,
                                .at = {{.family = AF_INET, .address = {198, 51, 100, 1}},
                                       {.family = AF_INET, .address = {203, 0, 113, 77}},
                                       {.family = AF_INET, .address = {127, 0, 0, 1}},
                                       {.family = AF_INET, .address = {192, 0, 2, 123}}}};
    uint8_t part[28];
    struct ferry_peer *to_b = add(a, b->nonce, part, ferry_sites_pack(&sites, part, 28));
    uint64_t began = ferry_now_ns();

    (void) state;
    until((try_send(to_b), b->strangers == 1), 10, a, b);
    assert_true(ferry_now_ns() - began < 5 * SECOND);
    exchange(to_b, ferry_core_find_peer(b, a->nonce), 10);
    context_free(a);
    context_free(b);
}

/* Runs a command; whether it worked. */
static bool run(const char *format, int pid)
{
    char command[256];

    snprintf(command, sizeof(command), format, pid);
    return system(command) == 0;
}

static void wait_for(struct board *board, int word)
{
    for (int i = 0; board->word < word; i++) {
        if (i > 60000)
            _exit(1);
        usleep(1000);
    }
}

/* Two network namespaces with a wire between them. Each has a bridge that leads nowhere, too, with one
 * address in both. Returns in the child 1, in the parent 0 (then with the child's pid), or -1: can't. */
static int separate(struct board *board, const char *const setup[2], pid_t *pid)
{
    *pid = fork();
    assert_true(*pid >= 0);
    if (*pid == 0) {
        if (unshare(CLONE_NEWNET) || !run("ip link set lo up", 0))
            _exit(77);
        board->word = 1;
        wait_for(board, 2);
        if (!run(setup[1], 0))
            _exit(77);
        board->word = 3;
        wait_for(board, 4);
        return 1;
    }
    while (board->word < 1)
        if (waitpid(*pid, NULL, WNOHANG) == *pid)
            return -1;
    if (!run("ip link add w0 type veth peer name w1 netns %d", *pid) || !run(setup[0], 0)) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
        return -1;
    }
    board->word = 2;
    wait_for(board, 3);
    return 0;
}

/* In a process of its own, which can enter another namespace. */
static void in_namespaces(const char *const setup[2], const char *through, bool blackhole)
{
    pid_t pid = fork(), child;
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct board *board = board_new();
        struct ferry_peer *peer;
        char text[80];
        int which;

        if (unshare(CLONE_NEWNET) || !run("ip link set lo up", 0))
            _exit(77);
        which = separate(board, setup, &child);
        if (which < 0)
            _exit(77);
        if (which == 0)
            board->word = 4;
        peer = join(board, which);
        if (which == 1)
            echo(peer);
        (void) blackhole;
        until((send_some(peer, 2000), peer->got == 2000), 20, peer->context);
        ferry_fabric_ops.describe(peer->context->transport, peer, text, sizeof(text));
        if (!strstr(text, through)) {
            fprintf(stderr, "through %s, not %s\n", text, through);
            _exit(1);
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        until(peer->lost, 5, peer->context);
        context_free(peer->context);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

#define BRIDGE \
    "ip link add br0 type bridge && ip addr add 172.17.0.1/16 dev br0 && ip link set br0 up && "

static void containers_with_bridges(void **state)
{
    static const char *const setup[2] = {
        BRIDGE "ip addr add 10.7.0.1/24 dev w0 && ip link set w0 up",
        BRIDGE "ip addr add 10.7.0.2/24 dev w1 && ip link set w1 up"};

    (void) state;
    in_namespaces(setup, "10.7.0.2", false);
}

/* The first address of the other is one that packets to just disappear. */
static void containers_with_a_black_hole(void **state)
{
    static const char *const setup[2] = {
        "ip addr add 10.7.0.1/24 dev w0 && ip link set w0 up && "
        "ip link add d0 type dummy && ip addr add 10.8.0.1/24 dev d0 && ip link set d0 up && "
        "ip neigh add 10.8.0.2 lladdr 02:00:00:00:00:01 dev d0 && ip route add default dev d0",
        "ip link add d0 type dummy && ip addr add 10.8.0.2/24 dev d0 && ip link set d0 up && "
        "ip route add default dev d0 && ip addr add 10.7.0.2/24 dev w1 && ip link set w1 up && "
        "ip neigh add 10.8.0.1 lladdr 02:00:00:00:00:02 dev d0"};

    (void) state;
    in_namespaces(setup, "10.7.0.2", true);
}

static void containers_without_ipv4(void **state)
{
    static const char *const setup[2] = {
        "ip addr del 127.0.0.1/8 dev lo; ip addr add fd07::1/64 dev w0 nodad && ip link set w0 up",
        "ip addr del 127.0.0.1/8 dev lo; ip addr add fd07::2/64 dev w1 nodad && ip link set w1 up"};

    (void) state;
    in_namespaces(setup, "fd07::2", false);
}

/* ---- The user's choice ---- */

static void choose(const char *interface, int expected, const char *address)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct ferry_context context = {0};
        uint8_t part[28];
        struct ferry_sites sites;
        char text[FERRY_SITE_TEXT];

        setenv("FERRY_FABRIC_INTERFACE", interface, 1);
        if (!address)
            freopen("/dev/null", "w", stderr);
        if (ferry_fabric_ops.open(&context, &context.transport) != expected)
            _exit(1);
        if (expected)
            _exit(0);
        if (!ferry_sites_unpack(&sites, part,
                                ferry_fabric_ops.address(context.transport, part, sizeof(part))))
            _exit(2);
        if (strcmp(ferry_site_text(&sites.at[0], text), address))
            _exit(3);
        ferry_fabric_ops.close(context.transport);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void the_interface_can_be_chosen(void **state)
{
    (void) state;
    choose("lo", 0, "127.0.0.1");
    choose("127.0.0.1", 0, "127.0.0.1");
    choose("127.0.0.0/8", 0, "127.0.0.1");
    choose("nosuch0", -ENODEV, NULL);
    choose("203.0.113.9", -ENODEV, NULL);
    choose("203.0.113.0/24", -ENODEV, NULL);
    choose("127.0.0.0/99", -ENODEV, NULL);
}

static void a_wrong_provider_is_named(void **state)
{
    pid_t pid = fork();
    int status;

    (void) state;
    if (pid == 0) {
        struct pair pair;
        const char *why;

        setenv("FERRY_FABRIC_PROVIDER", "carrier-pigeon", 1);
        pair = pair_new();
        until((try_send(pair.to_b), pair.to_b->lost), 20, pair.a, pair.b);
        /* One of them finds out itself, the other is told. */
        until(pair.to_a->lost || strstr(pair.to_b->why, "pigeon"), 20, pair.a, pair.b);
        why = pair.to_a->lost ? pair.to_a->why : pair.to_b->why;
        if (strstr(why, "=carrier-pigeon") && strstr(why, "tcp"))
            _exit(0);
        fprintf(stderr, "%s\n", why);
        _exit(1);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_travel),
        cmocka_unit_test(own_networks_come_first),
        cmocka_unit_test(proofs_bind_all),
        cmocka_unit_test(the_interface_can_be_chosen),
        cmocka_unit_test(a_wrong_provider_is_named),
        cmocka_unit_test(the_dead_are_noticed),
        cmocka_unit_test(the_paused_are_not_lost),
        cmocka_unit_test(containers_with_bridges),
        cmocka_unit_test(containers_with_a_black_hole),
        cmocka_unit_test(containers_without_ipv4),
        cmocka_unit_test(packets_arrive_whole_and_in_order),
        cmocka_unit_test(one_side_calls),
        cmocka_unit_test(both_call_at_once),
        cmocka_unit_test(three_talk),
        cmocka_unit_test(full_buffers_refuse),
        cmocka_unit_test(streams_are_packed_once),
        cmocka_unit_test(a_peer_asks_to_be_spared),
        cmocka_unit_test(descriptors_come_and_go),
        cmocka_unit_test(goodbye_is_no_loss),
        cmocka_unit_test(what_was_flushed_arrives),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(the_busy_are_waited_for),
        cmocka_unit_test(noise_does_no_harm),
        cmocka_unit_test(the_silent_hold_no_doors),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(a_false_proof_is_refused),
        cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(impostors_get_nothing),
        cmocka_unit_test(the_invited_may_come),
        cmocka_unit_test(the_invited_do_not_pose),
        cmocka_unit_test(the_next_address_is_tried),
    };

    alarm(600);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
