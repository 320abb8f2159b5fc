/*
 * What a transport finds where it runs, for people: facts, each with a label, and where it can't be used the reason
 * and what would help.
 */
#ifndef FERRY_SURVEY_H
#define FERRY_SURVEY_H

#include <stdbool.h>

#define FERRY_SURVEY_FACTS 24

struct ferry_survey {
    bool usable;
    char why[320], help[320]; /* a sentence each, where it is not usable */
    unsigned count;
    struct {
        char label[64], text[256];
    } facts[FERRY_SURVEY_FACTS];
};

/* Adds a fact; without room for it, does nothing. */
void ferry_survey_add(struct ferry_survey *survey, const char *label, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Says that the transport is not usable. The first reason stays. */
void ferry_survey_fail(struct ferry_survey *survey, const char *help, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
