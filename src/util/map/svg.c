/*
 * The map as a picture: boxes in boxes, ranks as squares, and between them a line for each pair that talked; where
 * these would be too many, a table with a cell for each, and lines only between those on one machine that did not talk
 * through its memory.
 */
#include "parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* All in pixels. */
enum {
    WIDTH = 960,
    RANK = 30,
    GAP = 12,
    PAD = 14,
    TITLE = 24,
    LETTER = 7, /* about the width of one, in text of 12 */
    LINE = 18,
    TABLE = 600,
};

/* More directions between ranks that talked get a table instead of lines: all of 8 ranks still get lines. More ranks
 * than a table has cells in a row share them. */
#define LINES_MAX 60
#define CELLS_MAX 200

/* Colours that also colour-blind people tell apart (Okabe and Ito, 2008); what is slow stands out. */
static const char *colour_of(const char *way)
{
    static const char *const colours[][2] = {{"shm", "#009e73"},
                                             {"guests", "#56b4e9"},
                                             {"verbs", "#0072b2"},
                                             {"fabric", "#d55e00"},
                                             {"self", "#999999"}};

    for (unsigned i = 0; way != NULL && i < sizeof(colours) / sizeof(colours[0]); i++)
        if (strcmp(colours[i][0], way) == 0)
            return colours[i][1];
    return "#cc79a7";
}

static void put_text(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        default:
            putc(*text, out);
        }
}

/* ---- Boxes ---- */

static double larger(double one, double other)
{
    return one > other ? one : other;
}

static uint32_t columns(uint32_t ranks)
{
    uint32_t side = 4;

    while (side * side < ranks)
        side++;
    return ranks < side ? ranks : side;
}

/* Places the children relative to their parent, in rows as long as there is room. */
static void lay_out(struct ferry_map_node *node, double room)
{
    uint32_t across = columns(node->rank_count);
    uint32_t down = across == 0 ? 0 : (node->rank_count + across - 1) / across;
    double top = node->box == NULL ? 0 : TITLE, x = PAD, y = top + PAD, row = 0, right = 0;

    if (across > 0) {
        right = PAD + across * (RANK + GAP) - GAP;
        y += down * (RANK + GAP) - GAP + (node->first != NULL ? PAD : 0);
    }
    for (struct ferry_map_node *child = node->first; child != NULL; child = child->next) {
        lay_out(child, room - 2 * PAD);
        if (x > PAD && x + child->width > room - PAD) {
            x = PAD;
            y += row + PAD;
            row = 0;
        }
        child->x = x;
        child->y = y;
        x += child->width + PAD;
        right = larger(right, x - PAD);
        row = larger(row, child->height);
    }
    if (node->box != NULL)
        right = larger(right, PAD + (double) strlen(node->box->label) * LETTER);
    node->width = right + PAD;
    node->height = y + row + PAD;
}

struct drawing {
    const struct ferry_map *map;
    FILE *out;
    double *x, *y; /* the middle of each rank's square */
    double bottom;
    uint32_t astray; /* lines of those that are */
};

static void put_box(struct drawing *drawing, const struct ferry_map_node *node, unsigned depth)
{
    static const char *const fills[] = {"#f4f6f8", "#e6ecf1", "#d6e0e8"};

    fprintf(drawing->out,
            "<rect x='%.0f' y='%.0f' width='%.0f' height='%.0f' rx='6' fill='%s' "
            "stroke='#8a99a8'/>\n",
            node->x, node->y, node->width, node->height, fills[depth < 3 ? depth : 2]);
}

/* Above the lines, with a margin that keeps them readable there. */
static void put_labels(struct drawing *drawing, const struct ferry_map_node *node)
{
    if (node->box != NULL) {
        fprintf(drawing->out,
                "<text x='%.0f' y='%.0f' stroke='#f4f6f8' stroke-width='3' "
                "paint-order='stroke'>",
                node->x + PAD, node->y + TITLE - 6);
        put_text(drawing->out, node->box->label);
        fputs("</text>\n", drawing->out);
    }
    for (const struct ferry_map_node *child = node->first; child != NULL; child = child->next)
        put_labels(drawing, child);
}

/* From relative to absolute; remembers where ranks are. */
static void put_boxes(struct drawing *drawing, struct ferry_map_node *node, unsigned depth)
{
    uint32_t across = columns(node->rank_count);
    double top = node->y + PAD + (node->box == NULL ? 0 : TITLE);

    if (node->box != NULL)
        put_box(drawing, node, depth - 1);
    for (uint32_t i = 0; i < node->rank_count; i++) {
        drawing->x[node->ranks[i]] = node->x + PAD + (i % across) * (RANK + GAP) + RANK / 2.0;
        drawing->y[node->ranks[i]] = top + (double) (i / across) * (RANK + GAP) + RANK / 2.0;
    }
    for (struct ferry_map_node *child = node->first; child != NULL; child = child->next) {
        child->x += node->x;
        child->y += node->y;
        put_boxes(drawing, child, depth + 1);
    }
}

