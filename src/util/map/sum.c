/*
 * What can be read off a map.
 */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

const char *ferry_map_way(const struct ferry_map *map, uint32_t from, uint32_t to)
{
    char letter;

    if (!map->ranks[from].known)
        return NULL;
    letter = map->ranks[from].ways[to];
    return letter == '-' ? NULL : map->ways[letter - 'a'];
}

static int compare_target(const void *key, const void *element)
{
    const uint32_t *to = key;
    const struct ferry_map_pair *pair = element;

    return (*to > pair->to) - (*to < pair->to);
}

const struct ferry_map_pair *ferry_map_pair(const struct ferry_map *map, uint32_t from, uint32_t to)
{
    const struct ferry_map_rank *rank = &map->ranks[from];

    if (rank->pair_count == 0)
        return NULL;
    return bsearch(&to, rank->pairs, rank->pair_count, sizeof(rank->pairs[0]), compare_target);
}

void ferry_map_sums(const struct ferry_map *map, struct ferry_map_sum *sums)
{
    memset(sums, 0, map->way_count * sizeof(sums[0]));
    for (uint32_t i = 0; i < map->count; i++) {
        const struct ferry_map_rank *rank = &map->ranks[i];

        for (size_t j = 0; j < rank->pair_count; j++) {
            const struct ferry_map_pair *pair = &rank->pairs[j];
            const char letter = rank->ways[pair->to];
            bool counted = pair->to < i && ferry_map_pair(map, pair->to, i) != NULL;

            if (letter == '-')
                continue;
            sums[letter - 'a'].messages += pair->messages;
            sums[letter - 'a'].bytes += pair->bytes;
            sums[letter - 'a'].pairs += !counted;
        }
    }
}

bool ferry_map_together(const struct ferry_map *map, uint32_t one, uint32_t other)
{
    const struct ferry_map_rank *left = &map->ranks[one], *right = &map->ranks[other];

    return left->known && right->known && left->box_count > 0 && right->box_count > 0 &&
           strcmp(left->boxes[0].key, right->boxes[0].key) == 0;
}

static bool is_memory(const char *way)
{
    return strcmp(way, "shm") == 0 || strcmp(way, "guests") == 0 || strcmp(way, "self") == 0;
}

uint64_t ferry_map_astray(const struct ferry_map *map, ferry_map_astray_fn each, void *arg)
{
    uint64_t count = 0;
    bool goes_on = true;

    for (uint32_t one = 0; one < map->count; one++)
        for (size_t i = 0; i < map->ranks[one].pair_count; i++) {
            uint32_t other = map->ranks[one].pairs[i].to;
            const char *way = ferry_map_way(map, one, other);

            if (one == other || way == NULL || is_memory(way) ||
                !ferry_map_together(map, one, other) ||
                (other < one && ferry_map_pair(map, other, one) != NULL))
                continue;
            count++;
            if (goes_on)
                goes_on = each(arg, one < other ? one : other, one < other ? other : one, way);
        }
    return count;
}

const char *ferry_map_way_title(const char *way)
{
    static const char *const titles[][2] = {
        {"shm", "shared memory"}, {"guests", "memory of virtual machines"},
        {"verbs", "RDMA"},        {"fabric", "network"},
        {"self", "to itself"},
    };

    for (unsigned i = 0; i < sizeof(titles) / sizeof(titles[0]); i++)
        if (strcmp(titles[i][0], way) == 0)
            return titles[i][1];
    return way;
}

const char *ferry_map_bytes(uint64_t bytes, char text[FERRY_MAP_BYTES_TEXT])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double) bytes;
    unsigned unit = 0;

    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    snprintf(text, FERRY_MAP_BYTES_TEXT, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value,
             units[unit]);
    return text;
}
