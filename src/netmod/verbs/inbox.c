/*
 * Packets that came by queue pair: taken in in the order in which they were sent. What came before the peer's word that
 * it goes over, or behind a long packet that is still being read, waits in the endpoint's inbox.
 */
#include <errno.h>
#include <string.h>

#include "verbs.h"

/* Long packets that are read at once: enough to keep the adapter busy, and not all places for one peer. */
#define FETCHES_MAX 2u

static struct ferry_head head_of(const struct ferry_verbs_slot *slot)
{
    struct ferry_head head;

    memcpy(&head, slot->bytes + sizeof(struct ferry_verbs_lead), sizeof(head));
    return head;
}

static void put(struct ferry_verbs_endpoint *endpoint, struct ferry_verbs_slot *slot)
{
    slot->next = NULL;
    if (endpoint->inbox)
        endpoint->last_inbox->next = slot;
    else
        endpoint->inbox = slot;
    endpoint->last_inbox = slot;
    endpoint->inbox_count++;
}

static struct ferry_verbs_slot *pop(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs_slot *slot = endpoint->inbox;

    endpoint->inbox = slot->next;
    endpoint->inbox_count--;
    return slot;
}

/* The slot, and its place, are used again. */
static void let_go(struct ferry_verbs_endpoint *endpoint, struct ferry_verbs_slot *slot)
{
    struct ferry_verbs_device *device = endpoint->rails[0].device;

    if (slot->place) {
        ferry_verbs_give_place(&device->in, slot->place);
        endpoint->fetching = true;
        if (device->short_of_places)
            device->verbs->due = true;
    }
    slot->place = NULL;
    slot->state = FERRY_VERBS_SLOT_WHOLE;
    ferry_verbs_receive_into(device, slot);
}

/* ---- Long packets ---- */

/* Has the adapter read a long packet, if there is a place and room for the request. */
static void fetch(struct ferry_verbs_endpoint *endpoint, struct ferry_verbs_slot *slot)
{
    struct ferry_verbs_rail *rail = &endpoint->rails[0];
    struct ferry_verbs_device *device = rail->device;
    struct ferry_verbs_reference from;
    struct ibv_sge part = {.length = head_of(slot).length, .lkey = device->in.mr->lkey};
    struct ibv_send_wr request = {.wr_id = (uint64_t) slot->number << FERRY_VERBS_ID_READ,
                                  .sg_list = &part,
                                  .num_sge = 1,
                                  .opcode = IBV_WR_RDMA_READ};

    if (endpoint->fetches >= FETCHES_MAX || !ferry_verbs_rail_has_room(rail))
        return;
    slot->place = ferry_verbs_take_place(&device->in);
    if (!slot->place) {
        device->short_of_places = true;
        return;
    }
    memcpy(&from, slot->bytes + FERRY_VERBS_BEFORE, sizeof(from));
    part.addr = (uintptr_t) slot->place->bytes;
    request.wr.rdma.remote_addr = from.address;
    request.wr.rdma.rkey = from.key;
    slot->state = FERRY_VERBS_SLOT_FETCHING;
    endpoint->fetches++;
    if (ferry_verbs_rail_post(rail, &request, FERRY_VERBS_FETCH, true))
        ferry_verbs_fail(endpoint, "a request could not be posted");
    ferry_core_has_called(endpoint->base.transport->context);
}

void ferry_verbs_fetch_on(struct ferry_verbs_endpoint *endpoint)
{
    endpoint->fetching = false;
    if (endpoint->state != FERRY_VERBS_UP || !endpoint->receives_up || endpoint->failed)
        return;
    for (struct ferry_verbs_slot *slot = endpoint->inbox; slot; slot = slot->next)
        if (slot->state == FERRY_VERBS_SLOT_REFERS)
            fetch(endpoint, slot);
}

void ferry_verbs_fetched(struct ferry_verbs_rail *rail, uint32_t number, bool works)
{
    struct ferry_verbs_endpoint *endpoint = rail->endpoint;

    endpoint->fetches--;
    if (!works)
        return;
    rail->device->slots[number]->state = FERRY_VERBS_SLOT_WHOLE;
    ferry_verbs_deliver(endpoint);
}

/* ---- In order ---- */

