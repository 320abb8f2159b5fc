/*
 * How many want the machine's processors, and how much of these a hypervisor takes.
 */
#ifndef FERRY_LOAD_H
#define FERRY_LOAD_H

#include <stdbool.h>
#include <stdint.h>

/* The number of threads of the whole machine (or of what the container shows of it) that run or could,
 * this one among them, at this moment. Takes about a microsecond. Thread-safe.
 * Errors: negative errno when the kernel does not tell. */
int ferry_runnable(void);

/* What was found, and how long it is believed; zeroed at first. */
struct ferry_load {
    uint64_t free_until_ns, taken_until_ns;
};

/* Whether no more threads run than there are processors. Asks the kernel only when what it said is older than
 * some microseconds, or, where there were more, a millisecond: cheap. One thread at a time. */
bool ferry_processors_free(struct ferry_load *load, uint32_t processors, uint64_t now_ns);

/* Processor time since the machine was started, in the kernel's ticks: stolen is what the hypervisor gave to
 * others while this machine wanted it, all includes that and idleness. False: the kernel does not tell.
 * root as in ferry_cgroup_visit(). */
bool ferry_steal_time(const char *root, uint64_t *stolen, uint64_t *all);

/* What was stolen, of all processors together, in microseconds: more than since_us, which is what the same call with 0
 * said before. 0 where the kernel does not tell. It is counted in ticks, of 10 ms mostly. */
uint64_t ferry_stolen_us(const char *root, uint64_t since_us);

/* Whether so much stolen from a measurement spoils its figure: more than this part of the time that it took. Good
 * measurements scatter by about as much. What is stolen on any processor counts in full, for whoever waits for that
 * process loses as much. */
#define FERRY_STEAL_PERCENT 1
static inline bool ferry_steal_spoils(uint64_t stolen_us, uint64_t elapsed_us)
{
    return stolen_us * 100 > elapsed_us * FERRY_STEAL_PERCENT;
}

#endif
