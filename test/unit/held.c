/*
 * Descriptors that a library keeps: only its own are closed, and only those of the file that is meant.
 */
#include "unit.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "held.h"

static char path[] = "/tmp/ferry-held-XXXXXX", other[] = "/tmp/ferry-held-XXXXXX";

static int make(char *name)
{
    int fd = mkstemp(name);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    return fd;
}

static bool is_whole(int fd)
{
    char byte;

    return pread(fd, &byte, 1, 0) == 1 && byte == 'x';
}

static void only_what_came_meanwhile_is_let_go(void **state)
{
    struct ferry_held_before before;
    int mine = make(path), held, held_too, another, later;

    (void) state;
    ferry_held_begin(&before);
    held = open(path, O_RDONLY);
    held_too = open(path, O_RDONLY);
    another = make(other);
    ferry_held_end(&before);
    later = open(path, O_RDONLY);
    assert_int_equal(ferry_held_let_go("/tmp/ferry-held-none"), 0);
    assert_true(is_whole(held));
    assert_int_equal(ferry_held_let_go(path), 2);
    assert_false(is_whole(held));
    assert_false(is_whole(held_too));
    assert_true(is_whole(mine) && is_whole(later) && is_whole(another));
    assert_int_equal(ferry_held_let_go(path), 0);
    /* The library closes them in the end, as if nothing had been. */
    assert_int_equal(close(held) | close(held_too) | close(another) | close(later) | close(mine),
                     0);
    unlink(path);
    unlink(other);
}

static void a_number_that_was_used_again_stays(void **state)
{
    char name[] = "/tmp/ferry-held-XXXXXX", again[] = "/tmp/ferry-held-XXXXXX";
    struct ferry_held_before before;
    int held, reused;

    (void) state;
    ferry_held_begin(&before);
    held = make(name);
    ferry_held_end(&before);
    close(held);
    reused = make(again);
    assert_int_equal(held, reused);
    assert_int_equal(ferry_held_let_go(name), 0);
    assert_true(is_whole(reused));
    close(reused);
    unlink(name);
    unlink(again);
}

static void a_file_that_is_gone_is_let_go(void **state)
{
    char name[] = "/tmp/ferry-held-XXXXXX";
    struct ferry_held_before before;
    int held;

    (void) state;
    ferry_held_begin(&before);
    held = make(name);
    ferry_held_end(&before);
    unlink(name);
    assert_int_equal(ferry_held_let_go(name), 1);
    assert_false(is_whole(held));
    close(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_came_meanwhile_is_let_go),
        cmocka_unit_test(a_number_that_was_used_again_stays),
        cmocka_unit_test(a_file_that_is_gone_is_let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