/* Takes in a packet that is whole. Errors: -EPROTO. */
static int take_in(struct ferry_verbs_endpoint *endpoint, const struct ferry_verbs_slot *slot)
{
    struct ferry_head head = head_of(slot);

    if (head.seq != endpoint->got + 1)
        return -EPROTO;
    endpoint->got++;
    endpoint->got_long |= slot->place != NULL;
    return ferry_core_receive(&endpoint->base, &head,
                              slot->place ? slot->place->bytes : slot->bytes + FERRY_VERBS_BEFORE);
}

static void give_up(struct ferry_verbs_endpoint *endpoint, int error)
{
    ferry_core_lost(&endpoint->base, error, "it sent nonsense by RDMA");
}

void ferry_verbs_deliver(struct ferry_verbs_endpoint *endpoint)
{
    while (endpoint->inbox && endpoint->inbox->state == FERRY_VERBS_SLOT_WHOLE &&
           endpoint->receives_up && !endpoint->base.core.lost) {
        struct ferry_verbs_slot *slot = pop(endpoint);
        int error = take_in(endpoint, slot);

        let_go(endpoint, slot);
        if (error)
            give_up(endpoint, error);
    }
    if (endpoint->fetching)
        ferry_verbs_fetch_on(endpoint);
    ferry_verbs_owe(endpoint);
}

/* Whether a packet that says it is so long can be one, of as many bytes as came. */
static bool is_sound(const struct ferry_verbs_endpoint *endpoint, const struct ferry_head *head,
                     uint32_t came)
{
    if (head->type == FERRY_PKT_TRANSPORT)
        return head->length == 0 && came == 0;
    if (head->length <= FERRY_VERBS_PACKET)
        return head->length == came;
    return head->length <= FERRY_VERBS_LONG && came == sizeof(struct ferry_verbs_reference) &&
           endpoint->rails[0].device->in.mr;
}

/* The peer has gone over. Errors: -EPROTO. */
static int arrive(struct ferry_verbs_endpoint *endpoint, struct ferry_verbs_slot *slot)
{
    struct ferry_head head = head_of(slot);
    struct ferry_verbs_lead lead;
    int error = 0;

    memcpy(&lead, slot->bytes, sizeof(lead));
    if (!is_sound(endpoint, &head, slot->length - FERRY_VERBS_BEFORE) ||
        ferry_verbs_acknowledge(endpoint, lead.acknowledged)) {
        error = -EPROTO;
    } else if (head.length > FERRY_VERBS_PACKET) {
        slot->state = FERRY_VERBS_SLOT_REFERS;
        put(endpoint, slot);
        fetch(endpoint, slot);
        return 0;
    } else if (head.type != FERRY_PKT_TRANSPORT) {
        if (endpoint->inbox) {
            put(endpoint, slot);
            return 0;
        }
        error = take_in(endpoint, slot);
    }
    let_go(endpoint, slot);
    return error;
}

void ferry_verbs_received(struct ferry_verbs_rail *rail, struct ferry_verbs_slot *slot,
                          uint32_t length)
{
    struct ferry_verbs_endpoint *endpoint = rail->endpoint;
    int error = 0;

    slot->length = length;
    if (length < FERRY_VERBS_BEFORE || endpoint->inbox_count >= FERRY_VERBS_PEER_RECEIVES) {
        /* A probe is empty. */
        error = length ? -EPROTO : 0;
        ferry_verbs_receive_into(rail->device, slot);
    } else if (!endpoint->receives_up) {
        put(endpoint, slot);
    } else {
        error = arrive(endpoint, slot);
    }
    if (error)
        give_up(endpoint, error);
    else
        ferry_verbs_owe(endpoint);
}

void ferry_verbs_receive_early(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs_slot *slot = endpoint->inbox, *next;

    endpoint->inbox = NULL;
    endpoint->inbox_count = 0;
    for (; slot; slot = next) {
        int error = 0;

        next = slot->next;
        if (endpoint->base.core.lost)
            let_go(endpoint, slot);
        else
            error = arrive(endpoint, slot);
        if (error)
            give_up(endpoint, error);
    }
    ferry_verbs_post_receives(endpoint->rails[0].device);
    ferry_verbs_owe(endpoint);
}

void ferry_verbs_drop_inbox(struct ferry_verbs_endpoint *endpoint)
{
    while (endpoint->inbox)
        let_go(endpoint, pop(endpoint));
    endpoint->fetches = 0;
    endpoint->fetching = false;
    ferry_verbs_post_receives(endpoint->rails[0].device);
}
