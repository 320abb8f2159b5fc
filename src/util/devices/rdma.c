/*
 * RDMA devices: /sys/class/infiniband, as Documentation/ABI/stable/sysfs-class-infiniband of Linux describes it.
 */
#include "parts.h"
#include "peek.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define CLASS "/sys/class/infiniband"
#define VERBS "/sys/class/infiniband_verbs"

/* Tables of GIDs and keys have so many rows at most that are looked at. */
#define ROWS_MAX 256

/* Takes the number and colon away that stand before some words: "4: ACTIVE". */
static void read_word(const char *root, const char *folder, const char *file, char *word,
                      size_t room)
{
    char line[64];
    size_t digits;

    ferry_sys_line(root, folder, file, line, sizeof(line));
    digits = strspn(line, "0123456789");
    if (digits > 0 && line[digits] == ':')
        digits += 1 + strspn(line + digits + 1, " ");
    else
        digits = 0;
    snprintf(word, room, "%.*s", (int) room - 1, line + digits);
}

/* ---- GIDs ---- */

static bool read_gid(const char *root, const char *port, struct ferry_gid *gid)
{
    static const uint8_t v4[12] = {[10] = 0xff, [11] = 0xff}, zero[16];
    char file[48], line[64];

    snprintf(file, sizeof(file), "gids/%u", gid->index);
    ferry_sys_line(root, port, file, line, sizeof(line));
    if (inet_pton(AF_INET6, line, gid->bytes) != 1 || memcmp(gid->bytes, zero, 16) == 0)
        return false;
    if (memcmp(gid->bytes, v4, sizeof(v4)) == 0)
        inet_ntop(AF_INET, gid->bytes + 12, gid->address, sizeof(gid->address));
    else
        inet_ntop(AF_INET6, gid->bytes, gid->address, sizeof(gid->address));
    snprintf(file, sizeof(file), "gid_attrs/types/%u", gid->index);
    ferry_sys_line(root, port, file, gid->type, sizeof(gid->type));
    snprintf(file, sizeof(file), "gid_attrs/ndevs/%u", gid->index);
    ferry_sys_line(root, port, file, gid->netdev, sizeof(gid->netdev));
    return true;
}

static void add_netdev(struct ferry_rdma_port *port, const char *name)
{
    for (uint32_t i = 0; i < port->netdev_count; i++)
        if (strcmp(port->netdevs[i], name) == 0)
            return;
    if (name[0] != '\0' && port->netdev_count < 4)
        snprintf(port->netdevs[port->netdev_count++], FERRY_NAME_ROOM, "%s", name);
}

static bool is_number(const char *text, uint32_t most, uint32_t *number)
{
    size_t digits = strspn(text, "0123456789");

    if (digits == 0 || digits > 6 || text[digits] != '\0')
        return false;
    *number = (uint32_t) strtoul(text, NULL, 10);
    return *number < most;
}

static void find_gids(const char *root, const char *folder, struct ferry_rdma_port *port)
{
    char path[FERRY_SYS_PATH];
    struct ferry_entries entries;

    snprintf(path, sizeof(path), "%.480s/gids", folder);
    ferry_entries_list(root, path, &entries);
    for (unsigned i = 0; i < entries.count; i++) {
        struct ferry_gid gid = {0};

        if (!is_number(entries.names[i], ROWS_MAX, &gid.index) || !read_gid(root, folder, &gid))
            continue;
        add_netdev(port, gid.netdev);
        if (port->gid_count < FERRY_GIDS_MAX)
            port->gids[port->gid_count++] = gid;
        else
            port->gids_left++;
    }
    ferry_entries_free(&entries);
}

static void find_pkeys(const char *root, const char *folder, struct ferry_rdma_port *port)
{
    char path[FERRY_SYS_PATH];
    struct ferry_entries entries;
    uint32_t index;

    snprintf(path, sizeof(path), "%.480s/pkeys", folder);
    ferry_entries_list(root, path, &entries);
    for (unsigned i = 0; i < entries.count; i++) {
        int64_t key;

        if (!is_number(entries.names[i], ROWS_MAX, &index))
            continue;
        key = ferry_sys_number(root, path, entries.names[i], 0);
        if (key <= 0 || key > UINT16_MAX)
            continue;
        if (port->pkey_count < FERRY_PKEYS_MAX)
            port->pkeys[port->pkey_count++] = (uint16_t) key;
        else
            port->pkeys_left++;
    }
    ferry_entries_free(&entries);
}

/* ---- Devices ---- */

/* Where GIDs name none, as with InfiniBand: the network devices of the same device and port. */
static void find_netdevs_beside(const char *root, const struct ferry_devices *devices,
                                const struct ferry_rdma *rdma, struct ferry_rdma_port *port)
{
    for (uint32_t i = 0; i < devices->netdev_count; i++) {
        const struct ferry_netdev *netdev = &devices->netdevs[i];
        char folder[FERRY_SYS_PATH];

        if (!netdev->bus.is_pci || strcmp(netdev->bus.address, rdma->bus.address) != 0)
            continue;
        snprintf(folder, sizeof(folder), "/sys/class/net/%s", netdev->name);
        if (ferry_sys_number(root, folder, "dev_port", 0) + 1 == port->number)
            add_netdev(port, netdev->name);
    }
}

