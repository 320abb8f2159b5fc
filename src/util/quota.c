#include "quota.h"

#include "cgroup.h"

#include <stdbool.h>
#include <sys/stat.h>

/* The time that may be used in each period, microseconds. Version 2 has both numbers in one file, the period
 * second. */
static void visit(const char *folder, enum ferry_cgroup_version version, void *arg)
{
    bool first = version == FERRY_CGROUP_1;
    uint64_t quota = ferry_cgroup_number(folder, first ? "cpu.cfs_quota_us" : "cpu.max", 0, 0);
    uint64_t period = ferry_cgroup_number(folder, first ? "cpu.cfs_period_us" : "cpu.max", !first,
                                          0);
    struct ferry_quota *tightest = arg;
    struct stat info;
    uint64_t milli;

    /* Version 1 has -1 where there is no limit. */
    if (!quota || quota > INT64_MAX / 1000 || !period || stat(folder, &info))
        return;
    milli = quota * 1000 / period;
    milli = milli == 0 ? 1 : milli > UINT32_MAX ? UINT32_MAX : milli;
    if (tightest->milli && tightest->milli <= milli)
        return;
    tightest->milli = (uint32_t) milli;
    tightest->group = (uint64_t) info.st_dev << 32 ^ info.st_ino;
}

struct ferry_quota ferry_quota(const char *root)
{
    struct ferry_quota tightest = {0};

    ferry_cgroup_visit(root, "cpu", visit, &tightest);
    return tightest;
}
