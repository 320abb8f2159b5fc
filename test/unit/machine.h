/*
 * A made-up machine in a temporary directory: files of /proc and /sys as a test wants them.
 */
#ifndef FERRY_TEST_MACHINE_H
#define FERRY_TEST_MACHINE_H

#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char root[64];

/* Writes a file of the machine, and the directories above it. */
static void put(const char *path, const char *text)
{
    char name[PATH_MAX];
    FILE *file;

    snprintf(name, sizeof(name), "%s%s", root, path);
    for (char *slash = strchr(name + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(name, 0700) != 0)
            assert_int_equal(errno, EEXIST);
        *slash = '/';
    }
    file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_machine(void **state)
{
    strcpy(root, "/tmp/machine-XXXXXX");
    return mkdtemp(root) == NULL;
}

static int remove_machine(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", root);
    return system(command);
}

/* Lines of /proc/self/mountinfo. */
#define V1_MOUNT "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
#define V1_CPU "34 31 0:31 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
#define V2_MOUNT "41 31 0:38 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

#endif
