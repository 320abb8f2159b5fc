/*
 * What ferry_bench (libferry alone) and ferry_bench_mpi (any MPI) share: the options, the rounds, what
 * the machine itself can do at that moment, and the tables.
 */
#ifndef FERRY_BENCH_COMMON_H
#define FERRY_BENCH_COMMON_H

#include <stdbool.h>
#include <stddef.h>

enum { BENCH_WINDOW = 64, BENCH_SIZES_MAX = 32 };

typedef struct bench_sizes {
    int count;
    size_t bytes[BENCH_SIZES_MAX];
} bench_sizes_t;

typedef struct bench_options {
    int rounds;
    double seconds; /* that one measurement takes */
    int cpu[2];     /* of the two processes; -1: not pinned */
    bool csv, pairs;
    const char *name; /* in the output */
    bench_sizes_t latency, bandwidth, rate;
} bench_options_t;

/* What the leading process tells the other one to take part in. */
typedef struct bench_command {
    enum { BENCH_END, BENCH_SLEEP, BENCH_LATENCY, BENCH_WINDOWS } what;
    int count;    /* round trips, windows or microseconds */
    size_t bytes; /* of each message */
} bench_command_t;

/* How two processes talk. Both call the same function with the same command; the times are the
 * leading one's. */
typedef struct bench_front {
    void *self;
    void (*command)(void *self, bench_command_t *command, bool lead);
    void (*latency)(void *self, size_t bytes, int count, bool lead);
    /* Windows of BENCH_WINDOW messages, each answered by a short one. */
    void (*windows)(void *self, size_t bytes, int count, bool lead);
} bench_front_t;

/* Reads the command line; ends the program on errors and after --help. */
void bench_parse(bench_options_t *options, int argc, char **argv);
size_t bench_longest(const bench_options_t *options);

/* Starts the helper that hands over cache lines, a process on the cpu of the one who will not lead. It
 * sleeps while it is not needed. To be called before anything else is opened. */
void bench_limit_start(const bench_options_t *options);
/* Runs this process on one cpu. */
void bench_pin(int cpu);

/* Measures and prints, as the leading process; follows, as the other. */
void bench_lead(const bench_options_t *options, const bench_front_t *front, const char *pair);
void bench_follow(const bench_front_t *front);

#endif
