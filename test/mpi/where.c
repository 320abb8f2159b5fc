/*
 * Says where each rank runs, and lets every pair exchange a word: the smallest job.
 */
#include "check.h"

int main(int argc, char **argv)
{
    char name[256] = "";
    check_start(&argc, &argv, 1);
    gethostname(name, sizeof(name) - 1);
    printf("rank %d runs as pid %d on %s\n", check_rank, (int) getpid(), name);
    fflush(stdout);
    for (int r = 0; r < check_size; r++) {
        int out = check_rank * 1000 + r, in = -1;
        if (r == check_rank)
            continue;
        MPI_Sendrecv(&out, 1, MPI_INT, r, 1, &in, 1, MPI_INT, r, 1, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        CHECK(in == r * 1000 + check_rank, "rank %d sent %d", r, in);
    }
    return check_end();
}
