/*
 * Boards: processes that share a segment, and what they tell each other in it.
 */
#include "unit.h"

#include "auth.h"
#include "board.h"
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static uint8_t key[16];
static const uint8_t nonces[3][16] = {"nonce of rank 0", "nonce of rank 1", "nonce of rank 2"};
static const uint8_t probes[3][16] = {"probe of rank 0", "probe of rank 1", "probe of rank 2"};

/* Through which parent and children know how far the others are. */
static _Atomic int *step;

static int setup(void **state)
{
    ferry_random(key, sizeof(key));
    step = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return step == MAP_FAILED;
}

static int teardown(void **state)
{
    return munmap((void *) step, 4096);
}

static void reach_step(int number)
{
    atomic_store(step, number);
}

static void await_step(int number)
{
    for (unsigned i = 0; atomic_load(step) < number; i++) {
        check(i < 30000);
        usleep(1000);
    }
}

static struct ferry_place *abstract_place(void)
{
    static struct ferry_place place = {.abstract = true, .own_only = true, .fd = -1};

    return &place;
}

static const struct ferry_quota quota;

static struct ferry_board *join(struct ferry_place *place, uint32_t rank)
{
    struct ferry_board_params params = {.key = key,
                                        .nonce = nonces[rank],
                                        .rank = rank,
                                        .size = 3,
                                        .quota = &quota,
                                        .probe = probes[rank]};

    return ferry_board_join(place, 3, &params);
}

static void members_know_each_other(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0), *b = join(abstract_place(), 1);
    uint8_t probe[16];

    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(ferry_board_id(a), ferry_board_id(b));
    assert_true(ferry_board_has(a, 0, nonces[0]));
    assert_true(ferry_board_has(a, 1, nonces[1]));
    assert_true(ferry_board_has(b, 0, nonces[0]));
    /* Another who says that it has this rank, one that did not come, and one that can't be. */
    assert_false(ferry_board_has(a, 1, nonces[2]));
    assert_false(ferry_board_has(a, 2, nonces[2]));
    assert_false(ferry_board_has(a, 3, nonces[2]));
    assert_false(ferry_board_has(a, UINT32_MAX, nonces[2]));
    assert_int_equal(ferry_board_probe(a, 1, probe), (uintptr_t) probes[1]);
    assert_memory_equal(probe, probes[1], 16);
    ferry_board_leave(a);
    assert_false(ferry_board_has(b, 0, nonces[0]));
    ferry_board_leave(b);
}

static void another_key_is_another_board(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0), *b;

    key[3] ^= 1;
    b = join(abstract_place(), 1);
    assert_int_not_equal(ferry_board_id(a), ferry_board_id(b));
    assert_false(ferry_board_has(b, 0, nonces[0]));
    ferry_board_leave(a);
    ferry_board_leave(b);
}

/* Another number of processes under the same key must not take this layout for its own. */
static void another_size_is_refused(void **state)
{
    struct ferry_board_params params = {
        .key = key, .nonce = nonces[1], .rank = 1, .size = 2, .quota = &quota, .probe = probes[1]};
    struct ferry_board *a = join(abstract_place(), 0), *b;

    b = ferry_board_join(abstract_place(), 3, &params);
    if (b) {
        assert_int_not_equal(ferry_board_id(a), ferry_board_id(b));
        ferry_board_leave(b);
    }
    ferry_board_leave(a);
}

static void settled_boards_let_nobody_in(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0), *b;

    ferry_board_settle(a);
    b = join(abstract_place(), 1);
    assert_int_not_equal(ferry_board_id(a), ferry_board_id(b));
    ferry_board_leave(a);
    ferry_board_leave(b);
}

static void telling(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0), *b = join(abstract_place(), 1);
    uint32_t knocks = ferry_board_knocks(b);

    assert_int_equal(ferry_board_told(b, 0), 0);
    ferry_board_tell(a, 1, 0x123456789abcull);
    assert_int_equal(ferry_board_knocks(b), knocks + 1);
    assert_int_equal(ferry_board_knocks(a), 0);
    assert_int_equal(ferry_board_told(b, 0), 0x123456789abcull);
    assert_int_equal(ferry_board_told(b, 1), 0);
    assert_int_equal(ferry_board_told(a, 0), 0);
    ferry_board_tell(b, 1, 7); /* to itself */
    assert_int_equal(ferry_board_told(b, 1), 7);
    ferry_board_leave(a);
    ferry_board_leave(b);
}

/* Two sleep at the same time; a test that hangs here was not woken. */
static void resting(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0), *b = join(abstract_place(), 1);
    const uint64_t both[1] = {3}, second[1] = {2}, third[1] = {4};

    assert_int_equal(ferry_board_resting(a, both), 0);
    assert_true(ferry_board_lie_down(a, true));
    assert_true(ferry_board_lie_down(b, false));
    assert_int_equal(ferry_board_resting(a, both), 2);
    assert_int_equal(ferry_board_resting(b, second), 1);
    assert_int_equal(ferry_board_resting(b, third), 0);
    /* Who is woken before it sleeps does not sleep, and counts as awake at once. */
    ferry_board_wake(a, 1);
    assert_int_equal(ferry_board_resting(a, both), 1);
    ferry_board_sleep(b, 3600000000u);
    ferry_board_get_up(b, true);
    assert_int_equal(ferry_board_resting(a, both), 1);
    /* Who only looks around still rests; then works. */
    ferry_board_sleep(a, 1000);
    ferry_board_get_up(a, false);
    assert_int_equal(ferry_board_resting(b, both), 1);
    ferry_board_get_up(a, true);
    assert_int_equal(ferry_board_resting(b, both), 0);
    ferry_board_leave(a);
    ferry_board_leave(b);
}

