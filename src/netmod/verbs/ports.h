/*
 * Which ports of RDMA devices this process may use, as sysfs tells; no device is opened.
 */
#ifndef FERRY_VERBS_PORTS_H
#define FERRY_VERBS_PORTS_H

#include <stdbool.h>
#include <stddef.h>

#include "devices.h"

struct ferry_verbs_port {
    char device[FERRY_NAME_ROOM]; /* as libibverbs names it */
    unsigned number;
};

/* Those that FERRY_VERBS_DEVICE names (all where it is empty), that are up and that this user may open; the nearest to the
 * processors that this thread may run on first, devices in software last. Returns how many there are, at most room.
 * Takes about a millisecond where there are any: not for every progress. Its first call reports names that are not there,
 * with what there is, and a device that may not be opened where there is no other. Errors: -ENODEV where
 * FERRY_VERBS_DEVICE names what is not there and nothing that can be used; -ENOMEM. */
int ferry_verbs_ports(struct ferry_verbs_port *ports, unsigned room);

/* Bytes that a device has registered before anybody is talked to. */
#define FERRY_VERBS_LEAST_LOCKED (256u << 10)

/* Says, for people, which ports would be used and what keeps others from it; see transport.h. */
struct ferry_survey;
void ferry_verbs_survey(struct ferry_survey *survey);

/* ---- What these are made of ---- */

#define FERRY_VERBS_PORTS_MAX (FERRY_RDMAS_MAX * FERRY_PORTS_MAX)

/* The one to be overcome last comes first. */
enum ferry_verbs_obstacle {
    FERRY_PORT_GOOD,
    FERRY_PORT_DOWN,
    FERRY_PORT_FORBIDDEN, /* its device's node is missing, or this user may not open it */
    FERRY_PORT_NO_UVERBS, /* no module of the kernel gives it to programs */
    FERRY_PORT_NO_RC,     /* it can't make the connections that Ferry needs: iWARP, EFA */
    FERRY_PORT_NOT_NAMED  /* by FERRY_VERBS_DEVICE */
};

struct ferry_verbs_judged {
    const struct ferry_rdma *device;
    const struct ferry_rdma_port *port;
    enum ferry_verbs_obstacle obstacle;
    unsigned distance; /* as between NUMA nodes: 10 is near; see FERRY_VERBS_UNKNOWN */
};

/* The distance of devices of which the kernel does not know where they are. */
#define FERRY_VERBS_UNKNOWN 15

/* Judges all ports, the best first. root: as in devices.h. wanted: as FERRY_VERBS_DEVICE. Returns how many. */
unsigned ferry_verbs_judge(const char *root, const struct ferry_devices *devices,
                           const char *wanted,
                           struct ferry_verbs_judged judged[FERRY_VERBS_PORTS_MAX]);

/* Writes the first name of wanted that no port has, and those that there are: "mlx5_9; there are: mlx5_0:1, mlx5_0:2".
 * False: there is none. */
bool ferry_verbs_missing(const struct ferry_devices *devices, const char *wanted, char *text,
                         size_t room);

/* As ferry_verbs_survey(), of what root holds. */
void ferry_verbs_survey_in(const char *root, const char *wanted, struct ferry_survey *survey);

#endif
