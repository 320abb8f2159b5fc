#include "unit.h"

#include "match.h"

#include <stdbool.h>
#include <stdlib.h>

static struct ferry_match table;

static int make_table(void **state)
{
    ferry_match_init(&table, 0);
    return 0;
}

static void post(struct ferry_posted *posted, uint64_t match, uint64_t ignore)
{
    posted->match = match;
    posted->ignore = ignore;
    ferry_match_post(&table, posted);
}

static void add(struct ferry_unexpected *message, uint64_t match)
{
    message->match = match;
    ferry_match_add(&table, message);
}

static void nothing_fits(void **state)
{
    struct ferry_posted posted;
    struct ferry_unexpected message;

    assert_null(ferry_match_take(&table, 1));
    assert_null(ferry_match_find(&table, 1, 0));
    assert_null(ferry_match_find(&table, 1, UINT64_MAX));
    post(&posted, 2, 0);
    add(&message, 3);
    assert_null(ferry_match_take(&table, 1));
    assert_null(ferry_match_find(&table, 1, 0));
    assert_null(ferry_match_find(&table, 1, 1));
}

static void a_receive_is_taken_once(void **state)
{
    struct ferry_posted posted;

    post(&posted, 7, 0);
    assert_ptr_equal(ferry_match_take(&table, 7), &posted);
    assert_null(ferry_match_take(&table, 7));
}

static void a_receive_awaits(void **state)
{
    struct ferry_posted exact, wild;

    assert_false(ferry_match_is_awaited(&table, 7));
    post(&exact, 7, 0);
    assert_true(ferry_match_is_awaited(&table, 7));
    assert_false(ferry_match_is_awaited(&table, 6));
    post(&wild, 5, 1);
    assert_true(ferry_match_is_awaited(&table, 4));
    assert_false(ferry_match_is_awaited(&table, 6));
    ferry_match_take(&table, 7);
    assert_false(ferry_match_is_awaited(&table, 7));
}

static void a_message_stays_until_removed(void **state)
{
    struct ferry_unexpected message;

    add(&message, 7);
    assert_ptr_equal(ferry_match_find(&table, 7, 0), &message);
    assert_ptr_equal(ferry_match_find(&table, 0, UINT64_MAX), &message);
    ferry_match_remove(&message);
    assert_null(ferry_match_find(&table, 7, 0));
    assert_null(ferry_match_find(&table, 0, UINT64_MAX));
}

static void earliest_receive_first(void **state)
{
    struct ferry_posted exact1, wild, exact2;

    post(&exact1, 7, 0);
    post(&wild, 0, UINT64_MAX);
    post(&exact2, 7, 0);
    assert_ptr_equal(ferry_match_take(&table, 7), &exact1);
    assert_ptr_equal(ferry_match_take(&table, 7), &wild);
    assert_ptr_equal(ferry_match_take(&table, 7), &exact2);
}

static void earlier_wildcard_first(void **state)
{
    struct ferry_posted wild1, exact, wild2;

    post(&wild1, 0x10, 0xf);
    post(&exact, 0x17, 0);
    post(&wild2, 0, UINT64_MAX);
    assert_ptr_equal(ferry_match_take(&table, 0x17), &wild1);
    assert_ptr_equal(ferry_match_take(&table, 0x27), &wild2);
    assert_ptr_equal(ferry_match_take(&table, 0x17), &exact);
}

static void removed_receives_are_passed_over(void **state)
{
    struct ferry_posted first, second;

    post(&first, 7, 0);
    post(&second, 7, 0);
    ferry_match_remove_posted(&first);
    assert_ptr_equal(ferry_match_take(&table, 7), &second);
}

static void what_is_given_back_keeps_its_turn(void **state)
{
    struct ferry_posted first, second, third, wild1, wild2;

    post(&first, 7, 0);
    post(&wild1, 0, UINT64_MAX);
    post(&second, 7, 0);
    post(&wild2, 0, UINT64_MAX);
    post(&third, 7, 0);
    assert_ptr_equal(ferry_match_take(&table, 7), &first);
    assert_ptr_equal(ferry_match_take(&table, 7), &wild1);
    assert_ptr_equal(ferry_match_take(&table, 7), &second);
    ferry_match_give_back(&table, &second);
    ferry_match_give_back(&table, &wild1);
    assert_ptr_equal(ferry_match_take(&table, 7), &wild1);
    assert_ptr_equal(ferry_match_take(&table, 7), &second);
    ferry_match_give_back(&table, &first);
    assert_ptr_equal(ferry_match_take(&table, 7), &first);
    assert_ptr_equal(ferry_match_take(&table, 7), &wild2);
    ferry_match_give_back(&table, &wild2);
    assert_ptr_equal(ferry_match_take(&table, 7), &wild2);
    assert_ptr_equal(ferry_match_take(&table, 7), &third);
    assert_null(ferry_match_take(&table, 7));
}

