/*
 * Makes registering memory with an RDMA adapter as dear as a hypervisor makes it, or fail, and counts it. For LD_PRELOAD:
 *     cc -shared -fPIC -o slow_register.so slow_register.c
 *
 *   FERRY_TEST_REGISTER_US=N          each registration takes so much longer
 *   FERRY_TEST_REGISTER_CALLS=N       those after the N-th fail with ENOMEM
 *   FERRY_TEST_REGISTER_BYTES=N       those with which more than N bytes were registered at once fail with ENOMEM
 *   FERRY_TEST_REGISTER_REPORT=FILE   the line that is printed at exit is added there, not printed on standard error
 *
 * The time is spent busily: while a hypervisor registers memory it has the whole virtual processor stopped, so nobody else
 * in the guest can use that, as they could if this slept. (Interrupts, which would wait, too, are taken.)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <infiniband/verbs.h>
/* ibv_reg_mr is a macro over an inline function, which calls one of these, by its flags. */
#undef ibv_reg_mr
#undef ibv_reg_mr_iova

static _Atomic uint64_t calls, failures, bytes, nanoseconds, ends, bytes_now, bytes_most;
static uint64_t more_ns, calls_max = UINT64_MAX, bytes_max = UINT64_MAX;

static _Thread_local bool inside;

static uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t) time.tv_sec * 1000000000 + (uint64_t) time.tv_nsec;
}

/* The library's own function: it may have been loaded for a module only, where RTLD_NEXT doesn't look. */
static void *next(const char *name)
{
    void *library = dlopen("libibverbs.so.1", RTLD_LAZY), *function = NULL;

    if (library != NULL)
        function = dlsym(library, name);
    if (function == NULL) {
        fprintf(stderr, "slow_register: %s\n", dlerror());
        abort();
    }
    return function;
}

/* Whether one more registration of so many bytes may succeed. */
static bool may_register(uint64_t length)
{
    uint64_t before = atomic_fetch_add(&calls, 1);

    return before < calls_max && length <= bytes_max && bytes_now <= bytes_max - length;
}

/* How it went: region is NULL where it failed. Leaves errno alone. */
static void registered(const struct ibv_mr *region, uint64_t length, uint64_t begin_ns)
{
    uint64_t all, most = bytes_most;

    if (region == NULL) {
        atomic_fetch_add(&failures, 1);
    } else {
        atomic_fetch_add(&bytes, length);
        all = atomic_fetch_add(&bytes_now, length) + length;
        while (all > most && !atomic_compare_exchange_weak(&bytes_most, &most, all))
            ;
    }
    while (more_ns != 0 && now_ns() - begin_ns < more_ns)
        ;
    atomic_fetch_add(&nanoseconds, now_ns() - begin_ns);
}

/* What each of the functions does, but for call, the library's; which may call another of them. */
#define REGISTER(length, call)                                               \
    ({                                                                       \
        struct ibv_mr *region;                                               \
        if (inside) {                                                        \
            region = (call);                                                 \
        } else {                                                             \
            uint64_t begin_ns = now_ns();                                    \
            inside = true;                                                   \
            region = may_register(length) ? (call) : (errno = ENOMEM, NULL); \
            inside = false;                                                  \
            registered(region, length, begin_ns);                            \
        }                                                                    \
        region;                                                              \
    })

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *address, size_t length, int access)
{
    static struct ibv_mr *(*own)(struct ibv_pd *, void *, size_t, int);

    if (own == NULL)
        own = next("ibv_reg_mr");
    return REGISTER(length, own(pd, address, length, access));
}

struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *address, size_t length, uint64_t iova,
                               int access)
{
    static struct ibv_mr *(*own)(struct ibv_pd *, void *, size_t, uint64_t, int);

    if (own == NULL)
        own = next("ibv_reg_mr_iova");
    return REGISTER(length, own(pd, address, length, iova, access));
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *address, size_t length, uint64_t iova,
                                unsigned access)
{
    static struct ibv_mr *(*own)(struct ibv_pd *, void *, size_t, uint64_t, unsigned);

    if (own == NULL)
        own = next("ibv_reg_mr_iova2");
    return REGISTER(length, own(pd, address, length, iova, access));
}

int ibv_dereg_mr(struct ibv_mr *region)
{
    static int (*own)(struct ibv_mr *);
    uint64_t length = region->length;
    int error;

    if (own == NULL)
        own = next("ibv_dereg_mr");
    error = own(region);
    if (error == 0) {
        atomic_fetch_sub(&bytes_now, length);
        atomic_fetch_add(&ends, 1);
    }
    return error;
}

/* For programs that ask in between: so many calls, and the time spent in them. */
void slow_register_count(uint64_t *count, uint64_t *spent_ns)
{
    *count = calls;
    *spent_ns = nanoseconds;
}

static void read_number(const char *name, uint64_t *number)
{
    const char *text = getenv(name);
    char *end;

    if (text == NULL)
        return;
    *number = strtoull(text, &end, 10);
    if (end == text || *end != '\0') {
        fprintf(stderr, "slow_register: %s=%s: a number is wanted\n", name, text);
        exit(2);
    }
}

__attribute__((constructor)) static void begin(void)
{
    read_number("FERRY_TEST_REGISTER_US", &more_ns);
    more_ns *= 1000;
    read_number("FERRY_TEST_REGISTER_CALLS", &calls_max);
    read_number("FERRY_TEST_REGISTER_BYTES", &bytes_max);
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("FERRY_TEST_REGISTER_REPORT");
    int file = path == NULL ? STDERR_FILENO : open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    char line[256];
    int length;

    length =
        snprintf(line, sizeof(line),
                 "registrations: %ju calls, %ju failed, %ju bytes, %ju us; at most %ju bytes at "
                 "once; %ju ended\n",
                 (uintmax_t) calls, (uintmax_t) failures, (uintmax_t) bytes,
                 (uintmax_t) nanoseconds / 1000, (uintmax_t) bytes_most, (uintmax_t) ends);
    if (file < 0 || write(file, line, (size_t) length) != length)
        perror("slow_register: report");
}
