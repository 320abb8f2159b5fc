/*
 * What it costs that a buffer has to be registered before an adapter can read it, for maint/bench-verbs: messages between
 * two ranks from buffers that are used again, and from buffers that were never used before. Any MPI.
 *
 *   ferry_bench_buffers_mpi TESTS COUNT
 *
 * TESTS is a list of
 *     latency     8 B to and fro
 *     bandwidth   1 MiB, in windows of 16, always from and into the same 16 buffers
 *     reused      16 KiB to 1 MiB to and fro, always the same two buffers of each rank
 *     fresh       the same, each message from and into memory that was written before but never sent from, nor
 *                 received into; none of it is given back
 * Prints "test,bytes,microseconds,registrations,register_us" for each test and size: the median of COUNT times that one
 * message took (half of a round trip, or its part of a window; of 8 B 20 times COUNT); how often both ranks together
 * registered memory meanwhile, and how long that took for each message, as test/guests/slow_register.c counts it; -1
 * without that.
 * What comes before the COUNT times is not counted: for each size, as many messages as let a cache know the buffer.
 */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { DATA = 1, ANSWER = 2, SHORT = 8, SHORTEST = 16 << 10, LONGEST = 1 << 20 };
enum { WINDOW = 16, KNOWN = 2, SHORT_TIMES = 20 };
/* Between two buffers, so that no page belongs to both. */
enum { GAP = 8192 };

__attribute__((weak)) void slow_register_count(uint64_t *count, uint64_t *spent_ns);

static int rank, count;
static double *times;
static char *arena, *arena_at;
static size_t arena_bytes;

static void die(const char *what)
{
    fprintf(stderr, "ferry_bench_buffers_mpi: %s\n", what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* ---- Buffers ---- */

/* Memory that is there, written to, and stays where it is. */
static void arena_begin(size_t bytes)
{
    arena = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (arena == MAP_FAILED)
        die("no memory");
    memset(arena, 1, bytes);
    arena_at = arena;
    arena_bytes = bytes;
}

static char *arena_take(size_t bytes)
{
    char *taken = arena_at;

    arena_at += bytes + GAP;
    if (arena_at > arena + arena_bytes)
        die("the arena is too small");
    return taken;
}

static size_t arena_need(int buffers)
{
    size_t bytes = 0;

    for (size_t size = SHORTEST; size <= LONGEST; size *= 2)
        bytes += (size_t) buffers * (size + GAP);
    return bytes;
}

/* ---- Messages ---- */

static void to_and_fro(char *out, char *in, int bytes)
{
    if (rank == 0) {
        MPI_Send(out, bytes, MPI_BYTE, 1, DATA, MPI_COMM_WORLD);
        MPI_Recv(in, bytes, MPI_BYTE, 1, DATA, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    } else {
        MPI_Recv(in, bytes, MPI_BYTE, 0, DATA, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        MPI_Send(out, bytes, MPI_BYTE, 0, DATA, MPI_COMM_WORLD);
    }
}

static void window(char *const *buffers)
{
    MPI_Request request[WINDOW];
    int answer = 0;

    for (int i = 0; i < WINDOW; i++)
        if (rank == 0)
            MPI_Isend(buffers[i], LONGEST, MPI_BYTE, 1, DATA, MPI_COMM_WORLD, &request[i]);
        else
            MPI_Irecv(buffers[i], LONGEST, MPI_BYTE, 0, DATA, MPI_COMM_WORLD, &request[i]);
    MPI_Waitall(WINDOW, request, MPI_STATUSES_IGNORE);
    if (rank == 0)
        MPI_Recv(&answer, 1, MPI_INT, 1, ANSWER, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    else
        MPI_Send(&answer, 1, MPI_INT, 0, ANSWER, MPI_COMM_WORLD);
}

/* ---- Figures ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return (x > y) - (x < y);
}

static void registrations(uint64_t counted[2])
{
    counted[0] = counted[1] = 0;
    if (slow_register_count != NULL)
        slow_register_count(&counted[0], &counted[1]);
}

/* before: what was counted when the first of so many times, in seconds, began. each: messages of each of these. */
static void print(const char *test, int bytes, int many, int each, const uint64_t before[2])
{
    uint64_t now[2], mine[2], all[2];

    registrations(now);
    mine[0] = now[0] - before[0];
    mine[1] = now[1] - before[1];
    MPI_Reduce(mine, all, 2, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    if (rank != 0)
        return;
    qsort(times, (size_t) many, sizeof(double), compare);
    printf("%s,%d,%.2f,", test, bytes, 1e6 * (times[many / 2] + times[(many - 1) / 2]) / 2);
    if (slow_register_count != NULL)
        printf("%ju,%.1f\n", (uintmax_t) all[0], (double) all[1] / 1000 / many / each);
    else
        printf("-1,-1\n");
    fflush(stdout);
}

/* known: so many messages go before. many may be 0. */
static void measure_reused(const char *test, int bytes, int known, int many)
{
    char *out = arena_take((size_t) bytes), *in = arena_take((size_t) bytes);
    uint64_t before[2];

    for (int i = 0; i < known; i++)
        to_and_fro(out, in, bytes);
    registrations(before);
    for (int i = 0; i < many; i++) {
        double begin = MPI_Wtime();
        to_and_fro(out, in, bytes);
        times[i] = (MPI_Wtime() - begin) / 2;
    }
    if (many > 0)
        print(test, bytes, many, 2, before);
}

static void measure_fresh(int bytes)
{
    uint64_t before[2];

    registrations(before);
    for (int i = 0; i < count; i++) {
        char *out = arena_take((size_t) bytes), *in = arena_take((size_t) bytes);
        double begin = MPI_Wtime();
        to_and_fro(out, in, bytes);
        times[i] = (MPI_Wtime() - begin) / 2;
    }
    print("fresh", bytes, count, 2, before);
}

static void measure_bandwidth(void)
{
    char *buffers[WINDOW];
    uint64_t before[2];

    for (int i = 0; i < WINDOW; i++)
        buffers[i] = arena_take(LONGEST);
    for (int i = 0; i < KNOWN; i++)
        window(buffers);
    registrations(before);
    for (int i = 0; i < count; i++) {
        double begin = MPI_Wtime();
        window(buffers);
        times[i] = (MPI_Wtime() - begin) / WINDOW;
    }
    print("bandwidth", LONGEST, count, WINDOW, before);
}

int main(int argc, char **argv)
{
    int size;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    count = argc > 2 ? atoi(argv[2]) : 0;
    if (size != 2 || count < 1 || count > 1000)
        die("two ranks are wanted, TESTS and COUNT");
    times = calloc((size_t) count * SHORT_TIMES, sizeof(double));
    arena_begin(arena_need(2 * count + 2) + (WINDOW + 1) * (LONGEST + GAP));
    /* The way to the other rank is found and made. */
    measure_reused("", SHORT, 20 * SHORT_TIMES, 0);
    if (strstr(argv[1], "latency") != NULL)
        measure_reused("latency", SHORT, KNOWN, SHORT_TIMES * count);
    if (strstr(argv[1], "bandwidth") != NULL)
        measure_bandwidth();
    for (int bytes = SHORTEST; bytes <= LONGEST && strstr(argv[1], "reused") != NULL; bytes *= 2)
        measure_reused("reused", bytes, KNOWN, count);
    for (int bytes = SHORTEST; bytes <= LONGEST && strstr(argv[1], "fresh") != NULL; bytes *= 2)
        measure_fresh(bytes);
    MPI_Finalize();
    return 0;
}
