#include "unit.h"

#include "nearest.h"

#include <string.h>

static void distance(void **state)
{
    assert_int_equal(ferry_distance("", ""), 0);
    assert_int_equal(ferry_distance("abc", ""), 3);
    assert_int_equal(ferry_distance("", "ab"), 2);
    assert_int_equal(ferry_distance("memfd", "MemFD"), 0);
    assert_int_equal(ferry_distance("memfd", "memd"), 1);   /* left out */
    assert_int_equal(ferry_distance("memfd", "mmemfd"), 1); /* put in */
    assert_int_equal(ferry_distance("memfd", "menfd"), 1);  /* changed */
    assert_int_equal(ferry_distance("memfd", "memdf"), 1);  /* swapped */
    assert_int_equal(ferry_distance("kitten", "sitting"), 3);
    assert_int_equal(ferry_distance("ca", "abc"), 3); /* nothing is moved twice */
}

static void too_long(void **state)
{
    char name[200];

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_int_equal(ferry_distance(name, "x"), SIZE_MAX);
    assert_int_equal(ferry_distance("x", name), SIZE_MAX);
    name[64] = '\0';
    assert_int_equal(ferry_distance("x", name), 63);
}

static void nearest(void **state)
{
    char word[16];

    assert_string_equal(ferry_nearest("shm,fabric", "fabrik", word, sizeof(word)), "fabric");
    assert_string_equal(ferry_nearest("shm,fabric", "SMH", word, sizeof(word)), "shm");
    assert_string_equal(ferry_nearest("cat,car,cart", "carts", word, sizeof(word)), "cart");
    assert_null(ferry_nearest("shm,fabric", "verbs", word, sizeof(word)));
    assert_null(ferry_nearest("shm,fabric", "", word, sizeof(word)));
    assert_null(ferry_nearest("", "shm", word, sizeof(word)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance),
        cmocka_unit_test(too_long),
        cmocka_unit_test(nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
