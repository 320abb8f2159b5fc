/*
 * The registration cache, with an adapter that is none: what is found, copied, merged and evicted.
 */
#include "adapter.h"

static const struct ferry_regions_options told = {.events = FERRY_REGIONS_TOLD};

/* Addresses that nothing lies at: the cache never touches memory. */
static char *const base = (char *) 0x100000000;

static void a_region_is_registered_once(void **state)
{
    struct ferry_regions *cache = open_with(told);
    struct ferry_regions_counters counters;

    assert_null(ferry_regions_off(cache));
    assert_int_equal(touch(cache, base + 100, 5000), 0);
    assert_int_equal(fake.entered, 1);
    assert_ptr_equal(fake.last_entered.address, base);
    assert_int_equal(fake.last_entered.length, 2 * PAGE);
    for (int i = 0; i < 10; i++)
        assert_int_equal(touch(cache, base + 100, 5000), 0);
    assert_int_equal(touch(cache, base, 2 * PAGE), 0);
    assert_int_equal(touch(cache, base + PAGE, 1), 0); /* a page in its middle */
    assert_int_equal(touch(cache, base + PAGE, 1), 0);
    assert_int_equal(fake.entered, 1);
    assert_int_equal(fake.left, 0);
    counters = ferry_regions_count(cache);
    assert_int_equal(counters.hits, 13);
    assert_int_equal(counters.misses, 1);
    assert_int_equal(counters.registrations, 1);
    assert_int_equal(counters.regions, 1);
    assert_int_equal(counters.bytes, 2 * PAGE);
    close_checked(cache);
}

static void nonsense_is_refused(void **state)
{
    struct ferry_regions *cache = open_with(told);

    assert_int_equal(touch(cache, base, 0), -EINVAL);
    assert_int_equal(touch(cache, base, SIZE_MAX), -EINVAL);
    assert_true(touch(cache, (void *) (UINTPTR_MAX - 10), 5) < 0);
    assert_int_equal(fake.entered, 0);
    close_checked(cache);
}

static void many_are_told_apart(void **state)
{
    enum { COUNT = 20000 };
    struct ferry_regions *cache = open_with(told);

    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(touch(cache, base + (i * 7919 % COUNT) * 2 * PAGE, PAGE), 0);
    assert_int_equal(fake.entered, COUNT);
    for (size_t i = 0; i < COUNT; i += 2) {
        ferry_regions_unmapping((uintptr_t) base + i * 2 * PAGE, PAGE);
        ferry_regions_unmapped();
    }
    ferry_regions_reap(cache);
    assert_int_equal(fake.left, COUNT / 2);
    for (size_t i = 1; i < COUNT; i += 2)
        assert_int_equal(touch(cache, base + i * 2 * PAGE, PAGE), 0);
    assert_int_equal(fake.entered, COUNT);
    close_checked(cache);
}

/* ---- Copying first ---- */

static void a_first_use_is_copied(void **state)
{
    struct ferry_regions_options options = told;
    struct ferry_regions *cache;

    options.policy.copies = 1;
    cache = open_with(options);
    assert_int_equal(touch(cache, base, PAGE), -EAGAIN);
    assert_int_equal(touch(cache, base + 16 * PAGE, PAGE), -EAGAIN);
    assert_int_equal(fake.entered, 0);
    assert_int_equal(ferry_regions_count(cache).copies, 2);
    assert_int_equal(touch(cache, base, PAGE), 0);
    assert_int_equal(fake.entered, 1);
    close_checked(cache);
}

static void what_others_copied_is_a_use(void **state)
{
    struct ferry_regions_options options = told;
    struct ferry_regions *cache;

    options.policy.copies = 1;
    cache = open_with(options);
    ferry_regions_copied(cache, base, PAGE);
    assert_int_equal(fake.entered, 0);
    assert_int_equal(touch(cache, base, PAGE), 0);
    assert_int_equal(touch(cache, base + 16 * PAGE, PAGE), -EAGAIN);
    /* Of what is registered it says nothing new. */
    ferry_regions_copied(cache, base, PAGE);
    assert_int_equal(touch(cache, base, PAGE), 0);
    assert_int_equal(fake.entered, 1);
    close_checked(cache);
}

