/*
 * Matching of tagged messages with posted receives: both kept in bins by the match word, wildcards
 * in lists of their own. The earliest that fits is taken, as MPI asks for it.
 */
#ifndef FERRY_MATCH_H
#define FERRY_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"

#define FERRY_MATCH_BINS 256

/* A posted receive. */
struct ferry_posted {
    struct ferry_link link;
    uint64_t match, ignore, order;
};

/* A message that no receive has taken. */
struct ferry_unexpected {
    struct ferry_link bin, all;
    uint64_t match;
};

struct ferry_match {
    uint64_t carried; /* bits that are never compared */
    uint64_t order;
    struct ferry_link wild;
    struct ferry_link posted[FERRY_MATCH_BINS];
    struct ferry_link all;
    struct ferry_link unexpected[FERRY_MATCH_BINS];
};

void ferry_match_init(struct ferry_match *table, uint64_t carried);

/* Adds a receive (match and ignore are set), to be done after ferry_match_find() found nothing. */
void ferry_match_post(struct ferry_match *table, struct ferry_posted *posted);

/* Adds a message (match is set), to be done after ferry_match_take() found nothing. */
void ferry_match_add(struct ferry_match *table, struct ferry_unexpected *message);

/* Takes out the earliest posted receive that fits a message's word, or NULL. */
struct ferry_posted *ferry_match_take(struct ferry_match *table, uint64_t match);

/* Whether a posted receive fits a message's word. */
bool ferry_match_is_awaited(struct ferry_match *table, uint64_t match);

/* Puts a receive back where it was taken out. */
void ferry_match_give_back(struct ferry_match *table, struct ferry_posted *posted);

/* The earliest message that fits, left in place, or NULL. */
struct ferry_unexpected *ferry_match_find(struct ferry_match *table, uint64_t match,
                                          uint64_t ignore);

static inline void ferry_match_remove_posted(struct ferry_posted *posted)
{
    ferry_link_remove(&posted->link);
}

static inline void ferry_match_remove(struct ferry_unexpected *message)
{
    ferry_link_remove(&message->bin);
    ferry_link_remove(&message->all);
}

#endif
