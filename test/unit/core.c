/*
 * The core over wires that a test controls: messages, active messages, memory, and what happens when
 * a peer is lost or lies.
 */
#include "pair.h"

/* ---- Requests that count ---- */

static unsigned finished;

static void on_done(ferry_request_t *request)
{
    finished++;
}

/* A request that holds garbage where the caller need not set anything. */
static ferry_request_t *fresh(ferry_request_t *request)
{
    memset(request, 0xa5, sizeof(*request));
    request->done = on_done;
    request->stream = NULL;
    return request;
}

static uint8_t *pattern(size_t length, unsigned seed)
{
    uint8_t *data = length < 1 << 20 ? malloc(length + 1) : NULL;

    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t) (i * 7 + i / 251 + seed);
    return data;
}

static void assert_pattern(const uint8_t *data, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++)
        if (data[i] != (uint8_t) (i * 7 + i / 251 + seed))
            fail_msg("byte %zu of %zu is wrong", i, length);
}

/* Sends from a to b and receives, in this order or the other; all must arrive. */
static void transfer(size_t length, unsigned flags, bool posted_first)
{
    uint8_t *from = pattern(length, 3), *to = malloc(length + 1);
    ferry_request_t send, receive;
    int sent, received = 0;

    finished = 0;
    to[length] = 0x77;
    if (posted_first) {
        received = ferry_recv(pair.b, 5, 0, to, length, fresh(&receive));
        assert_int_equal(received, 0);
    }
    sent = ferry_send(pair.to_b, 5, from, length, flags, fresh(&send));
    assert_in_range(sent, 0, 1);
    pair_run(&pair);
    if (!posted_first) {
        received = ferry_recv(pair.b, 5, 0, to, length, fresh(&receive));
        assert_in_range(received, 0, 1);
        pair_run(&pair);
    }
    assert_int_equal(finished + (unsigned) sent + (unsigned) received, 2);
    assert_int_equal(receive.status, 0);
    assert_int_equal(receive.length, length);
    assert_int_equal(receive.match, 5);
    assert_ptr_equal(receive.peer, pair.to_a);
    assert_int_equal(send.status, 0);
    assert_pattern(to, length, 3);
    assert_int_equal(to[length], 0x77);
    free(from);
    free(to);
}

/* Around each bound: nothing, a packet's chunk, the longest eager message, and beyond. */
static const size_t lengths[] = {0,   1,   47,  48,   49,   239,  240,  247,  248,  249,
                                 255, 256, 257, 1023, 1024, 1999, 2000, 2001, 4096, 100000};
#define LENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static void every_length(void **state)
{
    for (size_t i = 0; i < LENGTHS; i++)
        for (unsigned flags = 0; flags <= FERRY_SYNC; flags++) {
            transfer(lengths[i], flags, true);
            transfer(lengths[i], flags, false);
        }
}

static void every_length_over_a_narrow_wire(void **state)
{
    pair.wire_a.room = 1;
    pair.wire_b.room = 1;
    pair.wire_a.deliver_max = 1;
    pair.wire_b.deliver_max = 1;
    every_length(state);
}

static void every_length_by_fetching(void **state)
{
    pair.wire_b.base.fetch_min = 1;
    every_length(state);
    assert_true(pair.wire_b.fetches > 0);
}

/* ---- Order and matching ---- */

static void small_sends_need_no_request(void **state)
{
    ferry_request_t receive;
    char text[8] = "";

    assert_int_equal(ferry_send_small(pair.to_b, 9, "hello", 6), 0);
    pair_run(&pair);
    assert_int_equal(ferry_recv(pair.b, 9, 0, text, 8, fresh(&receive)), 1);
    assert_string_equal(text, "hello");
    assert_int_equal(receive.length, 6);
}

static void messages_do_not_overtake(void **state)
{
    static const size_t sizes[] = {1900, 8, 5000, 0, 300, 2000, 1};
    ferry_request_t send[7], receive[7];
    uint8_t *from[7], to[7][5000];

    pair.wire_a.room = 2;
    finished = 0;
    for (unsigned i = 0; i < 7; i++) {
        from[i] = pattern(sizes[i], i);
        assert_in_range(ferry_send(pair.to_b, 1, from[i], sizes[i], 0, fresh(&send[i])), 0, 1);
        /* One that needs no request must not pass those that wait. */
        if (i == 3)
            assert_int_equal(ferry_send_small(pair.to_b, 1, "x", 1), -EAGAIN);
    }
    pair_run(&pair);
    for (unsigned i = 0; i < 7; i++)
        assert_in_range(ferry_recv(pair.b, 1, 0, to[i], 5000, fresh(&receive[i])), 0, 1);
    pair_run(&pair);
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(receive[i].length, sizes[i]);
        assert_pattern(to[i], sizes[i], i);
        free(from[i]);
    }
}

static void too_long_a_message_is_cut(void **state)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        for (unsigned mode = 0; mode < 4; mode++) {
            size_t length = lengths[i], room = length / 2;
            uint8_t *from = pattern(length, 1), *to = malloc(room + 1);
            ferry_request_t send, receive;
            bool first = mode & 1;

            if (room == length)
                goto next;
            pair.wire_b.base.fetch_min = mode & 2 ? 1 : SIZE_MAX;
            if (first)
                ferry_recv(pair.b, 2, 0, to, room, fresh(&receive));
            ferry_send(pair.to_b, 2, from, length, 0, fresh(&send));
            pair_run(&pair);
            if (!first)
                ferry_recv(pair.b, 2, 0, to, room, fresh(&receive));
            pair_run(&pair);
            assert_int_equal(receive.status, -EMSGSIZE);
            assert_int_equal(receive.length, room);
            assert_int_equal(send.status, 0);
            assert_pattern(to, room, 1);
        next:
            free(from);
            free(to);
        }
    }
}

