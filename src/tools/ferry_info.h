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

/* Shows what was found, then tries system calls: where that kills the process, the rest has been shown. */
void ferry_info_text(const struct ferry_info *info, FILE *out);

/* What JSON is to hold. */
enum {
    FERRY_PART_HERE = 1, /* placement and limits; system calls are tried at the end, as above */
    FERRY_PART_DEVICES = 2,
    FERRY_PART_TRANSPORTS = 4,
    FERRY_PART_CONFIG = 8
};

/* Needs of info what the parts show. Returns what ferry_info_transports_json() did, 1 where a variable of the
 * configuration has a wrong value (reported), else 0. */
int ferry_info_json(const struct ferry_info *info, unsigned parts, FILE *out);

/* Shows what each transport would use here, or why it can't be used. 0: some can be; 1: none, or a variable has a wrong
 * value (reported). */
int ferry_info_transports(FILE *out);

/* The same as a member "transports", null where a variable has a wrong value. */
int ferry_info_transports_json(struct ferry_json *json);

/* Adds a member "devices". */
void ferry_info_devices(struct ferry_json *json, const struct ferry_devices *devices);

#endif
