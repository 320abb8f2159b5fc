/*
 * Partitioned communication: the parts are made ready in any order, and arrive each by itself.
 */
#include "check.h"

enum { PARTS = 16, TAG = 7 };

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    for (int piece = 8; piece <= 1 << 18 && check_rank < 2; piece *= 8) {
        char *buffer = check_malloc((size_t) piece * PARTS);
        MPI_Request request;
        if (check_rank == 0)
            MPI_Psend_init(buffer, PARTS, piece, MPI_BYTE, 1, TAG, MPI_COMM_WORLD, MPI_INFO_NULL,
                           &request);
        else
            MPI_Precv_init(buffer, PARTS, piece, MPI_BYTE, 0, TAG, MPI_COMM_WORLD, MPI_INFO_NULL,
                           &request);
        for (int round = 0; round < 10; round++) {
            if (check_rank == 1)
                memset(buffer, 0, (size_t) piece * PARTS);
            MPI_Start(&request);
            for (int i = 0; i < PARTS; i++) {
                int part = (i * 7 + round) % PARTS;
                if (check_rank == 0) {
                    fill(buffer + (size_t) part * piece, piece, round * 100 + part);
                    MPI_Pready(part, request);
                } else {
                    int there = 0;
                    while (!there)
                        MPI_Parrived(request, part, &there);
                    CHECK_DATA(buffer + (size_t) part * piece, piece, round * 100 + part,
                               "part %d of round %d", part, round);
                }
            }
            MPI_Wait(&request, MPI_STATUS_IGNORE);
        }
        MPI_Request_free(&request);
        free(buffer);
    }
    return check_end();
}
