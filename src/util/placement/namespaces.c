#include "namespaces.h"

#include "peek.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The numbers of the first namespaces: enum init_ns_ino in linux/nsfs.h (Linux 6.18), and before that in
 * linux/proc_ns.h for all but mnt and net. */
static const struct {
    const char *name;
    uint64_t first;
} kinds[FERRY_NS_COUNT] = {
    [FERRY_NS_MNT] = {"mnt", 0xeffffff8},       [FERRY_NS_PID] = {"pid", 0xeffffffc},
    [FERRY_NS_IPC] = {"ipc", 0xefffffff},       [FERRY_NS_UTS] = {"uts", 0xeffffffe},
    [FERRY_NS_NET] = {"net", 0xeffffff9},       [FERRY_NS_USER] = {"user", 0xeffffffd},
    [FERRY_NS_CGROUP] = {"cgroup", 0xeffffffb}, [FERRY_NS_TIME] = {"time", 0xeffffffa},
};

/* Older kernels number mnt and net from 0xf0000000 on (PROC_DYNAMIC_FIRST in fs/proc/generic.c), together with
 * the files of /proc. The first mnt is made before all of these but maybe net; the first net before the devices
 * are looked for, while containers come later. */
#define DYNAMIC_FIRST 0xf0000000u
#define BOOT_MNT (DYNAMIC_FIRST + 1)
#define BOOT_NET (DYNAMIC_FIRST + 0xff)

const char *ferry_namespace_name(enum ferry_namespace which)
{
    return kinds[which].name;
}

const char *ferry_namespace_state_name(enum ferry_namespace_state state)
{
    static const char *const names[] = {"unknown", "initial", "own"};

    return names[state];
}

/* The number in a link such as "mnt:[4026531832]"; 0: can't be read. */
static uint64_t inode_of(const char *root, const char *process, enum ferry_namespace which)
{
    char path[PATH_MAX], target[64], name[16];
    uint64_t inode = 0;
    ssize_t length;

    snprintf(path, sizeof(path), "%s/proc/%s/ns/%s", root, process, kinds[which].name);
    length = readlink(path, target, sizeof(target) - 1);
    if (length <= 0)
        return 0;
    target[length] = '\0';
    if (sscanf(target, "%15[a-z]:[%" SCNu64 "]", name, &inode) != 2 ||
        strcmp(name, kinds[which].name) != 0)
        return 0;
    return inode;
}

static enum ferry_namespace_state compare(const char *root, const struct ferry_namespaces *all,
                                          enum ferry_namespace which)
{
    uint64_t inode = all->inode[which], first;

    if (inode == 0)
        return FERRY_NS_UNKNOWN;
    if (inode == kinds[which].first)
        return FERRY_NS_INITIAL;
    if (which != FERRY_NS_MNT && which != FERRY_NS_NET)
        return FERRY_NS_OWN;
    first = all->inode[FERRY_NS_PID] == kinds[FERRY_NS_PID].first ? inode_of(root, "1", which) : 0;
    if (first != 0)
        return inode == first ? FERRY_NS_INITIAL : FERRY_NS_OWN;
    if (inode < DYNAMIC_FIRST)
        return FERRY_NS_UNKNOWN;
    return inode <= (which == FERRY_NS_MNT ? BOOT_MNT : BOOT_NET) ? FERRY_NS_INITIAL : FERRY_NS_OWN;
}

void ferry_namespaces_find(const char *root, struct ferry_namespaces *out)
{
    for (int i = 0; i < FERRY_NS_COUNT; i++)
        out->inode[i] = inode_of(root, "self", i);
    for (int i = 0; i < FERRY_NS_COUNT; i++)
        out->state[i] = compare(root, out, i);
}
