/*
 * The table of FERRY_* variables, read once from the environment.
 */
#ifndef FERRY_CONFIG_H
#define FERRY_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The values, one field for each row of config.def. Sizes in bytes, times in microseconds. Strings
 * live as long as the process. */
struct ferry_config {
#define FERRY_VAR(NAME, field, ctype, kind, unit, dflt, allowed, help) ctype field;
#include "config.def"
#undef FERRY_VAR
};

enum ferry_config_kind {
    FERRY_BOOL,
    FERRY_UINT,
    FERRY_SIZE,
    FERRY_TIME,
    FERRY_STRING,
    FERRY_LIST,
    FERRY_PATHS, /* a list of directories, each from / or from a variable ($NAME) */
};

struct ferry_config_row {
    const char *name; /* with FERRY_ */
    enum ferry_config_kind kind;
    const char *unit;
    const char *default_text;
    const char *allowed; /* see config.def */
    const char *help;
    size_t offset; /* of the field in struct ferry_config */
};

extern const struct ferry_config_row ferry_config_rows[];
extern const size_t ferry_config_row_count;

/* The process's configuration, read at the first call (thread-safe). Bad values and unknown FERRY_*
 * names are reported on standard error once, with the nearest right name and what is allowed; bad
 * values make it return NULL then and ever after. */
const struct ferry_config *ferry_config(void);

/* Sets one row of config from text. Errors: -EINVAL, with a sentence in why. */
int ferry_config_set(struct ferry_config *config, const struct ferry_config_row *row,
                     const char *text, char *why, size_t room);

/* Fills config with all defaults. */
void ferry_config_defaults(struct ferry_config *config);

/* Reads an environment (as in environ) into config, reports to out. Returns the number of errors;
 * unknown names are reported but are no error. Names that only Ferry's scripts read (FERRY_BUILD,
 * FERRY_CACHE and FERRY_TEST_...) are not reported. */
int ferry_config_read(struct ferry_config *config, char **environment, FILE *out);

/* Prints all rows with their present values, where these come from, units and help, as `ferry_info -c` shows them.
 * environment: what config was read from. */
void ferry_config_print(const struct ferry_config *config, char *const *environment, FILE *out);

/* Where the value of a row comes from, in some words: "environment". */
const char *ferry_config_origin(const struct ferry_config_row *row, char *const *environment);

/* Writes the present value of a row as text that ferry_config_set() would read. */
void ferry_config_text(const struct ferry_config *config, const struct ferry_config_row *row,
                       char *text, size_t room);

/* The name in the table that is nearest to a wrong one, or NULL when none is near. */
const char *ferry_config_nearest(const char *name);

#endif
