/*
 * Who is let in by the transport over libfabric, and what noise, strangers and liars can do.
 */
#ifndef HAVE_LIBFABRIC
int main(void)
{
    return 77; /* skipped */
}
#else

#include "fabric_core.h"

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

/* ---- Strangers ---- */

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
    exchange(pair.to_b, pair.to_a, 1);
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
    char their_version[48];
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
        snprintf(their_version, sizeof(their_version), "(wire version %d), this process",
                 FERRY_WIRE_VERSION + 3);
        assert_non_null(strstr(peer->why, kind == 0   ? "does not know the key"
                                          : kind == 1 ? their_version
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proofs_bind_all),          cmocka_unit_test(noise_does_no_harm),
        cmocka_unit_test(the_silent_hold_no_doors), cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(a_false_proof_is_refused), cmocka_unit_test(another_version_is_refused),
        cmocka_unit_test(impostors_get_nothing),    cmocka_unit_test(the_invited_may_come),
        cmocka_unit_test(the_invited_do_not_pose),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
