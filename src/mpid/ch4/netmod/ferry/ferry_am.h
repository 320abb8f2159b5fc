/*
 * Active messages: what MPICH's generic layer builds one-sided and partitioned communication on.
 */
#ifndef FERRY_AM_H_INCLUDED
#define FERRY_AM_H_INCLUDED

#include "ferry_impl.h"

/* The generic layer keeps an early message of its own point-to-point protocol (which Ferry's native
 * one leaves without work) in a cell of this size. */
#define MPIDI_FERRY_AM_EAGER_MAX 8192

MPL_STATIC_INLINE_PREFIX MPI_Aint MPIDI_NM_am_hdr_max_sz(void)
{
    return MPIDI_FERRY_AM_HEADER_MAX;
}

MPL_STATIC_INLINE_PREFIX MPI_Aint MPIDI_NM_am_eager_limit(void)
{
    return MPIDI_FERRY_AM_EAGER_MAX;
}

MPL_STATIC_INLINE_PREFIX MPI_Aint MPIDI_NM_am_eager_buf_limit(void)
{
    return MPIDI_FERRY_AM_EAGER_MAX;
}

MPL_STATIC_INLINE_PREFIX bool MPIDI_NM_am_check_eager(MPI_Aint am_hdr_sz, MPI_Aint data_sz,
                                                      const void *data, MPI_Aint count,
                                                      MPI_Datatype datatype, MPIR_Request *sreq)
{
    return am_hdr_sz + data_sz <= MPIDI_FERRY_AM_EAGER_MAX;
}

MPL_STATIC_INLINE_PREFIX MPIDIG_recv_data_copy_cb MPIDI_NM_am_get_data_copy_cb(uint32_t attr)
{
    return NULL;
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_am_send_hdr(int rank, MPIR_Comm *comm, int handler_id,
                                                  const void *am_hdr, MPI_Aint am_hdr_sz,
                                                  int src_vci, int dst_vci)
{
    return MPIDI_FERRY_am_header(MPIDI_FERRY_peer(comm, rank), handler_id, am_hdr,
                                 (size_t) am_hdr_sz);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_am_send_hdr_reply(MPIR_Comm *comm, int rank, int handler_id,
                                                        const void *am_hdr, MPI_Aint am_hdr_sz,
                                                        int src_vci, int dst_vci)
{
    return MPIDI_FERRY_am_header(MPIDI_FERRY_peer(comm, rank), handler_id, am_hdr,
                                 (size_t) am_hdr_sz);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_am_isend(int rank, MPIR_Comm *comm, int handler_id,
                                               const void *am_hdr, MPI_Aint am_hdr_sz,
                                               const void *data, MPI_Aint count,
                                               MPI_Datatype datatype, int src_vci, int dst_vci,
                                               MPIR_Request *sreq)
{
    return MPIDI_FERRY_am_data(MPIDI_FERRY_peer(comm, rank), handler_id, am_hdr, (size_t) am_hdr_sz,
                               data, count, datatype, sreq);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_am_isend_reply(MPIR_Comm *comm, int rank, int handler_id,
                                                     const void *am_hdr, MPI_Aint am_hdr_sz,
                                                     const void *data, MPI_Aint count,
                                                     MPI_Datatype datatype, int src_vci,
                                                     int dst_vci, MPIR_Request *sreq)
{
    return MPIDI_FERRY_am_data(MPIDI_FERRY_peer(comm, rank), handler_id, am_hdr, (size_t) am_hdr_sz,
                               data, count, datatype, sreq);
}

MPL_STATIC_INLINE_PREFIX void MPIDI_NM_am_request_init(MPIR_Request *req)
{
    MPIDI_FERRY_AMREQ(req).base.view = NULL;
    MPIDI_FERRY_AMREQ(req).handle = 0;
}

MPL_STATIC_INLINE_PREFIX void MPIDI_NM_am_request_finalize(MPIR_Request *req)
{
    if (MPIDI_FERRY_AMREQ(req).handle != 0)
        MPIDI_FERRY_handle_release(MPIDI_FERRY_AMREQ(req).handle);
}

#endif
