/*
 * Where a process runs and what it may do, for people, in the order in which they ask.
 */
#include "ferry_info.h"

#include <inttypes.h>
#include <string.h>

#define LABEL "  %-18s"

/* ---- Where ---- */

static void put_placement(const struct ferry_placement *placement, FILE *out)
{
    char text[512];

    fprintf(out, "Where (from the outside in)\n");
    for (unsigned i = 0; i < placement->count; i++) {
        ferry_level_text(&placement->levels[i], text, sizeof(text));
        fprintf(out, "  %s\n      %s\n", text, placement->levels[i].evidence);
    }
    if (placement->note[0] != '\0')
        fprintf(out, "  note: %s\n", placement->note);
}

static void put_namespaces(const struct ferry_namespaces *namespaces, FILE *out)
{
    static const char *const labels[] = {"not known:", "the machine's:", "of its own:"};

    fprintf(out, "\nNamespaces\n");
    for (int state = FERRY_NS_OWN; state >= FERRY_NS_UNKNOWN; state--) {
        bool any = false;

        for (int i = 0; i < FERRY_NS_COUNT; i++) {
            if ((int) namespaces->state[i] != state)
                continue;
            if (!any)
                fprintf(out, LABEL, labels[state]);
            fprintf(out, "%s%s", any ? " " : "", ferry_namespace_name(i));
            any = true;
        }
        if (any)
            putc('\n', out);
    }
}

/* ---- Limits ---- */

static void put_size(uint64_t bytes, FILE *out)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double size = (double) bytes;
    int unit = 0;

    if (bytes == UINT64_MAX) {
        fputs("no limit", out);
        return;
    }
    for (; size >= 1024 && unit < 6; unit++)
        size /= 1024;
    fprintf(out, "%.*f %s", size < 10 && unit > 0 ? 1 : 0, size, units[unit]);
}

static void put_processors(const struct ferry_limits *limits, FILE *out)
{
    fprintf(out, LABEL, "processors");
    if (limits->processors > 0)
        fprintf(out, "%u", limits->processors);
    else
        fputs("not known", out);
    if (limits->online > limits->processors)
        fprintf(out, " of %u", limits->online);
    if (limits->quota_milli > 0)
        fprintf(out, ", but a cgroup gives the time of %u.%03u", limits->quota_milli / 1000,
                limits->quota_milli % 1000);
    putc('\n', out);
    if (limits->steal_known)
        fprintf(out, LABEL "%u.%u %% of the time since the start\n", "stolen by others",
                limits->steal_permille / 10, limits->steal_permille % 10);
}

static void put_shm(const struct ferry_limits *limits, FILE *out)
{
    fprintf(out, LABEL, "/dev/shm");
    if (limits->shm == FERRY_SHM_ABSENT) {
        fputs("absent\n", out);
    } else if (limits->shm == FERRY_SHM_OTHER) {
        fputs("there, but not in memory\n", out);
    } else {
        put_size(limits->shm_size, out);
        fputs(", free: ", out);
        put_size(limits->shm_free, out);
        putc('\n', out);
    }
}

static void put_pages(const struct ferry_limits *limits, FILE *out)
{
    fprintf(out, LABEL, "huge pages");
    if (limits->huge_size == 0) {
        fputs("none", out);
    } else {
        fprintf(out, "%" PRIu64 " of ", limits->huge_pages);
        put_size(limits->huge_size, out);
        fprintf(out, ", free: %" PRIu64, limits->huge_free);
    }
    if (limits->thp[0] != '\0')
        fprintf(out, "; transparent: %s", limits->thp);
    if (limits->thp_shmem[0] != '\0')
        fprintf(out, ", of shared memory: %s", limits->thp_shmem);
    putc('\n', out);
}

static void put_limits(const struct ferry_limits *limits, FILE *out)
{
    static const char *const scopes[] = {"any process of the user", "the own children only",
                                         "administrators only", "nobody"};

    fprintf(out, "\nLimits\n");
    put_processors(limits, out);
    fprintf(out, LABEL, "memory left");
    put_size(limits->headroom, out);
    fprintf(out, "\n" LABEL, "locked memory");
    put_size(limits->memlock, out);
    if (limits->memlock_hard != limits->memlock) {
        fputs(", can be raised to ", out);
        put_size(limits->memlock_hard, out);
    }
    putc('\n', out);
    if (limits->file_size != UINT64_MAX) {
        fprintf(out, LABEL, "length of a file");
        put_size(limits->file_size, out);
        putc('\n', out);
    }
    put_shm(limits, out);
    put_pages(limits, out);
    if (limits->ptrace_scope >= 0)
        fprintf(out, LABEL "%d: %s\n", "Yama lets attach", limits->ptrace_scope,
                scopes[limits->ptrace_scope]);
}

static void put_calls(FILE *out)
{
    struct ferry_call calls[FERRY_CALLS];

    fprintf(out, "\nSystem calls, tried\n");
    fflush(out);
    ferry_limits_try(calls);
    for (int i = 0; i < FERRY_CALLS; i++)
        fprintf(out, LABEL "%-22s (%s)\n", calls[i].name,
                calls[i].error == 0 ? "allowed" : strerrordesc_np(calls[i].error), calls[i].use);
}

void ferry_info_text(const struct ferry_info *info, FILE *out)
{
    put_placement(&info->placement, out);
    put_namespaces(&info->placement.namespaces, out);
    put_limits(&info->limits, out);
    put_calls(out);
}
