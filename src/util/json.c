#include "json.h"

#include <inttypes.h>

static void put_text(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char) *text;

        if (byte < ' ' || byte > '~')
            fprintf(out, "\\u%04x", byte);
        else if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else
            putc(byte, out);
    }
    putc('"', out);
}

static void begin_line(struct ferry_json *json)
{
    enum { INDENT = 2 };

    fprintf(json->out, "\n%*s", (int) (json->depth * INDENT), "");
}

/* All that stands before a value. */
static void begin(struct ferry_json *json, const char *name)
{
    if (json->filled)
        putc(',', json->out);
    if (json->depth > 0)
        begin_line(json);
    if (name != NULL) {
        put_text(json->out, name);
        fputs(": ", json->out);
    }
    json->filled = true;
}

void ferry_json_open(struct ferry_json *json, const char *name, char bracket)
{
    begin(json, name);
    putc(bracket, json->out);
    json->depth++;
    json->filled = false;
}

void ferry_json_close(struct ferry_json *json, char bracket)
{
    json->depth--;
    if (json->filled)
        begin_line(json);
    putc(bracket, json->out);
    if (json->depth == 0)
        putc('\n', json->out);
    json->filled = true;
}

void ferry_json_text(struct ferry_json *json, const char *name, const char *text)
{
    if (text == NULL) {
        ferry_json_null(json, name);
        return;
    }
    begin(json, name);
    put_text(json->out, text);
}

void ferry_json_number(struct ferry_json *json, const char *name, uint64_t number)
{
    begin(json, name);
    fprintf(json->out, "%" PRIu64, number);
}

void ferry_json_bool(struct ferry_json *json, const char *name, bool value)
{
    begin(json, name);
    fputs(value ? "true" : "false", json->out);
}

void ferry_json_null(struct ferry_json *json, const char *name)
{
    begin(json, name);
    fputs("null", json->out);
}
