#include "held.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the kernel makes with an RDMA device's descriptor, directly after it. */
#define EVENTS "anon_inode:[infinibandevent]"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ferry_held_before noted;

static bool has(const struct ferry_held_before *set, unsigned fd)
{
    return set->open[fd / 64] >> fd % 64 & 1;
}

static void look(struct ferry_held_before *set)
{
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;

    memset(set, 0, sizeof(*set));
    while (directory && (entry = readdir(directory))) {
        unsigned long fd = strtoul(entry->d_name, NULL, 10);

        if (entry->d_name[0] != '.' && fd < FERRY_HELD_FDS && (int) fd != dirfd(directory))
            set->open[fd / 64] |= 1ull << fd % 64;
    }
    if (directory)
        closedir(directory);
}

static bool is_of(unsigned fd, const char *path)
{
    char name[40], link[PATH_MAX];
    ssize_t length;

    snprintf(name, sizeof(name), "/proc/self/fd/%u", fd);
    length = readlink(name, link, sizeof(link) - 1);
    if (length < 0)
        return false;
    link[length] = 0;
    length = (ssize_t) strlen(path);
    return !strncmp(link, path, (size_t) length) &&
           (!link[length] || !strcmp(link + length, " (deleted)"));
}

void ferry_held_begin(struct ferry_held_before *before)
{
    look(before);
}

void ferry_held_end(const struct ferry_held_before *before)
{
    struct ferry_held_before now;

    look(&now);
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < FERRY_HELD_FDS / 64; i++)
        noted.open[i] |= now.open[i] & ~before->open[i];
    pthread_mutex_unlock(&lock);
}

static bool replace(unsigned fd)
{
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
    bool replaced = nothing >= 0 && dup3(nothing, (int) fd, O_CLOEXEC) >= 0;

    if (nothing >= 0)
        close(nothing);
    if (replaced)
        noted.open[fd / 64] &= ~(1ull << fd % 64);
    return replaced;
}

unsigned ferry_held_let_go(const char *path)
{
    unsigned count = 0;
    bool events = false;

    pthread_mutex_lock(&lock);
    for (unsigned fd = 0; fd < FERRY_HELD_FDS; fd++) {
        if (!has(&noted, fd))
            continue;
        if (is_of(fd, path)) {
            count += replace(fd);
            events = true;
        } else if (events && is_of(fd, EVENTS)) {
            count += replace(fd);
            events = false;
        }
    }
    pthread_mutex_unlock(&lock);
    return count;
}
