/*
 * What the parts of placement.c share. Each part adds the levels that it knows of, the outermost first.
 */
#ifndef FERRY_PLACEMENT_PARTS_H
#define FERRY_PLACEMENT_PARTS_H

#include "placement.h"

#include <stdarg.h>

/* What firmware says of the machine (SMBIOS, shown in /sys/class/dmi/id by these names). */
struct ferry_dmi {
    bool found;
    char sys_vendor[64], product_name[64], product_version[64], bios_vendor[64], bios_version[64],
        board_vendor[64], board_asset_tag[80], chassis_asset_tag[64];
};

void ferry_dmi_read(const char *root, struct ferry_dmi *dmi);

/* The clouds that name themselves. */
void ferry_placement_cloud(const struct ferry_scene *scene, const struct ferry_dmi *dmi,
                           struct ferry_placement *out);

/* What CPUID says. */
struct ferry_hypervisor {
    const char *name; /* NULL: none that is known */
    bool present;     /* the processor says that there is one */
    bool known;       /* that there is CPUID, which would say so */
    bool nested;      /* the hypervisor runs in a VM itself */
    bool root;        /* this is the hypervisor's own, privileged system */
    char signature[16], version[32];
};

void ferry_placement_cpuid(ferry_cpuid_fn cpuid, struct ferry_hypervisor *out);

/* Bare metal, hypervisors, VMs. */
void ferry_placement_machine(const struct ferry_scene *scene, const struct ferry_dmi *dmi,
                             struct ferry_placement *out);

/* Containers and pods. Needs out->namespaces. */
void ferry_placement_containers(const struct ferry_scene *scene, struct ferry_placement *out);

/* A new level at a place of the chain (out->count: the innermost), all texts empty; NULL where there is no room
 * for one more. */
struct ferry_level *ferry_level_insert(struct ferry_placement *out, unsigned at,
                                       enum ferry_level_kind kind, const char *name);

/* Adds to a text that has room bytes, "; " before it unless it is the first; cleans and cuts it. */
void ferry_say(char *text, size_t room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define ferry_prove(level, ...) ferry_say((level)->evidence, sizeof((level)->evidence), __VA_ARGS__)

/* Copies with a cut, cleaned. */
void ferry_set_text(char *to, size_t room, const char *text);

#endif