static void receives_from_any(void **state)
{
    ferry_request_t receive;
    char byte;

    ferry_send_small(pair.to_b, 0, "", 0);
    transfer(1, 0, true);
    assert_int_equal(ferry_send_small(pair.to_b, 0x105, "a", 1), 0);
    assert_int_equal(ferry_send_small(pair.to_b, 0x205, "b", 1), 0);
    pair_run(&pair);
    assert_int_equal(ferry_recv(pair.b, 0x205, 0, &byte, 1, fresh(&receive)), 1);
    assert_int_equal(byte, 'b');
    assert_int_equal(ferry_recv(pair.b, 5, 0xf00, &byte, 1, fresh(&receive)), 1);
    assert_int_equal(byte, 'a');
    assert_int_equal(receive.match, 0x105);
}

static void sync_waits_for_the_receive(void **state)
{
    ferry_request_t send, receive;
    char byte;

    finished = 0;
    assert_int_equal(ferry_send(pair.to_b, 1, "s", 1, FERRY_SYNC, fresh(&send)), 0);
    pair_run(&pair);
    assert_int_equal(finished, 0);
    assert_int_equal(ferry_recv(pair.b, 1, 0, &byte, 1, fresh(&receive)), 1);
    pair_run(&pair);
    assert_int_equal(finished, 1);
}

static void half_a_message(void **state)
{
    uint8_t *from = pattern(1900, 2), to[1900];
    ferry_request_t send, receive;

    /* The receive comes when some of the pieces have. */
    pair.wire_b.deliver_max = 1;
    finished = 0;
    assert_int_equal(ferry_send(pair.to_b, 1, from, 1900, 0, fresh(&send)), 1);
    ferry_progress(pair.b);
    ferry_progress(pair.b);
    assert_int_equal(ferry_recv(pair.b, 1, 0, to, 1900, fresh(&receive)), 0);
    assert_int_equal(finished, 0);
    pair_run(&pair);
    assert_int_equal(finished, 1);
    assert_int_equal(receive.length, 1900);
    assert_pattern(to, 1900, 2);
    free(from);
}

static void cancel(void **state)
{
    ferry_request_t receive, send;
    uint8_t *from = pattern(1900, 2), to[1900];

    finished = 0;
    assert_int_equal(ferry_recv(pair.b, 1, 0, to, 1900, fresh(&receive)), 0);
    assert_int_equal(ferry_cancel(pair.b, &receive), 0);
    assert_int_equal(ferry_cancel(pair.b, &receive), -EBUSY);
    ferry_send(pair.to_b, 1, from, 1900, 0, fresh(&send));
    pair_run(&pair);
    assert_int_equal(finished, 0);
    assert_true(ferry_recv(pair.b, 1, 0, to, 1900, fresh(&receive)) == 1);
    free(from);
}

/* A receive that has begun can't be taken back, however its message came. */
static void cancel_too_late(void **state)
{
    static const size_t sizes[] = {1900, 5000};

    for (unsigned i = 0; i < 2; i++) {
        uint8_t *from = pattern(sizes[i], 2), to[5000];
        ferry_request_t receive, send;

        finished = 0;
        pair.wire_b.deliver_max = 1;
        assert_in_range(ferry_send(pair.to_b, 1, from, sizes[i], 0, fresh(&send)), 0, 1);
        ferry_progress(pair.b);
        assert_int_equal(ferry_recv(pair.b, 1, 0, to, sizes[i], fresh(&receive)), 0);
        assert_int_equal(ferry_cancel(pair.b, &receive), -EBUSY);
        pair_run(&pair);
        assert_int_equal(receive.status, 0);
        assert_pattern(to, sizes[i], 2);
        /* Posted first: the request was in the table once. */
        assert_int_equal(ferry_recv(pair.b, 1, 0, to, sizes[i], fresh(&receive)), 0);
        assert_in_range(ferry_send(pair.to_b, 1, from, sizes[i], 0, fresh(&send)), 0, 1);
        ferry_progress(pair.b);
        assert_int_equal(ferry_cancel(pair.b, &receive), -EBUSY);
        pair_run(&pair);
        assert_pattern(to, sizes[i], 2);
        free(from);
    }
}

/* ---- Probes ---- */

static void probe(void **state)
{
    ferry_request_t receive;
    ferry_probe_t found;
    char text[6];

    assert_false(ferry_probe(pair.b, 1, 0, &found, NULL));
    transfer(1, 0, true);
    ferry_send_small(pair.to_b, 1, "probe", 6);
    pair_run(&pair);
    assert_false(ferry_probe(pair.b, 2, 0, &found, NULL));
    assert_true(ferry_probe(pair.b, 0, UINT64_MAX, &found, NULL));
    assert_int_equal(found.match, 1);
    assert_int_equal(found.length, 6);
    assert_ptr_equal(found.peer, pair.to_a);
    assert_int_equal(ferry_recv(pair.b, 1, 0, text, 6, fresh(&receive)), 1);
    assert_false(ferry_probe(pair.b, 1, 0, &found, NULL));
}

