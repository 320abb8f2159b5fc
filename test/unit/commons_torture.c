/*
 * Many processes in one commons that take and give back, are killed, and are paused past their leases; and one that
 * writes nonsense all over it.
 *
 *   commons_torture            a few seconds
 *   commons_torture SECONDS    so long, each of both
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "commons_layout.h"
#include "commons_region.h"

#define SIZE (2 * MIB)
#define PROCESSES 5
#define OWN 6
#define LEASE 2000
#define GUARD 65536

static unsigned seconds = 4;
static char *region;
static uint64_t seed;

/* xorshift64 (Marsaglia 2003) */
static uint64_t below(uint64_t limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % limit;
}

static int setup(void **state)
{
    region = region_new(SIZE + 2 * GUARD);
    region += GUARD;
    return 0;
}

static int teardown(void **state)
{
    return munmap(region - GUARD, SIZE + 2 * GUARD);
}

/* ---- Those that mean well ---- */

struct mine {
    struct ferry_commons_segment segment;
    uint64_t value;
};

static void fill(struct mine *mine)
{
    uint64_t *words = mine->segment.memory;

    for (size_t i = 0; i < mine->segment.name.length / 8; i += 64)
        words[i] = mine->value;
}

static bool is_filled(const struct ferry_commons_segment *segment, uint64_t value, size_t step)
{
    const volatile uint64_t *words = segment->memory;

    for (size_t i = 0; i < segment->name.length / 8; i += step)
        if (words[i] != value)
            return false;
    return true;
}

/* Wrong bytes are allowed only where that is noticed: perhaps a moment later, when whoever wrote them late is still
 * about to say so. */
static void is_lost(const struct ferry_commons_segment *segment)
{
    for (int i = 0; i < 3000 && ferry_commons_holds(segment); i++)
        usleep(10000);
    check(!ferry_commons_holds(segment));
}

/* One for each process, shared: it is between a look, a write, and the look after it. */
static _Atomic bool *writing;
static int self;

/* One thing with one segment. False: it was lost. */
static bool use(struct ferry_commons *commons, struct mine *mine)
{
    if (mine->value && below(3) == 0) {
        if (!is_filled(&mine->segment, mine->value, 64)) {
            is_lost(&mine->segment);
            return false;
        }
        ferry_commons_free(commons, &mine->segment);
        mine->value = 0;
        return true;
    }
    if (!mine->value) {
        int error = ferry_commons_alloc(commons, 1 + below(below(4) ? 20000 : 500000),
                                        &mine->segment);

        check(error == 0 || error == -ENOSPC || error == -ESTALE);
        if (error)
            return error == -ENOSPC;
        if (!is_filled(&mine->segment, 0, 1)) {
            is_lost(&mine->segment);
            return false;
        }
        mine->value = 1 + below(UINT64_MAX - 1);
    }
    *writing = true;
    if (ferry_commons_holds(&mine->segment))
        fill(mine);
    if (!ferry_commons_holds(&mine->segment)) {
        ferry_commons_confess(commons, &mine->segment);
        *writing = false;
        return false;
    }
    *writing = false;
    return true;
}

static void live(void)
{
    struct mine mine[OWN];

    seed = (uint64_t) getpid() * 0x9e3779b97f4a7c15u;
    alarm(seconds + 300);
    writing += self;
    *writing = false;
    for (;;) {
        struct ferry_commons *commons = region_open(region, SIZE, LEASE, true);
        bool whole = true;

        memset(mine, 0, sizeof(mine));
        check(commons);
        for (unsigned rounds = (unsigned) below(3000); whole && rounds > 0; rounds--)
            whole = use(commons, &mine[below(OWN)]);
        ferry_commons_close(commons);
    }
}

/* Kills one that is stopped, unless it may have lost its segment in the middle of a write: it could not say so any
 * more. (See doc/commons.md: that remains.) */
static bool end_stopped(pid_t child, int i, bool was_long)
{
    if (was_long && writing[i])
        return false;
    kill(child, SIGKILL);
    assert_int_equal(child_end(child), -SIGKILL);
    return true;
}

static void stop(pid_t child)
{
    int status;

    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, &status, WUNTRACED), child);
    assert_true(WIFSTOPPED(status));
}

static pid_t start(int i)
{
    self = i;
    return child_start(live);
}

