/*
 * The map of the job (ferry_map.c).
 */
#ifndef FERRY_MAP_H_INCLUDED
#define FERRY_MAP_H_INCLUDED

#include "ferry_impl.h"

/* In MPI_Init, when it is known whether rank 0 wants a map. */
int MPIDI_FERRY_map_init(bool wanted);

/* In MPI_Finalize, while all can still be reached: draws the map, if one is wanted. A map that fails harms nothing;
 * errors are those of progress. */
int MPIDI_FERRY_map_finalize(void);

#endif
