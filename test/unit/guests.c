/*
 * A region of memory that goes wrong: a plain file stands for what virtual machines share.
 */
#include "unit.h"

#include "clock.h"
#include "guests.h"
#include "job.h"
#include "region.h"
#include "seal.h"

#include <fcntl.h>
#include <sys/stat.h>

#define SIZE ((size_t) 4 << 20)
#define LONG ((size_t) 1 << 20)

static int make_file(void **state)
{
    (void) state;
    return region_make("guests", SIZE);
}

static uint8_t *map_file(void)
{
    uint8_t *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    check(memory != MAP_FAILED);
    return memory;
}

/* ---- What is not used ---- */

/* Whether a process that may use nothing else finds memory to use. */
static bool is_used(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        ferry_params_t params = {.size = 1, .key = {1}};
        ferry_context_t *context;

        check(ferry_open(&params, &context) == 0);
        status = ferry_core_transport(context, &ferry_guests_ops) != NULL;
        ferry_close(context);
        _exit(status);
    }
    assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_others_use_is_left_alone(void **state)
{
    uint8_t *memory = map_file(), *before = malloc(SIZE);

    (void) state;
    for (size_t i = 0; i < SIZE; i++)
        memory[i] = (uint8_t) (i * 7 + (i >> 11));
    memcpy(before, memory, SIZE);
    assert_false(is_used());
    assert_memory_equal(memory, before, SIZE);
    free(before);
    munmap(memory, SIZE);
}

static void what_is_too_small_is_not_used(void **state)
{
    (void) state;
    assert_true(is_used());
    assert_int_equal(ftruncate(file, 0), 0);
    assert_false(is_used());
    assert_int_equal(ftruncate(file, 8192), 0);
    assert_false(is_used());
    assert_int_equal(ftruncate(file, 5000), 0);
    assert_false(is_used());
}

static void what_may_not_be_opened_is_not_used(void **state)
{
    (void) state;
    setenv("FERRY_GUESTS_MEMORY", "/dev/shm/ferry-test-there-is-none", 1);
    assert_false(is_used());
    setenv("FERRY_GUESTS_MEMORY", "/dev", 1);
    assert_false(is_used());
}

/* ---- What goes in the middle of a job ---- */

/* Exchanges messages until the other one is lost; whatever arrives is whole. */
static void talk_until_lost(struct job *job)
{
    uint8_t *out = malloc(LONG), *in = malloc(LONG);
    struct job_request s, r;

    for (unsigned i = 0; !job->lost; i++) {
        size_t length = i % 3 == 0 ? 8 : i % 3 == 1 ? 20000 : LONG;

        job_fill(out, length, i);
        job_recv(job, i, 0, in, length, &r);
        memset(&s, 0, sizeof(s));
        s.request.done = job_done;
        s.done = ferry_send(job->peers[!job->rank], i, out, length, 0, &s.request);
        if (s.done < 0)
            break;
        while (!r.done && !job->lost)
            ferry_progress(job->context);
        check(!r.done || r.request.status < 0 || job_filled(in, length, i));
        while (!job->lost && i == 300)
            ferry_await(job->context);
        if (i == 30 && job->rank == 1)
            atomic_store(&job->board->word, 1);
        while (!s.done && !job->lost)
            ferry_progress(job->context);
    }
    ferry_close(job->context);
    _exit(0);
}

static void erase_in_use(struct job *job)
{
    pid_t child = job->rank == 0 ? fork() : 1;

    if (child == 0) {
        while (!atomic_load(&job->board->word))
            usleep(100);
        memset(map_file(), 0, SIZE);
        _exit(0);
    }
    talk_until_lost(job);
}

static void truncate_in_use(struct job *job)
{
    pid_t child = job->rank == 0 ? fork() : 1;

    if (child == 0) {
        while (!atomic_load(&job->board->word))
            usleep(100);
        _exit(ftruncate(file, 0));
    }
    talk_until_lost(job);
}

