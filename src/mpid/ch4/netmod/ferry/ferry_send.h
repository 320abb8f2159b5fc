/*
 * Sends. What is small and contiguous goes out at once and needs no request.
 */
#ifndef FERRY_SEND_H_INCLUDED
#define FERRY_SEND_H_INCLUDED

#include "ferry_impl.h"

MPL_STATIC_INLINE_PREFIX int MPIDI_FERRY_isend(const void *buffer, MPI_Aint count,
                                               MPI_Datatype datatype, int tag, MPIR_Comm *comm,
                                               int context_offset, MPIDI_av_entry_t *av,
                                               MPIR_Request **request)
{
    int mpi_errno = MPI_SUCCESS;
    ferry_peer_t *peer = MPIDI_FERRY_AV(av).peer;
    uint64_t match = MPIDI_FERRY_match(comm->context_id + context_offset, comm->rank, tag);

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    if (likely(HANDLE_IS_BUILTIN(datatype))) {
        size_t length = (size_t) count * MPIR_Datatype_get_basic_size(datatype);
        if (likely(ferry_send_small(peer, match, buffer, length) == 0)) {
            *request = MPIR_Request_create_complete(MPIR_REQUEST_KIND__SEND);
            goto fn_exit;
        }
    }
    mpi_errno = MPIDI_FERRY_send(buffer, count, datatype, peer, match, 0, request);

fn_exit:
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    return mpi_errno;
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_isend(const void *buffer, MPI_Aint count,
                                                MPI_Datatype datatype, int rank, int tag,
                                                MPIR_Comm *comm, int context_offset,
                                                MPIDI_av_entry_t *av, MPIR_Request **request)
{
    return MPIDI_FERRY_isend(buffer, count, datatype, tag, comm, context_offset, av, request);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_isend_coll(const void *buffer, MPI_Aint count,
                                                 MPI_Datatype datatype, int rank, int tag,
                                                 MPIR_Comm *comm, int context_offset,
                                                 MPIDI_av_entry_t *av, MPIR_Request **request,
                                                 MPIR_Errflag_t *errflag)
{
    if (unlikely(*errflag == MPIR_ERR_PROC_FAILED))
        MPIR_TAG_SET_PROC_FAILURE_BIT(tag);
    else if (unlikely(*errflag != MPIR_ERR_NONE))
        MPIR_TAG_SET_ERROR_BIT(tag);
    return MPIDI_FERRY_isend(buffer, count, datatype, tag, comm, context_offset, av, request);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_issend(const void *buffer, MPI_Aint count,
                                                 MPI_Datatype datatype, int rank, int tag,
                                                 MPIR_Comm *comm, int context_offset,
                                                 MPIDI_av_entry_t *av, MPIR_Request **request)
{
    int mpi_errno;
    uint64_t match = MPIDI_FERRY_match(comm->context_id + context_offset, comm->rank, tag);

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    mpi_errno = MPIDI_FERRY_send(buffer, count, datatype, MPIDI_FERRY_AV(av).peer, match,
                                 FERRY_SYNC, request);
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    return mpi_errno;
}

/* A send can't be taken back; MPI lets it complete as if nothing had been asked. */
MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_cancel_send(MPIR_Request *request)
{
    return MPI_SUCCESS;
}

#endif
