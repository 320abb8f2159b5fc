#include "nearest.h"

#include "list.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LONGEST 64

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char) a) == tolower((unsigned char) b);
}

size_t ferry_distance(const char *a, const char *b)
{
    /* cost[i][j]: from the first i letters of a to the first j of b */
    size_t cost[LONGEST + 1][LONGEST + 1];
    size_t m = strlen(a), n = strlen(b);

    if (m > LONGEST || n > LONGEST)
        return SIZE_MAX;
    for (size_t i = 0; i <= m; i++) {
        for (size_t j = 0; j <= n; j++) {
            if (i == 0 || j == 0) {
                cost[i][j] = i + j;
                continue;
            }
            cost[i][j] = least(least(cost[i - 1][j], cost[i][j - 1]) + 1,
                               cost[i - 1][j - 1] + !same(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[m][n];
}

const char *ferry_nearest(const char *list, const char *word, char *nearest, size_t room)
{
    char item[LONGEST + 1];
    size_t best = SIZE_MAX;

    while (ferry_list_next(&list, item, sizeof(item))) {
        size_t distance = ferry_distance(item, word);

        if (distance < best && distance <= (strlen(item) + 2) / 3) {
            best = distance;
            snprintf(nearest, room, "%s", item);
        }
    }
    return best != SIZE_MAX ? nearest : NULL;
}
