#include "memory_events.h"

#if defined(HAVE_UCM) && defined(__x86_64__)

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucm/api/ucm.h>

/* libucm needs libucs, which brings it along. */
#define SONAME "libucs.so.0"
#define PAGE 4096u
/* malloc() maps what is longer than 32 MiB, whatever was freed before. */
#define MAPPED_BY_MALLOC (64u << 20)
#define SIGNALS 65

static struct {
    __typeof__(ucm_set_event_handler) *set_handler;
    __typeof__(ucm_set_global_opts) *set_options;
    __typeof__(ucm_test_events) *test_events;
    __typeof__(ucm_vm_munmap) *unmapped;
    __typeof__(ucm_vm_mmap) *mapped;
    ucm_global_config_t *options;
} ucm;

static ferry_memory_before *listener_before;
static ferry_memory_after *listener_after;

/* While that is being proved: the address to be told of, and how often it was. */
static _Atomic uintptr_t expected;
static _Atomic unsigned told, ended;

static void tell(uintptr_t start, size_t length)
{
    uintptr_t address = atomic_load(&expected);

    if (length == 0)
        return;
    if (start <= address && address - start < length)
        atomic_fetch_add(&told, 1);
    listener_before(start, length);
}

static void on_range(ucm_event_type_t type, ucm_event_t *event, void *arg)
{
    tell((uintptr_t) event->vm_unmapped.address, event->vm_unmapped.size);
    /* What is mapped now was unmapped before, whether that was seen or not; nothing follows. */
    if (type == UCM_EVENT_VM_MAPPED)
        listener_after();
}

static void after(void)
{
    atomic_fetch_add(&ended, 1);
    listener_after();
}

static void on_end(ucm_event_type_t type, ucm_event_t *event, void *arg)
{
    after();
}

static const char *find_functions(void)
{
    void *handle = dlopen(SONAME, RTLD_NOW | RTLD_LOCAL);

    if (!handle)
        return "UCX's libucs and libucm can't be loaded";
    *(void **) &ucm.set_handler = dlsym(handle, "ucm_set_event_handler");
    *(void **) &ucm.set_options = dlsym(handle, "ucm_set_global_opts");
    *(void **) &ucm.test_events = dlsym(handle, "ucm_test_events");
    *(void **) &ucm.unmapped = dlsym(handle, "ucm_vm_munmap");
    *(void **) &ucm.mapped = dlsym(handle, "ucm_vm_mmap");
    ucm.options = dlsym(handle, "ucm_global_opts");
    return ucm.set_handler && ucm.set_options && ucm.test_events && ucm.unmapped && ucm.mapped &&
                   ucm.options
               ? NULL
               : "functions are missing in UCX's libucm";
}

/* libucs puts handlers of its own on SIGSEGV and others when it is loaded: the program's stay. */
static const char *load(void)
{
    static struct sigaction actions[SIGNALS];
    const char *why;

    for (int i = 1; i < SIGNALS; i++)
        sigaction(i, NULL, &actions[i]);
    why = find_functions();
    for (int i = 1; i < SIGNALS; i++)
        sigaction(i, &actions[i], NULL);
    return why;
}

/* Without a malloc() of libucm's: its hooks in the C library see what the usual one does. Those who want the single
 * events are called after these have happened; of brk() there is one event or the other. */
