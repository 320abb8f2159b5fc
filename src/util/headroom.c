#include "headroom.h"

#include "cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/vfs.h>

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- Cgroups ---- */

/* The names of the same things in the two versions. */
static const struct names {
    const char *limit, *usage, *inactive_cache, *active_cache;
} names[] = {
    [FERRY_CGROUP_1] = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
                        "total_active_file"},
    [FERRY_CGROUP_2] = {"memory.max", "memory.current", "inactive_file", "active_file"},
};

/* What one cgroup leaves. */
static void visit(const char *folder, enum ferry_cgroup_version version, void *arg)
{
    const struct names *name = &names[version];
    uint64_t limit = ferry_cgroup_number(folder, name->limit, 0, UINT64_MAX);
    uint64_t usage = ferry_cgroup_number(folder, name->usage, 0, 0);
    uint64_t cache, *headroom = arg;

    /* Version 1 shows no limit as a number of pages that no machine has. */
    if (limit >= INT64_MAX / 4096 * 4096)
        return;
    /* The kernel drops cached files before it kills. Half of those in use are taken to be needed. */
    cache = ferry_cgroup_field(folder, "memory.stat", name->inactive_cache) +
            ferry_cgroup_field(folder, "memory.stat", name->active_cache) / 2;
    usage -= least(usage, cache);
    *headroom = least(*headroom, limit > usage ? limit - usage : 0);
}

uint64_t ferry_headroom_memory(const char *root)
{
    char proc[PATH_MAX];
    uint64_t machine, headroom = UINT64_MAX;

    snprintf(proc, sizeof(proc), "%s/proc", root);
    machine = ferry_cgroup_field(proc, "meminfo", "MemAvailable:"); /* in KiB */
    ferry_cgroup_visit(root, "memory", visit, &headroom);
    return machine != 0 ? least(machine * 1024, headroom) : headroom;
}

/* ---- File systems ---- */

static uint64_t headroom_of_files(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) != 0)
        return 0;
    if (fs.f_blocks == 0) /* a memfd's, or a tmpfs without a limit */
        return UINT64_MAX;
    return (uint64_t) fs.f_bavail * (uint64_t) fs.f_bsize;
}

uint64_t ferry_headroom(int fd)
{
    return least(headroom_of_files(fd), ferry_headroom_memory(""));
}

uint64_t ferry_file_size_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return UINT64_MAX;
    return limit.rlim_cur;
}
