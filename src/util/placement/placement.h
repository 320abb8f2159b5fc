/*
 * Where this process runs: a chain of levels from the outside in, such as cloud > VM > container, each with how
 * it was found.
 *
 * What is read are files of /proc, /sys and a few others, the environment and CPUID: no process is started, no
 * device or network is touched, and nothing is waited for. It takes some hundred microseconds. Any user may
 * ask; who may read less learns less, and the evidence says so. Whoever controls these files, such as the maker
 * of an image, can make it say what is not true: it is for people and for guesses, not for decisions about safety.
 */
#ifndef FERRY_PLACEMENT_H
#define FERRY_PLACEMENT_H

#include "namespaces.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ferry_level_kind {
    FERRY_LEVEL_UNKNOWN, /* name: what can't be told, "machine" or "container" */
    FERRY_LEVEL_CLOUD,   /* name: the provider; model: the kind of instance */
    FERRY_LEVEL_METAL,   /* the machine itself, no hypervisor between; name: the vendor */
    FERRY_LEVEL_VM, /* name: the hypervisor, "" if it is none that is known; model: what else tells it apart */
    FERRY_LEVEL_POD,      /* of Kubernetes; id: its uid */
    FERRY_LEVEL_CONTAINER /* name: the engine, "" if it is none that is known */
};

/* All texts are printable ASCII, without a byte that came from elsewhere unchecked; "" where nothing is known. */
struct ferry_level {
    enum ferry_level_kind kind;
    char name[32];
    char version[32];
    char model[64];
    char id[80];        /* as the engine or the cloud knows it */
    char evidence[320]; /* a sentence or some: what shows it, and what can't be known */
};

#define FERRY_LEVELS_MAX 12

struct ferry_placement {
    unsigned count;
    struct ferry_level levels[FERRY_LEVELS_MAX]; /* the outermost first */
    struct ferry_namespaces namespaces;
    char note[320]; /* what looks like a level and is none; "": nothing does */
};

/* The registers eax, ebx, ecx, edx of a leaf of CPUID. False: this processor has no such instruction. */
typedef bool (*ferry_cpuid_fn)(uint32_t leaf, uint32_t registers[4]);

/* What is looked at. */
struct ferry_scene {
    const char *root;         /* "" or a folder that holds a machine, for tests */
    char *const *environment; /* as environ; NULL: none */
    ferry_cpuid_fn cpuid;
};

/* Fills out. Never fails: what can't be found out is a level of its own kind. Thread-safe. */
void ferry_placement_find(const struct ferry_scene *scene, struct ferry_placement *out);

/* The same for this process where it is. */
void ferry_placement_here(struct ferry_placement *out);

/* This processor's own. */
bool ferry_cpuid(uint32_t leaf, uint32_t registers[4]);

/* One word or two for people: "VM", "bare metal". */
const char *ferry_level_kind_name(enum ferry_level_kind kind);

/* Writes a level as a few words, "VM Xen 4.17 (HVM)", or the whole chain, with " > " between. Ids that are long
 * numbers are cut to what engines show. Cut to room. */
void ferry_level_text(const struct ferry_level *level, char *text, size_t room);
void ferry_placement_text(const struct ferry_placement *placement, char *text, size_t room);

#endif
