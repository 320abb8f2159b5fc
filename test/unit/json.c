/*
 * JSON, as text that is compared, and as others read it.
 */
#include "json.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *text;
static size_t length;
static struct ferry_json json;

static int begin(void **state)
{
    json = (struct ferry_json){.out = open_memstream(&text, &length)};
    return json.out == NULL;
}

static int end(void **state)
{
    free(text);
    return 0;
}

static void expect(const char *whole)
{
    fclose(json.out);
    assert_string_equal(text, whole);
}

static void nothing_in_it(void **state)
{
    ferry_json_open(&json, NULL, '{');
    ferry_json_open(&json, "list", '[');
    ferry_json_close(&json, ']');
    ferry_json_close(&json, '}');
    expect("{\n  \"list\": []\n}\n");
}

static void values(void **state)
{
    ferry_json_open(&json, NULL, '{');
    ferry_json_number(&json, "most", UINT64_MAX);
    ferry_json_open(&json, "list", '[');
    ferry_json_bool(&json, NULL, true);
    ferry_json_bool(&json, NULL, false);
    ferry_json_text(&json, NULL, NULL);
    ferry_json_open(&json, NULL, '{');
    ferry_json_close(&json, '}');
    ferry_json_close(&json, ']');
    ferry_json_text(&json, "last", "x");
    ferry_json_close(&json, '}');
    expect("{\n  \"most\": 18446744073709551615,\n  \"list\": [\n    true,\n    false,\n    "
           "null,\n    "
           "{}\n  ],\n  \"last\": \"x\"\n}\n");
}

static void odd_texts(void **state)
{
    ferry_json_open(&json, NULL, '[');
    ferry_json_text(&json, NULL, "a\"b\\c/d");
    ferry_json_text(&json, NULL, "\033[0m\n\t\177\x80\xff");
    ferry_json_close(&json, ']');
    expect("[\n  \"a\\\"b\\\\c/d\",\n  \"\\u001b[0m\\u000a\\u0009\\u007f\\u0080\\u00ff\"\n]\n");
}

/* All bytes there are, through a reader that isn't ours. */
static void python_reads_it(void **state)
{
    char all[256];
    FILE *python;

    if (system("command -v python3 >/dev/null 2>&1") != 0)
        skip();
    for (int i = 0; i < 255; i++)
        all[i] = (char) (i + 1);
    all[255] = '\0';
    ferry_json_open(&json, NULL, '{');
    ferry_json_text(&json, all, all);
    ferry_json_close(&json, '}');
    fclose(json.out);
    python = popen("python3 -m json.tool >/dev/null", "w");
    assert_non_null(python);
    fwrite(text, 1, length, python);
    assert_int_equal(pclose(python), 0);
}

#define at(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        at(nothing_in_it),
        at(values),
        at(odd_texts),
        at(python_reads_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
