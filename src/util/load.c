#include "load.h"

#include "peek.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static int file = -1;

static void open_file(void)
{
    file = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
}

/* See proc_loadavg(5): three averages, then runnable/existing. */
int ferry_runnable(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char text[128];
    ssize_t length;
    int count;

    pthread_once(&once, open_file);
    length = file < 0 ? -1 : pread(file, text, sizeof(text) - 1, 0);
    if (length < 0)
        return -ENOENT;
    text[length] = '\0';
    return sscanf(text, "%*s %*s %*s %d/", &count) == 1 && count > 0 ? count : -EINVAL;
}

/* How long it is believed that processors are free, or not, before the kernel is asked again. */
#define FREE_NS 50000u
#define TAKEN_NS 1000000u

bool ferry_processors_free(struct ferry_load *load, uint32_t processors, uint64_t now_ns)
{
    int runnable;

    if (now_ns < load->free_until_ns || now_ns < load->taken_until_ns)
        return now_ns < load->free_until_ns;
    runnable = ferry_runnable();
    if (runnable > 0 && (uint32_t) runnable <= processors)
        load->free_until_ns = now_ns + FREE_NS;
    else
        load->taken_until_ns = now_ns + TAKEN_NS;
    return now_ns < load->free_until_ns;
}

/* See proc_stat(5): user nice system idle iowait irq softirq steal; what follows is part of user and nice. */
bool ferry_steal_time(const char *root, uint64_t *stolen, uint64_t *all)
{
    enum { FIELDS = 8 };
    char path[PATH_MAX];
    uint64_t ticks;
    FILE *stat;
    int read = 0;

    snprintf(path, sizeof(path), "%s/proc/stat", root);
    stat = ferry_peek_file(path);
    if (!stat)
        return false;
    *stolen = *all = 0;
    if (fscanf(stat, "cpu") == 0)
        for (; read < FIELDS && fscanf(stat, "%" SCNu64, &ticks) == 1; read++) {
            *all += ticks;
            *stolen = ticks;
        }
    fclose(stat);
    return read == FIELDS;
}

uint64_t ferry_stolen_us(const char *root, uint64_t since_us)
{
    long per_second = sysconf(_SC_CLK_TCK);
    uint64_t stolen, all;

    if (per_second <= 0 || !ferry_steal_time(root, &stolen, &all))
        return 0;
    stolen = stolen * 1000000 / (uint64_t) per_second;
    return stolen > since_us ? stolen - since_us
                             : 0; /* it may go back in a machine that was moved */
}
