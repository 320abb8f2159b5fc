/*
 * Waiting: what it burns, and that who sleeps is woken.
 */
#include "clock.h"
#include "job.h"
#include "unit.h"

#include <pthread.h>
#include <sys/resource.h>

#define WAIT_US 1500000

/* Processor time that this process has used, microseconds. */
static long used_us(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000L + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

/* Rank 0 says something long after the others began to wait for it; they have talked before. */
static void one_is_late(struct job *job)
{
    struct job_request r, s;
    uint8_t byte = 0;
    long before;

    for (int i = 0; i < job->size; i++)
        if (job->rank == 0 && i) {
            job_send(job, i, 1, &byte, 1, FERRY_SYNC, &s);
            job_wait(job, &s);
        }
    if (job->rank) {
        job_recv(job, 1, 0, &byte, 1, &r);
        job_wait(job, &r);
        before = used_us();
        job_recv(job, 2, 0, &byte, 1, &r);
        job_wait(job, &r);
        check(used_us() - before < WAIT_US / 4);
        return;
    }
    usleep(WAIT_US);
    for (int i = 1; i < job->size; i++) {
        job_send(job, i, 2, &byte, 1, 0, &s);
        job_wait(job, &s);
    }
}

/* Who polls does not sleep, and yet hears of a death: here the first rank, which hears it of each of the others. */
static void others_die(struct job *job)
{
    struct job_request r;
    uint8_t byte = 0;

    for (int i = 1; i < job->size; i++)
        if (job->rank == 0) {
            job_send(job, i, 1, &byte, 1, FERRY_SYNC, &r);
            job_wait(job, &r);
        }
    if (job->rank) {
        job_recv(job, 1, 0, &byte, 1, &r);
        job_wait(job, &r);
        kill(getpid(), SIGKILL);
    }
    while (job->lost < job->size - 1)
        ferry_poll(job->context);
    _exit(0);
}

static int with(const char *variable, const char *value, int size, void (*body)(struct job *))
{
    int failed;

    setenv(variable, value, 1);
    failed = job_run(size, body);
    unsetenv(variable);
    return failed;
}

static void waits_in_shared_memory(void **state)
{
    (void) state;
    assert_int_equal(job_run(2, one_is_late), 0);
}

static void waits_in_a_crowd(void **state)
{
    (void) state;
    assert_int_equal(job_run(JOB_MAX, one_is_late), 0);
}

static void polls(void **state)
{
    (void) state;
    assert_int_equal(job_run(2, others_die), 0);
    assert_int_equal(job_run(JOB_MAX, others_die), 0);
}

static uint64_t sleeps(ferry_context_t *context)
{
    ferry_counter_t counter;

    for (unsigned i = 0; ferry_counter(i, &counter); i++)
        if (!strcmp(counter.name, "ferry_sleeps"))
            return ferry_counter_value(context, i);
    abort();
}

/* Returns how often it slept. */
static uint64_t look_for_ms(struct job *job, unsigned ms)
{
    uint64_t end = ferry_now_ns() + ms * 1000000ull, before = sleeps(job->context);

    do
        ferry_progress(job->context);
    while (ferry_now_ns() < end);
    return sleeps(job->context) - before;
}

/* Who looks for messages between two steps of its work is to work on. Who has nothing else to do sleeps at last. */
static void rank_0_looks(struct job *job)
{
    uint64_t slept = 0;
    struct job_request r;
    uint8_t byte = 0;

    for (int i = 0; i < 10; i++) {
        if (job->rank == 0)
            job_send(job, 1, 1, &byte, 1, 0, &r);
        else
            job_recv(job, 1, 0, &byte, 1, &r);
        job_wait(job, &r);
        if (job->rank == 0)
            slept += look_for_ms(job, 4);
    }
    if (job->rank)
        return;
    /* None, unless it had no processor for long. */
    check(slept <= 3);
    check(look_for_ms(job, 500) > 10);
}

static void who_looks_works_on(void **state)
{
    (void) state;
    assert_int_equal(with("FERRY_SPIN", "0", 2, rank_0_looks), 0);
}

static void waits_for_the_network(void **state)
{
    (void) state;
    assert_int_equal(with("FERRY_TRANSPORTS", "fabric", 3, one_is_late), 0);
}

/* ---- Threads ---- */

struct lock {
    pthread_mutex_t mutex;
    int released;
};

static bool unlock(void *user)
{
    struct lock *lock = user;

    lock->released++;
    pthread_mutex_unlock(&lock->mutex);
    return true;
}

static void lock_again(void *user)
{
    struct lock *lock = user;

    pthread_mutex_lock(&lock->mutex);
}

struct threads {
    struct lock lock;
    ferry_context_t *context;
    ferry_peer_t *self;
    struct job_request wanted;
};

static void *wait_for_it(void *arg)
{
    struct threads *threads = arg;
    bool done = false;

    while (!done) {
        pthread_mutex_lock(&threads->lock.mutex);
        ferry_await(threads->context);
        done = threads->wanted.done;
        pthread_mutex_unlock(&threads->lock.mutex);
    }
    return NULL;
}

/* One thread waits for what another of the same process sends: that one must get the lock, and the waiting one
 * be woken. A test that hangs here has a sleeper with the lock. */
static void one_thread_waits_another_sends(void **state)
{
    static struct threads threads = {.lock = {.mutex = PTHREAD_MUTEX_INITIALIZER}};
    ferry_params_t params = {
        .size = 1, .unlock = unlock, .lock = lock_again, .user = &threads.lock};
    uint8_t address[FERRY_ADDRESS_MAX], byte = 7, got = 0;
    struct job_request sent = {.request.done = job_done};
    pthread_t thread;
    int length;

    (void) state;
    assert_int_equal(ferry_open(&params, &threads.context), 0);
    length = ferry_address(threads.context, address);
    assert_int_equal(ferry_peer_add(threads.context, address, length, NULL, &threads.self), 0);
    assert_int_equal(ferry_settle(threads.context), 0);
    threads.wanted.request.done = job_done;
    job_posted(&threads.wanted,
               ferry_recv(threads.context, 3, 0, &got, 1, &threads.wanted.request));
    pthread_create(&thread, NULL, wait_for_it, &threads);
    for (int i = 0; i < 100; i++) { /* until it sleeps, and goes on to */
        usleep(1000);
        pthread_mutex_lock(&threads.lock.mutex);
        pthread_mutex_unlock(&threads.lock.mutex);
    }
    pthread_mutex_lock(&threads.lock.mutex);
    assert_true(threads.lock.released > 0);
    job_posted(&sent, ferry_send(threads.self, 3, &byte, 1, 0, &sent.request));
    pthread_mutex_unlock(&threads.lock.mutex);
    pthread_join(thread, NULL);
    assert_int_equal(got, 7);
    ferry_close(threads.context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_in_shared_memory),
        cmocka_unit_test(waits_in_a_crowd),
        cmocka_unit_test(polls),
        cmocka_unit_test(who_looks_works_on),
        cmocka_unit_test(waits_for_the_network),
        cmocka_unit_test(one_thread_waits_another_sends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
