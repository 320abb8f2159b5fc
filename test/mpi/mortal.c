/*
 * One rank is killed at a moment that was chosen before, whatever it does then: in MPI_Init, in one of the phases
 * that all repeat, or in MPI_Finalize. The kernel does it, by a timer.
 *     mortal VICTIM init|run|finalize MICROSECONDS FOLDER
 * The time counts from the beginning of the program, of the phases, or of MPI_Finalize. FOLDER/phase-RANK tells what a rank
 * is doing, and when it will be killed or has ended.
 */
#include "check.h"

#include <fcntl.h>
#include <signal.h>
#include <time.h>

#define RUN_SECONDS 0.3
enum { LONG = 300000, SHORT = 8 };

static const char *when;
static long delay_us, now_or_never_us;
static timer_t timer;
static int armed;
static int victim, phase_file = -1;
static char *out, *in;

static long now_us(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One line that is always whole: the phase and, in microseconds of the wall clock, when the rank dies. */
static void enter(const char *phase)
{
    char line[64];
    int length = snprintf(line, sizeof(line), "%-12s %-20ld\n", phase, now_or_never_us);

    if (phase_file >= 0 && pwrite(phase_file, line, (size_t) length, 0) != length)
        _exit(9);
}

static void die_later(const char *at)
{
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL};
    struct itimerspec time = {.it_value = {delay_us / 1000000, delay_us % 1000000 * 1000 + 1}};

    if (strcmp(at, when) != 0 || check_rank != victim)
        return;
    now_or_never_us = now_us(CLOCK_REALTIME) + delay_us;
    enter(at);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &time, NULL))
        _exit(9);
    armed = 1;
}

/* ---- Phases ---- */

static void messages(int round)
{
    for (int step = 1; step < check_size; step++) {
        int to = (check_rank + step) % check_size;
        int from = (check_rank + check_size - step) % check_size;
        int length = (round + step) % 3 == 0 ? LONG : SHORT;

        MPI_Sendrecv(out, length, MPI_BYTE, to, round, in, length, MPI_BYTE, from, round,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
}

static void collectives(int round)
{
    int mine = round + check_rank, sum;

    for (int i = 0; i < 10; i++) {
        MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    MPI_Bcast(out, LONG, MPI_BYTE, round % check_size, MPI_COMM_WORLD);
    MPI_Alltoall(out, SHORT, MPI_BYTE, in, SHORT, MPI_BYTE, MPI_COMM_WORLD);
}

static void windows(int round)
{
    MPI_Win win;
    int next = (check_rank + 1 + round % (check_size - 1)) % check_size;

    MPI_Win_create(in, LONG, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win);
    MPI_Win_fence(0, win);
    MPI_Put(out, LONG, MPI_BYTE, next, 0, LONG, MPI_BYTE, win);
    MPI_Win_fence(0, win);
    MPI_Win_lock(MPI_LOCK_SHARED, next, 0, win);
    MPI_Get(out, SHORT, MPI_BYTE, next, 0, SHORT, MPI_BYTE, win);
    MPI_Win_unlock(next, win);
    MPI_Win_free(&win);
}

static void communicators(int round)
{
    MPI_Comm copy, part;

    MPI_Comm_dup(MPI_COMM_WORLD, &copy);
    MPI_Comm_split(copy, (check_rank + round) % 2, 0, &part);
    for (int i = 0; i < 10; i++)
        MPI_Barrier(part);
    MPI_Comm_free(&part);
    MPI_Comm_free(&copy);
}

static void run(void)
{
    static const struct {
        const char *name;
        void (*run)(int round);
    } phases[] = {{"messages", messages},
                  {"collectives", collectives},
                  {"windows", windows},
                  {"communicators", communicators}};
    double begin = MPI_Wtime();
    int over = 0;

    for (int round = 0; !over; round++) {
        for (int i = 0; i < 4; i++) {
            enter(phases[i].name);
            phases[i].run(round);
        }
        over = MPI_Wtime() - begin > RUN_SECONDS;
        MPI_Bcast(&over, 1, MPI_INT, 0, MPI_COMM_WORLD);
    }
}

int main(int argc, char **argv)
{
    const char *rank = getenv("PMI_RANK");
    char name[4096];

    if (argc != 5 || !rank)
        return 2;
    check_rank = atoi(rank);
    victim = atoi(argv[1]);
    when = argv[2];
    delay_us = atol(argv[3]);
    snprintf(name, sizeof(name), "%s/phase-%d", argv[4], check_rank);
    phase_file = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);
    enter("init");
    die_later("init");
    check_start(&argc, &argv, 2);
    out = check_malloc(LONG);
    in = check_malloc(LONG);
    memset(out, 1, LONG);
    die_later("run");
    run();
    enter("finalize");
    die_later("finalize");
    MPI_Finalize();
    if (armed)
        timer_delete(timer);
    now_or_never_us = now_us(CLOCK_REALTIME);
    enter("end");
    return 0;
}