static void a_message_taken_out_is_nobody_elses(void **state)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        uint8_t *from = pattern(lengths[i], 4), *to = malloc(lengths[i] + 1);
        ferry_request_t receive, other, send;
        ferry_message_t *message;
        ferry_probe_t found;
        char byte;

        ferry_send(pair.to_b, 1, from, lengths[i], 0, fresh(&send));
        pair_run(&pair);
        assert_true(ferry_probe(pair.b, 1, 0, &found, &message));
        assert_int_equal(found.length, lengths[i]);
        assert_int_equal(ferry_recv(pair.b, 1, 0, &byte, 1, fresh(&other)), 0);
        assert_false(ferry_probe(pair.b, 1, 0, &found, NULL));
        assert_in_range(ferry_message_recv(message, to, lengths[i], fresh(&receive)), 0, 1);
        pair_run(&pair);
        assert_int_equal(receive.length, lengths[i]);
        assert_int_equal(receive.status, 0);
        assert_pattern(to, lengths[i], 4);
        assert_int_equal(ferry_cancel(pair.b, &other), 0);
        free(from);
        free(to);
    }
}

static void a_message_taken_out_can_be_dropped(void **state)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        uint8_t *from = pattern(lengths[i], 4);
        ferry_request_t receive, send;
        ferry_message_t *message;
        ferry_probe_t found;
        int sent;

        finished = 0;
        sent = ferry_send(pair.to_b, 1, from, lengths[i], FERRY_SYNC, fresh(&send));
        assert_int_equal(sent, 0);
        pair_run(&pair);
        assert_true(ferry_probe(pair.b, 1, 0, &found, &message));
        assert_in_range(ferry_message_recv(message, NULL, 0, fresh(&receive)), 0, 1);
        pair_run(&pair);
        assert_int_equal(send.status, 0);
        assert_true(finished >= 1);
        free(from);
    }
}

static void a_part_of_a_message_can_be_taken_out(void **state)
{
    uint8_t *from = pattern(1900, 2), to[1900];
    ferry_request_t send, receive;
    ferry_message_t *message;
    ferry_probe_t found;

    pair.wire_b.deliver_max = 1;
    ferry_send(pair.to_b, 1, from, 1900, 0, fresh(&send));
    ferry_progress(pair.b);
    assert_true(ferry_probe(pair.b, 1, 0, &found, &message));
    assert_int_equal(found.length, 1900);
    ferry_progress(pair.b);
    assert_int_equal(ferry_message_recv(message, to, 1900, fresh(&receive)), 0);
    pair_run(&pair);
    assert_int_equal(receive.length, 1900);
    assert_pattern(to, 1900, 2);
    free(from);
}

/* ---- Fetching that fails ---- */

static void fetching_fails_in_the_middle(void **state)
{
    uint8_t *from = pattern(100000, 6), *to = malloc(100000);
    ferry_request_t send, receive;

    pair.wire_b.base.fetch_min = 4096;
    pair.wire_b.fetch_budget = 30001;
    ferry_recv(pair.b, 1, 0, to, 100000, fresh(&receive));
    ferry_send(pair.to_b, 1, from, 100000, 0, fresh(&send));
    pair_run(&pair);
    assert_int_equal(receive.status, 0);
    assert_int_equal(receive.length, 100000);
    assert_int_equal(send.status, 0);
    assert_pattern(to, 100000, 6);
    free(from);
    free(to);
}

static void fetching_is_not_ready_yet(void **state)
{
    uint8_t *from = pattern(100000, 6), *to = malloc(100000);
    ferry_request_t send, receive;

    pair.wire_b.base.fetch_min = 4096;
    pair.wire_b.fetch_later = true;
    finished = 0;
    ferry_recv(pair.b, 1, 0, to, 100000, fresh(&receive));
    ferry_send(pair.to_b, 1, from, 100000, 0, fresh(&send));
    pair_run(&pair);
    assert_int_equal(finished, 0);
    pair.wire_b.fetch_later = false;
    pair_run(&pair);
    assert_int_equal(finished, 2);
    assert_pattern(to, 100000, 6);
    free(from);
    free(to);
}

/* ---- Data that is not contiguous: here every byte is stored inverted ---- */

struct inverted {
    uint8_t *data;
    size_t next;
};

static void inverted_pack(void *arg, size_t offset, void *to, size_t length)
{
    struct inverted *inverted = arg;

    assert_int_equal(offset, inverted->next);
    inverted->next += length;
    for (size_t i = 0; i < length; i++)
        ((uint8_t *) to)[i] = (uint8_t) ~inverted->data[offset + i];
}

static void inverted_unpack(void *arg, size_t offset, const void *from, size_t length)
{
    struct inverted *inverted = arg;

    assert_int_equal(offset, inverted->next);
    inverted->next += length;
    for (size_t i = 0; i < length; i++)
        inverted->data[offset + i] = (uint8_t) ~((const uint8_t *) from)[i];
}

static const ferry_stream_t inverted_stream = {.pack = inverted_pack, .unpack = inverted_unpack};

static void streams(void **state)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        for (unsigned mode = 0; mode < 8; mode++) {
            size_t length = lengths[i];
            struct inverted from = {.data = pattern(length, 1)}, to = {.data = malloc(length + 1)};
            bool first = mode & 1, pack = mode & 2, unpack = mode & 4;
            ferry_request_t send, receive;

            pair.wire_a.room = 3;
            pair.wire_b.base.fetch_min = 1;
            fresh(&send)->stream = pack ? &inverted_stream : NULL;
            fresh(&receive)->stream = unpack ? &inverted_stream : NULL;
            if (first)
                ferry_recv(pair.b, 1, 0, unpack ? (void *) &to : to.data, length, &receive);
            ferry_send(pair.to_b, 1, pack ? (void *) &from : from.data, length, 0, &send);
            pair_run(&pair);
            if (!first)
                ferry_recv(pair.b, 1, 0, unpack ? (void *) &to : to.data, length, &receive);
            pair_run(&pair);
            assert_int_equal(receive.length, length);
            for (size_t k = 0; pack != unpack && k < length; k++)
                to.data[k] = (uint8_t) ~to.data[k];
            assert_pattern(to.data, length, 1);
            free(from.data);
            free(to.data);
        }
    }
}

