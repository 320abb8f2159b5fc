#include "process_limits.h"

#include "cgroup.h"
#include "headroom.h"
#include "load.h"
#include "peek.h"
#include "quota.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

/* ---- What files and limits say ---- */

static void find_processors(const char *root, struct ferry_limits *out)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t stolen, all;
    cpu_set_t masks[8]; /* 8192 processors, the most that the kernel can be built for */

    if (sched_getaffinity(0, sizeof(masks), masks) == 0)
        out->processors = (uint32_t) CPU_COUNT_S(sizeof(masks), masks);
    out->online = online > 0 ? (uint32_t) online : 0;
    out->quota_milli = ferry_quota(root).milli;
    out->steal_known = ferry_steal_time(root, &stolen, &all) && all > 0;
    if (out->steal_known)
        out->steal_permille = (uint32_t) ((double) stolen / (double) all * 1000);
}

static uint64_t bytes_of(rlim_t limit)
{
    return limit == RLIM_INFINITY ? UINT64_MAX : limit;
}

static void find_shm(const char *root, struct ferry_limits *out)
{
    char path[PATH_MAX];
    struct statfs fs;

    snprintf(path, sizeof(path), "%s/dev/shm", root);
    if (statfs(path, &fs) != 0)
        return;
    if ((uint64_t) fs.f_type != TMPFS_MAGIC && (uint64_t) fs.f_type != RAMFS_MAGIC) {
        out->shm = FERRY_SHM_OTHER;
        return;
    }
    out->shm = FERRY_SHM_FOUND;
    out->shm_size = out->shm_free = UINT64_MAX; /* a tmpfs without a limit has no blocks */
    if (fs.f_blocks != 0) {
        out->shm_size = (uint64_t) fs.f_blocks * (uint64_t) fs.f_bsize;
        out->shm_free = (uint64_t) fs.f_bavail * (uint64_t) fs.f_bsize;
    }
}

/* The word in brackets: "always [madvise] never". */
static void read_choice(const char *root, const char *path, char *choice, size_t room)
{
    char line[128], *begin;

    ferry_peek_line(root, path, line, sizeof(line));
    begin = strchr(line, '[');
    if (begin != NULL)
        snprintf(choice, room, "%.*s", (int) strcspn(begin + 1, "]"), begin + 1);
}

static void find_pages(const char *root, struct ferry_limits *out)
{
    char proc[PATH_MAX];
    uint64_t size;

    snprintf(proc, sizeof(proc), "%s/proc", root);
    size = ferry_cgroup_field(proc, "meminfo", "Hugepagesize:"); /* in KiB */
    out->huge_size = size < UINT64_MAX / 1024 ? size * 1024 : 0;
    out->huge_pages = ferry_cgroup_field(proc, "meminfo", "HugePages_Total:");
    out->huge_free = ferry_cgroup_field(proc, "meminfo", "HugePages_Free:");
    read_choice(root, "/sys/kernel/mm/transparent_hugepage/enabled", out->thp, sizeof(out->thp));
    read_choice(root, "/sys/kernel/mm/transparent_hugepage/shmem_enabled", out->thp_shmem,
                sizeof(out->thp_shmem));
}

void ferry_limits_find(const char *root, struct ferry_limits *out)
{
    struct rlimit memlock = {0, 0};
    char scope[8];

    memset(out, 0, sizeof(*out));
    find_processors(root, out);
    getrlimit(RLIMIT_MEMLOCK, &memlock);
    out->memlock = bytes_of(memlock.rlim_cur);
    out->memlock_hard = bytes_of(memlock.rlim_max);
    out->file_size = ferry_file_size_limit();
    out->headroom = ferry_headroom_memory(root);
    find_shm(root, out);
    find_pages(root, out);
    ferry_peek_line(root, "/proc/sys/kernel/yama/ptrace_scope", scope, sizeof(scope));
    out->ptrace_scope = scope[0] >= '0' && scope[0] <= '3' && scope[1] == '\0' ? scope[0] - '0'
                                                                               : -1;
}

/* ---- What the kernel lets one do ---- */

static int try_process_vm_readv(void)
{
    char from = 1, to = 0;
    struct iovec local = {&to, 1}, remote = {&from, 1};

    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 ? 0 : errno;
}

/* Takes the result of a call that gives a descriptor. */
static int try_descriptor(long fd)
{
    if (fd < 0)
        return errno;
    close((int) fd);
    return 0;
}

static int try_userfaultfd(void)
{
    enum {
        USER_MODE_ONLY = 1
    }; /* UFFD_USER_MODE_ONLY: all that users get, by default, since Linux 5.11 */

    return try_descriptor(syscall(SYS_userfaultfd, O_CLOEXEC | USER_MODE_ONLY));
}

static int try_pidfd_getfd(void)
{
    long pidfd = syscall(SYS_pidfd_open, getpid(), 0);
    int error;

    if (pidfd < 0)
        return errno;
    error = try_descriptor(syscall(SYS_pidfd_getfd, pidfd, pidfd, 0));
    close((int) pidfd);
    return error;
}

static int try_mlock(void)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);
    void *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int error;

    if (memory == MAP_FAILED)
        return errno;
    error = mlock(memory, page) == 0 ? 0 : errno;
    munmap(memory, page);
    return error;
}

void ferry_limits_try(struct ferry_call out[FERRY_CALLS])
{
    const struct ferry_call calls[FERRY_CALLS] = {
        {"process_vm_readv", "large messages in one copy", try_process_vm_readv()},
        {"memfd_create", "shared memory without a file system",
         try_descriptor(memfd_create("ferry_info", MFD_CLOEXEC))},
        {"pidfd_getfd", "descriptors of another process", try_pidfd_getfd()},
        {"userfaultfd", "notice of memory that goes away", try_userfaultfd()},
        {"mlock", "memory that an adapter may use", try_mlock()},
    };

    memcpy(out, calls, sizeof(calls));
}
