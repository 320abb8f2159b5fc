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
    "usage: ferry_info [option]\n"
    "Shows where it runs (machine, VM, container) and the limits that matter to messages.\n"
    "  -j, --json        show that and the devices as JSON\n"
    "  -d, --devices     show RDMA and network devices, memory of other VMs, DAX\n"
    "  -t, --transports  show what each transport would use here, or why it can't be used\n"
    "  -c, --config      show the FERRY_* variables: value, its origin, what it means, default,\n"
    "                    what is allowed\n"
    "  -v, --version     show the version\n"
    "  -h, --help        show this\n";

static int show_here(bool json)
{
    static struct ferry_info info;

    ferry_placement_here(&info.placement);
    ferry_limits_find("", &info.limits);
    if (json)
        ferry_devices_find("", &info.devices);
    (json ? ferry_info_json : ferry_info_text)(&info, stdout);
    return 0;
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
    int option = getopt_long(argc, argv, "jdtcvh", options, NULL);
    int status = 0;

    if (optind < argc)
        option = '?'; /* nothing else is understood */
    switch (option) {
    case -1:
    case 'j':
        status = show_here(option == 'j');
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
