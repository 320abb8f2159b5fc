#include "region_order.h"

static void place(struct ferry_region_order *order, uint32_t at, struct ferry_region_entry *entry)
{
    order->entries[at] = entry;
    entry->place = at;
}

static void up(struct ferry_region_order *order, struct ferry_region_entry *entry)
{
    uint32_t at = entry->place;

    for (; at > 0 && order->entries[(at - 1) / 2]->known_stamp > entry->known_stamp;
         at = (at - 1) / 2)
        place(order, at, order->entries[(at - 1) / 2]);
    place(order, at, entry);
}

static void down(struct ferry_region_order *order, struct ferry_region_entry *entry)
{
    uint32_t at = entry->place, child;

    for (; (child = 2 * at + 1) < order->count; at = child) {
        if (child + 1 < order->count &&
            order->entries[child + 1]->known_stamp < order->entries[child]->known_stamp)
            child++;
        if (order->entries[child]->known_stamp >= entry->known_stamp)
            break;
        place(order, at, order->entries[child]);
    }
    place(order, at, entry);
}

void ferry_region_order_add(struct ferry_region_order *order, struct ferry_region_entry *entry)
{
    entry->known_stamp = atomic_load_explicit(&entry->stamp, memory_order_relaxed);
    entry->place = order->count++;
    up(order, entry);
}

void ferry_region_order_remove(struct ferry_region_order *order, struct ferry_region_entry *entry)
{
    struct ferry_region_entry *last = order->entries[--order->count];

    if (last == entry)
        return;
    place(order, entry->place, last);
    up(order, last);
    down(order, last);
}

struct ferry_region_entry *ferry_region_order_oldest(struct ferry_region_order *order)
{
    for (;;) {
        struct ferry_region_entry *entry = order->count ? order->entries[0] : NULL;
        uint64_t stamp = entry ? atomic_load_explicit(&entry->stamp, memory_order_relaxed) : 0;

        if (!entry || entry->known_stamp == stamp)
            return entry;
        entry->known_stamp = stamp;
        down(order, entry);
    }
}
