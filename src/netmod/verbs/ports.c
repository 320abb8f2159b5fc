#include "ports.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "list.h"
#include "log.h"
#include "peek.h"

#define NAME_ROOM (FERRY_NAME_ROOM + 12)
#define NODES_MAX 64

/* Distances as the kernel's table of NUMA nodes has them. */
#define NEAR 10
#define FAR 20

/* ---- How far away ---- */

struct processors {
    cpu_set_t masks[8]; /* 8192 processors, the most that the kernel can be built for */
};

/* Whether one of them is in a list such as 1,3,5-31. */
static bool is_among(const struct processors *own, const char *list)
{
    while (*list >= '0' && *list <= '9') {
        char *end;
        unsigned long first = strtoul(list, &end, 10), last = first;

        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (; first <= last && first < 8 * sizeof(own->masks); first++)
            if (CPU_ISSET_S(first, sizeof(own->masks), own->masks))
                return true;
        list = *end == ',' ? end + 1 : end;
    }
    return false;
}

/* From a node to the nearest that has a processor of ours; the nodes' files name others by their order, and numbers may
 * be left out. */
static unsigned distance_of_node(const char *root, int node, const struct processors *own)
{
    char path[80], line[512], cpus[256], *at = line;
    unsigned least = FAR * 100;

    snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/distance", node);
    if (ferry_peek_line(root, path, line, sizeof(line)) <= 0)
        return FAR;
    for (unsigned k = 0; k < NODES_MAX && *at; k++) {
        unsigned long distance;

        snprintf(path, sizeof(path), "/sys/devices/system/node/node%u/cpulist", k);
        if (ferry_peek_line(root, path, cpus, sizeof(cpus)) < 0)
            continue;
        distance = strtoul(at, &at, 10);
        if (is_among(own, cpus) && distance >= NEAR && distance < least)
            least = (unsigned) distance;
    }
    return least < FAR * 100 ? least : FAR;
}

static unsigned distance_of(const char *root, const struct ferry_bus_place *bus,
                            const struct processors *own)
{
    if (bus->cpus[0] && is_among(own, bus->cpus))
        return NEAR;
    if (bus->numa_node >= 0)
        return distance_of_node(root, bus->numa_node, own);
    return bus->cpus[0] ? FAR : FERRY_VERBS_UNKNOWN;
}

/* ---- What is wanted ---- */

static void name_port(const struct ferry_rdma *device, const struct ferry_rdma_port *port,
                      char name[NAME_ROOM])
{
    snprintf(name, NAME_ROOM, "%s:%u", device->name, port->number);
}

static bool is_wanted(const struct ferry_rdma *device, const struct ferry_rdma_port *port,
                      const char *wanted)
{
    char name[NAME_ROOM];

    name_port(device, port, name);
    return ferry_list_has(wanted, device->name) || ferry_list_has(wanted, name);
}

static bool has_port(const struct ferry_devices *devices, const char *item)
{
    for (uint32_t i = 0; i < devices->rdma_count; i++)
        for (uint32_t k = 0; k < devices->rdmas[i].port_count; k++)
            if (is_wanted(&devices->rdmas[i], &devices->rdmas[i].ports[k], item))
                return true;
    return false;
}

bool ferry_verbs_missing(const struct ferry_devices *devices, const char *wanted, char *text,
                         size_t room)
{
    char item[256], name[NAME_ROOM];
    size_t used;
    bool any = false;

    do
        if (!ferry_list_next(&wanted, item, sizeof(item)))
            return false;
    while (has_port(devices, item));
    used = (size_t) snprintf(text, room, "%s; there are: ", item);
    for (uint32_t i = 0; i < devices->rdma_count; i++)
        for (uint32_t k = 0; k < devices->rdmas[i].port_count && used < room; k++, any = true) {
            name_port(&devices->rdmas[i], &devices->rdmas[i].ports[k], name);
            used += (size_t) snprintf(text + used, room - used, "%s%s", any ? ", " : "", name);
        }
    if (!any && used < room)
        snprintf(text + used, room - used, "none");
    return true;
}

/* ---- The judgement ---- */

static bool has_connections(const struct ferry_rdma *device, const struct ferry_rdma_port *port)
{
    return !device->is_iwarp &&
           (!strcmp(port->link_layer, "Ethernet") || !strcmp(port->link_layer, "InfiniBand"));
}

