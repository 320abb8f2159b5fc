/*
 * What the files of devices.h share. Paths are below root, links in them are followed.
 */
#ifndef FERRY_DEVICES_PARTS_H
#define FERRY_DEVICES_PARTS_H

#include "devices.h"

#include <stddef.h>

#define FERRY_SYS_PATH 512
#define FERRY_ENTRIES_MAX 1024

/* Names in a directory, without those that begin with '.', in the order of people (eth2 before eth10). */
struct ferry_entries {
    unsigned count;
    char (*names)
        [FERRY_NAME_ROOM]; /* as they are, so that they can be opened; to be cleaned before they are shown */
};

/* Names that are longer than room, or more than the bound, are left out. */
void ferry_entries_list(const char *root, const char *path, struct ferry_entries *entries);
void ferry_entries_free(struct ferry_entries *entries);

/* Reads the first line of a file of a folder; "" where that can't be. */
void ferry_sys_line(const char *root, const char *folder, const char *file, char *line,
                    size_t room);
/* The last part of a link's target; "" where there is none. */
void ferry_sys_link(const char *root, const char *folder, const char *link, char *name,
                    size_t room);
/* A number, decimal or 0x...; other where there is none. */
int64_t ferry_sys_number(const char *root, const char *folder, const char *file, int64_t other);

/* Whether this user may open a file for reading and writing: 0 or the errno. Asked by access(2), so what a cgroup
 * forbids isn't told. */
int ferry_may_open(const char *root, const char *path);

/* What is behind the link "device" of a folder of a class; without that link: a virtual device. */
void ferry_bus_find(const char *root, const char *folder, struct ferry_bus_place *bus);

/* Whether a PCI device is one that only a virtual function is, or only a hypervisor makes; else physical. */
enum ferry_function ferry_function_by_id(uint16_t vendor, uint16_t device);

void ferry_devices_find_rdma(const char *root, struct ferry_devices *out);
void ferry_devices_find_memory(const char *root, struct ferry_devices *out);

#endif
