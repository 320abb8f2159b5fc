/*
 * Threads send from buffers and meanwhile unmap, move, replace and free them in every way. The adapter holds the pages
 * that it registers by references of the kernel's (vmsplice() into a pipe), as real ones do, and sends what is in these
 * pages: so a region that outlived its memory sends old bytes.
 *
 *   regions_torture            a short time
 *   regions_torture SECONDS    so long
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "regions.h"

#define PAGE 4096u
#define THREADS 8
#define BUFFERS 64
#define PAGES_MAX 4u   /* of a buffer */
#define REGION_MAX 16u /* pages that a pipe of the adapter's takes */
#define HELD 4         /* regions that a thread keeps in use */

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Memory that a fork shares out by copying would need a real adapter, which pins it: there are no forks where there is
 * PRIVATE and ALLOCATED memory. */
enum kind { SHARED, PRIVATE, ALLOCATED };

struct buffer {
    pthread_mutex_t lock;
    enum kind kind;
    char *memory;
    size_t length;
};

static struct buffer buffers[BUFFERS];
static struct ferry_regions *cache;
static bool forks, tell, sabotage;
static uint64_t end_ns;
static _Atomic uint64_t operations, sent, copied, stale, forked;

/* ---- The adapter ---- */

static int enter(void *context, void *address, size_t length, void **handle)
{
    struct iovec all = {address, length};
    int ends[2], result = 0;

    if (length > REGION_MAX * PAGE)
        return -ENOMEM;
    /* Pages that are not there yet would be the page of zeroes. */
    if (madvise(address, length, MADV_POPULATE_WRITE))
        return -EFAULT;
    if (pipe2(ends, O_NONBLOCK))
        return -ENOMEM;
    if (fcntl(ends[1], F_SETPIPE_SZ, (int) length) < 0)
        result = -ENOMEM;
    else if (vmsplice(ends[1], &all, 1, 0) != (ssize_t) length)
        result = -EFAULT;
    if (result) {
        close(ends[0]);
        close(ends[1]);
        return result;
    }
    *handle = (void *) ((uintptr_t) ends[0] << 32 | (uintptr_t) ends[1]);
    return 0;
}

static void leave(void *context, void *handle)
{
    close((int) ((uintptr_t) handle >> 32));
    close((int) (uint32_t) (uintptr_t) handle);
}

/* What an adapter would send of a region. */
static void send_by(const struct ferry_region *region, const char *address, size_t length,
                    char *out)
{
    static _Thread_local int ends[2];
    static _Thread_local char all[REGION_MAX * PAGE];
    size_t pages = region->end - region->start;

    if (!ends[0]) {
        if (pipe(ends) || fcntl(ends[1], F_SETPIPE_SZ, (int) (REGION_MAX * PAGE)) < 0)
            abort();
    }
    if (tee((int) ((uintptr_t) region->handle >> 32), ends[1], pages, 0) != (ssize_t) pages)
        abort();
    for (size_t got = 0; got < pages;) {
        ssize_t more = read(ends[0], all + got, pages - got);

        if (more <= 0)
            abort();
        got += (size_t) more;
    }
    memcpy(out, all + ((uintptr_t) address - region->start), length);
}

/* ---- What happens to memory ---- */

/* xorshift64 (Marsaglia 2003) */
static uint64_t below(uint64_t *seed, uint64_t limit)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed % limit;
}

static void before(const void *memory, size_t length)
{
    if (tell)
        ferry_regions_unmapping((uintptr_t) memory, length);
}

static void after(void)
{
    if (tell)
        ferry_regions_unmapped();
}

