#include "devices.h"

#include "parts.h"
#include "peek.h"

#include <net/if_arp.h>
#include <string.h>

#define NET "/sys/class/net"

const char *ferry_function_name(enum ferry_function function)
{
    static const char *const names[] = {"physical function", "virtual function", "virtual device"};

    return names[function];
}

/* ---- Network devices ---- */

struct reading {
    const char *root, *folder;
    struct ferry_netdev *device;
};

static bool read_devtype(char *line, void *arg)
{
    struct ferry_netdev *device = arg;

    if (strncmp(line, "DEVTYPE=", 8) != 0)
        return true;
    snprintf(device->kind, sizeof(device->kind), "%.*s", (int) sizeof(device->kind) - 1, line + 8);
    ferry_clean(device->kind);
    return false;
}

/* The kernel names the kind of some devices; others show it by a folder, or by the type of their addresses. */
static void find_kind(const struct reading *reading)
{
    struct ferry_netdev *device = reading->device;
    char path[FERRY_SYS_PATH];
    int64_t type = ferry_sys_number(reading->root, reading->folder, "type", -1);

    snprintf(path, sizeof(path), "%.480s/uevent", reading->folder);
    ferry_peek_pieces(reading->root, path, '\n', read_devtype, device);
    if (device->kind[0] != '\0')
        return;
    snprintf(path, sizeof(path), "%.480s/tun_flags", reading->folder);
    if (type == ARPHRD_LOOPBACK)
        strcpy(device->kind, "loopback");
    else if (type == ARPHRD_INFINIBAND)
        strcpy(device->kind, "infiniband");
    else if (ferry_peek_exists(reading->root, path))
        strcpy(device->kind, "tun");
}

static uint32_t read_count(const struct reading *reading, const char *file)
{
    int64_t number = ferry_sys_number(reading->root, reading->folder, file, 0);

    return number > 0 && number < UINT32_MAX ? (uint32_t) number : 0;
}

static void find_netdev(const struct reading *reading)
{
    struct ferry_netdev *device = reading->device;
    uint32_t index, link;

    ferry_sys_line(reading->root, reading->folder, "operstate", device->state,
                   sizeof(device->state));
    ferry_sys_link(reading->root, reading->folder, "master", device->master,
                   sizeof(device->master));
    device->mtu = read_count(reading, "mtu");
    device->speed = read_count(reading, "speed");
    find_kind(reading);
    index = read_count(reading, "ifindex");
    link = read_count(reading, "iflink");
    device->is_pair = device->bus.address[0] == '\0' && device->kind[0] == '\0' && link > 0 &&
                      link != index;
}

/* Adds those with, or those without hardware under them. */
static void find_netdevs(const char *root, const struct ferry_entries *entries, bool hardware,
                         struct ferry_devices *out)
{
    for (unsigned i = 0; i < entries->count; i++) {
        struct ferry_netdev device = {0};
        struct reading reading;
        char folder[FERRY_SYS_PATH];

        snprintf(folder, sizeof(folder), NET "/%s", entries->names[i]);
        reading = (struct reading){root, folder, &device};
        ferry_bus_find(root, folder, &device.bus);
        if ((device.bus.address[0] != '\0') != hardware || !ferry_peek_exists(root, folder))
            continue;
        snprintf(device.name, sizeof(device.name), "%s", entries->names[i]);
        ferry_clean(device.name);
        /* A file that the bonding driver leaves among the devices. */
        if (strcmp(device.name, "bonding_masters") == 0)
            continue;
        if (out->netdev_count == FERRY_NETDEVS_MAX) {
            out->netdevs_left++;
            continue;
        }
        find_netdev(&reading);
        out->netdevs[out->netdev_count++] = device;
    }
}

void ferry_devices_find(const char *root, struct ferry_devices *out)
{
    struct ferry_entries entries;

    memset(out, 0, sizeof(*out));
    out->no_sysfs = !ferry_peek_exists(root, "/sys/class") && !ferry_peek_exists(root, "/sys/bus");
    ferry_entries_list(root, NET, &entries);
    find_netdevs(root, &entries, true, out);
    find_netdevs(root, &entries, false, out);
    ferry_entries_free(&entries);
    ferry_devices_find_rdma(root, out);
    ferry_devices_find_memory(root, out);
}