/* A device that is unplugged reads as zeros. */
static void what_is_unplugged_ends_the_connection(void **state)
{
    (void) state;
    assert_int_equal(job_run(2, erase_in_use), 0);
}

static void what_is_truncated_ends_the_connection(void **state)
{
    (void) state;
    assert_int_equal(job_run(2, truncate_in_use), 0);
}

/* ---- Pauses ---- */

/* The second process stands still for so many seconds, in the middle of messages. */
static void stand_still(struct job *job, unsigned seconds)
{
    pid_t self = getpid();

    if (job->rank == 1 && fork() == 0) {
        usleep(200000);
        kill(self, SIGSTOP);
        sleep(seconds);
        kill(self, SIGCONT);
        _exit(0);
    }
}

static void pause_short(struct job *job)
{
    uint64_t out, in, end = ferry_now_ns() + 5000000000u;
    struct job_request s, r;

    stand_still(job, 3);
    for (bool goes_on = true; goes_on;) {
        out = job->rank == 0 && ferry_now_ns() > end;
        job_recv(job, 1, 0, &in, sizeof(in), &r);
        job_send(job, !job->rank, 1, &out, sizeof(out), 0, &s);
        job_wait(job, &r);
        job_wait(job, &s);
        check(r.request.status == 0);
        goes_on = job->rank == 0 ? !out : !in;
    }
    check(!job->lost);
}

static void pause_long(struct job *job)
{
    stand_still(job, 8);
    talk_until_lost(job);
}

static void a_pause_is_survived(void **state)
{
    (void) state;
    assert_int_equal(job_run(2, pause_short), 0);
}

static void a_pause_longer_than_the_lease_ends_the_connection(void **state)
{
    (void) state;
    setenv("FERRY_LEASE", "2s", 1);
    assert_int_equal(job_run(2, pause_long), 0);
}

/* ---- Seals ---- */

static void a_seal_holds_for_one_packet(void **state)
{
    uint8_t packet[FERRY_SEAL_SIZE + 24 + 5] = {0}, key[16] = {1}, other_key[16] = {2};
    uint8_t *lead = packet + FERRY_SEAL_SIZE;
    struct ferry_head head = {.type = FERRY_PKT_AM, .length = 24 + 5, .word = 3 | 24 << 16};
    uint64_t seal;

    (void) state;
    memset(lead, 9, 24 + 5);
    seal = ferry_seal(key, 7, &head, lead, 24);
    memcpy(packet, &seal, sizeof(seal));
    head.length += FERRY_SEAL_SIZE;
    for (unsigned i = 0; i < 6; i++) {
        struct ferry_head copy = head;
        const uint8_t *payload = packet;

        lead[3] = i == 1 ? 8 : 9;
        copy.word ^= i == 2;
        copy.type = i == 3 ? FERRY_PKT_AM_RTS : FERRY_PKT_AM;
        assert_int_equal(ferry_unseal(i == 4 ? other_key : key, i == 5 ? 8 : 7, &copy, &payload),
                         i ? -EPROTO : 0);
        assert_true(i || (payload == lead && copy.length == 24 + 5));
    }
    /* A header longer than the packet */
    for (uint64_t header = 30; header < 700; header += 20) {
        struct ferry_head copy = head;
        const uint8_t *payload = packet;

        copy.word = 3 | header << 16;
        assert_int_equal(ferry_unseal(key, 7, &copy, &payload), -EPROTO);
    }
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, make_file, region_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_file(what_others_use_is_left_alone),
        with_file(what_is_too_small_is_not_used),
        with_file(what_may_not_be_opened_is_not_used),
        with_file(what_is_unplugged_ends_the_connection),
        with_file(what_is_truncated_ends_the_connection),
        with_file(a_pause_is_survived),
        with_file(a_pause_longer_than_the_lease_ends_the_connection),
        cmocka_unit_test(a_seal_holds_for_one_packet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
