/*
 * Sorts integers with the communication of NAS IS: the sizes of buckets are summed by MPI_Allreduce, each rank gets
 * buckets next to each other, told by MPI_Alltoall and sent by MPI_Alltoallv, and counts the keys in them. Told is the
 * time of one sorting; the bytes are those of a rank's keys. That the keys come out in order, all of them, is checked.
 */
#include "bench.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 1 << 19, BITS = 19, BUCKETS = 1 << 10, SHIFT = BITS - 10, SORTINGS = 12 };

static int *keys, *by_bucket, *got, *counts;
static int room; /* for keys that are got */

/* A rank's keys: the sum of four random numbers, as in IS, so that the middle is fuller. */
static void draw(void)
{
    uint64_t state = 88172645463325252u + (uint64_t) bench_rank * 7919;

    for (int i = 0; i < KEYS; i++) {
        int sum = 0;

        for (int each = 0; each < 4; each++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            sum += (int) (state >> 40) & ((1 << (BITS - 2)) - 1);
        }
        keys[i] = sum;
    }
}

/* Gives each bucket to a rank, so that all get about as many keys; first[r] is rank r's first bucket. */
static void deal(const int *sizes, int *first)
{
    int64_t before = 0, all = (int64_t) KEYS * bench_ranks;
    int rank = 0;

    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        while (rank <= bench_ranks - 1 && before >= all * rank / bench_ranks)
            first[rank++] = bucket;
        before += sizes[bucket];
    }
    while (rank <= bench_ranks)
        first[rank++] = BUCKETS;
}

/* Returns how many keys this rank has after it; they are in got[], counted in counts[]. */
static int sort(void)
{
    int size[BUCKETS] = {0}, sum[BUCKETS], at[BUCKETS], first[bench_ranks + 1];
    int out[bench_ranks], out_at[bench_ranks], in[bench_ranks], in_at[bench_ranks], all = 0;

    for (int i = 0; i < KEYS; i++)
        size[keys[i] >> SHIFT]++;
    MPI_Allreduce(size, sum, BUCKETS, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    deal(sum, first);
    for (int bucket = 0, next = 0; bucket < BUCKETS; next += size[bucket++])
        at[bucket] = next;
    for (int rank = 0, next = 0; rank < bench_ranks; rank++) {
        out_at[rank] = next;
        for (int bucket = first[rank]; bucket < first[rank + 1]; bucket++)
            next += size[bucket];
        out[rank] = next - out_at[rank];
    }
    for (int i = 0; i < KEYS; i++)
        by_bucket[at[keys[i] >> SHIFT]++] = keys[i];
    MPI_Alltoall(out, 1, MPI_INT, in, 1, MPI_INT, MPI_COMM_WORLD);
    for (int rank = 0; rank < bench_ranks; all += in[rank++])
        in_at[rank] = all;
    if (all > room)
        bench_fail("one rank got far more keys than the others");
    MPI_Alltoallv(by_bucket, out, out_at, MPI_INT, got, in, in_at, MPI_INT, MPI_COMM_WORLD);
    memset(counts, 0, sizeof(int) << BITS);
    for (int i = 0; i < all; i++)
        counts[got[i]]++;
    return all;
}

/* Whether all keys are there, none of a rank is less than those of the rank before, and their sum is what it was. */
static void check(int have)
{
    int64_t mine[2] = {have, 0}, sum[2], before = 0, after = 0;
    int least = (1 << BITS), most = -1, previous = -1;

    for (int i = 0; i < have; i++) {
        mine[1] += got[i];
        least = got[i] < least ? got[i] : least;
        most = got[i] > most ? got[i] : most;
    }
    for (int i = 0; i < KEYS; i++)
        before += keys[i];
    MPI_Allreduce(mine, sum, 2, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    MPI_Allreduce(&before, &after, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
    MPI_Exscan(&most, &previous, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    if (sum[0] != (int64_t) KEYS * bench_ranks || sum[1] != after ||
        (bench_rank && least < previous))
        bench_fail("the keys are not in order, or not those that there were");
}

int main(int argc, char **argv)
{
    double begin;
    int have = 0;

    bench_begin(argc, argv, KEYS, KEYS);
    room = 3 * KEYS;
    keys = bench_memory(sizeof(int) * KEYS);
    by_bucket = bench_memory(sizeof(int) * KEYS);
    got = bench_memory(sizeof(int) * (size_t) room);
    counts = bench_memory(sizeof(int) << BITS);
    draw();
    sort();
    MPI_Barrier(MPI_COMM_WORLD);
    begin = MPI_Wtime();
    for (int i = 0; i < SORTINGS; i++)
        have = sort();
    MPI_Barrier(MPI_COMM_WORLD);
    begin = MPI_Wtime() - begin;
    check(have);
    bench_tell("sorting", sizeof(int) * KEYS, begin / SORTINGS * 1e3, "ms");
    MPI_Finalize();
    return 0;
}
