#include "list.h"

#include <string.h>

/* Finds the next word that is not empty: its length, or 0 at the end. */
static size_t next_word(const char **cursor, const char **word)
{
    const char *at = *cursor + strspn(*cursor, ", \t");
    const char *end = at + strcspn(at, ",");

    *cursor = end;
    *word = at;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return end - at;
}

bool ferry_list_has(const char *list, const char *word)
{
    const char *found;
    size_t length;

    while ((length = next_word(&list, &found)) > 0)
        if (length == strlen(word) && memcmp(found, word, length) == 0)
            return true;
    return false;
}

bool ferry_list_next(const char **cursor, char *item, size_t room)
{
    const char *word;
    size_t length;

    while ((length = next_word(cursor, &word)) > 0) {
        if (length >= room)
            continue;
        memcpy(item, word, length);
        item[length] = '\0';
        return true;
    }
    return false;
}
