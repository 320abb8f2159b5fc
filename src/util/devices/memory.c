/*
 * Memory that comes as a device: ivshmem, which a hypervisor shares between VMs, and DAX.
 */
#include "parts.h"

#include <inttypes.h>
#include <string.h>

#include "peek.h"

#define PCI "/sys/bus/pci/devices"
#define DAX "/sys/bus/dax/devices"

/* docs/specs/ivshmem-spec of QEMU: the memory is BAR 2. */
#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110
#define IVSHMEM_BAR 2

static int32_t node_of(const char *root, const char *folder)
{
    int64_t node = ferry_sys_number(root, folder, "numa_node", -1);

    return node >= 0 && node < INT32_MAX ? (int32_t) node : -1;
}

static void start(struct ferry_memory_device *device, const char *name)
{
    *device = (struct ferry_memory_device){0};
    snprintf(device->name, sizeof(device->name), "%s", name);
    ferry_clean(device->name);
}

/* ---- ivshmem ---- */

struct bars {
    unsigned line;
    uint64_t size;
};

static bool read_bar(char *line, void *arg)
{
    struct bars *bars = arg;
    uint64_t from, to, flags;

    if (bars->line++ < IVSHMEM_BAR)
        return true;
    if (sscanf(line, "%" SCNx64 " %" SCNx64 " %" SCNx64, &from, &to, &flags) == 3 && flags != 0 &&
        to > from && to - from < UINT64_MAX)
        bars->size = to - from + 1;
    return false;
}

static void find_ivshmem(const char *root, const char *name, struct ferry_memory_device *device)
{
    char folder[FERRY_SYS_PATH], path[FERRY_SYS_PATH + 16];
    struct bars bars = {0};

    start(device, name);
    snprintf(folder, sizeof(folder), PCI "/%s", name);
    snprintf(path, sizeof(path), "%s/resource", folder);
    ferry_peek_pieces(root, path, '\n', read_bar, &bars);
    device->size = bars.size;
    snprintf(path, sizeof(path), "%s/resource%d", folder, IVSHMEM_BAR);
    device->error = ferry_may_open(root, path);
    device->numa_node = node_of(root, folder);
}

static void find_ivshmems(const char *root, struct ferry_devices *out)
{
    struct ferry_entries entries;

    ferry_entries_list(root, PCI, &entries);
    for (unsigned i = 0; i < entries.count; i++) {
        char folder[FERRY_SYS_PATH];

        snprintf(folder, sizeof(folder), PCI "/%s", entries.names[i]);
        if (ferry_sys_number(root, folder, "vendor", 0) != IVSHMEM_VENDOR ||
            ferry_sys_number(root, folder, "device", 0) != IVSHMEM_DEVICE)
            continue;
        if (out->ivshmem_count < FERRY_MEMORIES_MAX)
            find_ivshmem(root, entries.names[i], &out->ivshmems[out->ivshmem_count++]);
        else
            out->ivshmems_left++;
    }
    ferry_entries_free(&entries);
}

/* ---- DAX ---- */

void ferry_devices_find_memory(const char *root, struct ferry_devices *out)
{
    struct ferry_entries entries;

    find_ivshmems(root, out);
    ferry_entries_list(root, DAX, &entries);
    for (unsigned i = 0; i < entries.count; i++) {
        struct ferry_memory_device *device = &out->daxes[out->dax_count];
        char folder[FERRY_SYS_PATH], path[64];
        int64_t size;

        if (out->dax_count == FERRY_MEMORIES_MAX) {
            out->daxes_left = entries.count - i;
            break;
        }
        start(device, entries.names[i]);
        snprintf(folder, sizeof(folder), DAX "/%s", entries.names[i]);
        size = ferry_sys_number(root, folder, "size", 0);
        device->size = size > 0 ? (uint64_t) size : 0;
        snprintf(path, sizeof(path), "/dev/%s", entries.names[i]);
        device->error = ferry_may_open(root, path);
        device->numa_node = node_of(root, folder);
        out->dax_count++;
    }
    ferry_entries_free(&entries);
}
