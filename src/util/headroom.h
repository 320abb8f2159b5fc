/*
 * How much memory this process may still take before the kernel kills it instead of refusing.
 */
#ifndef FERRY_HEADROOM_H
#define FERRY_HEADROOM_H

#include <stdint.h>

/* How many bytes can still be allocated in the file system of fd: what is free there (a memfd's has
 * no limit), in the machine, and in each memory cgroup of this process that can be seen. It is what
 * it was when it was read: others may take it. UINT64_MAX: no limit was found. Reads a
 * dozen small files: some 100 us. */
uint64_t ferry_headroom(int fd);

/* The part of the machine and the cgroups. root is put before all paths, for tests; "" else. */
uint64_t ferry_headroom_memory(const char *root);

/* The longest that this process may make a file (RLIMIT_FSIZE: a signal kills it at the next byte).
 * UINT64_MAX: no limit. */
uint64_t ferry_file_size_limit(void);

#endif
