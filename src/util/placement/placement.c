#include "placement.h"

#include "parts.h"
#include "peek.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

bool ferry_cpuid(uint32_t leaf, uint32_t registers[4])
{
#if defined(__x86_64__)
    __cpuid_count(leaf, 0, registers[0], registers[1], registers[2], registers[3]);
    return true;
#else
    return false;
#endif
}

/* ---- The chain ---- */

struct ferry_level *ferry_level_insert(struct ferry_placement *out, unsigned at,
                                       enum ferry_level_kind kind, const char *name)
{
    struct ferry_level *level = &out->levels[at];

    if (out->count == FERRY_LEVELS_MAX || at > out->count)
        return NULL;
    memmove(level + 1, level, (out->count - at) * sizeof(*level));
    memset(level, 0, sizeof(*level));
    level->kind = kind;
    ferry_set_text(level->name, sizeof(level->name), name);
    out->count++;
    return level;
}

void ferry_set_text(char *to, size_t room, const char *text)
{
    snprintf(to, room, "%s", text);
    ferry_clean(to);
}

void ferry_say(char *text, size_t room, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;

    if (length > 0)
        length += (size_t) snprintf(text + length, room - length, "; ");
    if (length >= room)
        return;
    va_start(args, format);
    vsnprintf(text + length, room - length, format, args);
    va_end(args);
    ferry_clean(text);
}

void ferry_placement_find(const struct ferry_scene *scene, struct ferry_placement *out)
{
    struct ferry_dmi dmi;

    memset(out, 0, sizeof(*out));
    ferry_namespaces_find(scene->root, &out->namespaces);
    ferry_dmi_read(scene->root, &dmi);
    ferry_placement_cloud(scene, &dmi, out);
    ferry_placement_machine(scene, &dmi, out);
    ferry_placement_containers(scene, out);
}

void ferry_placement_here(struct ferry_placement *out)
{
    const struct ferry_scene here = {"", environ, ferry_cpuid};

    ferry_placement_find(&here, out);
}

/* ---- In words ---- */

const char *ferry_level_kind_name(enum ferry_level_kind kind)
{
    static const char *const names[] = {"unknown", "cloud", "bare metal", "VM", "pod", "container"};

    return names[kind];
}

static void __attribute__((format(printf, 3, 4)))
append(char *text, size_t room, const char *format, ...)
{
    size_t length = strlen(text);
    va_list args;

    va_start(args, format);
    vsnprintf(text + length, room - length, format, args);
    va_end(args);
}

static void append_level(const struct ferry_level *level, char *text, size_t room)
{
    enum { SHORT = 12, LONG = 64 };
    bool number = strlen(level->id) == LONG && strspn(level->id, "0123456789abcdef") == LONG;
    const char *comma = level->model[0] != '\0' && level->id[0] != '\0' ? ", " : "";

    append(text, room, "%s", ferry_level_kind_name(level->kind));
    if (level->name[0] != '\0')
        append(text, room, " %s", level->name);
    else if (level->kind == FERRY_LEVEL_CONTAINER)
        append(text, room, " of no known engine");
    if (level->version[0] != '\0')
        append(text, room, " %s", level->version);
    if (level->model[0] != '\0' || level->id[0] != '\0')
        append(text, room, " (%s%s%.*s)", level->model, comma,
               number ? SHORT : (int) sizeof(level->id), level->id);
}

void ferry_level_text(const struct ferry_level *level, char *text, size_t room)
{
    text[0] = '\0';
    append_level(level, text, room);
}

void ferry_placement_text(const struct ferry_placement *placement, char *text, size_t room)
{
    text[0] = '\0';
    for (unsigned i = 0; i < placement->count; i++) {
        append(text, room, "%s", i > 0 ? " > " : "");
        append_level(&placement->levels[i], text, room);
    }
}
