/*
 * Progress, called in a tight loop by everything that waits.
 */
#ifndef FERRY_PROGRESS_H_INCLUDED
#define FERRY_PROGRESS_H_INCLUDED

#include "ferry_impl.h"

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_progress(int vci, int blocking)
{
    unsigned waiting = MPIDI_FERRY_waiting;

    MPIDI_FERRY_waiting = 0;
    if (unlikely(MPIDI_FERRY_global.context == NULL))
        return MPI_SUCCESS;
    if (waiting == MPIDI_FERRY_WAITS)
        ferry_await(MPIDI_FERRY_global.context);
    else if (waiting == 0)
        ferry_progress(MPIDI_FERRY_global.context);
    else
        ferry_poll(MPIDI_FERRY_global.context);
    if (unlikely(MPIDI_FERRY_global.work))
        return MPIDI_FERRY_work();
    return MPI_SUCCESS;
}

#endif
