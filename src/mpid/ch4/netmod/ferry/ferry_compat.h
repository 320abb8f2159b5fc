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

/* Bits of a tag by which collectives tell each other of errors. */
#ifdef HAVE_TAG_ERROR_BITS
#define MPIDI_FERRY_ERROR_BITS 2
#else
#define MPIDI_FERRY_ERROR_BITS 0
#endif

#endif
