/*
 * Each figure is measured in every round, and what the machine can do beside it in the same round:
 * virtual machines drift, so only what was measured together may be compared. Told are the medians, and
 * the medians of the ratios of each round.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_setaffinity() */
#endif
#include "ferry_bench_common.h"
#include "load.h"

#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;
    return (x > y) - (x < y);
}

static double median(const double *values, int count)
{
    double sorted[count];
    memcpy(sorted, values, sizeof(sorted));
    qsort(sorted, (size_t) count, sizeof(double), compare);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* ---- Options ---- */

static const char usage[] =
    "measures messages between two processes, beside what two processors can do\n"
    "  -r, --rounds N          measure everything N times, in turn (7)\n"
    "  -l, --latency SIZES     half the time of a round trip, for these sizes (8,1K,64K,1M)\n"
    "  -b, --bandwidth SIZES   messages in windows of 64, bytes a second (64K,1M,4M)\n"
    "  -m, --rate SIZES        messages in windows of 64, messages a second (8)\n"
    "  -t, --time MS           how long one measurement takes (30)\n"
    "  -c, --cpus A,B          the processors; none: the kernel chooses (the first two)\n"
    "  -n, --name NAME         in the output, for whom this is measured\n"
    "      --pairs             between every two ranks, not only the first two (MPI)\n"
    "      --csv               values of all rounds as comma-separated lines:\n"
    "                          name,pair,round,test,bytes,value,unit,limit,stolen,spoiled\n"
    "SIZES are a list such as 8,1K,4M, or none. The limit is, below 4 KiB, the time in which one\n"
    "cache line goes from one processor to the other; above, one memcpy. Stolen is what the\n"
    "hypervisor took from the processors meanwhile, in ms: more than 1 % of the time spoils a "
    "figure.\n";

static void parse_sizes(bench_sizes_t *sizes, const char *text)
{
    sizes->count = 0;
    if (strcmp(text, "none") == 0)
        return;
    for (const char *at = text;; at++) {
        char *end;
        size_t bytes = strtoull(at, &end, 10);
        bool number = end > at;
        if (*end == 'K' || *end == 'M')
            bytes <<= *end++ == 'K' ? 10 : 20;
        if (!number || (*end != ',' && *end != '\0') || bytes > (size_t) 1 << 30 ||
            sizes->count == BENCH_SIZES_MAX) {
            fprintf(stderr, "ferry_bench: bad list of sizes: %s\n", text);
            exit(2);
        }
        sizes->bytes[sizes->count++] = bytes;
        at = end;
        if (*at == '\0')
            return;
    }
}

static double parse_number(const char *text, double least)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= least && number <= 1e6)) {
        fprintf(stderr, "ferry_bench: bad number: %s\n", text);
        exit(2);
    }
    return number;
}

/* The first two that this process may use; none (-1) where there is one only. */
static void first_two_cpus(int cpu[2])
{
    cpu_set_t set;
    int found = 0;
    cpu[0] = cpu[1] = -1;
    if (sched_getaffinity(0, sizeof(set), &set) != 0 || CPU_COUNT(&set) < 2)
        return;
    for (int i = 0; i < CPU_SETSIZE && found < 2; i++)
        if (CPU_ISSET(i, &set))
            cpu[found++] = i;
}

