/*
 * How many want the machine's processors.
 */
#ifndef FERRY_LOAD_H
#define FERRY_LOAD_H

/* The number of threads of the whole machine (or of what the container shows of it) that run or could,
 * this one among them, at this moment. Takes about a microsecond. Thread-safe.
 * Errors: negative errno when the kernel does not tell. */
int ferry_runnable(void);

#endif
