/* Addresses of peers: what is refused, and how. */
#include "unit.h"

#include "ferry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ferry_context_t *context;
static uint8_t address[FERRY_ADDRESS_MAX];
static size_t length;

static int open_one(void **state)
{
    ferry_params_t params = {.rank = 0, .size = 1};

    (void) state;
    memcpy(params.key, "another test key", 16);
    if (ferry_open(&params, &context))
        return -1;
    length = (size_t) ferry_address(context, address);
    return 0;
}

static int close_one(void **state)
{
    (void) state;
    ferry_close(context);
    return 0;
}

static void an_address_and_a_key_fit_a_port_name(void **state)
{
    (void) state;
    assert_true(length > 16 && length <= FERRY_ADDRESS_MAX);
    assert_true(FERRY_ADDRESS_MAX + FERRY_KEY_SIZE <= 118);
}

static void the_own_address_is_one_peer(void **state)
{
    ferry_peer_t *peer, *again;
    char text[200];

    (void) state;
    assert_int_equal(ferry_peer_add(context, address, length, NULL, &peer), 0);
    assert_int_equal(ferry_peer_add(context, address, length, NULL, &again), 0);
    assert_ptr_equal(peer, again);
    assert_int_equal(ferry_settle(context), 0);
    assert_true(ferry_peer_is_near(peer));
    ferry_peer_describe(peer, text, sizeof(text));
    assert_non_null(strstr(text, "shm"));
}

/* What is said on standard error while a peer is added. */
static int add_and_listen(const uint8_t *bytes, size_t count, char *said, size_t room)
{
    int ends[2], before = dup(STDERR_FILENO), result;
    ferry_peer_t *peer;
    ssize_t got;

    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    result = ferry_peer_add(context, bytes, count, NULL, &peer);
    dup2(before, STDERR_FILENO);
    close(before);
    got = read(ends[0], said, room - 1);
    said[got > 0 ? got : 0] = 0;
    close(ends[0]);
    return result;
}

static void another_version_is_refused_and_both_are_named(void **state)
{
    uint8_t other[FERRY_ADDRESS_MAX];
    char said[1000];

    (void) state;
    memcpy(other, address, sizeof(other));
    other[1]++;
    other[2] = 97;
    assert_int_equal(add_and_listen(other, length, said, sizeof(said)), -EPROTO);
    assert_non_null(strstr(said, "Ferry 97."));
    assert_non_null(strstr(said, "Ferry " FERRY_VERSION_STRING));
}

static void what_is_no_address_is_refused(void **state)
{
    uint8_t other[FERRY_ADDRESS_MAX];
    ferry_peer_t *peer;

    (void) state;
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(ferry_peer_add(context, address, i, NULL, &peer), -EINVAL);
    memcpy(other, address, sizeof(other));
    other[0] ^= 1;
    assert_int_equal(ferry_peer_add(context, other, length, NULL, &peer), -EINVAL);
    /* A part that claims to be longer than the address. */
    memcpy(other, address, sizeof(other));
    other[33] = 255;
    assert_int_equal(ferry_peer_add(context, other, length, NULL, &peer), -EINVAL);
    /* A rank beyond the job. */
    memcpy(other, address, sizeof(other));
    other[12] = 1;
    assert_int_equal(ferry_peer_add(context, other, length, NULL, &peer), -EINVAL);
}

/* Right at the beginning, random behind it: never a crash, never a peer that is near. */
static void random_addresses_are_harmless(void **state)
{
    uint8_t other[FERRY_ADDRESS_MAX];
    ferry_peer_t *peer;

    (void) state;
    srandom(1);
    for (int round = 0; round < 2000; round++) {
        size_t count = 32 + (size_t) random() % (sizeof(other) - 32 + 1);

        memcpy(other, address, sizeof(other));
        for (size_t i = 16; i < sizeof(other); i++)
            other[i] = (uint8_t) random();
        if (ferry_peer_add(context, other, count, NULL, &peer) == 0)
            assert_false(ferry_peer_is_near(peer));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_address_and_a_key_fit_a_port_name, open_one, close_one),
        cmocka_unit_test_setup_teardown(the_own_address_is_one_peer, open_one, close_one),
        cmocka_unit_test_setup_teardown(another_version_is_refused_and_both_are_named, open_one,
                                        close_one),
        cmocka_unit_test_setup_teardown(what_is_no_address_is_refused, open_one, close_one),
        cmocka_unit_test_setup_teardown(random_addresses_are_harmless, open_one, close_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
