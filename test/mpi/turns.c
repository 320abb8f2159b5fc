/*
 * Ranks that work in turn, a millisecond each: turns PART fails when the processor time that all took is more than
 * PART times the work. For a quota of processor time, of which waiting must not take much.
 */
#include "check.h"

#include <time.h>

#define TURNS 400

static double now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

static void work_a_millisecond(void)
{
    double end = now(CLOCK_THREAD_CPUTIME_ID) + 1e-3;

    while (now(CLOCK_THREAD_CPUTIME_ID) < end)
        ;
}

int main(int argc, char **argv)
{
    double most = argc > 1 ? atof(argv[1]) : 0, mine, all, begin;

    check_start(&argc, &argv, 2);
    MPI_Barrier(MPI_COMM_WORLD);
    mine = now(CLOCK_PROCESS_CPUTIME_ID);
    begin = MPI_Wtime();
    for (int i = 0; i < TURNS; i++) {
        int in = i, out;

        if (i % check_size == check_rank)
            work_a_millisecond();
        MPI_Allreduce(&in, &out, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
        CHECK(out == i, "%d", out);
    }
    mine = now(CLOCK_PROCESS_CPUTIME_ID) - mine;
    MPI_Allreduce(&mine, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    if (check_rank == 0) {
        printf("%.3f s, of processors %.3f s\n", MPI_Wtime() - begin, all);
        CHECK(most == 0 || all <= most * 1e-3 * TURNS, "%.3f s of processors for %.3f s of work",
              all, 1e-3 * TURNS);
    }
    return check_end();
}
