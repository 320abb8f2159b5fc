/*
 * An entry of the map, written:
 *
 *     ferry-map 1 RANK COUNT PID
 *     host NAME
 *     box KEY LABEL          one line for each, the outermost first
 *     way NAME               the first is a, the second b
 *     ways aab-              a letter for each rank, - for none
 *     pair TO MESSAGES BYTES HOW
 */
#include "map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What stays free for all that is no pair, beside a byte for each rank. */
#define HEAD_MAX 8192

static int more_bytes_first(const void *left, const void *right)
{
    const struct ferry_map_pair *one = left, *other = right;

    return (one->bytes < other->bytes) - (one->bytes > other->bytes);
}

/* Names are put down in the order in which they come; returns the letter. */
static char letter_of(const char *way, const char *names[FERRY_MAP_WAYS_MAX], unsigned *count)
{
    if (way == NULL)
        return '-';
    for (unsigned i = 0; i < *count; i++)
        if (strcmp(names[i], way) == 0)
            return (char) ('a' + i);
    if (*count == FERRY_MAP_WAYS_MAX)
        return '-';
    names[*count] = way;
    return (char) ('a' + (*count)++);
}

static void put_ways(const struct ferry_map_self *self, FILE *out)
{
    const char *names[FERRY_MAP_WAYS_MAX];
    unsigned count = 0;

    for (uint32_t i = 0; i < self->count; i++) {
        unsigned known = count;

        letter_of(self->ways[i], names, &count);
        if (count > known)
            fprintf(out, "way %.15s\n", self->ways[i]);
    }
    fputs("ways ", out);
    for (uint32_t i = 0; i < self->count; i++)
        putc(letter_of(self->ways[i], names, &count), out);
    putc('\n', out);
}

char *ferry_map_entry(const struct ferry_map_self *self, size_t *length)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, length);

    if (out == NULL)
        return NULL;
    fprintf(out, "ferry-map 1 %" PRIu32 " %" PRIu32 " %" PRIu32 "\nhost %.255s\n", self->rank,
            self->count, self->pid, self->host);
    for (unsigned i = 0; i < self->box_count; i++)
        fprintf(out, "box %.255s %.255s\n", self->boxes[i].key, self->boxes[i].label);
    put_ways(self, out);
    qsort(self->pairs, self->pair_count, sizeof(self->pairs[0]), more_bytes_first);
    for (size_t i = 0; i < self->pair_count; i++) {
        const struct ferry_map_pair *pair = &self->pairs[i];

        if (ftell(out) > FERRY_MAP_ENTRY_MAX - HEAD_MAX)
            break;
        fprintf(out, "pair %" PRIu32 " %" PRIu64 " %" PRIu64 " %.255s\n", pair->to, pair->messages,
                pair->bytes, pair->how);
    }
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
