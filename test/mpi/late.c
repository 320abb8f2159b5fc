/*
 * Rank 0 comes late; the others must not burn their processors meanwhile: not in MPI_Recv, not in a loop of
 * MPI_Test, and not until it has taken what they add to its window. With an argument they wait in a thread, while another thread talks.
 */
#include "check.h"

#include <pthread.h>
#include <sys/resource.h>

#define WAIT_US 2000000

static double used(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void check_used(double before)
{
    CHECK(used() - before < 0.25e-6 * WAIT_US, "%.2f s of a processor went into waiting for %.2f s",
          used() - before, 1e-6 * WAIT_US);
}

static void wait_for(int tag, int by_tests)
{
    int word = 0, done = 0;
    double before = used();
    MPI_Request request;

    MPI_Irecv(&word, 1, MPI_INT, 0, tag, MPI_COMM_WORLD, &request);
    while (by_tests && !done)
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK(word == tag, "%d came", word);
    check_used(before);
}

static void be_late(int tag)
{
    usleep(WAIT_US);
    for (int r = 1; r < check_size; r++)
        MPI_Send(&tag, 1, MPI_INT, r, tag, MPI_COMM_WORLD);
}

static void add_to_who_is_late(void)
{
    int one = 1, *own;
    double before;
    MPI_Win win;

    MPI_Win_allocate(sizeof(*own), sizeof(*own), MPI_INFO_NULL, MPI_COMM_WORLD, &own, &win);
    *own = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    before = used();
    if (check_rank == 0) {
        usleep(WAIT_US);
    } else {
        MPI_Win_lock(MPI_LOCK_SHARED, 0, MPI_MODE_NOCHECK, win);
        MPI_Accumulate(&one, 1, MPI_INT, 0, 0, 1, MPI_INT, MPI_SUM, win);
        MPI_Win_unlock(0, win);
        check_used(before);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    CHECK(check_rank != 0 || *own == check_size - 1, "the sum is %d", *own);
    MPI_Win_free(&win);
}

static void *wait_in_a_thread(void *arg)
{
    (void) arg;
    wait_for(3, 0);
    return NULL;
}

/* The rank's other thread is to be heard although the first sleeps inside MPI; it must not wait for the lock for
 * long, which would take as long as all the rest. */
static void talk_beside(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, wait_in_a_thread, NULL);
    for (int i = 0; i < 10; i++) {
        usleep(WAIT_US / 20);
        MPI_Send(&i, 1, MPI_INT, 0, 4, MPI_COMM_WORLD);
    }
    pthread_join(thread, NULL);
}

static void hear_and_be_late(void)
{
    double begin = MPI_Wtime();
    int i;

    for (int k = 0; k < 10 * (check_size - 1); k++)
        MPI_Recv(&i, 1, MPI_INT, MPI_ANY_SOURCE, 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    CHECK(MPI_Wtime() - begin < 2e-6 * WAIT_US, "words took %.2f s", MPI_Wtime() - begin);
    be_late(3);
}

int main(int argc, char **argv)
{
    int threads = argc > 1;

    check_start_level(&argc, &argv, 2, threads ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE);
    MPI_Barrier(MPI_COMM_WORLD);
    for (int by_tests = 0; by_tests < 2; by_tests++)
        if (check_rank == 0)
            be_late(1 + by_tests);
        else
            wait_for(1 + by_tests, by_tests);
    add_to_who_is_late();
    if (threads && check_rank == 0)
        hear_and_be_late();
    else if (threads)
        talk_beside();
    return check_end();
}
