/*
 * Queue pairs: RC, with receives from the device's shared queue.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "verbs.h"

/* Requests that a queue pair holds: the window, what is read at once, and a few that tell. */
#define REQUESTS 48u
#define REQUESTS_KEPT 4u /* for acknowledgements, probes and nudges */

/* 4.096 us * 2^17 = 0.54 s until a packet is sent again, six times: then the path is taken for broken. So long, as hosts are
 * that emulate their adapter or are paused; of a peer's end the fabric tells sooner. Seven times would mean for ever to
 * Soft-RoCE. */
#define TIMEOUT 17
#define RETRIES 6
/* A receiver has room always; this is for one that is slow to post it. */
#define RNR_RETRIES 7
#define RNR_TIMER 12
#define HOPS 64

static unsigned bucket(uint32_t number)
{
    return number % FERRY_VERBS_BUCKETS;
}

static void list(struct ferry_verbs_rail *rail)
{
    struct ferry_verbs_rail **first = &rail->device->rails[bucket(rail->qp->qp_num)];

    rail->next = *first;
    *first = rail;
    rail->device->queue_pairs++;
}

static void unlist(struct ferry_verbs_rail *rail)
{
    struct ferry_verbs_rail **at = &rail->device->rails[bucket(rail->qp->qp_num)];

    while (*at != rail)
        at = &(*at)->next;
    *at = rail->next;
    rail->device->queue_pairs--;
}

struct ferry_verbs_rail *ferry_verbs_rail_find(struct ferry_verbs_device *device, uint32_t number)
{
    struct ferry_verbs_rail *rail = device->rails[bucket(number)];

    while (rail && rail->qp->qp_num != number)
        rail = rail->next;
    return rail;
}

static int initialise(struct ferry_verbs_rail *rail)
{
    const struct ferry_card *card = &rail->device->card;
    struct ibv_qp_attr attributes = {.qp_state = IBV_QPS_INIT,
                                     .pkey_index = card->pkeys[rail->lane.own_pkey].index,
                                     .port_num = rail->device->port,
                                     .qp_access_flags = IBV_ACCESS_REMOTE_READ};

    return -ibv_modify_qp(rail->qp, &attributes,
                          IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

int ferry_verbs_rail_make(struct ferry_verbs_rail *rail, struct ferry_verbs_endpoint *endpoint,
                          struct ferry_verbs_device *device, const struct ferry_lane *lane)
{
    struct ibv_qp_init_attr wanted = {
        .send_cq = device->cq,
        .recv_cq = device->cq,
        .srq = device->srq,
        .cap = {.max_send_wr = REQUESTS, .max_send_sge = 1, .max_inline_data = 220},
        .qp_type = IBV_QPT_RC};
    int error;

    /* What is left of an older queue pair must not be taken for this one's, which may get its number. */
    ferry_verbs_drain(device);
    *rail = (struct ferry_verbs_rail){.endpoint = endpoint, .device = device, .lane = *lane};
    rail->qp = ibv_create_qp(device->pd, &wanted);
    if (!rail->qp) {
        wanted.cap.max_inline_data = 0;
        rail->qp = ibv_create_qp(device->pd, &wanted);
    }
    if (!rail->qp)
        return errno ? -errno : -EIO;
    device->inline_max = wanted.cap.max_inline_data;
    ferry_random(&rail->psn, sizeof(rail->psn));
    rail->psn &= 0xffffff;
    error = initialise(rail);
    if (error) {
        ibv_destroy_qp(rail->qp);
        rail->qp = NULL;
        return error;
    }
    list(rail);
    return 0;
}

void ferry_verbs_rail_destroy(struct ferry_verbs_rail *rail)
{
    if (!rail->qp)
        return;
    unlist(rail);
    ibv_destroy_qp(rail->qp);
    rail->qp = NULL;
}

struct ferry_verbs_end ferry_verbs_rail_end(const struct ferry_verbs_rail *rail)
{
    const struct ferry_lane *lane = &rail->lane;

    return (struct ferry_verbs_end){.number = rail->qp->qp_num,
                                    .psn = rail->psn,
                                    .lid = rail->device->card.lid,
                                    .own = lane->own,
                                    .other = lane->other,
                                    .own_gid = lane->own_gid,
                                    .other_gid = lane->other_gid,
                                    .own_pkey = lane->own_pkey,
                                    .other_pkey = lane->other_pkey,
                                    .mtu = lane->mtu,
                                    .global = lane->global,
                                    .reads = rail->device->card.reads,
                                    .long_packets = rail->device->in.mr != NULL};
}

static struct ibv_ah_attr path_to(const struct ferry_verbs_rail *rail,
                                  const struct ferry_verbs_end *end)
{
    const struct ferry_card *own = &rail->device->card;
    const struct ferry_card *other = &rail->endpoint->other.at[rail->lane.other];
    struct ibv_ah_attr path = {.dlid = end->lid, .port_num = rail->device->port};

    if (!rail->lane.global)
        return path;
    path.is_global = 1;
    path.grh.hop_limit = HOPS;
    path.grh.sgid_index = own->gids[rail->lane.own_gid].index;
    memcpy(path.grh.dgid.raw, other->gids[rail->lane.other_gid].bytes, 16);
    return path;
}

static uint8_t least(uint32_t a, uint32_t b)
{
    return (uint8_t) (a < b ? a : b);
}

int ferry_verbs_rail_connect(struct ferry_verbs_rail *rail, const struct ferry_verbs_end *end)
{
    struct ibv_qp_attr ready = {.qp_state = IBV_QPS_RTR,
                                .path_mtu = (enum ibv_mtu) rail->lane.mtu,
                                .dest_qp_num = end->number,
                                .rq_psn = end->psn,
                                .max_dest_rd_atomic = rail->device->card.reads,
                                .min_rnr_timer = RNR_TIMER,
                                .ah_attr = path_to(rail, end)};
    struct ibv_qp_attr sending = {
        .qp_state = IBV_QPS_RTS,
        .timeout = TIMEOUT,
        .retry_cnt = RETRIES,
        .rnr_retry = RNR_RETRIES,
        .sq_psn = rail->psn,
        .max_rd_atomic = least(rail->device->reads, end->reads ? end->reads : 1)};
    int error = ibv_modify_qp(rail->qp, &ready,
                              IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
                                  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);

    if (!error)
        error = ibv_modify_qp(rail->qp, &sending,
                              IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                                  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
    return -error;
}

bool ferry_verbs_rail_has_room(const struct ferry_verbs_rail *rail)
{
    return rail->posted - rail->done < REQUESTS - REQUESTS_KEPT;
}

int ferry_verbs_rail_post(struct ferry_verbs_rail *rail, struct ibv_send_wr *request,
                          enum ferry_verbs_kind kind, bool tell)
{
    struct ibv_send_wr *bad;
    int error;

    if (rail->posted - rail->done >= REQUESTS)
        return ENOMEM;
    request->wr_id |= ferry_verbs_id(kind, rail->posted + 1);
    if (tell)
        request->send_flags |= IBV_SEND_SIGNALED;
    error = ibv_post_send(rail->qp, request, &bad);
    if (error)
        return error;
    rail->posted++;
    if (tell)
        rail->told = rail->posted;
    return 0;
}
