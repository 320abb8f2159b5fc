/*
 * The transport over libfabric: packets between contexts of one process and of several, and how
 * connections end.
 */
#ifndef HAVE_LIBFABRIC
int main(void)
{
    return 77; /* skipped */
}
#else

#include "fabric/fabric.h"
#include "fabric_core.h"

/* ---- Connections ---- */

static void packets_arrive_whole_and_in_order(void **state)
{
    struct pair pair = pair_new();
    char text[80];

    (void) state;
    exchange(pair.to_b, pair.to_a, 100000);
    ferry_fabric_ops.describe(pair.a->transport, pair.to_b, text, sizeof(text));
    assert_memory_equal(text, "fabric (", 8);
    assert_non_null(strchr(text, ','));
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

/* As much as a program sends before it waits for any of it, but not without end. */
static void a_window_goes_out_without_progress(void **state)
{
    static const struct {
        uint32_t length;
        unsigned least, most;
    } windows[] = {{40, 64, FERRY_FABRIC_SENDS}, {4000, 64, 72}, {PACKET, 8, 8}};
    struct pair pair = pair_new();

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    for (unsigned i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
        unsigned count = 0;

        packets_are = windows[i].length;
        while (count < 1000 && !try_send(pair.to_b))
            count++;
        assert_in_range(count, windows[i].least, windows[i].most);
        until(pair.to_a->got == pair.to_b->sent, 20, pair.a, pair.b);
        during(0.01, pair.a, pair.b);
    }
    packets_are = 0;
    pair_free(&pair);
}

/* So that libfabric need not stop to listen to the socket. */
static void packets_in_a_row_get_more_receives(void **state)
{
    struct pair pair = pair_new();
    const struct ferry_fabric_endpoint *of_b;

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    of_b = (struct ferry_fabric_endpoint *) pair.to_a->endpoint;
    assert_int_equal(of_b->receives, 8);
    packets_are = 40;
    until((try_send(pair.to_b), pair.to_b->sent == 80), 20, pair.a);
    until(pair.to_a->got == 80, 20, pair.b);
    assert_in_range(of_b->receives, 64, FERRY_FABRIC_RECEIVES);
    packets_are = 20000;
    exchange(pair.to_b, pair.to_a, 200);
    /* So many as bring half a megabyte. */
    assert_in_range(of_b->receives, 8, 27);
    packets_are = 40;
    exchange(pair.to_b, pair.to_a, 2000);
    packets_are = 0;
    pair_free(&pair);
}

/* A peer that knows the key, but not the rules. */
static void nonsense_ends_the_connection(void **state)
{
    (void) state;
    for (int kind = 0; kind < 3; kind++) {
        struct pair pair = pair_new();
        struct ferry_head head = {.type = FERRY_PKT_TRANSPORT, .word = 1};
        struct ferry_payload payload = {.lead = "oh", .lead_length = 2};

        exchange(pair.to_b, pair.to_a, 10);
        if (kind == 0)
            head.word = 77; /* not known */
        else
            head.length = 2; /* a goodbye with something behind it */
        if (kind == 2) {
            head.type = FERRY_PKT_EAGER; /* what the core calls nonsense */
            head.word = NONSENSE;
        }
        assert_int_equal(pair.to_b->endpoint->ops->send(pair.to_b->endpoint, &head, &payload), 0);
        until(pair.to_a->lost, 5, pair.a, pair.b);
        assert_int_equal(pair.to_a->error, -EPROTO);
        until(pair.to_b->lost, 5, pair.a, pair.b);
        pair_free(&pair);
    }
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
        /* b reads nothing while a sends as much as the socket holds, says goodbye and leaves with packets of b's unread. */
        for (int k = 0; k < 100 && try_send(pair.to_a) == 0; k++)
            ;
        for (int k = 0; k < 12 + i; k++)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dead_are_noticed),
        cmocka_unit_test(the_paused_are_not_lost),
        cmocka_unit_test(packets_arrive_whole_and_in_order),
        cmocka_unit_test(one_side_calls),
        cmocka_unit_test(both_call_at_once),
        cmocka_unit_test(three_talk),
        cmocka_unit_test(full_buffers_refuse),
        cmocka_unit_test(a_window_goes_out_without_progress),
        cmocka_unit_test(packets_in_a_row_get_more_receives),
        cmocka_unit_test(nonsense_ends_the_connection),
        cmocka_unit_test(streams_are_packed_once),
        cmocka_unit_test(a_peer_asks_to_be_spared),
        cmocka_unit_test(descriptors_come_and_go),
        cmocka_unit_test(goodbye_is_no_loss),
        cmocka_unit_test(what_was_flushed_arrives),
        cmocka_unit_test(nobody_there),
        cmocka_unit_test(the_busy_are_waited_for),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
