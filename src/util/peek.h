/*
 * Small files that others may have written: read without waiting, without opening a device, and never more of
 * them than a bound.
 *
 * root is put before every path: "" or a folder that holds a machine made up for tests. Thread-safe.
 */
#ifndef FERRY_PEEK_H
#define FERRY_PEEK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* Reads the begin of a file, at most room - 1 bytes, and puts a zero behind it. Returns how many there were;
 * zeros among them are left. Errors: negative errno; -EINVAL where it is no regular file (those of /proc and
 * /sys are regular); text is "" then. */
ssize_t ferry_peek(const char *root, const char *path, char *text, size_t room);

/* The first line of a file as words that can be shown: see ferry_clean(). Returns its length, or what
 * ferry_peek() returned. */
ssize_t ferry_peek_line(const char *root, const char *path, char *line, size_t room);

/* Gets each piece of a file, without its end; false: no more are wanted. It may write to the piece. */
typedef bool (*ferry_piece_fn)(char *piece, void *arg);

/* Hands all pieces of a file that end with a certain byte (lines: '\n') to a function. What is longer than
 * FERRY_PIECE_MAX is cut, and what lies behind the first 256 KiB is not read. Errors as above. */
#define FERRY_PIECE_MAX 8192
int ferry_peek_pieces(const char *root, const char *path, char end, ferry_piece_fn piece,
                      void *arg);

/* Opens a file for reading, by its whole name, with the same care; NULL where that can't be. */
FILE *ferry_peek_file(const char *name);

/* Whether there is a file, directory or anything else of this name. Nothing is opened. */
bool ferry_peek_exists(const char *root, const char *path);

/* Makes text fit to be shown: bytes that are no printable ASCII become '?', blanks at both ends go. */
void ferry_clean(char *text);

#endif
