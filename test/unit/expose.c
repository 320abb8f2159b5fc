/*
 * Long messages where adapters read: which are offered, what is read, and what is told of those that were copied.
 */
#include "pair.h"

enum { SHORT = 3000, LONG = 10000 };

/* An adapter that reads what was exposed, at the next progress of either side. */
static struct {
    bool exposes, reads; /* else the answer is "copy" */
    unsigned exposed, withdrawn;
    void *op, *to;
    const void *from;
    size_t length;
    const void *copied_to;
    size_t copied_length;
} adapter;

static unsigned finished;

static void on_done(ferry_request_t *request)
{
    (void) request;
    finished++;
}

static void *expose(struct ferry_endpoint *endpoint, const void *from, size_t length)
{
    (void) endpoint;
    (void) length;
    if (!adapter.exposes)
        return NULL;
    adapter.exposed++;
    return (void *) from;
}

static size_t describe_exposed(struct ferry_endpoint *endpoint, void *exposed, void *descriptor)
{
    (void) endpoint;
    memcpy(descriptor, &exposed, sizeof(exposed));
    return sizeof(exposed);
}

static void withdraw(struct ferry_endpoint *endpoint, void *exposed)
{
    (void) endpoint;
    (void) exposed;
    adapter.withdrawn++;
}

static int begin_read(struct ferry_endpoint *endpoint, const void *descriptor, size_t length_of_it,
                      void *to, size_t length, void *op)
{
    (void) endpoint;
    assert_int_equal(length_of_it, sizeof(adapter.from));
    if (!adapter.reads)
        return -ENOTSUP;
    memcpy(&adapter.from, descriptor, sizeof(adapter.from));
    adapter.to = to;
    adapter.length = length;
    adapter.op = op;
    return 0;
}

static void copied(struct ferry_endpoint *endpoint, const void *to, size_t length)
{
    (void) endpoint;
    adapter.copied_to = to;
    adapter.copied_length = length;
}

static int progress(struct ferry_transport *transport)
{
    void *op = adapter.op;

    if (op) {
        memcpy(adapter.to, adapter.from, adapter.length);
        adapter.op = NULL;
        ferry_core_read_done(op, 0);
        return 1;
    }
    return wire_progress(transport);
}

static int setup(void **state)
{
    static struct ferry_transport_ops ops;

    pair_setup(state);
    ops = wire_ops;
    ops.expose = expose;
    ops.describe_exposed = describe_exposed;
    ops.withdraw = withdraw;
    ops.read = begin_read;
    ops.copied = copied;
    ops.progress = progress;
    pair.wire_a.base.ops = pair.wire_b.base.ops = &ops;
    pair.wire_a.transport.ops = pair.wire_b.transport.ops = &ops;
    pair.wire_a.base.copied_max = pair.wire_b.base.copied_max = 4000;
    memset(&adapter, 0, sizeof(adapter));
    finished = 0;
    return 0;
}

/* Sends length bytes from a to b. Returns the type of the packet that went first. */
static uint8_t transfer(size_t length, unsigned flags, bool posted_first)
{
    static uint8_t from[LONG], to[LONG];
    ferry_request_t send = {.done = on_done}, receive = {.done = on_done};
    unsigned ended = 0;
    uint8_t type;

    for (size_t i = 0; i < length; i++)
        from[i] = (uint8_t) (i * 7 + length);
    memset(to, 0, sizeof(to));
    finished = 0;
    if (posted_first)
        assert_int_equal(ferry_recv(pair.b, 5, 0, to, LONG, &receive), 0);
    ended += (unsigned) ferry_send(pair.to_b, 5, from, length, flags, &send);
    type = pair.wire_a.first->head.type;
    pair_run(&pair);
    if (!posted_first)
        ended += (unsigned) ferry_recv(pair.b, 5, 0, to, LONG, &receive);
    pair_run(&pair);
    assert_int_equal(finished + ended, 2);
    assert_int_equal(send.status, 0);
    assert_int_equal(receive.status, 0);
    assert_int_equal(receive.length, length);
    assert_memory_equal(from, to, length);
    assert_int_equal(adapter.exposed, adapter.withdrawn);
    if (adapter.copied_to)
        assert_ptr_equal(adapter.copied_to, to);
    return type;
}

static void what_is_exposed_is_read(void **state)
{
    (void) state;
    adapter.exposes = adapter.reads = true;
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(transfer(i / 2 ? LONG : SHORT, i % 2 ? FERRY_SYNC : 0, true),
                         FERRY_PKT_RTS);
        assert_int_equal(transfer(i / 2 ? LONG : SHORT, i % 2 ? FERRY_SYNC : 0, false),
                         FERRY_PKT_RTS);
    }
    assert_int_equal(adapter.exposed, 8);
    assert_null(adapter.copied_to);
}

static void what_is_not_exposed_need_not_be_offered(void **state)
{
    (void) state;
    for (unsigned flags = 0; flags <= FERRY_SYNC; flags++)
        for (unsigned first = 0; first < 2; first++) {
            adapter.copied_to = NULL;
            assert_int_equal(transfer(SHORT, flags, first), FERRY_PKT_FIRST);
            assert_non_null(adapter.copied_to);
            assert_int_equal(adapter.copied_length, SHORT);
            assert_int_equal(transfer(LONG, flags, first), FERRY_PKT_RTS);
            assert_int_equal(adapter.copied_length, LONG);
        }
}

static void who_asks_for_offers_gets_them(void **state)
{
    (void) state;
    pair.wire_a.base.held = true;
    assert_int_equal(transfer(SHORT, 0, true), FERRY_PKT_RTS);
}

static void a_receiver_may_want_copies(void **state)
{
    (void) state;
    adapter.exposes = true;
    assert_int_equal(transfer(SHORT, 0, true), FERRY_PKT_RTS);
    assert_int_equal(adapter.copied_length, SHORT);
}

static void short_messages_are_no_use_of_a_buffer(void **state)
{
    (void) state;
    adapter.exposes = adapter.reads = true;
    assert_int_equal(transfer(2000, 0, true), FERRY_PKT_FIRST);
    assert_int_equal(adapter.exposed, 0);
    assert_null(adapter.copied_to);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, pair_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(what_is_exposed_is_read),
        test(what_is_not_exposed_need_not_be_offered),
        test(who_asks_for_offers_gets_them),
        test(a_receiver_may_want_copies),
        test(short_messages_are_no_use_of_a_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