static const char *install(void)
{
    const ucm_global_config_t usual = *ucm.options;
    ucm_global_config_t options = usual;
    bool done;

    /* In its other modes calls from within the C library are not seen, and mremap() can't be mended. */
    if (!usual.enable_events || usual.mmap_hook_mode != UCM_MMAP_HOOK_BISTRO)
        return "UCX's libucm is told to put no hooks into the C library (UCX_MEM_...)";
    options.enable_malloc_hooks = options.enable_malloc_reloc = 0;
    options.enable_dynamic_mmap_thresh = 0;
    ucm.set_options(&options);
    done = ucm.set_handler(UCM_EVENT_VM_UNMAPPED | UCM_EVENT_VM_MAPPED, -1, on_range, NULL) ==
               UCS_OK &&
           ucm.set_handler(UCM_EVENT_MMAP | UCM_EVENT_MUNMAP | UCM_EVENT_MREMAP | UCM_EVENT_SHMAT |
                               UCM_EVENT_SHMDT | UCM_EVENT_SBRK | UCM_EVENT_BRK |
                               UCM_EVENT_MADVISE | UCM_EVENT_FLAG_NO_INSTALL,
                           1000, on_end, NULL) == UCS_OK &&
           ucm.test_events(UCM_EVENT_VM_UNMAPPED) == UCS_OK;
    ucm.set_options(&usual);
    return done ? NULL : "UCX's libucm could not put its hooks into the C library";
}

/* ---- The proof ---- */

static void expect(const void *address)
{
    atomic_store(&told, 0);
    atomic_store(&ended, 0);
    atomic_store(&expected, (uintptr_t) address);
}

/* Other threads may end something at the same time, but only who did it here is told of the address. */
static bool came(void)
{
    atomic_store(&expected, 0);
    return atomic_load(&told) > 0 && atomic_load(&ended) > 0;
}

static void *map(void *address, int flags)
{
    return mmap(address, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static const char *prove_on(char *one, char *other)
{
    static const int advice[] = {MADV_DONTNEED, MADV_FREE, MADV_REMOVE};

    for (unsigned i = 0; i < sizeof(advice) / sizeof(advice[0]); i++) {
        expect(one);
        madvise(one, PAGE, advice[i]);
        if (!came())
            return "madvise() is not noticed";
    }
    expect(one);
    if (map(one, MAP_FIXED) != one || !came())
        return "mmap() over memory is not noticed";
    expect(other);
    *(volatile char *) one = 'x';
    if (mremap(one, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, other) != other ||
        *(volatile char *) other != 'x')
        return "mremap() does not work with MREMAP_FIXED";
    if (!came())
        return "what mremap() replaces is not noticed";
    expect(other);
    munmap(other, PAGE);
    return came() ? NULL : "munmap() is not noticed";
}

/* The C library's own calls, which go by none of its names. */
static const char *prove_malloc(void)
{
    void *volatile memory = malloc(MAPPED_BY_MALLOC);
    void *page = (void *) ((uintptr_t) memory & ~(uintptr_t) (PAGE - 1));
    unsigned char vector;

    if (!memory)
        return NULL;
    expect(page);
    free(memory);
    /* Another malloc() may keep it. */
    return came() || mincore(page, PAGE, &vector) == 0 ? NULL : "free() is not noticed";
}

static const char *prove(void)
{
    char *one = map(NULL, 0), *other = map(NULL, 0);
    const char *why = "no memory";

    if (one != MAP_FAILED && other != MAP_FAILED)
        why = prove_on(one, other);
    if (!why)
        why = prove_malloc();
    return why;
}

static const char *start(void)
{
    const char *why;

    /* They unmap by system calls of their own, and not before much was freed: a proof would not show it. */
    if (dlsym(RTLD_DEFAULT, "__sanitizer_get_heap_size"))
        return "the malloc() of a sanitizer unmaps memory unseen";
    why = load();
    if (!why)
        why = install();
    if (!why)
        why = ferry_memory_watch_mremap(ucm.unmapped, ucm.mapped, after);
    return why ? why : prove();
}

const char *ferry_memory_events_start(ferry_memory_before *before, ferry_memory_after *after)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static bool started;
    static const char *why;

    pthread_mutex_lock(&lock);
    if (!started) {
        listener_before = before;
        listener_after = after;
        why = start();
        started = true;
    }
    pthread_mutex_unlock(&lock);
    return why;
}

#else

const char *ferry_memory_events_start(ferry_memory_before *before, ferry_memory_after *after)
{
    return "this libferry was built without UCX's libucm, or not for x86-64";
}

#endif
