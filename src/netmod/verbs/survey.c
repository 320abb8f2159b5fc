/*
 * Which RDMA devices would be used, and what keeps others from it. What can be tried without a connection is tried.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <infiniband/verbs.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "list.h"
#include "peek.h"
#include "ports.h"
#include "survey.h"

struct place {
    const char *root; /* "": this machine, with its libibverbs */
    struct ferry_survey *survey;
};

/* ---- Memory that may be locked ---- */

/* CAP_IPC_LOCK goes past the limit, but only in the machine's first user namespace. */
static bool has_ipc_lock(const char *root)
{
    enum { CAP_IPC_LOCK_BIT = 14 };
    char map[64] = "", status[4096] = "", *line;
    unsigned inside, outside, count;

    if (ferry_peek_line(root, "/proc/self/uid_map", map, sizeof(map)) > 0 &&
        (sscanf(map, "%u %u %u", &inside, &outside, &count) != 3 || inside || outside ||
         count != UINT_MAX))
        return false;
    if (ferry_peek(root, "/proc/self/status", status, sizeof(status)) <= 0)
        return false;
    line = strstr(status, "\nCapEff:");
    return line && strtoull(line + 8, NULL, 16) >> CAP_IPC_LOCK_BIT & 1;
}

static void survey_memory(const struct place *place)
{
    struct rlimit limit = {.rlim_cur = RLIM_INFINITY};
    unsigned long long kib;

    getrlimit(RLIMIT_MEMLOCK, &limit);
    kib = (unsigned long long) limit.rlim_cur / 1024;
    if (limit.rlim_cur == RLIM_INFINITY)
        ferry_survey_add(place->survey, "may lock", "all memory");
    else if (has_ipc_lock(place->root))
        ferry_survey_add(place->survey, "may lock",
                         "all memory: the limit of %llu KiB doesn't bind CAP_IPC_LOCK", kib);
    else if (limit.rlim_cur < FERRY_VERBS_LEAST_LOCKED)
        ferry_survey_fail(place->survey,
                          "raise the limit: ulimit -l unlimited, \"* - memlock unlimited\" in "
                          "/etc/security/limits.conf, LimitMEMLOCK=infinity in the systemd unit "
                          "of what starts jobs, docker run --ulimit memlock=-1",
                          "this process may lock %llu KiB of memory, and RDMA takes %u KiB for "
                          "each device at least",
                          kib, FERRY_VERBS_LEAST_LOCKED / 1024);
    else
        ferry_survey_add(place->survey, "may lock",
                         "%llu KiB of memory; no more can be kept registered, the rest is copied. "
                         "ulimit -l unlimited raises that",
                         kib);
}

/* ---- A device that is not for this process ---- */

