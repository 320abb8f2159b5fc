/*
 * Devices for people.
 */
#include "devices.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LABEL "  %-18s"
#define DETAIL "    %-16s"
#define FINE "      %-14s"

/* What is in brackets behind a device; a comma between two facts. */
struct facts {
    FILE *out;
    bool any;
};

static FILE *next(struct facts *facts)
{
    fputs(facts->any ? ", " : " (", facts->out);
    facts->any = true;
    return facts->out;
}

static void put_bus(const struct ferry_bus_place *bus, FILE *out)
{
    struct facts facts = {.out = out};

    fputs(ferry_function_name(bus->function), out);
    if (bus->parent[0] != '\0')
        fprintf(out, " of %s", bus->parent);
    if (bus->functions > 0)
        fprintf(out, " with %u virtual ones", bus->functions);
    if (bus->address[0] != '\0')
        fprintf(next(&facts), "%s", bus->address);
    if (bus->vendor != 0)
        fprintf(next(&facts), "%s%04x:%04x", bus->by_id ? "told by its id " : "", bus->vendor,
                bus->device);
    if (bus->driver[0] != '\0')
        fprintf(next(&facts), "%s", bus->driver);
    if (facts.any)
        putc(')', out);
}

static void put_near(const struct ferry_bus_place *bus, FILE *out)
{
    if (bus->numa_node < 0 && bus->cpus[0] == '\0')
        return;
    fprintf(out, DETAIL, "near");
    if (bus->numa_node >= 0)
        fprintf(out, "NUMA node %d%s", bus->numa_node, bus->cpus[0] != '\0' ? ", " : "");
    if (bus->cpus[0] != '\0')
        fprintf(out, "processors %s", bus->cpus);
    putc('\n', out);
}

static void put_left(const char *what, uint32_t left, FILE *out)
{
    if (left > 0)
        fprintf(out, LABEL "%u\n", what, left);
}

/* ---- RDMA ---- */

static void put_gids(const struct ferry_rdma_port *port, FILE *out)
{
    char label[24];

    for (uint32_t i = 0; i < port->gid_count; i++) {
        const struct ferry_gid *gid = &port->gids[i];
        struct facts facts = {.out = out};

        snprintf(label, sizeof(label), "GID %u", gid->index);
        fprintf(out, FINE "%s", label, gid->address);
        if (gid->type[0] != '\0')
            fprintf(next(&facts), "%s", gid->type);
        if (gid->netdev[0] != '\0')
            fprintf(next(&facts), "%s", gid->netdev);
        fputs(facts.any ? ")\n" : "\n", out);
    }
    if (port->gids_left > 0)
        fprintf(out, FINE "%u\n", "more GIDs", port->gids_left);
    if (port->pkey_count > 0) {
        fprintf(out, FINE, "pkeys");
        for (uint32_t i = 0; i < port->pkey_count; i++)
            fprintf(out, "%s0x%04x", i > 0 ? " " : "", port->pkeys[i]);
        if (port->pkeys_left > 0)
            fprintf(out, " and %u more", port->pkeys_left);
        putc('\n', out);
    }
}

static void put_port(const struct ferry_rdma_port *port, FILE *out)
{
    const char *const facts[] = {port->physical_state, port->link_layer, port->rate};
    char label[24];

    snprintf(label, sizeof(label), "port %u", port->number);
    fprintf(out, DETAIL "%s", label, port->state[0] != '\0' ? port->state : "state not known");
    for (int i = 0; i < 3; i++)
        if (facts[i][0] != '\0')
            fprintf(out, ", %s", facts[i]);
    for (uint32_t i = 0; i < port->netdev_count; i++)
        fprintf(out, "%s%s", i > 0 ? " " : ", network device ", port->netdevs[i]);
    putc('\n', out);
    put_gids(port, out);
}