/* Where packets cost little: so that one is unpacked while the next is packed. */
static void fine_data_goes_in_pieces(void **state)
{
    static const ferry_stream_t fine_stream = {
        .pack = inverted_pack, .unpack = inverted_unpack, .fine = true};
    struct ferry_endpoint *wire = &pair.wire_a.base;

    (void) state;
    wire->packet_max = wire->chunk = 32768;
    wire->eager_max = 65536;
    for (unsigned mode = 0; mode < 4; mode++) {
        bool fine = mode & 1;
        struct inverted from = {.data = pattern(16384, 1)}, to = {.data = malloc(16384)};
        uint32_t before = pair.wire_a.seq;
        ferry_request_t send, receive;

        wire->cheap = mode & 2;
        fresh(&send)->stream = fine ? &fine_stream : &inverted_stream;
        fresh(&receive)->stream = &inverted_stream;
        ferry_recv(pair.b, 1, 0, &to, 16384, &receive);
        ferry_send(pair.to_b, 1, &from, 16384, 0, &send);
        pair_run(&pair);
        assert_int_equal(pair.wire_a.seq - before, fine && wire->cheap ? 4 : 1);
        assert_pattern(to.data, 16384, 1);
        free(from.data);
        free(to.data);
    }
}

/* ---- Active messages ---- */

static struct {
    unsigned calls;
    size_t header_length, length;
    uint8_t header[FERRY_AM_HEADER_MAX];
    uint8_t *data;
    ferry_request_t request;
} am;

static void on_am(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                  const void *data, size_t length, ferry_message_t *message)
{
    assert_ptr_equal(user, &pair);
    assert_ptr_equal(peer, pair.to_a);
    assert_int_equal((uintptr_t) header % 16, 0);
    am.calls++;
    am.header_length = header_length;
    am.length = length;
    memcpy(am.header, header, header_length);
    free(am.data);
    am.data = malloc(length + 1);
    if (message)
        assert_in_range(ferry_message_recv(message, am.data, length, fresh(&am.request)), 0, 1);
    else if (length)
        memcpy(am.data, data, length);
}

static void active_messages(void **state)
{
    static const size_t header_lengths[] = {0, 1, 16, 48, FERRY_AM_HEADER_MAX};

    ferry_am_register(pair.b, 7, on_am);
    for (unsigned h = 0; h < 5; h++) {
        for (size_t i = 0; i < LENGTHS; i++) {
            uint8_t *header = pattern(header_lengths[h], 8), *data = pattern(lengths[i], 9);
            ferry_request_t request;
            int sent;

            pair.wire_a.room = 1 + i % 3;
            am.calls = finished = 0;
            sent = ferry_am_send(pair.to_b, 7, header, header_lengths[h], data, lengths[i],
                                 fresh(&request));
            assert_in_range(sent, 0, 1);
            /* The header was copied. */
            memset(header, 0xff, header_lengths[h]);
            pair_run(&pair);
            assert_int_equal(am.calls, 1);
            assert_int_equal(am.header_length, header_lengths[h]);
            assert_int_equal(am.length, lengths[i]);
            assert_pattern(am.header, header_lengths[h], 8);
            assert_pattern(am.data, lengths[i], 9);
            if (!sent)
                assert_true(finished >= 1);
            assert_int_equal(lengths[i] ? request.status : 0, 0);
            free(header);
            free(data);
        }
    }
    free(am.data);
    am.data = NULL;
}

static unsigned am_order[64], am_count;

static void on_numbered(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                        const void *data, size_t length, ferry_message_t *message)
{
    unsigned number;

    assert_int_equal(header_length, sizeof(number));
    memcpy(&number, header, sizeof(number));
    am_order[am_count++] = number;
    if (message)
        ferry_message_recv(message, NULL, 0, fresh(&am.request));
}

static void active_messages_keep_their_order(void **state)
{
    uint8_t *data = pattern(5000, 0);
    ferry_request_t requests[30];

    ferry_am_register(pair.b, 7, on_numbered);
    am_count = 0;
    pair.wire_a.room = 2;
    for (unsigned i = 0; i < 30; i++)
        assert_in_range(
            ferry_am_send(pair.to_b, 7, &i, sizeof(i), data, i % 3 * 1000, fresh(&requests[i])), 0,
            1);
    pair_run(&pair);
    assert_int_equal(am_count, 30);
    for (unsigned i = 0; i < 30; i++)
        assert_int_equal(am_order[i], i);
    free(data);
}

static void active_messages_have_limits(void **state)
{
    uint8_t header[FERRY_AM_HEADER_MAX + 1] = {0};

    assert_int_equal(ferry_am_register(pair.a, FERRY_AM_IDS, on_am), -EINVAL);
    assert_int_equal(ferry_am_send(pair.to_b, 7, header, sizeof(header), NULL, 0, NULL), -EMSGSIZE);
    assert_in_range(ferry_am_eager_max(pair.to_b, 100), 1, pair.wire_a.base.packet_max);
}

/* A handler that sends, on wires that are full. */
static unsigned echoes;

static void on_ping(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                    const void *data, size_t length, ferry_message_t *message)
{
    echoes++;
    assert_true(ferry_am_send(peer, 8, header, header_length, NULL, 0, NULL) >= 0);
}

