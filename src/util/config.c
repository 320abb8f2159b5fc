#include "config.h"

#include "list.h"
#include "nearest.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct ferry_config_row ferry_config_rows[] = {
#define FERRY_VAR(NAME, field, ctype, kind, unit, dflt, allowed, help) \
    {"FERRY_" #NAME, kind, unit, dflt, allowed, help, offsetof(struct ferry_config, field)},
#include "config.def"
#undef FERRY_VAR
};

#define ROWS (sizeof(ferry_config_rows) / sizeof(ferry_config_rows[0]))
const size_t ferry_config_row_count = ROWS;

/* ---- Numbers ---- */

struct suffix {
    const char *text;
    uint64_t factor;
};

static const struct suffix size_suffixes[] = {
    {"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20}, {"G", 1ull << 30}, {"T", 1ull << 40}, {NULL, 0}};
static const struct suffix time_suffixes[] = {
    {"us", 1}, {"ms", 1000}, {"s", 1000000}, {"", 1}, {NULL, 0}};

static const struct suffix *suffixes_of(enum ferry_config_kind kind)
{
    return kind == FERRY_TIME ? time_suffixes : size_suffixes;
}

/* Reads digits and a suffix, up to the end of text or (within a range) a character of stops. */
static bool parse_number(const char *text, const struct suffix *suffixes, const char *stops,
                         uint64_t *value)
{
    unsigned long long digits;
    char *end;
    size_t length;

    if (!isdigit((unsigned char) text[0]))
        return false;
    errno = 0;
    digits = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    length = strcspn(end, stops);
    for (; suffixes->text != NULL; suffixes++)
        if (strlen(suffixes->text) == length && strncasecmp(end, suffixes->text, length) == 0)
            return !__builtin_mul_overflow((uint64_t) digits, suffixes->factor, value);
    return false;
}

/* Writes a number with the largest suffix that keeps it whole. */
static void print_number(uint64_t value, const struct suffix *suffixes, char *text, size_t room)
{
    const struct suffix *best = &suffixes[0];

    for (const struct suffix *s = suffixes; s->text != NULL; s++)
        if (value != 0 && value % s->factor == 0 && s->factor > best->factor)
            best = s;
    snprintf(text, room, "%llu%s", (unsigned long long) (value / best->factor), best->text);
}

static const char *example_of(enum ferry_config_kind kind)
{
    switch (kind) {
    case FERRY_SIZE:
        return "a size, such as 512, 64K, 1M or 2G";
    case FERRY_TIME:
        return "a time, such as 50us, 10ms or 1s";
    default:
        return "a whole number";
    }
}

static int set_number(void *field, const struct ferry_config_row *row, const char *text, char *why,
                      size_t room)
{
    const struct suffix *suffixes = suffixes_of(row->kind);
    const char *dots = strstr(row->allowed, "..");
    uint64_t value, least, most;

    if (!parse_number(text, suffixes, "", &value)) {
        snprintf(why, room, "not %s; allowed: %s", example_of(row->kind), row->allowed);
        return -EINVAL;
    }
    if (dots != NULL && parse_number(row->allowed, suffixes, ".", &least) &&
        parse_number(dots + 2, suffixes, ",", &most) && (value < least || value > most)) {
        snprintf(why, room, "too %s; allowed: %s", value < least ? "small" : "large", row->allowed);
        return -EINVAL;
    }
    if (strstr(row->allowed, "power of two") != NULL && (value & (value - 1)) != 0) {
        snprintf(why, room, "not a power of two; allowed: %s", row->allowed);
        return -EINVAL;
    }
    if (row->kind == FERRY_SIZE)
        *(size_t *) field = value;
    else
        *(uint64_t *) field = value;
    return 0;
}

/* ---- Words ---- */

static int set_bool(bool *field, const char *text, char *why, size_t room)
{
    static const char *const words[] = {"no", "off", "false", "0", "yes", "on", "true", "1"};

    for (size_t i = 0; i < 8; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *field = i >= 4;
            return 0;
        }
    }
    snprintf(why, room, "allowed: yes, on, true, 1, no, off, false, 0");
    return -EINVAL;
}

/* Keeps a copy of text for good; where a leak checker sees it. */
static const char *keep(const char *text)
{
    struct kept {
        struct kept *next;
        char text[];
    };
    static struct kept *all;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct kept *one = malloc(sizeof(*one) + strlen(text) + 1);

    if (one == NULL)
        return NULL;
    strcpy(one->text, text);
    pthread_mutex_lock(&lock);
    one->next = all;
    all = one;
    pthread_mutex_unlock(&lock);
    return one->text;
}

static int check_word(const struct ferry_config_row *row, const char *word, char *why, size_t room)
{
    const char *near;
    char nearest[64];

    if (row->kind == FERRY_PATHS && word[0] != '/' && word[0] != '$') {
        snprintf(why, room, "\"%s\" is no path that begins with /", word);
        return -EINVAL;
    }
    if (row->allowed[0] == '\0' || ferry_list_has(row->allowed, word))
        return 0;
    near = ferry_nearest(row->allowed, word, nearest, sizeof(nearest));
    snprintf(why, room, "\"%s\" is not allowed%s%s%s; allowed: %s", word,
             near != NULL ? " (did you mean " : "", near != NULL ? near : "",
             near != NULL ? "?)" : "", row->allowed);
    return -EINVAL;
}

static int set_words(const char **field, const struct ferry_config_row *row, const char *text,
                     char *why, size_t room)
{
    const char *cursor = text;
    char word[4096];
    size_t words = 0;
    int error = 0;

    if (row->kind == FERRY_STRING)
        error = check_word(row, text, why, room);
    while (error == 0 && row->kind != FERRY_STRING &&
           ferry_list_next(&cursor, word, sizeof(word))) {
        words++;
        error = check_word(row, word, why, room);
    }
    if (error == 0 && row->kind == FERRY_LIST && words == 0) {
        snprintf(why, room, "an empty list; allowed: %s", row->allowed);
        error = -EINVAL;
    }
    if (error != 0)
        return error;
    *field = keep(text);
    if (*field == NULL) {
        snprintf(why, room, "no memory");
        *field = row->default_text;
        return -EINVAL;
    }
    return 0;
}

/* ---- The table ---- */

static void *field_of(const struct ferry_config *config, const struct ferry_config_row *row)
{
    return (char *) config + row->offset;
}

int ferry_config_set(struct ferry_config *config, const struct ferry_config_row *row,
                     const char *text, char *why, size_t room)
{
    void *field = field_of(config, row);

    switch (row->kind) {
    case FERRY_BOOL:
        return set_bool(field, text, why, room);
    case FERRY_UINT:
    case FERRY_SIZE:
    case FERRY_TIME:
        return set_number(field, row, text, why, room);
    default:
        return set_words(field, row, text, why, room);
    }
}

void ferry_config_defaults(struct ferry_config *config)
{
    char why[256];

    for (size_t i = 0; i < ROWS; i++)
        if (ferry_config_set(config, &ferry_config_rows[i], ferry_config_rows[i].default_text, why,
                             sizeof(why)) != 0)
            abort(); /* the table contradicts itself, which its unit test would have told */
}

const char *ferry_config_nearest(const char *name)
{
    static const char names[] =
#define FERRY_VAR(NAME, field, ctype, kind, unit, dflt, allowed, help) #NAME ","
#include "config.def"
#undef FERRY_VAR
        "";
    char nearest[64];

    /* The prefix is left out, or it would make all names look alike. */
    if (strncmp(name, "FERRY_", 6) == 0)
        name += 6;
    if (ferry_nearest(names, name, nearest, sizeof(nearest)) != NULL)
        for (size_t i = 0; i < ROWS; i++)
            if (strcmp(ferry_config_rows[i].name + 6, nearest) == 0)
                return ferry_config_rows[i].name;
    return NULL;
}

static bool is_for_scripts(const char *name)
{
    return ferry_list_has("FERRY_BUILD,FERRY_CACHE", name) || strncmp(name, "FERRY_TEST_", 11) == 0;
}

static void report_unknown(const char *name, FILE *out)
{
    const char *nearest = ferry_config_nearest(name);

    if (nearest != NULL)
        fprintf(out, "ferry: there is no variable %s; did you mean %s?\n", name, nearest);
    else
        fprintf(out, "ferry: there is no variable %s; ferry_info -c shows those that there are\n",
                name);
}

/* Reads one NAME=text. Returns the number of errors. */
static int read_entry(struct ferry_config *config, const char *entry, FILE *out)
{
    size_t length = strcspn(entry, "=");
    const char *text = entry + length + 1;
    char name[128], why[512];

    if (strncmp(entry, "FERRY_", 6) != 0 || entry[length] != '=')
        return 0;
    snprintf(name, sizeof(name), "%.*s", (int) length, entry);
    for (size_t i = 0; i < ROWS; i++) {
        if (strcmp(name, ferry_config_rows[i].name) != 0)
            continue;
        if (ferry_config_set(config, &ferry_config_rows[i], text, why, sizeof(why)) == 0)
            return 0;
        fprintf(out, "ferry: %s=%s: %s\n", name, text, why);
        return 1;
    }
    if (!is_for_scripts(name))
        report_unknown(name, out);
    return 0;
}

int ferry_config_read(struct ferry_config *config, char **environment, FILE *out)
{
    int errors = 0;

    ferry_config_defaults(config);
    for (char **entry = environment; *entry != NULL; entry++)
        errors += read_entry(config, *entry, out);
    return errors;
}

void ferry_config_text(const struct ferry_config *config, const struct ferry_config_row *row,
                       char *text, size_t room)
{
    const void *field = field_of(config, row);

    switch (row->kind) {
    case FERRY_BOOL:
        snprintf(text, room, "%s", *(const bool *) field ? "yes" : "no");
        break;
    case FERRY_SIZE:
        print_number(*(const size_t *) field, suffixes_of(row->kind), text, room);
        break;
    case FERRY_UINT:
        snprintf(text, room, "%llu", (unsigned long long) *(const uint64_t *) field);
        break;
    case FERRY_TIME:
        print_number(*(const uint64_t *) field, suffixes_of(row->kind), text, room);
        break;
    default:
        snprintf(text, room, "%s", *(const char *const *) field);
    }
}

/* Prints help indented, in lines of a terminal's width. */
static void print_help(const char *help, FILE *out)
{
    size_t column = 0;

    while (*help != '\0') {
        size_t word = strcspn(help, " ");

        if (column > 0 && column + 1 + word > 76) {
            fputc('\n', out);
            column = 0;
        }
        column += fprintf(out, "%s%.*s", column == 0 ? "    " : " ", (int) word, help);
        help += word;
        help += strspn(help, " ");
    }
    fputc('\n', out);
}

/* A wrong value in the environment leaves the default. */
const char *ferry_config_origin(const struct ferry_config_row *row, char *const *environment)
{
    size_t length = strlen(row->name);
    const char *origin = "default";
    struct ferry_config scratch;
    char why[512];

    ferry_config_defaults(&scratch);
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, row->name, length) == 0 && (*environment)[length] == '=')
            origin = ferry_config_set(&scratch, row, *environment + length + 1, why, sizeof(why)) ==
                             0
                         ? "environment"
                         : "default, for what the environment says is wrong";
    return origin;
}

