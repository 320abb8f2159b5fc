/*
 * Regions by address: a treap (Seidel and Aragon 1996) of regions that don't overlap. Allocates nothing. One
 * thread at a time.
 */
#ifndef FERRY_REGION_TREE_H
#define FERRY_REGION_TREE_H

#include "region_pool.h"

/* The lowest region that ends above address, or NULL. */
struct ferry_region_entry *ferry_region_tree_above(struct ferry_region_entry *root,
                                                   uintptr_t address);

/* The highest region that starts below address, or NULL. */
struct ferry_region_entry *ferry_region_tree_below(struct ferry_region_entry *root,
                                                   uintptr_t address);

void ferry_region_tree_insert(struct ferry_region_entry **root, struct ferry_region_entry *entry);
void ferry_region_tree_remove(struct ferry_region_entry **root, struct ferry_region_entry *entry);

#endif
