/*
 * What the pictures of a map have in common.
 */
#ifndef FERRY_MAP_PARTS_H
#define FERRY_MAP_PARTS_H

#include "map.h"

/* Boxes as a tree, in the order of ranks. */
struct ferry_map_node {
    const struct ferry_map_box *box;              /* NULL: around all */
    struct ferry_map_node *parent, *first, *next; /* first of the children, next of the siblings */
    uint32_t *ranks;                              /* directly in it */
    uint32_t rank_count;
    double x, y, width, height; /* for whoever draws */
};

/* The root stands for no box; ranks that aren't known are directly in it. NULL: no memory. */
struct ferry_map_node *ferry_map_tree(const struct ferry_map *map);
void ferry_map_tree_free(struct ferry_map_node *root);

/* The name of the way from one rank to another, NULL: none is known. */
const char *ferry_map_way(const struct ferry_map *map, uint32_t from, uint32_t to);

/* What one rank sent to another, NULL: nothing. */
const struct ferry_map_pair *ferry_map_pair(const struct ferry_map *map, uint32_t from,
                                            uint32_t to);

/* How people call a way; one that is new here by its own name. */
const char *ferry_map_way_title(const char *way);

/* "1.5 MiB" */
#define FERRY_MAP_BYTES_TEXT 24
const char *ferry_map_bytes(uint64_t bytes, char text[FERRY_MAP_BYTES_TEXT]);

#endif
