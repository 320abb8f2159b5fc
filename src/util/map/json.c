/*
 * The map for programs.
 */
#include "json.h"
#include "parts.h"

#include <string.h>

static void put_rank(struct ferry_json *json, const struct ferry_map *map, uint32_t number)
{
    const struct ferry_map_rank *rank = &map->ranks[number];

    ferry_json_open(json, NULL, '{');
    ferry_json_number(json, "rank", number);
    ferry_json_bool(json, "known", rank->known);
    if (rank->known) {
        ferry_json_text(json, "host", rank->host);
        ferry_json_number(json, "pid", rank->pid);
        ferry_json_open(json, "in", '[');
        for (unsigned i = 0; i < rank->box_count; i++) {
            ferry_json_open(json, NULL, '{');
            ferry_json_text(json, "label", rank->boxes[i].label);
            ferry_json_text(json, "key", rank->boxes[i].key);
            ferry_json_close(json, '}');
        }
        ferry_json_close(json, ']');
    }
    ferry_json_close(json, '}');
}

static void put_pairs(struct ferry_json *json, const struct ferry_map *map, uint32_t from)
{
    const struct ferry_map_rank *rank = &map->ranks[from];

    for (size_t i = 0; i < rank->pair_count; i++) {
        const struct ferry_map_pair *pair = &rank->pairs[i];

        ferry_json_open(json, NULL, '{');
        ferry_json_number(json, "from", from);
        ferry_json_number(json, "to", pair->to);
        ferry_json_text(json, "way", ferry_map_way(map, from, pair->to));
        ferry_json_text(json, "how", pair->how);
        ferry_json_number(json, "messages", pair->messages);
        ferry_json_number(json, "bytes", pair->bytes);
        ferry_json_close(json, '}');
    }
}

static bool put_astray(void *arg, uint32_t one, uint32_t other, const char *way)
{
    struct ferry_json *json = arg;

    ferry_json_open(json, NULL, '{');
    ferry_json_number(json, "one", one);
    ferry_json_number(json, "other", other);
    ferry_json_text(json, "way", way);
    ferry_json_close(json, '}');
    return true;
}

void ferry_map_json(const struct ferry_map *map, FILE *out)
{
    struct ferry_json json = {.out = out};
    struct ferry_map_sum sums[FERRY_MAP_WAYS_MAX];

    ferry_map_sums(map, sums);
    ferry_json_open(&json, NULL, '{');
    ferry_json_open(&json, "ranks", '[');
    for (uint32_t i = 0; i < map->count; i++)
        put_rank(&json, map, i);
    ferry_json_close(&json, ']');
    ferry_json_open(&json, "ways", '[');
    for (unsigned i = 0; i < map->way_count; i++) {
        ferry_json_open(&json, NULL, '{');
        ferry_json_text(&json, "way", map->ways[i]);
        ferry_json_number(&json, "pairs", sums[i].pairs);
        ferry_json_number(&json, "messages", sums[i].messages);
        ferry_json_number(&json, "bytes", sums[i].bytes);
        ferry_json_close(&json, '}');
    }
    ferry_json_close(&json, ']');
    ferry_json_open(&json, "pairs", '[');
    for (uint32_t i = 0; i < map->count; i++)
        put_pairs(&json, map, i);
    ferry_json_close(&json, ']');
    ferry_json_open(&json, "together_but_not_by_memory", '[');
    ferry_map_astray(map, put_astray, &json);
    ferry_json_close(&json, ']');
    ferry_json_close(&json, '}');
}
