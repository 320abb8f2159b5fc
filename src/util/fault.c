#include "fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>

#define RANGES 4096

/* Read by a signal handler: base is written last, and cleared first. */
static struct range {
    _Atomic uintptr_t base; /* 0: free */
    size_t length;
    _Atomic bool *flag;
} ranges[RANGES];
static _Atomic unsigned used; /* ranges below are or were in use */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sigaction before;
static bool installed;

/* Puts fresh memory where the fault was. Only mmap() is called, which is a plain system call. */
static bool mend(uintptr_t address)
{
    for (unsigned i = 0; i < atomic_load(&used); i++) {
        uintptr_t base = atomic_load(&ranges[i].base);

        if (!base || address < base || address - base >= ranges[i].length)
            continue;
        atomic_store(ranges[i].flag, true);
        return mmap((void *) base, ranges[i].length, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
    }
    return false;
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;

    if (mend((uintptr_t) info->si_addr)) {
        errno = saved;
        return;
    }
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(number, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
    } else {
        /* The faulting instruction is run again, and ends the process as it would have. */
        signal(number, SIG_DFL);
    }
}

static int install(void)
{
    struct sigaction action = {.sa_sigaction = on_fault,
                               .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};

    if (installed)
        return 0;
    if (sigaction(SIGBUS, &action, &before))
        return -errno;
    installed = true;
    return 0;
}

int ferry_fault_guard(void *base, size_t length, _Atomic bool *flag)
{
    int result = -ENOSPC;

    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < RANGES && result == -ENOSPC; i++) {
        if (atomic_load(&ranges[i].base))
            continue;
        result = install();
        if (result)
            break;
        ranges[i].length = length;
        ranges[i].flag = flag;
        atomic_store(&ranges[i].base, (uintptr_t) base);
        if (i >= atomic_load(&used))
            atomic_store(&used, i + 1);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

void ferry_fault_unguard(void *base)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < atomic_load(&used); i++)
        if (atomic_load(&ranges[i].base) == (uintptr_t) base)
            atomic_store(&ranges[i].base, 0);
    pthread_mutex_unlock(&lock);
}
