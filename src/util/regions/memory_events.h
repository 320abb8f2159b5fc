/*
 * Tells when memory of this process is unmapped or gets other pages: by hooks in the C library that UCX's libucm
 * puts there, and one of our own in mremap(), whose last argument libucm 1.13 loses. libucm is loaded when it is
 * needed, and stays. A system call that is made without the C library is not seen.
 */
#ifndef FERRY_MEMORY_EVENTS_H
#define FERRY_MEMORY_EVENTS_H

#include <stddef.h>
#include <stdint.h>

/* Before it happens, and after, in the thread that does it, perhaps inside malloc() or free(): they may not
 * allocate. Ranges that are told more than once before they end are possible. */
typedef void ferry_memory_before(uintptr_t start, size_t length);
typedef void ferry_memory_after(void);

/* Begins, and proves with memory of its own that events come; takes some ms the first time, and nothing afterwards
 * (with the same functions). NULL: they come from now on, until the process ends. Else why they don't: static text.
 * Any thread. */
const char *ferry_memory_events_start(ferry_memory_before *before, ferry_memory_after *after);

/* Puts our own function in the place of the C library's mremap(). It tells libucm's listeners of both ranges by
 * these functions of libucm's, and calls after. Errors: why not. */
typedef void ferry_memory_range(void *address, size_t length);
const char *ferry_memory_watch_mremap(ferry_memory_range *unmapped, ferry_memory_range *mapped,
                                      ferry_memory_after *after);

#endif