static void memory(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0), *b = join(abstract_place(), 1);
    uint64_t first, second;
    char *mine, *other, *theirs;

    assert_int_equal(ferry_board_alloc(a, 10000, &first, (void **) &mine), 0);
    assert_int_equal(ferry_board_alloc(b, 10000, &second, (void **) &other), 0);
    assert_true(first % 4096 == 0 && second >= first + 10000);
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(mine[i], 0);
    strcpy(mine + 9000, "written by rank 0");
    assert_int_equal(ferry_board_map(b, first, 10000, (void **) &theirs), 0);
    assert_string_equal(theirs + 9000, "written by rank 0");
    ferry_board_drop(a, first, 10000);
    assert_string_equal(theirs + 9000, "");
    ferry_board_unmap(mine, 10000);
    ferry_board_unmap(other, 10000);
    ferry_board_unmap(theirs, 10000);
    ferry_board_leave(a);
    ferry_board_leave(b);
}

/* What another member says is looked at before anything is mapped. */
/* What can't be had takes nothing from what can. */
static void little_memory(void **state)
{
    struct rlimit before, limit;
    struct ferry_board *a;
    uint64_t offset;
    void *memory;
    int count = 0;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 1 << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    a = join(abstract_place(), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_non_null(a);
    assert_true(ferry_board_is_scarce(a, 1 << 20, 4096));
    assert_false(ferry_board_is_scarce(a, 4096, 4096));
    for (int i = 0; i < 100; i++)
        assert_int_equal(ferry_board_alloc(a, 1 << 20, &offset, &memory), -ENOSPC);
    while (count < 1000 && ferry_board_alloc(a, 4096, &offset, &memory) == 0)
        count++;
    assert_in_range(count, 100, 256);
    assert_true(ferry_board_is_scarce(a, 4096, 4096));
    ferry_board_leave(a);
}

/* What was kept back is there when nothing else is, and whoever can't keep so much back stays away. */
static void memory_kept_back(void **state)
{
    struct ferry_board_params params = {.key = key,
                                        .nonce = nonces[0],
                                        .size = 3,
                                        .quota = &quota,
                                        .spares = 2,
                                        .spare_length = 5000,
                                        .probe = probes[0]};
    struct rlimit before, limit;
    struct ferry_board *a, *b;
    uint64_t offsets[2];
    char *mine, *theirs;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 1 << 18;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    a = ferry_board_join(abstract_place(), 3, &params);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_non_null(a);
    while (ferry_board_alloc(a, 4096, &offsets[0], (void **) &mine) == 0)
        ;
    b = join(abstract_place(), 1);
    assert_int_equal(ferry_board_id(a), ferry_board_id(b));
    assert_int_equal(ferry_board_alloc_spare(b, 100, &offsets[0], (void **) &mine), -ENOSPC);
    assert_int_equal(ferry_board_alloc_spare(a, 8193, &offsets[0], (void **) &mine), -ENOSPC);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ferry_board_alloc_spare(a, 5000, &offsets[i], (void **) &mine), 0);
        mine[4999] = (char) (i + 1);
    }
    assert_int_equal(ferry_board_alloc_spare(a, 100, &offsets[0], (void **) &mine), -ENOSPC);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ferry_board_map(b, offsets[i], 5000, (void **) &theirs), 0);
        assert_int_equal(theirs[4999], i + 1);
    }
    params.rank = 2;
    params.nonce = nonces[2];
    assert_null(ferry_board_join(abstract_place(), 3, &params));
    ferry_board_leave(a);
    ferry_board_leave(b);
}

static void memory_that_can_not_be(void **state)
{
    static const uint64_t offsets[] = {0, 4096, 1, 4095, 1ull << 63, UINT64_MAX, UINT64_MAX - 4095};
    struct ferry_board *a = join(abstract_place(), 0);
    uint64_t offset;
    void *memory;

    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(ferry_board_map(a, offsets[i], 4096, &memory), -EPROTO);
    assert_int_equal(ferry_board_alloc(a, 4096, &offset, &memory), 0);
    ferry_board_unmap(memory, 4096);
    assert_true(ferry_board_map(a, offset + 8, 4096, &memory) < 0);
    assert_true(ferry_board_map(a, offset, 1ull << 50, &memory) < 0);
    assert_true(ferry_board_map(a, offset, SIZE_MAX, &memory) < 0);
    assert_true(ferry_board_alloc(a, 1ull << 41, &offset, &memory) < 0);
    /* That one was refused does not keep the next out. */
    assert_int_equal(ferry_board_alloc(a, 4096, &offset, &memory), 0);
    ferry_board_unmap(memory, 4096);
    ferry_board_leave(a);
}

