/*
 * Messages between two ranks: latency (half of a round trip), bandwidth and rate (windows of messages, each answered by
 * a short one), and bidirectional bandwidth (both send windows at once; told is the sum).
 */
#include "bench.h"

#include <string.h>

enum { WINDOW = 64, WINDOW_BYTES = 64 << 20, DATA = 1, ANSWER = 2 };

static char *out, *in;

/* So many messages that all of them have WINDOW_BYTES at most. */
static int window(size_t bytes)
{
    size_t fit = WINDOW_BYTES / bytes;

    return fit < 1 ? 1 : fit > WINDOW ? WINDOW : (int) fit;
}

static void latency(size_t bytes, int count)
{
    int length = (int) bytes, other = 1 - bench_rank;

    for (int i = 0; i < count; i++) {
        if (bench_rank == 0)
            MPI_Send(out, length, MPI_CHAR, other, DATA, MPI_COMM_WORLD);
        MPI_Recv(in, length, MPI_CHAR, other, DATA, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (bench_rank == 1)
            MPI_Send(out, length, MPI_CHAR, other, DATA, MPI_COMM_WORLD);
    }
}

static void one_way(size_t bytes, int count)
{
    MPI_Request request[WINDOW];
    int wide = window(bytes), length = (int) bytes, other = 1 - bench_rank;
    char answer[4] = "ok";

    for (int i = 0; i < count; i++) {
        for (int w = 0; w < wide; w++)
            if (bench_rank == 0)
                MPI_Isend(out, length, MPI_CHAR, other, DATA, MPI_COMM_WORLD, &request[w]);
            else
                MPI_Irecv(in, length, MPI_CHAR, other, DATA, MPI_COMM_WORLD, &request[w]);
        MPI_Waitall(wide, request, MPI_STATUSES_IGNORE);
        if (bench_rank == 0)
            MPI_Recv(answer, 4, MPI_CHAR, other, ANSWER, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        else
            MPI_Send(answer, 4, MPI_CHAR, other, ANSWER, MPI_COMM_WORLD);
    }
}

static void both_ways(size_t bytes, int count)
{
    MPI_Request request[2 * WINDOW];
    int wide = window(bytes), length = (int) bytes, other = 1 - bench_rank;

    for (int i = 0; i < count; i++) {
        for (int w = 0; w < wide; w++)
            MPI_Irecv(in, length, MPI_CHAR, other, DATA, MPI_COMM_WORLD, &request[w]);
        for (int w = 0; w < wide; w++)
            MPI_Isend(out, length, MPI_CHAR, other, DATA, MPI_COMM_WORLD, &request[wide + w]);
        MPI_Waitall(2 * wide, request, MPI_STATUSES_IGNORE);
    }
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, 1, 64 << 20);
    if (bench_ranks != 2)
        bench_fail("this takes two ranks");
    out = bench_memory(bench_to);
    in = bench_memory(bench_to);
    BENCH_SIZES(bytes)
    {
        double each;

        bench_tell("latency", bytes, bench_measure(latency, bytes, true) / 2 * 1e6, "us");
        each = bench_measure(one_way, bytes, true) / window(bytes);
        bench_tell("bandwidth", bytes, (double) bytes / each / 1e9, "GB/s");
        bench_tell("rate", bytes, 1e-6 / each, "M/s");
        each = bench_measure(both_ways, bytes, true) / window(bytes);
        bench_tell("bidirectional", bytes, 2 * (double) bytes / each / 1e9, "GB/s");
    }
    MPI_Finalize();
    return 0;
}
