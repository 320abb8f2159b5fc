/*
 * Packed forms of ports that were damaged on purpose: they must be refused or give lanes that are within bounds, never be
 * read out of bounds, and what is shown must be printable.
 *
 *   verbs_cards_nonsense           a fixed set of them
 *   verbs_cards_nonsense SECONDS   other ones at random, for so long
 */
#include "cards_made.h"

#include <ctype.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 20000, WOUNDS = 3 };

static unsigned seed;
static unsigned taken, refused;

static size_t below(size_t limit)
{
    return limit == 0 ? 0 : (size_t) rand_r(&seed) % limit;
}

/* Some bytes changed, put in or left out. */
static size_t damage(uint8_t *packed, size_t length)
{
    static const uint8_t likely[] = {0, 1, 2, 3, 4, 5, 8, 12, 13, 24, 127, 128, 255};

    for (size_t wounds = below(WOUNDS + 1); wounds > 0; wounds--) {
        size_t at = below(length);
        uint8_t byte = below(2) ? likely[below(sizeof(likely))] : (uint8_t) below(256);

        switch (below(6)) {
        case 0:
            memmove(packed + at + 1, packed + at, length - at);
            length++;
            break;
        case 1:
            memmove(packed + at, packed + at + 1, length - at - 1);
            length--;
            break;
        }
        packed[at] = byte;
    }
    return below(8) == 0 ? below(length) : length;
}

static void check_lanes(const struct ferry_cards *a, const struct ferry_cards *b)
{
    struct ferry_lane lanes[FERRY_LANES_MAX];
    unsigned count = ferry_lanes_find(a, b, lanes);

    assert_true(count <= FERRY_LANES_MAX);
    for (unsigned i = 0; i < count; i++) {
        const struct ferry_lane *lane = &lanes[i];

        assert_true(lane->own < a->count && lane->other < b->count);
        assert_true(lane->own_gid < a->at[lane->own].gid_count);
        assert_true(lane->other_gid < b->at[lane->other].gid_count);
        assert_true(lane->own_pkey < a->at[lane->own].pkey_count);
        assert_true(lane->other_pkey < b->at[lane->other].pkey_count);
        assert_true(lane->mtu >= 1 && lane->mtu <= 5);
    }
}

static void check_text(const struct ferry_cards *cards)
{
    char text[400];

    ferry_cards_text(cards, text, sizeof(text));
    assert_int_not_equal(text[0], 0);
    for (const char *at = text; *at; at++)
        assert_true(isprint((unsigned char) *at));
}

static void one_form(void)
{
    struct ferry_cards own = {0}, other;
    uint8_t packed[FERRY_CARDS_PACKED + WOUNDS], again[FERRY_CARDS_PACKED], *exact;
    size_t length;

    make_many(&own);
    length = damage(packed, ferry_cards_pack(&own, packed));
    /* In memory of just that length, a byte too far is noticed. */
    exact = malloc(length ? length : 1);
    memcpy(exact, packed, length);
    if (ferry_cards_unpack(&other, exact, length)) {
        taken++;
        assert_int_equal(ferry_cards_pack(&other, again), length);
        assert_memory_equal(again, packed, length);
        check_lanes(&own, &other);
        check_lanes(&other, &own);
        check_lanes(&other, &other);
        check_text(&other);
    } else
        refused++;
    free(exact);
}

static void fixed(void **state)
{
    for (unsigned i = 1; i <= ROUNDS; i++) {
        seed = i;
        one_form();
    }
    assert_int_not_equal(taken, 0);
    assert_int_not_equal(refused, 0);
}

static void at_random(time_t seconds)
{
    time_t end = time(NULL) + seconds;

    seed = (unsigned) time(NULL);
    printf("verbs_cards_nonsense: seed %u\n", seed);
    while (time(NULL) < end)
        one_form();
    printf("verbs_cards_nonsense: %u forms taken, %u refused\n", taken, refused);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(fixed)};

    if (argc > 1) {
        at_random(atol(argv[1]));
        return 0;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
