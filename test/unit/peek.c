/*
 * Small files, read with care.
 */
#include "peek.h"
#include "machine.h"

#include <unistd.h>

static void parts_of_files(void **state)
{
    char text[8];

    put("/a", "0123456789");
    assert_int_equal(ferry_peek(root, "/a", text, sizeof(text)), 7);
    assert_string_equal(text, "0123456");
    put("/a", "");
    assert_int_equal(ferry_peek(root, "/a", text, sizeof(text)), 0);
    assert_string_equal(text, "");
    assert_int_equal(ferry_peek(root, "/b", text, sizeof(text)), -ENOENT);
    assert_string_equal(text, "");
    assert_int_equal(ferry_peek(root, "/", text, sizeof(text)), -EINVAL);
    assert_int_equal(ferry_peek("", "/dev/null", text, sizeof(text)), -EINVAL);
}

static void lines_that_can_be_shown(void **state)
{
    char line[16];

    put("/a", " \tone \001\033\377 two  \r\nthree\n");
    assert_int_equal(ferry_peek_line(root, "/a", line, sizeof(line)), 11);
    assert_string_equal(line, "one ??? two");
    put("/a", "\n\n");
    assert_int_equal(ferry_peek_line(root, "/a", line, sizeof(line)), 0);
    assert_true(ferry_peek_line(root, "/b", line, sizeof(line)) < 0);
}

static unsigned pieces;
static size_t longest;

static bool count(char *piece, void *arg)
{
    unsigned *most = arg;

    if (strlen(piece) > longest)
        longest = strlen(piece);
    return ++pieces < *most;
}

static int in_pieces(unsigned most)
{
    pieces = 0;
    longest = 0;
    return ferry_peek_pieces(root, "/a", '\n', count, &most);
}

static void files_in_pieces(void **state)
{
    enum { LENGTH = 300 * 1024 };
    char *text = malloc(LENGTH + 1);

    assert_int_equal(in_pieces(9), -ENOENT);
    put("/a", "one\ntwo\n\nfour");
    assert_int_equal(in_pieces(9), 0);
    assert_int_equal(pieces, 4);
    in_pieces(2);
    assert_int_equal(pieces, 2);
    memset(text, 'x', LENGTH);
    text[LENGTH] = '\0';
    put("/a", text);
    in_pieces(9);
    assert_int_equal(pieces, 1);
    assert_int_equal(longest, FERRY_PIECE_MAX);
    for (int i = 1; i < LENGTH; i += 2)
        text[i] = '\n';
    put("/a", text);
    in_pieces(LENGTH);
    assert_int_equal(pieces, 256 * 1024 / 2);
    free(text);
}

static void existence(void **state)
{
    char name[PATH_MAX];

    assert_false(ferry_peek_exists(root, "/a"));
    snprintf(name, sizeof(name), "%s/a", root);
    assert_int_equal(symlink("nowhere", name), 0);
    assert_true(ferry_peek_exists(root, "/a"));
    assert_null(ferry_peek_file(name));
}

#define at(test) cmocka_unit_test_setup_teardown(test, make_machine, remove_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        at(parts_of_files),
        at(lines_that_can_be_shown),
        at(files_in_pieces),
        at(existence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
