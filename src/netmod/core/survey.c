#include "survey.h"

#include <stdarg.h>
#include <stdio.h>

void ferry_survey_add(struct ferry_survey *survey, const char *label, const char *format, ...)
{
    va_list arguments;

    if (survey->count == FERRY_SURVEY_FACTS)
        return;
    snprintf(survey->facts[survey->count].label, sizeof(survey->facts[0].label), "%s", label);
    va_start(arguments, format);
    vsnprintf(survey->facts[survey->count].text, sizeof(survey->facts[0].text), format, arguments);
    va_end(arguments);
    survey->count++;
}

void ferry_survey_fail(struct ferry_survey *survey, const char *help, const char *format, ...)
{
    va_list arguments;

    survey->usable = false;
    if (survey->why[0])
        return;
    va_start(arguments, format);
    vsnprintf(survey->why, sizeof(survey->why), format, arguments);
    va_end(arguments);
    snprintf(survey->help, sizeof(survey->help), "%s", help);
}
