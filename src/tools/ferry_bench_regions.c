/*
 * The registration cache beside UCX's (ucs_rcache), in turn, with an adapter that does nothing:
 *
 *   ferry_bench_regions [ROUNDS]
 *
 * Regions are of 4 KiB, 8 KiB apart. Shown are the medians over the rounds of nanoseconds for one get and put, and of
 * the ratios within a round.
 */
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <ucm/api/ucm.h>
#include <ucs/memory/rcache.h>

#include "clock.h"
#include "regions.h"

#define PAGE 4096u
#define APART (2 * PAGE)
#define MOST 100000u
#define LOOKUPS 200000u
#define THREADS 4
#define PAIRS 20000 /* of mmap() and munmap() */
#define ROUNDS_MAX 101

enum side { OURS, THEIRS };

static char *memory;
static uint32_t order[LOOKUPS];
static struct ferry_regions *ours;
static ucs_rcache_t *theirs;

/* ---- Both caches ---- */

static int enter(void *context, void *address, size_t length, void **handle)
{
    *handle = NULL;
    return 0;
}

static void leave(void *context, void *handle)
{
}

static ucs_status_t their_enter(void *context, ucs_rcache_t *cache, void *arg,
                                ucs_rcache_region_t *region, uint16_t flags)
{
    return UCS_OK;
}

static void their_leave(void *context, ucs_rcache_t *cache, ucs_rcache_region_t *region)
{
}

static void their_words(void *context, ucs_rcache_t *cache, ucs_rcache_region_t *region,
                        char *words, size_t room)
{
    words[0] = 0;
}

static void give_up(const char *why)
{
    fprintf(stderr, "ferry_bench_regions: %s\n", why);
    exit(1);
}

static void open_ours(void)
{
    const struct ferry_regions_adapter adapter = {enter, leave, NULL};
    const struct ferry_regions_options options = {.count = 2 * MOST};

    if (ferry_regions_open(&adapter, &options, &ours))
        give_up("the cache can't be opened");
    if (ferry_regions_off(ours))
        give_up(ferry_regions_off(ours));
}

static void open_theirs(void)
{
    static ucs_rcache_ops_t ops = {their_enter, their_leave, their_words};
    ucs_rcache_params_t params = {.region_struct_size = sizeof(ucs_rcache_region_t),
                                  .alignment = UCS_RCACHE_MIN_ALIGNMENT,
                                  .max_alignment = PAGE,
                                  .ucm_events = UCM_EVENT_VM_UNMAPPED,
                                  .ucm_event_priority = 1000,
                                  .ops = &ops,
                                  .flags = UCS_RCACHE_FLAG_NO_PFN_CHECK,
                                  .max_regions = ULONG_MAX,
                                  .max_size = SIZE_MAX,
                                  .max_unreleased = SIZE_MAX};

    if (ucs_rcache_create(&params, "bench", NULL, &theirs) != UCS_OK)
        give_up("UCX's cache can't be made");
}

static inline void look_up(enum side side, char *address)
{
    if (side == OURS) {
        const struct ferry_region *region;

        if (ferry_regions_get(ours, address, PAGE, &region))
            give_up("get failed");
        ferry_regions_put(region);
    } else {
        ucs_rcache_region_t *region;

        if (ucs_rcache_get(theirs, address, PAGE, PROT_READ | PROT_WRITE, NULL, &region) != UCS_OK)
            give_up("UCX's get failed");
        ucs_rcache_region_put(theirs, region);
    }
}

/* ---- Measuring ---- */

static double thread_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

/* The thread's processor time, so that others' work doesn't count. */
static double hits(enum side side, uint32_t regions)
{
    double start = thread_ns();

    for (uint32_t i = 0; i < LOOKUPS; i++)
        look_up(side, memory + (size_t) (order[i] % regions) * APART);
    return (thread_ns() - start) / LOOKUPS;
}

static double same(enum side side)
{
    double start = thread_ns();

    for (uint32_t i = 0; i < LOOKUPS; i++)
        look_up(side, memory);
    return (thread_ns() - start) / LOOKUPS;
}

/* New regions, which are dropped afterwards. */
static double misses(enum side side)
{
    enum { COUNT = 20000 };
    double start = thread_ns();
    char *first = memory + (size_t) MOST * APART;

    for (size_t i = 0; i < COUNT; i++)
        look_up(side, first + i * APART);
    start = thread_ns() - start;
    ucm_vm_munmap(first, (size_t) COUNT * APART);
    ferry_regions_unmapped();
    ferry_regions_reap(ours);
    return start / COUNT;
}

struct part {
    pthread_t thread;
    enum side side;
    uint32_t regions;
    double ns;
};

static void *take_part(void *arg)
{
    struct part *part = arg;

    part->ns = hits(part->side, part->regions);
    return NULL;
}