static int flags_of(const struct buffer *buffer)
{
    return (buffer->kind == SHARED ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS;
}

static void make(struct buffer *buffer, uint64_t *seed)
{
    static const enum kind kinds[] = {SHARED, PRIVATE, ALLOCATED};

    buffer->kind = forks ? SHARED : kinds[below(seed, tell ? 2 : 3)];
    buffer->length = (below(seed, PAGES_MAX) + 1) * PAGE;
    if (buffer->kind == ALLOCATED) {
        buffer->length = below(seed, 4) ? buffer->length
                                        : 40 * PAGE; /* malloc() maps the longer ones */
        buffer->memory = malloc(buffer->length);
    } else {
        buffer->memory = mmap(NULL, buffer->length, PROT_READ | PROT_WRITE, flags_of(buffer), -1,
                              0);
    }
    if (!buffer->memory || buffer->memory == MAP_FAILED)
        abort();
}

static void unmake(struct buffer *buffer)
{
    if (buffer->kind == ALLOCATED) {
        free(buffer->memory);
        return;
    }
    before(buffer->memory, buffer->length);
    munmap(buffer->memory, buffer->length);
    after();
}

static void replace(struct buffer *buffer)
{
    before(buffer->memory, buffer->length);
    if (mmap(buffer->memory, buffer->length, PROT_READ | PROT_WRITE, flags_of(buffer) | MAP_FIXED,
             -1, 0) != buffer->memory)
        abort();
    after();
}

static void empty(struct buffer *buffer, uint64_t *seed)
{
    char *first = buffer->memory + below(seed, buffer->length / PAGE) * PAGE;
    int advice = buffer->kind == SHARED ? MADV_REMOVE : MADV_DONTNEED;

    before(first, PAGE);
    if (madvise(first, PAGE, advice))
        abort();
    after();
}

static void move(struct buffer *buffer)
{
    char *room = mmap(NULL, buffer->length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    before(buffer->memory, buffer->length);
    buffer->memory = mremap(buffer->memory, buffer->length, buffer->length,
                            MREMAP_MAYMOVE | MREMAP_FIXED, room);
    if (buffer->memory != room)
        abort();
    after();
}

/* Onto the other, which then takes the free place's part. */
static void move_onto(struct buffer *buffer, uint64_t *seed)
{
    struct buffer *other = &buffers[below(seed, BUFFERS)];

    if (other == buffer || pthread_mutex_trylock(&other->lock))
        return;
    if (other->kind != ALLOCATED && other->length == buffer->length) {
        before(other->memory, other->length);
        before(buffer->memory, buffer->length);
        if (mremap(buffer->memory, buffer->length, buffer->length, MREMAP_MAYMOVE | MREMAP_FIXED,
                   other->memory) != other->memory)
            abort();
        after();
        other->kind = buffer->kind;
        make(buffer, seed);
    }
    pthread_mutex_unlock(&other->lock);
}

static void resize(struct buffer *buffer, uint64_t *seed)
{
    size_t length = (below(seed, PAGES_MAX) + 1) * PAGE * (below(seed, 4) ? 1 : 10);

    buffer->memory = realloc(buffer->memory, length);
    buffer->length = length;
    if (!buffer->memory)
        abort();
}

static void fork_once(void)
{
    pid_t child = fork();
    int status = -1;

    if (child == 0) {
        munmap(buffers[0].memory, PAGE);
        _exit(ferry_regions_off(cache) ? 0 : 1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        abort();
    forked++;
}

static void disturb(struct buffer *buffer, uint64_t *seed)
{
    uint64_t what = below(seed, 60);

    if (forks && what == 0) {
        fork_once();
    } else if (buffer->kind == ALLOCATED && what < 40) {
        resize(buffer, seed);
    } else if (what < 15 || buffer->kind == ALLOCATED) {
        unmake(buffer);
        make(buffer, seed);
    } else if (what < 25) {
        replace(buffer);
    } else if (what < 35) {
        empty(buffer, seed);
    } else if (what < 45) {
        move(buffer);
    } else {
        move_onto(buffer, seed);
    }
}

/* ---- Sending ---- */

static void send_some(struct buffer *buffer, uint64_t *seed, const struct ferry_region **held)
{
    static _Thread_local char out[40 * PAGE];
    size_t offset = below(seed, buffer->length), length = below(seed, buffer->length - offset) + 1;
    char *from = buffer->memory + offset;
    uint64_t word = *seed;
    int result;

    for (size_t i = 0; i < length; i++, word = word << 7 | word >> 57)
        from[i] = (char) word;
    if (*held)
        ferry_regions_put(*held);
    result = ferry_regions_get(cache, from, length, held);
    if (result) {
        *held = NULL;
        copied++;
        return;
    }
    send_by(*held, from, length, out);
    sent++;
    if (memcmp(out, from, length) != 0)
        stale++;
    /* The rest is put back later, wherever its memory is by then. */
    if (below(seed, 4)) {
        ferry_regions_put(*held);
        *held = NULL;
    }
}

static void *torture(void *number)
{
    const struct ferry_region *held[HELD] = {NULL};
    uint64_t seed = (ferry_now_ns() + (uintptr_t) number * 77) * 0x9e3779b97f4a7c15u | 1;

    while (ferry_now_ns() < end_ns) {
        struct buffer *buffer = &buffers[below(&seed, BUFFERS)];

        pthread_mutex_lock(&buffer->lock);
        if (below(&seed, 4))
            send_some(buffer, &seed, &held[below(&seed, HELD)]);
        else
            disturb(buffer, &seed);
        pthread_mutex_unlock(&buffer->lock);
        operations++;
    }
    for (int i = 0; i < HELD; i++)
        if (held[i])
            ferry_regions_put(held[i]);
    return NULL;
}

/* Returns false where there are no hooks. */
static bool run(double seconds)
{
    const struct ferry_regions_adapter adapter = {enter, leave, NULL};
    const struct ferry_regions_options options = {
        .count = 48,
        .bytes = 256 * PAGE,
        .events = tell || sabotage ? FERRY_REGIONS_TOLD : FERRY_REGIONS_HOOKED,
        .policy = {.register_ps = 30000, .register_page_ps = 10000, .copy_kib_ps = 1u << 20}};
    struct ferry_regions_counters counters;
    pthread_t threads[THREADS];
    uint64_t seed = 1;

    if (ferry_regions_open(&adapter, &options, &cache))
        abort();
    if (ferry_regions_off(cache)) {
        printf("the cache is off here: %s\n", ferry_regions_off(cache));
        ferry_regions_close(cache);
        return false;
    }
    operations = sent = copied = stale = forked = 0;
    for (int i = 0; i < BUFFERS; i++)
        make(&buffers[i], &seed);
    end_ns = ferry_now_ns() + (uint64_t) (seconds * 1e9);
    for (uintptr_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, torture, (void *) i))
            abort();
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < BUFFERS; i++)
        unmake(&buffers[i]);
    ferry_regions_reap(cache);
    counters = ferry_regions_count(cache);
    printf("%llu operations (%llu sent, %llu copied, %llu forks): %llu hits, %llu registrations, "
           "%llu merges, "
           "%llu evictions, %llu invalidations; %llu stale\n",
           (unsigned long long) operations, (unsigned long long) sent, (unsigned long long) copied,
           (unsigned long long) forked, (unsigned long long) counters.hits,
           (unsigned long long) counters.registrations, (unsigned long long) counters.merges,
           (unsigned long long) counters.evictions, (unsigned long long) counters.invalidations,
           (unsigned long long) stale);
    ferry_regions_close(cache);
    return true;
}

static double seconds = 1;

static void where_there_are_hooks_nothing_stale_is_sent(void **state)
{
    forks = tell = sabotage = false;
    if (!run(seconds))
        skip();
    assert_true(sent > 100);
    assert_int_equal(stale, 0);
}

static void nor_where_processes_fork(void **state)
{
    forks = true;
    tell = sabotage = false;
    if (!run(seconds / 2))
        skip();
    assert_true(sent > 100 && forked > 0);
    assert_int_equal(stale, 0);
}

static void where_the_cache_is_told_nothing_stale_is_sent(void **state)
{
    forks = sabotage = false;
    tell = true;
    run(seconds / 2);
    assert_true(sent > 100);
    assert_int_equal(stale, 0);
}

/* That this program would notice. */
static void without_events_stale_bytes_are_sent(void **state)
{
    forks = tell = false;
    sabotage = true;
    for (int tries = 0; tries < 50; tries++) {
        run(0.2);
        if (stale > 0)
            return;
    }
    fail();
}

/* The adapter's pipes: there are many, and long ones. */
static int make_ready(void **state)
{
    struct rlimit limit;
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool populates = madvise(page, PAGE, MADV_POPULATE_WRITE) == 0;

    munmap(page, PAGE);
    for (int i = 0; i < BUFFERS; i++)
        pthread_mutex_init(&buffers[i].lock, NULL);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (!populates)
        printf("this kernel (before Linux 5.14) can't make sure of pages without touching them\n");
    return populates ? 0 : 1;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        /* Before the hooks are there, which would tell all caches. */
        cmocka_unit_test(without_events_stale_bytes_are_sent),
        cmocka_unit_test(where_the_cache_is_told_nothing_stale_is_sent),
        cmocka_unit_test(where_there_are_hooks_nothing_stale_is_sent),
        cmocka_unit_test(nor_where_processes_fork),
    };

    if (argc > 1)
        seconds = atof(argv[1]) / 2;
    return cmocka_run_group_tests(tests, make_ready, NULL);
}