static enum ferry_verbs_obstacle obstacle_of(const struct ferry_rdma *device,
                                             const struct ferry_rdma_port *port, const char *wanted)
{
    if (wanted[strspn(wanted, " ,")] && !is_wanted(device, port, wanted))
        return FERRY_PORT_NOT_NAMED;
    if (!has_connections(device, port))
        return FERRY_PORT_NO_RC;
    if (!device->verbs[0])
        return FERRY_PORT_NO_UVERBS;
    if (device->verbs_error)
        return FERRY_PORT_FORBIDDEN;
    return strcmp(port->state, "ACTIVE") ? FERRY_PORT_DOWN : FERRY_PORT_GOOD;
}

/* "100 Gb/sec (4X EDR)", "2.5 Gb/sec (1X SDR)". */
static double rate_of(const struct ferry_verbs_judged *judged)
{
    return strtod(judged->port->rate, NULL);
}

static int by_merit(const void *first, const void *second)
{
    const struct ferry_verbs_judged *a = first, *b = second;

    if (a->obstacle != b->obstacle)
        return a->obstacle < b->obstacle ? -1 : 1;
    if (!a->device->soft[0] != !b->device->soft[0])
        return !a->device->soft[0] ? -1 : 1;
    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    if (rate_of(a) != rate_of(b))
        return rate_of(a) > rate_of(b) ? -1 : 1;
    return a->port < b->port ? -1 : a->port > b->port; /* as sysfs was read, all in one array */
}

unsigned ferry_verbs_judge(const char *root, const struct ferry_devices *devices,
                           const char *wanted,
                           struct ferry_verbs_judged judged[FERRY_VERBS_PORTS_MAX])
{
    struct processors own = {0};
    unsigned count = 0;

    sched_getaffinity(0, sizeof(own.masks), own.masks);
    for (uint32_t i = 0; i < devices->rdma_count; i++) {
        const struct ferry_rdma *device = &devices->rdmas[i];
        unsigned distance = distance_of(root, &device->bus, &own);

        for (uint32_t k = 0; k < device->port_count; k++)
            judged[count++] = (struct ferry_verbs_judged){
                device, &device->ports[k], obstacle_of(device, &device->ports[k], wanted),
                distance};
    }
    qsort(judged, count, sizeof(judged[0]), by_merit);
    return count;
}

/* ---- What open() asks ---- */

static void say_missing(const char *wanted, const char *missing, bool any)
{
    ferry_log(FERRY_LOG_ERROR, "FERRY_VERBS_DEVICE=%s: there is no RDMA device or port %s; %s",
              wanted, missing,
              any ? "others that it names are used" : "messages go over the network");
}

/* A container that was not given the node may well do without; a node that refuses is a mistake. */
static void say_forbidden(const struct ferry_rdma *device)
{
    bool is_missing = device->verbs_error == ENOENT;

    ferry_log(is_missing ? FERRY_LOG_INFO : FERRY_LOG_WARN,
              "RDMA device %s can't be used: /dev/infiniband/%s: %s; messages go over the network "
              "(ferry_info -t says what would help)",
              device->name, device->verbs, strerror(device->verbs_error));
}

int ferry_verbs_ports(struct ferry_verbs_port *ports, unsigned room)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    const char *wanted = ferry_config()->verbs_device;
    struct ferry_devices *devices = calloc(1, sizeof(*devices));
    struct ferry_verbs_judged judged[FERRY_VERBS_PORTS_MAX];
    unsigned count, good = 0;
    char missing[256];
    bool any_missing, quiet;

    if (!devices)
        return -ENOMEM;
    if (ferry_peek_exists("",
                          "/sys/class/infiniband")) /* else there is none, as on most machines */
        ferry_devices_find("", devices);
    count = ferry_verbs_judge("", devices, wanted, judged);
    for (; good < count && good < room && judged[good].obstacle == FERRY_PORT_GOOD; good++) {
        strcpy(ports[good].device, judged[good].device->name);
        ports[good].number = judged[good].port->number;
    }
    any_missing = ferry_verbs_missing(devices, wanted, missing, sizeof(missing));
    quiet = atomic_flag_test_and_set(&said);
    if (any_missing && !quiet)
        say_missing(wanted, missing, good > 0);
    if (count && !good && !quiet && judged[0].obstacle == FERRY_PORT_FORBIDDEN)
        say_forbidden(judged[0].device);
    free(devices);
    return good || !any_missing ? (int) good : -ENODEV;
}
