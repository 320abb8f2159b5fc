/*
 * Containers and pods: puts together what files, the environment, mounts and cgroups show.
 */
#include "engines.h"
#include "peek.h"

#include <stdio.h>
#include <string.h>

/* ---- Engines ---- */

/* rank: what has more is presumed to be in what has less, where nothing says more. Engines of equal rank
 * that are kin are one container. */
static const struct {
    const char *name;
    int rank;
    enum ferry_engine kin;
} engines[FERRY_ENGINES] = {
    [FERRY_ENGINE_NONE] = {"", 3, FERRY_ENGINE_NONE},
    [FERRY_WSL] = {"WSL", 0, FERRY_WSL},
    [FERRY_LXC] = {"LXC", 1, FERRY_LXC},
    [FERRY_LXD] = {"LXD", 1, FERRY_LXC},
    [FERRY_INCUS] = {"Incus", 1, FERRY_LXC},
    [FERRY_NSPAWN] = {"systemd-nspawn", 1, FERRY_NSPAWN},
    [FERRY_POD] = {"Kubernetes", 2, FERRY_POD},
    [FERRY_CONTAINERD] = {"containerd", 3, FERRY_CONTAINERD},
    [FERRY_CRIO] = {"CRI-O", 3, FERRY_CRIO},
    [FERRY_DOCKER] = {"docker", 3, FERRY_DOCKER},
    [FERRY_PODMAN] = {"podman", 4, FERRY_PODMAN},
    [FERRY_ENROOT] = {"enroot", 5, FERRY_ENROOT},
    [FERRY_SARUS] = {"Sarus", 5, FERRY_SARUS},
    [FERRY_SHIFTER] = {"Shifter", 5, FERRY_SHIFTER},
    [FERRY_CHARLIECLOUD] = {"Charliecloud", 5, FERRY_CHARLIECLOUD},
    [FERRY_SINGULARITY] = {"Singularity", 5, FERRY_SINGULARITY},
    [FERRY_APPTAINER] = {"Apptainer", 5, FERRY_SINGULARITY},
};

static enum ferry_engine engine_of(const char *word)
{
    static const struct {
        const char *word;
        enum ferry_engine engine;
    } words[] = {{"lxc", FERRY_LXC},
                 {"systemd-nspawn", FERRY_NSPAWN},
                 {"docker", FERRY_DOCKER},
                 {"podman", FERRY_PODMAN},
                 {"wsl", FERRY_WSL}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(word, words[i].word) == 0)
            return words[i].engine;
    return FERRY_ENGINE_NONE;
}

/* ---- The chain ---- */

/* The innermost level that can be an engine's container of this id ("": any); out->count: none. */
static unsigned find_level(const struct ferry_search *search, enum ferry_engine engine,
                           const char *id)
{
    unsigned i = search->out->count;

    while (i > search->first) {
        const char *other = search->out->levels[--i].id;

        if (engines[search->engine[i]].kin == engines[engine].kin &&
            (id[0] == '\0' || other[0] == '\0' || strcmp(id, other) == 0))
            return i;
    }
    return search->out->count;
}

static bool knows(const struct ferry_search *search, enum ferry_engine engine)
{
    return find_level(search, engine, "") < search->out->count;
}

static int highest_rank(const struct ferry_search *search)
{
    int rank = -1;

    for (unsigned i = search->first; i < search->out->count; i++)
        if (engines[search->engine[i]].rank > rank)
            rank = engines[search->engine[i]].rank;
    return rank;
}

static struct ferry_level *add(struct ferry_search *search, enum ferry_engine engine,
                               enum ferry_strength strength, const char *id)
{
    unsigned at = search->out->count;
    enum ferry_level_kind kind = engine == FERRY_POD ? FERRY_LEVEL_POD : FERRY_LEVEL_CONTAINER;
    struct ferry_level *level;

