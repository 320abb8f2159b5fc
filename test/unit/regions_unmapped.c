/*
 * The registration cache, told of unmapped memory, without events, and in a child.
 */
#include "adapter.h"

#include <pthread.h>

#include "clock.h"

static const struct ferry_regions_options told = {.events = FERRY_REGIONS_TOLD};

/* Addresses that nothing lies at: the cache never touches memory. */
static char *const base = (char *) 0x100000000;

static bool is_registered(struct ferry_regions *cache, size_t page)
{
    int before = fake.entered;
    const struct ferry_region *region;

    fake.error = -EFAULT;
    if (ferry_regions_get(cache, base + page * PAGE, PAGE, &region) == 0)
        ferry_regions_put(region);
    else
        before--;
    fake.error = 0;
    return before == fake.entered;
}

static void unmap(const void *address, size_t length)
{
    ferry_regions_unmapping((uintptr_t) address, length);
    ferry_regions_unmapped();
}

static void unmapped_memory_is_not_found(void **state)
{
    struct ferry_regions *cache = open_with(told);

    assert_int_equal(touch(cache, base, 4 * PAGE), 0);
    unmap(base + 4 * PAGE, PAGE);
    unmap(base - PAGE, PAGE);
    assert_true(is_registered(cache, 0));
    unmap(base + 3 * PAGE, 1);
    assert_false(is_registered(cache, 0));
    assert_int_equal(fake.left, 1);
    assert_int_equal(touch(cache, base, 4 * PAGE), 0);
    assert_int_equal(fake.entered, 2);
    assert_int_equal(ferry_regions_count(cache).invalidations, 1);
    close_checked(cache);
}

static void one_in_use_is_deregistered_by_its_last_user(void **state)
{
    struct ferry_regions *cache = open_with(told);
    const struct ferry_region *one, *two;

    assert_int_equal(ferry_regions_get(cache, base, PAGE, &one), 0);
    assert_int_equal(ferry_regions_get(cache, base, PAGE, &two), 0);
    assert_ptr_equal(one, two);
    unmap(base, PAGE);
    ferry_regions_reap(cache);
    assert_int_equal(fake.left, 0);
    assert_int_equal(touch(cache, base, PAGE), 0); /* what is there now is another region */
    assert_int_equal(fake.entered, 2);
    ferry_regions_put(one);
    assert_int_equal(fake.left, 0);
    ferry_regions_put(two);
    assert_int_equal(fake.left, 1);
    close_checked(cache);
}

static void *put_elsewhere(void *region)
{
    ferry_regions_put(region);
    return NULL;
}

static void another_thread_may_be_the_last_user(void **state)
{
    struct ferry_regions *cache = open_with(told);
    const struct ferry_region *region;
    pthread_t thread;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(ferry_regions_get(cache, base, PAGE, &region), 0);
        if (i == 2)
            unmap(base, PAGE);
        pthread_create(&thread, NULL, put_elsewhere, (void *) (uintptr_t) region);
        pthread_join(thread, NULL);
        assert_int_equal(fake.left, i == 2);
    }
    close_checked(cache);
}

static void nothing_is_registered_while_it_is_unmapped(void **state)
{
    struct ferry_regions *cache = open_with(told);

    ferry_regions_unmapping((uintptr_t) base, PAGE);
    assert_int_equal(touch(cache, base, PAGE), -EAGAIN);
    assert_int_equal(touch(cache, base + PAGE, PAGE), 0);
    ferry_regions_unmapped();
    assert_int_equal(touch(cache, base, PAGE), 0);
    close_checked(cache);
}

static void nor_while_too_many_are_unmapped(void **state)
{
    struct ferry_regions *cache = open_with(told);

    for (size_t i = 0; i < 100; i++)
        ferry_regions_unmapping((uintptr_t) base + i * PAGE, PAGE);
    assert_int_equal(touch(cache, base + 99 * PAGE, PAGE), -EAGAIN);
    ferry_regions_unmapped();
    assert_int_equal(touch(cache, base + 99 * PAGE, PAGE), 0);
    close_checked(cache);
}

static void unmap_last_page(void *address, size_t length)
{
    unmap((char *) address + length - PAGE, PAGE);
}

static void unmapped_while_it_is_registered(void **state)
{
    struct ferry_regions *cache = open_with(told);
    const struct ferry_region *region;

    fake.meanwhile = unmap_last_page;
    assert_int_equal(ferry_regions_get(cache, base, 2 * PAGE, &region), 0);
    fake.meanwhile = NULL;
    assert_false(is_registered(cache, 0));
    assert_int_equal(fake.left, 0);
    ferry_regions_put(region);
    assert_int_equal(fake.left, 1);
    close_checked(cache);
}

static struct ferry_regions *asked;

static void ask_for_the_same(void *address, size_t length)
{
    const struct ferry_region *region;

    assert_int_equal(ferry_regions_get(asked, address, length, &region), -EAGAIN);
}

static void two_do_not_register_the_same(void **state)
{
    struct ferry_regions *cache = asked = open_with(told);

    fake.meanwhile = ask_for_the_same;
    assert_int_equal(touch(cache, base, PAGE), 0);
    assert_int_equal(fake.entered, 1);
    close_checked(cache);
}

/* ---- Races ---- */

