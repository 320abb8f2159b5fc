/*
 * Which memory is shared with other virtual machines here, for people.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "guests.h"
#include "survey.h"

/* In which it is found out that a process was killed: half a second, and some more. */
#define AWHILE_US 700000u

#define MIB(bytes) ((double) (bytes) / (1 << 20))

/* Becomes an owner for a moment, to see what is free. */
static bool add_usage(struct ferry_survey *survey, const char *label,
                      struct ferry_guests_memory *memory)
{
    struct ferry_commons_params params = {.memory = memory->base,
                                          .size = memory->size,
                                          .lease_ms = (uint32_t) (ferry_config()->lease / 1000)};
    struct ferry_commons_usage usage;
    struct ferry_commons *commons;
    uint8_t nonce[16];
    char why[320];

    ferry_random(nonce, sizeof(nonce));
    params.nonce = nonce;
    if (ferry_commons_open(&params, &commons, why, sizeof(why))) {
        ferry_survey_add(survey, label, "not usable: %s", why);
        return false;
    }
    ferry_commons_usage(commons, &usage);
    if (usage.owners > 1) {
        /* Some of them may have died: see ferry_commons_tend(). */
        usleep(AWHILE_US);
        ferry_commons_tend(commons, 0);
        ferry_commons_usage(commons, &usage);
    }
    ferry_commons_close(commons);
    ferry_survey_add(survey, label,
                     "usable: %.0f MiB, cached (a line takes %.1f ns); %.1f of %.1f MiB are free, "
                     "%u of %u processes use it",
                     MIB(memory->size), memory->line_ps / 1000.0, MIB(usage.free), MIB(usage.total),
                     usage.owners - 1, usage.owners_max);
    return true;
}

/* What is known of a doorbell, the best last. */
enum bell { NO_BELL, BELL_FORBIDDEN, BELL };

static enum bell bell_of(const struct ferry_guests_memory *memory)
{
    if (ferry_vfio_has_interrupt(&memory->vfio))
        return BELL;
    return memory->kind == FERRY_GUESTS_IVSHMEM && ferry_vfio_holds(memory->name) ? BELL_FORBIDDEN
                                                                                  : NO_BELL;
}

static void add_waiting(struct ferry_survey *survey, enum bell bell)
{
    static const char polling[] =
        "one that waits long looks 500 times a second, which takes about a hundredth of a "
        "processor, and ends up to 2 ms late";

    if (bell == BELL)
        ferry_survey_add(survey, "waiting",
                         "asleep until others ring, by the doorbell of the ivshmem device, which "
                         "takes some 200 us, where all others of the job have one, too; else by "
                         "polling: %s",
                         polling);
    else
        ferry_survey_add(
            survey, "waiting", "by polling: %s; %s",
            bell == BELL_FORBIDDEN
                ? "with one process in each virtual machine FERRY_GUESTS_BELL=yes would "
                  "have others wake it, if the device has a doorbell"
                : "nobody can wake a process of another virtual machine, but by an "
                  "ivshmem device with a doorbell (doc/memory-of-guests.md)",
            polling);
}

/* Whether it can be used. */
static bool survey_memory(struct ferry_survey *survey, struct ferry_guests_memory *memory,
                          enum bell *bell)
{
    char label[64], why[320];
    bool usable = false;
    int error;

    ferry_guests_memory_describe(memory, why, sizeof(why));
    snprintf(label, sizeof(label), "%.63s", why);
    if (ferry_guests_memory_map(memory)) {
        ferry_survey_add(survey, label, "not usable: %.230s", memory->why);
        if (memory->help[0])
            ferry_survey_fail(survey, memory->help, "%s", memory->why);
        return false;
    }
    if (bell_of(memory) > *bell)
        *bell = bell_of(memory);
    error = ferry_commons_look(memory->base, memory->size, why, sizeof(why));
    if (error == -ENODATA) {
        usable = true;
        ferry_survey_add(survey, label,
                         "usable: %.0f MiB, cached (a line takes %.1f ns), empty: the first job "
                         "makes it ready",
                         MIB(memory->size), memory->line_ps / 1000.0);
    } else if (error) {
        ferry_survey_add(survey, label, "not usable: %.230s", why);
    } else {
        usable = add_usage(survey, label, memory);
    }
    ferry_guests_memory_unmap(memory);
    return usable;
}

void ferry_guests_survey(struct ferry_survey *survey)
{
    struct ferry_guests_memory found[FERRY_GUESTS_MEMORIES_MAX];
    unsigned count = ferry_guests_memories_find(found);
    enum bell bell = NO_BELL;
    bool any = false;

    for (unsigned i = 0; i < count; i++)
        any |= survey_memory(survey, &found[i], &bell);
    survey->usable = any;
    if (any) {
        survey->why[0] = survey->help[0] = '\0';
        add_waiting(survey, bell);
        ferry_survey_add(survey, "lease",
                         "a process that nothing is heard of for %.0f s is given up (FERRY_LEASE)",
                         (double) ferry_config()->lease / 1e6);
    } else {
        ferry_survey_fail(survey,
                          "where this is a virtual machine, give it and others of its host an "
                          "ivshmem device: doc/memory-of-guests.md",
                          "no memory that virtual machines share can be used "
                          "(FERRY_GUESTS_MEMORY=%s)",
                          ferry_config()->guests_memory);
    }
}
