/*
 * Processes of two jobs: who was invited comes in, until the invitation is withdrawn.
 */
#ifndef HAVE_LIBFABRIC
int main(void)
{
    return 77; /* skipped */
}
#else

#include "unit.h"

#include "clock.h"
#include "ferry.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct job_of_one {
    ferry_context_t *context;
    uint8_t address[FERRY_ADDRESS_MAX];
    size_t length;
    int lost;
};

static void on_lost(void *user, ferry_peer_t *peer, int error, const char *why)
{
    struct job_of_one *job = user;

    (void) peer, (void) error, (void) why;
    job->lost++;
}

static void start(struct job_of_one *job, uint8_t first)
{
    ferry_params_t params = {
        .key = {first, 7}, .rank = 0, .size = 1, .user = job, .peer_lost = on_lost};
    ferry_peer_t *self;

    memset(job, 0, sizeof(*job));
    assert_int_equal(ferry_open(&params, &job->context), 0);
    job->length = (size_t) ferry_address(job->context, job->address);
    assert_int_equal(ferry_peer_add(job->context, job->address, job->length, NULL, &self), 0);
    assert_int_equal(ferry_settle(job->context), 0);
    assert_int_equal(ferry_open_fabric(job->context), 0);
    job->length = (size_t) ferry_address(job->context, job->address);
}

struct awaited {
    ferry_request_t request;
    bool ended;
};

static void on_done(ferry_request_t *request)
{
    ((struct awaited *) request)->ended = true;
}

/* Sends a word that must be received to be sent; returns how that ended. */
static int send_word(struct job_of_one *from, ferry_peer_t *peer, struct job_of_one *to, int word)
{
    struct awaited send = {.request.done = on_done}, receive = {.request.done = on_done};
    uint64_t end = ferry_now_ns() + 60000000000u;
    int got = 0, result;

    assert_int_equal(ferry_recv(to->context, 1, 0, &got, sizeof(got), &receive.request), 0);
    result = ferry_send(peer, 1, &word, sizeof(word), FERRY_SYNC, &send.request);
    while (result == 0 && !send.ended && ferry_now_ns() < end) {
        ferry_progress(from->context);
        ferry_progress(to->context);
    }
    if (result < 0 || send.request.status < 0) {
        assert_int_equal(ferry_cancel(to->context, &receive.request), 0);
        return -1;
    }
    assert_true(send.ended && receive.ended);
    assert_int_equal(receive.request.status, 0);
    assert_int_equal(got, word);
    return 0;
}

static void invited_until_withdrawn(void **state)
{
    struct job_of_one server, client;
    uint8_t first[FERRY_KEY_SIZE], second[FERRY_KEY_SIZE];
    ferry_peer_t *peer, *again;

    (void) state;
    start(&server, 1);
    start(&client, 2);
    assert_int_equal(ferry_invite(server.context, first), 0);
    ferry_withdraw(server.context, first);
    assert_int_equal(ferry_peer_add(client.context, server.address, server.length, first, &peer),
                     0);
    assert_true(send_word(&client, peer, &server, 4711) < 0);
    assert_int_equal(client.lost, 1);

    /* The same invitation brings nothing new, another one does. */
    assert_int_equal(ferry_peer_add(client.context, server.address, server.length, first, &again),
                     0);
    assert_ptr_equal(again, peer);
    assert_true(send_word(&client, peer, &server, 4712) < 0);
    assert_int_equal(ferry_invite(server.context, second), 0);
    assert_memory_not_equal(first, second, sizeof(first));
    assert_int_equal(ferry_peer_add(client.context, server.address, server.length, second, &again),
                     0);
    assert_ptr_equal(again, peer);
    assert_int_equal(send_word(&client, peer, &server, 4713), 0);

    /* Who is in stays. */
    ferry_withdraw(server.context, second);
    assert_int_equal(send_word(&client, peer, &server, 4714), 0);
    assert_int_equal(client.lost, 1);
    assert_int_equal(server.lost, 0);
    ferry_close(client.context);
    ferry_close(server.context);
}

static void invitations_are_bounded(void **state)
{
    struct job_of_one server;
    uint8_t key[FERRY_KEY_SIZE];
    int count = 0, result = 0;

    (void) state;
    start(&server, 1);
    while (count < 100000 && (result = ferry_invite(server.context, key)) == 0)
        count++;
    assert_true(count >= 16);
    assert_int_equal(result, -ENOSPC);
    ferry_withdraw(server.context, key);
    assert_int_equal(ferry_invite(server.context, key), 0);
    ferry_close(server.context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(invited_until_withdrawn),
        cmocka_unit_test(invitations_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
