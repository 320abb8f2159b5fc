#include "region_pool.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "fence.h"

struct ferry_region_pool ferry_region_pool;
_Thread_local struct ferry_region_thread *ferry_region_self;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t leaving;
static struct ferry_region_thread *_Atomic threads; /* never shorter */
static struct ferry_region_entry *unused;
static uint32_t fresh; /* entries from here on were never used */

/* Address room; memory comes with the first touch. */
static void *room(size_t length)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

/* What a thread counted stays, for regions that it took may still be in use; the next thread counts on. */
static void on_exit_of_thread(void *thread)
{
    ferry_region_self = NULL;
    atomic_store(&((struct ferry_region_thread *) thread)->taken, false);
}

static void open_once(void)
{
    if (pthread_key_create(&leaving, on_exit_of_thread))
        return;
    ferry_region_pool.fences = ferry_fence_register() && ferry_fence_all();
    ferry_region_pool.entries = room(sizeof(struct ferry_region_entry) * FERRY_REGIONS_MAX);
    if (ferry_region_pool.entries)
        /* Looked at in no order: each page of its own would cost a walk. */
        madvise(ferry_region_pool.entries, sizeof(struct ferry_region_entry) * FERRY_REGIONS_MAX,
                MADV_HUGEPAGE);
}

int ferry_region_pool_open(void)
{
    pthread_once(&once, open_once);
    return ferry_region_pool.entries ? 0 : -ENOMEM;
}

static struct ferry_region_thread *take_over(void)
{
    for (struct ferry_region_thread *thread = atomic_load(&threads); thread;
         thread = thread->next) {
        bool taken = false;

        if (atomic_compare_exchange_strong(&thread->taken, &taken, true))
            return thread;
    }
    return NULL;
}

struct ferry_region_thread *ferry_region_thread(void)
{
    struct ferry_region_thread *self = ferry_region_self;

    if (self)
        return self;
    self = take_over();
    if (!self) {
        self = room(sizeof(*self));
        if (!self)
            return NULL;
        self->taken = true;
        self->next = atomic_load(&threads);
        while (!atomic_compare_exchange_weak(&threads, &self->next, self))
            ;
    }
    if (pthread_setspecific(leaving, self)) {
        atomic_store(&self->taken, false);
        return NULL;
    }
    ferry_region_self = self;
    return self;
}

struct ferry_region_entry *ferry_region_new(void)
{
    struct ferry_region_entry *entry = unused;

    if (entry)
        unused = entry->next;
    else if (fresh < FERRY_REGIONS_MAX)
        entry = &ferry_region_pool.entries[fresh++];
    return entry;
}

void ferry_region_free(struct ferry_region_entry *entry)
{
    entry->state = FERRY_REGION_FREE;
    entry->next = unused;
    unused = entry;
}

bool ferry_region_used(const struct ferry_region_entry *entry)
{
    uint32_t sum = 0, number = ferry_region_number(entry);

    for (struct ferry_region_thread *thread = atomic_load(&threads); thread; thread = thread->next)
        sum += atomic_load_explicit(&thread->uses[number], memory_order_acquire);
    return sum != 0;
}

void ferry_region_settle(void)
{
    if (ferry_region_pool.fences)
        ferry_fence_all();
    atomic_thread_fence(memory_order_seq_cst);
}

uint64_t ferry_region_hits(unsigned cache)
{
    uint64_t hits = 0;

    for (struct ferry_region_thread *thread = atomic_load(&threads); thread; thread = thread->next)
        hits += atomic_load_explicit(&thread->hits[cache], memory_order_relaxed);
    return hits;
}

void ferry_region_forget_hits(unsigned cache)
{
    for (struct ferry_region_thread *thread = atomic_load(&threads); thread; thread = thread->next)
        atomic_store_explicit(&thread->hits[cache], 0, memory_order_relaxed);
}

/* Those that were used before are left alone: the list of the unused may be half written. */
void ferry_region_pool_forked(void)
{
    unused = NULL;
    if (fresh < FERRY_REGIONS_MAX)
        fresh++;
    for (struct ferry_region_thread *thread = atomic_load(&threads); thread; thread = thread->next)
        atomic_store(&thread->taken, thread == ferry_region_self);
}
