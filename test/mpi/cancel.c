/*
 * Receives can be taken back; a send can't, and arrives although it was cancelled.
 */
#include "check.h"

enum { TAG = 9, OTHER = 10 };

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    for (int length = 8; length <= 1 << 20; length *= 8) {
        char *buffer = check_malloc(length);
        MPI_Request request;
        MPI_Status status;
        int cancelled;
        if (check_rank == 0) {
            /* The one cancelled would have taken the message: the other one must get it. */
            memset(buffer, 0x5a, length);
            MPI_Irecv(buffer, length, MPI_BYTE, 1, TAG, MPI_COMM_WORLD, &request);
            MPI_Cancel(&request);
            MPI_Wait(&request, &status);
            MPI_Test_cancelled(&status, &cancelled);
            CHECK(cancelled, "receive of %d bytes not cancelled", length);
            MPI_Barrier(MPI_COMM_WORLD);
            char *other = check_malloc(length);
            MPI_Recv(other, length, MPI_BYTE, 1, TAG, MPI_COMM_WORLD, &status);
            CHECK_DATA(other, length, length, "after a cancelled receive");
            for (int i = 0; i < length; i++)
                CHECK(buffer[i] == 0x5a, "a cancelled receive of %d bytes took data", length);
            free(other);

            MPI_Recv(buffer, length, MPI_BYTE, 1, OTHER, MPI_COMM_WORLD, &status);
            CHECK_DATA(buffer, length, length + 1, "cancelled send");
        } else if (check_rank == 1) {
            MPI_Barrier(MPI_COMM_WORLD);
            fill(buffer, length, length);
            MPI_Send(buffer, length, MPI_BYTE, 0, TAG, MPI_COMM_WORLD);

            fill(buffer, length, length + 1);
            MPI_Isend(buffer, length, MPI_BYTE, 0, OTHER, MPI_COMM_WORLD, &request);
            MPI_Cancel(&request);
            MPI_Wait(&request, &status);
            MPI_Test_cancelled(&status, &cancelled);
            CHECK(!cancelled, "send of %d bytes cancelled", length);
        } else {
            MPI_Barrier(MPI_COMM_WORLD);
        }
        free(buffer);
    }
    return check_end();
}