/* ---- Who lives ---- */

static void member_that_leaves(void)
{
    struct ferry_board *board = join(abstract_place(), 1);

    check(board);
    reach_step(1);
    await_step(2);
    ferry_board_leave(board);
    reach_step(3);
    await_step(4);
}

static void member_that_waits(void)
{
    check(join(abstract_place(), 1));
    reach_step(1);
    pause();
}

static void own_liveness(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0), *b = join(abstract_place(), 1);
    int pid = 0;

    assert_int_equal(ferry_board_liveness(a, 0, &pid), FERRY_ALIVE);
    assert_int_equal(pid, getpid());
    assert_int_equal(ferry_board_liveness(a, 1, NULL), FERRY_ALIVE);
    ferry_board_leave(b);
    assert_int_not_equal(ferry_board_liveness(a, 1, NULL), FERRY_DEAD);
    assert_int_equal(ferry_board_liveness(a, 0, NULL), FERRY_ALIVE);
    ferry_board_leave(a);
}

static void one_leaves(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0);
    pid_t child = child_start(member_that_leaves);
    int pid;

    await_step(1);
    assert_int_equal(ferry_board_liveness(a, 1, &pid), FERRY_ALIVE);
    assert_int_equal(pid, child);
    reach_step(2);
    await_step(3);
    assert_int_equal(ferry_board_liveness(a, 1, NULL), FERRY_LEFT);
    reach_step(4);
    assert_int_equal(child_end(child), 0);
    assert_int_equal(ferry_board_liveness(a, 1, NULL), FERRY_LEFT);
    assert_int_equal(ferry_board_liveness(a, 0, NULL), FERRY_ALIVE);
    ferry_board_leave(a);
}

static void one_is_paused_then_killed(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0);
    pid_t child = child_start(member_that_waits);

    await_step(1);
    assert_int_equal(kill(child, SIGSTOP), 0);
    usleep(10000);
    assert_int_equal(ferry_board_liveness(a, 1, NULL), FERRY_ALIVE);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(child_end(child), -SIGKILL);
    assert_int_equal(ferry_board_liveness(a, 1, NULL), FERRY_DEAD);
    ferry_board_leave(a);
}

/* A child of a member that is forked has no part in the lock, and doesn't keep it. */
static void member_with_a_child(void)
{
    check(join(abstract_place(), 1));
    if (fork() == 0) {
        reach_step(1);
        await_step(2);
        _exit(0);
    }
    pause();
}

static void a_childs_child_does_not_live_for_it(void **state)
{
    struct ferry_board *a = join(abstract_place(), 0);
    pid_t child = child_start(member_with_a_child);

    await_step(1);
    assert_int_equal(ferry_board_liveness(a, 1, NULL), FERRY_ALIVE);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(child_end(child), -SIGKILL);
    assert_int_equal(ferry_board_liveness(a, 1, NULL), FERRY_DEAD);
    reach_step(2);
    ferry_board_leave(a);
}

/* ---- A file that is taken away ---- */

static void truncate_a_file(void)
{
    struct ferry_place places[FERRY_PLACES_MAX];
    char directory[] = "/dev/shm/board-XXXXXX", path[128];
    struct ferry_board *a, *b;
    void *memory;
    uint64_t offset;

    check(mkdtemp(directory));
    setenv("FERRY_DIR", directory, 1);
    setenv("FERRY_SEGMENT", "file", 1);
    check(ferry_places_open(places) == 2);
    a = join(&places[1], 0);
    b = join(&places[1], 1);
    check(a && b && ferry_board_id(a) == ferry_board_id(b));
    check(ferry_board_kind(a) == FERRY_SEGMENT_FILE);
    check(ferry_board_alloc(a, 4096, &offset, &memory) == 0);
    check(!ferry_board_faulted(a));
    snprintf(path, sizeof(path), "for f in %s/*; do : > $f; done", directory);
    check(system(path) == 0);
    *(volatile char *) memory = 1;
    check(ferry_board_faulted(a));
    ferry_board_knocks(b);
    ferry_board_has(b, 0, nonces[0]);
    check(ferry_board_faulted(b));
    ferry_board_unmap(memory, 4096);
    ferry_board_leave(a);
    ferry_board_leave(b);
    snprintf(path, sizeof(path), "rmdir %s", directory);
    check(system(path) == 0);
}

static void a_file_is_truncated(void **state)
{
    if (access("/dev/shm", W_OK) != 0)
        skip();
    assert_int_equal(child_run(truncate_a_file), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_file_is_truncated), /* first: FERRY_SEGMENT is read once */
        test(members_know_each_other),
        test(another_key_is_another_board),
        test(another_size_is_refused),
        test(settled_boards_let_nobody_in),
        test(telling),
        test(resting),
        test(memory),
        test(little_memory),
        test(memory_kept_back),
        test(memory_that_can_not_be),
        test(own_liveness),
        test(one_leaves),
        test(one_is_paused_then_killed),
        test(a_childs_child_does_not_live_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
