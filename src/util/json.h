/*
 * JSON (RFC 8259), written as it comes.
 */
#ifndef FERRY_JSON_H
#define FERRY_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What is being written; {.out = file} at first. One thread at a time. */
struct ferry_json {
    FILE *out;
    unsigned depth;
    bool filled; /* something stands already in what is open, so that a comma is due */
};

/* Opens and closes '{' or '['. name: within an object; NULL within a list, and at the very begin. */
void ferry_json_open(struct ferry_json *json, const char *name, char bracket);
void ferry_json_close(struct ferry_json *json, char bracket);

/* text NULL is null. Bytes that are no printable ASCII are written as \u00XX, whatever they mean. */
void ferry_json_text(struct ferry_json *json, const char *name, const char *text);
void ferry_json_number(struct ferry_json *json, const char *name, uint64_t number);
void ferry_json_bool(struct ferry_json *json, const char *name, bool value);
void ferry_json_null(struct ferry_json *json, const char *name);

#endif
