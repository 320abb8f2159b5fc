/*
 * Between two ranks: half the round trip of 8 bytes in microseconds, 1 MiB messages (that follow each other) in MB/s, and one
 * memcpy of 1 MiB in MB/s, from memory of MPI_Alloc_mem. The best of several tries of some milliseconds each. For ./bench.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LONG = 1 << 20, TRIPS = 1000, MESSAGES = 8, TRIES = 10 };

static char *out, *in;
static int rank;

static double trips(void)
{
    double begin = MPI_Wtime();

    for (int i = 0; i < TRIPS; i++) {
        if (rank == 0)
            MPI_Send(out, 8, MPI_BYTE, 1, 1, MPI_COMM_WORLD);
        MPI_Recv(in, 8, MPI_BYTE, !rank, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1)
            MPI_Send(out, 8, MPI_BYTE, 0, 1, MPI_COMM_WORLD);
    }
    return (MPI_Wtime() - begin) / TRIPS / 2 * 1e6;
}

static double stream(void)
{
    MPI_Request requests[MESSAGES];
    double begin = MPI_Wtime();

    for (int i = 0; i < MESSAGES; i++)
        if (rank == 0)
            MPI_Isend(out, LONG, MPI_BYTE, 1, 2, MPI_COMM_WORLD, &requests[i]);
        else
            MPI_Irecv(in, LONG, MPI_BYTE, 0, 2, MPI_COMM_WORLD, &requests[i]);
    MPI_Waitall(MESSAGES, requests, MPI_STATUSES_IGNORE);
    if (rank == 0)
        MPI_Recv(in, 1, MPI_BYTE, 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else
        MPI_Send(out, 1, MPI_BYTE, 0, 3, MPI_COMM_WORLD);
    return (double) LONG * MESSAGES / (MPI_Wtime() - begin) / 1e6;
}

static double copy(void)
{
    double begin = MPI_Wtime();

    for (int i = 0; i < MESSAGES; i++) {
        memcpy(in, out, LONG);
        __asm__ volatile("" ::: "memory");
    }
    return (double) LONG * MESSAGES / (MPI_Wtime() - begin) / 1e6;
}

int main(int argc, char **argv)
{
    double latency = 1e9, bandwidth = 0, copying = 0, value;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Alloc_mem(LONG, MPI_INFO_NULL, &out);
    if (posix_memalign((void **) &in, 4096, LONG))
        MPI_Abort(MPI_COMM_WORLD, 1);
    memset(out, 1, LONG);
    memset(in, 1, LONG);
    for (int i = 0; i < TRIES; i++) {
        value = trips();
        latency = value < latency ? value : latency;
        value = stream();
        bandwidth = value > bandwidth ? value : bandwidth;
    }
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < TRIES && rank == 0; i++) {
        value = copy();
        copying = value > copying ? value : copying;
    }
    MPI_Free_mem(out);
    if (rank == 0)
        printf("%.3f %.1f %.1f\n", latency, bandwidth, copying);
    MPI_Finalize();
    return 0;
}
