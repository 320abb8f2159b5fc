/*
 * Sends and receives that are not small and contiguous, and those that end with an error.
 */
#include "ferry_impl.h"
#include "ferry_recv.h"

/* Up to this many bytes are packed on the stack and sent at once. */
#define PACK_SMALL 2048

int MPIDI_FERRY_error(int error, const char *function, int line)
{
    switch (error) {
    case -ENOMEM:
        return MPIR_Err_create_code(MPI_SUCCESS, MPIR_ERR_RECOVERABLE, function, line,
                                    MPI_ERR_OTHER, "**nomem", 0);
    case -EMSGSIZE:
        return MPIR_Err_create_code(MPI_SUCCESS, MPIR_ERR_RECOVERABLE, function, line,
                                    MPI_ERR_TRUNCATE, "**truncate", 0);
    default:
        return MPIR_Err_create_code(MPI_SUCCESS, MPIR_ERR_RECOVERABLE, function, line,
                                    MPI_ERR_OTHER, "**ferry", "**ferry %s", strerror(-error));
    }
}

/* Gives back a request that nobody but its maker has seen. */
static void drop_request(MPIR_Request *request)
{
    MPIR_cc_set(&request->cc, 0);
    MPIDI_CH4_REQUEST_FREE(request);
    MPIDI_CH4_REQUEST_FREE(request);
}

/* ---- Sends ---- */

static void sent(ferry_request_t *ferry)
{
    MPIR_Request *request = MPIDI_FERRY_request_of(ferry);

    MPIDI_FERRY_view_free(MPIDI_FERRY_REQ(request).view);
    if (unlikely(ferry->status != 0))
        request->status.MPI_ERROR = MPIDI_FERRY_error(ferry->status, __func__, __LINE__);
    MPIDIU_request_complete(request);
}

