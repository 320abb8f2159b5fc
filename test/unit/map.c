/*
 * The job's map: what processes tell, put together and drawn.
 */
#include "map.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Two ranks in containers of one machine that met by network, one beside them, one on another machine. */
#define HERE "box boot-1 hostA: VM KVM\n"
static const char *const job[] = {
    "ferry-map 1 0 4 100\nhost one\n" HERE
    "box c1-7 container docker 4f0e\nway self\nway shm\nway fabric\n"
    "ways acbc\npair 1 3 3000 fabric (tcp)\npair 2 10 4096 shm (memfd)\n",
    "ferry-map 1 1 4 101\nhost two\n" HERE "box c2-8 container docker 99aa\nway fabric\nway self\n"
    "ways abaa\npair 0 1 1000 fabric (tcp)\n",
    "ferry-map 1 2 4 102\nhost hostA\n" HERE "way shm\nway fabric\nway self\nways abcb\n",
    "ferry-map 1 3 4 103\nhost hostB\nbox boot-2 hostB: bare metal\nway fabric\nway self\n"
    "ways aaab\npair 0 7 5242880 fabric (tcp)\n",
};

static struct ferry_map map;

static int begin(void **state)
{
    return ferry_map_begin(&map, 4);
}

static int end(void **state)
{
    ferry_map_end(&map);
    return 0;
}

static void add_all(void)
{
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(ferry_map_add(&map, job[i], strlen(job[i])), 0);
}

static char *drawn(ferry_map_draw_fn draw)
{
    char *text;
    size_t length;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    draw(&map, out);
    fclose(out);
    return text;
}

static void expect_in(ferry_map_draw_fn draw, const char *part)
{
    char *text = drawn(draw);

    if (strstr(text, part) == NULL)
        fail_msg("no\n%s\nin\n%s", part, text);
    free(text);
}

static void what_is_told_is_read(void **state)
{
    const char *ways[] = {"shm", "self", NULL, "fabric"};
    struct ferry_map_pair pairs[] = {{3, 5, 50, "fabric (a b)"}, {0, 1, 4000000000000, "shm (x)"}};
    struct ferry_map_self self = {.rank = 1,
                                  .count = 4,
                                  .pid = 77,
                                  .host = "a-host",
                                  .box_count = 2,
                                  .boxes = {{"outer label", "k1"}, {"inner", "k2"}},
                                  .ways = ways,
                                  .pair_count = 2,
                                  .pairs = pairs};
    size_t length;
    char *entry = ferry_map_entry(&self, &length);
    const struct ferry_map_rank *rank = &map.ranks[1];

    assert_int_equal(ferry_map_add(&map, entry, length), 0);
    free(entry);
    assert_true(rank->known);
    assert_int_equal(rank->pid, 77);
    assert_string_equal(rank->host, "a-host");
    assert_int_equal(rank->box_count, 2);
    assert_string_equal(rank->boxes[0].label, "outer label");
    assert_string_equal(rank->boxes[1].key, "k2");
    assert_string_equal(rank->ways, "ab-c");
    assert_string_equal(map.ways[2], "fabric");
    assert_int_equal(rank->pair_count, 2);
    assert_int_equal(rank->pairs[0].to, 0);
    assert_int_equal(rank->pairs[0].bytes, 4000000000000);
    assert_string_equal(rank->pairs[1].how, "fabric (a b)");
}

/* The pairs with the most bytes stay. */
static void what_is_too_much_is_left_out(void **state)
{
    enum { MANY = 100000 };
    static struct ferry_map_pair pairs[MANY];
    static const char *ways[MANY];
    struct ferry_map_self self = {
        .count = MANY, .host = "h", .ways = ways, .pair_count = MANY, .pairs = pairs};
    struct ferry_map large;
    size_t length;
    char *entry;

    for (uint32_t i = 0; i < MANY; i++) {
        pairs[i] = (struct ferry_map_pair){i, 1, i, "shm (memfd met in abstract sockets)"};
        ways[i] = "shm";
    }
    entry = ferry_map_entry(&self, &length);
    assert_in_range(length, FERRY_MAP_ENTRY_MAX / 2, FERRY_MAP_ENTRY_MAX);
    assert_int_equal(ferry_map_begin(&large, MANY), 0);
    assert_int_equal(ferry_map_add(&large, entry, length), 0);
    assert_in_range(large.ranks[0].pair_count, 1000, MANY - 1);
    assert_int_equal(large.ranks[0].pairs[large.ranks[0].pair_count - 1].bytes, MANY - 1);
    ferry_map_end(&large);
    free(entry);
}