static void put_verbs(const struct ferry_rdma *rdma, FILE *out)
{
    fprintf(out, DETAIL, "for programs");
    if (rdma->verbs[0] == '\0')
        fputs("nothing: the kernel's ib_uverbs doesn't serve it\n", out);
    else if (rdma->verbs_error == 0)
        fprintf(out, "/dev/infiniband/%s, this user may open it\n", rdma->verbs);
    else if (rdma->verbs_error == ENOENT)
        fprintf(out, "/dev/infiniband/%s, node missing\n", rdma->verbs);
    else
        fprintf(out, "/dev/infiniband/%s, this user can't open it: %s\n", rdma->verbs,
                strerrordesc_np(rdma->verbs_error));
}

static void put_rdmas(const struct ferry_devices *devices, FILE *out)
{
    fprintf(out, "RDMA devices\n");
    if (devices->rdma_count == 0)
        fprintf(out, "  none\n");
    for (uint32_t i = 0; i < devices->rdma_count; i++) {
        const struct ferry_rdma *rdma = &devices->rdmas[i];

        fprintf(out, LABEL, rdma->name);
        if (rdma->soft[0] != '\0')
            fprintf(out, "%s, a ", rdma->soft);
        put_bus(&rdma->bus, out);
        putc('\n', out);
        put_verbs(rdma, out);
        put_near(&rdma->bus, out);
        for (uint32_t k = 0; k < rdma->port_count; k++)
            put_port(&rdma->ports[k], out);
        if (rdma->ports_left > 0)
            fprintf(out, DETAIL "%u\n", "more ports", rdma->ports_left);
    }
    put_left("more", devices->rdmas_left, out);
}

/* ---- Network ---- */

static void put_link(const struct ferry_netdev *device, FILE *out)
{
    fprintf(out, DETAIL "%s", "link", device->state[0] != '\0' ? device->state : "state not known");
    if (device->speed > 0)
        fprintf(out, ", %u Mbit/s", device->speed);
    if (device->mtu > 0)
        fprintf(out, ", packets of %u bytes", device->mtu);
    if (device->master[0] != '\0')
        fprintf(out, ", part of %s", device->master);
    putc('\n', out);
}

static void put_netdevs(const struct ferry_devices *devices, FILE *out)
{
    fprintf(out, "\nNetwork devices\n");
    if (devices->netdev_count == 0)
        fprintf(out, "  none\n");
    for (uint32_t i = 0; i < devices->netdev_count; i++) {
        const struct ferry_netdev *device = &devices->netdevs[i];

        fprintf(out, LABEL, device->name);
        if (device->kind[0] != '\0')
            fprintf(out, "%s, ", device->kind);
        put_bus(&device->bus, out);
        fprintf(out, "%s\n", device->is_pair ? ", one end of a pair or on another device" : "");
        put_link(device, out);
        put_near(&device->bus, out);
    }
    put_left("more", devices->netdevs_left, out);
}

/* ---- Memory ---- */

static void put_memories(const char *title, const struct ferry_memory_device *devices,
                         uint32_t count, uint32_t left, FILE *out)
{
    fprintf(out, "\n%s\n", title);
    if (count == 0)
        fprintf(out, "  none\n");
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, LABEL, devices[i].name);
        if (devices[i].size == 0)
            fputs("size not known", out);
        else if (devices[i].size % (1u << 20) == 0)
            fprintf(out, "%" PRIu64 " MiB", devices[i].size >> 20);
        else
            fprintf(out, "%" PRIu64 " bytes", devices[i].size);
        if (devices[i].numa_node >= 0)
            fprintf(out, ", NUMA node %d", devices[i].numa_node);
        if (devices[i].error == 0)
            fputs(", this user may open it\n", out);
        else
            fprintf(out, ", this user can't open it: %s\n", strerrordesc_np(devices[i].error));
    }
    put_left("more", left, out);
}

void ferry_devices_print(const struct ferry_devices *devices, FILE *out)
{
    if (devices->no_sysfs) {
        fputs("/sys can't be read here, so nothing is known of devices\n", out);
        return;
    }
    put_rdmas(devices, out);
    put_netdevs(devices, out);
    put_memories("Memory shared between VMs (ivshmem)", devices->ivshmems, devices->ivshmem_count,
                 devices->ivshmems_left, out);
    put_memories("DAX devices", devices->daxes, devices->dax_count, devices->daxes_left, out);
}
