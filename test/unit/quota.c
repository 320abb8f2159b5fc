/*
 * Quotas of processor time, as cgroups of both versions show them.
 */
#include "quota.h"

#include "machine.h"

static uint32_t milli(void)
{
    return ferry_quota(root).milli;
}

static void no_limit(void **state)
{
    assert_int_equal(milli(), 0);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    assert_int_equal(milli(), 0); /* the machine's own has no such file */
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_int_equal(milli(), 0);
}

static void version_2(void **state)
{
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_int_equal(milli(), 500);
    put("/sys/fs/cgroup/cpu.max", "400000 200000\n");
    assert_int_equal(milli(), 2000);
    put("/sys/fs/cgroup/cpu.max", "50000");
    assert_int_equal(milli(), 0);
    put("/sys/fs/cgroup/cpu.max", "");
    assert_int_equal(milli(), 0);
}

static void version_1(void **state)
{
    put("/proc/self/cgroup", "3:cpu,cpuacct:/job\n0::/\n");
    put("/proc/self/mountinfo", V1_CPU);
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "-1\n");
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(milli(), 0);
    put("/sys/fs/cgroup/cpu/job/cpu.cfs_quota_us", "25000\n");
    assert_int_equal(milli(), 250);
}

static void the_tightest_counts(void **state)
{
    uint64_t upper;

    put("/proc/self/cgroup", "0::/pod/container\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/pod/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
    assert_int_equal(milli(), 1000);
    upper = ferry_quota(root).group;
    put("/sys/fs/cgroup/pod/container/cpu.max", "200000 100000\n");
    assert_int_equal(milli(), 1000);
    assert_true(ferry_quota(root).group == upper);
    put("/sys/fs/cgroup/pod/container/cpu.max", "70000 100000\n");
    assert_int_equal(milli(), 700);
    assert_true(ferry_quota(root).group != upper);
}

/* Two processes of one cgroup must find that it is the same. */
static void one_group_one_name(void **state)
{
    uint64_t group;

    put("/proc/self/cgroup", "0::/a\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/a/cpu.max", "1000 100000\n");
    put("/sys/fs/cgroup/b/cpu.max", "1000 100000\n");
    group = ferry_quota(root).group;
    assert_true(ferry_quota(root).group == group);
    put("/proc/self/cgroup", "0::/b\n");
    assert_true(ferry_quota(root).group != group);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_limit, make_machine, remove_machine),
        cmocka_unit_test_setup_teardown(version_2, make_machine, remove_machine),
        cmocka_unit_test_setup_teardown(version_1, make_machine, remove_machine),
        cmocka_unit_test_setup_teardown(the_tightest_counts, make_machine, remove_machine),
        cmocka_unit_test_setup_teardown(one_group_one_name, make_machine, remove_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