static void on_pong(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                    const void *data, size_t length, ferry_message_t *message)
{
    echoes++;
}

static void handlers_may_send(void **state)
{
    pair.wire_a.room = pair.wire_b.room = 1;
    ferry_am_register(pair.b, 7, on_ping);
    ferry_am_register(pair.a, 8, on_pong);
    echoes = 0;
    for (unsigned i = 0; i < 100; i++)
        assert_true(ferry_am_send(pair.to_b, 7, &i, sizeof(i), NULL, 0, NULL) >= 0);
    pair_run(&pair);
    assert_int_equal(echoes, 200);
}

/* ---- Memory ---- */

static void gets_and_puts(void **state)
{
    for (size_t i = 0; i < LENGTHS; i++) {
        size_t length = lengths[i];
        uint8_t *window = pattern(length + 32, 1), *data = pattern(length, 2),
                *got = malloc(length + 1);
        uint8_t key[FERRY_MEMORY_KEY_MAX];
        ferry_request_t request;
        ferry_memory_t *memory;
        int result;

        pair.wire_a.room = pair.wire_b.room = 2;
        assert_int_equal(ferry_memory_export(pair.b, window, length + 32, &memory), 0);
        assert_in_range(ferry_memory_key(memory, key), 1, FERRY_MEMORY_KEY_MAX);
        finished = 0;
        result = ferry_put(pair.to_b, key, 16, data, length, fresh(&request));
        assert_in_range(result, 0, 1);
        pair_run(&pair);
        assert_int_equal(finished + (unsigned) result, 1);
        assert_pattern(window, 16, 1);
        assert_pattern(window + 16, length, 2);
        finished = 0;
        result = ferry_get(pair.to_b, key, 16, got, length, fresh(&request));
        assert_in_range(result, 0, 1);
        pair_run(&pair);
        assert_int_equal(finished + (unsigned) result, 1);
        assert_pattern(got, length, 2);
        ferry_memory_close(memory);
        free(window);
        free(data);
        free(got);
    }
}

