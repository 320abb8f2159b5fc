/*
 * What lies under a device: its place on a bus, and whether it is a whole device or a part of one.
 */
#include "parts.h"
#include "peek.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Reading ---- */

/* Whatever a directory holds, it is left after so many names. */
#define LOOKS_MAX 16384

static int by_name(const void *a, const void *b)
{
    return strverscmp(a, b);
}

void ferry_entries_list(const char *root, const char *path, struct ferry_entries *entries)
{
    char name[PATH_MAX];
    struct dirent *entry;
    DIR *dir = NULL;

    *entries = (struct ferry_entries){0};
    if (snprintf(name, sizeof(name), "%s%s", root, path) < (int) sizeof(name))
        dir = opendir(name);
    if (dir == NULL)
        return;
    entries->names = calloc(FERRY_ENTRIES_MAX, sizeof(*entries->names));
    for (unsigned i = 0; entries->names != NULL && i < LOOKS_MAX &&
                         entries->count < FERRY_ENTRIES_MAX && (entry = readdir(dir)) != NULL;
         i++)
        if (entry->d_name[0] != '.' && strlen(entry->d_name) < FERRY_NAME_ROOM)
            strcpy(entries->names[entries->count++], entry->d_name);
    closedir(dir);
    if (entries->count > 0)
        qsort(entries->names, entries->count, sizeof(*entries->names), by_name);
}

void ferry_entries_free(struct ferry_entries *entries)
{
    free(entries->names);
    *entries = (struct ferry_entries){0};
}

void ferry_sys_line(const char *root, const char *folder, const char *file, char *line, size_t room)
{
    char path[FERRY_SYS_PATH];

    line[0] = '\0';
    if (snprintf(path, sizeof(path), "%s/%s", folder, file) < (int) sizeof(path) &&
        ferry_peek_line(root, path, line, room) < 0)
        line[0] = '\0';
}

void ferry_sys_link(const char *root, const char *folder, const char *link, char *name, size_t room)
{
    char path[PATH_MAX], target[PATH_MAX];
    const char *last;
    ssize_t length;

    name[0] = '\0';
    if (snprintf(path, sizeof(path), "%s%s/%s", root, folder, link) >= (int) sizeof(path))
        return;
    length = readlink(path, target, sizeof(target) - 1);
    if (length <= 0)
        return;
    target[length] = '\0';
    last = strrchr(target, '/');
    snprintf(name, room, "%s", last != NULL ? last + 1 : target);
    ferry_clean(name);
}

int64_t ferry_sys_number(const char *root, const char *folder, const char *file, int64_t other)
{
    char line[64], *end;
    long long value;

    ferry_sys_line(root, folder, file, line, sizeof(line));
    errno = 0;
    value = strtoll(line, &end, strncmp(line, "0x", 2) == 0 ? 16 : 10);
    return end == line || *end != '\0' || errno != 0 ? other : value;
}

int ferry_may_open(const char *root, const char *path)
{
    char name[PATH_MAX];

    if (snprintf(name, sizeof(name), "%s%s", root, path) >= (int) sizeof(name))
        return ENAMETOOLONG;
    return faccessat(AT_FDCWD, name, R_OK | W_OK, AT_EACCESS) == 0 ? 0 : errno;
}

/* ---- Places ---- */

static uint16_t read_id(const char *root, const char *folder, const char *file)
{
    int64_t id = ferry_sys_number(root, folder, file, 0);

    return id > 0 && id <= UINT16_MAX ? (uint16_t) id : 0;
}

/* Only what a list of processors is made of. */
static void read_cpus(const char *root, const char *folder, struct ferry_bus_place *bus)
{
    ferry_sys_line(root, folder, "local_cpulist", bus->cpus, sizeof(bus->cpus));
    if (bus->cpus[strspn(bus->cpus, "0123456789,-")] != '\0')
        bus->cpus[0] = '\0';
}

static void find_on_pci(const char *root, const char *folder, struct ferry_bus_place *bus)
{
    int64_t node = ferry_sys_number(root, folder, "numa_node", -1);
    int64_t functions = ferry_sys_number(root, folder, "sriov_numvfs", 0);

    bus->is_pci = true;
    bus->vendor = read_id(root, folder, "vendor");
    bus->device = read_id(root, folder, "device");
    bus->numa_node = node >= 0 && node < INT32_MAX ? (int32_t) node : -1;
    bus->functions = functions > 0 && functions <= UINT16_MAX ? (uint32_t) functions : 0;
    read_cpus(root, folder, bus);
    ferry_sys_link(root, folder, "physfn", bus->parent, sizeof(bus->parent));
    bus->function = ferry_function_by_id(bus->vendor, bus->device);
    bus->by_id = bus->function == FERRY_FUNCTION_VIRTUAL && bus->parent[0] == '\0';
    if (bus->parent[0] != '\0')
        bus->function = FERRY_FUNCTION_VIRTUAL;
}

/* Buses of which all devices are made by hypervisors or by the kernel for tests. */
static bool is_virtual_bus(const char *bus)
{
    static const char *const names[] = {"virtio", "vmbus", "xen", "netdevsim", "vio"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(bus, names[i]) == 0)
            return true;
    return false;
}

/* A part of a device that is none of PCI's: the kernel names it after its driver, such as mlx5_core.sf.2. */
static void make_subfunction(struct ferry_bus_place *bus)
{
    bus->function = FERRY_FUNCTION_VIRTUAL;
    bus->by_id = false;
    bus->functions = 0;
}

void ferry_bus_find(const char *root, const char *folder, struct ferry_bus_place *bus)
{
    char device[FERRY_SYS_PATH], above[FERRY_SYS_PATH], kind[32];

    *bus = (struct ferry_bus_place){.function = FERRY_FUNCTION_DEVICE, .numa_node = -1};
    ferry_sys_link(root, folder, "device", bus->address, sizeof(bus->address));
    if (bus->address[0] == '\0' ||
        snprintf(device, sizeof(device), "%s/device", folder) >= (int) sizeof(device) ||
        snprintf(above, sizeof(above), "%s/device/..", folder) >= (int) sizeof(above))
        return;
    ferry_sys_link(root, device, "driver", bus->driver, sizeof(bus->driver));
    ferry_sys_link(root, device, "subsystem", kind, sizeof(kind));
    if (strcmp(kind, "pci") == 0) {
        find_on_pci(root, device, bus);
        return;
    }
    if (!is_virtual_bus(kind)) {
        /* A part of a PCI device that has several, such as irdma's on the bus "auxiliary". */
        ferry_sys_link(root, above, "subsystem", kind, sizeof(kind));
        bus->function = FERRY_FUNCTION_PHYSICAL;
        if (strcmp(kind, "pci") == 0)
            find_on_pci(root, above, bus);
        if (strstr(bus->address, ".sf.") != NULL)
            make_subfunction(bus);
        return;
    }
    ferry_sys_link(root, above, "subsystem", kind, sizeof(kind));
    if (strcmp(kind, "pci") == 0)
        find_on_pci(root, above, bus);
    bus->is_pci = bus->by_id = false;
    bus->function = FERRY_FUNCTION_DEVICE;
}
