/*
 * Progress, called in a tight loop by everything that waits.
 */
#ifndef FERRY_PROGRESS_H_INCLUDED
#define FERRY_PROGRESS_H_INCLUDED

#include "ferry_impl.h"

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_progress(int vci, int blocking)
{
    MPIDI_FERRY_global_t *global = &MPIDI_FERRY_global;

    if (unlikely(global->context == NULL))
        return MPI_SUCCESS;
    if (ferry_progress(global->context) > 0) {
        global->idle = 0;
        global->idle_since = 0;
        if (likely(!global->work))
            return MPI_SUCCESS;
    } else if (likely(++global->idle < global->idle_max)) {
        return MPI_SUCCESS;
    }
    return MPIDI_FERRY_progress_seldom();
}

#endif
