/*
 * What ferry_team.c and ferry_coll.c share: a team, and where it is in its operations.
 */
#ifndef FERRY_TEAM_H_INCLUDED
#define FERRY_TEAM_H_INCLUDED

#include "ferry_impl.h"

/* Operations take turns in the buffers, so that one can begin while slow members still read what the one before
 * it left. */
#define MPIDI_FERRY_TEAM_BUFFERS 2

struct MPIDI_FERRY_team {
    struct MPIDI_FERRY_team *next;
    MPIDI_FERRY_comm_t *comm;
    ferry_team_t *ferry;
    int size, rank;
    unsigned operations;
    uint32_t steps;        /* made by this process */
    uint32_t steps_before; /* up to the end of the operation before the last */
};

#endif
