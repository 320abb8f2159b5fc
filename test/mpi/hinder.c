/*
 * Not a program of MPI: a user who wants to keep jobs of others from meeting. hinder DIRECTORY... goes to each unix socket
 * of Ferry's that it can see, in the directories and their folders and among the abstract ones, connects and says
 * nothing; locks each directory and file that it may open; until it is ended.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* So many connections are held at the same time. */
enum { HELD = 900 };

static int held[HELD];
static unsigned count;

static void hold(int fd)
{
    if (held[count % HELD] > 0)
        close(held[count % HELD]);
    held[count++ % HELD] = fd;
}

static void connect_to(const char *name, int is_abstract)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
    socklen_t length = sizeof(address);

    snprintf(address.sun_path + is_abstract, sizeof(address.sun_path) - 1, "%s", name);
    if (is_abstract)
        length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
    if (connect(fd, (struct sockaddr *) &address, length) == 0)
        hold(fd);
    else
        close(fd);
}

static void look_in(const char *folder, int depth)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char path[4096];
    struct stat info;
    int fd;

    if (!dir)
        return;
    flock(dirfd(dir), LOCK_EX | LOCK_NB);
    while ((entry = readdir(dir))) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        if (strncmp(entry->d_name, "ferry", 5) != 0 || lstat(path, &info) != 0)
            continue;
        if (S_ISDIR(info.st_mode) && depth < 2)
            look_in(path, depth + 1);
        else if (S_ISSOCK(info.st_mode))
            connect_to(path, 0);
        else if (S_ISREG(info.st_mode) && (fd = open(path, O_RDWR)) >= 0) {
            flock(fd, LOCK_EX | LOCK_NB);
            hold(fd);
        }
    }
    closedir(dir);
}

static void look_among_the_abstract(void)
{
    FILE *file = fopen("/proc/net/unix", "r");
    char line[512];

    while (file && fgets(line, sizeof(line), file)) {
        char *name = strstr(line, " @ferry");

        line[strcspn(line, "\n")] = 0;
        if (name)
            connect_to(name + 2, 1);
    }
    if (file)
        fclose(file);
}

int main(int argc, char **argv)
{
    unsigned said = 0;

    for (;;) {
        for (int i = 1; i < argc; i++)
            look_in(argv[i], 0);
        look_among_the_abstract();
        if (count >= 2 * said + 1) {
            printf("%u connections and locks\n", count);
            fflush(stdout);
            said = count;
        }
        usleep(500);
    }
}
