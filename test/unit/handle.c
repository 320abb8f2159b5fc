#include "unit.h"

#include "handle.h"

static int objects[3];

static void found_while_valid(void **state)
{
    struct ferry_handles handles;
    uint64_t a, b;

    ferry_handles_init(&handles);
    a = ferry_handle_new(&handles, &objects[0]);
    b = ferry_handle_new(&handles, &objects[1]);
    assert_true(a != 0 && b != 0 && a != b);
    assert_ptr_equal(ferry_handle_get(&handles, a), &objects[0]);
    assert_ptr_equal(ferry_handle_get(&handles, b), &objects[1]);
    ferry_handle_free(&handles, a);
    assert_null(ferry_handle_get(&handles, a));
    assert_ptr_equal(ferry_handle_get(&handles, b), &objects[1]);
    ferry_handles_fini(&handles);
}

static void an_old_one_finds_nothing(void **state)
{
    struct ferry_handles handles;
    uint64_t old, new;

    ferry_handles_init(&handles);
    old = ferry_handle_new(&handles, &objects[0]);
    ferry_handle_free(&handles, old);
    new = ferry_handle_new(&handles, &objects[1]); /* in the same place */
    assert_int_equal((uint32_t) old, (uint32_t) new);
    assert_null(ferry_handle_get(&handles, old));
    assert_ptr_equal(ferry_handle_get(&handles, new), &objects[1]);
    ferry_handles_fini(&handles);
}

static void invented_ones_find_nothing(void **state)
{
    struct ferry_handles handles;
    uint64_t handle;

    ferry_handles_init(&handles);
    assert_null(ferry_handle_get(&handles, 0));
    assert_null(ferry_handle_get(&handles, UINT64_MAX));
    handle = ferry_handle_new(&handles, &objects[0]);
    assert_null(ferry_handle_get(&handles, 0));
    assert_null(ferry_handle_get(&handles, UINT64_MAX));
    assert_null(ferry_handle_get(&handles, handle + 1));
    assert_null(ferry_handle_get(&handles, handle + (1ull << 32)));
    for (uint64_t index = 0; index < 1000; index++)
        for (uint64_t generation = 0; generation < 3; generation++)
            if ((generation << 32 | index) != handle)
                assert_null(ferry_handle_get(&handles, generation << 32 | index));
    ferry_handles_fini(&handles);
}

static void generations_wrap(void **state)
{
    struct ferry_handles handles;
    uint64_t handle;

    ferry_handles_init(&handles);
    handle = ferry_handle_new(&handles, &objects[0]);
    handles.entries[(uint32_t) handle].generation = UINT32_MAX;
    ferry_handle_free(&handles, handle);
    handle = ferry_handle_new(&handles, &objects[0]);
    assert_int_not_equal(handle, 0);
    assert_ptr_equal(ferry_handle_get(&handles, handle), &objects[0]);
    ferry_handles_fini(&handles);
}

static void many(void **state)
{
    enum { COUNT = 10000 };
    static uint64_t all[COUNT];
    static char many_objects[COUNT];
    struct ferry_handles handles;

    ferry_handles_init(&handles);
    for (int i = 0; i < COUNT; i++)
        all[i] = ferry_handle_new(&handles, &many_objects[i]);
    for (int i = 0; i < COUNT; i += 3)
        ferry_handle_free(&handles, all[i]);
    for (int i = 0; i < COUNT; i += 3)
        all[i] = ferry_handle_new(&handles, &many_objects[i]);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(ferry_handle_get(&handles, all[i]), &many_objects[i]);
    ferry_handles_fini(&handles);
    assert_null(ferry_handle_get(&handles, all[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found_while_valid),
        cmocka_unit_test(an_old_one_finds_nothing),
        cmocka_unit_test(invented_ones_find_nothing),
        cmocka_unit_test(generations_wrap),
        cmocka_unit_test(many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
