/*
 * MPI_THREAD_MULTIPLE: threads of one process each with a partner of their own, some of which block
 * in a receive for long while the others go on; one communicator for all and one for each.
 */
#include "check.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 2000 };

static MPI_Comm own[THREADS];
static int partner;

static void *ping_pong(void *arg)
{
    int me = (int) (intptr_t) arg, longest = me == 3 ? 200000 : 3000;
    char *buffer = check_malloc(longest);
    for (int i = 0; i < ROUNDS / (me == 3 ? 10 : 1); i++) {
        MPI_Comm comm = i % 2 == 0 ? MPI_COMM_WORLD : own[me];
        int length = (i * 7919) % (longest + 1), count;
        uint64_t seed = (uint64_t) me << 32 | i;
        MPI_Status status;
        if (check_rank % 2 == 0) {
            fill(buffer, length, seed);
            MPI_Send(buffer, length, MPI_BYTE, partner, 50 + me, comm);
            memset(buffer, 0, length);
            MPI_Recv(buffer, longest, MPI_BYTE, partner, 60 + me, comm, &status);
        } else {
            MPI_Recv(buffer, longest, MPI_BYTE, i % 3 == 0 ? MPI_ANY_SOURCE : partner, 50 + me,
                     comm, &status);
            MPI_Send(buffer, length, MPI_BYTE, partner, 60 + me, comm);
        }
        MPI_Get_count(&status, MPI_BYTE, &count);
        CHECK(count == length, "thread %d, round %d: %d of %d bytes", me, i, count, length);
        CHECK_DATA(buffer, length, seed, "thread %d, round %d", me, i);
    }
    free(buffer);
    return NULL;
}

/* Waits for the answer that comes only after all the others are done. */
static void *waiter(void *arg)
{
    int word = 0;
    (void) arg;
    MPI_Recv(&word, 1, MPI_INT, partner, 99, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(word == 4711, "the late word is %d", word);
    return NULL;
}

int main(int argc, char **argv)
{
    int provided, word = 4711;
    pthread_t thread[THREADS], late;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &check_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &check_size);
    CHECK(provided == MPI_THREAD_MULTIPLE, "thread level %d", provided);
    CHECK(check_size % 2 == 0, "%d ranks, needs pairs", check_size);
    partner = check_rank ^ 1;
    for (int t = 0; t < THREADS; t++)
        MPI_Comm_dup(MPI_COMM_WORLD, &own[t]);
    pthread_create(&late, NULL, waiter, NULL);
    for (int t = 0; t < THREADS; t++)
        pthread_create(&thread[t], NULL, ping_pong, (void *) (intptr_t) t);
    for (int t = 0; t < THREADS; t++)
        pthread_join(thread[t], NULL);
    MPI_Send(&word, 1, MPI_INT, partner, 99, MPI_COMM_WORLD);
    pthread_join(late, NULL);
    for (int t = 0; t < THREADS; t++)
        MPI_Comm_free(&own[t]);
    return check_end();
}
