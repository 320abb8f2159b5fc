#include "peek.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_MAX (256 * 1024)

/* Opening can do more than one wants: start a device, wait for somebody at the other end of a FIFO. So look
 * first; and what is put there between the look and the opening is at least not waited for. */
static int open_plain(const char *name)
{
    struct stat info;
    int fd;

    if (stat(name, &info) != 0)
        return -errno;
    if (!S_ISREG(info.st_mode))
        return -EINVAL;
    fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
        return fd;
    close(fd);
    return -EINVAL;
}

static int open_below(const char *root, const char *path)
{
    char name[PATH_MAX];

    if (snprintf(name, sizeof(name), "%s%s", root, path) >= (int) sizeof(name))
        return -ENAMETOOLONG;
    return open_plain(name);
}

FILE *ferry_peek_file(const char *name)
{
    int fd = open_plain(name);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (fd >= 0 && file == NULL)
        close(fd);
    return file;
}

ssize_t ferry_peek(const char *root, const char *path, char *text, size_t room)
{
    int fd = open_below(root, path);
    size_t length = 0;
    ssize_t n = 0;

    text[0] = '\0';
    if (fd < 0)
        return fd;
    while (length < room - 1 && (n = read(fd, text + length, room - 1 - length)) > 0)
        length += (size_t) n;
    n = n < 0 && length == 0 ? -errno : (ssize_t) length;
    text[length] = '\0';
    close(fd);
    return n;
}

void ferry_clean(char *text)
{
    size_t begin = strspn(text, " \t\r\n"), length = strlen(text + begin);

    memmove(text, text + begin, length + 1);
    while (length > 0 && strchr(" \t\r\n", text[length - 1]) != NULL)
        text[--length] = '\0';
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

ssize_t ferry_peek_line(const char *root, const char *path, char *line, size_t room)
{
    ssize_t result = ferry_peek(root, path, line, room);

    line[strcspn(line, "\n")] = '\0';
    ferry_clean(line);
    return result < 0 ? result : (ssize_t) strlen(line);
}

int ferry_peek_pieces(const char *root, const char *path, char end, ferry_piece_fn piece, void *arg)
{
    char chunk[4096], text[FERRY_PIECE_MAX + 1];
    size_t length = 0, all = 0;
    bool more = true;
    ssize_t n = 0;
    int fd = open_below(root, path);

    if (fd < 0)
        return fd;
    for (; more && all < READ_MAX && (n = read(fd, chunk, sizeof(chunk))) > 0; all += (size_t) n) {
        for (ssize_t i = 0; more && i < n; i++) {
            if (chunk[i] != end) {
                if (length < FERRY_PIECE_MAX)
                    text[length++] = chunk[i];
                continue;
            }
            text[length] = '\0';
            length = 0;
            more = piece(text, arg);
        }
    }
    n = n < 0 ? -errno : 0;
    close(fd);
    if (more && length > 0) {
        text[length] = '\0';
        piece(text, arg);
    }
    return (int) n;
}

bool ferry_peek_exists(const char *root, const char *path)
{
    char name[PATH_MAX];
    struct stat info;

    return snprintf(name, sizeof(name), "%s%s", root, path) < (int) sizeof(name) &&
           lstat(name, &info) == 0;
}
