/*
 * What the programs of test/bench have in common: their options, how often a thing is repeated, and how a figure is
 * told. Each figure is a line "test,bytes,value,unit,spoiled" of rank 0, written at once, so that those before a crash
 * are not lost; spoiled is 1 if the hypervisor took too much time meanwhile, else 0.
 *
 * Options of all: --time=MS for one figure (10), --from=BYTES, --to=BYTES, --factor=N from one size to the next (4).
 */
#ifndef BENCH_H
#define BENCH_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

extern int bench_rank, bench_ranks;
extern size_t bench_from, bench_to, bench_factor;

/* Starts MPI, with the sizes that are measured where no options say otherwise. Gives each rank a processor of its own
 * where there are enough of them. */
void bench_begin(int argc, char **argv, size_t from, size_t to);

/* The next of the sizes in turn; the last is bench_to or below. */
#define BENCH_SIZES(bytes) for (size_t bytes = bench_from; bytes <= bench_to; bytes *= bench_factor)

/* Memory that begins where a page does, and has been written to. Ends the job where there is none. */
void *bench_memory(size_t bytes);

/* What is measured: it is done count times. */
typedef void bench_work_fn(size_t bytes, int count);

/* Seconds that it takes once, of rank 0 (lead) or of the slowest: the median of some turns that fill the time. It is
 * done at least three times, and first for three times as long to warm up. All ranks call this together and get the same. */
double bench_measure(bench_work_fn *work, size_t bytes, bool lead);

/* Whether stolen time spoiled what was measured since this was last called. */
bool bench_spoiled(void);

void bench_tell(const char *test, size_t bytes, double value, const char *unit);

/* Ends the job with a message. */
_Noreturn void bench_fail(const char *what);

#endif