static void sums(void **state)
{
    struct ferry_map_sum sum[FERRY_MAP_WAYS_MAX];

    add_all();
    ferry_map_sums(&map, sum);
    assert_int_equal(map.way_count, 3);
    assert_string_equal(map.ways[1], "shm");
    assert_int_equal(sum[1].pairs, 1);
    assert_int_equal(sum[1].bytes, 4096);
    assert_string_equal(map.ways[2], "fabric");
    assert_int_equal(sum[2].pairs, 2);
    assert_int_equal(sum[2].messages, 11);
}

static bool remember(void *arg, uint32_t one, uint32_t other, const char *way)
{
    snprintf(arg, 32, "%u %u %s", one, other, way);
    return true;
}

static void who_is_astray(void **state)
{
    char text[32] = "";

    add_all();
    assert_true(ferry_map_together(&map, 0, 1));
    assert_false(ferry_map_together(&map, 0, 3));
    assert_int_equal(ferry_map_astray(&map, remember, text), 1);
    assert_string_equal(text, "0 1 fabric");
}

static void as_text(void **state)
{
    char *text;

    add_all();
    text = drawn(ferry_map_text);
    assert_string_equal(
        text, "A job of 4 ranks\n\n"
              "hostA: VM KVM\n"
              "  ranks 2\n"
              "  container docker 4f0e\n"
              "    ranks 0\n"
              "  container docker 99aa\n"
              "    ranks 1\n"
              "hostB: bare metal\n"
              "  ranks 3\n"
              "\nWays\n"
              "  to itself        0 pairs, 0 messages, 0 B\n"
              "  shared memory    1 pairs, 10 messages, 4.0 KiB\n"
              "  network          2 pairs, 11 messages, 5.0 MiB\n"
              "\nOn one machine, yet not through its memory\n"
              "  0 and 1: network\n"
              "  \"ferry_info -t\", run where each of the two runs, says why.\n"
              "\nFrom (row) to (column): the way's first letter; -: nothing was sent, .: unknown\n"
              "       0   \n"
              "       0123\n"
              "     0 \\NS-\n"
              "     1 N\\--\n"
              "     2 --\\-\n"
              "     3 N--\\\n");
    free(text);
}

static void as_data(void **state)
{
    add_all();
    expect_in(ferry_map_json, "\"from\": 3,\n      \"to\": 0,\n      \"way\": \"fabric\",\n"
                              "      \"how\": \"fabric (tcp)\",\n      \"messages\": 7,\n"
                              "      \"bytes\": 5242880\n");
    expect_in(ferry_map_json, "\"together_but_not_by_memory\": [\n    {\n      \"one\": 0,\n"
                              "      \"other\": 1,\n      \"way\": \"fabric\"\n    }\n  ]");
}

static unsigned occurrences(const char *text, const char *part)
{
    unsigned count = 0;

    while ((text = strstr(text, part)) != NULL) {
        count++;
        text++;
    }
    return count;
}

static void as_picture(void **state)
{
    char *text;

    add_all();
    text = drawn(ferry_map_svg);
    assert_int_equal(occurrences(text, "<path"), 3);            /* pairs that talked */
    assert_int_equal(occurrences(text, "stroke='#d55e00'"), 2); /* by network */
    assert_int_equal(occurrences(text, "<title>rank "), 4);
    assert_int_equal(occurrences(text, ">container docker "), 2);
    assert_int_equal(occurrences(text, ">hostA: VM KVM<"), 1);
    assert_non_null(strstr(text, "1 pairs are on one machine and yet"));
    assert_string_equal(text + strlen(text) - 7, "</svg>\n");
    free(text);
}

/* Ranks beyond some: a table, whose cells stand for several where they are very many. */
static void many_ranks(void **state)
{
    enum { MANY = 500 };
    char entry[2 * MANY], *text;

    ferry_map_end(&map);
    assert_int_equal(ferry_map_begin(&map, MANY), 0);
    for (int i = 0; i < MANY; i++) {
        int length = snprintf(entry, sizeof(entry),
                              "ferry-map 1 %d %d 1\nhost h\nbox b m\nway shm\nways ", i, MANY);

        memset(entry + length, 'a', MANY);
        length += MANY;
        length += snprintf(entry + length, sizeof(entry) - (size_t) length, "\npair %d 1 1 shm\n",
                           (i + 250) % MANY);
        assert_int_equal(ferry_map_add(&map, entry, (size_t) length), 0);
    }
    text = drawn(ferry_map_svg);
    assert_int_equal(occurrences(text, "<path"), 0);
    assert_int_equal(occurrences(text, "<title>rank "), MANY);
    assert_non_null(strstr(text, "each cell stands for several ranks"));
    /* Three ranks share a cell, and cells of the two diagonals don't line up with the table's last. */
    assert_in_range(occurrences(text, "<title>") - MANY, 167, 3 * 167);
    free(text);
}