static void memory_has_bounds(void **state)
{
    static const uint64_t offsets[] = {93, 100, 101, 1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    uint8_t window[100], key[FERRY_MEMORY_KEY_MAX], data[2000];
    ferry_request_t request;
    ferry_memory_t *memory;

    memset(window, 1, sizeof(window));
    memset(data, 2, sizeof(data));
    ferry_memory_export(pair.b, window, sizeof(window), &memory);
    ferry_memory_key(memory, key);
    for (unsigned i = 0; i < 6; i++) {
        for (size_t length = 8; length <= 2000; length += 1992) {
            assert_int_equal(ferry_put(pair.to_b, key, offsets[i], data, length, fresh(&request)),
                             0);
            pair_run(&pair);
            assert_int_equal(request.status, -EFAULT);
            assert_int_equal(ferry_get(pair.to_b, key, offsets[i], data, length, fresh(&request)),
                             0);
            pair_run(&pair);
            assert_int_equal(request.status, -EFAULT);
        }
    }
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(window[i], 1);
    ferry_memory_close(memory);
    /* What is closed is gone. */
    assert_int_equal(ferry_get(pair.to_b, key, 0, data, 8, fresh(&request)), 0);
    pair_run(&pair);
    assert_int_equal(request.status, -EFAULT);
    assert_int_equal(pair.lost, 0);
}

/* ---- The end of a peer ---- */

/* One of everything, under way. Returns how many requests will call back. */
struct all {
    uint8_t *from, *to[6], window[5000];
    ferry_request_t send[6], receive[6], get, put;
    ferry_memory_t *memory;
    unsigned open;
};

static void post_all(struct all *all, unsigned steps)
{
    static const size_t sizes[6] = {8, 1900, 5000, 60000, 1900, 60000};
    uint8_t key[FERRY_MEMORY_KEY_MAX];

    all->open = 0;
    all->from = pattern(60000, 1);
    ferry_memory_export(pair.b, all->window, sizeof(all->window), &all->memory);
    ferry_memory_key(all->memory, key);
    for (unsigned i = 0; i < 6; i++) {
        all->to[i] = malloc(60000);
        /* The last two are not expected. */
        if (i < 4)
            all->open += ferry_recv(pair.b, i, 0, all->to[i], 60000, fresh(&all->receive[i])) == 0;
        all->open += ferry_send(pair.to_b, i, all->from, sizes[i], i == 0 ? FERRY_SYNC : 0,
                                fresh(&all->send[i])) == 0;
    }
    all->open += ferry_put(pair.to_b, key, 0, all->from, 5000, fresh(&all->put)) == 0;
    all->open += ferry_get(pair.to_b, key, 0, all->from, 5000, fresh(&all->get)) == 0;
    while (steps--) {
        ferry_progress(pair.b);
        ferry_progress(pair.a);
    }
}

static void free_all(struct all *all)
{
    ferry_memory_close(all->memory);
    free(all->from);
    for (unsigned i = 0; i < 6; i++)
        free(all->to[i]);
}

static void nothing_hangs_on_a_lost_peer(void **state)
{
    for (unsigned steps = 0; steps < 60; steps++) {
        for (unsigned fetch = 0; fetch < 2; fetch++) {
            struct all all;
            unsigned receives = 0;

            pair_open(&pair);
            pair.wire_a.room = pair.wire_b.room = 4;
            pair.wire_a.deliver_max = pair.wire_b.deliver_max = 2;
            pair.wire_b.base.fetch_min = fetch ? 4096 : SIZE_MAX;
            pair.wire_b.fetch_later = fetch;
            finished = 0;
            post_all(&all, steps);
            wire_drop_all(&pair.wire_a);
            wire_drop_all(&pair.wire_b);
            ferry_core_peer_lost(pair.to_b, -ECONNRESET, "it was killed");
            ferry_core_peer_lost(pair.to_a, -ECONNRESET, "it was killed");
            ferry_core_peer_lost(pair.to_a, -ECONNRESET, "it was killed again");
            pair_run(&pair);
            assert_int_equal(pair.lost, 2);
            /* Receives that nothing has begun to fill can be taken back; all others have ended. */
            for (unsigned i = 0; i < 4; i++)
                receives += ferry_cancel(pair.b, &all.receive[i]) == 0;
            assert_int_equal(finished + receives, all.open);
            free_all(&all);
            pair_close(&pair);
        }
    }
}

static void a_lost_peer_takes_nothing_more(void **state)
{
    uint8_t data[5000] = {0}, key[FERRY_MEMORY_KEY_MAX] = {1};
    ferry_request_t request;

    transfer(8, 0, true);
    ferry_core_peer_lost(pair.to_b, -ECONNRESET, "it was killed");
    assert_true(ferry_send_small(pair.to_b, 1, data, 8) < 0);
    for (size_t i = 0; i < LENGTHS; i++)
        if (lengths[i] <= sizeof(data))
            assert_true(ferry_send(pair.to_b, 1, data, lengths[i], 0, fresh(&request)) < 0);
    assert_true(ferry_am_send(pair.to_b, 1, data, 8, data, 8, fresh(&request)) < 0);
    assert_true(ferry_am_send(pair.to_b, 1, data, 8, NULL, 0, NULL) < 0);
    assert_true(ferry_get(pair.to_b, key, 0, data, 8, fresh(&request)) < 0);
    assert_true(ferry_put(pair.to_b, key, 0, data, 8, fresh(&request)) < 0);
}

/* What had come wholly stays; what had not ends with an error, also when it was taken out before. */
static void messages_of_a_lost_peer(void **state)
{
    static const size_t sizes[] = {8, 1900, 5000};

    for (unsigned i = 0; i < 3; i++) {
        for (unsigned taken = 0; taken < 2; taken++) {
            uint8_t *from = pattern(sizes[i], 1), to[5000];
            ferry_request_t send, receive;
            ferry_message_t *message;
            ferry_probe_t found;
            int result;

            pair_open(&pair);
            finished = 0;
            pair.wire_b.deliver_max = 1;
            ferry_send(pair.to_b, 1, from, sizes[i], 0, fresh(&send));
            ferry_progress(pair.b);
            if (taken)
                assert_true(ferry_probe(pair.b, 1, 0, &found, &message));
            wire_drop_all(&pair.wire_a);
            ferry_core_peer_lost(pair.to_a, -ECONNRESET, "it was killed");
            if (taken)
                result = ferry_message_recv(message, to, sizes[i], fresh(&receive));
            else
                result = ferry_recv(pair.b, 1, 0, to, sizes[i], fresh(&receive));
            if (i == 0) {
                assert_int_equal(result, 1);
                assert_pattern(to, sizes[i], 1);
            } else {
                pair_run(&pair);
                if (result == 0) {
                    assert_int_equal(finished, 1);
                    assert_int_equal(receive.status, -ECONNRESET);
                } else {
                    assert_int_equal(result, -ECONNRESET);
                }
            }
            pair_close(&pair);
            free(from);
        }
    }
}

/* What comes in after its sender was found dead is not taken, or ends at once: nothing waits for it. */
static void packets_of_the_dead(void **state)
{
    static const uint8_t types[] = {FERRY_PKT_EAGER, FERRY_PKT_FIRST, FERRY_PKT_RTS};
    struct ferry_rts rts = {.handle = 1, .length = 5000, .address = 0};
    uint64_t lead[2] = {1900, 0};

    for (unsigned posted = 0; posted < 2; posted++) {
        for (unsigned i = 0; i < 3; i++) {
            bool first = types[i] == FERRY_PKT_FIRST;
            struct ferry_head head = {
                .type = types[i], .length = first ? sizeof(lead) : sizeof(rts), .word = 1};
            ferry_request_t receive;
            uint8_t to[5000];
            int result = 0;

            pair_open(&pair);
            finished = 0;
            if (posted)
                ferry_recv(pair.b, 1, 0, to, sizeof(to), fresh(&receive));
            ferry_core_peer_lost(pair.to_a, -ECONNRESET, "it was killed");
            ferry_core_receive(&pair.wire_b.base, &head, first ? (void *) lead : (void *) &rts);
            if (!posted)
                result = ferry_recv(pair.b, 1, 0, to, sizeof(to), fresh(&receive));
            pair_run(&pair);
            if (result == 0)
                assert_true(ferry_cancel(pair.b, &receive) == 0 || finished == 1);
            pair_close(&pair);
        }
    }
}

/* ---- A peer that lies ---- */

/* A packet to b that nobody sent. */
static int forge(uint8_t type, uint8_t flags, uint64_t word, const void *payload, size_t length)
{
    struct ferry_head head = {
        .type = type, .flags = flags, .length = (uint16_t) length, .word = word};
    uint8_t *copy = malloc(length + 1);
    int error;

    if (length)
        memcpy(copy, payload, length);
    error = ferry_core_receive(&pair.wire_b.base, &head, copy);
    free(copy);
    return error;
}

static void nonsense_is_refused(void **state)
{
    uint64_t numbers[4] = {100, 0, 0, 0};
    struct ferry_cts cts = {.handle = 1, .length = 10};
    uint8_t bytes[600] = {0};

    transfer(8, 0, true);
    assert_int_equal(forge(FERRY_PKT_NONE, 0, 0, NULL, 0), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_TYPES, 0, 0, NULL, 0), -EPROTO);
    assert_int_equal(forge(255, 255, UINT64_MAX, bytes, 100), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_EAGER, FERRY_PKT_SYNC, 0, bytes, 7), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_FIRST, 0, 0, bytes, 15), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_NEXT, 0, 0, bytes, 10), -EPROTO);
    numbers[0] = 1ull << 40;
    assert_int_equal(forge(FERRY_PKT_FIRST, 0, 0, numbers, 16), -EPROTO);
    numbers[0] = 15;
    assert_int_equal(forge(FERRY_PKT_FIRST, 0, 0, numbers, 32), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_RTS, 0, 0, bytes, sizeof(struct ferry_rts) - 1), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_RTS, 0, 0, bytes, sizeof(struct ferry_rts) + 1), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_CTS, 0, 1, &cts, sizeof(cts)), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_DATA, 0, 1, bytes, 10), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_DONE, 0, 1, NULL, 0), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_AM, 0, 7, bytes, 10), -EPROTO); /* no handler */
    ferry_am_register(pair.b, 7, on_am);
    assert_int_equal(forge(FERRY_PKT_AM, 0, 7 | 11ull << 16, bytes, 10), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_AM, 0, 7 | 513ull << 16, bytes, 600), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_AM, 0, 1000, bytes, 10), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_AM_RTS, 0, 7, bytes, 10), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_AM_RTS, 0, 7 | 1ull << 16, bytes, sizeof(struct ferry_rts)),
                     -EPROTO);
}

