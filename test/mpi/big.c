/*
 * One message of more than 2^31 bytes, contiguous and not, expected and not.
 */
#include "check.h"

enum { TAG = 8 };

int main(int argc, char **argv)
{
    const size_t length = ((size_t) 1 << 31) + 123464;
    check_start(&argc, &argv, 2);
    char *buffer = NULL;
    MPI_Datatype row, all;
    MPI_Count count;
    MPI_Status status;
    if (check_rank < 2)
        buffer = check_malloc(length);
    /* Words with nothing between, seen by MPI as a type whose size does not fit an int. */
    MPI_Type_contiguous(8, MPI_BYTE, &row);
    MPI_Type_contiguous((int) (length / 8), row, &all);
    MPI_Type_commit(&all);
    for (int i = 0; i < 2; i++) {
        if (check_rank == 0) {
            fill(buffer, length, 40 + i);
            if (i == 0)
                MPI_Recv(NULL, 0, MPI_BYTE, 1, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(buffer, 1, all, 1, TAG, MPI_COMM_WORLD);
        } else if (check_rank == 1) {
            memset(buffer, 0, length);
            if (i == 0) {
                MPI_Request request;
                MPI_Irecv(buffer, 1, all, 0, TAG, MPI_COMM_WORLD, &request);
                MPI_Send(NULL, 0, MPI_BYTE, 0, TAG, MPI_COMM_WORLD);
                MPI_Wait(&request, &status);
            } else {
                MPI_Probe(0, TAG, MPI_COMM_WORLD, &status);
                MPI_Get_elements_x(&status, MPI_BYTE, &count);
                CHECK((size_t) count == length, "probe says %lld bytes", (long long) count);
                MPI_Recv(buffer, 1, all, 0, TAG, MPI_COMM_WORLD, &status);
            }
            MPI_Get_elements_x(&status, MPI_BYTE, &count);
            CHECK((size_t) count == length, "%lld bytes received", (long long) count);
            CHECK_DATA(buffer, length, 40 + i, "message %d", i);
        }
    }
    MPI_Type_free(&all);
    /* Every second word, 2^31 bytes and more between the first and the last. */
    MPI_Type_vector((int) (length / 16), 8, 16, MPI_BYTE, &all);
    MPI_Type_commit(&all);
    if (check_rank == 0) {
        fill(buffer, length, 50);
        MPI_Send(buffer, 1, all, 1, TAG, MPI_COMM_WORLD);
    } else if (check_rank == 1) {
        fill(buffer, length, 51);
        MPI_Recv(buffer, 1, all, 0, TAG, MPI_COMM_WORLD, &status);
        for (size_t i = 0; i < length / 8; i++) {
            uint64_t word, want = check_word(i % 2 == 0 && i / 2 < length / 16 ? 50 : 51, i);
            memcpy(&word, buffer + 8 * i, 8);
            CHECK(word == want, "word %zu", i);
        }
    }
    MPI_Type_free(&row);
    MPI_Type_free(&all);
    free(buffer);
    return check_end();
}
