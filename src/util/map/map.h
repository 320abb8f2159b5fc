/*
 * The job's map: where each process sits, and which way what it sent took.
 *
 * Each process tells of itself in an entry, a text of lines; one process puts all entries together and draws.
 */
#ifndef FERRY_MAP_H
#define FERRY_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Of an entry, bytes; who has more to tell leaves out the pairs with the fewest bytes. */
#define FERRY_MAP_ENTRY_MAX (1 << 20)

#define FERRY_MAP_RANKS_MAX (1 << 20)
#define FERRY_MAP_BOXES_MAX 8 /* around one rank */
#define FERRY_MAP_WAYS_MAX 8  /* ways that differ by name, in one job */

/* What a rank sent to another. */
struct ferry_map_pair {
    uint32_t to;
    uint64_t messages, bytes;
    const char *how; /* "shm (memfd met in ...)" */
};

/* A host, a guest, a container that a rank is in. Two ranks are in the same one where keys, and those of the boxes
 * around, are the same. */
struct ferry_map_box {
    const char *label; /* "container docker 4f0e61c2a9d1" */
    const char *key;
};

/* All texts are printable ASCII. */
struct ferry_map_rank {
    bool known; /* its entry came and could be read */
    uint32_t pid;
    const char *host; /* as the process sees it */
    unsigned box_count;
    struct ferry_map_box boxes[FERRY_MAP_BOXES_MAX]; /* the outermost, a kernel's, first */
    const char
        *ways; /* a letter for each rank: index into ferry_map.ways as 'a' + index, '-': none */
    size_t pair_count;
    struct ferry_map_pair *pairs; /* by ascending to */
    char *text;                   /* holds all these */
};

struct ferry_map {
    uint32_t count;
    struct ferry_map_rank *ranks;
    unsigned way_count;
    char ways[FERRY_MAP_WAYS_MAX][16]; /* transports' names, "shm" */
};

/* ---- What a process tells ---- */

struct ferry_map_self {
    uint32_t rank, count, pid;
    const char *host;
    unsigned box_count;
    struct ferry_map_box boxes[FERRY_MAP_BOXES_MAX];
    const char *const *ways; /* by rank: the transport's name, NULL: none */
    size_t pair_count;
    struct ferry_map_pair *pairs; /* will be sorted */
};

/* Writes an entry, to be freed; NULL: no memory. */
char *ferry_map_entry(const struct ferry_map_self *self, size_t *length);

/* ---- All of them ---- */

/* For count ranks, none of which is known yet. Errors: -ENOMEM, -EINVAL too many. */
int ferry_map_begin(struct ferry_map *map, uint32_t count);

/* Takes an entry in, whatever its sender wrote. Errors: -EPROTO it is none, or its rank has one already; -ENOMEM. */
int ferry_map_add(struct ferry_map *map, const char *entry, size_t length);

void ferry_map_end(struct ferry_map *map);

/* Ways sum up both directions of a pair; the number counts pairs of ranks. */
struct ferry_map_sum {
    uint64_t pairs, messages, bytes;
};

/* What took each way; sums: of map->way_count. */
void ferry_map_sums(const struct ferry_map *map, struct ferry_map_sum *sums);

/* Whether both are known and on the same kernel, so that they could share memory. */
bool ferry_map_together(const struct ferry_map *map, uint32_t one, uint32_t other);

/* Calls back for each pair that is together and yet talked by another way than through memory, one below other, while
 * the callback returns true. Returns how many there are. */
typedef bool (*ferry_map_astray_fn)(void *arg, uint32_t one, uint32_t other, const char *way);
uint64_t ferry_map_astray(const struct ferry_map *map, ferry_map_astray_fn each, void *arg);

/* ---- Pictures ---- */

/* Each writes all; errors are those of the stream. */
void ferry_map_text(const struct ferry_map *map, FILE *out);
void ferry_map_json(const struct ferry_map *map, FILE *out);
void ferry_map_svg(const struct ferry_map *map, FILE *out);

/* By the ending of a file's name: .svg, .json, .txt; NULL: another one. */
typedef void (*ferry_map_draw_fn)(const struct ferry_map *map, FILE *out);
ferry_map_draw_fn ferry_map_drawing(const char *path);

#endif
