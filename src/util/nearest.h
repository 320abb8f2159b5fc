/*
 * What somebody may have meant.
 */
#ifndef FERRY_NEAREST_H
#define FERRY_NEAREST_H

#include <stddef.h>

/* How many letters must be changed, put in, left out or swapped with the next to get from a to b;
 * capitals don't count. SIZE_MAX where one is longer than any name. */
size_t ferry_distance(const char *a, const char *b);

/* Copies the word of a list that is nearest to word to nearest and returns it; NULL where none is
 * near (about a third of the letters wrong). */
const char *ferry_nearest(const char *list, const char *word, char *nearest, size_t room);

#endif
