/*
 * The container engines, and what the mounts and cgroups of a process show of them.
 */
#ifndef FERRY_PLACEMENT_ENGINES_H
#define FERRY_PLACEMENT_ENGINES_H

#include "parts.h"

/* Of those that are kin, a later one is the more precise answer. */
enum ferry_engine {
    FERRY_ENGINE_NONE, /* the container of a pod, whose engine isn't known yet */
    FERRY_WSL,
    FERRY_LXC,
    FERRY_LXD,
    FERRY_INCUS,
    FERRY_NSPAWN,
    FERRY_POD,
    FERRY_CONTAINERD,
    FERRY_CRIO,
    FERRY_DOCKER,
    FERRY_PODMAN,
    FERRY_ENROOT,
    FERRY_SARUS,
    FERRY_SHIFTER,
    FERRY_CHARLIECLOUD,
    FERRY_SINGULARITY,
    FERRY_APPTAINER,
    FERRY_ENGINES
};

/* How much a sign is worth. */
enum ferry_strength {
    FERRY_WEAK, /* may have come with an image, or be another engine's too: counts only inside all that is known */
    FERRY_STRONG, /* this container's */
    FERRY_ORDERED /* as well, and those that are told later are inside of those told before */
};

struct ferry_search {
    const struct ferry_scene *scene;
    struct ferry_placement *out;
    unsigned first; /* level of the chain that is the outermost container */
    enum ferry_engine engine[FERRY_LEVELS_MAX]; /* of each level */
};

/* Takes a sign of an engine, maybe with the container's id (else ""): finds the level that it belongs to, or
 * adds one. Returns the level, NULL if the sign doesn't count. */
struct ferry_level *ferry_see(struct ferry_search *search, enum ferry_engine engine,
                              enum ferry_strength strength, const char *id, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* What /proc/self/mountinfo shows. */
#define FERRY_MOUNT_SIGNS 18
#define FERRY_ETC_FILES 3
struct ferry_mounts {
    bool found; /* it could be read */
    bool apart; /* the root is no whole file system of a disk, as it is on most machines */
    bool etc
        [FERRY_ETC_FILES]; /* /etc/hosts, /etc/hostname, /etc/resolv.conf are mounts of their own */
    struct {
        bool seen;
        char id[80], at[64];
    } signs[FERRY_MOUNT_SIGNS];
};

void ferry_mounts_read(const char *root, struct ferry_mounts *mounts);

/* Tells the signs of one strength. */
void ferry_mounts_tell(const struct ferry_mounts *mounts, enum ferry_strength strength,
                       struct ferry_search *search);

/* Tells the signs in the path of the own cgroup. A private cgroup namespace hides them. */
void ferry_cgroup_tell(struct ferry_search *search);

/* Copies the hexadecimal number of 64 digits, an id of most engines, that a text begins with. */
bool ferry_hex_id(const char *text, char id[80]);

#endif
