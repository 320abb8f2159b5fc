/*
 * Active messages of MPICH's generic layer.
 */
#include "ferry_impl.h"

/* ---- Sending ---- */

/* A header as it travels. */
struct whole {
    size_t length;
    MPIDI_FERRY_am_prefix_t prefix;
    unsigned char header[MPIDI_FERRY_AM_HEADER_MAX];
};

static bool build(struct whole *whole, int handler_id, const void *header, size_t length,
                  ferry_peer_t *peer)
{
    MPIR_Assert(length <= MPIDI_FERRY_AM_HEADER_MAX);
    whole->length = sizeof whole->prefix + length;
    whole->prefix = (MPIDI_FERRY_am_prefix_t){.handler_id = (uint16_t) handler_id};
    memcpy(whole->header, header, length);
    return MPIDI_FERRY_handles_out(handler_id, whole->header, peer);
}

int MPIDI_FERRY_am_header(ferry_peer_t *peer, int handler_id, const void *header, size_t length)
{
    int mpi_errno = MPI_SUCCESS;
    struct whole whole;
    int ret = -ENOMEM;

    if (build(&whole, handler_id, header, length, peer))
        ret = ferry_am_send(peer, MPIDI_FERRY_AM_MPIDIG, &whole.prefix, whole.length, NULL, 0,
                            NULL);
    MPIDI_FERRY_CHKANDJUMP(ret);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

static void data_sent(ferry_request_t *ferry)
{
    MPIR_Request *request = MPIDI_FERRY_request_of(ferry);

    MPIDI_FERRY_view_free(MPIDI_FERRY_AMREQ(request).base.view);
    MPIDI_FERRY_AMREQ(request).base.view = NULL;
    if (unlikely(ferry->status != 0))
        request->status.MPI_ERROR = MPIDI_FERRY_error(ferry->status, __func__, __LINE__);
    MPIDIG_global.origin_cbs[MPIDI_FERRY_AMREQ(request).handler_id](request);
}

int MPIDI_FERRY_am_data(ferry_peer_t *peer, int handler_id, const void *header, size_t length,
                        const void *data, MPI_Aint count, MPI_Datatype datatype,
                        MPIR_Request *request)
{
    int mpi_errno = MPI_SUCCESS;
    struct whole whole;
    MPIDI_FERRY_am_request_t *own = &MPIDI_FERRY_AMREQ(request);
    int contiguous;
    size_t data_length;
    MPIR_Datatype *type ATTRIBUTE((unused));
    MPI_Aint lower_bound;

    own->handler_id = handler_id;
    own->base.view = NULL;
    own->base.ferry.done = data_sent;
    own->base.ferry.stream = NULL;
    own->base.ferry.status = 0;
    MPIDI_Datatype_get_info(count, datatype, contiguous, data_length, type, lower_bound);
    if (data_length == 0) {
        data = NULL;
    } else if (contiguous) {
        data = MPIR_get_contig_ptr(data, lower_bound);
    } else {
        own->base.view = MPIDI_FERRY_view_create(data, count, datatype);
        MPIR_ERR_CHKANDJUMP(own->base.view == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");
        own->base.ferry.stream = &MPIDI_FERRY_view_stream;
        data = own->base.view;
    }

    int ret = -ENOMEM;
    if (build(&whole, handler_id, header, length, peer))
        ret = ferry_am_send(peer, MPIDI_FERRY_AM_MPIDIG, &whole.prefix, whole.length, data,
                            data_length, &own->base.ferry);
    if (ret < 0) {
        MPIDI_FERRY_view_free(own->base.view);
        own->base.view = NULL;
    }
    MPIDI_FERRY_CHKANDJUMP(ret);
    if (ret == 1)
        data_sent(&own->base.ferry);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* ---- Receiving ---- */

/* A payload that is still on its way. MPICH's request may at the same time be that of a send. */
struct incoming {
    ferry_request_t ferry;
    MPIR_Request *request; /* NULL: nobody wants it */
    MPIDI_FERRY_view_t *view;
};

/* Goes into a list of places that MPICH made. */
static void places_unpack(void *arg, size_t offset, const void *from, size_t length)
{
    MPIDIG_recv_copy_seg((void *) from, (MPI_Aint) length, arg);
}

static const ferry_stream_t places_stream = {
    .unpack = places_unpack,
};

static void data_received(ferry_request_t *ferry)
{
    struct incoming *incoming = (struct incoming *) ferry;
    MPIR_Request *request = incoming->request;

    MPIDI_FERRY_view_free(incoming->view);
    if (request != NULL) {
        MPIR_STATUS_SET_COUNT(request->status, (MPI_Aint) ferry->length);
        if (unlikely(ferry->status != 0))
            request->status.MPI_ERROR = MPIDI_FERRY_error(ferry->status, __func__, __LINE__);
    }
    MPL_free(incoming);
    if (request != NULL)
        MPIDIG_REQUEST(request, req->target_cmpl_cb)(request);
}

/* Receives the payload to where MPICH wants it. */
static int receive_data(MPIR_Request *request, ferry_message_t *message)
{
    int mpi_errno = MPI_SUCCESS;
    void *buffer = NULL;
    size_t room = 0;

    struct incoming *incoming = MPL_malloc(sizeof *incoming, MPL_MEM_BUFFER);
    MPIR_ERR_CHKANDJUMP(incoming == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");
    incoming->request = request;
    incoming->view = NULL;
    incoming->ferry.done = data_received;
    incoming->ferry.stream = NULL;

    if (request != NULL) {
        MPIDIG_rreq_async_t *async = &MPIDIG_REQUEST(request, req->recv_async);
        MPIDIG_recv_setup(request);
        if (async->recv_type == MPIDIG_RECV_DATATYPE) {
            int contiguous;
            MPIR_Datatype *type ATTRIBUTE((unused));
            MPI_Aint lower_bound;
            buffer = MPIDIG_REQUEST(request, buffer);
            MPIDI_Datatype_get_info(MPIDIG_REQUEST(request, count),
                                    MPIDIG_REQUEST(request, datatype), contiguous, room, type,
                                    lower_bound);
            if (contiguous) {
                buffer = MPIR_get_contig_ptr(buffer, lower_bound);
            } else {
                incoming->view = MPIDI_FERRY_view_create(buffer, MPIDIG_REQUEST(request, count),
                                                         MPIDIG_REQUEST(request, datatype));
                MPIR_ERR_CHKANDJUMP(incoming->view == NULL, mpi_errno, MPI_ERR_OTHER, "**nomem");
                incoming->ferry.stream = &MPIDI_FERRY_view_stream;
                buffer = incoming->view;
            }
        } else if (async->recv_type == MPIDIG_RECV_CONTIG) {
            buffer = async->iov_one.iov_base;
            room = async->iov_one.iov_len;
        } else {
            for (int i = 0; i < async->iov_num; i++)
                room += async->iov_ptr[i].iov_len;
            incoming->ferry.stream = &places_stream;
            buffer = request;
        }
    }

    int ret = ferry_message_recv(message, buffer, room, &incoming->ferry);
    MPIDI_FERRY_CHKANDJUMP(ret);
    if (ret == 1)
        data_received(&incoming->ferry);

fn_exit:
    return mpi_errno;
fn_fail:
    if (incoming != NULL)
        MPIDI_FERRY_view_free(incoming->view);
    MPL_free(incoming);
    goto fn_exit;
}

static void handler(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                    const void *data, size_t length, ferry_message_t *message)
{
    int mpi_errno = MPI_SUCCESS;
    const MPIDI_FERRY_am_prefix_t *prefix = header;
    void *mpich_header = (void *) (prefix + 1);
    uint32_t attr = 0;

    if (header_length < sizeof *prefix || prefix->handler_id >= MPIDI_AM_HANDLERS_MAX ||
        MPIDIG_global.target_msg_cbs[prefix->handler_id] == NULL ||
        !MPIDI_FERRY_handles_in(prefix->handler_id, mpich_header, header_length - sizeof *prefix,
                                peer))
        MPIR_ERR_SETANDJUMP(mpi_errno, MPI_ERR_OTHER, "**ferryam");

    MPIDIG_am_target_msg_cb deliver = MPIDIG_global.target_msg_cbs[prefix->handler_id];
    if (message == NULL) {
        mpi_errno = deliver(mpich_header, (void *) data, (MPI_Aint) length, attr, NULL);
    } else {
        MPIR_Request *request = NULL;
        mpi_errno = deliver(mpich_header, NULL, (MPI_Aint) length, attr | MPIDIG_AM_ATTR__IS_ASYNC,
                            &request);
        MPIR_ERR_CHECK(mpi_errno);
        mpi_errno = receive_data(request, message);
    }
    MPIR_ERR_CHECK(mpi_errno);
    return;

fn_fail:
    MPIDI_FERRY_global.mpi_errno = mpi_errno;
    MPIDI_FERRY_global.work = true;
}

int MPIDI_FERRY_am_init(ferry_context_t *context)
{
    return ferry_am_register(context, MPIDI_FERRY_AM_MPIDIG, handler);
}