static void some_tell_nothing(void **state)
{
    assert_int_equal(ferry_map_add(&map, job[3], strlen(job[3])), 0);
    expect_in(ferry_map_text, "nothing is known of ranks 0-2\n");
    expect_in(ferry_map_svg, "<title>rank 0: nothing is known</title>");
    expect_in(ferry_map_json, "\"rank\": 1,\n      \"known\": false\n");
}

/* Names come from machines and engines that others control. */
static void names_do_no_harm(void **state)
{
    const char *entry = "ferry-map 1 0 4 1\nhost </title>\"\\\x1b[2J\nbox k <script>&'\nways ----\n"
                        "pair 1 1 1 <b>\n";

    assert_int_equal(ferry_map_add(&map, entry, strlen(entry)), 0);
    expect_in(ferry_map_svg, "&lt;script&gt;&amp;'");
    expect_in(ferry_map_svg, "rank 0 on &lt;/title&gt;\"\\?[2J,");
    expect_in(ferry_map_json, "\"host\": \"</title>\\\"\\\\?[2J\"");
    expect_in(ferry_map_text, "<script>&'\n  ranks 0\n");
}

static void nonsense_is_refused(void **state)
{
    static const char *const heads[] = {"",
                                        "\n",
                                        "ferry-map",
                                        "ferry-map 2 0 4 1\n",
                                        "ferry-map 1 4 4 1\n",
                                        "ferry-map 1 -1 4 1\n",
                                        "ferry-map 1 0 5 1\n",
                                        "ferry-map 1 0 4 4294967296\n",
                                        "ferry-map 1 0 4\n",
                                        "x 1 0 4 1\n"};
    static const char *const bodies[] = {
        "",
        "host h\n",
        "ways ----\n",
        "host h\nways ---\n",
        "host h\nways -----\n",
        "host h\nways a---\n",
        "host h\nway shm\nways b---\n",
        "host h\nway shm\nways A---\n",
        "host h\nways ----\npair 4 1 1 x\n",
        "host h\nways ----\npair 1 x 1 x\n",
        "host h\nways ----\npair 1 1\n",
        "host h\nways ----\npair 1 1 18446744073709551616 x\n",
        "host h\nways ----\npair 1 1 1 x\npair 1 1 1 x\n",
        "host h\nways ----\nnonsense\n",
        "host h\nways ----\nbox\nbox\nbox\nbox\nbox\nbox\nbox\nbox\nbox\n",
        "host h\nways ----\nway\nway\nway\nway\nway\nway\nway\nway\nway\n",
    };
    char text[256];

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        snprintf(text, sizeof(text), "%shost h\nways ----\n", heads[i]);
        assert_int_equal(ferry_map_add(&map, text, strlen(text)), -EPROTO);
    }
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        snprintf(text, sizeof(text), "ferry-map 1 0 4 1\n%s", bodies[i]);
        assert_int_equal(ferry_map_add(&map, text, strlen(text)), -EPROTO);
    }
    assert_false(map.ranks[0].known);
    assert_int_equal(ferry_map_add(&map, job[0], strlen(job[0])), 0);
    assert_int_equal(ferry_map_add(&map, job[0], strlen(job[0])), -EPROTO); /* once more */
}

static void endings(void **state)
{
    assert_ptr_equal(ferry_map_drawing("/a.b/x.svg"), ferry_map_svg);
    assert_ptr_equal(ferry_map_drawing("x.json"), ferry_map_json);
    assert_ptr_equal(ferry_map_drawing("x.svg.txt"), ferry_map_text);
    assert_null(ferry_map_drawing("x.png"));
    assert_null(ferry_map_drawing("x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_told_is_read, begin, end),
        cmocka_unit_test(what_is_too_much_is_left_out),
        cmocka_unit_test_setup_teardown(sums, begin, end),
        cmocka_unit_test_setup_teardown(who_is_astray, begin, end),
        cmocka_unit_test_setup_teardown(as_text, begin, end),
        cmocka_unit_test_setup_teardown(as_data, begin, end),
        cmocka_unit_test_setup_teardown(as_picture, begin, end),
        cmocka_unit_test_setup_teardown(many_ranks, begin, end),
        cmocka_unit_test_setup_teardown(some_tell_nothing, begin, end),
        cmocka_unit_test_setup_teardown(names_do_no_harm, begin, end),
        cmocka_unit_test_setup_teardown(nonsense_is_refused, begin, end),
        cmocka_unit_test(endings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