    if (strength != FERRY_ORDERED)
        while (at > search->first && engines[search->engine[at - 1]].rank > engines[engine].rank)
            at--;
    level = ferry_level_insert(search->out, at, kind, engines[engine].name);
    if (level == NULL)
        return NULL;
    memmove(&search->engine[at + 1], &search->engine[at],
            (search->out->count - 1 - at) * sizeof(search->engine[0]));
    search->engine[at] = engine;
    ferry_set_text(level->id, sizeof(level->id), id);
    return level;
}

/* The level that a sign belongs to; NULL: none yet. */
static struct ferry_level *match(struct ferry_search *search, enum ferry_engine engine,
                                 enum ferry_strength strength, const char *id)
{
    unsigned i = find_level(search, engine, id);
    struct ferry_level *level;

    /* The id that a pod's container has from elsewhere than cgroups is that of its sandbox. */
    if (i == search->out->count && strength != FERRY_ORDERED &&
        engines[engine].rank == engines[FERRY_ENGINE_NONE].rank)
        i = find_level(search, FERRY_ENGINE_NONE, "");
    if (i == search->out->count)
        return NULL;
    level = &search->out->levels[i];
    if (level->id[0] == '\0')
        ferry_set_text(level->id, sizeof(level->id), id);
    if (engine > search->engine[i]) {
        search->engine[i] = engine;
        ferry_set_text(level->name, sizeof(level->name), engines[engine].name);
    }
    return level;
}

struct ferry_level *ferry_see(struct ferry_search *search, enum ferry_engine engine,
                              enum ferry_strength strength, const char *id, const char *format, ...)
{
    struct ferry_level *level;
    char evidence[160];
    va_list args;

    /* CRI-O and podman keep containers in the same way. */
    if (engine == FERRY_PODMAN && strength != FERRY_ORDERED && knows(search, FERRY_POD) &&
        !knows(search, FERRY_CONTAINERD) && !knows(search, FERRY_DOCKER))
        engine = FERRY_CRIO;
    level = match(search, engine, strength, id);
    if (level == NULL) {
        if (strength == FERRY_WEAK && engines[engine].rank <= highest_rank(search))
            return NULL;
        level = add(search, engine, strength, id);
    }
    if (level == NULL)
        return NULL;
    va_start(args, format);
    vsnprintf(evidence, sizeof(evidence), format, args);
    va_end(args);
    if (strstr(level->evidence, evidence) == NULL) /* every hierarchy of cgroups says the same */
        ferry_prove(level, "%s", evidence);
    return level;
}

/* ---- Files ---- */

static void see_wsl(struct ferry_search *search)
{
    char release[64];
    struct ferry_level *level;
    bool second;

    ferry_peek_line(search->scene->root, "/proc/sys/kernel/osrelease", release, sizeof(release));
    second = strstr(release, "WSL2") != NULL || strstr(release, "microsoft-standard") != NULL;
    if (!second && strstr(release, "-Microsoft") == NULL)
        return;
    level = ferry_see(search, FERRY_WSL, FERRY_STRONG, "", "the kernel is %s", release);
    if (level != NULL)
        strcpy(level->version, second ? "2" : "1");
}

/* Lines such as engine="podman-4.3.1" and id="...". Privileged containers have them only. */
static bool read_containerenv(char *line, void *arg)
{
    struct ferry_level *level = arg;
    char *value = strstr(line, "=\"");

    if (value == NULL)
        return true;
    *value = '\0';
    value += 2;
    value[strcspn(value, "\"")] = '\0';
    if (strcmp(line, "engine") == 0 && strncmp(value, "podman-", 7) == 0)
        ferry_set_text(level->version, sizeof(level->version), value + 7);
    if (strcmp(line, "id") == 0 && level->id[0] == '\0')
        ferry_hex_id(value, level->id);
    return true;
}

