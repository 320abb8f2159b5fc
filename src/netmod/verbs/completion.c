/*
 * What devices tell is done.
 */
#include "verbs.h"

#define BATCH 16

static uint32_t number_of(const struct ibv_wc *done)
{
    return (uint32_t) (done->wr_id >> 8);
}

static void on_receive(struct ferry_verbs_device *device, struct ferry_verbs_rail *rail,
                       const struct ibv_wc *done)
{
    struct ferry_verbs_slot *slot = device->slots[number_of(done)];

    if (rail && done->status == IBV_WC_SUCCESS)
        ferry_verbs_received(rail, slot, done->byte_len);
    else
        ferry_verbs_receive_into(device, slot); /* of a queue pair that is not there any more */
}

static void on_request(struct ferry_verbs_rail *rail, const struct ibv_wc *done)
{
    struct ferry_verbs_endpoint *endpoint = rail->endpoint;
    bool works = done->status == IBV_WC_SUCCESS;

    ferry_verbs_rail_done(rail, number_of(done));
    switch (done->wr_id & 0xff) {
    case FERRY_VERBS_ACKNOWLEDGE:
        endpoint->acknowledging = false;
        ferry_verbs_owe(endpoint); /* for what came meanwhile */
        break;
    case FERRY_VERBS_READ:
        ferry_verbs_read_part(rail, (uint32_t) (done->wr_id >> FERRY_VERBS_ID_READ), works);
        break;
    case FERRY_VERBS_FETCH:
        ferry_verbs_fetched(rail, (uint32_t) (done->wr_id >> FERRY_VERBS_ID_READ), works);
        break;
    case FERRY_VERBS_PROBE:
        ferry_verbs_probed(rail, works);
        return;
    default:
        break;
    }
    if (!works && !endpoint->left) {
        rail->device->check = true;
        ferry_verbs_fail(endpoint, ibv_wc_status_str(done->status));
    } else if (endpoint->inbox) {
        ferry_verbs_fetch_on(endpoint); /* there is room for one more request */
    }
}

static int take(struct ferry_verbs_device *device)
{
    struct ibv_wc done[BATCH];
    int count = ibv_poll_cq(device->cq, BATCH, done);

    for (int i = 0; i < count; i++) {
        struct ferry_verbs_rail *rail = ferry_verbs_rail_find(device, done[i].qp_num);

        if ((done[i].wr_id & 0xff) == FERRY_VERBS_RECEIVE)
            on_receive(device, rail, &done[i]);
        else if (rail)
            on_request(rail, &done[i]);
    }
    if (count > 0)
        ferry_verbs_post_receives(device);
    return count > 0 ? count : 0;
}

int ferry_verbs_poll(struct ferry_verbs_device *device)
{
    int count = take(device);
    struct ibv_cq *cq;
    void *context;

    if (!device->armed || !(count || device->late))
        return count;
    device->late = ibv_get_cq_event(device->channel, &cq, &context) != 0;
    if (!device->late) {
        ibv_ack_cq_events(cq, 1);
        device->armed = false;
    }
    return count;
}

void ferry_verbs_drain(struct ferry_verbs_device *device)
{
    while (device->cq && take(device))
        ;
}
