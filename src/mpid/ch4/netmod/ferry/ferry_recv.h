/*
 * Receives.
 */
#ifndef FERRY_RECV_H_INCLUDED
#define FERRY_RECV_H_INCLUDED

#include "ferry_impl.h"

/* Sets what MPI tells of a message that was received. */
MPL_STATIC_INLINE_PREFIX void MPIDI_FERRY_set_status(MPIR_Request *request)
{
    MPIDI_FERRY_request_t *own = &MPIDI_FERRY_REQ(request);

    request->status.MPI_SOURCE = MPIDI_FERRY_match_rank(own->ferry.match);
    request->status.MPI_TAG = MPIDI_FERRY_match_tag(own->ferry.match);
    MPIR_STATUS_SET_COUNT(request->status, (MPI_Aint) own->ferry.length);
    if (unlikely(own->ferry.status != 0 || own->view != NULL))
        MPIDI_FERRY_received_oddly(request);
}

/* Called in progress when a posted receive is finished. */
MPL_STATIC_INLINE_PREFIX void MPIDI_FERRY_received(ferry_request_t *ferry)
{
    MPIR_Request *request = MPIDI_FERRY_request_of(ferry);

    MPIDI_FERRY_set_status(request);
    MPIDIU_request_complete(request);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_irecv(void *buffer, MPI_Aint count, MPI_Datatype datatype,
                                                int rank, int tag, MPIR_Comm *comm,
                                                int context_offset, MPIDI_av_entry_t *av,
                                                MPIR_Request **request, MPIR_Request *partner)
{
    int mpi_errno = MPI_SUCCESS;
    uint64_t ignore;
    uint64_t match = MPIDI_FERRY_match_any(comm->recvcontext_id + context_offset, rank, tag,
                                           &ignore);

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);

    MPIR_Request *rreq = MPIR_Request_create_from_pool(MPIR_REQUEST_KIND__RECV, 0, 2);
    MPIR_ERR_CHKANDSTMT(rreq == NULL, mpi_errno, MPIX_ERR_NOREQ, goto fn_exit, "**nomemreq");
    rreq->comm = comm;
    MPIR_Comm_add_ref(comm);
    *request = rreq;

    if (likely(HANDLE_IS_BUILTIN(datatype))) {
        MPIDI_FERRY_request_t *own = &MPIDI_FERRY_REQ(rreq);
        own->ferry.done = MPIDI_FERRY_received;
        own->ferry.stream = NULL;
        own->view = NULL;
        size_t length = (size_t) count * MPIR_Datatype_get_basic_size(datatype);
        int ret = ferry_recv(MPIDI_FERRY_global.context, match, ignore, buffer, length,
                             &own->ferry);
        if (ret == 1)
            MPIDI_FERRY_received(&own->ferry);
        else if (unlikely(ret < 0))
            MPIDI_FERRY_failed(&own->ferry, ret);
    } else {
        mpi_errno = MPIDI_FERRY_recv(buffer, count, datatype, match, ignore, rreq);
    }

fn_exit:
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    return mpi_errno;
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_imrecv(void *buffer, MPI_Aint count,
                                                 MPI_Datatype datatype, MPIR_Request *message)
{
    int mpi_errno;

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    mpi_errno = MPIDI_FERRY_message_recv(buffer, count, datatype, message);
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    return mpi_errno;
}

/* Called with the lock held, or from progress. */
MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_cancel_recv(MPIR_Request *request)
{
    return MPIDI_FERRY_cancel(request);
}

#endif
