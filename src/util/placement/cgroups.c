/*
 * Signs of container engines in the path of a process's cgroup, which shows what is in what: cgroups(7).
 */
#include "engines.h"
#include "peek.h"

#include <stdio.h>
#include <string.h>

/* How engines name the cgroup of a container; behind it stands its id or name, then maybe ".scope". */
static const struct {
    const char *begin;
    enum ferry_engine engine;
    bool hex; /* only with an id of 64 hexadecimal digits */
} names[] = {
    {"docker-", FERRY_DOCKER, true},
    {"libpod-", FERRY_PODMAN, true},
    {"cri-containerd-", FERRY_CONTAINERD, true},
    {"nerdctl-", FERRY_CONTAINERD, true},
    {"crio-", FERRY_CRIO, true},
    {"lxc.payload.", FERRY_LXC, false},
    {"systemd-nspawn@", FERRY_NSPAWN, false},
};

/* Folders, below which each container has one of its own. */
static const struct {
    const char *name;
    enum ferry_engine engine;
    bool hex;
} folders[] = {
    {"docker", FERRY_DOCKER, true},
    {"lxc", FERRY_LXC, false},
    {"lxc.payload", FERRY_LXC, false},
};

static void cut_end(char *id, const char *end)
{
    size_t length = strlen(id), of_end = strlen(end);

    if (length > of_end && strcmp(id + length - of_end, end) == 0)
        id[length - of_end] = '\0';
}

/* podUID in kubepods/burstable, or kubepods-burstable-podU_I_D.slice */
static bool find_pod(const char *word, char id[80])
{
    const char *at = strncmp(word, "pod", 3) == 0 ? word : strstr(word, "-pod");

    if (at == NULL)
        return false;
    snprintf(id, 80, "%s", at + (*at == '-') + strlen("pod"));
    cut_end(id, ".slice");
    for (char *c = id; (c = strchr(c, '_')) != NULL;)
        *c = '-';
    return id[0] != '\0';
}

static bool find_container(const char *word, const char *above, bool in_pod,
                           enum ferry_engine *engine, char id[80])
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i].begin);

        if (strncmp(word, names[i].begin, length) != 0)
            continue;
        *engine = names[i].engine;
        if (names[i].hex)
            return ferry_hex_id(word + length, id);
        snprintf(id, 80, "%s", word + length);
        cut_end(id, ".scope");
        cut_end(id, ".service");
        return true;
    }
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
        if (strcmp(above, folders[i].name) != 0)
            continue;
        *engine = folders[i].engine;
        if (folders[i].hex)
            return ferry_hex_id(word, id);
        snprintf(id, 80, "%s", word);
        return true;
    }
    *engine = FERRY_ENGINE_NONE;
    return in_pod && ferry_hex_id(word, id);
}

/* Lines such as "4:memory:/docker/ID" or "0::/docker/ID". */
static bool read_line(char *line, void *arg)
{
    struct ferry_search *search = arg;
    char *path = strchr(line, ':'), *word, id[80];
    const char *above = "";
    bool in_kubepods = false, in_pod = false;
    enum ferry_engine engine;

    path = path != NULL ? strchr(path + 1, ':') : NULL;
    if (path == NULL)
        return true;
    for (path++; (word = strsep(&path, "/")) != NULL; above = word) {
        bool found;

        if (word[0] == '\0')
            continue;
        in_kubepods |= strstr(word, "kubepods") != NULL;
        if (in_kubepods && !in_pod && find_pod(word, id)) {
            engine = FERRY_POD;
            in_pod = found = true;
        } else {
            found = find_container(word, above, in_pod, &engine, id);
        }
        if (!found)
            continue;
        ferry_clean(id);
        ferry_see(search, engine, FERRY_ORDERED, id, "the path of the cgroup names it");
    }
    return true;
}

void ferry_cgroup_tell(struct ferry_search *search)
{
    ferry_peek_pieces(search->scene->root, "/proc/self/cgroup", '\n', read_line, search);
}
