/*
 * What a process is allowed, of that which matters to messages.
 */
#ifndef FERRY_PROCESS_LIMITS_H
#define FERRY_PROCESS_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

enum ferry_shm_state {
    FERRY_SHM_ABSENT,
    FERRY_SHM_OTHER, /* something is there, but no file system in memory */
    FERRY_SHM_FOUND
};

/* Sizes in bytes; UINT64_MAX: no limit. */
struct ferry_limits {
    uint32_t processors;  /* that the process may run on; 0: unknown */
    uint32_t online;      /* that the kernel shows; 0: unknown */
    uint32_t quota_milli; /* thousandths of a processor, of the tightest cgroup; 0: no limit */
    bool steal_known;
    uint32_t
        steal_permille; /* of the time since the machine started, what a hypervisor gave to others */
    uint64_t memlock, memlock_hard;
    uint64_t file_size;
    uint64_t headroom; /* see ferry_headroom_memory() */
    enum ferry_shm_state shm;
    uint64_t shm_size, shm_free;
    uint64_t huge_size, huge_pages,
        huge_free; /* hugetlbfs's default size, and how many there are; size 0: none */
    char thp[16], thp_shmem[16]; /* transparent huge pages: "always", "madvise" ...; "": unknown */
    int ptrace_scope; /* 0 to 3, see Documentation/admin-guide/LSM/Yama.rst; -1: no Yama */
};

/* Fills out; root as in peek.h (what system calls tell is of this process all the same). Takes some 100 us.
 * Thread-safe. */
void ferry_limits_find(const char *root, struct ferry_limits *out);

struct ferry_call {
    const char *name; /* of the system call */
    const char *use;  /* what it is good for, in a few words */
    int error;        /* 0: allowed; else the errno that the kernel gave */
};
#define FERRY_CALLS 5

/* Tries the calls that containers and kernels forbid, by this process upon itself, and takes back what they
 * did. A seccomp filter that kills instead of refusing kills this process. Not for threads side by side with
 * others that are near RLIMIT_MEMLOCK: one page of it is taken for a moment. */
void ferry_limits_try(struct ferry_call out[FERRY_CALLS]);

#endif
