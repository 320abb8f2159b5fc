/*
 * Collective operations of all ranks: the slowest rank's mean. Bytes are those that a rank gives to each other one
 * (alltoall), or to all of them.
 */
#include "bench.h"

static char *in, *out;

static void barrier(size_t bytes, int count)
{
    (void) bytes;
    while (count--)
        MPI_Barrier(MPI_COMM_WORLD);
}

static void bcast(size_t bytes, int count)
{
    while (count--)
        MPI_Bcast(in, (int) bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
}

static void allreduce(size_t bytes, int count)
{
    while (count--)
        MPI_Allreduce(in, out, (int) (bytes / sizeof(double)), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
}

static void allgather(size_t bytes, int count)
{
    while (count--)
        MPI_Allgather(in, (int) bytes, MPI_BYTE, out, (int) bytes, MPI_BYTE, MPI_COMM_WORLD);
}

static void alltoall(size_t bytes, int count)
{
    while (count--)
        MPI_Alltoall(in, (int) bytes, MPI_BYTE, out, (int) bytes, MPI_BYTE, MPI_COMM_WORLD);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, sizeof(double), 2 << 20);
    in = bench_memory(bench_to * (size_t) bench_ranks);
    out = bench_memory(bench_to * (size_t) bench_ranks);
    /* Numbers that a sum leaves alone. */
    for (size_t i = 0; i < bench_to / sizeof(double); i++)
        ((double *) in)[i] = 0;
    bench_tell("barrier", 0, bench_measure(barrier, 0, false) * 1e6, "us");
    BENCH_SIZES(bytes)
    {
        bench_tell("bcast", bytes, bench_measure(bcast, bytes, false) * 1e6, "us");
        bench_tell("allreduce", bytes, bench_measure(allreduce, bytes, false) * 1e6, "us");
        bench_tell("allgather", bytes, bench_measure(allgather, bytes, false) * 1e6, "us");
        bench_tell("alltoall", bytes, bench_measure(alltoall, bytes, false) * 1e6, "us");
    }
    MPI_Finalize();
    return 0;
}
