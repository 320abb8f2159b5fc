/*
 * ferry_bench for any MPI: between two ranks, or with --pairs between every two.
 *     mpicc -O2 -I../util -o ferry_bench_mpi ferry_bench_mpi.c ferry_bench_common.c ../util/load.c ../util/peek.c
 *     mpiexec -n 2 ferry_bench_mpi
 */
#include "ferry_bench_common.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DATA = 1, ANSWER = 2, COMMAND = 3 };

typedef struct pair {
    int other;
    char *out, *in;
} pair_t;

static void command(void *self, bench_command_t *command, bool lead)
{
    pair_t *pair = self;
    if (lead)
        MPI_Send(command, sizeof(*command), MPI_BYTE, pair->other, COMMAND, MPI_COMM_WORLD);
    else
        MPI_Recv(command, sizeof(*command), MPI_BYTE, pair->other, COMMAND, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
}

static void latency(void *self, size_t bytes, int count, bool lead)
{
    pair_t *pair = self;
    int length = (int) bytes;
    for (int i = 0; i < count; i++) {
        if (lead) {
            MPI_Send(pair->out, length, MPI_CHAR, pair->other, DATA, MPI_COMM_WORLD);
            MPI_Recv(pair->in, length, MPI_CHAR, pair->other, DATA, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(pair->in, length, MPI_CHAR, pair->other, DATA, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
            MPI_Send(pair->out, length, MPI_CHAR, pair->other, DATA, MPI_COMM_WORLD);
        }
    }
}

static void windows(void *self, size_t bytes, int count, bool lead)
{
    pair_t *pair = self;
    MPI_Request request[BENCH_WINDOW];
    char answer[4] = "ok";
    for (int i = 0; i < count; i++) {
        for (int w = 0; w < BENCH_WINDOW; w++) {
            if (lead)
                MPI_Isend(pair->out, (int) bytes, MPI_CHAR, pair->other, DATA, MPI_COMM_WORLD,
                          &request[w]);
            else
                MPI_Irecv(pair->in, (int) bytes, MPI_CHAR, pair->other, DATA, MPI_COMM_WORLD,
                          &request[w]);
        }
        MPI_Waitall(BENCH_WINDOW, request, MPI_STATUSES_IGNORE);
        if (lead)
            MPI_Recv(answer, sizeof(answer), MPI_CHAR, pair->other, ANSWER, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        else
            MPI_Send(answer, sizeof(answer), MPI_CHAR, pair->other, ANSWER, MPI_COMM_WORLD);
    }
}

/* All meet, without using the processors: two others may be measuring. */
static void meet_quietly(void)
{
    MPI_Request request;
    int done = 0;
    MPI_Ibarrier(MPI_COMM_WORLD, &request);
    while (MPI_Test(&request, &done, MPI_STATUS_IGNORE), !done)
        usleep(1000);
}

int main(int argc, char **argv)
{
    bench_options_t options;
    pair_t pair;
    int rank, size;
    bench_parse(&options, argc, argv);
    bench_limit_start(&options);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size < 2) {
        fprintf(stderr, "ferry_bench_mpi: needs two ranks\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    size_t longest = bench_longest(&options);
    if (posix_memalign((void **) &pair.out, 4096, longest) ||
        posix_memalign((void **) &pair.in, 4096, longest)) {
        fprintf(stderr, "ferry_bench_mpi: no memory\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    memset(pair.out, 1, longest);
    memset(pair.in, 2, longest);

    const bench_front_t front = {&pair, command, latency, windows};
    int last = options.pairs ? size : 2;
    for (int lead = 0; lead < last; lead++)
        for (int follow = lead + 1; follow < last; follow++) {
            char name[64];
            snprintf(name, sizeof(name), "%d-%d", lead, follow);
            if (rank == lead) {
                pair.other = follow;
                bench_lead(&options, &front, name);
            } else if (rank == follow) {
                pair.other = lead;
                bench_pin(options.cpu[1]);
                bench_follow(&front);
            }
            meet_quietly();
        }
    MPI_Finalize();
    return 0;
}
