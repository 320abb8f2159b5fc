/*
 * The FERRY_* variables, shown to whoever uses the library.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "ferry.h"

/* Longer than any list that makes sense. */
#define TEXT_MAX 4096

static char **values;

static void read_values(void)
{
    const struct ferry_config *config = ferry_config();
    char **texts = config ? calloc(ferry_config_row_count, sizeof(*texts)) : NULL;
    char text[TEXT_MAX];

    if (!texts)
        return;
    for (size_t i = 0; i < ferry_config_row_count; i++) {
        ferry_config_text(config, &ferry_config_rows[i], text, sizeof(text));
        texts[i] = strdup(text);
        if (!texts[i])
            return;
    }
    values = texts;
}

bool ferry_variable(unsigned index, ferry_variable_t *variable)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct ferry_config_row *row = &ferry_config_rows[index];

    pthread_once(&once, read_values);
    if (!values || index >= ferry_config_row_count)
        return false;
    *variable = (ferry_variable_t){.name = row->name,
                                   .value = values[index],
                                   .default_text = row->default_text,
                                   .unit = row->unit,
                                   .help = row->help};
    return true;
}
