/*
 * Messages between two ranks whose buffers an adapter has to register: latency (half of a round trip) and bandwidth (windows
 * of messages, answered by a short one), from and into buffers that are used again and again ("reused"), and from and into
 * memory that was written, but never sent from nor received into before ("fresh"). With test/guests/slow_register.c also how
 * often both ranks registered memory meanwhile, and how long that took for each message.
 */
#include "bench.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* KNOWN: turns after which a cache knows a buffer. GAP: between two buffers, so that no page belongs to both. */
enum {
    KNOWN = 2,
    TURNS = 5,
    MESSAGES = 4,
    BUFFERS = 2 * MESSAGES,
    GAP = 8192,
    DATA = 1,
    ANSWER = 2
};

__attribute__((weak)) void slow_register_count(uint64_t *count, uint64_t *spent_ns);

static char *arena;

/* Makes all buffers anew. Those before are not given back: what came in their place a cache would take for them. */
static void renew(size_t bytes)
{
    size_t all = (bytes + GAP) * BUFFERS;

    arena = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED)
        bench_fail("no memory");
    memset(arena, 1, all);
}

static char *buffer(size_t bytes, int number)
{
    return arena + (bytes + GAP) * (size_t) number;
}

/* So many round trips; i % kept: with these buffers. */
static void to_and_fro(size_t bytes, int kept)
{
    for (int i = 0; i < MESSAGES; i++) {
        char *out = buffer(bytes, 2 * (i % kept)), *in = buffer(bytes, 2 * (i % kept) + 1);

        if (bench_rank == 0)
            MPI_Send(out, (int) bytes, MPI_CHAR, 1, DATA, MPI_COMM_WORLD);
        MPI_Recv(in, (int) bytes, MPI_CHAR, 1 - bench_rank, DATA, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
        if (bench_rank == 1)
            MPI_Send(out, (int) bytes, MPI_CHAR, 0, DATA, MPI_COMM_WORLD);
    }
}

static void window(size_t bytes, int kept)
{
    MPI_Request request[MESSAGES];
    char answer = 1;

    for (int i = 0; i < MESSAGES; i++)
        if (bench_rank == 0)
            MPI_Isend(buffer(bytes, i % kept), (int) bytes, MPI_CHAR, 1, DATA, MPI_COMM_WORLD,
                      &request[i]);
        else
            MPI_Irecv(buffer(bytes, i), (int) bytes, MPI_CHAR, 0, DATA, MPI_COMM_WORLD,
                      &request[i]);
    MPI_Waitall(MESSAGES, request, MPI_STATUSES_IGNORE);
    if (bench_rank == 0)
        MPI_Recv(&answer, 1, MPI_CHAR, 1, ANSWER, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else
        MPI_Send(&answer, 1, MPI_CHAR, 0, ANSWER, MPI_COMM_WORLD);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

static void tell(const char *kind, bool fresh, const char *what, size_t bytes, double value,
                 const char *unit)
{
    char test[64];

    snprintf(test, sizeof(test), "%s %s%s", kind, fresh ? "fresh" : "reused", what);
    bench_tell(test, bytes, value, unit);
}

/* What of both ranks was counted by now. */
static void registrations(uint64_t all[2])
{
    uint64_t own[2];

    slow_register_count(&own[0], &own[1]);
    MPI_Allreduce(own, all, 2, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
}

/* Makes so many messages. */
struct work {
    const char *name;
    void (*turn)(size_t bytes, int kept);
    int messages;
};

static void tell_registrations(const struct work *work, bool fresh, size_t bytes,
                               const uint64_t before[2])
{
    uint64_t now[2];

    registrations(now);
    tell(work->name, fresh, " registrations", bytes, (double) (now[0] - before[0]), "times");
    tell(work->name, fresh, " registering", bytes,
         (double) (now[1] - before[1]) / 1000 / TURNS / work->messages, "us");
}

/* Seconds for one message: the median of some turns. What is used again is known by then. */
static double measure(const struct work *work, bool fresh, size_t bytes)
{
    double times[TURNS], begin;
    uint64_t before[2];

    renew(bytes);
    for (int i = -KNOWN; i < TURNS; i++) {
        if (fresh)
            renew(bytes);
        if (i == 0 && slow_register_count)
            registrations(before);
        MPI_Barrier(MPI_COMM_WORLD);
        begin = MPI_Wtime();
        work->turn(bytes, fresh ? MESSAGES : 1);
        if (i >= 0)
            times[i] = (MPI_Wtime() - begin) / work->messages;
    }
    if (slow_register_count)
        tell_registrations(work, fresh, bytes, before);
    qsort(times, TURNS, sizeof(times[0]), compare);
    return times[TURNS / 2];
}

int main(int argc, char **argv)
{
    const struct work latency = {"latency", to_and_fro, 2 * MESSAGES};
    const struct work bandwidth = {"bandwidth", window, MESSAGES};

    bench_begin(argc, argv, 16 << 10, 1 << 20);
    if (bench_ranks != 2)
        bench_fail("this takes two ranks");
    BENCH_SIZES(bytes)
    {
        for (int fresh = 0; fresh < 2; fresh++) {
            tell("latency", fresh, "", bytes, measure(&latency, fresh, bytes) * 1e6, "us");
            tell("bandwidth", fresh, "", bytes,
                 (double) bytes / measure(&bandwidth, fresh, bytes) / 1e9, "GB/s");
        }
    }
    MPI_Finalize();
    return 0;
}
