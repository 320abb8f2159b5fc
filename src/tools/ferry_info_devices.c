/*
 * Devices for programs.
 */
#include "ferry_info.h"

#include <errno.h>

static const char *if_any(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void put_if(struct ferry_json *json, const char *name, bool known, uint64_t number)
{
    if (known)
        ferry_json_number(json, name, number);
    else
        ferry_json_null(json, name);
}

static void put_bus(struct ferry_json *json, const struct ferry_bus_place *bus)
{
    char id[16];

    snprintf(id, sizeof(id), "%04x:%04x", bus->vendor, bus->device);
    ferry_json_text(json, "function", ferry_function_name(bus->function));
    ferry_json_bool(json, "function_by_id", bus->by_id);
    ferry_json_text(json, "physical_function", if_any(bus->parent));
    ferry_json_number(json, "virtual_functions", bus->functions);
    ferry_json_text(json, "address", if_any(bus->address));
    ferry_json_text(json, "pci_id", bus->vendor != 0 ? id : NULL);
    ferry_json_text(json, "driver", if_any(bus->driver));
    put_if(json, "numa_node", bus->numa_node >= 0, (uint64_t) bus->numa_node);
    ferry_json_text(json, "processors", if_any(bus->cpus));
}

static void put_gids(struct ferry_json *json, const struct ferry_rdma_port *port)
{
    ferry_json_open(json, "gids", '[');
    for (uint32_t i = 0; i < port->gid_count; i++) {
        const struct ferry_gid *gid = &port->gids[i];

        ferry_json_open(json, NULL, '{');
        ferry_json_number(json, "index", gid->index);
        ferry_json_text(json, "address", gid->address);
        ferry_json_text(json, "type", if_any(gid->type));
        ferry_json_text(json, "network_device", if_any(gid->netdev));
        ferry_json_close(json, '}');
    }
    ferry_json_close(json, ']');
    ferry_json_number(json, "gids_left", port->gids_left);
}

static void put_port(struct ferry_json *json, const struct ferry_rdma_port *port)
{
    char key[16];

    ferry_json_open(json, NULL, '{');
    ferry_json_number(json, "number", port->number);
    ferry_json_text(json, "state", if_any(port->state));
    ferry_json_text(json, "physical_state", if_any(port->physical_state));
    ferry_json_text(json, "link_layer", if_any(port->link_layer));
    ferry_json_text(json, "rate", if_any(port->rate));
    ferry_json_open(json, "network_devices", '[');
    for (uint32_t i = 0; i < port->netdev_count; i++)
        ferry_json_text(json, NULL, port->netdevs[i]);
    ferry_json_close(json, ']');
    put_gids(json, port);
    ferry_json_open(json, "pkeys", '[');
    for (uint32_t i = 0; i < port->pkey_count; i++) {
        snprintf(key, sizeof(key), "0x%04x", port->pkeys[i]);
        ferry_json_text(json, NULL, key);
    }
    ferry_json_close(json, ']');
    ferry_json_number(json, "pkeys_left", port->pkeys_left);
    ferry_json_close(json, '}');
}

static void put_verbs(struct ferry_json *json, const struct ferry_rdma *rdma)
{
    char path[64];

    if (rdma->verbs[0] == '\0') {
        ferry_json_null(json, "verbs");
        return;
    }
    snprintf(path, sizeof(path), "/dev/infiniband/%s", rdma->verbs);
    ferry_json_open(json, "verbs", '{');
    ferry_json_text(json, "path", path);
    ferry_json_bool(json, "exists", rdma->verbs_error != ENOENT);
    ferry_json_bool(json, "may_be_opened", rdma->verbs_error == 0);
    ferry_json_close(json, '}');
}

static void put_rdmas(struct ferry_json *json, const struct ferry_devices *devices)
{
    ferry_json_open(json, "rdma", '[');
    for (uint32_t i = 0; i < devices->rdma_count; i++) {
        const struct ferry_rdma *rdma = &devices->rdmas[i];

        ferry_json_open(json, NULL, '{');
        ferry_json_text(json, "name", rdma->name);
        ferry_json_text(json, "software", if_any(rdma->soft));
        put_verbs(json, rdma);
        put_bus(json, &rdma->bus);
        ferry_json_open(json, "ports", '[');
        for (uint32_t k = 0; k < rdma->port_count; k++)
            put_port(json, &rdma->ports[k]);
        ferry_json_close(json, ']');
        ferry_json_close(json, '}');
    }
    ferry_json_close(json, ']');
    ferry_json_number(json, "rdma_left", devices->rdmas_left);
}

static void put_netdevs(struct ferry_json *json, const struct ferry_devices *devices)
{
    ferry_json_open(json, "network", '[');
    for (uint32_t i = 0; i < devices->netdev_count; i++) {
        const struct ferry_netdev *device = &devices->netdevs[i];

        ferry_json_open(json, NULL, '{');
        ferry_json_text(json, "name", device->name);
        ferry_json_text(json, "kind", if_any(device->kind));
        ferry_json_text(json, "state", if_any(device->state));
        ferry_json_text(json, "part_of", if_any(device->master));
        put_if(json, "packet_bytes", device->mtu > 0, device->mtu);
        put_if(json, "megabits", device->speed > 0, device->speed);
        put_bus(json, &device->bus);
        ferry_json_close(json, '}');
    }
    ferry_json_close(json, ']');
    ferry_json_number(json, "network_left", devices->netdevs_left);
}

static void put_memories(struct ferry_json *json, const char *name,
                         const struct ferry_memory_device *devices, uint32_t count)
{
    ferry_json_open(json, name, '[');
    for (uint32_t i = 0; i < count; i++) {
        ferry_json_open(json, NULL, '{');
        ferry_json_text(json, "name", devices[i].name);
        put_if(json, "size", devices[i].size > 0, devices[i].size);
        put_if(json, "numa_node", devices[i].numa_node >= 0, (uint64_t) devices[i].numa_node);
        ferry_json_bool(json, "may_be_opened", devices[i].error == 0);
        ferry_json_close(json, '}');
    }
    ferry_json_close(json, ']');
}

void ferry_info_devices(struct ferry_json *json, const struct ferry_devices *devices)
{
    ferry_json_open(json, "devices", '{');
    ferry_json_bool(json, "sysfs", !devices->no_sysfs);
    put_rdmas(json, devices);
    put_netdevs(json, devices);
    put_memories(json, "ivshmem", devices->ivshmems, devices->ivshmem_count);
    put_memories(json, "dax", devices->daxes, devices->dax_count);
    ferry_json_close(json, '}');
}
