/*
 * ferry_info: where this process runs, what it may do there, what this libferry is and how it is set up.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "ferry.h"
#include "ferry_info.h"
#include "wire.h"

static const char usage[] =
    "usage: ferry_info [option]...\n"
    "Shows where it runs (machine, VM, container) and the limits that matter to messages.\n"
    "  -d, --devices     show RDMA and network devices, memory of other VMs, DAX\n"
    "  -t, --transports  show what each transport would use here, or why it can't be used\n"
    "  -c, --config      show the FERRY_* variables: value, its origin, what it means, default,\n"
    "                    what is allowed\n"
    "  -j, --json        show as JSON: with some of -d, -t, -c only that, else all but -c\n"
    "  -v, --version     show the version\n"
    "  -h, --help        show this\n";

static int show_here(void)
{
    static struct ferry_info info;

    ferry_placement_here(&info.placement);
    ferry_limits_find("", &info.limits);
    ferry_info_text(&info, stdout);
    return 0;
}

/* Who asks for everything wants to know also where nothing can be used, so that is no failure then. */
static int show_json(unsigned parts)
{
    const unsigned all = FERRY_PART_HERE | FERRY_PART_DEVICES | FERRY_PART_TRANSPORTS;
    static struct ferry_info info;
    int status;

    if (parts == 0) {
        ferry_placement_here(&info.placement);
        ferry_limits_find("", &info.limits);
    }
    if (parts == 0 || parts & FERRY_PART_DEVICES)
        ferry_devices_find("", &info.devices);
    status = ferry_info_json(&info, parts != 0 ? parts : all, stdout);
    return parts != 0 ? status : 0;
}

static int show_devices(void)
{
    static struct ferry_devices devices;

    ferry_devices_find("", &devices);
    ferry_devices_print(&devices, stdout);
    return 0;
}

static int show_version(void)
{
    printf("Ferry %s, wire format %d\n", FERRY_VERSION_STRING, FERRY_WIRE_VERSION);
#ifdef HAVE_LIBFABRIC
    printf("transports: shm fabric\n");
#else
    printf("transports: shm\n");
#endif
    return 0;
}

/* Shows what a job started from here would have, so bad values (which are reported) make it fail. */
static int show_config(void)
{
    struct ferry_config config;
    int errors = ferry_config_read(&config, environ, stderr);

    ferry_config_print(&config, environ, stdout);
    return errors != 0;
}

/* ---- The tables as parts of a manual page ---- */

static void put_roff(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '\'')
            fputs("\\(aq", stdout);
        else
            putchar(*text);
    }
}

static int show_manual(void)
{
    for (size_t i = 0; i < ferry_config_row_count; i++) {
        const struct ferry_config_row *row = &ferry_config_rows[i];

        printf(".TP\n.B ");
        put_roff(row->name);
        printf("\n\\&");
        put_roff(row->help);
        printf(".\n.br\nDefault: ");
        put_roff(row->default_text[0] != '\0' ? row->default_text : "empty");
        if (row->allowed[0] != '\0') {
            printf("; allowed: ");
            put_roff(row->allowed);
        }
        if (row->unit[0] != '\0')
            printf("; unit: %s", row->unit);
        printf(".\n");
    }
    return 0;
}

/* Which part of JSON an option asks for; 0: none. */
static unsigned part_of(int option)
{
    switch (option) {
    case 'd':
        return FERRY_PART_DEVICES;
    case 't':
        return FERRY_PART_TRANSPORTS;
    case 'c':
        return FERRY_PART_CONFIG;
    default:
        return 0;
    }
}

static int show_counters(void)
{
    ferry_counter_t counter;

    for (unsigned i = 0; ferry_counter(i, &counter); i++) {
        printf(".TP\n.B ");
        put_roff(counter.name);
        printf("\n\\&");
        put_roff(counter.help);
        if (counter.unit[0] != '\0')
            printf("; unit: %s", counter.unit);
        if (counter.kind == FERRY_COUNTER_LEVEL)
            printf(" (as it is now)");
        printf(".\n");
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'},         {"devices", no_argument, NULL, 'd'},
        {"transports", no_argument, NULL, 't'},   {"config", no_argument, NULL, 'c'},
        {"version", no_argument, NULL, 'v'},      {"help", no_argument, NULL, 'h'},
        {"man", no_argument, NULL, 'm'}, /* this and the next for the build */
        {"man-counters", no_argument, NULL, 'n'}, {NULL, 0, NULL, 0},
    };
    unsigned parts = 0, count = 0;
    bool json = false, others = false;
    int option, what = 0, status = 0;

    while ((option = getopt_long(argc, argv, "jdtcvh", options, NULL)) != -1) {
        if (option == 'j') {
            json = true;
            continue;
        }
        what = option;
        parts |= part_of(option);
        others |= part_of(option) == 0;
        count++;
    }
    /* Nothing but options is understood, and several only where all of them can be parts of one JSON. */
    if (optind < argc || (json ? others : count > 1))
        what = '?';
    else if (json)
        what = 'j';
    switch (what) {
    case 0:
        status = show_here();
        break;
    case 'j':
        status = show_json(parts);
        break;
    case 'd':
        status = show_devices();
        break;
    case 't':
        status = ferry_info_transports(stdout);
        break;
    case 'c':
        status = show_config();
        break;
    case 'v':
        status = show_version();
        break;
    case 'm':
        status = show_manual();
        break;
    case 'n':
        status = show_counters();
        break;
    case 'h':
        fputs(usage, stdout);
        break;
    default:
        fputs(usage, stderr);
        return 2;
    }
    return fflush(stdout) != 0 || ferror(stdout) ? 1 : status;
}
