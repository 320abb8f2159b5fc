/*
 * Lists of words in one string, separated by commas: "shm,fabric". Spaces around words and empty
 * words are passed over.
 */
#ifndef FERRY_LIST_H
#define FERRY_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* Whether word is in the list, exactly. */
bool ferry_list_has(const char *list, const char *word);

/* Copies the next word to item and moves the cursor (at first: the list) behind it; false at the end.
 * A word that doesn't fit in room bytes, with its terminating zero, is passed over. */
bool ferry_list_next(const char **cursor, char *item, size_t room);

#endif
