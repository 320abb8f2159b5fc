/*
 * A rank sends and leaves at once; what it sent arrives, though the receiver comes late. With an argument the ranks talk for
 * so many seconds before, until the quickest way between them is found.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGES = 6, LONGEST = 60000, LATE_US = 1000000 };

static char buffers[MESSAGES][LONGEST];

static int length_of(int message)
{
    return LONGEST / (message + 1);
}

static void talk(double seconds)
{
    double begin = MPI_Wtime();
    int more = 1;

    while (more) {
        more = MPI_Wtime() - begin < seconds;
        MPI_Bcast(&more, 1, MPI_INT, 0, MPI_COMM_WORLD);
    }
}

static int is_right(int message)
{
    for (int i = 0; i < length_of(message); i++)
        if (buffers[message][i] != message + 1)
            return 0;
    return 1;
}

int main(int argc, char **argv)
{
    int rank, right = 1;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (argc > 1)
        talk(atof(argv[1]));
    if (rank == 1)
        usleep(LATE_US);
    for (int i = 0; i < MESSAGES && rank < 2; i++) {
        if (rank == 0) {
            memset(buffers[i], i + 1, LONGEST);
            MPI_Send(buffers[i], length_of(i), MPI_BYTE, 1, i, MPI_COMM_WORLD);
        } else {
            MPI_Recv(buffers[i], length_of(i), MPI_BYTE, 0, i, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            right &= is_right(i);
        }
    }
    if (rank == 1)
        puts(right ? "passed" : "a message is wrong");
    MPI_Finalize();
    return !right;
}
