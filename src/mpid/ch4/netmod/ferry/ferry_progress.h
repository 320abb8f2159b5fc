/*
 * Progress, called in a tight loop by everything that waits.
 */
#ifndef FERRY_PROGRESS_H_INCLUDED
#define FERRY_PROGRESS_H_INCLUDED

#include "ferry_impl.h"

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_progress(int vci, int blocking)
{
    if (unlikely(MPIDI_FERRY_global.context == NULL))
        return MPI_SUCCESS;
    if (MPIDI_FERRY_waiting > 0) {
        MPIDI_FERRY_waiting = 0;
        ferry_await(MPIDI_FERRY_global.context);
    } else {
        ferry_progress(MPIDI_FERRY_global.context);
    }
    if (unlikely(MPIDI_FERRY_global.work))
        return MPIDI_FERRY_work();
    return MPI_SUCCESS;
}

#endif
