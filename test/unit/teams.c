/*
 * Nodes and teams: processes that go through the same steps.
 */
#include "job.h"
#include "unit.h"

#define ROOM 100
#define STEPS 20000

/* One makes the memory, all join. */
static ferry_team_t *join(struct job *job)
{
    static uint64_t name;
    struct job_request r;
    ferry_team_t *team;

    if (job->rank == 0) {
        check(ferry_team_make(job->context, (uint32_t) job->size, ROOM, &name) == 0);
        for (int i = 1; i < job->size; i++) {
            job_send(job, i, 1, &name, sizeof(name), 0, &r);
            job_wait(job, &r);
        }
    } else {
        job_recv(job, 1, 0, &name, sizeof(name), &r);
        job_wait(job, &r);
    }
    check(ferry_team_join(job->context, name, (uint32_t) job->size, ROOM, job->peers,
                          (uint32_t) job->rank, &team) == 0);
    return team;
}

static void all_are_one_node(struct job *job)
{
    for (int i = 0; i < job->size; i++)
        check(ferry_peer_node(job->peers[i]) == 0);
}

static void each_is_its_own(struct job *job)
{
    uint64_t name;

    for (int i = 0; i < job->size; i++)
        check(ferry_peer_node(job->peers[i]) == (uint32_t) i);
    check(ferry_team_make(job->context, (uint32_t) job->size, ROOM, &name) == -ENOTSUP);
}

/* Whoever has seen a step sees what was written before it; nobody is more than a step ahead. */
static void steps(struct job *job)
{
    ferry_team_t *team = join(job);
    _Atomic uint32_t *areas[JOB_MAX];

    for (int i = 0; i < job->size; i++) {
        areas[i] = ferry_team_area(team, (uint32_t) i);
        check((uintptr_t) areas[i] % 64 == 0);
    }
    for (uint32_t k = 1; k <= STEPS / (uint32_t) job->size; k++) {
        atomic_store_explicit(areas[job->rank], k * 7, memory_order_relaxed);
        check(ferry_team_step(team) == k);
        check(ferry_team_await(team, FERRY_TEAM_ALL, k) == 0);
        for (int i = 0; i < job->size; i++) {
            uint32_t seen = atomic_load_explicit(areas[i], memory_order_relaxed);

            check(seen == k * 7 || seen == (k + 1) * 7);
        }
    }
    ferry_team_leave(team);
}

/* One is late: the others sleep, and are woken by it; what it waits for is one member only. */
static void one_is_late(struct job *job)
{
    ferry_team_t *team = join(job);

    for (uint32_t k = 1; k <= 3; k++) {
        if ((uint32_t) job->rank == k % (uint32_t) job->size)
            usleep(200000);
        ferry_team_step(team);
        check(ferry_team_await(team, (uint32_t) (job->rank + 1) % (uint32_t) job->size, k) == 0);
        check(ferry_team_await(team, FERRY_TEAM_ALL, k) == 0);
    }
    ferry_team_leave(team);
}

/* Who waits for a step still takes messages: without that the other would never come to it. */
static void messages_go_on(struct job *job)
{
    static uint8_t data[16 << 20];
    ferry_team_t *team = join(job);
    struct job_request r;

    if (job->rank == 0) {
        job_recv(job, 5, 0, data, sizeof(data), &r);
    } else {
        usleep(100000);
        memset(data, 7, sizeof(data));
        job_send(job, 0, 5, data, sizeof(data), FERRY_SYNC, &r);
        job_wait(job, &r);
    }
    ferry_team_step(team);
    check(ferry_team_await(team, FERRY_TEAM_ALL, 1) == 0);
    job_wait(job, &r); /* its last pieces may still lie between the two */
    check(data[0] == 7 && data[sizeof(data) - 1] == 7);
    ferry_team_leave(team);
}

static void one_dies(struct job *job)
{
    ferry_team_t *team = join(job);

    ferry_team_step(team);
    check(ferry_team_await(team, FERRY_TEAM_ALL, 1) == 0);
    if (job->rank == 1)
        kill(getpid(), SIGKILL);
    ferry_team_step(team);
    check(ferry_team_await(team, FERRY_TEAM_ALL, 2) == -ECONNRESET);
    check(job->lost >= 1); /* another survivor may have ended before */
    _exit(0);
}

static int run(int size, void (*body)(struct job *), const char *transports)
{
    int failed;

    setenv("FERRY_TRANSPORTS", transports, 1);
    failed = job_run(size, body);
    unsetenv("FERRY_TRANSPORTS");
    return failed;
}

static void nodes(void **state)
{
    (void) state;
    assert_int_equal(run(4, all_are_one_node, "shm,fabric"), 0);
    assert_int_equal(run(3, each_is_its_own, "fabric"), 0);
}

static void pairs_and_crowds(void **state)
{
    (void) state;
    assert_int_equal(job_run(2, steps), 0);
    assert_int_equal(job_run(JOB_MAX, steps), 0);
    assert_int_equal(job_run(2, one_is_late), 0);
    assert_int_equal(job_run(JOB_MAX, one_is_late), 0);
}

static void waiting_for_a_step(void **state)
{
    (void) state;
    assert_int_equal(job_run(2, messages_go_on), 0);
    assert_int_equal(job_run(3, one_dies), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes),
        cmocka_unit_test(pairs_and_crowds),
        cmocka_unit_test(waiting_for_a_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
