/*
 * A child made by fork() that ends, with all its exit handlers, takes nothing with it.
 */
#include "check.h"

#include <sys/wait.h>

enum { LENGTH = 300000, TAG = 5 };

static void exchange(uint64_t seed)
{
    static char out[LENGTH], in[LENGTH];
    int right = (check_rank + 1) % check_size, left = (check_rank + check_size - 1) % check_size;
    for (int length = 1; length <= LENGTH; length *= 10) {
        fill(out, length, seed + check_rank);
        MPI_Sendrecv(out, length, MPI_BYTE, right, TAG, in, length, MPI_BYTE, left, TAG,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        CHECK_DATA(in, length, seed + left, "%d bytes", length);
    }
}

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    for (int i = 0; i < 5; i++) {
        exchange(100 * i);
        pid_t child = fork();
        CHECK(child >= 0, "fork: %m");
        if (child == 0)
            exit(i % 2 == 0 ? 0 : system("true"));
        exchange(100 * i + 50);
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ended with %d",
              status);
        exchange(100 * i + 70);
    }
    return check_end();
}
