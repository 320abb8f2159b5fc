/*
 * Messages between two ranks whose buffers an adapter has to register: latency (half of a round trip) and bandwidth (windows
 * of messages, answered by a short one), from and into buffers that are used again and again ("reused"), and from and into
 * memory that was written, but never sent from nor received into before ("fresh").
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* GAP: between two buffers, so that no page belongs to both. */
enum { TURNS = 5, MESSAGES = 4, BUFFERS = 2 * MESSAGES, GAP = 8192, DATA = 1, ANSWER = 2 };

static char *arena;
static size_t arena_bytes;

/* Makes all buffers anew. */
static void renew(size_t bytes)
{
    if (arena)
        munmap(arena, arena_bytes);
    arena_bytes = (bytes + GAP) * BUFFERS;
    arena = mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED)
        bench_fail("no memory");
    memset(arena, 1, arena_bytes);
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

/* Seconds for one message: the median of some turns. What is used again is known by then. */
static double measure(void (*turn)(size_t, int), size_t bytes, bool fresh)
{
    double times[TURNS];

    renew(bytes);
    for (int i = -1; i < TURNS; i++) {
        double begin;

        if (fresh)
            renew(bytes);
        MPI_Barrier(MPI_COMM_WORLD);
        begin = MPI_Wtime();
        turn(bytes, fresh ? MESSAGES : 1);
        if (i >= 0)
            times[i] = (MPI_Wtime() - begin) / MESSAGES;
    }
    qsort(times, TURNS, sizeof(times[0]), compare);
    return times[TURNS / 2];
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, 16 << 10, 1 << 20);
    if (bench_ranks != 2)
        bench_fail("this takes two ranks");
    BENCH_SIZES(bytes)
    {
        for (int fresh = 0; fresh < 2; fresh++) {
            const char *kind = fresh ? "latency fresh" : "latency reused";

            bench_tell(kind, bytes, measure(to_and_fro, bytes, fresh) / 2 * 1e6, "us");
            kind = fresh ? "bandwidth fresh" : "bandwidth reused";
            bench_tell(kind, bytes, (double) bytes / measure(window, bytes, fresh) / 1e9, "GB/s");
        }
    }
    MPI_Finalize();
    return 0;
}
