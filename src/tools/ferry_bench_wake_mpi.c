/*
 * What a wait costs, for maint/bench-wake: prints "name,value" for each figure.
 *
 *   ferry_bench_wake_mpi SECONDS
 *
 * Rank 0 sleeps so long while the others wait for it: wait, the most processor time that one of them used, seconds. Then,
 * 5 ms apart, it says a word to rank 1, which sleeps by then, and waits for its answer: wake, microseconds. Before that,
 * without MPI, it does the same with a child that sleeps on a futex, and with one that sleeps at a TCP socket. Last:
 * spoiled, 1 if stolen time spoiled the figures, else 0.
 */
#define _GNU_SOURCE
#include "load.h"

#include <arpa/inet.h>
#include <limits.h>
#include <linux/futex.h>
#include <mpi.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TURNS = 200, APART_US = 5000 };

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1e-9 * time.tv_nsec;
}

static double used(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec +
           1e-6 * (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static long futex(_Atomic int *word, int operation, int value)
{
    return syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

static void bare_futex(void)
{
    _Atomic int *word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double sum = 0;

    if (!fork()) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (int i = 0; i < TURNS; i++) {
            for (int value; (value = *word) != 2 * i + 1;)
                futex(word, FUTEX_WAIT, value);
            *word = 2 * i + 2;
        }
        _exit(0);
    }
    for (int i = 0; i < TURNS; i++) {
        double begin;

        usleep(APART_US);
        begin = now();
        *word = 2 * i + 1;
        futex(word, FUTEX_WAKE, INT_MAX);
        while (*word != 2 * i + 2)
            ;
        sum += now() - begin;
    }
    printf("futex,%.1f\n", sum / TURNS * 1e6);
}

static void bare_socket(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), end, one = 1;
    double sum = 0;
    char byte = 0;

    if (bind(listener, (struct sockaddr *) &address, length) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *) &address, &length))
        exit(1);
    if (!fork()) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        end = accept(listener, NULL, NULL);
        setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        for (int i = 0; i < TURNS; i++) {
            struct pollfd wait = {.fd = end, .events = POLLIN};

            if (poll(&wait, 1, -1) < 0 || read(end, &byte, 1) != 1 || write(end, &byte, 1) != 1)
                break;
        }
        _exit(0);
    }
    end = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(end, (struct sockaddr *) &address, length))
        exit(1);
    setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    for (int i = 0; i < TURNS; i++) {
        struct pollfd wait = {.fd = end, .events = POLLIN};
        double begin;

        usleep(APART_US);
        begin = now();
        if (write(end, &byte, 1) != 1)
            exit(1);
        while (poll(&wait, 1, 0) < 1)
            ;
        if (read(end, &byte, 1) != 1)
            exit(1);
        sum += now() - begin;
    }
    printf("socket,%.1f\n", sum / TURNS * 1e6);
}

static void wait_long(int rank, unsigned seconds)
{
    double before, spent, most;
    int word = 0;

    MPI_Barrier(MPI_COMM_WORLD);
    before = used();
    if (rank == 0)
        sleep(seconds);
    MPI_Bcast(&word, 1, MPI_INT, 0, MPI_COMM_WORLD);
    spent = rank ? used() - before : 0;
    MPI_Reduce(&spent, &most, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0)
        printf("wait,%.4f\n", most);
}

static void wake(int rank)
{
    double sum = 0;
    int word = 0;

    for (int i = 0; i < TURNS && rank < 2; i++) {
        double begin;

        if (rank == 1) {
            MPI_Recv(&word, 1, MPI_INT, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(&word, 1, MPI_INT, 0, 1, MPI_COMM_WORLD);
            continue;
        }
        usleep(APART_US);
        begin = now();
        MPI_Send(&word, 1, MPI_INT, 1, 1, MPI_COMM_WORLD);
        MPI_Recv(&word, 1, MPI_INT, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        sum += now() - begin;
    }
    if (rank == 0)
        printf("wake,%.1f\n", sum / TURNS * 1e6);
}

int main(int argc, char **argv)
{
    const char *first = getenv("PMI_RANK");
    uint64_t stolen_before = ferry_stolen_us("", 0);
    double begin = now();
    int rank;

    if (first && atoi(first) == 0) {
        bare_futex();
        bare_socket();
        fflush(stdout);
    }
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    wait_long(rank, argc > 1 ? (unsigned) atoi(argv[1]) : 1);
    wake(rank);
    if (rank == 0)
        printf("spoiled,%d\n", ferry_steal_spoils(ferry_stolen_us("", stolen_before),
                                                  (uint64_t) ((now() - begin) * 1e6)));
    MPI_Finalize();
    return 0;
}