void bench_parse(bench_options_t *options, int argc, char **argv)
{
    static const struct option longs[] = {{"rounds", required_argument, NULL, 'r'},
                                          {"latency", required_argument, NULL, 'l'},
                                          {"bandwidth", required_argument, NULL, 'b'},
                                          {"rate", required_argument, NULL, 'm'},
                                          {"time", required_argument, NULL, 't'},
                                          {"cpus", required_argument, NULL, 'c'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"pairs", no_argument, NULL, 'p'},
                                          {"csv", no_argument, NULL, 'v'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    *options = (bench_options_t){.rounds = 7, .seconds = 0.03, .name = "ferry"};
    first_two_cpus(options->cpu);
    parse_sizes(&options->latency, "8,1K,64K,1M");
    parse_sizes(&options->bandwidth, "64K,1M,4M");
    parse_sizes(&options->rate, "8");
    for (int option; (option = getopt_long(argc, argv, "r:l:b:m:t:c:n:h", longs, NULL)) != -1;)
        switch (option) {
        case 'r':
            options->rounds = (int) parse_number(optarg, 1);
            break;
        case 'l':
            parse_sizes(&options->latency, optarg);
            break;
        case 'b':
            parse_sizes(&options->bandwidth, optarg);
            break;
        case 'm':
            parse_sizes(&options->rate, optarg);
            break;
        case 't':
            options->seconds = parse_number(optarg, 1) / 1000;
            break;
        case 'c':
            if (strcmp(optarg, "none") == 0)
                options->cpu[0] = options->cpu[1] = -1;
            else if (sscanf(optarg, "%d,%d", &options->cpu[0], &options->cpu[1]) != 2) {
                fprintf(stderr, "ferry_bench: bad processors: %s\n", optarg);
                exit(2);
            }
            break;
        case 'n':
            options->name = optarg;
            break;
        case 'p':
            options->pairs = true;
            break;
        case 'v':
            options->csv = true;
            break;
        case 'h':
            printf("%s [OPTION]...: %s", argv[0], usage);
            exit(0);
        default:
            fprintf(stderr, "%s [OPTION]...: %s", argv[0], usage);
            exit(2);
        }
}

size_t bench_longest(const bench_options_t *options)
{
    const bench_sizes_t *all[] = {&options->latency, &options->bandwidth, &options->rate};
    size_t longest = 64;
    for (int i = 0; i < 3; i++)
        for (int s = 0; s < all[i]->count; s++)
            if (all[i]->bytes[s] > longest)
                longest = all[i]->bytes[s];
    return longest;
}

void bench_pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        die("ferry_bench: can't use the processor (--cpus)");
}

/* ---- What the machine can do ---- */

enum { TRIPS = 1000, BATCHES = 15, MEASURING_US = 40000 };

/* Two cache lines, each written by one side only; far apart, since neighbours are fetched together. */
static struct lines {
    _Alignas(4096) _Atomic uint64_t ping;
    _Alignas(4096) _Atomic uint64_t pong;
} * lines;
static int start_pipe[2];

/* Answers every change of ping but the one to the highest number. */
static void answer(void)
{
    for (uint64_t seen = 0; seen != UINT64_MAX;) {
        uint64_t ping = atomic_load_explicit(&lines->ping, memory_order_acquire);
        if (ping == seen)
            continue;
        seen = ping;
        atomic_store_explicit(&lines->pong, seen, memory_order_release);
    }
}

void bench_limit_start(const bench_options_t *options)
{
    pid_t parent = getpid();
    lines = mmap(NULL, sizeof(*lines), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (lines == MAP_FAILED)
        die("ferry_bench: mmap");
    if (pipe(start_pipe) != 0)
        die("ferry_bench: pipe");
    pid_t child = fork();
    if (child < 0)
        die("ferry_bench: fork");
    if (child > 0) {
        close(start_pipe[0]);
        return;
    }
    /* Ends with its parent, and keeps nobody waiting for what it inherited. */
    char byte;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(0);
    close(start_pipe[1]);
    bench_pin(options->cpu[1]);
    while (read(start_pipe[0], &byte, 1) == 1) {
        answer();
        atomic_store(&lines->pong, 0);
    }
    _exit(0);
}

/* Seconds in which a cache line goes from one processor to the other. */
static double line_time(void)
{
    double times[BATCHES];
    uint64_t number = 0;
    atomic_store(&lines->ping, 0);
    if (write(start_pipe[1], "", 1) != 1)
        die("ferry_bench: pipe");
    for (int b = -2; b < BATCHES; b++) {
        double begin = now();
        for (int i = 0; i < TRIPS; i++) {
            atomic_store_explicit(&lines->ping, ++number, memory_order_release);
            while (atomic_load_explicit(&lines->pong, memory_order_acquire) != number)
                ;
        }
        if (b >= 0)
            times[b] = (now() - begin) / (2 * TRIPS);
    }
    atomic_store_explicit(&lines->ping, UINT64_MAX, memory_order_release);
    while (atomic_load(&lines->pong) != 0)
        usleep(100);
    return median(times, BATCHES);
}

/* Seconds of one memcpy. */
static double copy_time(size_t bytes)
{
    static char *from, *to;
    static size_t room;
    double times[BATCHES];
    if (room < bytes) {
        free(from);
        free(to);
        room = bytes;
        if (posix_memalign((void **) &from, 4096, room) ||
            posix_memalign((void **) &to, 4096, room))
            die("ferry_bench: malloc");
        memset(from, 1, room);
        memset(to, 2, room);
    }
    int count = (int) (2e7 / (double) (bytes + 1) / BATCHES) + 1;
    for (int b = -2; b < BATCHES; b++) {
        double begin = now();
        for (int i = 0; i < count; i++) {
            memcpy(to, from, bytes);
            __asm__ volatile("" ::"r"(to) : "memory");
        }
        if (b >= 0)
            times[b] = (now() - begin) / count;
    }
    return median(times, BATCHES);
}

/* ---- Measuring ---- */

static double timed(const bench_front_t *front, int what, size_t bytes, int count)
{
    bench_command_t command = {.what = what, .count = count, .bytes = bytes};
    front->command(front->self, &command, true);
    double begin = now();
    (what == BENCH_LATENCY ? front->latency : front->windows)(front->self, bytes, count, true);
    return (now() - begin) / count;
}

/* Seconds for one message: as many as fit the time are sent. */
static double measure(const bench_options_t *options, const bench_front_t *front, int what,
                      size_t bytes)
{
    /* In parts, so that what else happens on the machine spoils some of them and not the whole. */
    enum { PARTS = 9 };
    double part[PARTS], each = what == BENCH_LATENCY ? 2 : BENCH_WINDOW;
    int count = 1, parts = 0;
    double once = timed(front, what, bytes, count);
    while (once * count < options->seconds / PARTS / 2 && count < 1 << 24) {
        count *= 4;
        once = timed(front, what, bytes, count);
    }
    double left = options->seconds - once * count;
    count = (int) (options->seconds / PARTS / once) + 1;
    do {
        part[parts] = timed(front, what, bytes, count);
        left -= part[parts] * count;
    } while (++parts < PARTS && left > 0);
    return median(part, parts) / each;
}

/* The other process sleeps while this one and the helper have the processors. */
static double limit(const bench_front_t *front, size_t bytes)
{
    double begin = now(), time;
    bench_command_t command = {.what = BENCH_SLEEP, .count = MEASURING_US};
    front->command(front->self, &command, true);
    usleep(1000);
    time = bytes < 4096 ? line_time() : copy_time(bytes);
    double left = MEASURING_US - (now() - begin) * 1e6;
    if (left > 0)
        usleep((useconds_t) left);
    return time;
}

typedef struct row {
    const char *test, *unit;
    size_t bytes;
    double *value, *limit, *stolen, *spent; /* of each round; the latter two in us */
} row_t;

static void size_text(char *text, size_t room, size_t bytes)
{
    if (bytes >= 1 << 20 && bytes % (1 << 20) == 0)
        snprintf(text, room, "%zu MiB", bytes >> 20);
    else if (bytes >= 1 << 10 && bytes % (1 << 10) == 0)
        snprintf(text, room, "%zu KiB", bytes >> 10);
    else
        snprintf(text, room, "%zu B", bytes);
}

static void measure_row(const bench_options_t *options, const bench_front_t *front, row_t *row,
                        int round)
{
    bool latency = strcmp(row->test, "latency") == 0;
    bool rate = strcmp(row->test, "rate") == 0;
    uint64_t stolen_before = ferry_stolen_us("", 0);
    double begin = now();
    double before = rate ? 0 : limit(front, row->bytes);
    double time = measure(options, front, latency ? BENCH_LATENCY : BENCH_WINDOWS, row->bytes);
    double after = rate ? 0 : limit(front, row->bytes);
    double best = (before + after) / 2;
    row->spent[round] = (now() - begin) * 1e6;
    row->stolen[round] = (double) ferry_stolen_us("", stolen_before);
    if (latency) {
        row->value[round] = time * 1e6;
        row->limit[round] = best * 1e6;
    } else if (rate) {
        row->value[round] = 1e-6 / time;
    } else {
        row->value[round] = (double) row->bytes / time * 1e-9;
        row->limit[round] = row->bytes < 4096 ? 0 : (double) row->bytes / best * 1e-9;
    }
}

static bool is_spoiled(double stolen, double spent)
{
    return ferry_steal_spoils((uint64_t) stolen, (uint64_t) spent);
}

static void print_csv(const bench_options_t *options, const char *pair, const row_t *row, int rows)
{
    for (int round = 0; round < options->rounds; round++)
        for (int i = 0; i < rows; i++)
            printf("%s,%s,%d,%s,%zu,%.4f,%s,%.4f,%.0f,%s\n", options->name, pair, round,
                   row[i].test, row[i].bytes, row[i].value[round], row[i].unit, row[i].limit[round],
                   row[i].stolen[round] / 1000,
                   is_spoiled(row[i].stolen[round], row[i].spent[round]) ? "yes" : "no");
}

static void print_table(const bench_options_t *options, const char *pair, const row_t *row,
                        int rows)
{
    printf("%s, %s, medians of %d rounds\n", options->name, pair, options->rounds);
    printf("%-10s %9s %12s %-5s %10s  %-26s %s\n", "", "size", "measured", "", "limit", "compared",
           "stolen");
    for (int i = 0; i < rows; i++) {
        char size[32], compared[64] = "";
        double ratio[options->rounds], above[options->rounds], stolen = 0, spent = 0;
        for (int r = 0; r < options->rounds; r++) {
            ratio[r] = row[i].value[r] / row[i].limit[r];
            above[r] = 1000 * (row[i].value[r] - row[i].limit[r]);
            stolen += row[i].stolen[r];
            spent += row[i].spent[r];
        }
        double best = median(row[i].limit, options->rounds);
        if (best > 0 && row[i].bytes < 4096)
            snprintf(compared, sizeof(compared), "%.0f ns above the line",
                     median(above, options->rounds));
        else if (best > 0)
            snprintf(compared, sizeof(compared), "%.2f of a memcpy's",
                     median(ratio, options->rounds));
        size_text(size, sizeof(size), row[i].bytes);
        printf("%-10s %9s %12.3f %-5s", row[i].test, size, median(row[i].value, options->rounds),
               row[i].unit);
        if (best > 0)
            printf(" %10.3f  %-26s ", best, compared);
        else
            printf("%40s", "");
        printf("%.0f ms%s\n", stolen / 1000, is_spoiled(stolen, spent) ? ": SPOILED" : "");
    }
}

void bench_lead(const bench_options_t *options, const bench_front_t *front, const char *pair)
{
    static const char *const tests[] = {"latency", "bandwidth", "rate"}, *const units[] = {
                                                                             "us", "GB/s", "M/s"};
    const bench_sizes_t *sizes[] = {&options->latency, &options->bandwidth, &options->rate};
    row_t row[3 * BENCH_SIZES_MAX];
    double *values = calloc((size_t) (12 * BENCH_SIZES_MAX * options->rounds), sizeof(double)),
           *at = values;
    int rows = 0;
    if (values == NULL)
        die("ferry_bench: malloc");
    for (int t = 0; t < 3; t++)
        for (int s = 0; s < sizes[t]->count; s++, at += 4 * options->rounds)
            row[rows++] = (row_t){.test = tests[t],
                                  .unit = units[t],
                                  .bytes = sizes[t]->bytes[s],
                                  .value = at,
                                  .limit = at + options->rounds,
                                  .stolen = at + 2 * options->rounds,
                                  .spent = at + 3 * options->rounds};
    bench_pin(options->cpu[0]);
    for (int i = 0; i < rows; i++) /* connects, and touches all memory */
        timed(front, strcmp(row[i].test, "latency") == 0 ? BENCH_LATENCY : BENCH_WINDOWS,
              row[i].bytes, 1);
    for (int round = 0; round < options->rounds; round++)
        for (int i = 0; i < rows; i++)
            measure_row(options, front, &row[i], round);
    bench_command_t end = {.what = BENCH_END};
    front->command(front->self, &end, true);
    (options->csv ? print_csv : print_table)(options, pair, row, rows);
    fflush(stdout);
    free(values);
}

void bench_follow(const bench_front_t *front)
{
    for (;;) {
        bench_command_t command;
        front->command(front->self, &command, false);
        switch (command.what) {
        case BENCH_END:
            return;
        case BENCH_SLEEP:
            usleep((useconds_t) command.count);
            break;
        case BENCH_LATENCY:
            front->latency(front->self, command.bytes, command.count, false);
            break;
        case BENCH_WINDOWS:
            front->windows(front->self, command.bytes, command.count, false);
            break;
        }
    }
}
