/*
 * The counters: their table, and what they count.
 */
#include "job.h"
#include "load.h"
#include "pair.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static uint64_t value(ferry_context_t *context, const char *name)
{
    ferry_counter_t counter;

    for (unsigned i = 0; ferry_counter(i, &counter); i++)
        if (!strcmp(counter.name, name))
            return ferry_counter_value(context, i);
    return UINT64_MAX;
}

/* ---- Jobs ---- */

static void expect(struct job *job, const char *name, uint64_t wanted)
{
    uint64_t is = value(job->context, name);

    if (is == wanted)
        return;
    fprintf(stderr, "%s is %ju, not %ju\n", name, (uintmax_t) is, (uintmax_t) wanted);
    _exit(1);
}

/* All are posted before they come: rank 0 sends, or a single process to itself. */
static void exchange(struct job *job, unsigned count, size_t length)
{
    uint8_t *from = calloc(1, length + 1), *to = calloc(count, length + 1);
    struct job_request *receive = calloc(count, sizeof(*receive)), send;

    for (unsigned i = 0; i < count; i++)
        if (job->rank == job->size - 1)
            job_recv(job, i, 0, to + i * length, length, &receive[i]);
    job_barrier(job);
    for (unsigned i = 0; i < count; i++)
        if (job->rank == 0) {
            job_send(job, job->size - 1, i, from, length, 0, &send);
            job_wait(job, &send);
        }
    for (unsigned i = 0; i < count; i++)
        if (job->rank == job->size - 1)
            job_wait(job, &receive[i]);
    free(from);
    free(to);
    free(receive);
}

static void expect_traffic(struct job *job, const char *way, const char *direction,
                           uint64_t messages, uint64_t bytes)
{
    char name[64];

    snprintf(name, sizeof(name), "ferry_%s_%s_messages", way, direction);
    expect(job, name, messages);
    snprintf(name, sizeof(name), "ferry_%s_%s_bytes", way, direction);
    expect(job, name, bytes);
}

/* Of each protocol: in one packet, in pieces, called for. */
static void both_copy(struct job *job)
{
    exchange(job, 5, 10);
    exchange(job, 4, 40000);
    exchange(job, 3, 100000);
    expect_traffic(job, "shm", "sent", job->rank ? 0 : 12, job->rank ? 0 : 460050);
    expect_traffic(job, "shm", "received", job->rank ? 12 : 0, job->rank ? 460050 : 0);
    expect_traffic(job, "self", "sent", 0, 0);
    expect_traffic(job, "fabric", "sent", 0, 0);
    expect_traffic(job, "fabric", "received", 0, 0);
    expect(job, "ferry_piecewise_messages", job->rank ? 7 : 0);
    expect(job, "ferry_piecewise_bytes", job->rank ? 460000 : 0);
    expect(job, "ferry_cma_copies", 0);
    expect(job, "ferry_mem_copies", 0);
    expect(job, "ferry_unexpected_messages", 0);
    expect(job, "ferry_fallback_peers", 0);
}

/* 3 MiB are fetched in slices. */
static void one_copies(struct job *job, const char *way, const char *other)
{
    char name[64];

    exchange(job, 5, 10);
    exchange(job, 4, 100000);
    exchange(job, 1, 3 << 20);
    expect_traffic(job, "shm", "received", job->rank ? 10 : 0,
                   job->rank ? 50 + 400000 + (3 << 20) : 0);
    expect(job, "ferry_piecewise_messages", 0);
    snprintf(name, sizeof(name), "ferry_%s_copies", way);
    expect(job, name, job->rank ? 7 : 0);
    snprintf(name, sizeof(name), "ferry_%s_bytes", way);
    expect(job, name, job->rank ? 400000 + (3 << 20) : 0);
    snprintf(name, sizeof(name), "ferry_%s_copies", other);
    expect(job, name, 0);
}

static void by_cma(struct job *job)
{
    one_copies(job, "cma", "mem");
    expect(job, "ferry_copy_failures", 0);
}

static void by_mem(struct job *job)
{
    one_copies(job, "mem", "cma");
    expect(job, "ferry_copy_failures", 0);
}

/* As the default of container engines. */
static void forbid_cma(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = filter};

    check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

static void cma_is_forbidden(struct job *job)
{
    forbid_cma();
    one_copies(job, "mem", "cma");
    expect(job, "ferry_copy_failures", job->rank);
}

static void nothing_is_left(struct job *job)
{
    forbid_cma();
    exchange(job, 4, 100000);
    expect(job, "ferry_copy_failures", job->rank);
    expect(job, "ferry_cma_copies", 0);
    expect(job, "ferry_piecewise_messages", job->rank ? 4 : 0);
}

