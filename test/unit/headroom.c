#include "machine.h"
#include "unit.h"

#include "headroom.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB (1024ull * 1024)

static void put_v1(const char *folder, const char *limit, const char *usage, const char *stat)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/memory.limit_in_bytes", folder);
    put(path, limit);
    snprintf(path, sizeof(path), "%s/memory.usage_in_bytes", folder);
    put(path, usage);
    snprintf(path, sizeof(path), "%s/memory.stat", folder);
    put(path, stat);
}

static void put_v2(const char *folder, const char *limit, const char *usage, const char *stat)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/memory.max", folder);
    put(path, limit);
    snprintf(path, sizeof(path), "%s/memory.current", folder);
    put(path, usage);
    snprintf(path, sizeof(path), "%s/memory.stat", folder);
    put(path, stat);
}

#define UNLIMITED "9223372036854771712\n"

/* ---- Tests ---- */

static void nothing_known(void **state)
{
    assert_int_equal(ferry_headroom_memory(root), UINT64_MAX);
}

static void the_machine(void **state)
{
    put("/proc/meminfo", "MemTotal:  8000000 kB\nMemFree: 100 kB\nMemAvailable:    2048 kB\n");
    assert_int_equal(ferry_headroom_memory(root), 2 * MIB);
}

static void version_2(void **state)
{
    put("/proc/self/cgroup", "0::/user/job\n");
    put("/proc/self/mountinfo", V1_CPU V2_MOUNT);
    put_v2("/sys/fs/cgroup/user/job", "max\n", "5000\n", "");
    assert_int_equal(ferry_headroom_memory(root), UINT64_MAX);
    put_v2("/sys/fs/cgroup/user/job", "104857600\n", "62914560\n", "anon 1\nfile 62914560\n");
    assert_int_equal(ferry_headroom_memory(root), 40 * MIB);
}

