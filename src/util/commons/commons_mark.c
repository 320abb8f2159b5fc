/*
 * The thread of a commons: it makes the process's heartbeat, and when the process ends, in whatever way, the
 * kernel sets a bit in the region for it.
 *
 * The kernel does so for robust futexes: when a thread is gone it goes through a list of words that the thread had
 * registered, and marks those that hold the thread's id. It does not matter to it what memory that is. The list is
 * private; only the word that is marked lies in the region. A thread of its own, because there is one list for each
 * thread, and those of other threads belong to the C library.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "commons_internal.h"

#define LIST_LENGTH 4096
#define STACK_LENGTH ((size_t) 128 << 10)
#define BEAT_MS 1000u
/* Heartbeats in a lease, at least. */
#define BEATS_LEAST 8u

struct list {
    struct robust_list_head head;
    struct robust_list node;
};

struct ferry_commons_mark {
    struct ferry_commons *commons;
    struct list *list;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool trial, ready, failed, stop;
};

/* Lets the kernel mark the own word when this thread ends. */
static bool register_word(struct ferry_commons_mark *mark)
{
    struct list *list = mark->list;
    char *word = (char *) ferry_commons_own_mark(mark->commons);

    list->head.list.next = &list->node;
    list->node.next = &list->head.list;
    list->head.futex_offset = word - (char *) &list->node;
    list->head.list_op_pending = NULL;
    return syscall(SYS_set_robust_list, &list->head, sizeof(list->head)) == 0 &&
           ferry_commons_write_mark(mark->commons, (uint32_t) syscall(SYS_gettid));
}

static void unregister(struct ferry_commons_mark *mark)
{
    mark->list->head.list.next = &mark->list->head.list;
}

static void beat_until_stopped(struct ferry_commons_mark *mark)
{
    uint64_t ms = mark->commons->lease_ms / BEATS_LEAST;
    struct timespec until;

    if (ms > BEAT_MS)
        ms = BEAT_MS;
    clock_gettime(CLOCK_MONOTONIC, &until);
    while (!mark->stop) {
        if (pthread_cond_timedwait(&mark->changed, &mark->lock, &until) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&mark->lock);
        ferry_commons_tend(mark->commons, 0);
        pthread_mutex_lock(&mark->lock);
        /* From now on: after a pause there is nothing to be made up for. */
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += (long) (ms % 1000 * 1000000);
        until.tv_sec += (time_t) (ms / 1000) + until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
    }
}

static void *run(void *arg)
{
    struct ferry_commons_mark *mark = arg;
    bool registered = mark->list && register_word(mark);

    if (mark->trial) {
        mark->failed = !registered;
        return NULL;
    }
    pthread_mutex_lock(&mark->lock);
    mark->failed = mark->list && !registered;
    mark->ready = true;
    pthread_cond_signal(&mark->changed);
    if (!mark->failed)
        beat_until_stopped(mark);
    pthread_mutex_unlock(&mark->lock);
    if (registered)
        unregister(mark);
    return NULL;
}

static int start_thread(struct ferry_commons_mark *mark)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    int error;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_LENGTH);
    /* The program's handlers are not for this thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&mark->thread, &attributes, run, mark);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return -error;
}

/* Lets a thread die, and looks whether the kernel marked it. */
static int try(struct ferry_commons_mark *mark, bool *works)
{
    int error;

    mark->trial = true;
    error = start_thread(mark);
    if (error)
        return error;
    pthread_join(mark->thread, NULL);
    mark->trial = false;
    *works = !mark->failed &&
             (ferry_mark(ferry_commons_own_mark(mark->commons)) & FUTEX_OWNER_DIED) != 0;
    return ferry_commons_write_mark(mark->commons, 0) ? 0 : -ESTALE;
}

static void free_mark(struct ferry_commons_mark *mark)
{
    if (mark->list)
        munmap(mark->list, LIST_LENGTH);
    pthread_cond_destroy(&mark->changed);
    pthread_mutex_destroy(&mark->lock);
    free(mark);
}

static struct ferry_commons_mark *new_mark(struct ferry_commons *commons)
{
    struct ferry_commons_mark *mark = calloc(1, sizeof(*mark));
    pthread_condattr_t attributes;
    void *memory;

    if (!mark)
        return NULL;
    /* Shared, so that a process that is killed for want of memory still has it when the list is looked at; and not
     * with a child. */
    memory = mmap(NULL, LIST_LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        free(mark);
        return NULL;
    }
    madvise(memory, LIST_LENGTH, MADV_DONTFORK);
    mark->commons = commons;
    mark->list = memory;
    pthread_mutex_init(&mark->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&mark->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    return mark;
}

int ferry_commons_mark_start(struct ferry_commons *commons, bool *works)
{
    struct ferry_commons_mark *mark = new_mark(commons);
    int error;

    *works = false;
    if (!mark)
        return -ENOMEM;
    error = try(mark, works);
    if (!error && !*works) {
        munmap(mark->list, LIST_LENGTH);
        mark->list = NULL;
    }
    if (!error)
        error = start_thread(mark);
    if (error) {
        free_mark(mark);
        return error;
    }
    pthread_mutex_lock(&mark->lock);
    while (!mark->ready)
        pthread_cond_wait(&mark->changed, &mark->lock);
    error = mark->failed ? -ESTALE : 0;
    pthread_mutex_unlock(&mark->lock);
    if (error) {
        pthread_join(mark->thread, NULL);
        free_mark(mark);
        return error;
    }
    commons->mark = mark;
    return 0;
}

void ferry_commons_mark_stop(struct ferry_commons_mark *mark)
{
    pthread_mutex_lock(&mark->lock);
    mark->stop = true;
    pthread_cond_signal(&mark->changed);
    pthread_mutex_unlock(&mark->lock);
    pthread_join(mark->thread, NULL);
    free_mark(mark);
}

void ferry_commons_mark_forget(struct ferry_commons_mark *mark)
{
    /* The list was not inherited, and the thread may have held the lock: nothing to be undone. */
    free(mark);
}
