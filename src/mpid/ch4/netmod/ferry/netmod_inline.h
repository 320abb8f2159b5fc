/*
 * All that MPICH calls inline. Partitioned, most one-sided and most collective operations are those of MPICH's
 * generic layer.
 */
#ifndef NETMOD_INLINE_H_INCLUDED
#define NETMOD_INLINE_H_INCLUDED

#ifdef MPIDI_ENABLE_AM_ONLY
#include "netmod_am_fallback.h"
#else
#include "ferry_coll.h"
#include "ferry_probe.h"
#include "ferry_recv.h"
#include "ferry_rma.h"
#include "ferry_send.h"
#include "netmod_am_fallback_part.h"
#endif

#include "ferry_am.h"
#include "ferry_proc.h"
#include "ferry_progress.h"

#include "ferry_noinline.h"

#endif
