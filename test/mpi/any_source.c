/*
 * Receives from any source: all ranks flood one that is slow to take what they send, with short and
 * long messages; from each the order is kept, and nothing is lost.
 */
#include "check.h"

enum { TAG = 3 };

static int length_of(int source, int i, int longest)
{
    return (source * 7919 + i * 104729) % (longest + 1);
}

static void flood(int many, int longest, int pause_us, bool any_tag)
{
    char *buffer = check_malloc(longest);
    if (check_rank != 0) {
        enum { WINDOW = 100 };
        MPI_Request request[WINDOW];
        char *out = check_malloc((size_t) WINDOW * longest);
        for (int i = 0; i < many; i++) {
            char *at = out + (size_t) (i % WINDOW) * longest;
            int length = length_of(check_rank, i, longest);
            if (i >= WINDOW)
                MPI_Wait(&request[i % WINDOW], MPI_STATUS_IGNORE);
            fill(at, length, (uint64_t) check_rank << 32 | i);
            MPI_Isend(at, length, MPI_BYTE, 0, any_tag ? i % 100 : TAG, MPI_COMM_WORLD,
                      &request[i % WINDOW]);
        }
        MPI_Waitall(many < WINDOW ? many : WINDOW, request, MPI_STATUSES_IGNORE);
        free(out);
    } else {
        int *next = calloc(check_size, sizeof(int));
        usleep(pause_us);
        for (int left = many * (check_size - 1); left > 0; left--) {
            MPI_Status status;
            int count;
            MPI_Recv(buffer, longest, MPI_BYTE, MPI_ANY_SOURCE, any_tag ? MPI_ANY_TAG : TAG,
                     MPI_COMM_WORLD, &status);
            int source = status.MPI_SOURCE, i = next[source]++;
            MPI_Get_count(&status, MPI_BYTE, &count);
            CHECK(i < many && count == length_of(source, i, longest),
                  "message %d of rank %d has %d bytes", i, source, count);
            CHECK(!any_tag || status.MPI_TAG == i % 100, "message %d of rank %d has tag %d", i,
                  source, status.MPI_TAG);
            CHECK_DATA(buffer, count, (uint64_t) source << 32 | i, "message %d of rank %d", i,
                       source);
            if (left % 1000 == 0)
                usleep(pause_us / 50);
        }
        free(next);
    }
    free(buffer);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Each asks the first with a message, and gets an answer by which it knows that it was meant. */
static void questions(int many)
{
    int question[2], answer[2];
    if (check_rank != 0) {
        for (int i = 0; i < many; i++) {
            question[0] = check_rank;
            question[1] = i;
            MPI_Send(question, 2, MPI_INT, 0, TAG, MPI_COMM_WORLD);
            MPI_Recv(answer, 2, MPI_INT, 0, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            CHECK(answer[0] == check_rank && answer[1] == -i, "answer %d, %d to question %d",
                  answer[0], answer[1], i);
        }
    } else {
        for (int left = many * (check_size - 1); left > 0; left--) {
            MPI_Status status;
            MPI_Recv(question, 2, MPI_INT, MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &status);
            CHECK(question[0] == status.MPI_SOURCE, "from %d, says %d", status.MPI_SOURCE,
                  question[0]);
            answer[0] = question[0];
            answer[1] = -question[1];
            MPI_Send(answer, 2, MPI_INT, status.MPI_SOURCE, TAG, MPI_COMM_WORLD);
        }
    }
}

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    flood(20000, 64, 200000, false);
    flood(5000, 5000, 200000, true);
    flood(100, 1 << 20, 100000, false);
    questions(1000);
    return check_end();
}