static void put_rank(struct drawing *drawing, uint32_t number)
{
    const struct ferry_map_rank *rank = &drawing->map->ranks[number];

    fprintf(drawing->out, "<g><title>rank %" PRIu32 "%s", number,
            rank->known ? " on " : ": nothing is known");
    if (rank->known) {
        put_text(drawing->out, rank->host);
        fprintf(drawing->out, ", process %" PRIu32, rank->pid);
    }
    fprintf(drawing->out,
            "</title><rect x='%.1f' y='%.1f' width='%d' height='%d' rx='4' fill='white' "
            "stroke='#334'/><text x='%.1f' y='%.1f' text-anchor='middle'>%" PRIu32 "</text></g>\n",
            drawing->x[number] - RANK / 2.0, drawing->y[number] - RANK / 2.0, RANK, RANK,
            drawing->x[number], drawing->y[number] + 4, number);
}

/* ---- Pairs ---- */

/* "0 to 5: 12 messages, 48 KiB, shm (...)" */
static void put_direction(struct drawing *drawing, uint32_t from, uint32_t to)
{
    const struct ferry_map_pair *pair = ferry_map_pair(drawing->map, from, to);
    char bytes[FERRY_MAP_BYTES_TEXT];

    if (pair == NULL)
        return;
    fprintf(drawing->out, "%" PRIu32 " to %" PRIu32 ": %" PRIu64 " messages, %s, ", from, to,
            pair->messages, ferry_map_bytes(pair->bytes, bytes));
    put_text(drawing->out, pair->how);
    putc('\n', drawing->out);
}

static void put_line(struct drawing *drawing, uint32_t from, uint32_t to)
{
    const struct ferry_map_pair *there = ferry_map_pair(drawing->map, from, to);
    const struct ferry_map_pair *back = ferry_map_pair(drawing->map, to, from);
    const char *way = there != NULL ? ferry_map_way(drawing->map, from, to)
                                    : ferry_map_way(drawing->map, to, from);
    double dx = drawing->x[to] - drawing->x[from], dy = drawing->y[to] - drawing->y[from];

    uint64_t bytes = (there != NULL ? there->bytes : 0) + (back != NULL ? back->bytes : 0);
    /* Bent, or lines over several ranks in a row would hide each other; wider with more bytes. */
    fprintf(drawing->out,
            "<path d='M%.1f %.1fQ%.1f %.1f %.1f %.1f' fill='none' stroke='%s' "
            "stroke-width='%.1f' stroke-opacity='0.75'><title>",
            drawing->x[from], drawing->y[from], drawing->x[from] + dx / 2 - dy * 0.18,
            drawing->y[from] + dy / 2 + dx * 0.18, drawing->x[to], drawing->y[to], colour_of(way),
            1 + (63 - __builtin_clzll(bytes | 1)) / 6.0);
    put_direction(drawing, from, to);
    put_direction(drawing, to, from);
    fputs("</title></path>\n", drawing->out);
}

static uint32_t directions_of(const struct ferry_map *map)
{
    uint32_t count = 0;

    for (uint32_t from = 0; from < map->count && count <= LINES_MAX; from++)
        for (size_t i = 0; i < map->ranks[from].pair_count && count <= LINES_MAX; i++)
            count += map->ranks[from].pairs[i].to != from;
    return count;
}

static void put_all_lines(struct drawing *drawing)
{
    const struct ferry_map *map = drawing->map;

    for (uint32_t from = 0; from < map->count; from++)
        for (uint32_t to = from + 1; to < map->count; to++)
            if (ferry_map_pair(map, from, to) != NULL || ferry_map_pair(map, to, from) != NULL)
                put_line(drawing, from, to);
}

static bool put_astray(void *arg, uint32_t one, uint32_t other, const char *way)
{
    struct drawing *drawing = arg;

    put_line(drawing, one, other);
    return ++drawing->astray < LINES_MAX;
}

/* The way of those that a cell stands for, the slowest that talked, and how much. */
struct cell {
    const char *way;
    uint64_t messages, bytes;
};

static bool is_slower(const char *way, const char *than)
{
    return than == NULL || (strcmp(way, "fabric") == 0 && strcmp(than, "fabric") != 0);
}

static struct cell cell_of(const struct ferry_map *map, uint32_t from, uint32_t to, uint32_t share)
{
    struct cell cell = {0};

    for (uint32_t i = from; i < from + share && i < map->count; i++)
        for (uint32_t j = to; j < to + share && j < map->count; j++) {
            const struct ferry_map_pair *pair = ferry_map_pair(map, i, j);
            const char *way = ferry_map_way(map, i, j);

            if (pair == NULL || way == NULL)
                continue;
            cell.messages += pair->messages;
            cell.bytes += pair->bytes;
            if (is_slower(way, cell.way))
                cell.way = way;
        }
    return cell;
}