/* Registrations that are never reused, so that a use after the end shows. */
#define REGISTRATIONS 2000000
static _Atomic unsigned char *ended; /* by number */
static _Atomic uintptr_t begun;
static _Atomic bool stop;
static _Atomic uint64_t taken, taken_ended;

static int begin(void *context, void *address, size_t length, void **handle)
{
    *handle = (void *) begun++;
    return 0;
}

static void end(void *context, void *handle)
{
    ended[(uintptr_t) handle] = 1;
}

static void *take_and_look(void *cache)
{
    const struct ferry_region *region;

    while (!stop) {
        if (ferry_regions_get(cache, base, PAGE, &region))
            continue;
        taken++;
        for (int i = 0; i < 10; i++)
            taken_ended += ended[(uintptr_t) region->handle];
        ferry_regions_put(region);
    }
    return NULL;
}

static void nobody_has_what_was_deregistered(void **state)
{
    const struct ferry_regions_adapter adapter = {begin, end, NULL};
    struct ferry_regions_counters counters;
    struct ferry_regions *cache;
    uint64_t until = ferry_now_ns() + 500000000;
    pthread_t threads[3];

    ended = calloc(REGISTRATIONS, 1);
    assert_int_equal(ferry_regions_open(&adapter, &told, &cache), 0);
    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, take_and_look, cache);
    while (ferry_now_ns() < until && begun < REGISTRATIONS - 10) {
        unmap(base, PAGE);
        ferry_regions_reap(cache);
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    unmap(base, PAGE);
    ferry_regions_reap(cache);
    counters = ferry_regions_count(cache);
    assert_true(taken > 0 && begun > 0);
    assert_int_equal(taken_ended, 0);
    assert_int_equal(counters.regions, 0);
    assert_int_equal(counters.bytes, 0);
    for (uintptr_t i = 0; i < begun; i++)
        assert_int_equal(ended[i], 1);
    ferry_regions_close(cache);
    free((void *) ended);
}

/* ---- Off, fork, several ---- */

static void without_events_each_region_serves_once(void **state)
{
    struct ferry_regions *cache =
        open_with((struct ferry_regions_options){.events = FERRY_REGIONS_BLIND});
    const struct ferry_region *one, *two;

    assert_non_null(ferry_regions_off(cache));
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(touch(cache, base, PAGE), 0);
        assert_int_equal(fake.entered, i);
        assert_int_equal(fake.left, i);
    }
    assert_int_equal(ferry_regions_get(cache, base, PAGE, &one), 0);
    assert_int_equal(ferry_regions_get(cache, base, PAGE, &two), 0);
    assert_ptr_not_equal(one, two);
    ferry_regions_put(one);
    ferry_regions_put(two);
    close_checked(cache);
}

static const struct ferry_region *parents;

static void in_child(void)
{
    check(ferry_regions_off(asked));
    ferry_regions_put(parents);
    check(fake.left == 0);
    check(touch(asked, base, PAGE) == 0);
    check(fake.entered == 2 && fake.left == 1); /* its own only */
    unmap(base, PAGE);
    ferry_regions_close(asked);
    check(fake.entered == 2 && fake.left == 1);
}

static void a_child_leaves_the_parents_regions_alone(void **state)
{
    struct ferry_regions *cache = asked = open_with(told);

    assert_int_equal(ferry_regions_get(cache, base, PAGE, &parents), 0);
    assert_int_equal(child_run(in_child), 0);
    assert_null(ferry_regions_off(cache));
    ferry_regions_put(parents);
    assert_int_equal(touch(cache, base, PAGE), 0);
    assert_int_equal(fake.entered, 1);
    close_checked(cache);
}

static void caches_are_separate(void **state)
{
    struct ferry_regions *caches[FERRY_REGIONS_CACHES], *more;

    for (int i = 0; i < FERRY_REGIONS_CACHES; i++)
        caches[i] = open_with(told);
    assert_int_equal(ferry_regions_open(&fake_adapter, &told, &more), -ENOSPC);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < FERRY_REGIONS_CACHES; i++)
            assert_int_equal(touch(caches[i], base, PAGE), 0);
    assert_int_equal(fake.entered, FERRY_REGIONS_CACHES);
    for (int i = 0; i < FERRY_REGIONS_CACHES; i++)
        assert_int_equal(ferry_regions_count(caches[i]).hits, 1);
    unmap(base, PAGE);
    for (int i = 0; i < FERRY_REGIONS_CACHES; i++)
        ferry_regions_close(caches[i]);
    assert_int_equal(fake.left, FERRY_REGIONS_CACHES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unmapped_memory_is_not_found),
        cmocka_unit_test(one_in_use_is_deregistered_by_its_last_user),
        cmocka_unit_test(another_thread_may_be_the_last_user),
        cmocka_unit_test(nothing_is_registered_while_it_is_unmapped),
        cmocka_unit_test(nor_while_too_many_are_unmapped),
        cmocka_unit_test(unmapped_while_it_is_registered),
        cmocka_unit_test(two_do_not_register_the_same),
        cmocka_unit_test(nobody_has_what_was_deregistered),
        cmocka_unit_test(without_events_each_region_serves_once),
        cmocka_unit_test(a_child_leaves_the_parents_regions_alone),
        cmocka_unit_test(caches_are_separate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