int MPIDI_FERRY_send(const void *buffer, MPI_Aint count, MPI_Datatype datatype, ferry_peer_t *peer,
                     uint64_t match, unsigned flags, MPIR_Request **request)
{
    int mpi_errno = MPI_SUCCESS;
    int contiguous;
    size_t length;
    MPIR_Datatype *type ATTRIBUTE((unused));
    MPI_Aint lower_bound;
    MPIR_Request *sreq = NULL;
    int ret;

    MPIDI_Datatype_get_info(count, datatype, contiguous, length, type, lower_bound);
    if (length == 0)
        contiguous = 1;

    if (contiguous) {
        buffer = MPIR_get_contig_ptr(buffer, lower_bound);
        ret = flags == 0 ? ferry_send_small(peer, match, buffer, length) : -EAGAIN;
    } else if (flags == 0 && length <= PACK_SMALL) {
        char packed[PACK_SMALL];
        MPI_Aint n;
        mpi_errno = MPIR_Typerep_pack(buffer, count, datatype, 0, packed, length, &n);
        MPIR_ERR_CHECK(mpi_errno);
        ret = ferry_send_small(peer, match, packed, length);
    } else {
        ret = -EAGAIN;
    }
    if (ret == 0) {
        *request = MPIR_Request_create_complete(MPIR_REQUEST_KIND__SEND);
        goto fn_exit;
    }

    sreq = MPIR_Request_create_from_pool(MPIR_REQUEST_KIND__SEND, 0, 2);
    MPIR_ERR_CHKANDSTMT(sreq == NULL, mpi_errno, MPIX_ERR_NOREQ, goto fn_fail, "**nomemreq");
    MPIDI_FERRY_request_t *own = &MPIDI_FERRY_REQ(sreq);
    own->ferry.done = sent;
    own->ferry.stream = NULL;
    own->view = NULL;
    if (!contiguous) {
        own->view = MPIDI_FERRY_view_create(buffer, count, datatype);
        MPIR_ERR_CHKANDJUMP(own->view == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");
        own->ferry.stream = MPIDI_FERRY_view_stream_to_send(own->view);
        buffer = own->view;
    }

    ret = ferry_send(peer, match, buffer, length, flags, &own->ferry);
    if (ret < 0) {
        MPIDI_FERRY_view_free(own->view);
        MPIDI_FERRY_CHKANDJUMP(ret);
    }
    if (ret == 1) {
        MPIDI_FERRY_view_free(own->view);
        MPIDIU_request_complete(sreq);
    }
    *request = sreq;

fn_exit:
    return mpi_errno;
fn_fail:
    if (sreq != NULL)
        drop_request(sreq);
    goto fn_exit;
}

/* ---- Receives ---- */

/* What MPIDI_FERRY_set_status() leaves: errors, and data that was unpacked. */
void MPIDI_FERRY_received_oddly(MPIR_Request *request)
{
    MPIDI_FERRY_request_t *own = &MPIDI_FERRY_REQ(request);

    if (own->ferry.status != 0)
        request->status.MPI_ERROR = MPIDI_FERRY_error(own->ferry.status, __func__, __LINE__);

    if (own->view != NULL) {
        MPI_Aint unpacked = MPIDI_FERRY_view_unpacked(own->view);
        if (own->ferry.status == 0 && unpacked != (MPI_Aint) own->ferry.length)
            request->status.MPI_ERROR = MPIR_Err_create_code(MPI_SUCCESS, MPIR_ERR_RECOVERABLE,
                                                             __func__, __LINE__, MPI_ERR_TYPE,
                                                             "**dtypemismatch", 0);
        MPIR_STATUS_SET_COUNT(request->status, unpacked);
        MPIDI_FERRY_view_free(own->view);
        own->view = NULL;
    }
}

void MPIDI_FERRY_failed(ferry_request_t *ferry, int error)
{
    ferry->status = error;
    ferry->length = 0;
    ferry->match = 0;
    MPIDI_FERRY_received(ferry);
}

/* Prepares the request for a receive into the buffer: sets what Ferry is to be given. */
static int prepare(MPIR_Request *request, void **buffer, MPI_Aint count, MPI_Datatype datatype,
                   size_t *length)
{
    int mpi_errno = MPI_SUCCESS;
    MPIDI_FERRY_request_t *own = &MPIDI_FERRY_REQ(request);
    int contiguous;
    MPIR_Datatype *type ATTRIBUTE((unused));
    MPI_Aint lower_bound;

    own->ferry.done = MPIDI_FERRY_received;
    own->ferry.stream = NULL;
    own->view = NULL;
    MPIDI_Datatype_get_info(count, datatype, contiguous, *length, type, lower_bound);
    if (contiguous || *length == 0) {
        *buffer = MPIR_get_contig_ptr(*buffer, lower_bound);
    } else {
        own->view = MPIDI_FERRY_view_create(*buffer, count, datatype);
        MPIR_ERR_CHKANDJUMP(own->view == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");
        own->ferry.stream = &MPIDI_FERRY_view_stream;
        *buffer = own->view;
    }

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_recv(void *buffer, MPI_Aint count, MPI_Datatype datatype, uint64_t match,
                     uint64_t ignore, MPIR_Request *request)
{
    int mpi_errno;
    size_t length;
    int ret;

    mpi_errno = prepare(request, &buffer, count, datatype, &length);
    MPIR_ERR_CHECK(mpi_errno);
    ret = ferry_recv(MPIDI_FERRY_global.context, match, ignore, buffer, length,
                     &MPIDI_FERRY_REQ(request).ferry);
    if (ret == 1)
        MPIDI_FERRY_received(&MPIDI_FERRY_REQ(request).ferry);
    else if (ret < 0)
        MPIDI_FERRY_failed(&MPIDI_FERRY_REQ(request).ferry, ret);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_message_recv(void *buffer, MPI_Aint count, MPI_Datatype datatype,
                             MPIR_Request *request)
{
    int mpi_errno;
    ferry_message_t *message = MPIDI_FERRY_REQ(request).message;
    size_t length;
    int ret;

    mpi_errno = prepare(request, &buffer, count, datatype, &length);
    MPIR_ERR_CHECK(mpi_errno);
    ret = ferry_message_recv(message, buffer, length, &MPIDI_FERRY_REQ(request).ferry);
    if (ret == 1)
        MPIDI_FERRY_received(&MPIDI_FERRY_REQ(request).ferry);
    else if (ret < 0)
        MPIDI_FERRY_failed(&MPIDI_FERRY_REQ(request).ferry, ret);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_cancel(MPIR_Request *request)
{
    if (MPIR_Request_is_complete(request))
        return MPI_SUCCESS;

    if (ferry_cancel(MPIDI_FERRY_global.context, &MPIDI_FERRY_REQ(request).ferry) == 0) {
        MPIDI_FERRY_view_free(MPIDI_FERRY_REQ(request).view);
        MPIR_STATUS_SET_CANCEL_BIT(request->status, TRUE);
        MPIR_STATUS_SET_COUNT(request->status, 0);
        MPIDIU_request_complete(request);
    }
    return MPI_SUCCESS;
}
