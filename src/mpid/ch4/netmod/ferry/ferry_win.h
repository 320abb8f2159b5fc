/*
 * Windows: memory that is allocated with them (ferry_win_memory.c), and who may begin to access them (ferry_win_start.c).
 */
#ifndef FERRY_WIN_H_INCLUDED
#define FERRY_WIN_H_INCLUDED

#include "ferry_impl.h"

/* Makes a window of flavor MPI_WIN_FLAVOR_ALLOCATE or _SHARED, with memory that the processes of each node share. Where
 * that can't be had, a window of the former flavor gets private memory. */
int MPIDI_FERRY_win_allocate(MPI_Aint size, int disp_unit, MPIR_Info *info, MPIR_Comm *comm,
                             int flavor, void **base, MPIR_Win **win);

/* MPI_Win_start. */
int MPIDI_FERRY_win_start(MPIR_Group *group, int assert, MPIR_Win *win);

/* A message of another process's MPI_Win_post has come. */
int MPIDI_FERRY_posted(void *header, void *data, MPI_Aint length, uint32_t attr,
                       MPIR_Request **request);

/* Frees what was allocated with a window, if anything was. */
void MPIDI_FERRY_win_release(MPIR_Win *win);

#endif