static void buffers_that_never_come_back_are_never_registered(void **state)
{
    struct ferry_regions_options options = told;
    struct ferry_regions *cache;

    options.policy.copies = 1;
    cache = open_with(options);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(touch(cache, base + i * PAGE, PAGE), -EAGAIN);
    assert_int_equal(fake.entered, 0);
    close_checked(cache);
}

/* ---- Merging ---- */

static void what_overlaps_is_merged(void **state)
{
    struct ferry_regions *cache = open_with(told);

    assert_int_equal(touch(cache, base, 4 * PAGE), 0);
    assert_int_equal(touch(cache, base + 6 * PAGE, 4 * PAGE), 0);
    assert_int_equal(touch(cache, base + 3 * PAGE, 4 * PAGE), 0);
    assert_int_equal(fake.entered, 3);
    assert_ptr_equal(fake.last_entered.address, base);
    assert_int_equal(fake.last_entered.length, 10 * PAGE);
    assert_int_equal(fake.left, 2);
    assert_int_equal(touch(cache, base, 10 * PAGE), 0);
    assert_int_equal(fake.entered, 3);
    assert_int_equal(ferry_regions_count(cache).merges, 2);
    close_checked(cache);
}

static void one_in_use_is_merged_and_lives_on(void **state)
{
    struct ferry_regions *cache = open_with(told);
    const struct ferry_region *region;

    assert_int_equal(ferry_regions_get(cache, base, 4 * PAGE, &region), 0);
    assert_int_equal(touch(cache, base + 3 * PAGE, 4 * PAGE), 0);
    assert_int_equal(fake.left, 0);
    assert_int_equal(region->end - region->start, 4 * PAGE);
    ferry_regions_put(region);
    assert_int_equal(fake.left, 1);
    assert_int_equal(fake.last_left.length, 4 * PAGE);
    close_checked(cache);
}

static void what_lies_beside_is_merged_where_that_is_cheap(void **state)
{
    struct ferry_regions_options options = told;
    struct ferry_regions *cache;

    options.policy.register_ps = 2000000;
    options.policy.register_page_ps = 1000000;
    options.policy.copy_kib_ps = 1ull << 40;
    cache = open_with(options);
    assert_int_equal(touch(cache, base, 2 * PAGE), 0);
    assert_int_equal(touch(cache, base + 2 * PAGE, PAGE), 0);
    assert_int_equal(fake.last_entered.length, 3 * PAGE);
    assert_int_equal(touch(cache, base + 3 * PAGE, PAGE), 0); /* three pages would cost too much */
    assert_int_equal(fake.last_entered.length, PAGE);
    assert_ptr_equal(fake.last_entered.address, base + 3 * PAGE);
    close_checked(cache);
}

static void where_the_whole_fails_the_part_is_registered(void **state)
{
    struct ferry_regions *cache = open_with(told);

    fake.longest = 4 * PAGE;
    assert_int_equal(touch(cache, base, 4 * PAGE), 0);
    assert_int_equal(touch(cache, base + 3 * PAGE, 4 * PAGE), 0);
    assert_ptr_equal(fake.last_entered.address, base + 3 * PAGE);
    assert_int_equal(fake.last_entered.length, 4 * PAGE);
    close_checked(cache);
}

/* ---- Bounds ---- */

static void the_count_is_bounded_by_last_use(void **state)
{
    struct ferry_regions_options options = told;
    struct ferry_regions *cache;

    options.count = 4;
    cache = open_with(options);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(touch(cache, base + 2 * i * PAGE, PAGE), 0);
    assert_int_equal(touch(cache, base, PAGE), 0);
    assert_int_equal(touch(cache, base + 100 * PAGE, PAGE), 0); /* in place of 2 */
    assert_int_equal(fake.left, 1);
    assert_ptr_equal(fake.last_left.address, base + 2 * PAGE);
    assert_int_equal(touch(cache, base + 4 * PAGE, PAGE), 0);
    assert_int_equal(touch(cache, base + 102 * PAGE, PAGE), 0); /* in place of 6 */
    assert_ptr_equal(fake.last_left.address, base + 6 * PAGE);
    assert_int_equal(touch(cache, base + 104 * PAGE, PAGE), 0); /* in place of 0 */
    assert_ptr_equal(fake.last_left.address, base);
    assert_int_equal(ferry_regions_count(cache).evictions, 3);
    assert_int_equal(ferry_regions_count(cache).regions, 4);
    close_checked(cache);
}

