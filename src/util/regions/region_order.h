/*
 * Regions by their last use: a heap whose order is put right only when the oldest is asked for, since uses are
 * stamped without a lock. One thread at a time.
 */
#ifndef FERRY_REGION_ORDER_H
#define FERRY_REGION_ORDER_H

#include "region_pool.h"

struct ferry_region_order {
    struct ferry_region_entry **entries; /* the caller's, with room for all */
    uint32_t count;
};

void ferry_region_order_add(struct ferry_region_order *order, struct ferry_region_entry *entry);
void ferry_region_order_remove(struct ferry_region_order *order, struct ferry_region_entry *entry);

/* The region whose last use is the oldest, or NULL. */
struct ferry_region_entry *ferry_region_order_oldest(struct ferry_region_order *order);

#endif
