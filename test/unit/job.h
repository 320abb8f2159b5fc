/*
 * Jobs of forked processes for tests of libferry: each opens a context, all exchange addresses, each
 * runs a body. A check that fails ends its process, and so the test.
 */
#ifndef FERRY_TEST_JOB_H
#define FERRY_TEST_JOB_H

#include "ferry.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define JOB_MAX 8
#define JOB_SECONDS 60

#define check(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                               \
        }                                                                           \
    } while (0)

struct job_board {
    uint8_t key[FERRY_KEY_SIZE]; /* another for each job: several test programs run at once */
    uint8_t address[JOB_MAX][FERRY_ADDRESS_MAX];
    int length[JOB_MAX];
    _Atomic int arrived;
    _Atomic int word; /* for the bodies' own use */
};

struct job {
    int rank, size;
    ferry_context_t *context;
    ferry_peer_t *peers[JOB_MAX];
    struct job_board *board;
    int lost; /* peers that were lost */
};

static void job_lost(void *user, ferry_peer_t *peer, int error, const char *why)
{
    (void) peer;
    check(error < 0 && why[0]);
    ((struct job *) user)->lost++;
}

/* Waits until all processes are here. Progress goes on meanwhile. */
static void job_barrier(struct job *job)
{
    int goal = atomic_fetch_add(&job->board->arrived, 1) / job->size * job->size + job->size;

    while (atomic_load(&job->board->arrived) < goal)
        if (job->context)
            ferry_progress(job->context);
}

static void job_open(struct job *job)
{
    ferry_params_t params = {.rank = (uint32_t) job->rank,
                             .size = (uint32_t) job->size,
                             .user = job,
                             .peer_lost = job_lost};
    ferry_context_t *context;
    int again = 1;

    memcpy(params.key, job->board->key, sizeof(params.key));
    check(ferry_open(&params, &context) == 0);
    for (int round = 0; round < 1 + again; round++) {
        job->board->length[job->rank] = ferry_address(context, job->board->address[job->rank]);
        job_barrier(job);
        for (int i = 0; i < job->size; i++)
            check(ferry_peer_add(context, job->board->address[i], (size_t) job->board->length[i],
                                 NULL, &job->peers[i]) == 0);
        job_barrier(job);
        if (round == 0) {
            again = ferry_settle(context);
            check(again >= 0);
            if (again == FERRY_SETTLE_NETWORK)
                check(ferry_open_fabric(context) == 0);
            if (again == FERRY_SETTLE_RESERVE)
                check(ferry_open_reserve(context) == 0);
            again = again != FERRY_SETTLED;
        }
    }
    job->context = context;
}

static void job_child(struct job *job, void (*body)(struct job *))
{
    alarm(JOB_SECONDS);
    job_open(job);
    body(job);
    check(ferry_flush(job->context, 10000000) == 0);
    job_barrier(job);
    ferry_close(job->context);
    _exit(0);
}

/* Runs body in size processes. Returns how many failed; a process that killed itself with SIGKILL
 * meant to. */
static int job_run(int size, void (*body)(struct job *))
{
    struct job_board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[JOB_MAX];
    int failed = 0;

    check(getrandom(board->key, sizeof(board->key), 0) == sizeof(board->key));
    fflush(NULL);
    for (int i = 0; i < size; i++) {
        struct job job = {.rank = i, .size = size, .board = board};

        children[i] = fork();
        if (children[i] == 0)
            job_child(&job, body);
    }
    for (int i = 0; i < size; i++) {
        int status;

        waitpid(children[i], &status, 0);
        if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
            continue;
        if (!WIFEXITED(status) || WEXITSTATUS(status)) {
            fprintf(stderr, "process %d: %s %d\n", i, WIFEXITED(status) ? "exit" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
            failed++;
        }
    }
    munmap(board, sizeof(*board));
    return failed;
}

/* ---- Requests that count ---- */

struct job_request {
    ferry_request_t request;
    int done;
};

static void job_done(ferry_request_t *request)
{
    struct job_request *r = (struct job_request *) request;

    check(r->done++ == 0);
}

/* Marks a request by what a posting call returned. */
static void job_posted(struct job_request *r, int result)
{
    check(result >= 0);
    if (result == 1) {
        check(!r->done);
        r->done = 1;
    }
}

static void job_wait(struct job *job, struct job_request *r)
{
    while (!r->done)
        ferry_await(job->context);
}

static void job_send(struct job *job, int to, uint64_t match, const void *data, size_t length,
                     unsigned flags, struct job_request *r)
{
    memset(r, 0, sizeof(*r));
    r->request.done = job_done;
    job_posted(r, ferry_send(job->peers[to], match, data, length, flags, &r->request));
}

static void job_recv(struct job *job, uint64_t match, uint64_t ignore, void *data, size_t length,
                     struct job_request *r)
{
    memset(r, 0, sizeof(*r));
    r->request.done = job_done;
    job_posted(r, ferry_recv(job->context, match, ignore, data, length, &r->request));
}

static void job_fill(uint8_t *data, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++)
        data[i] = (uint8_t) (seed + i + (i >> 8) * 3);
}

static bool job_filled(const uint8_t *data, size_t length, unsigned seed)
{
    for (size_t i = 0; i < length; i++)
        if (data[i] != (uint8_t) (seed + i + (i >> 8) * 3))
            return false;
    return true;
}

#endif
