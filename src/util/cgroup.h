/*
 * Cgroups, versions 1 and 2: where the limits of this process are to be read.
 */
#ifndef FERRY_CGROUP_H
#define FERRY_CGROUP_H

#include <stdint.h>

enum ferry_cgroup_version { FERRY_CGROUP_1 = 1, FERRY_CGROUP_2 };

/* folder: of one cgroup. */
typedef void (*ferry_cgroup_fn)(const char *folder, enum ferry_cgroup_version version, void *arg);

/* Calls visit for the own cgroup and those above it, as far up as they are mounted, in version 1's hierarchy
 * of a controller ("memory") and in version 2's. root: "" or a folder that holds proc and all else, for
 * tests. Thread-safe. */
void ferry_cgroup_visit(const char *root, const char *controller, ferry_cgroup_fn visit, void *arg);

/* The index-th word of a file, a number; otherwise when it is none ("max", or no such file). */
uint64_t ferry_cgroup_number(const char *folder, const char *name, unsigned index,
                             uint64_t otherwise);

/* The number behind a name in a file of lines "name number"; 0 when it isn't there. */
uint64_t ferry_cgroup_field(const char *folder, const char *name, const char *field);

#endif