static int try_node(const struct place *place, const struct ferry_rdma *device, char path[PATH_MAX])
{
    int fd;

    snprintf(path, PATH_MAX, "%s/dev/infiniband/%s", place->root, device->verbs);
    fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* Besides the node's mode, cgroups refuse (EPERM), and the device where it belongs to another network namespace. */
static void help_with_node(const char *path, int error, char help[320])
{
    struct stat node;
    struct group *group;

    if (stat(path, &node))
        snprintf(help, 320,
                 "hand the node to this container: docker run --device "
                 "/dev/infiniband");
    else if (error == EPERM)
        snprintf(help, 320,
                 "allow the device to this container (docker run --device /dev/infiniband); where "
                 "\"rdma system\" says exclusive, also move it to this network namespace (rdma dev "
                 "set DEVICE netns), or use the host's (--network host)");
    else if ((node.st_mode & 0060) == 0060 && node.st_gid)
        snprintf(help, 320,
                 "make this user a member of the group %s (usermod -aG), which owns the node, or "
                 "let a rule of udev open it to all: KERNEL==\"uverbs*\", MODE=\"0666\"",
                 (group = getgrgid(node.st_gid)) ? group->gr_name : "that owns it");
    else
        snprintf(help, 320,
                 "let a rule of udev open the node to its users: KERNEL==\"uverbs*\", "
                 "MODE=\"0666\" (it has mode %04o now)",
                 node.st_mode & 07777);
}

/* A library that has no driver for a device lists none. */
static bool is_listed(const struct place *place, const char *name)
{
    struct ibv_device **list;
    bool listed = place->root[0] != 0;

    if (listed)
        return true;
    list = ibv_get_device_list(NULL);
    for (unsigned i = 0; list && list[i]; i++)
        listed |= !strcmp(ibv_get_device_name(list[i]), name);
    if (list)
        ibv_free_device_list(list);
    return listed;
}

static void explain_down(const struct ferry_verbs_judged *judged, char help[320])
{
    const struct ferry_rdma_port *port = judged->port;

    if (!strcmp(port->link_layer, "InfiniBand"))
        snprintf(help, 320,
                 "look at the cable, and for a subnet manager (opensm) that has seen this port");
    else
        snprintf(help, 320, "set its network device up: ip link set %s up",
                 port->netdev_count ? port->netdevs[0] : "DEVICE");
}

/* Why a port can't be used, in a few words that follow its name, and what would help. False: it can. */
static bool explain(const struct place *place, const struct ferry_verbs_judged *judged,
                    char why[256], char help[320])
{
    const struct ferry_rdma *device = judged->device;
    char path[PATH_MAX];
    int error;

    switch (judged->obstacle) {
    case FERRY_PORT_NOT_NAMED:
        snprintf(why, 256, "is left out by FERRY_VERBS_DEVICE");
        snprintf(help, 320, "let FERRY_VERBS_DEVICE name it, or be empty");
        return true;
    case FERRY_PORT_NO_RC:
        snprintf(why, 256, "has no connections of InfiniBand or RoCE%s",
                 device->is_iwarp ? " (iWARP)" : "");
        snprintf(help, 320, "fabric may know a provider for it: FERRY_FABRIC_PROVIDER");
        return true;
    case FERRY_PORT_NO_UVERBS:
        snprintf(why, 256, "is not given to programs by this kernel");
        snprintf(help, 320, "load the module: modprobe ib_uverbs, on the host of a container");
        return true;
    case FERRY_PORT_DOWN:
        snprintf(why, 256, "is %s",
                 judged->port->state[0] ? judged->port->state : "in no known state");
        explain_down(judged, help);
        return true;
    default:
        break;
    }
    error = try_node(place, device, path);
    if (error) {
        snprintf(why, 256, "can't be opened by this user: /dev/infiniband/%s: %s", device->verbs,
                 strerror(error));
        help_with_node(path, error, help);
        return true;
    }
    snprintf(why, 256, "has no driver in this libibverbs");
    snprintf(help, 320,
             "install the driver in this container or VM (Debian: ibverbs-providers), as new as "
             "the kernel's");
    return !is_listed(place, device->name);
}

/* ---- Ports ---- */

static void describe(const struct ferry_verbs_judged *judged, char text[256])
{
    const struct ferry_rdma *device = judged->device;
    const struct ferry_rdma_port *port = judged->port;
    char over[FERRY_NAME_ROOM + 8] = "";
    int used;

    if (device->over[0])
        snprintf(over, sizeof(over), " over %s", device->over);
    used = snprintf(text, 256, "%s, %s%s, %s%s",
                    strcmp(port->link_layer, "Ethernet") ? "InfiniBand" : "RoCE",
                    device->soft[0] ? device->soft : ferry_function_name(device->bus.function),
                    over, port->rate[0] ? port->rate : "speed not known",
                    judged->distance > FERRY_VERBS_UNKNOWN ? ", far from these processors" : "");

    for (uint32_t i = 0; i < port->gid_count && used < 256; i++)
        used += snprintf(text + used, (size_t) (256 - used), "%s%u: %s%s%s%s", i ? ", " : "; GIDs ",
                         port->gids[i].index, port->gids[i].address,
                         port->gids[i].type[0] ? " (" : "", port->gids[i].type,
                         port->gids[i].type[0] ? ")" : "");
    if (used >= 256)
        strcpy(text + 252, "...");
}

/* The first that can't be used is the one that lacks least: it says why where none can. */
static void survey_ports(const struct place *place, const struct ferry_verbs_judged *judged,
                         unsigned count)
{
    char first_why[320] = "", first_help[320] = "";
    bool any = false;

    for (unsigned i = 0; i < count; i++) {
        char name[64], why[256], help[320], text[256];

        snprintf(name, sizeof(name), "%s:%u", judged[i].device->name, judged[i].port->number);
        if (explain(place, &judged[i], why, help)) {
            ferry_survey_add(place->survey, name, "not used: it %s", why);
            if (!first_why[0]) {
                snprintf(first_why, sizeof(first_why), "%s %s", name, why);
                strcpy(first_help, help);
            }
            continue;
        }
        describe(&judged[i], text);
        ferry_survey_add(place->survey, name, "%s", text);
        any = true;
    }
    if (!any && first_why[0])
        ferry_survey_fail(place->survey, first_help, "%s", first_why);
}

static void survey_devices(const struct place *place, const char *wanted,
                           const struct ferry_devices *devices)
{
    struct ferry_verbs_judged judged[FERRY_VERBS_PORTS_MAX];
    unsigned count = ferry_verbs_judge(place->root, devices, wanted, judged);
    char missing[256];

    if (devices->no_sysfs)
        ferry_survey_fail(place->survey, "mount sysfs on /sys", "/sys can't be read");
    else if (!count)
        ferry_survey_fail(place->survey,
                          "give this VM a virtual function of an adapter, or this container the "
                          "host's (docker run --network host --device /dev/infiniband)",
                          "there is no RDMA device here");
    if (count && ferry_verbs_missing(devices, wanted, missing, sizeof(missing))) {
        if (judged[0].obstacle == FERRY_PORT_NOT_NAMED)
            ferry_survey_fail(place->survey,
                              "let FERRY_VERBS_DEVICE name what is there, or be empty",
                              "FERRY_VERBS_DEVICE names %s", missing);
        else
            ferry_survey_add(place->survey, "not there", "%s", missing);
    }
    survey_ports(place, judged, count);
}

void ferry_verbs_survey_in(const char *root, const char *wanted, struct ferry_survey *survey)
{
    struct place place = {.root = root, .survey = survey};
    struct ferry_devices *devices = malloc(sizeof(*devices));

    survey->usable = true;
    if (!devices) {
        ferry_survey_fail(survey, "let this process have more memory", "there is no memory");
        return;
    }
    ferry_devices_find(root, devices);
    survey_devices(&place, wanted, devices);
    if (devices->rdma_count)
        survey_memory(&place);
    free(devices);
    if (!ferry_list_has(ferry_config()->transports, "fabric"))
        ferry_survey_fail(survey, "let FERRY_TRANSPORTS name fabric, too",
                          "FERRY_TRANSPORTS=%s leaves fabric out, over which two processes agree "
                          "on their connections by RDMA",
                          ferry_config()->transports);
}

void ferry_verbs_survey(struct ferry_survey *survey)
{
    ferry_verbs_survey_in("", ferry_config()->verbs_device, survey);
}
