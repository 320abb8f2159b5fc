#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "list.h"
#include "log.h"

#define NAME_PREFIX "ferry-"
#define FOLDER_PREFIX "ferry-uid-"

/* ---- Names ---- */

void ferry_place_name(const uint8_t key[16], const char *purpose, const void *data, size_t length,
                      char name[FERRY_NAME_SIZE])
{
    uint8_t proof[FERRY_PROOF_SIZE];

    ferry_prove(key, purpose, data, length, proof);
    strcpy(name, NAME_PREFIX);
    for (unsigned i = 0; i < sizeof(proof); i++)
        sprintf(name + strlen(NAME_PREFIX) + 2 * i, "%02x", proof[i]);
}

socklen_t ferry_place_address(const struct ferry_place *place, const char *name,
                              struct sockaddr_un *address)
{
    size_t room = sizeof(address->sun_path);
    char path[FERRY_PATH_MAX + FERRY_NAME_SIZE + 1];
    int length;

    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (place->abstract) {
        length = snprintf(address->sun_path + 1, room - 1, "%s", name) + 1;
        return (socklen_t) (offsetof(struct sockaddr_un, sun_path) + (size_t) length);
    }
    length = snprintf(path, sizeof(path), "%s/%s", place->path, name);
    /* A path too long for a socket's address has a short name as well. */
    if ((size_t) length >= room)
        snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", place->fd, name);
    memcpy(address->sun_path, path, strnlen(path, room - 1));
    return sizeof(*address);
}

void ferry_place_remove(struct ferry_place *place, const char *name)
{
    if (place->abstract)
        return;
    unlinkat(place->fd, name, 0);
    if (place->own_only)
        rmdir(place->path);
}

/* ---- What the dead left ---- */

