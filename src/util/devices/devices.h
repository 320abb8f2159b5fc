/*
 * The devices that messages could take: RDMA and network devices, memory that VMs share (ivshmem), DAX.
 *
 * All of it is read from sysfs, with the care of peek.h; no device is opened, whether it could be is asked with
 * access(). Who may read less, or sits in a namespace, sees fewer devices. The maker of a container can make it say
 * what is not true.
 */
#ifndef FERRY_DEVICES_H
#define FERRY_DEVICES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum ferry_function {
    FERRY_FUNCTION_PHYSICAL, /* a device of the machine, or what can't be told from one */
    FERRY_FUNCTION_VIRTUAL,  /* a virtual function: a part of a device, by SR-IOV or the like */
    FERRY_FUNCTION_DEVICE    /* a virtual device: made by a hypervisor or by the kernel */
};

/* All texts are printable ASCII; "" where nothing is known. */
struct ferry_bus_place {
    enum ferry_function function;
    bool is_pci;
    bool
        by_id; /* a virtual function without a link to its physical one: passed through to this VM */
    uint16_t vendor, device; /* of PCI; 0: not known */
    char address[32];        /* on its bus: 0000:3b:00.2, virtio1 */
    char parent[32];         /* the physical function of a virtual one */
    char driver[32];
    uint32_t functions; /* virtual ones that a physical one has */
    int32_t numa_node;  /* -1: not known, or there is but one */
    char cpus[128];     /* that are near, as a list */
};

#define FERRY_GIDS_MAX 16
#define FERRY_PKEYS_MAX 8
#define FERRY_PORTS_MAX 4
#define FERRY_NAME_ROOM 32

struct ferry_gid {
    uint32_t index;
    uint8_t bytes[16];
    char address[48]; /* as an address of IPv6, or of IPv4 where it holds one */
    char type[24];
    char netdev[FERRY_NAME_ROOM];
};

struct ferry_rdma_port {
    uint32_t number;
    char state[24], physical_state[24], link_layer[24], rate[40];
    char netdevs[4][FERRY_NAME_ROOM]; /* those of its GIDs, or else of the same device */
    uint32_t netdev_count;
    struct ferry_gid gids[FERRY_GIDS_MAX]; /* those that are not zero */
    uint32_t gid_count, gids_left;         /* kept here; others that there are */
    uint16_t pkeys[FERRY_PKEYS_MAX];
    uint32_t pkey_count, pkeys_left;
};

struct ferry_rdma {
    char name[FERRY_NAME_ROOM];
    char soft[32];              /* what it is made by in software: "Soft-RoCE"; else "" */
    char over[FERRY_NAME_ROOM]; /* the network device under such a one */
    bool is_iwarp;              /* else InfiniBand or RoCE, or what can't be told from these */
    char verbs
        [FERRY_NAME_ROOM]; /* its device for programs, in /dev/infiniband: uverbs0; "": there is none */
    int verbs_error; /* 0: this user may open that; ENOENT: there is no node; else the errno */
    struct ferry_bus_place bus;
    uint32_t port_count, ports_left;
    struct ferry_rdma_port ports[FERRY_PORTS_MAX];
};

struct ferry_netdev {
    char name[FERRY_NAME_ROOM];
    char kind[24]; /* bridge, vlan, loopback, infiniband and others; "": none of them */
    char state[16];
    char master[FERRY_NAME_ROOM]; /* the bridge, bond or other device that it is a part of */
    bool
        is_pair; /* its other end is an interface that is elsewhere, or is a peer of its own: veth and the like */
    uint32_t mtu, speed; /* bytes; Mbit/s; 0: not known */
    struct ferry_bus_place bus;
};

struct ferry_memory_device {
    char name[FERRY_NAME_ROOM]; /* PCI address, or daxN.M */
    uint64_t size;
    int error; /* 0: this user may open it for reading and writing; else the errno */
    int32_t numa_node;
};

#define FERRY_RDMAS_MAX 16
#define FERRY_NETDEVS_MAX 64
#define FERRY_MEMORIES_MAX 8

/* What was left for want of room is counted. */
struct ferry_devices {
    bool no_sysfs;
    uint32_t rdma_count, rdmas_left, netdev_count, netdevs_left;
    uint32_t ivshmem_count, ivshmems_left, dax_count, daxes_left;
    struct ferry_rdma rdmas[FERRY_RDMAS_MAX];
    struct ferry_netdev netdevs[FERRY_NETDEVS_MAX]; /* those with hardware under them first */
    struct ferry_memory_device ivshmems[FERRY_MEMORIES_MAX], daxes[FERRY_MEMORIES_MAX];
};

/* Fills out. root: "" or a folder that holds a machine, for tests. Never fails. Thread-safe. out is large: best not on
 * a stack. */
void ferry_devices_find(const char *root, struct ferry_devices *out);

/* One word or two for people: "virtual function". */
const char *ferry_function_name(enum ferry_function function);

/* Writes all of it for people. */
void ferry_devices_print(const struct ferry_devices *devices, FILE *out);

#endif
