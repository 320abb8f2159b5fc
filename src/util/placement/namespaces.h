/*
 * Which of the kernel's namespaces a process shares with the machine itself.
 */
#ifndef FERRY_NAMESPACES_H
#define FERRY_NAMESPACES_H

#include <stdint.h>

/* See namespaces(7). */
enum ferry_namespace {
    FERRY_NS_MNT,
    FERRY_NS_PID,
    FERRY_NS_IPC,
    FERRY_NS_UTS,
    FERRY_NS_NET,
    FERRY_NS_USER,
    FERRY_NS_CGROUP,
    FERRY_NS_TIME,
    FERRY_NS_COUNT
};

enum ferry_namespace_state {
    FERRY_NS_UNKNOWN, /* /proc doesn't tell, or the kernel is older than this kind of namespace */
    FERRY_NS_INITIAL, /* the machine's first one */
    FERRY_NS_OWN      /* another: a container's */
};

struct ferry_namespaces {
    enum ferry_namespace_state state[FERRY_NS_COUNT];
    uint64_t inode[FERRY_NS_COUNT]; /* 0: unknown */
};

/* Looks at the namespaces of this process; root as in peek.h. Mount and network namespaces have fixed numbers
 * only since Linux 6.18; before, the numbers that are given while the kernel boots count as the first ones,
 * unless process 1 can be compared. Thread-safe. */
void ferry_namespaces_find(const char *root, struct ferry_namespaces *out);

/* As in /proc/self/ns: "mnt". */
const char *ferry_namespace_name(enum ferry_namespace which);

/* "initial", "own" or "unknown". */
const char *ferry_namespace_state_name(enum ferry_namespace_state state);

#endif