static double threads(enum side side, uint32_t regions)
{
    struct part parts[THREADS];
    double sum = 0;

    for (int i = 0; i < THREADS; i++) {
        parts[i] = (struct part){.side = side, .regions = regions};
        if (pthread_create(&parts[i].thread, NULL, take_part, &parts[i]))
            give_up("no thread");
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(parts[i].thread, NULL);
        sum += parts[i].ns;
    }
    return sum / THREADS;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(const double *values, int count)
{
    double sorted[ROUNDS_MAX];

    memcpy(sorted, values, (size_t) count * sizeof(values[0]));
    qsort(sorted, (size_t) count, sizeof(sorted[0]), compare);
    return sorted[count / 2];
}

/* ---- What unmapping costs, in children, as hooks can't be taken away ---- */

static void on_event(ucm_event_type_t type, ucm_event_t *event, void *arg)
{
}

static double unmap_pairs(void)
{
    double start = thread_ns();

    for (int i = 0; i < PAIRS; i++) {
        void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        munmap(page, PAGE);
    }
    return (thread_ns() - start) / PAIRS;
}

static double unmap_in_child(enum side side)
{
    double ns = 0;
    int ends[2], status;
    pid_t child;

    if (pipe(ends))
        give_up("no pipe");
    child = fork();
    if (child == 0) {
        if (side == OURS) {
            open_ours();
            for (size_t i = 0; i < 1000; i++)
                look_up(OURS, memory + i * APART);
        } else if (ucm_set_event_handler(UCM_EVENT_VM_UNMAPPED, 0, on_event, NULL) != UCS_OK) {
            _exit(1);
        }
        ns = unmap_pairs();
        _exit(write(ends[1], &ns, sizeof(ns)) == sizeof(ns) ? 0 : 1);
    }
    if (read(ends[0], &ns, sizeof(ns)) != sizeof(ns) || waitpid(child, &status, 0) != child ||
        status)
        give_up("a child failed");
    close(ends[0]);
    close(ends[1]);
    return ns;
}

static void bench_unmap(int rounds)
{
    double with[ROUNDS_MAX], without[ROUNDS_MAX], more[ROUNDS_MAX];

    for (int i = 0; i < rounds; i++) {
        without[i] = unmap_in_child(THEIRS);
        with[i] = unmap_in_child(OURS);
        more[i] = with[i] - without[i];
    }
    printf("mmap and munmap, nothing registered there: libucm alone %.0f ns, with the cache (1000 "
           "regions) %.0f ns, "
           "%.0f ns more\n",
           median(without, rounds), median(with, rounds), median(more, rounds));
}

/* ---- All ---- */

enum { HITS, SAME, MISSES, THREADED };

static double measure(int what, enum side side, uint32_t regions)
{
    switch (what) {
    case HITS:
        return hits(side, regions);
    case SAME:
        return same(side);
    case MISSES:
        return misses(side);
    default:
        return threads(side, regions);
    }
}

static void bench(const char *name, int what, uint32_t regions, int rounds)
{
    double results[2][ROUNDS_MAX], ratios[ROUNDS_MAX], alone[ROUNDS_MAX];

    for (uint32_t i = 0; i < regions; i++) {
        look_up(OURS, memory + (size_t) i * APART);
        look_up(THEIRS, memory + (size_t) i * APART);
    }
    for (int i = 0; i < rounds; i++) {
        results[THEIRS][i] = measure(what, THEIRS, regions);
        results[OURS][i] = measure(what, OURS, regions);
        ratios[i] = results[OURS][i] / results[THEIRS][i];
        if (what == THREADED)
            alone[i] = results[OURS][i] / hits(OURS, regions);
    }
    printf("%-28s %7u %10.1f %10.1f %8.2f", name, regions, median(results[OURS], rounds),
           median(results[THEIRS], rounds), median(ratios, rounds));
    if (what == THREADED)
        printf("   (%.2f times one thread)", median(alone, rounds));
    printf("\n");
}

int main(int argc, char **argv)
{
    static const uint32_t counts[] = {10, 1000, MOST};
    int rounds = argc > 1 ? atoi(argv[1]) : 11;
    uint64_t seed = 88172645463325252u;

    if (rounds < 1 || rounds > ROUNDS_MAX)
        give_up("from 1 to 101 rounds");
    memory = mmap(NULL, 2 * (size_t) MOST * APART, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        give_up("no memory");
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        /* xorshift64 (Marsaglia 2003) */
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        order[i] = (uint32_t) (seed >> 20);
    }
    bench_unmap(rounds);
    open_theirs();
    open_ours();
    printf("%-28s %7s %10s %10s %8s\n", "ns for a get and put", "regions", "ferry", "ucs_rcache",
           "ratio");
    for (int i = 0; i < 3; i++)
        bench("hits at random", HITS, counts[i], rounds);
    bench("the same again", SAME, MOST, rounds);
    bench("misses (registering: 0 ns)", MISSES, MOST, rounds);
    for (int i = 0; i < 3; i++)
        bench("4 threads at random, each", THREADED, counts[i], rounds);
    return 0;
}
