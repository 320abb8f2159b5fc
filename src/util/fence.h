/*
 * Memory fences that only the side that rarely needs them pays for. Of two processes, one often writes a
 * message and then reads whether the other sleeps; the other rarely writes that it sleeps and then looks for
 * messages. Without a fence between the two steps on both sides each may miss the other. With
 * ferry_fence_all() between those of the sleeper, the writer needs none (membarrier(2)).
 */
#ifndef FERRY_FENCE_H
#define FERRY_FENCE_H

#include <stdbool.h>

/* To be called first by every process that leaves out its fence. False: this kernel or container has no such
 * thing. Does not last over exec. Thread-safe. */
bool ferry_fence_register(void);

/* A full fence in every thread that runs, of all processes of this kernel that are registered; takes some
 * microseconds. False: there was none. Thread-safe. */
bool ferry_fence_all(void);

#endif