static void earliest_message_first(void **state)
{
    struct ferry_unexpected a, b, c;

    add(&a, 0x11);
    add(&b, 0x12);
    add(&c, 0x11);
    assert_ptr_equal(ferry_match_find(&table, 0x10, 0xf), &a);
    assert_ptr_equal(ferry_match_find(&table, 0x12, 0), &b);
    ferry_match_remove(&a);
    assert_ptr_equal(ferry_match_find(&table, 0x10, 0xf), &b);
    assert_ptr_equal(ferry_match_find(&table, 0x11, 0), &c);
}

static void carried_bits_are_not_compared(void **state)
{
    struct ferry_posted exact, wild;
    struct ferry_unexpected message;

    ferry_match_init(&table, 0xff00);
    post(&exact, 0x0007, 0);
    assert_ptr_equal(ferry_match_take(&table, 0x5507), &exact);
    post(&exact, 0xaa07, 0);
    assert_null(ferry_match_take(&table, 0xaa08));
    assert_ptr_equal(ferry_match_take(&table, 0x0007), &exact);
    post(&wild, 0x1200, 0xff);
    assert_ptr_equal(ferry_match_take(&table, 0x3407), &wild);
    add(&message, 0x5507);
    assert_ptr_equal(ferry_match_find(&table, 0x0007, 0), &message);
    assert_ptr_equal(ferry_match_find(&table, 0x0100, 0xff), &message);
    assert_int_equal(message.match, 0x5507);
}

/* ---- Against a model that only knows lists ---- */

enum { ITEMS = 400, ROUNDS = 200000 };

struct item {
    struct ferry_posted posted;
    struct ferry_unexpected message;
    uint64_t match, ignore;
    bool is_posted, is_message;
    uint64_t order;
};

static struct item items[ITEMS];
static uint64_t order;

static struct item *model_take(uint64_t match)
{
    struct item *best = NULL;

    for (int i = 0; i < ITEMS; i++)
        if (items[i].is_posted && !((items[i].match ^ match) & ~items[i].ignore) &&
            (!best || items[i].order < best->order))
            best = &items[i];
    return best;
}

static struct item *model_find(uint64_t match, uint64_t ignore)
{
    struct item *best = NULL;

    for (int i = 0; i < ITEMS; i++)
        if (items[i].is_message && !((items[i].match ^ match) & ~ignore) &&
            (!best || items[i].order < best->order))
            best = &items[i];
    return best;
}

/* A receive comes, as in ferry_recv(). */
static void receive_comes(struct item *item)
{
    static const uint64_t ignores[] = {0, 0, 0, 7, 7ull << 32, UINT64_MAX};
    struct ferry_unexpected *found;
    struct item *expected;

    item->match = (uint64_t) (rand() % 8) << 32 | (uint64_t) (rand() % 8);
    item->ignore = ignores[rand() % 6];
    found = ferry_match_find(&table, item->match, item->ignore);
    expected = model_find(item->match, item->ignore);
    assert_ptr_equal(found, expected ? &expected->message : NULL);
    if (found) {
        ferry_match_remove(found);
        expected->is_message = false;
        return;
    }
    post(&item->posted, item->match, item->ignore);
    item->is_posted = true;
    item->order = order++;
}

/* A message comes. */
static void message_comes(struct item *item)
{
    struct ferry_posted *taken;
    struct item *expected;

    item->match = (uint64_t) (rand() % 8) << 32 | (uint64_t) (rand() % 8);
    taken = ferry_match_take(&table, item->match);
    expected = model_take(item->match);
    assert_ptr_equal(taken, expected ? &expected->posted : NULL);
    if (taken) {
        expected->is_posted = false;
        return;
    }
    add(&item->message, item->match);
    item->is_message = true;
    item->order = order++;
}

static void as_the_model(void **state)
{
    srand(1);
    for (int round = 0; round < ROUNDS; round++) {
        struct item *item = &items[rand() % ITEMS];

        if (item->is_posted) {
            if (rand() % 8 == 0) {
                ferry_match_remove_posted(&item->posted);
                item->is_posted = false;
            }
        } else if (!item->is_message) {
            /* Turns in which one kind comes more often. */
            if (rand() % 100 < (round / 1000 % 2 ? 60 : 40))
                receive_comes(item);
            else
                message_comes(item);
        }
    }
}

#define with_table(test) cmocka_unit_test_setup(test, make_table)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_table(nothing_fits),
        with_table(a_receive_is_taken_once),
        with_table(a_receive_awaits),
        with_table(a_message_stays_until_removed),
        with_table(earliest_receive_first),
        with_table(earlier_wildcard_first),
        with_table(removed_receives_are_passed_over),
        with_table(what_is_given_back_keeps_its_turn),
        with_table(earliest_message_first),
        with_table(carried_bits_are_not_compared),
        with_table(as_the_model),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
