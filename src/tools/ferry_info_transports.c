/*
 * What each transport would use here.
 */
#include "ferry_info.h"

#include "config.h"
#include "list.h"
#include "survey.h"
#include "transport.h"

#include <string.h>

#define LABEL "  %-18s"

static const struct ferry_transport_ops *find(const char *name)
{
    for (unsigned i = 0; ferry_transports[i] != NULL; i++)
        if (strcmp(ferry_transports[i]->name, name) == 0)
            return ferry_transports[i];
    return NULL;
}

/* All transports that Ferry has, built in or not. */
static const char *all_names(void)
{
    for (size_t i = 0; i < ferry_config_row_count; i++)
        if (strcmp(ferry_config_rows[i].name, "FERRY_TRANSPORTS") == 0)
            return ferry_config_rows[i].allowed;
    return "";
}

static void survey_one(const char *name, struct ferry_survey *survey)
{
    const struct ferry_transport_ops *ops = find(name);

    *survey = (struct ferry_survey){0};
    if (!ferry_list_has(ferry_config()->transports, name))
        ferry_survey_fail(survey, "let FERRY_TRANSPORTS name it, too",
                          "FERRY_TRANSPORTS=%s leaves it out", ferry_config()->transports);
    else if (ops == NULL || ops->survey == NULL)
        ferry_survey_fail(survey,
                          strcmp(name, "verbs") == 0
                              ? "build Ferry where the headers of libibverbs and libfabric are "
                                "(Debian: libibverbs-dev, libfabric-dev)"
                              : "build Ferry where libfabric's headers are",
                          "it was not built in");
    else
        ops->survey(survey);
}

static void put_text(const char *name, const struct ferry_survey *survey, FILE *out)
{
    fprintf(out, "%s: %s\n", name, survey->usable ? "usable" : "not usable");
    if (!survey->usable) {
        fprintf(out, LABEL "%s\n", "why", survey->why);
        fprintf(out, LABEL "%s\n", "what would help", survey->help);
    }
    for (unsigned i = 0; i < survey->count; i++)
        fprintf(out, LABEL "%s%s\n", survey->facts[i].label,
                strlen(survey->facts[i].label) < 18 ? "" : "  ", survey->facts[i].text);
}

static void put_json(const char *name, const struct ferry_survey *survey, struct ferry_json *json)
{
    ferry_json_open(json, NULL, '{');
    ferry_json_text(json, "name", name);
    ferry_json_bool(json, "usable", survey->usable);
    ferry_json_text(json, "why", survey->usable ? NULL : survey->why);
    ferry_json_text(json, "help", survey->usable ? NULL : survey->help);
    ferry_json_open(json, "facts", '[');
    for (unsigned i = 0; i < survey->count; i++) {
        ferry_json_open(json, NULL, '{');
        ferry_json_text(json, "label", survey->facts[i].label);
        ferry_json_text(json, "text", survey->facts[i].text);
        ferry_json_close(json, '}');
    }
    ferry_json_close(json, ']');
    ferry_json_close(json, '}');
}

int ferry_info_transports(FILE *out)
{
    const char *cursor = all_names();
    bool any = false, first = true;
    struct ferry_survey survey;
    char name[32];

    if (ferry_config() == NULL)
        return 1;
    for (; ferry_list_next(&cursor, name, sizeof(name)); first = false) {
        if (!first)
            putc('\n', out);
        fflush(out);
        survey_one(name, &survey);
        put_text(name, &survey, out);
        any |= survey.usable;
    }
    return any ? 0 : 1;
}

int ferry_info_transports_json(struct ferry_json *json)
{
    const char *cursor = all_names();
    struct ferry_survey survey;
    bool any = false;
    char name[32];

    if (ferry_config() == NULL) {
        ferry_json_null(json, "transports");
        return 1;
    }
    ferry_json_open(json, "transports", '[');
    while (ferry_list_next(&cursor, name, sizeof(name))) {
        fflush(json->out);
        survey_one(name, &survey);
        put_json(name, &survey, json);
        any |= survey.usable;
    }
    ferry_json_close(json, ']');
    return any ? 0 : 1;
}