/* A socket at which nobody listens, or a file that nobody has locked. */
static bool is_dead(const struct ferry_place *place, const char *name, const struct stat *info)
{
    struct sockaddr_un address;
    socklen_t length = ferry_place_address(place, name, &address);
    bool dead;
    int fd;

    if (S_ISREG(info->st_mode)) {
        fd = openat(place->fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            return false;
        dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
        close(fd);
        return dead;
    }
    if (!S_ISSOCK(info->st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    dead = connect(fd, (struct sockaddr *) &address, length) && errno == ECONNREFUSED;
    close(fd);
    return dead;
}

/* How long it waits for others that look for the dead, milliseconds: they take less than one. */
#define NAMING_MS 20

void ferry_place_naming(struct ferry_place *place, bool on)
{
    struct timespec pause = {.tv_nsec = 1000000};

    if (!on)
        flock(place->fd, LOCK_UN);
    else
        for (unsigned i = 0; flock(place->fd, LOCK_SH | LOCK_NB) && i < NAMING_MS; i++)
            nanosleep(&pause, NULL);
}

/* Whether a name is that of a socket at which its maker may be about to listen. folder stays locked if not. */
static bool is_nascent(const char *name, int folder)
{
    size_t length = strlen(name), end = strlen(FERRY_NASCENT);

    return length > end && !strcmp(name + length - end, FERRY_NASCENT) &&
           flock(folder, LOCK_EX | LOCK_NB);
}

static void sweep(const struct ferry_place *place)
{
    int fd = openat(place->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    struct stat info;

    if (!dir)
        return;
    while ((entry = readdir(dir))) {
        if (strncmp(entry->d_name, NAME_PREFIX, strlen(NAME_PREFIX)) ||
            strlen(entry->d_name) < FERRY_NAME_SIZE - 2 || is_nascent(entry->d_name, fd) ||
            fstatat(place->fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) ||
            info.st_uid != geteuid())
            continue;
        if (is_dead(place, entry->d_name, &info))
            unlinkat(place->fd, entry->d_name, 0);
    }
    closedir(dir);
}

/* ---- Opening ---- */

static int open_folder(struct ferry_place *place)
{
    struct stat info;

    place->fd = open(place->path,
                     O_RDONLY | O_DIRECTORY | O_CLOEXEC | (place->own_only ? O_NOFOLLOW : 0));
    if (place->fd < 0)
        return -errno;
    if (place->own_only && (fstat(place->fd, &info) || info.st_uid != geteuid() ||
                            (info.st_mode & (S_IRWXG | S_IRWXO)))) {
        close(place->fd);
        place->fd = -1;
        return -EACCES;
    }
    return 0;
}

/* Folders of this user in a directory. There may be several: a user has another number in another
 * user namespace, and two processes may each have made one at the same time. */
static unsigned find_folders(const char *directory, struct ferry_place *places, unsigned room)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    unsigned count = 0;

    if (!dir)
        return 0;
    while (count < room && (entry = readdir(dir))) {
        struct ferry_place *place = &places[count];

        if (strncmp(entry->d_name, FOLDER_PREFIX, strlen(FOLDER_PREFIX)))
            continue;
        *place = (struct ferry_place){.own_only = true, .fd = -1};
        if (snprintf(place->path, sizeof(place->path), "%s/%s", directory, entry->d_name) >=
            (int) sizeof(place->path))
            continue;
        snprintf(place->shown, sizeof(place->shown), "%s", directory);
        count += open_folder(place) == 0;
    }
    closedir(dir);
    return count;
}

/* How often a folder is made again that other jobs, which end, remove when they find it empty. */
#define TRIES 10

static unsigned add_own_folders(const char *directory, struct ferry_place *places, unsigned room)
{
    unsigned count = find_folders(directory, places, room);
    char path[FERRY_PATH_MAX], other[12] = "";
    uint32_t salt;

    for (unsigned i = 0; !count && room && i < TRIES; i++) {
        if (snprintf(path, sizeof(path), "%s/" FOLDER_PREFIX "%u%s", directory, geteuid(), other) >=
            (int) sizeof(path))
            return 0;
        if (mkdir(path, S_IRWXU) && errno != EEXIST) {
            ferry_log(FERRY_LOG_DEBUG, "no folder in %s: %s", directory, strerror(errno));
            return 0;
        }
        count = find_folders(directory, places, room);
        /* Another user may have taken the name, but can't take all. */
        ferry_random(&salt, sizeof(salt));
        snprintf(other, sizeof(other), "-%08x", salt);
    }
    return count;
}

static unsigned add_named(const char *directory, struct ferry_place *place, unsigned room)
{
    int error;

    if (!room)
        return 0;
    *place = (struct ferry_place){.fd = -1};
    if (snprintf(place->path, sizeof(place->path), "%s", directory) >= (int) sizeof(place->path))
        error = -ENAMETOOLONG;
    else
        error = open_folder(place);
    snprintf(place->shown, sizeof(place->shown), "%s", directory);
    if (error)
        ferry_log(FERRY_LOG_WARN, "FERRY_DIR names %s, which can't be used: %s", directory,
                  strerror(-error));
    return !error;
}

int ferry_place_reopen(struct ferry_place *place)
{
    if (place->abstract || !place->own_only)
        return -ENOENT;
    close(place->fd);
    place->fd = -1;
    mkdir(place->path, S_IRWXU);
    return open_folder(place);
}

unsigned ferry_places_open(struct ferry_place places[FERRY_PLACES_MAX])
{
    const struct ferry_config *config = ferry_config();
    bool named = getenv("FERRY_DIR") != NULL;
    const char *cursor = config->dir;
    char item[FERRY_PATH_MAX];
    unsigned count = 1;

    places[0] = (struct ferry_place){
        .abstract = true, .own_only = true, .fd = -1, .shown = "one network namespace"};
    while (ferry_list_next(&cursor, item, sizeof(item))) {
        const char *directory = item[0] == '$' ? getenv(item + 1) : item;

        if (!directory || directory[0] != '/')
            continue;
        if (named)
            count += add_named(directory, &places[count], FERRY_PLACES_MAX - count);
        else
            count += add_own_folders(directory, &places[count], FERRY_PLACES_MAX - count);
    }
    for (unsigned i = 1; i < count; i++)
        sweep(&places[i]);
    return count;
}

void ferry_places_close(struct ferry_place *places, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (places[i].fd >= 0)
            close(places[i].fd);
}
