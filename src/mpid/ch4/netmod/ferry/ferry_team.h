/*
 * What ferry_team.c and ferry_coll.c share: a team, and where it is in its operations.
 */
#ifndef FERRY_TEAM_H_INCLUDED
#define FERRY_TEAM_H_INCLUDED

#include "ferry_impl.h"

/* Operations take turns in the buffers of a member's area, so that they can begin while slow members still read what
 * those before them left: many small ones, since a root that broadcasts need wait for nobody, and two large
 * ones behind them. */
#define MPIDI_FERRY_TEAM_SMALL 256
#define MPIDI_FERRY_TEAM_SMALLS 64
#define MPIDI_FERRY_TEAM_LARGES 2
#define MPIDI_FERRY_TEAM_AREA                           \
    (MPIDI_FERRY_TEAM_SMALLS * MPIDI_FERRY_TEAM_SMALL + \
     MPIDI_FERRY_TEAM_LARGES * MPIDI_FERRY_TEAM_ROOM)

struct MPIDI_FERRY_team {
    struct MPIDI_FERRY_team *next;
    MPIDI_FERRY_comm_t *comm;
    ferry_team_t *ferry;
    int size, rank;
    uint64_t steps;        /* made by this process */
    unsigned small, large; /* operations that used such a buffer */
    unsigned buffer;       /* of the operation under way */
    /* By buffer: steps up to the end of the operation that used it last; 0: none did */
    uint64_t used_until[MPIDI_FERRY_TEAM_SMALLS + MPIDI_FERRY_TEAM_LARGES];
};

#endif
