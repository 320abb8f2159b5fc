#include "watch.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct ferry_watch {
    int fd, epoll, end; /* end: a descriptor that ends the thread */
    void (*call)(void *arg);
    void *arg;
    pthread_t thread;
};

static void *run(void *arg)
{
    struct ferry_watch *watch = arg;
    struct epoll_event event;

    for (;;) {
        int count = epoll_wait(watch->epoll, &event, 1, -1);

        if (count < 0 && errno != EINTR)
            return NULL;
        if (count != 1)
            continue;
        if (event.data.fd == watch->end)
            return NULL;
        watch->call(watch->arg);
    }
}

static int control(struct ferry_watch *watch, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};

    return epoll_ctl(watch->epoll, operation, fd, &event);
}

static int start(struct ferry_watch *watch)
{
    sigset_t all, old;
    int error;

    if (watch->epoll < 0 || watch->end < 0 || control(watch, EPOLL_CTL_ADD, watch->end, EPOLLIN) ||
        control(watch, EPOLL_CTL_ADD, watch->fd, EPOLLONESHOT))
        return -errno;
    /* The program's signals are the program's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&watch->thread, NULL, run, watch);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -error;
}

static void release(struct ferry_watch *watch)
{
    if (watch->epoll >= 0)
        close(watch->epoll);
    if (watch->end >= 0)
        close(watch->end);
    free(watch);
}

struct ferry_watch *ferry_watch_open(int fd, void (*call)(void *arg), void *arg)
{
    struct ferry_watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    *watch = (struct ferry_watch){.fd = fd,
                                  .epoll = epoll_create1(EPOLL_CLOEXEC),
                                  .end = eventfd(0, EFD_CLOEXEC),
                                  .call = call,
                                  .arg = arg};
    if (!start(watch))
        return watch;
    release(watch);
    return NULL;
}

void ferry_watch_close(struct ferry_watch *watch)
{
    const uint64_t one = 1;

    while (write(watch->end, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(watch->thread, NULL);
    release(watch);
}

void ferry_watch_arm(struct ferry_watch *watch)
{
    control(watch, EPOLL_CTL_MOD, watch->fd, EPOLLIN | EPOLLONESHOT);
}
