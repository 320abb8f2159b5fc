/*
 * Memory that is really unmapped, in each of the ways in which that may happen: the cache must know, by its hooks.
 */
#include "adapter.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>

static const struct ferry_regions_options hooked = {.events = FERRY_REGIONS_HOOKED};
static struct ferry_regions *cache;

static int open_cache(void **state)
{
    cache = open_with(hooked);
    if (ferry_regions_off(cache))
        print_message("the cache is off here: %s\n", ferry_regions_off(cache));
    return 0;
}

static int close_cache(void **state)
{
    close_checked(cache);
    return 0;
}

/* Without hooks there is nothing to be tested, but that each request registers (see regions.c). */
#define NEEDS_HOOKS()                 \
    do {                              \
        if (ferry_regions_off(cache)) \
            skip();                   \
    } while (0)

/* Whether the region at address is found without registering. */
static bool known(const void *address)
{
    int entered = fake.entered;

    assert_int_equal(touch(cache, address, PAGE), 0);
    return fake.entered == entered;
}

static char *registered(size_t pages)
{
    char *memory = map_pages(pages);

    assert_int_equal(touch(cache, memory, pages * PAGE), 0);
    assert_true(known(memory));
    return memory;
}

static void after_munmap(void **state)
{
    char *memory;

    NEEDS_HOOKS();
    memory = registered(4);
    munmap(memory + 3 * PAGE, PAGE);
    assert_false(known(memory));
    munmap(memory, 3 * PAGE);
    assert_false(known(memory));
}

