/*
 * A job that lasts for rounds SECONDS, so that somebody can stop or freeze a part of it: every round a long message
 * goes around, and all meet. Says "under way" when the first round is done.
 */
#include "check.h"

enum { TAG = 4, LENGTH = 1 << 20 };

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    int next = (check_rank + 1) % check_size, before = (check_rank + check_size - 1) % check_size;
    char *out = check_malloc(LENGTH), *in = check_malloc(LENGTH);
    double end = MPI_Wtime() + (argc > 1 ? atof(argv[1]) : 1);

    for (uint64_t round = 0, more = 1; more != 0; round++) {
        fill(out, LENGTH, round * 1000 + check_rank);
        MPI_Sendrecv(out, LENGTH, MPI_BYTE, next, TAG, in, LENGTH, MPI_BYTE, before, TAG,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        CHECK_DATA(in, LENGTH, round * 1000 + before, "round %lld", (long long) round);
        more = MPI_Wtime() < end;
        MPI_Bcast(&more, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
        if (round == 0 && check_rank == 0) {
            printf("under way\n");
            fflush(stdout);
        }
    }
    free(out);
    free(in);
    return check_end();
}
