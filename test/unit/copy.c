#include "unit.h"

#include "copy.h"

#include <stdlib.h>

/* Every length up to some, into memory of just that length: a sanitizer sees any byte too many. */
static void every_length(void **state)
{
    for (size_t length = 0; length <= 200; length++) {
        uint8_t *from = malloc(length + 1), *to = malloc(length + 1);

        for (size_t i = 0; i < length; i++)
            from[i] = (uint8_t) (i + length);
        memset(to, 0xee, length + 1);
        ferry_copy(to, from, length);
        assert_memory_equal(to, from, length);
        assert_int_equal(to[length], 0xee);
        free(from);
        from = malloc(length ? length : 1);
        memset(from, 0x55, length ? length : 1);
        ferry_copy(to, from, length);
        assert_memory_equal(to, from, length);
        free(from);
        free(to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_length)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