static void a_message_that_grows_too_long(void **state)
{
    uint64_t lead[2] = {40, 0};
    uint8_t bytes[64] = {0}, to[40];
    ferry_request_t receive;

    transfer(8, 0, true);
    ferry_recv(pair.b, 1, 0, to, sizeof(to), fresh(&receive));
    assert_int_equal(forge(FERRY_PKT_FIRST, 0, 1, lead, 16), 0);
    assert_int_equal(forge(FERRY_PKT_NEXT, 0, 1, bytes, 39), 0);
    assert_int_equal(forge(FERRY_PKT_FIRST, 0, 1, lead, 16), -EPROTO); /* one inside another */
    assert_int_equal(forge(FERRY_PKT_NEXT, 0, 1, bytes, 2), -EPROTO);
}

/* An answer to a send that is not due is refused, one that is due is taken once. */
static void answers_out_of_turn(void **state)
{
    uint8_t *from = pattern(5000, 1);
    ferry_request_t send;
    struct ferry_rts rts;
    struct ferry_cts cts = {.handle = 99, .offset = 0, .length = 5000};
    struct packet *offer;

    transfer(8, 0, true);
    /* b offers a message; a, which is played here, answers. */
    finished = 0;
    assert_int_equal(ferry_send(pair.to_a, 1, from, 5000, 0, fresh(&send)), 0);
    offer = wire_take(&pair.wire_b);
    assert_int_equal(offer->head.type, FERRY_PKT_RTS);
    memcpy(&rts, offer->payload, sizeof(rts));
    packet_free(offer);
    cts.offset = 1;
    assert_int_equal(forge(FERRY_PKT_CTS, 0, rts.handle, &cts, sizeof(cts)), -EPROTO);
    cts.offset = UINT64_MAX;
    cts.length = 2;
    assert_int_equal(forge(FERRY_PKT_CTS, 0, rts.handle, &cts, sizeof(cts)), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_CTS, 0, rts.handle + 1, &cts, sizeof(cts)), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_DATA, 0, rts.handle, from, 100), -EPROTO);
    cts.offset = 4000;
    cts.length = 1000;
    assert_int_equal(forge(FERRY_PKT_CTS, 0, rts.handle, &cts, sizeof(cts)), 0);
    assert_int_equal(forge(FERRY_PKT_CTS, 0, rts.handle, &cts, sizeof(cts)), -EPROTO);
    assert_int_equal(forge(FERRY_PKT_DONE, 0, rts.handle, NULL, 0), -EPROTO);
    assert_int_equal(finished, 0);
    for (unsigned i = 0; i < 10; i++)
        ferry_progress(pair.b);
    assert_int_equal(finished, 1);
    assert_int_equal(forge(FERRY_PKT_DONE, 0, rts.handle, NULL, 0), -EPROTO);
    wire_drop_all(&pair.wire_b);
    free(from);
}

/* ---- Everything at once, against what was sent ---- */

enum { TAGS = 4, IN_FLIGHT = 24, TOTAL = 6000 };

struct flight {
    ferry_request_t send, receive;
    uint8_t *from, *to;
    size_t length, room;
    uint64_t tag;
    bool send_open, receive_open, sent, received;
};

static struct flight flights[TOTAL];

static void flight_sent(ferry_request_t *request)
{
    struct flight *flight = ferry_container(request, struct flight, send);

    assert_true(flight->send_open);
    flight->send_open = false;
    assert_int_equal(request->status, 0);
}

static void check_received(struct flight *flight)
{
    size_t length = flight->length < flight->room ? flight->length : flight->room;

    assert_int_equal(flight->receive.length, length);
    assert_int_equal(flight->receive.status, flight->length > flight->room ? -EMSGSIZE : 0);
    assert_int_equal(flight->receive.match, flight->tag);
    assert_pattern(flight->to, length, (unsigned) (flight - flights));
    flight->receive_open = false;
}

