/*
 * The same for programs.
 */
#include "config.h"
#include "ferry.h"
#include "ferry_info.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const char *if_any(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void put_if(struct ferry_json *json, const char *name, bool known, uint64_t number)
{
    if (known)
        ferry_json_number(json, name, number);
    else
        ferry_json_null(json, name);
}

static void put_size(struct ferry_json *json, const char *name, uint64_t bytes)
{
    put_if(json, name, bytes != UINT64_MAX, bytes);
}

static void put_placement(struct ferry_json *json, const struct ferry_placement *placement)
{
    char chain[1024];

    ferry_placement_text(placement, chain, sizeof(chain));
    ferry_json_text(json, "chain", chain);
    ferry_json_open(json, "levels", '[');
    for (unsigned i = 0; i < placement->count; i++) {
        const struct ferry_level *level = &placement->levels[i];

        ferry_json_open(json, NULL, '{');
        ferry_json_text(json, "kind", ferry_level_kind_name(level->kind));
        ferry_json_text(json, "name", if_any(level->name));
        ferry_json_text(json, "version", if_any(level->version));
        ferry_json_text(json, "model", if_any(level->model));
        ferry_json_text(json, "id", if_any(level->id));
        ferry_json_text(json, "evidence", level->evidence);
        ferry_json_close(json, '}');
    }
    ferry_json_close(json, ']');
    ferry_json_text(json, "note", if_any(placement->note));
    ferry_json_open(json, "namespaces", '{');
    for (int i = 0; i < FERRY_NS_COUNT; i++)
        ferry_json_text(json, ferry_namespace_name(i),
                        ferry_namespace_state_name(placement->namespaces.state[i]));
    ferry_json_close(json, '}');
}

static void put_shm(struct ferry_json *json, const struct ferry_limits *limits)
{
    if (limits->shm == FERRY_SHM_ABSENT) {
        ferry_json_null(json, "dev_shm");
        return;
    }
    ferry_json_open(json, "dev_shm", '{');
    ferry_json_bool(json, "in_memory", limits->shm == FERRY_SHM_FOUND);
    if (limits->shm == FERRY_SHM_FOUND) {
        put_size(json, "size", limits->shm_size);
        put_size(json, "free", limits->shm_free);
    }
    ferry_json_close(json, '}');
}

static void put_limits(struct ferry_json *json, const struct ferry_limits *limits)
{
    ferry_json_open(json, "limits", '{');
    put_if(json, "processors", limits->processors > 0, limits->processors);
    put_if(json, "processors_online", limits->online > 0, limits->online);
    put_if(json, "quota_milliprocessors", limits->quota_milli > 0, limits->quota_milli);
    put_if(json, "steal_permille", limits->steal_known, limits->steal_permille);
    put_size(json, "memory_left", limits->headroom);
    put_size(json, "memlock", limits->memlock);
    put_size(json, "memlock_hard", limits->memlock_hard);
    put_size(json, "file_size", limits->file_size);
    put_shm(json, limits);
    ferry_json_number(json, "huge_page_size", limits->huge_size);
    ferry_json_number(json, "huge_pages", limits->huge_pages);
    ferry_json_number(json, "huge_pages_free", limits->huge_free);
    ferry_json_text(json, "transparent_huge_pages", if_any(limits->thp));
    ferry_json_text(json, "transparent_huge_pages_shared", if_any(limits->thp_shmem));
    put_if(json, "ptrace_scope", limits->ptrace_scope >= 0, (uint64_t) limits->ptrace_scope);
    ferry_json_close(json, '}');
}

/* "allowed" or the name of the errno. */
static void put_calls(struct ferry_json *json)
{
    struct ferry_call calls[FERRY_CALLS];

    fflush(json->out);
    ferry_limits_try(calls);
    ferry_json_open(json, "calls", '{');
    for (int i = 0; i < FERRY_CALLS; i++)
        ferry_json_text(json, calls[i].name,
                        calls[i].error == 0 ? "allowed" : strerrorname_np(calls[i].error));
    ferry_json_close(json, '}');
}

static int put_config(struct ferry_json *json)
{
    struct ferry_config config;
    int errors = ferry_config_read(&config, environ, stderr);
    char value[4096];

    ferry_json_open(json, "config", '[');
    for (size_t i = 0; i < ferry_config_row_count; i++) {
        const struct ferry_config_row *row = &ferry_config_rows[i];

        ferry_config_text(&config, row, value, sizeof(value));
        ferry_json_open(json, NULL, '{');
        ferry_json_text(json, "name", row->name);
        ferry_json_text(json, "value", value);
        ferry_json_text(json, "origin", ferry_config_origin(row, environ));
        ferry_json_text(json, "default", row->default_text);
        ferry_json_text(json, "allowed", if_any(row->allowed));
        ferry_json_text(json, "unit", if_any(row->unit));
        ferry_json_text(json, "help", row->help);
        ferry_json_close(json, '}');
    }
    ferry_json_close(json, ']');
    return errors != 0;
}

int ferry_info_json(const struct ferry_info *info, unsigned parts, FILE *out)
{
    struct ferry_json json = {.out = out};
    int status = 0;

    ferry_json_open(&json, NULL, '{');
    ferry_json_text(&json, "version", FERRY_VERSION_STRING);
    if (parts & FERRY_PART_HERE) {
        put_placement(&json, &info->placement);
        put_limits(&json, &info->limits);
    }
    if (parts & FERRY_PART_DEVICES)
        ferry_info_devices(&json, &info->devices);
    if (parts & FERRY_PART_CONFIG)
        status |= put_config(&json);
    if (parts & FERRY_PART_TRANSPORTS)
        status |= ferry_info_transports_json(&json);
    if (parts & FERRY_PART_HERE)
        put_calls(&json);
    ferry_json_close(&json, '}');
    return status;
}
