/*
 * Mapped memory that others can take away, such as a file that is truncated: touching it would kill
 * the process by SIGBUS. In a guarded range it gets memory of its own instead, and a flag is set.
 */
#ifndef FERRY_FAULT_H
#define FERRY_FAULT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Guards [base, base + length), whole pages, until ferry_fault_unguard(). flag becomes true when a
 * touch failed; what is read from the range after that means nothing. Any thread. Faults elsewhere go
 * to whoever handled SIGBUS before. Errors: -ENOSPC too many ranges. */
int ferry_fault_guard(void *base, size_t length, _Atomic bool *flag);
void ferry_fault_unguard(void *base);

#endif