/* They are killed, paused for a moment, and paused past their leases. */
static void killed_and_paused(void **state)
{
    uint64_t until = ferry_now_ns() + seconds * SECOND;
    struct ferry_commons *commons = region_open(region, SIZE, 60000, true);
    pid_t child[PROCESSES];
    unsigned killed = 0, paused = 0;

    seed = ferry_now_ns() | 1;
    writing = (void *) region_new(4096);
    for (int i = 0; i < PROCESSES; i++)
        child[i] = start(i);
    while (ferry_now_ns() < until || !killed || !paused) {
        int i = (int) below(PROCESSES);
        bool is_long = below(3) == 0;

        usleep((useconds_t) below(200000));
        stop(child[i]);
        if (is_long)
            usleep((LEASE + 1500) * 1000);
        if (below(2) == 0 && end_stopped(child[i], i, is_long)) {
            child[i] = start(i);
            killed++;
        } else {
            assert_int_equal(kill(child[i], SIGCONT), 0);
            for (int ms = 0; is_long && ms < 10000 && writing[i]; ms++)
                usleep(1000);
            paused += is_long;
        }
    }
    for (int i = 0; i < PROCESSES; i++) {
        kill(child[i], SIGKILL);
        assert_int_equal(child_end(child[i]), -SIGKILL);
    }
    for (int i = 0; i < 3000 && !region_is_empty(commons); i++)
        usleep(10000);
    assert_true(region_is_empty(commons));
    print_message("%u killed, %u paused\n", killed, paused);
    ferry_commons_close(commons);
}

/* ---- One that does not ---- */

static uint64_t odd_number(const uint64_t *words, size_t count)
{
    switch (below(6)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return words[below(count)];
    case 3:
        return (uint64_t) 1 << below(64);
    case 4:
        return words[below(count)] ^ (uint64_t) 1 << below(64);
    default:
        return seed;
    }
}

/* Only the tables: the memory of the segments is everybody's own matter. */
static void scribble(void)
{
    struct ferry_commons_layout layout;
    uint64_t *words = (void *) region;
    size_t count;

    ferry_commons_lay_out(SIZE, &layout);
    count = layout.memory_at / 8;
    seed = (uint64_t) getpid() * 0x9e3779b97f4a7c15u;
    alarm(seconds + 300);
    for (;;) {
        if (below(1000) == 0)
            usleep(1000);
        words[below(below(2) ? 1024 : count)] = odd_number(words, count);
    }
}

static void stays_within(const struct ferry_commons_segment *segment, uint64_t memory_at)
{
    check((char *) segment->memory >= region + memory_at);
    check(segment->name.length <= SIZE);
    check((char *) segment->memory + segment->name.length <= region + SIZE);
}

/* Does all that can be done, whatever comes of it. */
static void use_nonsense(void)
{
    uint64_t until = ferry_now_ns() + seconds * SECOND;
    struct ferry_commons_segment segment[8], other;
    struct ferry_commons_layout layout;
    struct ferry_commons_usage usage;
    unsigned long opened = 0, taken = 0;

    ferry_commons_lay_out(SIZE, &layout);
    alarm(seconds + 300);
    seed = ferry_now_ns() | 1;
    do {
        struct ferry_commons *commons;
        bool have[8] = {false};

        /* A head that is right, for as long as it lasts. */
        memset(region, 0, layout.memory_at);
        commons = region_open(region, SIZE, LEASE, below(4) == 0);
        if (!commons)
            continue;
        opened++;
        for (int i = 0; i < 300; i++) {
            unsigned k = (unsigned) below(8);
            struct ferry_commons_owner owner = {.tag = below(2) ? seed
                                                                : below(64) << 24 | below(64) << 8};

            if (have[k]) {
                ferry_commons_confess(commons, &segment[k]);
                ferry_commons_free(commons, &segment[k]);
            }
            have[k] = ferry_commons_alloc(commons, 1 + below(100000), &segment[k]) == 0;
            if (have[k]) {
                taken++;
                stays_within(&segment[k], layout.memory_at);
                memset(segment[k].memory, 1, segment[k].name.length);
            }
            other.name = (struct ferry_commons_name){.offset = layout.memory_at + below(400) * 4096,
                                                     .length = below(100) * 4096,
                                                     .tag = owner.tag,
                                                     .seal = seed};
            if (ferry_commons_attach(commons, &other.name, &other) == 0)
                stays_within(&other, layout.memory_at);
            ferry_commons_state(commons, &owner);
            ferry_commons_usage(commons, &usage);
            check(usage.free <= usage.total && usage.total <= SIZE);
            ferry_commons_tend(commons, until + (uint64_t) i * SECOND);
        }
        ferry_commons_close(commons);
    } while (ferry_now_ns() < until);
    check(opened > 0 && taken > 0);
}

static void a_scribbler(void **state)
{
    pid_t hostile = child_start(scribble);

    memset(region - GUARD, 0x5a, GUARD);
    memset(region + SIZE, 0x5a, GUARD);
    assert_int_equal(child_run(use_nonsense), 0);
    kill(hostile, SIGKILL);
    child_end(hostile);
    for (size_t i = 0; i < GUARD; i++)
        assert_true(region[-1 - (ssize_t) i] == 0x5a && region[SIZE + i] == 0x5a);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        test(killed_and_paused),
        test(a_scribbler),
    };

    if (argc > 1)
        seconds = (unsigned) atoi(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
