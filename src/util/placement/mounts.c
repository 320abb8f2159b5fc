/*
 * Signs of container engines in the mounts of this process: proc_pid_mountinfo(5).
 */
#include "engines.h"
#include "peek.h"

#include <stdio.h>
#include <string.h>

enum where { ANY, AT_ROOT, IN_ETC };
enum field {
    PART,
    OPTIONS
}; /* which part of the file system is mounted; the file system's options */
enum id { NO_ID, HEX, NAME }; /* behind the sign: 64 hexadecimal digits are needed; all up to "/" */

/* Where engines put their containers by default, without the begin of the path, which can be configured.
 * Engines mount files of their own at /etc/hosts, /etc/hostname and /etc/resolv.conf. */
static const struct sign {
    enum ferry_engine engine;
    enum ferry_strength strength;
    enum where where;
    enum field field;
    const char *text;
    enum id id;
} signs[FERRY_MOUNT_SIGNS] = {
    {FERRY_POD, FERRY_STRONG, ANY, PART, "/kubelet/pods/", NAME},
    {FERRY_DOCKER, FERRY_STRONG, IN_ETC, PART, "/containers/", HEX},
    {FERRY_PODMAN, FERRY_STRONG, IN_ETC, PART, "-containers/", HEX},
    {FERRY_LXC, FERRY_STRONG, ANY, PART, "/.lxc-boot-id", NO_ID},
    {FERRY_LXC, FERRY_STRONG, AT_ROOT, PART, "/lxc/", NAME},
    {FERRY_LXD, FERRY_STRONG, AT_ROOT, PART, "/lxd/", NO_ID},
    {FERRY_INCUS, FERRY_STRONG, AT_ROOT, PART, "/incus/", NO_ID},
    {FERRY_NSPAWN, FERRY_STRONG, AT_ROOT, PART, "/lib/machines/", NAME},
    {FERRY_CHARLIECLOUD, FERRY_STRONG, AT_ROOT, PART, ".ch/img/", NAME},
    {FERRY_ENROOT, FERRY_STRONG, AT_ROOT, PART, "/enroot/", NAME},
    {FERRY_ENROOT, FERRY_STRONG, AT_ROOT, OPTIONS, "/enroot/", NO_ID},
    {FERRY_SARUS, FERRY_STRONG, AT_ROOT, OPTIONS, "/OCIBundleDir/", NO_ID},
    {FERRY_APPTAINER, FERRY_STRONG, AT_ROOT, OPTIONS, "/apptainer/mnt/session", NO_ID},
    {FERRY_SINGULARITY, FERRY_STRONG, AT_ROOT, OPTIONS, "/singularity/mnt/session", NO_ID},
    {FERRY_DOCKER, FERRY_WEAK, AT_ROOT, OPTIONS, "/overlay2/", NO_ID},
    {FERRY_PODMAN, FERRY_WEAK, AT_ROOT, OPTIONS, "/storage/overlay/", NO_ID},
    {FERRY_CONTAINERD, FERRY_WEAK, AT_ROOT, OPTIONS, "/io.containerd.", NO_ID},
    {FERRY_CONTAINERD, FERRY_WEAK, IN_ETC, PART, "/io.containerd.", NO_ID},
};

bool ferry_hex_id(const char *text, char id[80])
{
    enum { DIGITS = 64 };

    if (strspn(text, "0123456789abcdef") != DIGITS)
        return false;
    memcpy(id, text, DIGITS);
    id[DIGITS] = '\0';
    return true;
}

static bool find_sign(const struct sign *sign, const char *text, char id[80])
{
    const char *at = strstr(text, sign->text);

    if (at == NULL)
        return false;
    at += strlen(sign->text);
    id[0] = '\0';
    if (sign->id == HEX)
        return ferry_hex_id(at, id);
    if (sign->id == NAME) {
        snprintf(id, 80, "%.*s", (int) strcspn(at, "/"), at);
        ferry_clean(id);
    }
    return true;
}

/* Which of the files it is that engines give to containers, each by a mount; -1: none. */
static int etc_file(const char *at)
{
    static const char *const files[FERRY_ETC_FILES] = {"/etc/hosts", "/etc/hostname",
                                                       "/etc/resolv.conf"};

    for (int i = 0; i < FERRY_ETC_FILES; i++)
        if (strcmp(at, files[i]) == 0)
            return i;
    return -1;
}

/* Disks of machines are mounted whole, or as a subvolume. */
static bool is_apart(const char *type, const char *part)
{
    return strcmp(type, "overlay") == 0 || strcmp(type, "squashfs") == 0 ||
           strncmp(type, "fuse", 4) == 0 || (strcmp(part, "/") != 0 && strcmp(type, "btrfs") != 0);
}

static bool read_line(char *line, void *arg)
{
    struct ferry_mounts *mounts = arg;
    char *fields[5], *rest = line, *behind = strstr(line, " - "), *type, *options;
    const char *part, *at;
    int etc;

    if (behind == NULL)
        return true;
    *behind = '\0';
    for (int i = 0; i < 5; i++)
        if ((fields[i] = strsep(&rest, " ")) == NULL)
            return true;
    part = fields[3];
    at = fields[4];
    behind += 3;
    type = strsep(&behind, " ");
    strsep(&behind, " "); /* the device */
    options = behind != NULL ? behind : "";

    etc = etc_file(at);
    if (etc >= 0)
        mounts->etc[etc] = true;
    /* The last one lies over the others. */
    if (strcmp(at, "/") == 0)
        mounts->apart = is_apart(type, part);
    for (int i = 0; i < FERRY_MOUNT_SIGNS; i++) {
        const struct sign *sign = &signs[i];
        bool here = sign->where == ANY || (sign->where == IN_ETC && etc >= 0) ||
                    (sign->where == AT_ROOT && strcmp(at, "/") == 0);

        if (!here || mounts->signs[i].seen ||
            !find_sign(sign, sign->field == PART ? part : options, mounts->signs[i].id))
            continue;
        mounts->signs[i].seen = true;
        ferry_set_text(mounts->signs[i].at, sizeof(mounts->signs[i].at), at);
    }
    return true;
}

void ferry_mounts_read(const char *root, struct ferry_mounts *mounts)
{
    memset(mounts, 0, sizeof(*mounts));
    mounts->found = ferry_peek_pieces(root, "/proc/self/mountinfo", '\n', read_line, mounts) == 0;
}

void ferry_mounts_tell(const struct ferry_mounts *mounts, enum ferry_strength strength,
                       struct ferry_search *search)
{
    for (int i = 0; i < FERRY_MOUNT_SIGNS; i++)
        if (mounts->signs[i].seen && signs[i].strength == strength)
            ferry_see(search, signs[i].engine, strength, mounts->signs[i].id,
                      "the mount of %s names \"%s\"", mounts->signs[i].at, signs[i].text);
}
