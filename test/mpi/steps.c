/*
 * Collective operations repeated often on the same communicators, so that Ferry takes memory for them: of all
 * lengths around the limits of what goes through it, with ranks that are late in turn.
 */
#include "check.h"

#include <pthread.h>

#define MOST 5000 /* longs */
#define ROUNDS 60

static const int counts[] = {0, 1, 2, 7, 100, 255, 256, 257, 1000, 2047, 2048, 2049, MOST};
#define COUNTS ((int) (sizeof(counts) / sizeof(counts[0])))

struct place {
    MPI_Comm comm;
    int rank, size;
    long mine[MOST], in[MOST], *all;
};

/* Another rank in each round, and none in most. */
static void be_late_in_turn(struct place *p, int round)
{
    if (round % 3 == 0 && round / 3 % p->size == p->rank)
        usleep(300);
}

static long value(int round, int rank, int i)
{
    return round * 1000003L + rank * 1009L + i;
}

static void fill_mine(struct place *p, int round, int count)
{
    for (int i = 0; i < count; i++)
        p->mine[i] = value(round, p->rank, i);
}

static void check_sum(struct place *p, const long *sum, int round, int count, const char *what)
{
    for (int i = 0; i < count; i++) {
        long wanted = p->size * value(round, 0, i) + 1009L * p->size * (p->size - 1) / 2;
        CHECK(sum[i] == wanted, "%s of %d, round %d: %ld at %d instead of %ld", what, count, round,
              sum[i], i, wanted);
    }
}

static void reduce(struct place *p, int round, int count)
{
    int root = round % p->size;

    fill_mine(p, round, count);
    MPI_Allreduce(p->mine, p->in, count, MPI_LONG, MPI_SUM, p->comm);
    check_sum(p, p->in, round, count, "allreduce");
    be_late_in_turn(p, round);
    MPI_Reduce(p->mine, p->in, count, MPI_LONG, MPI_SUM, root, p->comm);
    if (p->rank == root)
        check_sum(p, p->in, round, count, "reduce");
    memcpy(p->in, p->mine, sizeof(long) * (size_t) count);
    MPI_Allreduce(MPI_IN_PLACE, p->in, count, MPI_LONG, MPI_SUM, p->comm);
    check_sum(p, p->in, round, count, "allreduce in place");
    MPI_Reduce(p->rank == root ? MPI_IN_PLACE : p->mine, p->rank == root ? p->mine : NULL, count,
               MPI_LONG, MPI_SUM, root, p->comm);
    if (p->rank == root)
        check_sum(p, p->mine, round, count, "reduce in place");
}

/* Every second element, in a datatype of the receivers only. */
static void bcast(struct place *p, int round, int count)
{
    int root = (round + 1) % p->size;
    MPI_Datatype spread;

    MPI_Type_vector(count / 2, 1, 2, MPI_LONG, &spread);
    MPI_Type_commit(&spread);
    for (int again = 0; again < 5; again++) {
        memset(p->in, 0xff, sizeof(p->in));
        if (p->rank == root)
            for (int i = 0; i < count; i++)
                p->in[i] = value(round + again, root, i);
        if (p->rank == root || again % 2 == 0)
            MPI_Bcast(p->in, count / 2, MPI_LONG, root, p->comm);
        else
            MPI_Bcast(p->in, count / 2 > 0, spread, root, p->comm);
        for (int i = 0; i < count / 2; i++) {
            long got = p->in[p->rank != root && again % 2 ? 2 * i : i];
            CHECK(got == value(round + again, root, i), "bcast of %d, round %d, %d: %ld at %d",
                  count / 2, round, again, got, i);
        }
    }
    MPI_Type_free(&spread);
}

static void gather(struct place *p, int round, int count)
{
    fill_mine(p, round, count);
    MPI_Allgather(p->mine, count, MPI_LONG, p->all, count, MPI_LONG, p->comm);
    for (int r = 0; r < p->size; r++)
        for (int i = 0; i < count; i++)
            CHECK(p->all[r * count + i] == value(round, r, i),
                  "allgather of %d, round %d: %ld at %d of rank %d", count, round,
                  p->all[r * count + i], i, r);
}

static void all_on(MPI_Comm comm)
{
    struct place *p = malloc(sizeof(*p));

    p->comm = comm;
    MPI_Comm_rank(comm, &p->rank);
    MPI_Comm_size(comm, &p->size);
    p->all = malloc(sizeof(long) * MOST * (size_t) p->size);
    for (int round = 0; round < ROUNDS; round++) {
        int count = counts[round % COUNTS];
        reduce(p, round, count);
        bcast(p, round, count);
        be_late_in_turn(p, round);
        gather(p, round, count);
        if (round % 2)
            MPI_Barrier(comm);
    }
    free(p->all);
    free(p);
}

/* What a communicator took is given back with it. */
static void many_communicators(void)
{
    MPI_Comm copy;

    for (int i = 0; i < 300; i++) {
        MPI_Comm_dup(MPI_COMM_WORLD, &copy);
        for (int k = 0; k < 12; k++)
            MPI_Barrier(copy);
        MPI_Comm_free(&copy);
    }
}

static void *in_a_thread(void *arg)
{
    all_on(*(MPI_Comm *) arg);
    return NULL;
}

/* Two communicators, each used by a thread of its own. */
static void two_threads(void)
{
    MPI_Comm copies[2];
    pthread_t thread;

    for (int i = 0; i < 2; i++)
        MPI_Comm_dup(MPI_COMM_WORLD, &copies[i]);
    pthread_create(&thread, NULL, in_a_thread, &copies[1]);
    all_on(copies[0]);
    pthread_join(thread, NULL);
    for (int i = 0; i < 2; i++)
        MPI_Comm_free(&copies[i]);
}

int main(int argc, char **argv)
{
    int threads = argc > 1;
    MPI_Comm part;

    check_start_level(&argc, &argv, 2, threads ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE);
    all_on(MPI_COMM_WORLD);
    MPI_Comm_split(MPI_COMM_WORLD, check_rank % 2, -check_rank, &part);
    all_on(part);
    MPI_Comm_free(&part);
    many_communicators();
    if (threads)
        two_threads();
    return check_end();
}
