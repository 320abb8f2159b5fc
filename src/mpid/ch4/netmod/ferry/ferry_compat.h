/*
 * The differences between versions of MPICH. Everything that depends on a version is here.
 *
 * Tested: 4.0.2.
 */
#ifndef FERRY_COMPAT_H_INCLUDED
#define FERRY_COMPAT_H_INCLUDED

#include <mpidimpl.h>

#ifdef MPIDI_CH4_USE_WORK_QUEUES
#error "ch4:ferry is not made for the handoff and runtime models of --enable-ch4-mt"
#endif

#ifndef MPIDI_CH4_DIRECT_NETMOD
#error "ch4:ferry needs --with-ch4-shmmods=none"
#endif

/* The segment of the dataloop engine goes on where it stopped; from other engines each call asks
 * for an offset anew. */
#if defined(MPICH_DATATYPE_ENGINE) && defined(MPICH_DATATYPE_ENGINE_DATALOOP)
#if MPICH_DATATYPE_ENGINE == MPICH_DATATYPE_ENGINE_DATALOOP
#include <dataloop.h>
#define MPIDI_FERRY_HAVE_SEGMENT 1
#endif
#endif

/* Whether this thread holds the lock of progress exactly once, or there is no other thread yet. */
MPL_STATIC_INLINE_PREFIX bool MPIDI_FERRY_lock_is_simple(void)
{
#if MPICH_THREAD_GRANULARITY == MPICH_THREAD_GRANULARITY__GLOBAL
    MPID_Thread_mutex_t *mutex = &MPIR_THREAD_GLOBAL_ALLFUNC_MUTEX;
#elif MPICH_THREAD_GRANULARITY == MPICH_THREAD_GRANULARITY__VCI
    MPID_Thread_mutex_t *mutex = &MPIDI_VCI(0).lock;
#endif
    MPL_thread_id_t self;
    int same = 0;

    if (!MPIR_ThreadInfo.isThreaded)
        return true;
    MPL_thread_self(&self);
    MPL_thread_same(&self, &mutex->owner, &same);
    return same && mutex->count == 1;
}

/* Bits of a tag by which collectives tell each other of errors. */
#ifdef HAVE_TAG_ERROR_BITS
#define MPIDI_FERRY_ERROR_BITS 2
#else
#define MPIDI_FERRY_ERROR_BITS 0
#endif

#endif