static void put_table(struct drawing *drawing)
{
    const struct ferry_map *map = drawing->map;
    uint32_t share = (map->count + CELLS_MAX - 1) / CELLS_MAX;
    uint32_t cells = (map->count + share - 1) / share;
    double size = (double) TABLE / cells, left = PAD + 40, top = drawing->bottom + LINE + PAD;
    char bytes[FERRY_MAP_BYTES_TEXT];

    size = size > 22 ? 22 : size;
    fprintf(drawing->out, "<text x='%d' y='%.0f'>From (row) to (column)%s</text>\n", PAD, top - 8,
            share > 1 ? "; each cell stands for several ranks" : "");
    fprintf(drawing->out,
            "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='white' "
            "stroke='#8a99a8'/>\n",
            left, top, size * cells, size * cells);
    for (uint32_t i = 0; i < cells; i++)
        for (uint32_t j = 0; j < cells; j++) {
            struct cell cell = cell_of(map, i * share, j * share, share);

            if (cell.way == NULL)
                continue;
            fprintf(drawing->out,
                    "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='%s'><title>%" PRIu32
                    " to %" PRIu32 ": %" PRIu64 " messages, %s, ",
                    left + j * size, top + i * size, size, size, colour_of(cell.way), i * share,
                    j * share, cell.messages, ferry_map_bytes(cell.bytes, bytes));
            put_text(drawing->out, ferry_map_way_title(cell.way));
            fputs("</title></rect>\n", drawing->out);
        }
    for (uint32_t i = 0; i<cells; i += cells> 40 ? 10 : 4)
        fprintf(drawing->out, "<text x='%.1f' y='%.1f' text-anchor='end'>%" PRIu32 "</text>\n",
                left - 6, top + i * size + size / 2 + 4, i * share);
    drawing->bottom = top + size * cells + PAD;
}

/* ---- What the colours mean ---- */

static bool count_only(void *arg, uint32_t one, uint32_t other, const char *way)
{
    uint32_t *first = arg;

    first[0] = one;
    first[1] = other;
    return false;
}

static void put_legend(struct drawing *drawing)
{
    struct ferry_map_sum sums[FERRY_MAP_WAYS_MAX];
    char bytes[FERRY_MAP_BYTES_TEXT];
    uint32_t first[2];
    uint64_t astray;

    ferry_map_sums(drawing->map, sums);
    for (unsigned i = 0; i < drawing->map->way_count; i++) {
        const char *way = drawing->map->ways[i];

        if (sums[i].messages == 0)
            continue;
        drawing->bottom += LINE;
        fprintf(drawing->out,
                "<rect x='%d' y='%.0f' width='24' height='8' fill='%s'/><text "
                "x='%d' y='%.0f'>",
                PAD, drawing->bottom - 8, colour_of(way), PAD + 34, drawing->bottom);
        put_text(drawing->out, ferry_map_way_title(way));
        fprintf(drawing->out, ": %" PRIu64 " pairs, %" PRIu64 " messages, %s</text>\n",
                sums[i].pairs, sums[i].messages, ferry_map_bytes(sums[i].bytes, bytes));
    }
    astray = ferry_map_astray(drawing->map, count_only, first);
    if (astray > 0) {
        drawing->bottom += LINE;
        fprintf(drawing->out,
                "<text x='%d' y='%.0f' fill='#b03000' font-weight='bold'>%" PRIu64
                " pairs are on one machine and yet did not talk through its memory, %" PRIu32
                " and %" PRIu32 " first: \"ferry_info -t\" there says why.</text>\n",
                PAD, drawing->bottom, astray, first[0], first[1]);
    }
}

static void put_all(struct drawing *drawing, struct ferry_map_node *root)
{
    const struct ferry_map *map = drawing->map;

    bool has_table = directions_of(map) > LINES_MAX;

    put_boxes(drawing, root, 0);
    drawing->bottom = root->y + root->height;
    if (has_table)
        ferry_map_astray(map, put_astray, drawing);
    else
        put_all_lines(drawing);
    put_labels(drawing, root);
    for (uint32_t i = 0; i < map->count; i++)
        put_rank(drawing, i);
    put_legend(drawing);
    if (has_table)
        put_table(drawing);
}

void ferry_map_svg(const struct ferry_map *map, FILE *out)
{
    struct ferry_map_node *root = ferry_map_tree(map);
    struct drawing drawing = {.map = map};
    char *body = NULL;
    size_t length;

    drawing.x = calloc(map->count, sizeof(*drawing.x));
    drawing.y = calloc(map->count, sizeof(*drawing.y));
    drawing.out = open_memstream(&body, &length);
    if (root != NULL && drawing.x != NULL && drawing.y != NULL && drawing.out != NULL) {
        lay_out(root, WIDTH);
        root->y = 2 * LINE;
        put_all(&drawing, root);
    }
    if (drawing.out != NULL && fclose(drawing.out) == 0 && drawing.bottom > 0)
        /* The size is known only when all is drawn. */
        fprintf(out,
                "<svg xmlns='http://www.w3.org/2000/svg' width='%.0f' height='%.0f' "
                "font-family='sans-serif' font-size='12'>\n"
                "<rect width='100%%' height='100%%' fill='white'/>\n"
                "<text x='%d' y='26' font-size='16'>A job of %" PRIu32 " ranks</text>\n%s</svg>\n",
                larger(root->width, WIDTH), drawing.bottom + PAD, PAD, map->count, body);
    free(body);
    free(drawing.x);
    free(drawing.y);
    ferry_map_tree_free(root);
}
