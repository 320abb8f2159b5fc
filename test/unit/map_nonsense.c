/*
 * Entries of a map that were damaged on purpose: they must be refused or drawn, never read out of bounds, and what is
 * drawn must be printable.
 *
 *   map_nonsense           a fixed set of entries
 *   map_nonsense SECONDS   other ones at random, for so long
 */
#include "map.h"
#include "unit.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RANKS = 5, ROUNDS = 2000 };

static unsigned seed;
static unsigned taken, refused;

static size_t below(size_t limit)
{
    return limit == 0 ? 0 : (size_t) rand_r(&seed) % limit;
}

static const char *const words[] = {
    "pair ",    "way ", "ways ", "host ",      "box ",
    "\n",       " ",    "-",     "a",          "bbbbb",
    "-1",       "0",    "4",     "4294967295", "18446744073709551615",
    "\x80\xff", "<&>",  "shm",   "fabric"};

static size_t good_entry(char *text, size_t room, unsigned rank)
{
    return (size_t) snprintf(text, room,
                             "ferry-map 1 %u %d 7\nhost h%u\nbox b l\nbox c%u container\nway self\n"
                             "way shm\nway fabric\nways abc-b\npair 1 3 30 shm (x)\n"
                             "pair 2 4 44444 fabric (y)\n",
                             rank, RANKS, rank, rank);
}

/* Some bytes or words put in, in place of others or between them. */
static size_t damage(char *text, size_t length)
{
    for (size_t wounds = below(4); wounds > 0; wounds--) {
        const char *word = words[below(sizeof(words) / sizeof(words[0]))];
        size_t at = below(length), size = strlen(word), gone = below(2) * below(12);

        if (gone > length - at)
            gone = length - at;
        memmove(text + at + size, text + at + gone, length - at - gone);
        memcpy(text + at, word, size);
        length += size - gone;
    }
    return below(8) == 0 ? below(length) : length;
}

static void draw(const struct ferry_map *map, ferry_map_draw_fn drawing)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    drawing(map, out);
    fclose(out);
    assert_int_not_equal(length, 0);
    for (size_t i = 0; i < length; i++)
        assert_true(isprint((unsigned char) text[i]) || text[i] == '\n');
    free(text);
}

static void one_map(void)
{
    struct ferry_map map;
    char text[1024], *exact;

    assert_int_equal(ferry_map_begin(&map, RANKS), 0);
    for (unsigned rank = 0; rank < RANKS; rank++) {
        size_t length = damage(text, good_entry(text, sizeof(text), rank));

        /* In memory of just that length, a byte too far is noticed. */
        exact = malloc(length + 1);
        memcpy(exact, text, length);
        if (ferry_map_add(&map, exact, length) == 0)
            taken++;
        else
            refused++;
        free(exact);
    }
    draw(&map, ferry_map_text);
    draw(&map, ferry_map_json);
    draw(&map, ferry_map_svg);
    ferry_map_end(&map);
}

static void fixed(void **state)
{
    for (seed = 1; seed < ROUNDS;) {
        unsigned next = seed + 1;

        one_map();
        seed = next;
    }
    assert_int_not_equal(taken, 0);
    assert_int_not_equal(refused, 0);
}

static void at_random(time_t seconds)
{
    time_t end = time(NULL) + seconds;

    seed = (unsigned) time(NULL);
    printf("map_nonsense: seed %u\n", seed);
    while (time(NULL) < end)
        one_map();
    printf("map_nonsense: %u entries taken, %u refused\n", taken, refused);
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