/* See the Container Interface of systemd: /run/host is the engine's, /run/systemd/container an init's. */
static void see_named_files(struct ferry_search *search)
{
    static const char *const files[] = {"/run/host/container-manager", "/run/systemd/container"};
    const char *root = search->scene->root;
    char word[32];

    for (int i = 0; i < 2; i++) {
        ferry_peek_line(root, files[i], word, sizeof(word));
        if (engine_of(word) != FERRY_ENGINE_NONE)
            ferry_see(search, engine_of(word), FERRY_STRONG, "", "%s says \"%s\"", files[i], word);
    }
    if (ferry_peek_exists(root, "/dev/lxd/sock"))
        ferry_see(search, FERRY_LXD, FERRY_STRONG, "", "/dev/lxd/sock exists");
    if (ferry_peek_exists(root, "/dev/incus/sock"))
        ferry_see(search, FERRY_INCUS, FERRY_STRONG, "", "/dev/incus/sock exists");
    if (ferry_peek_exists(root, "/var/shifterConfig.json"))
        ferry_see(search, FERRY_SHIFTER, FERRY_STRONG, "", "/var/shifterConfig.json exists");
    if (ferry_peek_exists(root, "/run/secrets/kubernetes.io/serviceaccount"))
        ferry_see(search, FERRY_POD, FERRY_STRONG, "",
                  "/run/secrets/kubernetes.io/serviceaccount exists");
}

/* Files that may have come with an image. */
static void see_left_files(struct ferry_search *search, const struct ferry_mounts *mounts)
{
    const char *root = search->scene->root;
    struct ferry_level *level;

    if (ferry_peek_exists(root, "/run/.containerenv")) {
        level = ferry_see(search, FERRY_PODMAN, FERRY_WEAK, "", "/run/.containerenv exists");
        if (level != NULL)
            ferry_peek_pieces(root, "/run/.containerenv", '\n', read_containerenv, level);
    }
    if (ferry_peek_exists(root, "/.singularity.d"))
        ferry_see(search, FERRY_SINGULARITY, FERRY_WEAK, "", "/.singularity.d exists");
    /* Docker mounts all three, whichever network it is told to give; others mount one or two. */
    if (ferry_peek_exists(root, "/.dockerenv") &&
        (!mounts->found || (mounts->etc[0] && mounts->etc[1] && mounts->etc[2])))
        ferry_see(search, FERRY_DOCKER, FERRY_WEAK, "", "/.dockerenv exists");
}

/* ---- The environment ---- */

static const char *value_of(const struct ferry_search *search, const char *name)
{
    size_t length = strlen(name);

    for (char *const *at = search->scene->environment; at != NULL && *at != NULL; at++)
        if (strncmp(*at, name, length) == 0 && (*at)[length] == '=')
            return *at + length + 1;
    return NULL;
}

static void see_environment(struct ferry_search *search)
{
    static const struct {
        const char *name, *id;
        enum ferry_engine engine;
    } variables[] = {
        {"KUBERNETES_SERVICE_HOST", NULL, FERRY_POD},
        {"APPTAINER_CONTAINER", "APPTAINER_NAME", FERRY_APPTAINER},
        {"SINGULARITY_CONTAINER", "SINGULARITY_NAME", FERRY_SINGULARITY},
        {"CH_RUNNING", NULL, FERRY_CHARLIECLOUD},
        {"SHIFTER_RUNTIME", NULL, FERRY_SHIFTER},
        {"SHIFTER_IMAGEREQUEST", NULL, FERRY_SHIFTER},
    };

    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        const char *id = variables[i].id != NULL ? value_of(search, variables[i].id) : NULL;
        char cut[80];

        if (value_of(search, variables[i].name) == NULL)
            continue;
        ferry_set_text(cut, sizeof(cut), id != NULL ? id : "");
        ferry_see(search, variables[i].engine, FERRY_STRONG, cut, "%s is set", variables[i].name);
    }
}

/* Images set this variable too. */
static void see_own_variable(struct ferry_search *search)
{
    const char *word = value_of(search, "container");
    enum ferry_engine engine = engine_of(word != NULL ? word : "");

    if (engine != FERRY_ENGINE_NONE)
        ferry_see(search, engine, FERRY_WEAK, "", "container=%s is set", word);
}

