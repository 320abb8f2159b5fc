/*
 * Memory in common: ranges that processes of a node take, map, fill in parts and give back.
 */
#include "job.h"
#include "unit.h"

#include <sys/resource.h>

#define PAGE 4096u

static void tell(struct job *job, uint64_t *name)
{
    struct job_request r;

    for (int i = 1; job->rank == 0 && i < job->size; i++) {
        job_send(job, i, 1, name, sizeof(*name), 0, &r);
        job_wait(job, &r);
    }
    if (job->rank != 0) {
        job_recv(job, 1, 0, name, sizeof(*name), &r);
        job_wait(job, &r);
    }
}

static bool child_sees(const uint8_t *memory, uint8_t value)
{
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(*memory != value);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* Parts that begin and end within pages: each process writes its own, and reads all. */
static void parts(struct job *job)
{
    size_t part = 3 * PAGE / 2 + 1, length = part * (size_t) job->size;
    uint8_t *memory;
    uint64_t name;

    if (job->rank == 0)
        check(ferry_shared_take(job->context, length, &name) == 0);
    tell(job, &name);
    check(ferry_shared_map(job->context, name, length, (size_t) job->rank * part, part,
                           (void **) &memory) == 0);
    check((uintptr_t) memory % PAGE == 0);
    job_barrier(job);
    memset(memory + (size_t) job->rank * part, job->rank + 1, part);
    job_barrier(job);
    for (size_t i = 0; i < length; i++)
        check(memory[i] == i / part + 1);
    check(child_sees(memory, 1));
    job_barrier(job);
    ferry_shared_unmap(memory, length);
    job_barrier(job);
    if (job->rank == 0)
        ferry_shared_release(job->context, name, length);
}

/* More address room than there is in all, but little at a time, given back in another order than taken; what comes
 * again is zeroed. */
static void again_and_again(struct job *job)
{
    struct range {
        uint64_t name;
        size_t length;
    } ranges[3] = {0};
    uint64_t *memory;

    for (unsigned i = 0; i < 60; i++) {
        struct range *range = &ranges[i * 2 % 3];

        if (range->length)
            ferry_shared_release(job->context, range->name, range->length);
        range->length = ((size_t) 8 << 20) - i * PAGE;
        check(ferry_shared_take(job->context, range->length, &range->name) == 0);
        check(ferry_shared_map(job->context, range->name, range->length, 0, range->length,
                               (void **) &memory) == 0);
        check(memory[PAGE / sizeof(*memory)] == 0);
        memory[PAGE / sizeof(*memory)] = i + 1;
        ferry_shared_unmap(memory, range->length);
    }
}

static void nonsense(struct job *job)
{
    void *memory;
    uint64_t name;

    check(ferry_shared_take(job->context, SIZE_MAX, &name) == -ENOSPC);
    check(ferry_shared_take(job->context, (size_t) 1 << 43, &name) == -ENOSPC);
    check(ferry_shared_take(job->context, PAGE, &name) == 0);
    check(ferry_shared_map(job->context, name + 1, PAGE, 0, PAGE, &memory) == -EPROTO);
    check(ferry_shared_map(job->context, 0, PAGE, 0, PAGE, &memory) == -EPROTO);
    check(ferry_shared_map(job->context, (uint64_t) 1 << 43, PAGE, 0, PAGE, &memory) == -EPROTO);
    check(ferry_shared_map(job->context, name, SIZE_MAX, 0, PAGE, &memory) == -EPROTO);
    check(ferry_shared_map(job->context, name, PAGE, PAGE + 1, 0, &memory) == -EPROTO);
    check(ferry_shared_map(job->context, name, PAGE, 1, PAGE, &memory) == -EPROTO);
    /* More memory than there is: said, and not found out by being killed. */
    check(ferry_shared_take(job->context, (size_t) 1 << 41, &name) == 0);
    check(ferry_shared_map(job->context, name, (size_t) 1 << 41, 0, (size_t) 1 << 41, &memory) ==
          -ENOSPC);
}

static void alone(struct job *job)
{
    uint64_t name;

    check(ferry_shared_take(job->context, PAGE, &name) == -ENOTSUP);
}

static void sharing(void **state)
{
    const struct rlimit small = {.rlim_cur = 80 << 20, .rlim_max = RLIM_INFINITY};
    struct rlimit old;

    (void) state;
    assert_int_equal(job_run(JOB_MAX, parts), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(job_run(2, again_and_again), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

static void errors(void **state)
{
    (void) state;
    assert_int_equal(job_run(1, nonsense), 0);
    setenv("FERRY_TRANSPORTS", "fabric", 1);
    assert_int_equal(job_run(2, alone), 0);
    unsetenv("FERRY_TRANSPORTS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharing),
        cmocka_unit_test(errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
