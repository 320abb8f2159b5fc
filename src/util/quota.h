/*
 * The processor time that a process may use at most (the --cpus of container engines).
 */
#ifndef FERRY_QUOTA_H
#define FERRY_QUOTA_H

#include <stdint.h>

struct ferry_quota {
    uint32_t milli; /* thousandths of a processor; 0: no limit */
    uint64_t
        group; /* names the cgroup that has the limit: the same for all processes of this kernel
                       that share it */
};

/* The tightest of the limits that can be seen; root as in ferry_cgroup_visit(). Thread-safe. */
struct ferry_quota ferry_quota(const char *root);

#endif
