/*
 * What a process is allowed, on a made-up machine and here.
 */
#include "process_limits.h"
#include "machine.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void nothing_known(void **state)
{
    struct ferry_limits limits;

    ferry_limits_find(root, &limits);
    assert_int_equal(limits.quota_milli, 0);
    assert_false(limits.steal_known);
    assert_int_equal(limits.headroom, UINT64_MAX);
    assert_int_equal(limits.shm, FERRY_SHM_ABSENT);
    assert_int_equal(limits.huge_size, 0);
    assert_string_equal(limits.thp, "");
    assert_int_equal(limits.ptrace_scope, -1);
    assert_true(limits.processors >= 1); /* of this process */
}

static void all_known(void **state)
{
    struct ferry_limits limits;

    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", V2_MOUNT);
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    put("/proc/stat", "cpu  100 0 0 700 0 0 0 200 0 0\n");
    put("/proc/meminfo",
        "MemAvailable: 1024 kB\nHugePages_Total:      16\nHugePages_Free:        9\n"
        "Hugepagesize:       2048 kB\n");
    put("/proc/sys/kernel/yama/ptrace_scope", "2\n");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "always [never");
    put("/dev/shm/x", "");
    ferry_limits_find(root, &limits);
    assert_int_equal(limits.quota_milli, 1500);
    assert_true(limits.steal_known);
    assert_int_equal(limits.steal_permille, 200);
    assert_int_equal(limits.headroom, 1024 * 1024);
    assert_int_equal(limits.huge_size, 2048 * 1024);
    assert_int_equal(limits.huge_pages, 16);
    assert_int_equal(limits.huge_free, 9);
    assert_string_equal(limits.thp, "madvise");
    assert_string_equal(limits.thp_shmem, "never");
    assert_int_equal(limits.ptrace_scope, 2);
    assert_true(limits.shm != FERRY_SHM_ABSENT);
}

static void wrong_values(void **state)
{
    static const char *const scopes[] = {"", "4\n", "-1\n", "12\n", "x\n"};
    struct ferry_limits limits;

    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        put("/proc/sys/kernel/yama/ptrace_scope", scopes[i]);
        ferry_limits_find(root, &limits);
        assert_int_equal(limits.ptrace_scope, -1);
    }
    put("/proc/stat", "cpu 0 0 0 0 0 0 0 0\n");
    put("/proc/meminfo", "Hugepagesize: 18446744073709551615 kB\n");
    ferry_limits_find(root, &limits);
    assert_false(limits.steal_known);
    assert_int_equal(limits.huge_size, 0);
}

/* None of these is waited for. */
static void fifos(void **state)
{
    static const char *const paths[] = {"/proc/stat", "/proc/meminfo", "/proc/self/cgroup",
                                        "/proc/sys/kernel/yama/ptrace_scope"};
    struct ferry_limits limits;
    char name[PATH_MAX];

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        put(paths[i], "");
        snprintf(name, sizeof(name), "%s%s", root, paths[i]);
        assert_int_equal(unlink(name), 0);
        assert_int_equal(mkfifo(name, 0600), 0);
    }
    ferry_limits_find(root, &limits);
    assert_false(limits.steal_known);
}

static void limits_of_the_process(void **state)
{
    struct rlimit before, less;
    struct ferry_limits limits;

    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &before), 0);
    less = before;
    less.rlim_cur = 4096;
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &less), 0);
    ferry_limits_find("", &limits);
    assert_int_equal(limits.memlock, 4096);
    assert_int_equal(limits.memlock_hard,
                     before.rlim_max == RLIM_INFINITY ? UINT64_MAX : before.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_MEMLOCK, &before), 0);
}

/* What is tried is taken back: no descriptor is left. */
static void trials(void **state)
{
    struct ferry_call calls[FERRY_CALLS];
    int before = dup(0), after;

    ferry_limits_try(calls);
    after = dup(0);
    assert_int_equal(before + 1, after);
    for (int i = 0; i < FERRY_CALLS; i++) {
        assert_true(calls[i].error >= 0);
        if (strcmp(calls[i].name, "memfd_create") == 0) {
            int fd = memfd_create("limits", MFD_CLOEXEC);

            assert_int_equal(calls[i].error != 0, fd < 0);
            close(fd);
        }
    }
    close(before);
    close(after);
}

#define at(test) cmocka_unit_test_setup_teardown(test, make_machine, remove_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        at(nothing_known),
        at(all_known),
        at(wrong_values),
        at(fifos),
        cmocka_unit_test(limits_of_the_process),
        cmocka_unit_test(trials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
