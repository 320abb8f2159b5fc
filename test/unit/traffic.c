/*
 * What is counted of the messages to each peer.
 */
#include "job.h"
#include "pair.h"

/* ---- Real transports ---- */

static void sends_of_each_length(struct job *job)
{
    static const size_t lengths[] = {0, 8, 49, 5000, 70000, 1 << 20};
    static uint8_t from[1 << 20], to[1 << 20];
    int other = job->size == 1 ? 0 : !job->rank;
    uint64_t bytes = 0;
    ferry_traffic_t traffic;

    for (unsigned i = 0; i < 6; i++) {
        struct job_request send, receive;

        job_recv(job, i, 0, to, sizeof(to), &receive);
        job_send(job, other, i, from, lengths[i], i % 2 ? FERRY_SYNC : 0, &send);
        job_wait(job, &receive);
        job_wait(job, &send);
        bytes += lengths[i];
    }
    ferry_peer_traffic(job->peers[other], &traffic);
    check(!strcmp(traffic.transport, job->size == 1 ? "self" : "shm"));
    check(traffic.messages == 6 && traffic.bytes == bytes);
    if (job->size == 1)
        return;
    ferry_peer_traffic(job->peers[job->rank], &traffic);
    check(!strcmp(traffic.transport, "self"));
    check(traffic.messages == 0 && traffic.bytes == 0);
}

static void over_shared_memory(void **state)
{
    assert_int_equal(job_run(2, sends_of_each_length), 0);
}

static void to_oneself(void **state)
{
    assert_int_equal(job_run(1, sends_of_each_length), 0);
}

/* ---- Wires ---- */

static void on_done(ferry_request_t *request)
{
    assert_int_equal(request->status, 0);
}

static ferry_request_t *fresh(ferry_request_t *request)
{
    *request = (ferry_request_t){.done = on_done};
    return request;
}

static void assert_sent(ferry_peer_t *peer, uint64_t messages, uint64_t bytes)
{
    ferry_traffic_t traffic;

    ferry_peer_traffic(peer, &traffic);
    assert_string_equal(traffic.transport, "wire");
    assert_int_equal(traffic.messages, messages);
    assert_int_equal(traffic.bytes, bytes);
}

static void only_what_was_taken(void **state)
{
    uint8_t data[3000] = {0};
    ferry_request_t requests[2];

    assert_sent(pair.to_b, 0, 0);
    pair.wire_a.room = 1;
    assert_int_equal(ferry_send_small(pair.to_b, 1, data, 10), 0);
    assert_int_equal(ferry_send_small(pair.to_b, 1, data, 10), -EAGAIN);
    assert_sent(pair.to_b, 1, 10);
    assert_int_equal(ferry_send(pair.to_b, 1, data, 10, 0, fresh(&requests[0])), 0);
    assert_int_equal(ferry_send(pair.to_b, 1, data, 3000, 0, fresh(&requests[1])), 0);
    assert_sent(pair.to_b, 3, 3020);
    pair_run(&pair);
    assert_sent(pair.to_b, 3, 3020);
    assert_sent(pair.to_a, 0, 0);
}

static void on_am(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                  const void *data, size_t length, ferry_message_t *message)
{
    static ferry_request_t request;

    if (message)
        ferry_message_recv(message, NULL, 0, fresh(&request));
}

static void active_messages(void **state)
{
    uint8_t data[3000] = {0};
    ferry_request_t request;

    ferry_am_register(pair.b, 7, on_am);
    assert_int_equal(ferry_am_send(pair.to_b, 7, data, 16, NULL, 0, NULL), 1);
    assert_sent(pair.to_b, 1, 0);
    assert_int_equal(ferry_am_send(pair.to_b, 7, data, 16, data, 100, fresh(&request)), 1);
    assert_sent(pair.to_b, 2, 100);
    assert_int_equal(ferry_am_send(pair.to_b, 7, data, 16, data, 3000, fresh(&request)), 0);
    pair_run(&pair);
    assert_sent(pair.to_b, 3, 3100);
    assert_int_equal(ferry_am_send(pair.to_b, 7, data, 513, data, 100, fresh(&request)), -EMSGSIZE);
    assert_sent(pair.to_b, 3, 3100);
    assert_sent(pair.to_a, 0, 0);
}

/* Each has an answer. */
static void gets_and_puts(void **state)
{
    uint8_t window[2000] = {0}, data[2000] = {0}, key[FERRY_MEMORY_KEY_MAX];
    ferry_request_t request;
    ferry_memory_t *memory;

    assert_int_equal(ferry_memory_export(pair.b, window, sizeof(window), &memory), 0);
    ferry_memory_key(memory, key);
    assert_int_equal(ferry_put(pair.to_b, key, 0, data, 2000, fresh(&request)), 0);
    pair_run(&pair);
    assert_sent(pair.to_b, 1, 2000);
    assert_sent(pair.to_a, 1, 0);
    assert_int_equal(ferry_get(pair.to_b, key, 0, data, 500, fresh(&request)), 0);
    pair_run(&pair);
    assert_sent(pair.to_b, 2, 2000);
    assert_sent(pair.to_a, 2, 500);
    ferry_memory_close(memory);
}

static void a_peer_that_nobody_reaches(void **state)
{
    ferry_traffic_t traffic;

    pair.to_b->transport = NULL;
    pair.to_b->endpoint = NULL;
    ferry_peer_traffic(pair.to_b, &traffic);
    assert_null(traffic.transport);
    assert_int_equal(traffic.messages, 0);
    assert_int_equal(traffic.bytes, 0);
}

/* A process of another job that is lost, and reached again by another invitation. */
static void a_new_endpoint_goes_on_counting(void **state)
{
    uint8_t address[FERRY_ADDRESS_MAX], key[FERRY_KEY_SIZE] = {1}, data[100] = {0};
    size_t length = (size_t) ferry_address(pair.b, address);
    ferry_request_t request;
    static struct wire second;
    ferry_peer_t *peer;

    assert_int_equal(ferry_send_small(pair.to_b, 1, data, 100), 0);
    assert_int_equal(ferry_send_small(pair.to_a, 1, data, 100), 0);
    pair_run(&pair);
    ferry_core_peer_lost(pair.to_b, -ECONNRESET, "it was killed");
    assert_int_equal(ferry_send(pair.to_b, 1, data, 1, 0, fresh(&request)), -ECONNRESET);
    assert_sent(pair.to_b, 1, 100);
    assert_int_equal(ferry_peer_add(pair.a, address, length, key, &peer), 0);
    assert_ptr_equal(peer, pair.to_b);
    assert_sent(pair.to_b, 1, 100);
    wire_init(&second, &pair.wire_b, pair.a, pair.to_b);
    assert_int_equal(ferry_send_small(pair.to_b, 1, data, 5), 0);
    assert_sent(pair.to_b, 2, 105);
    /* What had come before is still there. */
    assert_int_equal(ferry_recv(pair.a, 1, 0, data, 100, fresh(&request)), 1);
    assert_int_equal(request.length, 100);
    assert_int_equal(second.base.core.unexpected, 0);
}

int main(void)
{
    /* The pairs allow no transport but wires, for good. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(over_shared_memory),
        cmocka_unit_test(to_oneself),
        with_pair(only_what_was_taken),
        with_pair(active_messages),
        with_pair(gets_and_puts),
        with_pair(a_peer_that_nobody_reaches),
        with_pair(a_new_endpoint_goes_on_counting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
