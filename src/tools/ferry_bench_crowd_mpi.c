/*
 * Collective operations of any MPI, for maint/bench-crowd: prints "test,bytes,microseconds,spoiled" for each, the
 * slowest rank's mean over as many calls as fit the time; and 1 if stolen time spoiled it, else 0.
 *
 *   ferry_bench_crowd_mpi MILLISECONDS
 */
#include "load.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16384, CALLS = 20 };

static int rank, size;
static char *in, *out;

static void call(const char *test, int bytes)
{
    if (!strcmp(test, "barrier"))
        MPI_Barrier(MPI_COMM_WORLD);
    else if (!strcmp(test, "bcast"))
        MPI_Bcast(in, bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
    else if (!strcmp(test, "allreduce"))
        MPI_Allreduce(in, out, bytes / 8, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    else
        MPI_Allgather(in, bytes, MPI_BYTE, out, bytes, MPI_BYTE, MPI_COMM_WORLD);
}

static void measure(const char *test, int bytes, double seconds)
{
    double start, spent, longest;
    uint64_t stolen_before;
    int calls = 0, again = 1, spoiled;

    for (int i = 0; i < CALLS; i++)
        call(test, bytes);
    MPI_Barrier(MPI_COMM_WORLD);
    stolen_before = ferry_stolen_us("", 0);
    start = MPI_Wtime();
    while (again) {
        for (int i = 0; i < CALLS; i++)
            call(test, bytes);
        calls += CALLS;
        /* Rank 0 decides, with a call that counts as one. */
        again = MPI_Wtime() - start < seconds;
        MPI_Bcast(&again, 1, MPI_INT, 0, MPI_COMM_WORLD);
        calls++;
    }
    spent = MPI_Wtime() - start;
    spoiled = ferry_steal_spoils(ferry_stolen_us("", stolen_before), (uint64_t) (spent * 1e6));
    spent /= calls;
    MPI_Reduce(&spent, &longest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("%s,%d,%.3f,%d\n", test, bytes, longest * 1e6, spoiled);
}

int main(int argc, char **argv)
{
    static const int sizes[] = {8, 1024, MOST};
    double seconds = (argc > 1 ? atof(argv[1]) : 100) / 1000;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    in = calloc(MOST, 1);
    out = calloc((size_t) size, MOST);
    measure("barrier", 0, seconds);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        measure("bcast", sizes[i], seconds);
        measure("allreduce", sizes[i], seconds);
        measure("allgather", sizes[i], seconds);
    }
    free(in);
    free(out);
    MPI_Finalize();
    return 0;
}