void ferry_config_print(const struct ferry_config *config, char *const *environment, FILE *out)
{
    char text[4096];

    for (size_t i = 0; i < ROWS; i++) {
        const struct ferry_config_row *row = &ferry_config_rows[i];

        ferry_config_text(config, row, text, sizeof(text));
        fprintf(out, "%s=%s\n", row->name, text);
        print_help(row->help, out);
        fprintf(out, "    origin: %s\n", ferry_config_origin(row, environment));
        fprintf(out, "    default: %s", row->default_text[0] != '\0' ? row->default_text : "empty");
        if (row->allowed[0] != '\0')
            fprintf(out, "; allowed: %s", row->allowed);
        if (row->unit[0] != '\0')
            fprintf(out, "; unit: %s", row->unit);
        fprintf(out, "\n\n");
    }
}

/* ---- The process's own ---- */

static struct ferry_config the_config;
static bool the_config_is_good;

/* Reports in one write(), so that what several processes say doesn't mix. */
static void read_environment(void)
{
    char *report = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&report, &length);

    if (out == NULL)
        return;
    the_config_is_good = ferry_config_read(&the_config, environ, out) == 0;
    fclose(out);
    if (length > 0 && write(STDERR_FILENO, report, length) < 0)
        the_config_is_good &= true; /* nobody listens */
    free(report);
}

const struct ferry_config *ferry_config(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, read_environment);
    return the_config_is_good ? &the_config : NULL;
}
