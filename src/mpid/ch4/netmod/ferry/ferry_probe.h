/*
 * Probes. MPICH makes progress around them.
 */
#ifndef FERRY_PROBE_H_INCLUDED
#define FERRY_PROBE_H_INCLUDED

#include "ferry_impl.h"

MPL_STATIC_INLINE_PREFIX void MPIDI_FERRY_probed(const ferry_probe_t *probe, MPI_Status *status)
{
    if (status != MPI_STATUS_IGNORE) {
        status->MPI_SOURCE = MPIDI_FERRY_match_rank(probe->match);
        status->MPI_TAG = MPIDI_FERRY_match_tag(probe->match);
        MPIR_STATUS_SET_COUNT(*status, (MPI_Aint) probe->length);
    }
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_iprobe(int source, int tag, MPIR_Comm *comm,
                                                 int context_offset, MPIDI_av_entry_t *av,
                                                 int *flag, MPI_Status *status)
{
    ferry_probe_t probe;
    uint64_t ignore;
    uint64_t match = MPIDI_FERRY_match_any(comm->recvcontext_id + context_offset, source, tag,
                                           &ignore);

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    *flag = ferry_probe(MPIDI_FERRY_global.context, match, ignore, &probe, NULL);
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    if (*flag)
        MPIDI_FERRY_probed(&probe, status);
    return MPI_SUCCESS;
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_improbe(int source, int tag, MPIR_Comm *comm,
                                                  int context_offset, MPIDI_av_entry_t *av,
                                                  int *flag, MPIR_Request **message,
                                                  MPI_Status *status)
{
    int mpi_errno = MPI_SUCCESS;
    ferry_probe_t probe;
    ferry_message_t *found;
    MPIR_Request *request = NULL;
    uint64_t ignore;
    uint64_t match = MPIDI_FERRY_match_any(comm->recvcontext_id + context_offset, source, tag,
                                           &ignore);

    MPID_THREAD_CS_ENTER(VCI, MPIDI_VCI(0).lock);
    *flag = ferry_probe(MPIDI_FERRY_global.context, match, ignore, &probe, &found);
    if (*flag) {
        request = MPIR_Request_create_from_pool(MPIR_REQUEST_KIND__MPROBE, 0, 2);
        MPIR_ERR_CHKANDSTMT(request == NULL, mpi_errno, MPIX_ERR_NOREQ, goto fn_fail, "**nomemreq");
        request->comm = comm;
        MPIR_Comm_add_ref(comm);
        MPIDI_FERRY_REQ(request).message = found;
        MPIDI_FERRY_probed(&probe, status);
    }
    *message = request;

fn_exit:
    MPID_THREAD_CS_EXIT(VCI, MPIDI_VCI(0).lock);
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

#endif
