/*
 * Time is measured in parts, and told is their median: what else happens on the machine then spoils some of them, not
 * the whole.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity() */
#endif
#include "bench.h"
#include "load.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARTS = 7, TRIES = 9, WARM = 3 };

int bench_rank, bench_ranks;
size_t bench_from, bench_to, bench_factor = 4;
static double seconds = 0.01;
static uint64_t stolen_before;
static double told_before;

void bench_fail(const char *what)
{
    fprintf(stderr, "%s\n", what);
    MPI_Abort(MPI_COMM_WORLD, 1);
    exit(1);
}

static void pin(void)
{
    cpu_set_t all, one;
    int skip = bench_rank;

    if (sched_getaffinity(0, sizeof(all), &all) || CPU_COUNT(&all) < bench_ranks)
        return;
    CPU_ZERO(&one);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && skip-- == 0)
            CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof(one), &one);
}

/* The number behind "--name=", where the word begins so. */
static bool number(const char *word, const char *name, double *value)
{
    size_t length = strlen(name);
    char *end;

    if (strncmp(word, name, length))
        return false;
    *value = strtod(word + length, &end);
    if (end == word + length || *end || !(*value > 0 && *value <= 1 << 30))
        bench_fail("a number from 1 to 2^30 is wanted behind each option");
    return true;
}

void bench_begin(int argc, char **argv, size_t from, size_t to)
{
    double value;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &bench_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &bench_ranks);
    bench_from = from;
    bench_to = to;
    for (int i = 1; i < argc; i++) {
        if (number(argv[i], "--time=", &value))
            seconds = value / 1000;
        else if (number(argv[i], "--from=", &value))
            bench_from = (size_t) value;
        else if (number(argv[i], "--to=", &value))
            bench_to = (size_t) value;
        else if (number(argv[i], "--factor=", &value) && value >= 2)
            bench_factor = (size_t) value;
        else
            bench_fail("options are --time=MS --from=BYTES --to=BYTES --factor=N");
    }
    pin();
    bench_spoiled();
}

void *bench_memory(size_t bytes)
{
    void *memory;

    if (posix_memalign(&memory, 4096, bytes))
        bench_fail("no memory");
    memset(memory, 1, bytes);
    return memory;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

static double timed(bench_work_fn *work, size_t bytes, int count, bool lead)
{
    double spent, longest;

    MPI_Barrier(MPI_COMM_WORLD);
    spent = MPI_Wtime();
    work(bytes, count);
    spent = MPI_Wtime() - spent;
    if (lead && bench_rank)
        spent = 0;
    MPI_Allreduce(&spent, &longest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return longest / count;
}

double bench_measure(bench_work_fn *work, size_t bytes, bool lead)
{
    double part[PARTS], share = seconds / PARTS, left = seconds, warm = WARM * seconds, once;
    int count = 1, parts = 0;

    timed(work, bytes, 1, lead);
    /* What an MPI touches for the first time the kernel has to find, which takes some a tenth of a millisecond a page. */
    do {
        once = timed(work, bytes, count, lead);
        warm -= once * count;
        count = count < 1 << 16 ? 2 * count : count;
    } while (warm > 0);
    /* The first times may be far from what it takes when it goes on: until so many really take that long. */
    for (int tries = 0; tries < TRIES; tries++) {
        double wanted = share / once + 1;

        count = wanted < 8.0 * count ? (int) wanted : 8 * count;
        once = timed(work, bytes, count, lead);
        if (once * count > share / 2)
            break;
    }
    while (parts < PARTS && (parts == 0 || left > 0)) {
        part[parts] = timed(work, bytes, count, lead);
        left -= part[parts++] * count;
    }
    qsort(part, (size_t) parts, sizeof(part[0]), ascending);
    return parts % 2 ? part[parts / 2] : (part[parts / 2 - 1] + part[parts / 2]) / 2;
}

bool bench_spoiled(void)
{
    uint64_t stolen = ferry_stolen_us("", stolen_before);
    double now = MPI_Wtime(), spent = now - told_before;

    stolen_before = ferry_stolen_us("", 0);
    told_before = now;
    return ferry_steal_spoils(stolen, (uint64_t) (spent * 1e6));
}

void bench_tell(const char *test, size_t bytes, double value, const char *unit)
{
    if (bench_rank)
        return;
    printf("%s,%zu,%.6g,%s,%d\n", test, bytes, value, unit, bench_spoiled());
    fflush(stdout);
}
