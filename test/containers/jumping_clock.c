/*
 * Preloaded: a wall clock that jumps by up to an hour at each look. Clocks that only go forward are the kernel's.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t jump(void)
{
    static _Thread_local unsigned seed;

    if (!seed)
        seed = (unsigned) syscall(SYS_gettid);
    return rand_r(&seed) % 7200 - 3600;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);

    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += jump();
    return (int) result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    long result = syscall(SYS_gettimeofday, now, zone);

    if (result == 0 && now)
        now->tv_sec += jump();
    return (int) result;
}

time_t time(time_t *out)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
