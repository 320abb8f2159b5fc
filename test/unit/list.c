#include "unit.h"

#include "list.h"

static void has(void **state)
{
    assert_true(ferry_list_has("shm,fabric", "shm"));
    assert_true(ferry_list_has("shm,fabric", "fabric"));
    assert_true(ferry_list_has(" shm , fabric ", "fabric"));
    assert_false(ferry_list_has("shm,fabric", "fab"));
    assert_false(ferry_list_has("shm,fabric", "fabrics"));
    assert_false(ferry_list_has("shm,fabric", "shm,fabric"));
    assert_false(ferry_list_has("", ""));
    assert_false(ferry_list_has("shm,,fabric", ""));
}

static void next(void **state)
{
    const char *cursor = ",/run/ferry,, /a b ,/tmp,";
    char item[16];

    assert_true(ferry_list_next(&cursor, item, sizeof(item)));
    assert_string_equal(item, "/run/ferry");
    assert_true(ferry_list_next(&cursor, item, sizeof(item)));
    assert_string_equal(item, "/a b");
    assert_true(ferry_list_next(&cursor, item, sizeof(item)));
    assert_string_equal(item, "/tmp");
    assert_false(ferry_list_next(&cursor, item, sizeof(item)));
    assert_false(ferry_list_next(&cursor, item, sizeof(item)));
}

static void next_passes_over_what_does_not_fit(void **state)
{
    const char *cursor = "12345678,1234567,123456789";
    char item[8];

    assert_true(ferry_list_next(&cursor, item, sizeof(item)));
    assert_string_equal(item, "1234567");
    assert_false(ferry_list_next(&cursor, item, sizeof(item)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has),
        cmocka_unit_test(next),
        cmocka_unit_test(next_passes_over_what_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