static void after_mmap_over_it(void **state)
{
    char *memory;

    NEEDS_HOOKS();
    memory = registered(4);
    assert_ptr_equal(
        mmap(memory + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
        memory + PAGE);
    assert_false(known(memory));
    munmap(memory, 4 * PAGE);
}

static void after_mremap(void **state)
{
    char *memory, *moved;

    NEEDS_HOOKS();
    memory = registered(4);
    moved = mremap(memory, 4 * PAGE, 400 * PAGE, MREMAP_MAYMOVE);
    assert_true(moved != MAP_FAILED);
    assert_false(known(memory));
    assert_int_equal(touch(cache, moved, 400 * PAGE), 0);
    assert_ptr_equal(mremap(moved, 400 * PAGE, PAGE, 0), moved); /* shrinks */
    assert_false(known(moved));
    munmap(moved, PAGE);
}

static void after_mremap_onto_it(void **state)
{
    char *memory, *other;

    NEEDS_HOOKS();
    memory = registered(4);
    other = registered(2);
    strcpy(other, "moved");
    assert_ptr_equal(
        mremap(other, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + PAGE),
        memory + PAGE);
    assert_string_equal(memory + PAGE, "moved");
    assert_false(known(memory));
    assert_false(known(other));
    munmap(memory, 4 * PAGE);
}

static void after_mremap_that_leaves_it(void **state)
{
#ifdef MREMAP_DONTUNMAP
    char *memory, *moved;

    NEEDS_HOOKS();
    memory = registered(2);
    strcpy(memory, "moved");
    moved = mremap(memory, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    if (moved == MAP_FAILED)
        skip(); /* before Linux 5.7 */
    assert_string_equal(moved, "moved");
    assert_false(known(memory));
    munmap(memory, 2 * PAGE);
    munmap(moved, 2 * PAGE);
#else
    skip();
#endif
}

static void after_advice(int advice)
{
    char *memory = registered(4);

    madvise(memory + PAGE, PAGE, advice);
    assert_false(known(memory));
    madvise(memory + PAGE, PAGE, MADV_WILLNEED);
    assert_true(known(memory));
    munmap(memory, 4 * PAGE);
}

static void after_madvise(void **state)
{
    NEEDS_HOOKS();
    after_advice(MADV_DONTNEED);
    after_advice(MADV_FREE);
    after_advice(MADV_REMOVE);
}

/* In a child, for the heap is everybody's. There the cache has to be opened anew. */
static void shrink_heap(void)
{
    char *memory;

    cache = open_with(hooked);
    check(!ferry_regions_off(cache));
    memory = sbrk(4 * PAGE);
    memory = (char *) (((uintptr_t) memory + PAGE - 1) & ~(uintptr_t) (PAGE - 1));
    check(touch(cache, memory, 2 * PAGE) == 0 && known(memory));
    sbrk(-4 * (int) PAGE);
    check(!known(memory));
    memory = sbrk(4 * PAGE);
    memory = (char *) (((uintptr_t) memory + PAGE - 1) & ~(uintptr_t) (PAGE - 1));
    check(touch(cache, memory, 2 * PAGE) == 0 && known(memory));
    check(brk(memory) == 0);
    check(!known(memory));
}

static void after_brk(void **state)
{
    NEEDS_HOOKS();
    assert_int_equal(child_run(shrink_heap), 0);
}

static void after_free(void **state)
{
    enum { LENGTH = 64 << 20 };
    char *volatile memory;

    NEEDS_HOOKS();
    memory = malloc(LENGTH);
    assert_int_equal(touch(cache, memory, LENGTH), 0);
    assert_true(known(memory));
    free(memory);
    assert_false(known(memory));
}

static void after_realloc(void **state)
{
    enum { LENGTH = 64 << 20 };
    char *volatile memory, *volatile moved;

    NEEDS_HOOKS();
    memory = malloc(LENGTH);
    assert_int_equal(touch(cache, memory, LENGTH), 0);
    moved = realloc(memory, 3 * (size_t) LENGTH);
    assert_false(known(memory));
    free(moved);
}

static void after_trimming(void **state)
{
    enum { COUNT = 400, LENGTH = 60000 };
    static char *blocks[COUNT];

    NEEDS_HOOKS();
    for (int i = 0; i < COUNT; i++)
        blocks[i] = malloc(LENGTH);
    assert_int_equal(touch(cache, blocks[COUNT / 2], LENGTH), 0);
    assert_true(known(blocks[COUNT / 2]));
    for (int i = 0; i < COUNT; i++)
        free(blocks[i]);
    malloc_trim(0);
    assert_false(known(blocks[COUNT / 2]));
}

static void after_shmdt(void **state)
{
    char *memory, *again;
    int id;

    NEEDS_HOOKS();
    id = shmget(IPC_PRIVATE, 4 * PAGE, 0600);
    if (id < 0)
        skip();
    memory = shmat(id, NULL, 0);
    again = memory == (void *) -1 ? memory : shmat(id, NULL, 0);
    shmctl(id, IPC_RMID, NULL);
    assert_true(memory != (void *) -1 && again != (void *) -1);
    assert_int_equal(touch(cache, memory, 4 * PAGE), 0);
    assert_true(known(memory));
    shmdt(memory);
    assert_false(known(memory));
    memory = registered(4);
    assert_ptr_equal(shmat(id, memory, SHM_REMAP), memory);
    assert_false(known(memory));
    shmdt(memory);
    shmdt(again);
}

static void *run_on_stack(void *stack)
{
    char local[PAGE] = "";
    uintptr_t address = (uintptr_t) local;

    assert_int_equal(touch(cache, local, sizeof(local)), 0);
    *(uintptr_t *) stack = address;
    return NULL;
}

/* glibc keeps the stacks of finished threads, up to 40 MB: such a long one it unmaps. */
static void after_the_end_of_a_thread(void **state)
{
    pthread_attr_t attributes;
    pthread_t thread;
    void *stack;

    NEEDS_HOOKS();
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 20);
    assert_int_equal(pthread_create(&thread, &attributes, run_on_stack, &stack), 0);
    pthread_join(thread, NULL);
    assert_false(known(stack));
}

static void *unmap_there(void *memory)
{
    munmap(memory, PAGE);
    return NULL;
}

static void by_another_thread(void **state)
{
    pthread_t thread;
    char *memory;

    NEEDS_HOOKS();
    memory = registered(1);
    pthread_create(&thread, NULL, unmap_there, memory);
    pthread_join(thread, NULL);
    assert_false(known(memory));
}

static char *volatile victim;

static void unmap_and_free(void *address, size_t length)
{
    if (victim)
        munmap(victim, PAGE);
    victim = NULL;
    free(malloc(64 << 20));
    fake.meanwhile = NULL;
}

static void by_the_adapter_itself(void **state)
{
    char *memory;

    NEEDS_HOOKS();
    victim = registered(1);
    memory = map_pages(1);
    fake.meanwhile = unmap_and_free;
    assert_int_equal(touch(cache, memory, PAGE), 0);
    assert_null(victim);
    munmap(memory, PAGE);
}

static void on_signal(int number)
{
    char *memory = victim;

    victim = NULL;
    if (memory)
        munmap(memory, PAGE);
}

/* Whatever the cache was doing when the signal came. */
static void by_a_signal_handler(void **state)
{
    struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
    char *const buffer = (char *) 0x100000000;

    NEEDS_HOOKS();
    signal(SIGALRM, on_signal);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int round = 0; round < 3000; round++) {
        char *memory = registered(1);

        victim = memory;
        for (size_t i = 0; victim; i++)
            assert_int_equal(touch(cache, buffer + i % 1000 * PAGE, PAGE), 0);
        assert_false(known(memory));
        ferry_regions_unmapping((uintptr_t) buffer, 500 * PAGE);
        ferry_regions_unmapped();
    }
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_DFL);
}

