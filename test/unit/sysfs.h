/*
 * Trees of made-up devices, as the kernel lays them out in /sys.
 */
#ifndef FERRY_TEST_SYSFS_H
#define FERRY_TEST_SYSFS_H

#include "scene.h"

#include "devices.h"

static struct ferry_devices devices;

static void expect(const char *text)
{
    char *said;
    size_t length;
    FILE *out = open_memstream(&said, &length);

    ferry_devices_find(root, &devices);
    ferry_devices_print(&devices, out);
    fclose(out);
    assert_string_equal(said, text);
    free(said);
}

#define NO_MEMORY "\nMemory shared between VMs (ivshmem)\n  none\n\nDAX devices\n  none\n"
#define NO_RDMA "RDMA devices\n  none\n"

/* ---- Making trees as the kernel lays them out ---- */

static void put_in(const char *folder, const char *file, const char *text)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", folder, file);
    put(path, text);
}

static void link_in(const char *folder, const char *name, const char *target, const char *last)
{
    char path[512], to[512];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    snprintf(to, sizeof(to), "%s%s", target, last);
    put_link(path, to);
}

/* id: "0x15b3 0x1017". */
static void put_pci(const char *address, const char *id, const char *driver)
{
    char folder[128], part[8];

    snprintf(folder, sizeof(folder), "/sys/devices/pci/%s", address);
    snprintf(part, sizeof(part), "%.6s\n", id);
    put_in(folder, "vendor", part);
    snprintf(part, sizeof(part), "%.6s\n", id + 7);
    put_in(folder, "device", part);
    put_in(folder, "numa_node", "-1\n");
    link_in(folder, "subsystem", "../../../bus/pci", "");
    link_in(folder, "driver", "../../../bus/pci/drivers/", driver);
    link_in("/sys/bus/pci/devices", address, "../../../devices/pci/", address);
}

/* A device of a class that hangs below one of a bus: "pci/0000:01:00.0". */
static const char *put_class(const char *class, const char *name, const char *below)
{
    static char folder[160];
    char path[128];

    snprintf(folder, sizeof(folder), "/sys/devices/%s/%s/%s", below, class, name);
    snprintf(path, sizeof(path), "/sys/class/%s", class);
    put_in(folder, "uevent", "\n");
    link_in(folder, "device", "../../../", strrchr(below, '/') + 1);
    link_in(path, name, "../..", folder + strlen("/sys"));
    return folder;
}

static void put_net(const char *name, const char *below, const char *state, const char *speed)
{
    const char *folder = put_class("net", name, below);

    put_in(folder, "operstate", state);
    put_in(folder, "speed", speed);
    put_in(folder, "mtu", "9000\n");
    put_in(folder, "type", "1\n");
    put_in(folder, "ifindex", "2\n");
    put_in(folder, "iflink", "2\n");
}

/* A device in software. */
static const char *put_soft(const char *name, const char *uevent, const char *iflink)
{
    static char folder[128];

    snprintf(folder, sizeof(folder), "/sys/devices/virtual/net/%s", name);
    put_in(folder, "uevent", uevent);
    put_in(folder, "operstate", "up\n");
    put_in(folder, "type", "1\n");
    put_in(folder, "ifindex", "7\n");
    put_in(folder, "iflink", iflink);
    link_in("/sys/class/net", name, "../../devices/virtual/net/", name);
    return folder;
}

static void put_port(const char *folder, const char *layer, const char *rate)
{
    put_in(folder, "ports/1/state", "4: ACTIVE\n");
    put_in(folder, "ports/1/phys_state", "5: LinkUp\n");
    put_in(folder, "ports/1/link_layer", layer);
    put_in(folder, "ports/1/rate", rate);
}

static void put_gid(const char *folder, unsigned index, const char *gid, const char *type,
                    const char *netdev)
{
    char file[64];

    snprintf(file, sizeof(file), "ports/1/gids/%u", index);
    put_in(folder, file, gid);
    snprintf(file, sizeof(file), "ports/1/gid_attrs/types/%u", index);
    put_in(folder, file, type);
    snprintf(file, sizeof(file), "ports/1/gid_attrs/ndevs/%u", index);
    put_in(folder, file, netdev);
}

#define ZERO_GID "0000:0000:0000:0000:0000:0000:0000:0000\n"
#define LOCAL_GID "fe80:0000:0000:0000:0a94:efff:fe12:3456\n"
#define V4_GID "0000:0000:0000:0000:0000:ffff:0a01:0203\n"

/* What programs open, and its node. */
static void put_verbs(const char *name, const char *device, bool node)
{
    char path[128];

    snprintf(path, sizeof(path), "/sys/class/infiniband_verbs/%s/ibdev", name);
    put(path, device);
    snprintf(path, sizeof(path), "/dev/infiniband/%s", name);
    if (node)
        put(path, "");
}

#endif
