/*
 * The registration cache, told of unmapped memory, without events, and in a child.
 */
#include "adapter.h"

#include <pthread.h>

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
        cmocka_unit_test(without_events_each_region_serves_once),
        cmocka_unit_test(a_child_leaves_the_parents_regions_alone),
        cmocka_unit_test(caches_are_separate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
