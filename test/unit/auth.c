#include "unit.h"

#include "auth.h"

#include <string.h>

static const uint8_t key[16] = "0123456789abcdef", other_key[16] = "0123456789abcdeg";

static void same_facts_same_proof(void **state)
{
    uint8_t a[FERRY_PROOF_SIZE], b[FERRY_PROOF_SIZE];

    ferry_prove(key, "hello", "data", 4, a);
    ferry_prove(key, "hello", "data", 4, b);
    assert_memory_equal(a, b, FERRY_PROOF_SIZE);
    assert_true(ferry_proof_equal(a, b));
}

static void every_fact_counts(void **state)
{
    uint8_t a[FERRY_PROOF_SIZE], b[FERRY_PROOF_SIZE];

    ferry_prove(key, "hello", "data", 4, a);
    ferry_prove(other_key, "hello", "data", 4, b);
    assert_false(ferry_proof_equal(a, b));
    ferry_prove(key, "hallo", "data", 4, b);
    assert_false(ferry_proof_equal(a, b));
    ferry_prove(key, "hello", "date", 4, b);
    assert_false(ferry_proof_equal(a, b));
    ferry_prove(key, "hello", "data", 3, b);
    assert_false(ferry_proof_equal(a, b));
    /* What is purpose and what is data can't be shifted. */
    ferry_prove(key, "hellod", "ata", 3, b);
    assert_false(ferry_proof_equal(a, b));
}

static void every_bit_of_a_proof_counts(void **state)
{
    uint8_t a[FERRY_PROOF_SIZE], b[FERRY_PROOF_SIZE];

    ferry_prove(key, "hello", "data", 4, a);
    for (int bit = 0; bit < FERRY_PROOF_SIZE * 8; bit++) {
        memcpy(b, a, sizeof(b));
        b[bit / 8] ^= 1 << bit % 8;
        assert_false(ferry_proof_equal(a, b));
    }
}

static void a_key_id_shows_no_key(void **state)
{
    uint8_t a[8], b[8];

    ferry_key_id(key, a);
    ferry_key_id(other_key, b);
    assert_memory_not_equal(a, b, 8);
    assert_memory_not_equal(a, key, 8);
    ferry_key_id(key, b);
    assert_memory_equal(a, b, 8);
}

static void random_differs(void **state)
{
    uint8_t a[16] = {0}, b[16] = {0};

    ferry_random(a, sizeof(a));
    ferry_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_facts_same_proof),
        cmocka_unit_test(every_fact_counts),
        cmocka_unit_test(every_bit_of_a_proof_counts),
        cmocka_unit_test(a_key_id_shows_no_key),
        cmocka_unit_test(random_differs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