static void flight_received(ferry_request_t *request)
{
    struct flight *flight = ferry_container(request, struct flight, receive);

    assert_true(flight->receive_open);
    check_received(flight);
}

static void flight_send(struct flight *flight)
{
    fresh(&flight->send)->done = flight_sent;
    flight->send_open = true;
    if (ferry_send(pair.to_b, flight->tag, flight->from, flight->length,
                   rand() % 4 ? 0 : FERRY_SYNC, &flight->send) == 1)
        flight->send_open = false;
    flight->sent = true;
}

static void flight_receive(struct flight *flight)
{
    ferry_message_t *message;
    ferry_probe_t found;
    int result;

    fresh(&flight->receive)->done = flight_received;
    flight->receive_open = true;
    if (rand() % 4 == 0 && ferry_probe(pair.b, flight->tag, 0, &found, &message)) {
        assert_int_equal(found.length, flight->length);
        result = ferry_message_recv(message, flight->to, flight->room, &flight->receive);
    } else {
        result = ferry_recv(pair.b, flight->tag, 0, flight->to, flight->room, &flight->receive);
    }
    assert_in_range(result, 0, 1);
    if (result == 1)
        check_received(flight);
    flight->received = true;
}

/* The i-th receive of a tag gets the i-th message of that tag, whatever else goes on. */
static void everything_at_once(void **state)
{
    unsigned sent = 0, received = 0;

    srand(5);
    for (unsigned i = 0; i < TOTAL; i++) {
        struct flight *flight = &flights[i];

        flight->tag = (uint64_t) (rand() % TAGS);
        flight->length = lengths[(size_t) rand() % (LENGTHS - 1)] + (size_t) rand() % 3;
        flight->room = rand() % 10 ? flight->length : flight->length / 2;
        flight->from = pattern(flight->length, i);
        flight->to = malloc(flight->room + 1);
    }
    while (sent < TOTAL || received < TOTAL) {
        pair.wire_a.room = 1 + (unsigned) rand() % 8;
        pair.wire_b.room = 1 + (unsigned) rand() % 8;
        pair.wire_b.base.fetch_min = rand() % 2 ? 1 : SIZE_MAX;
        pair.wire_b.fetch_budget = rand() % 3 ? -1 : rand() % 3000;
        pair.wire_b.fetch_later = rand() % 4 == 0;
        if (sent < TOTAL && sent < received + IN_FLIGHT && rand() % 2)
            flight_send(&flights[sent++]);
        if (received < TOTAL && received < sent + IN_FLIGHT && rand() % 2)
            flight_receive(&flights[received++]);
        if (rand() % 2)
            ferry_progress(rand() % 2 ? pair.a : pair.b);
    }
    pair.wire_b.fetch_later = false;
    pair_run(&pair);
    for (unsigned i = 0; i < TOTAL; i++) {
        if (flights[i].send_open || flights[i].receive_open)
            fail_msg("message %u of %zu bytes hangs", i, flights[i].length);
        free(flights[i].from);
        free(flights[i].to);
    }
    assert_int_equal(pair.lost, 0);
}

/* ---- Waiting ---- */

static void flush(void **state)
{
    assert_int_equal(ferry_flush(pair.a, 1000), 0);
    transfer(8, 0, true);
    ferry_send_small(pair.to_b, 1, "x", 1);
    assert_int_equal(ferry_flush(pair.a, 1000), -ETIMEDOUT);
    pair_run(&pair);
    assert_int_equal(ferry_flush(pair.a, 1000), 0);
}

/* What nobody has received is freed at the end; the sanitizer looks on. */
static void closing_with_all_under_way(void **state)
{
    for (unsigned steps = 0; steps < 12; steps++) {
        struct all all;

        pair_open(&pair);
        pair.wire_a.room = pair.wire_b.room = 3;
        post_all(&all, steps);
        ferry_memory_close(all.memory);
        pair_close(&pair);
        free(all.from);
        for (unsigned i = 0; i < 6; i++)
            free(all.to[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_pair(every_length),
        with_pair(every_length_over_a_narrow_wire),
        with_pair(every_length_by_fetching),
        with_pair(small_sends_need_no_request),
        with_pair(messages_do_not_overtake),
        with_pair(too_long_a_message_is_cut),
        with_pair(receives_from_any),
        with_pair(sync_waits_for_the_receive),
        with_pair(half_a_message),
        with_pair(cancel),
        with_pair(cancel_too_late),
        with_pair(probe),
        with_pair(a_message_taken_out_is_nobody_elses),
        with_pair(a_message_taken_out_can_be_dropped),
        with_pair(a_part_of_a_message_can_be_taken_out),
        with_pair(fetching_fails_in_the_middle),
        with_pair(fetching_is_not_ready_yet),
        with_pair(streams),
        with_pair(fine_data_goes_in_pieces),
        with_pair(active_messages),
        with_pair(active_messages_keep_their_order),
        with_pair(active_messages_have_limits),
        with_pair(handlers_may_send),
        with_pair(gets_and_puts),
        with_pair(memory_has_bounds),
        cmocka_unit_test(nothing_hangs_on_a_lost_peer),
        with_pair(a_lost_peer_takes_nothing_more),
        cmocka_unit_test(messages_of_a_lost_peer),
        cmocka_unit_test(packets_of_the_dead),
        with_pair(nonsense_is_refused),
        with_pair(a_message_that_grows_too_long),
        with_pair(answers_out_of_turn),
        with_pair(everything_at_once),
        with_pair(flush),
        cmocka_unit_test(closing_with_all_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