static void fork_in_passing(void)
{
    check(ferry_regions_off(cache));
    check(munmap(victim, PAGE) == 0);
}

static void forks_and_programs_change_nothing(void **state)
{
    char *arguments[] = {"true", NULL};
    pid_t child;

    NEEDS_HOOKS();
    victim = registered(1);
    assert_int_equal(child_run(fork_in_passing), 0);
    assert_true(known(victim));
    child = vfork();
    if (child == 0) {
        execv("/bin/true", arguments);
        _exit(127);
    }
    assert_int_equal(child_end(child), 0);
    assert_true(known(victim));
    assert_int_equal(posix_spawn(&child, "/bin/true", NULL, NULL, arguments, NULL), 0);
    assert_int_equal(child_end(child), 0);
    assert_true(known(victim));
    munmap(victim, PAGE);
    assert_false(known(victim));
}

static _Atomic bool forked;

static void *allocate_meanwhile(void *none)
{
    enum { COUNT = 100, LENGTH = 20000 };
    char *blocks[COUNT];

    while (!forked) {
        for (int i = 0; i < COUNT; i++)
            blocks[i] = malloc(LENGTH);
        touch(cache, blocks[0], LENGTH);
        for (int i = 0; i < COUNT; i++)
            free(blocks[i]);
        malloc_trim(0);
    }
    return NULL;
}

/* fork() takes locks of malloc()'s, which gives back memory while it has them. */
static void a_fork_waits_for_no_free(void **state)
{
    pthread_t threads[3];

    NEEDS_HOOKS();
    forked = false;
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, allocate_meanwhile, NULL);
    for (int i = 0; i < 300; i++) {
        pid_t child = fork();

        if (child == 0) {
            alarm(CHILD_SECONDS);
            free(malloc(64 << 20));
            _exit(ferry_regions_off(cache) ? 0 : 1);
        }
        assert_int_equal(child_end(child), 0);
    }
    forked = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}

/* What nothing sees, so that the documentation says it right; and where it is noticed at last. */
static void a_raw_system_call_is_not_seen(void **state)
{
    char *memory;

    NEEDS_HOOKS();
    memory = registered(1);
    syscall(SYS_munmap, memory, PAGE);
    assert_true(known(memory));
    assert_ptr_equal(
        mmap(memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
        memory);
    assert_false(known(memory));
    munmap(memory, PAGE);
}

static void the_programs_signals_stay(void **state)
{
    static const int signals[] = {SIGILL, SIGBUS, SIGFPE, SIGHUP};
    struct sigaction action;

    /* cmocka has its own on some. */
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
        Dl_info where;

        sigaction(signals[i], NULL, &action);
        if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
            continue;
        assert_true(dladdr((void *) (uintptr_t) action.sa_handler, &where) != 0);
        assert_null(strstr(where.dli_fname, "libuc"));
    }
}

#define each(test) cmocka_unit_test_setup_teardown(test, open_cache, close_cache)

int main(void)
{
    const struct CMUnitTest tests[] = {
        each(after_munmap),
        each(after_mmap_over_it),
        each(after_mremap),
        each(after_mremap_onto_it),
        each(after_mremap_that_leaves_it),
        each(after_madvise),
        each(after_brk),
        each(after_free),
        each(after_realloc),
        each(after_trimming),
        each(after_shmdt),
        each(after_the_end_of_a_thread),
        each(by_another_thread),
        each(by_the_adapter_itself),
        each(by_a_signal_handler),
        each(forks_and_programs_change_nothing),
        each(a_fork_waits_for_no_free),
        each(a_raw_system_call_is_not_seen),
        each(the_programs_signals_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