static void the_bytes_are_bounded(void **state)
{
    struct ferry_regions_options options = told;
    struct ferry_regions *cache;

    options.bytes = 10 * PAGE;
    cache = open_with(options);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(touch(cache, base + 8 * i * PAGE, (i % 7 + 1) * PAGE), 0);
        assert_true(fake.bytes <= 10 * PAGE);
    }
    assert_int_equal(touch(cache, base, 11 * PAGE), -EAGAIN);
    close_checked(cache);
}

static void what_is_in_use_is_not_evicted(void **state)
{
    struct ferry_regions_options options = told;
    const struct ferry_region *one, *two;
    struct ferry_regions *cache;

    options.count = 2;
    cache = open_with(options);
    assert_int_equal(ferry_regions_get(cache, base, PAGE, &one), 0);
    assert_int_equal(touch(cache, base + 2 * PAGE, PAGE), 0);
    assert_int_equal(ferry_regions_get(cache, base + 4 * PAGE, PAGE, &two), 0);
    assert_ptr_equal(fake.last_left.address, base + 2 * PAGE);
    assert_int_equal(touch(cache, base + 6 * PAGE, PAGE), -EAGAIN);
    assert_int_equal(fake.left, 1);
    ferry_regions_put(one);
    assert_int_equal(touch(cache, base + 6 * PAGE, PAGE), 0);
    ferry_regions_put(two);
    close_checked(cache);
}

static void the_limit_of_locked_memory_is_found_out(void **state)
{
    struct ferry_regions *cache = open_with(told);

    fake.most_bytes = 8 * PAGE;
    for (size_t i = 0; i < 50; i++)
        assert_int_equal(touch(cache, base + 4 * i * PAGE, (i % 3 + 1) * PAGE), 0);
    assert_true(ferry_regions_count(cache).bound < 12 * PAGE);
    assert_true(ferry_regions_count(cache).failures > 0);
    assert_int_equal(touch(cache, base, 9 * PAGE), -EAGAIN);
    assert_int_equal(touch(cache, base + 1000 * PAGE, PAGE), 0);
    close_checked(cache);
}

static void a_lowered_bound_is_tried_again(void **state)
{
    struct ferry_regions *cache = open_with(told);
    int result = -EAGAIN;

    fake.most_bytes = 1;
    assert_int_equal(touch(cache, base, PAGE), -EAGAIN);
    assert_int_equal(touch(cache, base, PAGE), -EAGAIN);
    assert_int_equal(ferry_regions_count(cache).failures, 1);
    fake.most_bytes = 0;
    for (int i = 0; i < 2000 && result; i++)
        result = touch(cache, base, PAGE);
    assert_int_equal(result, 0);
    close_checked(cache);
}

static void other_errors_are_passed_on(void **state)
{
    struct ferry_regions *cache = open_with(told);

    fake.error = -EFAULT;
    assert_int_equal(touch(cache, base, PAGE), -EFAULT);
    assert_int_equal(ferry_regions_count(cache).regions, 0);
    fake.error = 0;
    assert_int_equal(touch(cache, base, PAGE), 0);
    close_checked(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_region_is_registered_once),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(many_are_told_apart),
        cmocka_unit_test(a_first_use_is_copied),
        cmocka_unit_test(what_others_copied_is_a_use),
        cmocka_unit_test(buffers_that_never_come_back_are_never_registered),
        cmocka_unit_test(what_overlaps_is_merged),
        cmocka_unit_test(one_in_use_is_merged_and_lives_on),
        cmocka_unit_test(what_lies_beside_is_merged_where_that_is_cheap),
        cmocka_unit_test(where_the_whole_fails_the_part_is_registered),
        cmocka_unit_test(the_count_is_bounded_by_last_use),
        cmocka_unit_test(the_bytes_are_bounded),
        cmocka_unit_test(what_is_in_use_is_not_evicted),
        cmocka_unit_test(the_limit_of_locked_memory_is_found_out),
        cmocka_unit_test(a_lowered_bound_is_tried_again),
        cmocka_unit_test(other_errors_are_passed_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