static bool read_variable(char *variable, void *arg)
{
    struct ferry_search *search = arg;
    enum ferry_engine engine;

    if (strncmp(variable, "container=", 10) != 0)
        return true;
    engine = engine_of(variable + 10);
    if (engine != FERRY_ENGINE_NONE)
        ferry_see(search, engine, FERRY_WEAK, "", "process 1 was started with %s", variable);
    return false;
}

/* ---- Namespaces ---- */

static bool is_own(const struct ferry_search *search, enum ferry_namespace which)
{
    return search->out->namespaces.state[which] == FERRY_NS_OWN;
}

/* Whether it can be that this is a container. Services have a mount namespace of their own, too. */
static bool can_be_inside(const struct ferry_search *search, const struct ferry_mounts *mounts)
{
    bool known = false, own = false;

    for (int i = 0; i < FERRY_NS_COUNT; i++) {
        known |= search->out->namespaces.state[i] != FERRY_NS_UNKNOWN;
        own |= is_own(search, i);
    }
    return own || !known || mounts->apart;
}

static void see_namespaces(struct ferry_search *search)
{
    char list[64] = "";
    unsigned known = 0, own = 0;
    struct ferry_level *level;

    for (int i = 0; i < FERRY_NS_COUNT; i++) {
        known += search->out->namespaces.state[i] != FERRY_NS_UNKNOWN;
        if (!is_own(search, i))
            continue;
        own += i != FERRY_NS_MNT && i != FERRY_NS_TIME;
        snprintf(list + strlen(list), sizeof(list) - strlen(list), " %s", ferry_namespace_name(i));
    }
    if (known == 0) {
        level = ferry_level_insert(search->out, search->out->count, FERRY_LEVEL_UNKNOWN,
                                   "container");
        if (level != NULL)
            ferry_prove(level, "/proc/self/ns can't be read and there is no sign of an engine: "
                               "whether this is a container can't be known");
    } else if (own > 0) {
        level = ferry_level_insert(search->out, search->out->count, FERRY_LEVEL_CONTAINER, "");
        if (level != NULL)
            ferry_prove(level, "it has namespaces of its own (%s ) and no sign of an engine", list);
    }
}

static void note_left_files(struct ferry_search *search)
{
    static const struct {
        const char *path;
        enum ferry_engine engine;
    } files[] = {{"/.dockerenv", FERRY_DOCKER},
                 {"/run/.containerenv", FERRY_PODMAN},
                 {"/.singularity.d", FERRY_SINGULARITY}};
    struct ferry_placement *out = search->out;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (!knows(search, files[i].engine) && !knows(search, FERRY_CRIO) &&
            ferry_peek_exists(search->scene->root, files[i].path))
            ferry_say(out->note, sizeof(out->note),
                      "%s exists, but nothing else shows %s: it came with the files of this system",
                      files[i].path, engines[files[i].engine].name);
}

/* ---- All together ---- */

void ferry_placement_containers(const struct ferry_scene *scene, struct ferry_placement *out)
{
    struct ferry_search search = {.scene = scene, .out = out, .first = out->count};
    struct ferry_mounts mounts;

    ferry_mounts_read(scene->root, &mounts);
    see_wsl(&search);
    if (can_be_inside(&search, &mounts)) {
        ferry_cgroup_tell(&search);
        ferry_mounts_tell(&mounts, FERRY_STRONG, &search);
        see_environment(&search);
        see_named_files(&search);
        if (is_own(&search, FERRY_NS_PID))
            ferry_peek_pieces(scene->root, "/proc/1/environ", '\0', read_variable, &search);
        ferry_mounts_tell(&mounts, FERRY_WEAK, &search);
        see_own_variable(&search);
        see_left_files(&search, &mounts);
    }
    if (out->count == search.first)
        see_namespaces(&search);
    note_left_files(&search);
}
