#include "segment.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "clock.h"
#include "headroom.h"

/* What is left to the program and its neighbours when headroom is short, bytes. */
#define RESERVE ((uint64_t) 4 << 20)

int ferry_segment_memfd(uint64_t size, int *out)
{
    int fd = memfd_create("ferry", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error;

    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t) size) ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
        error = -errno;
        close(fd);
        return error;
    }
    *out = fd;
    return 0;
}

static bool in_memory(int fd)
{
    struct statfs info;

    return !fstatfs(fd, &info) && (info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC ||
                                   info.f_type == HUGETLBFS_MAGIC);
}

int ferry_segment_file(struct ferry_place *place, uint64_t size, int *out)
{
    int fd, error = 0;

    if (place->abstract || !in_memory(place->fd))
        return -ENODEV;
    /* Without a name until it is filled: nothing to remove if we die meanwhile. */
    fd = openat(place->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return -errno;
    if (ftruncate(fd, (off_t) size) || flock(fd, LOCK_SH))
        error = -errno;
    if (error)
        close(fd);
    else
        *out = fd;
    return error;
}

int ferry_segment_file_publish(struct ferry_place *place, const char *name, int fd)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, path, place->fd, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

int ferry_segment_file_open(struct ferry_place *place, const char *name, int *out)
{
    int fd = openat(place->fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return -errno;
    flock(fd, LOCK_SH);
    *out = fd;
    return 0;
}

int ferry_segment_check(int fd, enum ferry_segment_kind kind, uint64_t *size)
{
    struct stat info;

    if (fstat(fd, &info) || !S_ISREG(info.st_mode))
        return -EPERM;
    *size = (uint64_t) info.st_size;
    if (kind == FERRY_SEGMENT_MEMFD) {
        int seals = fcntl(fd, F_GET_SEALS);

        return seals >= 0 && (seals & F_SEAL_SHRINK) ? 0 : -EPERM;
    }
    return info.st_uid == geteuid() && in_memory(fd) ? 0 : -EPERM;
}

/* Looking at the headroom takes as long as filling 100 KiB. So a small part of what was found may be
 * taken before the next look, in the next moments: others take theirs at the same time, and more later. */
#define ALLOWANCE_PART 256
#define ALLOWANCE_MAX ((uint64_t) 16 << 20)
#define ALLOWANCE_NS 10000000u

static bool is_room_for(int fd, uint64_t length, uint32_t takers)
{
    static _Thread_local uint64_t allowance, looked_ns;
    uint64_t now = ferry_now_ns(), headroom;

    if (length <= allowance && now - looked_ns < ALLOWANCE_NS) {
        allowance -= length;
        return true;
    }
    allowance = 0;
    headroom = ferry_headroom(fd);
    if (headroom < RESERVE || (headroom - RESERVE) / takers < length)
        return false;
    looked_ns = now;
    allowance = (headroom - length) / ALLOWANCE_PART;
    if (allowance > ALLOWANCE_MAX)
        allowance = ALLOWANCE_MAX;
    return true;
}

int ferry_segment_fill(int fd, uint64_t offset, uint64_t length, uint32_t takers)
{
    int result;

    if (!is_room_for(fd, length, takers))
        return -ENOSPC;
    do
        /* Never longer: a file that somebody truncated must not seem whole again. */
        result = fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t) offset, (off_t) length);
    while (result && errno == EINTR);
    return result ? -errno : 0;
}
