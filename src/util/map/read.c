/*
 * Entries of the map, put together. Nothing in them is taken on trust: other processes wrote them.
 */
#include "map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ferry_map_begin(struct ferry_map *map, uint32_t count)
{
    *map = (struct ferry_map){.count = count};
    if (count == 0 || count > FERRY_MAP_RANKS_MAX)
        return -EINVAL;
    map->ranks = calloc(count, sizeof(map->ranks[0]));
    return map->ranks == NULL ? -ENOMEM : 0;
}

static void forget(struct ferry_map_rank *rank)
{
    free(rank->pairs);
    free(rank->text);
    *rank = (struct ferry_map_rank){0};
}

void ferry_map_end(struct ferry_map *map)
{
    for (uint32_t i = 0; map->ranks != NULL && i < map->count; i++)
        forget(&map->ranks[i]);
    free(map->ranks);
    map->ranks = NULL;
}

/* The next word of a line, which is cut off; "" at its end. */
static char *word(char **line)
{
    char *begin = *line;

    *line += strcspn(*line, " ");
    if (**line != '\0')
        *(*line)++ = '\0';
    return begin;
}

static bool number(char **line, uint64_t max, uint64_t *value)
{
    char *text = word(line), *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return *end == '\0' && errno == 0 && *value <= max;
}

static bool number32(char **line, uint32_t max, uint32_t *value)
{
    uint64_t wide;

    if (!number(line, max, &wide))
        return false;
    *value = (uint32_t) wide;
    return true;
}

/* What is being read. */
struct reading {
    struct ferry_map *map;
    struct ferry_map_rank rank;
    char letters[FERRY_MAP_WAYS_MAX]; /* the map's for the entry's */
    unsigned letter_count;
    size_t room; /* for pairs */
};

/* The map's letter for a way; '-' where it has no name, or the map no room for one more. */
static char letter_for(struct ferry_map *map, const char *name)
{
    unsigned i;

    for (i = 0; i < map->way_count; i++)
        if (strcmp(map->ways[i], name) == 0)
            return (char) ('a' + i);
    if (i == FERRY_MAP_WAYS_MAX || name[0] == '\0' || strlen(name) >= sizeof(map->ways[0]))
        return '-';
    strcpy(map->ways[map->way_count++], name);
    return (char) ('a' + i);
}

static bool read_ways(struct reading *reading, char *line)
{
    if (strlen(line) != reading->map->count)
        return false;
    reading->rank.ways = line;
    for (; *line != '\0'; line++) {
        unsigned letter = (unsigned) (*line - 'a');

        if (*line == '-')
            continue;
        if (*line < 'a' || letter >= reading->letter_count)
            return false;
        *line = reading->letters[letter];
    }
    return true;
}

static int read_pair(struct reading *reading, char *line)
{
    struct ferry_map_rank *rank = &reading->rank;
    struct ferry_map_pair pair;

    if (!number32(&line, reading->map->count - 1, &pair.to) ||
        !number(&line, UINT64_MAX, &pair.messages) || !number(&line, UINT64_MAX, &pair.bytes))
        return -EPROTO;
    pair.how = line;
    if (rank->pair_count == reading->room) {
        size_t room = reading->room == 0 ? 16 : reading->room * 2;
        struct ferry_map_pair *pairs = realloc(rank->pairs, room * sizeof(pair));

        if (pairs == NULL)
            return -ENOMEM;
        rank->pairs = pairs;
        reading->room = room;
    }
    rank->pairs[rank->pair_count++] = pair;
    return 0;
}

static int read_line(struct reading *reading, char *line)
{
    struct ferry_map_rank *rank = &reading->rank;
    const char *what = word(&line);

    if (strcmp(what, "pair") == 0)
        return read_pair(reading, line);
    if (strcmp(what, "ways") == 0)
        return read_ways(reading, line) ? 0 : -EPROTO;
    if (strcmp(what, "host") == 0) {
        rank->host = line;
    } else if (strcmp(what, "box") == 0) {
        if (rank->box_count == FERRY_MAP_BOXES_MAX)
            return -EPROTO;
        rank->boxes[rank->box_count].key = word(&line);
        rank->boxes[rank->box_count++].label = line;
    } else if (strcmp(what, "way") == 0) {
        if (reading->letter_count == FERRY_MAP_WAYS_MAX)
            return -EPROTO;
        reading->letters[reading->letter_count++] = letter_for(reading->map, line);
    } else {
        return -EPROTO;
    }
    return 0;
}

/* The entry's own line; returns its rank's number or an error. */
static int64_t read_head(struct reading *reading, char *line)
{
    uint32_t rank, count;

    if (strcmp(word(&line), "ferry-map") != 0 || strcmp(word(&line), "1") != 0 ||
        !number32(&line, reading->map->count - 1, &rank) || !number32(&line, UINT32_MAX, &count) ||
        count != reading->map->count || !number32(&line, UINT32_MAX, &reading->rank.pid) ||
        reading->map->ranks[rank].known)
        return -EPROTO;
    return rank;
}

static int by_target(const void *left, const void *right)
{
    const struct ferry_map_pair *one = left, *other = right;

    return (one->to > other->to) - (one->to < other->to);
}

/* In the order in which they are looked for; false: one is there twice. */
static bool sort_pairs(struct ferry_map_rank *rank)
{
    if (rank->pair_count > 0)
        qsort(rank->pairs, rank->pair_count, sizeof(rank->pairs[0]), by_target);
    for (size_t i = 1; i < rank->pair_count; i++)
        if (rank->pairs[i].to == rank->pairs[i - 1].to)
            return false;
    return true;
}

static int read_all(struct reading *reading, char *text, uint32_t *rank)
{
    char *rest = text;
    int64_t head = read_head(reading, strsep(&rest, "\n"));
    int error = 0;

    if (head < 0)
        return (int) head;
    while (error == 0 && rest != NULL && *rest != '\0')
        error = read_line(reading, strsep(&rest, "\n"));
    if (error == 0 &&
        (reading->rank.host == NULL || reading->rank.ways == NULL || !sort_pairs(&reading->rank)))
        error = -EPROTO;
    *rank = (uint32_t) head;
    return error;
}

/* Printable ASCII and ends of lines only: what is drawn is safe in any terminal. */
static char *clean_copy(const char *entry, size_t length)
{
    char *text = malloc(length + 1);

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < length; i++)
        text[i] = entry[i] == '\n' || (entry[i] >= ' ' && entry[i] <= '~') ? entry[i] : '?';
    text[length] = '\0';
    return text;
}

int ferry_map_add(struct ferry_map *map, const char *entry, size_t length)
{
    struct reading reading = {.map = map};
    uint32_t rank = 0;
    int error;

    if (length > FERRY_MAP_ENTRY_MAX + (size_t) map->count)
        return -EPROTO;
    reading.rank.text = clean_copy(entry, length);
    if (reading.rank.text == NULL)
        return -ENOMEM;
    error = read_all(&reading, reading.rank.text, &rank);
    if (error != 0) {
        forget(&reading.rank);
        return error;
    }
    reading.rank.known = true;
    map->ranks[rank] = reading.rank;
    return 0;
}