static void find_port(const char *root, const char *folder, struct ferry_rdma_port *port)
{
    read_word(root, folder, "state", port->state, sizeof(port->state));
    read_word(root, folder, "phys_state", port->physical_state, sizeof(port->physical_state));
    ferry_sys_line(root, folder, "link_layer", port->link_layer, sizeof(port->link_layer));
    ferry_sys_line(root, folder, "rate", port->rate, sizeof(port->rate));
    find_gids(root, folder, port);
    find_pkeys(root, folder, port);
}

static void find_ports(const char *root, const char *folder, const struct ferry_devices *devices,
                       struct ferry_rdma *rdma)
{
    char path[FERRY_SYS_PATH];
    struct ferry_entries entries;
    uint32_t number;

    snprintf(path, sizeof(path), "%.480s/ports", folder);
    ferry_entries_list(root, path, &entries);
    for (unsigned i = 0; i < entries.count; i++) {
        struct ferry_rdma_port *port = &rdma->ports[rdma->port_count];

        if (!is_number(entries.names[i], ROWS_MAX, &number))
            continue;
        if (rdma->port_count == FERRY_PORTS_MAX) {
            rdma->ports_left++;
            continue;
        }
        port->number = number;
        snprintf(path, sizeof(path), "%.440s/ports/%s", folder, entries.names[i]);
        find_port(root, path, port);
        if (rdma->soft[0] != '\0')
            add_netdev(port, rdma->over);
        else if (port->netdev_count == 0)
            find_netdevs_beside(root, devices, rdma, port);
        rdma->port_count++;
    }
    ferry_entries_free(&entries);
}

static void find_type(const char *root, const char *folder, struct ferry_rdma *rdma)
{
    char type[24];

    read_word(root, folder, "node_type", type, sizeof(type));
    rdma->is_iwarp = strcmp(type, "RNIC") == 0;
}

/* Devices in software hang below the hardware of their network device in some kernels, so that is no sign. */
static void find_soft(const char *root, const char *folder, struct ferry_rdma *rdma)
{
    char description[64];

    ferry_sys_line(root, folder, "node_desc", description, sizeof(description));
    ferry_sys_line(root, folder, "parent", rdma->over, sizeof(rdma->over)); /* only rxe has it */
    if (rdma->over[0] != '\0' || strcmp(description, "rxe") == 0)
        strcpy(rdma->soft, "Soft-RoCE");
    else if (strncmp(description, "Software iWARP", 14) == 0)
        strcpy(rdma->soft, "Soft-iWARP");
    else
        return;
    rdma->bus.function = FERRY_FUNCTION_DEVICE;
    rdma->bus.by_id = false;
    rdma->bus.functions = 0;
    rdma->bus.driver[0] = rdma->bus.parent[0] = '\0';
}

/* The one that names this device. A container may see it here and have no node for it. */
static void find_verbs(const char *root, struct ferry_rdma *rdma)
{
    struct ferry_entries entries;

    ferry_entries_list(root, VERBS, &entries);
    for (unsigned i = 0; i < entries.count && rdma->verbs[0] == '\0'; i++) {
        char path[FERRY_SYS_PATH], device[FERRY_NAME_ROOM];

        snprintf(path, sizeof(path), VERBS "/%s", entries.names[i]);
        ferry_sys_line(root, path, "ibdev", device, sizeof(device));
        if (device[0] == '\0' || strcmp(device, rdma->name) != 0)
            continue;
        snprintf(path, sizeof(path), "/dev/infiniband/%s", entries.names[i]);
        rdma->verbs_error = ferry_may_open(root, path);
        snprintf(rdma->verbs, sizeof(rdma->verbs), "%s", entries.names[i]);
        ferry_clean(rdma->verbs);
    }
    ferry_entries_free(&entries);
}

void ferry_devices_find_rdma(const char *root, struct ferry_devices *out)
{
    struct ferry_entries entries;

    ferry_entries_list(root, CLASS, &entries);
    for (unsigned i = 0; i < entries.count; i++) {
        struct ferry_rdma *rdma = &out->rdmas[out->rdma_count];
        char folder[FERRY_SYS_PATH];

        if (out->rdma_count == FERRY_RDMAS_MAX) {
            out->rdmas_left = entries.count - i;
            break;
        }
        snprintf(folder, sizeof(folder), CLASS "/%s", entries.names[i]);
        snprintf(rdma->name, sizeof(rdma->name), "%s", entries.names[i]);
        ferry_clean(rdma->name);
        ferry_bus_find(root, folder, &rdma->bus);
        find_type(root, folder, rdma);
        find_soft(root, folder, rdma);
        find_verbs(root, rdma);
        find_ports(root, folder, out, rdma);
        out->rdma_count++;
    }
    ferry_entries_free(&entries);
}
