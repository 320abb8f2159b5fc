/*
 * A column of a matrix of doubles with rows of 8 KiB, sent into a column of another: half of a round trip. Bytes are the
 * column's.
 */
#include "bench.h"

enum { COLUMNS = 1024 };

static double *from, *to;

static void column(size_t bytes, int count)
{
    int other = 1 - bench_rank;
    MPI_Datatype type;

    MPI_Type_vector((int) (bytes / sizeof(double)), 1, COLUMNS, MPI_DOUBLE, &type);
    MPI_Type_commit(&type);
    for (int i = 0; i < count; i++) {
        if (bench_rank == 0)
            MPI_Send(from, 1, type, other, 1, MPI_COMM_WORLD);
        MPI_Recv(to, 1, type, other, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (bench_rank == 1)
            MPI_Send(from, 1, type, other, 1, MPI_COMM_WORLD);
    }
    MPI_Type_free(&type);
}

int main(int argc, char **argv)
{
    bench_begin(argc, argv, 128, 32768);
    if (bench_ranks != 2)
        bench_fail("this takes two ranks");
    from = bench_memory(bench_to * COLUMNS);
    to = bench_memory(bench_to * COLUMNS);
    BENCH_SIZES(bytes)
    bench_tell("column", bytes, bench_measure(column, bytes, true) / 2 * 1e6, "us");
    MPI_Finalize();
    return 0;
}
