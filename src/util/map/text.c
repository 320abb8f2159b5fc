/*
 * The map for a terminal.
 */
#include "parts.h"

#include <ctype.h>
#include <inttypes.h>

/* More ranks make a table wider than a terminal. */
#define TABLE_MAX 64
#define ASTRAY_MAX 20

/* "0-3, 7" */
static void put_ranks(const uint32_t *ranks, uint32_t count, FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t last = i;

        while (last + 1 < count && ranks[last + 1] == ranks[last] + 1)
            last++;
        fprintf(out, "%s%" PRIu32, i == 0 ? "" : ", ", ranks[i]);
        if (last > i)
            fprintf(out, "-%" PRIu32, ranks[last]);
        i = last;
    }
    putc('\n', out);
}

static void put_node(const struct ferry_map_node *node, int depth, FILE *out)
{
    enum { INDENT = 2 };

    if (node->box != NULL)
        fprintf(out, "%*s%s\n", (depth - 1) * INDENT, "", node->box->label);
    if (node->rank_count > 0) {
        fprintf(out, "%*s%s ", depth * INDENT, "",
                node->box == NULL ? "nothing is known of ranks" : "ranks");
        put_ranks(node->ranks, node->rank_count, out);
    }
    for (const struct ferry_map_node *child = node->first; child != NULL; child = child->next)
        put_node(child, depth + 1, out);
}

static void put_sums(const struct ferry_map *map, FILE *out)
{
    struct ferry_map_sum sums[FERRY_MAP_WAYS_MAX];
    char bytes[FERRY_MAP_BYTES_TEXT];

    ferry_map_sums(map, sums);
    fprintf(out, "\nWays\n");
    for (unsigned i = 0; i < map->way_count; i++)
        fprintf(out, "  %-16s %" PRIu64 " pairs, %" PRIu64 " messages, %s\n",
                ferry_map_way_title(map->ways[i]), sums[i].pairs, sums[i].messages,
                ferry_map_bytes(sums[i].bytes, bytes));
}

struct astray {
    FILE *out;
    unsigned shown;
};

static bool put_astray(void *arg, uint32_t one, uint32_t other, const char *way)
{
    struct astray *astray = arg;

    if (astray->shown++ == 0)
        fputs("\nOn one machine, yet not through its memory\n", astray->out);
    fprintf(astray->out, "  %" PRIu32 " and %" PRIu32 ": %s\n", one, other,
            ferry_map_way_title(way));
    return astray->shown < ASTRAY_MAX;
}

static void put_all_astray(const struct ferry_map *map, FILE *out)
{
    struct astray astray = {.out = out};
    uint64_t count = ferry_map_astray(map, put_astray, &astray);

    if (count > astray.shown)
        fprintf(out, "  and %" PRIu64 " pairs more\n", count - astray.shown);
    if (count > 0)
        fputs("  \"ferry_info -t\", run where each of the two runs, says why.\n", out);
}

static char sign(const struct ferry_map *map, uint32_t from, uint32_t to)
{
    const char *way = ferry_map_way(map, from, to);

    if (from == to)
        return '\\';
    if (way == NULL)
        return '.';
    return ferry_map_pair(map, from, to) != NULL
               ? (char) toupper((unsigned char) ferry_map_way_title(way)[0])
               : '-';
}

static void put_table(const struct ferry_map *map, FILE *out)
{
    fputs("\nFrom (row) to (column): the way's first letter; -: nothing was sent, .: unknown\n",
          out);
    fputs("       ", out);
    for (uint32_t to = 0; to < map->count; to++)
        putc(to % 10 == 0 ? (int) ('0' + to / 10 % 10) : ' ', out);
    fputs("\n       ", out);
    for (uint32_t to = 0; to < map->count; to++)
        putc((int) ('0' + to % 10), out);
    putc('\n', out);
    for (uint32_t from = 0; from < map->count; from++) {
        fprintf(out, "  %4" PRIu32 " ", from);
        for (uint32_t to = 0; to < map->count; to++)
            putc(sign(map, from, to), out);
        putc('\n', out);
    }
}

void ferry_map_text(const struct ferry_map *map, FILE *out)
{
    struct ferry_map_node *root = ferry_map_tree(map);

    fprintf(out, "A job of %" PRIu32 " ranks\n\n", map->count);
    if (root != NULL)
        put_node(root, 0, out);
    ferry_map_tree_free(root);
    put_sums(map, out);
    put_all_astray(map, out);
    if (map->count <= TABLE_MAX)
        put_table(map, out);
}