static void the_parent_has_less(void **state)
{
    put("/proc/self/cgroup", "0::/user/job\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_v2("/sys/fs/cgroup/user/job", "104857600\n", "0\n", "");
    put_v2("/sys/fs/cgroup/user", "104857600\n", "73400320\n", "");
    assert_int_equal(ferry_headroom_memory(root), 30 * MIB);
    /* In a container the mount's own folder has a limit too. */
    put_v2("/sys/fs/cgroup", "52428800\n", "51380224\n", "");
    assert_int_equal(ferry_headroom_memory(root), 1 * MIB);
}

static void cached_files_can_go(void **state)
{
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_v2("/sys/fs/cgroup", "104857600\n", "104857600\n",
           "anon 1\nactive_file 20971520\ninactive_file 31457280\nshmem 7\n");
    assert_int_equal(ferry_headroom_memory(root), 40 * MIB);
    /* The numbers are not read at one moment. */
    put_v2("/sys/fs/cgroup", "104857600\n", "1000\n", "inactive_file 31457280\n");
    assert_int_equal(ferry_headroom_memory(root), 100 * MIB);
}

static void nothing_left(void **state)
{
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_v2("/sys/fs/cgroup", "1000\n", "1000\n", "");
    assert_int_equal(ferry_headroom_memory(root), 0);
    put_v2("/sys/fs/cgroup", "1000\n", "2000\n", "");
    assert_int_equal(ferry_headroom_memory(root), 0);
}

static void version_1(void **state)
{
    put("/proc/self/cgroup", "9:name=systemd:/x\n5:cpu,cpuacct:/c\n4:memory:/docker/1\n0::/\n");
    put("/proc/self/mountinfo", V1_CPU V1_MOUNT);
    put_v1("/sys/fs/cgroup/memory", UNLIMITED, "1\n", "");
    put_v1("/sys/fs/cgroup/memory/docker", UNLIMITED, "1\n", "");
    put_v1("/sys/fs/cgroup/memory/docker/1", UNLIMITED, "1\n", "");
    assert_int_equal(ferry_headroom_memory(root), UINT64_MAX);
    put_v1("/sys/fs/cgroup/memory/docker/1", "20971520\n", "10485760\n",
           "inactive_file 1\ntotal_inactive_file 1048576\ntotal_active_file 0\n");
    assert_int_equal(ferry_headroom_memory(root), 11 * MIB);
    put_v1("/sys/fs/cgroup/memory/docker", "3145728\n", "0\n", "");
    assert_int_equal(ferry_headroom_memory(root), 3 * MIB);
}

static void a_container_that_mounts_its_part(void **state)
{
    put("/proc/self/cgroup", "4:memory:/docker/1\n");
    put("/proc/self/mountinfo",
        "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    put_v1("/sys/fs/cgroup/memory", "20971520\n", "0\n", "");
    put_v1("/sys/fs/cgroup/memory/docker/1", "1\n", "0\n", ""); /* somebody else's */
    assert_int_equal(ferry_headroom_memory(root), 20 * MIB);
    /* A name that only begins alike is not below. */
    put("/proc/self/cgroup", "4:memory:/docker/12\n");
    assert_int_equal(ferry_headroom_memory(root), 20 * MIB);
}

static void from_another_namespace(void **state)
{
    put("/proc/self/cgroup", "0::/../../other\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_v2("/sys/fs/cgroup", "20971520\n", "0\n", "");
    assert_int_equal(ferry_headroom_memory(root), 20 * MIB);
    /* It is in a namespace of its own, and sees what was mounted outside. */
    put("/proc/self/cgroup", "4:memory:/../../other\n");
    put("/proc/self/mountinfo",
        "35 31 0:32 /../.. /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    put_v1("/sys/fs/cgroup/memory/other", "10485760\n", "0\n", "");
    assert_int_equal(ferry_headroom_memory(root), 10 * MIB);
    put("/proc/self/mountinfo",
        "35 31 0:32 /.. /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    put_v1("/sys/fs/cgroup/memory", "5242880\n", "0\n", "");
    assert_int_equal(ferry_headroom_memory(root), 5 * MIB);
}

static void hybrid(void **state)
{
    put("/proc/self/cgroup", "4:memory:/job\n0::/job\n");
    put("/proc/self/mountinfo",
        V1_MOUNT "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/unified/job/cgroup.procs", "1\n");
    put_v1("/sys/fs/cgroup/memory/job", "20971520\n", "0\n", "");
    assert_int_equal(ferry_headroom_memory(root), 20 * MIB);
}

static void least_of_all_counts(void **state)
{
    put("/proc/meminfo", "MemAvailable: 1024 kB\n");
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put_v2("/sys/fs/cgroup", "20971520\n", "0\n", "");
    assert_int_equal(ferry_headroom_memory(root), 1 * MIB);
}

static void nonsense(void **state)
{
    put("/proc/meminfo", "MemAvailable\n\n:");
    put("/proc/self/cgroup", "\n:\n::\n4:memory\n4:memory:\n");
    put("/proc/self/mountinfo", "\n - \n - cgroup\n35 - cgroup cgroup rw,memory\n" V1_MOUNT);
    put_v1("/sys/fs/cgroup/memory", "lots\n", "", "total_inactive_file\n");
    assert_int_equal(ferry_headroom_memory(root), UINT64_MAX);
}

/* ---- The real machine ---- */

static void memfd_has_only_the_limits_of_memory(void **state)
{
    int fd = memfd_create("headroom", MFD_CLOEXEC);
    uint64_t memory = ferry_headroom_memory(""), headroom = ferry_headroom(fd);

    assert_true(fd >= 0);
    /* Others allocate and free between the two readings. */
    assert_true(headroom > memory / 2 && headroom / 2 < memory);
    assert_true(headroom > 0);
    close(fd);
}

static void file_system_has_its_own(void **state)
{
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    struct statfs fs;

    assert_true(fd >= 0);
    assert_int_equal(fstatfs(fd, &fs), 0);
    assert_true(ferry_headroom(fd) <= (uint64_t) fs.f_blocks * fs.f_bsize);
    close(fd);
    assert_int_equal(ferry_headroom(-1), 0);
}

static void file_size(void **state)
{
    struct rlimit before, less;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less = before;
    less.rlim_cur = 1234567;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    assert_int_equal(ferry_file_size_limit(), 1234567);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(ferry_file_size_limit(),
                     before.rlim_cur == RLIM_INFINITY ? UINT64_MAX : before.rlim_cur);
}

#define in_machine(test) cmocka_unit_test_setup_teardown(test, make_machine, remove_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_machine(nothing_known),
        in_machine(the_machine),
        in_machine(version_2),
        in_machine(the_parent_has_less),
        in_machine(cached_files_can_go),
        in_machine(nothing_left),
        in_machine(version_1),
        in_machine(a_container_that_mounts_its_part),
        in_machine(from_another_namespace),
        in_machine(hybrid),
        in_machine(least_of_all_counts),
        in_machine(nonsense),
        cmocka_unit_test(memfd_has_only_the_limits_of_memory),
        cmocka_unit_test(file_system_has_its_own),
        cmocka_unit_test(file_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
