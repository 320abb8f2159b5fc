/*
 * The parts of ferry_info.
 */
#ifndef FERRY_INFO_H
#define FERRY_INFO_H

#include "devices.h"
#include "json.h"
#include "placement.h"
#include "process_limits.h"

#include <stdio.h>

/* All that is found out about this process where it runs. */
struct ferry_info {
    struct ferry_placement placement;
    struct ferry_limits limits;
    struct ferry_devices devices; /* found for JSON only */
};

/* They show what was found, then try system calls: where that kills the process, the rest has been shown. */
void ferry_info_text(const struct ferry_info *info, FILE *out);
void ferry_info_json(const struct ferry_info *info, FILE *out);

/* Shows what each transport would use here, or why it can't be used. 0: some can be; 1: none, or a variable has a wrong
 * value (reported). */
int ferry_info_transports(FILE *out);

/* Adds a member "devices". */
void ferry_info_devices(struct ferry_json *json, const struct ferry_devices *devices);

#endif
