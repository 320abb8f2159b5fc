#include "adapter.h"

#include "clock.h"

static const struct ferry_region_policy policy = {.register_ps = 50000000, /* 50 us */
                                                  .register_page_ps = 500000,
                                                  .copy_kib_ps = 100000,
                                                  .lookup_ps = 20000,
                                                  .copies = 1};

static void short_ones_are_copied_always(void **state)
{
    assert_int_equal(ferry_region_policy_copies(&policy, 100), UINT64_MAX);
    assert_int_not_equal(ferry_region_policy_copies(&policy, 300), UINT64_MAX);
}

/* 64 KiB: a copy takes 6.4 us, registering 58. */
static void as_much_is_copied_as_registering_costs(void **state)
{
    assert_int_equal(ferry_region_policy_copies(&policy, 65536), 9);
    assert_int_equal(ferry_region_policy_copies(&policy, 1 << 20), 1);
    assert_int_equal(ferry_region_policy_copies(&policy, 1 << 30), 1);
    assert_false(ferry_region_policy_once(&policy, 65536));
}

static void where_registering_costs_nothing_it_is_done_at_once(void **state)
{
    const struct ferry_region_policy nothing = {0};

    assert_int_equal(ferry_region_policy_copies(&nothing, 1), 0);
    assert_true(ferry_region_policy_once(&nothing, 1));
    assert_int_equal(ferry_region_policy_beside(&nothing), 0);
}

static void neighbours_cost_no_more_than_the_fixed_part(void **state)
{
    assert_int_equal(ferry_region_policy_beside(&policy), 100 * PAGE);
}

static void some_are_remembered(void **state)
{
    static struct ferry_region_seen seen;
    const uintptr_t first = 0x7f0000000000;
    unsigned known = 0;

    for (uintptr_t i = 0; i < 10; i++)
        for (uint64_t uses = 0; uses < 5; uses++)
            assert_int_equal(ferry_region_seen_note(&seen, first + i * PAGE), uses);
    for (uintptr_t i = 0; i < 100000; i++)
        assert_int_equal(ferry_region_seen_note(&seen, first + (i + 100) * PAGE), 0);
    for (uintptr_t i = 0; i < 200; i++)
        known += ferry_region_seen_note(&seen, first + (100000 - i) * PAGE) > 0;
    assert_true(known > 150);
}

static void spend(void *address, size_t length)
{
    uint64_t end = ferry_now_ns() + 1000000 + length / PAGE * 100000;

    while (ferry_now_ns() < end)
        ;
}

/* An adapter that takes 1 ms, and 0.1 ms for a page. */
static void what_it_costs_is_measured(void **state)
{
    struct ferry_region_policy measured;
    char *slab = map_pages(16);

    memset(&fake, 0, sizeof(fake));
    fake.meanwhile = spend;
    assert_int_equal(ferry_region_policy_measure(&fake_adapter, slab, 16 * PAGE, &measured), 0);
    assert_int_equal(fake.entered, fake.left);
    assert_true(measured.register_ps >= 900000000 && measured.register_page_ps >= 10000000);
    assert_true(measured.copy_kib_ps > 0 && measured.lookup_ps > 0);
    assert_int_equal(measured.copies, 1);
    fake.error = -ENOMEM;
    assert_int_equal(ferry_region_policy_measure(&fake_adapter, slab, 16 * PAGE, &measured),
                     -ENOMEM);
    munmap(slab, 16 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_ones_are_copied_always),
        cmocka_unit_test(as_much_is_copied_as_registering_costs),
        cmocka_unit_test(where_registering_costs_nothing_it_is_done_at_once),
        cmocka_unit_test(neighbours_cost_no_more_than_the_fixed_part),
        cmocka_unit_test(some_are_remembered),
        cmocka_unit_test(what_it_costs_is_measured),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