/* Who is behind takes one message after the other straight into its buffers, however many there are. */
static void one_by_one(struct job *job)
{
    const size_t lengths[] = {500, 20000, 60000};
    uint8_t *data = calloc(1, 60000);
    struct job_request r;

    for (unsigned k = 0; k < 3; k++) {
        job_barrier(job);
        usleep(job->rank ? 200000 : 20000);
        for (unsigned i = 0; i < 200; i++) {
            if (job->rank)
                job_recv(job, i, 0, data, lengths[k], &r);
            else
                job_send(job, 1, i, data, lengths[k], 0, &r);
            job_wait(job, &r);
        }
    }
    check(value(job->context, "ferry_unexpected_messages") <=
          10); /* those that a barrier polled for */
    free(data);
}

static void alone(struct job *job)
{
    exchange(job, 6, 1000);
    expect_traffic(job, "self", "sent", 6, 6000);
    expect_traffic(job, "self", "received", 6, 6000);
    expect_traffic(job, "shm", "sent", 0, 0);
    expect_traffic(job, "shm", "received", 0, 0);
}

/* Rank 0 sends when rank 1 has slept for a while, until that was in its sleep. */
static void one_is_woken(struct job *job)
{
    uint64_t slept = 0, waited = 0;
    struct job_request request;
    uint8_t byte = 0;
    unsigned rounds = 0;

    for (; atomic_load(&job->board->word) == 0 && rounds < 200; rounds++) {
        if (job->rank) {
            job_recv(job, rounds, 0, &byte, 1, &request);
            job_wait(job, &request);
            waited = value(job->context, "ferry_wait_time");
            slept = value(job->context, "ferry_sleep_time");
            check(slept <= waited);
        } else {
            usleep(20000);
            if (value(job->context, "ferry_wakes"))
                atomic_store(&job->board->word, 1);
            job_send(job, 1, rounds, &byte, 1, 0, &request);
            job_wait(job, &request);
        }
        job_barrier(job);
    }
    check(rounds < 200);
    check(!job->rank || (value(job->context, "ferry_sleeps") && slept && waited));
}

static void run(const char *transports, const char *copy, int size, void (*body)(struct job *))
{
    int failed;

    setenv("FERRY_TRANSPORTS", transports, 1);
    setenv("FERRY_COPY", copy, 1);
    setenv("FERRY_FETCH", "always", 1);
    failed = job_run(size, body);
    unsetenv("FERRY_TRANSPORTS");
    unsetenv("FERRY_COPY");
    unsetenv("FERRY_FETCH");
    assert_int_equal(failed, 0);
}

#ifdef HAVE_LIBFABRIC
static void over_the_network(struct job *job)
{
    exchange(job, 5, 10);
    exchange(job, 2, 50000);
    exchange(job, 1, 100000);
    expect_traffic(job, "fabric", "sent", job->rank ? 0 : 8, job->rank ? 0 : 200050);
    expect_traffic(job, "fabric", "received", job->rank ? 8 : 0, job->rank ? 200050 : 0);
    expect_traffic(job, "shm", "sent", 0, 0);
    expect_traffic(job, "self", "sent", 0, 0);
    expect(job, "ferry_piecewise_messages", job->rank ? 2 : 0);
    expect(job, "ferry_rdma_reads", job->rank ? 1 : 0);
    expect(job, "ferry_rdma_bytes", job->rank ? 100000 : 0);
    expect(job, "ferry_fallback_peers", 0);
}

static void fabric(void **state)
{
    run("fabric", "none", 2, over_the_network);
}
#endif

static void jobs(void **state)
{
    run("shm", "none", 2, both_copy);
    run("shm", "cma", 2, by_cma);
    run("shm", "mem", 2, by_mem);
    run("shm", "cma,mem", 2, cma_is_forbidden);
    run("shm", "cma", 2, nothing_is_left);
    run("shm", "none", 2, one_by_one);
    run("shm", "none", 1, alone);
    run("shm", "none", 2, one_is_woken);
}

/* ---- Wires ---- */

static void table(void **state)
{
    ferry_counter_t counter, other;
    unsigned count = 0, kinds[3] = {0};

    for (; ferry_counter(count, &counter); count++) {
        assert_memory_equal(counter.name, "ferry_", 6);
        assert_true(strlen(counter.help) > 0);
        assert_in_range(counter.kind, FERRY_COUNTER_COUNT, FERRY_COUNTER_LEVEL);
        kinds[counter.kind]++;
        if (counter.kind == FERRY_COUNTER_TIME)
            assert_string_equal(counter.unit, "us");
        for (unsigned i = 0; i < count && ferry_counter(i, &other); i++)
            assert_string_not_equal(counter.name, other.name);
    }
    assert_true(kinds[0] && kinds[1] && kinds[2]);
    assert_int_equal(ferry_counter_value(pair.a, count), 0);
    assert_false(ferry_counter(UINT32_MAX, &counter));
}

