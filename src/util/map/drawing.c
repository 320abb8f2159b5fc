/*
 * Which picture a file's name asks for.
 */
#include "map.h"

#include <string.h>

ferry_map_draw_fn ferry_map_drawing(const char *path)
{
    const char *ending = strrchr(path, '.');

    if (ending == NULL)
        return NULL;
    if (strcmp(ending, ".svg") == 0)
        return ferry_map_svg;
    if (strcmp(ending, ".json") == 0)
        return ferry_map_json;
    if (strcmp(ending, ".txt") == 0)
        return ferry_map_text;
    return NULL;
}
