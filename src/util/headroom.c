#include "headroom.h"

#include "list.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/vfs.h>

/* The names of the same things in the two versions of cgroups. */
struct version {
    const char *filesystem, *limit, *usage, *inactive_cache, *active_cache;
};

static const struct version v1 = {"cgroup", "memory.limit_in_bytes", "memory.usage_in_bytes",
                                  "total_inactive_file", "total_active_file"};
static const struct version v2 = {"cgroup2", "memory.max", "memory.current", "inactive_file",
                                  "active_file"};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- Small files ---- */

/* The number that is all of a file; otherwise when there is none ("max", or no such file). */
static uint64_t read_number(const char *folder, const char *name, uint64_t otherwise)
{
    char path[PATH_MAX];
    uint64_t value;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "re");
    if (file == NULL)
        return otherwise;
    if (fscanf(file, "%" SCNu64, &value) != 1)
        value = otherwise;
    fclose(file);
    return value;
}

/* The number behind a name in a file of lines "name number"; 0 when it isn't there. */
static uint64_t read_field(const char *folder, const char *name, const char *field)
{
    char path[PATH_MAX], word[64];
    uint64_t value = 0, number;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    while (fscanf(file, "%63s %" SCNu64 "%*[^\n]", word, &number) == 2) {
        if (strcmp(word, field) == 0) {
            value = number;
            break;
        }
    }
    fclose(file);
    return value;
}

/* ---- Cgroups ---- */

/* What one cgroup leaves. */
static uint64_t headroom_of(const char *folder, const struct version *version)
{
    uint64_t limit = read_number(folder, version->limit, UINT64_MAX);
    uint64_t usage = read_number(folder, version->usage, 0);
    uint64_t cache;

    /* Version 1 shows no limit as a number of pages that no machine has. */
    if (limit >= INT64_MAX / 4096 * 4096)
        return UINT64_MAX;
    /* The kernel drops cached files before it kills. Half of those in use are taken to be needed. */
    cache = read_field(folder, "memory.stat", version->inactive_cache) +
            read_field(folder, "memory.stat", version->active_cache) / 2;
    usage -= least(usage, cache);
    return limit > usage ? limit - usage : 0;
}

/* Finds in /proc/self/cgroup where in the hierarchy this process is. */
static bool find_own(const char *root, const struct version *version, char path[PATH_MAX])
{
    char name[PATH_MAX], line[PATH_MAX];
    bool found = false;
    FILE *file;

    snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
    file = fopen(name, "re");
    if (file == NULL)
        return false;
    /* 4:memory:/a/b for version 1, 0::/a/b for version 2 */
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        char *controllers = strchr(line, ':'), *at;

        if (controllers == NULL || (at = strchr(++controllers, ':')) == NULL)
            continue;
        *at++ = '\0';
        at[strcspn(at, "\n")] = '\0';
        snprintf(path, PATH_MAX, "%s", at);
        found = version == &v2 ? controllers[0] == '\0' : ferry_list_has(controllers, "memory");
    }
    fclose(file);
    return found;
}

/* Finds in /proc/self/mountinfo where the hierarchy is mounted, and which part of it. */
static bool find_mount(const char *root, const struct version *version, char part[PATH_MAX],
                       char at[PATH_MAX])
{
    char name[PATH_MAX], line[2 * PATH_MAX], kind[32], options[PATH_MAX];
    bool found = false;
    FILE *file;

    snprintf(name, sizeof(name), "%s/proc/self/mountinfo", root);
    file = fopen(name, "re");
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        char *behind = strstr(line, " - ");

        if (behind == NULL || sscanf(behind, " - %31s %*s %4095s", kind, options) != 2 ||
            strcmp(kind, version->filesystem) != 0 ||
            sscanf(line, "%*s %*s %*s %4095s %4095s", part, at) != 2)
            continue;
        found = version == &v2 || ferry_list_has(options, "memory");
    }
    fclose(file);
    return found;
}

/* The least that the own cgroup and those above it leave, as far up as they are mounted. */
static uint64_t headroom_in(const char *root, const struct version *version)
{
    char own[PATH_MAX], part[PATH_MAX], at[PATH_MAX], folder[3 * PATH_MAX];
    const char *below = "";
    uint64_t headroom;
    size_t top, length;

    if (!find_own(root, version, own) || !find_mount(root, version, part, at))
        return UINT64_MAX;
    /* A container may have mounted its own part only; one of another namespace begins with /.. */
    if (strcmp(part, "/") == 0)
        part[0] = '\0';
    length = strlen(part);
    if (strncmp(own, part, length) == 0 && own[length] == '/' && strncmp(own, "/..", 3) != 0)
        below = own + length;
    top = snprintf(folder, sizeof(folder), "%s%s", root, at);
    snprintf(folder + top, sizeof(folder) - top, "%s", strcmp(below, "/") == 0 ? "" : below);

    headroom = headroom_of(folder, version);
    while (strlen(folder) > top) {
        *strrchr(folder, '/') = '\0';
        headroom = least(headroom, headroom_of(folder, version));
    }
    return headroom;
}

uint64_t ferry_headroom_memory(const char *root)
{
    char proc[PATH_MAX];
    uint64_t machine;

    snprintf(proc, sizeof(proc), "%s/proc", root);
    machine = read_field(proc, "meminfo", "MemAvailable:"); /* in KiB */
    machine = machine != 0 ? machine * 1024 : UINT64_MAX;
    return least(machine, least(headroom_in(root, &v1), headroom_in(root, &v2)));
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
