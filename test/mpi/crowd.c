/*
 * More ranks than processors: an allreduce must cost what the work costs, not a time slice for each
 * rank that waits. crowd MICROSECONDS fails when the mean is above.
 */
#include "check.h"

int main(int argc, char **argv)
{
    enum { MANY = 200 };
    check_start(&argc, &argv, 2);
    double limit = argc > 1 ? atof(argv[1]) : 0, in = check_rank, out = 0, start = 0;
    for (int i = -10; i < MANY; i++) {
        if (i == 0) {
            MPI_Barrier(MPI_COMM_WORLD);
            start = MPI_Wtime();
        }
        MPI_Allreduce(&in, &out, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        CHECK(out == check_size * (check_size - 1) / 2.0, "sum is %g", out);
    }
    double mean = (MPI_Wtime() - start) / MANY * 1e6;
    if (check_rank == 0)
        printf("%.1f us for an allreduce of %d ranks\n", mean, check_size);
    CHECK(limit == 0 || mean <= limit, "%.1f us for an allreduce, limit %.1f", mean, limit);
    return check_end();
}