static void on_done(ferry_request_t *request)
{
    assert_int_equal(request->status, 0);
}

static ferry_request_t *fresh(ferry_request_t *request)
{
    *request = (ferry_request_t){.done = on_done};
    return request;
}

static void stalls(void **state)
{
    ferry_request_t requests[3];
    uint8_t data[10] = {0};

    pair.wire_a.room = 1;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ferry_send(pair.to_b, i, data, 10, 0, fresh(&requests[i])), i == 0);
    assert_int_equal(value(pair.a, "ferry_stalls"), 2);
    pair_run(&pair);
    assert_int_equal(value(pair.a, "ferry_stalls"), 2);
    assert_int_equal(value(pair.b, "ferry_stalls"), 0);
}

/* The last comes in pieces, and one is only offered. */
static void unexpected(void **state)
{
    static const size_t lengths[] = {10, 0, 500, 5000};
    ferry_request_t send[4], receive[4];
    uint8_t data[5000] = {0}, to[4][5000];

    for (unsigned i = 0; i < 4; i++)
        ferry_send(pair.to_b, i, data, lengths[i], 0, fresh(&send[i]));
    pair_run(&pair);
    assert_int_equal(value(pair.b, "ferry_unexpected_messages"), 4);
    assert_int_equal(value(pair.b, "ferry_unexpected_bytes"), 510);
    assert_int_equal(value(pair.a, "ferry_unexpected_messages"), 0);
    for (unsigned i = 0; i < 4; i++)
        ferry_recv(pair.b, i, 0, to[i], 5000, fresh(&receive[i]));
    pair_run(&pair);
    assert_int_equal(value(pair.b, "ferry_unexpected_messages"), 4);
    assert_int_equal(value(pair.b, "ferry_unexpected_bytes"), 0);
}

/* The data of a put and of a get's answer has come, too. */
static void received(void **state)
{
    uint8_t window[5000] = {0}, data[5000] = {0}, key[FERRY_MEMORY_KEY_MAX];
    const struct ferry_volume *at_a = &pair.wire_a.base.core.received,
                              *at_b = &pair.wire_b.base.core.received;
    ferry_request_t request;
    ferry_memory_t *memory;

    assert_int_equal(ferry_memory_export(pair.b, window, sizeof(window), &memory), 0);
    ferry_memory_key(memory, key);
    assert_int_equal(ferry_put(pair.to_b, key, 0, data, 5000, fresh(&request)), 0);
    pair_run(&pair);
    assert_int_equal(ferry_get(pair.to_b, key, 0, data, 500, fresh(&request)), 0);
    pair_run(&pair);
    assert_int_equal(at_b->messages, 2);
    assert_int_equal(at_b->bytes, 5000);
    assert_int_equal(at_a->messages, 2);
    assert_int_equal(at_a->bytes, 500);
    ferry_memory_close(memory);
}

static void fallback_peers(void **state)
{
    struct ferry_transport first = {.ops = &wire_ops};

    assert_int_equal(value(pair.a, "ferry_fallback_peers"), 0);
    pair.a->transports[1] = &pair.wire_a.transport;
    assert_int_equal(value(pair.a, "ferry_fallback_peers"), 0);
    pair.a->transports[0] = &first;
    assert_int_equal(value(pair.a, "ferry_fallback_peers"), 1);
    pair.a->transports[0] = pair.a->transports[1] = NULL;
}

static void steal(void **state)
{
    uint64_t before = ferry_stolen_us("", 0), between, after;

    pair.a->wait.stolen_before_us = 0;
    between = value(pair.a, "ferry_steal_time");
    after = ferry_stolen_us("", 0);
    assert_in_range(between, before, after);
    pair.a->wait.stolen_before_us = after + 3600000000;
    assert_int_equal(value(pair.a, "ferry_steal_time"), 0);
}

int main(void)
{
    /* The pairs allow no transport but wires, for good. */
    const struct CMUnitTest tests[] = {
#ifdef HAVE_LIBFABRIC
        cmocka_unit_test(fabric),
#endif
        cmocka_unit_test(jobs),   with_pair(table),    with_pair(stalls),
        with_pair(unexpected),    with_pair(received), with_pair(fallback_peers),
        with_pair(steal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
