/*
 * The map of the job: what this process tells, and the picture that one process draws of what all tell.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config.h"
#include "internal.h"
#include "log.h"
#include "map.h"
#include "peek.h"
#include "placement.h"

/* What a process tells of itself, while it is put together. */
struct telling {
    struct ferry_map_self self;
    struct utsname names;
    struct ferry_placement placement;
    char keys[FERRY_MAP_BOXES_MAX][160];
    char labels[FERRY_MAP_BOXES_MAX][256];
    char (*hows)[256];
};

bool ferry_job_wants_map(void)
{
    const char *path = ferry_config() ? ferry_config()->map : "";

    if (path[0] == '\0')
        return false;
    if (ferry_map_drawing(path))
        return true;
    ferry_log(FERRY_LOG_WARN,
              "no map of the job is drawn: FERRY_MAP=%s names no file that ends in .svg, .txt or "
              ".json",
              path);
    return false;
}

/* ---- This process ---- */

/* Opens one more box; its key is one word. Returns its label, 256 bytes. */
static char *open_box(struct telling *telling, const char *format, const char *id,
                      unsigned long long number)
{
    unsigned at = telling->self.box_count++;

    snprintf(telling->keys[at], sizeof(telling->keys[at]), format, id, number);
    for (char *byte = telling->keys[at]; *byte; byte++)
        if (*byte <= ' ')
            *byte = '_';
    telling->self.boxes[at].key = telling->keys[at];
    telling->self.boxes[at].label = telling->labels[at];
    return telling->labels[at];
}

static bool is_container(const struct ferry_level *level)
{
    return level->kind == FERRY_LEVEL_POD || level->kind == FERRY_LEVEL_CONTAINER ||
           (level->kind == FERRY_LEVEL_UNKNOWN && strcmp(level->name, "container") == 0);
}

/* The kernel's box: all ranks on it could share memory. Returns how many levels it stands for. */
static unsigned tell_machine(struct telling *telling)
{
    const struct ferry_placement *placement = &telling->placement;
    char boot[64], text[200], *label;
    size_t length = 0;
    unsigned i;

    if (ferry_peek_line("", "/proc/sys/kernel/random/boot_id", boot, sizeof(boot)) <= 0)
        snprintf(boot, sizeof(boot), "%.63s", telling->names.nodename);
    label = open_box(telling, "%s", boot, 0);
    label[0] = '\0';
    if (placement->namespaces.state[FERRY_NS_UTS] == FERRY_NS_INITIAL)
        length = (size_t) snprintf(label, 256, "%.64s: ", telling->names.nodename);
    for (i = 0; i < placement->count && !is_container(&placement->levels[i]); i++) {
        ferry_level_text(&placement->levels[i], text, sizeof(text));
        length += (size_t) snprintf(label + length, 256 - length, "%s%s", i == 0 ? "" : " > ",
                                    text);
        if (length >= 256)
            break;
    }
    if (label[0] == '\0')
        strcpy(label, "machine");
    return i;
}

/* Containers and pods, the outermost first. That their ids are unknown or alike is common; the mount namespace tells
 * at least the innermost ones apart. */
static void tell_containers(struct telling *telling, unsigned from)
{
    const struct ferry_placement *placement = &telling->placement;

    for (unsigned i = from; i < placement->count && telling->self.box_count < FERRY_MAP_BOXES_MAX;
         i++) {
        const struct ferry_level *level = &placement->levels[i];
        bool innermost = i + 1 == placement->count;
        char *label = open_box(telling, "%.120s-%llu", level->id[0] ? level->id : level->name,
                               innermost ? placement->namespaces.inode[FERRY_NS_MNT] : 0);

        int length = innermost ? snprintf(label, 256, "%.64s: ", telling->names.nodename) : 0;

        ferry_level_text(level, label + length, 256 - (size_t) length);
    }
}

static int tell_ways(struct telling *telling, ferry_context_t *context)
{
    struct ferry_map_self *self = &telling->self;
    const char **ways = calloc(self->count, sizeof(*ways));

    self->ways = ways;
    self->pairs = calloc(self->count, sizeof(*self->pairs));
    telling->hows = calloc(self->count, sizeof(*telling->hows));
    if (!ways || !self->pairs || !telling->hows)
        return -ENOMEM;
    for (uint32_t i = 0; i < context->peer_count; i++) {
        ferry_peer_t *peer = context->peers[i];
        char *how = telling->hows[self->pair_count];
        ferry_traffic_t traffic;

        if (peer->rank < 0 || (uint32_t) peer->rank >= self->count)
            continue;
        ferry_peer_traffic(peer, &traffic);
        ways[peer->rank] = traffic.transport;
        if (traffic.messages == 0)
            continue;
        ferry_peer_describe(peer, how, sizeof(telling->hows[0]));
        self->pairs[self->pair_count++] = (struct ferry_map_pair){.to = (uint32_t) peer->rank,
                                                                  .messages = traffic.messages,
                                                                  .bytes = traffic.bytes,
                                                                  .how = how};
    }
    return 0;
}

char *ferry_job_entry(ferry_context_t *context, size_t *length)
{
    struct telling *telling = calloc(1, sizeof(*telling));
    char *entry = NULL;

    if (!telling)
        return NULL;
    uname(&telling->names);
    ferry_clean(telling->names.nodename);
    ferry_placement_here(&telling->placement);
    telling->self.rank = context->params.rank;
    telling->self.count = context->params.size;
    telling->self.pid = (uint32_t) getpid();
    telling->self.host = telling->names.nodename;
    tell_containers(telling, tell_machine(telling));
    if (tell_ways(telling, context) == 0)
        entry = ferry_map_entry(&telling->self, length);
    free((void *) telling->self.ways);
    free(telling->self.pairs);
    free(telling->hows);
    free(telling);
    return entry;
}

/* ---- All ---- */

/* Errors: negative errno. */
static int write_file(const char *path, const struct ferry_map *map)
{
    FILE *file = fopen(path, "we");
    int error;

    if (!file)
        return -errno;
    errno = 0;
    ferry_map_drawing(path)(map, file);
    error = ferror(file) ? EIO : 0;
    if (fclose(file) != 0)
        error = errno;
    return -error;
}

int ferry_job_draw(char *const *entries, const size_t *lengths, uint32_t count)
{
    const char *path = ferry_config()->map;
    struct ferry_map map;
    int error = ferry_map_begin(&map, count);

    for (uint32_t i = 0; i < count && error == 0; i++)
        if (entries[i] && ferry_map_add(&map, entries[i], lengths[i]) != 0)
            ferry_log(FERRY_LOG_WARN,
                      "the map of the job shows nothing of rank %u: what it told of "
                      "itself can't be read",
                      i);
    if (error == 0)
        error = write_file(path, &map);
    if (error != 0)
        ferry_log(FERRY_LOG_WARN,
                  "the map of the job can't be written to %s (FERRY_MAP), in the folder in which "
                  "rank 0 runs: %s",
                  path, strerror(-error));
    ferry_map_end(&map);
    return error;
}
