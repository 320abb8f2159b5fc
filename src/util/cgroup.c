#include "cgroup.h"

#include "list.h"
#include "peek.h"

#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* ---- Small files ---- */

uint64_t ferry_cgroup_number(const char *folder, const char *name, unsigned index,
                             uint64_t otherwise)
{
    char path[PATH_MAX];
    uint64_t value;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = ferry_peek_file(path);
    if (file == NULL)
        return otherwise;
    while (index-- && fscanf(file, "%*s") != EOF)
        ;
    if (fscanf(file, "%" SCNu64, &value) != 1)
        value = otherwise;
    fclose(file);
    return value;
}

uint64_t ferry_cgroup_field(const char *folder, const char *name, const char *field)
{
    char path[PATH_MAX], word[64];
    uint64_t value = 0, number;
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = ferry_peek_file(path);
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

/* ---- Where ---- */

struct hierarchy {
    enum ferry_cgroup_version version;
    const char *filesystem, *controller;
};

/* Finds in /proc/self/cgroup where in the hierarchy this process is. */
static bool find_own(const char *root, const struct hierarchy *hierarchy, char path[PATH_MAX])
{
    char name[PATH_MAX], line[PATH_MAX];
    bool found = false;
    FILE *file;

    snprintf(name, sizeof(name), "%s/proc/self/cgroup", root);
    file = ferry_peek_file(name);
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
        found = hierarchy->version == FERRY_CGROUP_2
                    ? controllers[0] == '\0'
                    : ferry_list_has(controllers, hierarchy->controller);
    }
    fclose(file);
    return found;
}

/* Finds in /proc/self/mountinfo where the hierarchy is mounted, and which part of it. */
static bool find_mount(const char *root, const struct hierarchy *hierarchy, char part[PATH_MAX],
                       char at[PATH_MAX])
{
    char name[PATH_MAX], line[2 * PATH_MAX], kind[32], options[PATH_MAX];
    bool found = false;
    FILE *file;

    snprintf(name, sizeof(name), "%s/proc/self/mountinfo", root);
    file = ferry_peek_file(name);
    if (file == NULL)
        return false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        char *behind = strstr(line, " - ");

        if (behind == NULL || sscanf(behind, " - %31s %*s %4095s", kind, options) != 2 ||
            strcmp(kind, hierarchy->filesystem) != 0 ||
            sscanf(line, "%*s %*s %*s %4095s %4095s", part, at) != 2)
            continue;
        found = hierarchy->version == FERRY_CGROUP_2 ||
                ferry_list_has(options, hierarchy->controller);
    }
    fclose(file);
    return found;
}

static void visit_one(const char *root, const struct hierarchy *hierarchy, ferry_cgroup_fn visit,
                      void *arg)
{
    char own[PATH_MAX], part[PATH_MAX], at[PATH_MAX], folder[3 * PATH_MAX];
    const char *below = "";
    size_t top, length;

    if (!find_own(root, hierarchy, own) || !find_mount(root, hierarchy, part, at))
        return;
    /* A container may have mounted its own part only; what lies above the root of its namespace begins with /.., both
     * in what it has mounted and in where it is. */
    if (strcmp(part, "/") == 0)
        part[0] = '\0';
    length = strlen(part);
    if (strncmp(own, part, length) == 0 && own[length] == '/' &&
        strncmp(own + length, "/..", 3) != 0)
        below = own + length;
    top = snprintf(folder, sizeof(folder), "%s%s", root, at);
    snprintf(folder + top, sizeof(folder) - top, "%s", strcmp(below, "/") == 0 ? "" : below);

    visit(folder, hierarchy->version, arg);
    while (strlen(folder) > top) {
        *strrchr(folder, '/') = '\0';
        visit(folder, hierarchy->version, arg);
    }
}

void ferry_cgroup_visit(const char *root, const char *controller, ferry_cgroup_fn visit, void *arg)
{
    const struct hierarchy hierarchies[] = {{FERRY_CGROUP_1, "cgroup", controller},
                                            {FERRY_CGROUP_2, "cgroup2", controller}};

    for (unsigned i = 0; i < 2; i++)
        visit_one(root, &hierarchies[i], visit, arg);
}
