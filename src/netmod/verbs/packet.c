/*
 * Packets by queue pairs. A sender keeps each until the receiver has said that it was taken in; that is at the same
 * time what bounds how many may be under way, so that there is always a receive for each.
 */
#include <errno.h>
#include <string.h>

#include "verbs.h"

/* A receiver that has nothing to send says so after so many packets. */
#define OWE_MOST (FERRY_VERBS_WINDOW / 2)
/* Every so manieth request tells when it is done. */
#define TELL_EVERY 8

/* ---- Sending ---- */

static void fill(uint8_t *to, const struct ferry_head *head, const struct ferry_payload *payload)
{
    memcpy(to, head, sizeof(*head));
    to += sizeof(*head);
    if (payload->lead_length)
        memcpy(to, payload->lead, payload->lead_length);
    to += payload->lead_length;
    if (!payload->length)
        return;
    if (payload->stream)
        payload->stream->pack((void *) payload->data, payload->offset, to, payload->length);
    else
        memcpy(to, (const uint8_t *) payload->data + payload->offset, payload->length);
}

static void write_lead(struct ferry_verbs_endpoint *endpoint, uint8_t *to)
{
    struct ferry_verbs_lead lead = {.acknowledged = endpoint->got};

    memcpy(to, &lead, sizeof(lead));
    endpoint->got_told = endpoint->got;
}

static int post(struct ferry_verbs_rail *rail, const void *bytes, uint32_t length, uint32_t lkey,
                enum ferry_verbs_kind kind, bool tell)
{
    struct ibv_sge part = {.addr = (uintptr_t) bytes, .length = length, .lkey = lkey};
    struct ibv_send_wr request = {.sg_list = &part,
                                  .num_sge = 1,
                                  .opcode = IBV_WR_SEND,
                                  .send_flags = length <= rail->device->inline_max ? IBV_SEND_INLINE
                                                                                   : 0};

    return ferry_verbs_rail_post(rail, &request, kind, tell);
}

/* The place where the next packet is written, or NULL: not now. */
static struct ferry_verbs_slot *next_slot(struct ferry_verbs_endpoint *endpoint)
{
    if (endpoint->sent - endpoint->acknowledged >= FERRY_VERBS_WINDOW || endpoint->failed ||
        !ferry_verbs_rail_has_room(&endpoint->rails[0]))
        return NULL;
    return ferry_verbs_take_slot(endpoint);
}

/* What can't be posted is kept, and sent again in the other way. */
static void send_slot(struct ferry_verbs_endpoint *endpoint, struct ferry_verbs_slot *slot)
{
    struct ferry_verbs_rail *rail = &endpoint->rails[0];

    write_lead(endpoint, slot->bytes);
    endpoint->kept[endpoint->sent++ % FERRY_VERBS_WINDOW] = slot;
    if (post(rail, slot->bytes, slot->length, slot->slab->mr->lkey, FERRY_VERBS_SEND,
             rail->posted - rail->told >= TELL_EVERY))
        ferry_verbs_fail(endpoint, "a request could not be posted");
    ferry_core_has_called(endpoint->base.transport->context);
}

int ferry_verbs_send(struct ferry_endpoint *base, const struct ferry_head *head,
                     const struct ferry_payload *payload)
{
    struct ferry_verbs_endpoint *endpoint = ferry_verbs_endpoint_of(base);
    struct ferry_head numbered = *head;
    struct ferry_verbs_slot *slot;

    if (!endpoint->sends_up) {
        if (endpoint->state == FERRY_VERBS_FALLING || base->lower->core.first)
            return -EAGAIN;
        return base->lower->ops->send(base->lower, head, payload);
    }
    slot = next_slot(endpoint);
    if (!slot)
        return -EAGAIN;
    numbered.seq = endpoint->sent + 1;
    fill(slot->bytes + sizeof(struct ferry_verbs_lead), &numbered, payload);
    slot->length = (uint32_t) (FERRY_VERBS_BEFORE + head->length);
    send_slot(endpoint, slot);
    return 0;
}

int ferry_verbs_send_eager(struct ferry_endpoint *base, uint64_t match, const void *data,
                           uint32_t length)
{
    struct ferry_head head = {.type = FERRY_PKT_EAGER, .length = (uint16_t) length, .word = match};
    struct ferry_payload payload = {.data = data, .length = length};

    return ferry_verbs_send(base, &head, &payload);
}

/* ---- Acknowledging ---- */

int ferry_verbs_acknowledge(struct ferry_verbs_endpoint *endpoint, uint32_t acknowledged)
{
    if (acknowledged - endpoint->acknowledged > endpoint->sent - endpoint->acknowledged)
        return -EPROTO;
    while (endpoint->acknowledged != acknowledged)
        ferry_verbs_give_slot(endpoint->rails[0].device,
                              endpoint->kept[endpoint->acknowledged++ % FERRY_VERBS_WINDOW]);
    return 0;
}

static void owe(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs *verbs = ferry_verbs_of_endpoint(endpoint);

    if (endpoint->owes || endpoint->got - endpoint->got_told < OWE_MOST)
        return;
    endpoint->owes = true;
    endpoint->next_owing = verbs->owing;
    verbs->owing = endpoint;
}

/* One at a time, so that a receive is left for it. It is a packet without a number, and is not kept. */
static void say_acknowledged(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_head head = {.type = FERRY_PKT_TRANSPORT};
    struct ferry_payload nothing = {0};
    struct ferry_verbs_slot *slot;

    if (endpoint->acknowledging || endpoint->state != FERRY_VERBS_UP || endpoint->failed)
        return;
    slot = endpoint->own;
    write_lead(endpoint, slot->bytes);
    fill(slot->bytes + sizeof(struct ferry_verbs_lead), &head, &nothing);
    endpoint->acknowledging = !post(&endpoint->rails[0], slot->bytes, FERRY_VERBS_BEFORE,
                                    slot->slab->mr->lkey, FERRY_VERBS_ACKNOWLEDGE, true);
    if (!endpoint->acknowledging)
        ferry_verbs_fail(endpoint, "a request could not be posted");
}

void ferry_verbs_pay(struct ferry_verbs *verbs)
{
    while (verbs->owing) {
        struct ferry_verbs_endpoint *endpoint = verbs->owing;

        verbs->owing = endpoint->next_owing;
        endpoint->owes = false;
        if (endpoint->got - endpoint->got_told >= OWE_MOST)
            say_acknowledged(endpoint);
    }
}

void ferry_verbs_nudge(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs_rail *rail = &endpoint->rails[0];

    if (endpoint->state == FERRY_VERBS_UP && rail->posted != rail->told)
        say_acknowledged(endpoint);
}

/* ---- Receiving ---- */

static void keep_early(struct ferry_verbs_endpoint *endpoint, struct ferry_verbs_slot *slot,
                       uint32_t length)
{
    slot->length = length;
    slot->next = NULL;
    if (endpoint->early)
        endpoint->last_early->next = slot;
    else
        endpoint->early = slot;
    endpoint->last_early = slot;
    endpoint->early_count++;
}

/* Takes in a packet that is whole. Errors: -EPROTO. */
static int take_in(struct ferry_verbs_endpoint *endpoint, const uint8_t *bytes, uint32_t length)
{
    struct ferry_verbs_lead lead;
    struct ferry_head head;

    memcpy(&lead, bytes, sizeof(lead));
    memcpy(&head, bytes + sizeof(lead), sizeof(head));
    if (head.length != length - FERRY_VERBS_BEFORE ||
        ferry_verbs_acknowledge(endpoint, lead.acknowledged))
        return -EPROTO;
    if (head.type == FERRY_PKT_TRANSPORT)
        return head.length ? -EPROTO : 0;
    if (head.seq != endpoint->got + 1)
        return -EPROTO;
    endpoint->got++;
    return ferry_core_receive(&endpoint->base, &head, bytes + FERRY_VERBS_BEFORE);
}

/* Whether more came early than may be under way. */
static bool is_too_much(const struct ferry_verbs_endpoint *endpoint)
{
    return endpoint->early_count >= FERRY_VERBS_PEER_RECEIVES;
}

void ferry_verbs_received(struct ferry_verbs_rail *rail, struct ferry_verbs_slot *slot,
                          uint32_t length)
{
    struct ferry_verbs_endpoint *endpoint = rail->endpoint;
    int error = 0;

    if (length < FERRY_VERBS_BEFORE || is_too_much(endpoint)) {
        /* A probe is empty. */
        error = length ? -EPROTO : 0;
    } else if (!endpoint->receives_up) {
        keep_early(endpoint, slot, length);
        return;
    } else {
        error = take_in(endpoint, slot->bytes, length);
    }
    ferry_verbs_receive_into(rail->device, slot);
    if (error)
        ferry_core_lost(&endpoint->base, error, "it sent nonsense by RDMA");
    else
        owe(endpoint);
}

void ferry_verbs_receive_early(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs_slot *slot = endpoint->early, *next;

    endpoint->early = NULL;
    endpoint->early_count = 0;
    for (; slot; slot = next) {
        int error = endpoint->base.core.lost ? 0 : take_in(endpoint, slot->bytes, slot->length);

        next = slot->next;
        ferry_verbs_receive_into(endpoint->rails[0].device, slot);
        if (error)
            ferry_core_lost(&endpoint->base, error, "it sent nonsense by RDMA");
    }
    ferry_verbs_post_receives(endpoint->rails[0].device);
    owe(endpoint);
}

void ferry_verbs_drop_early(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs_slot *next;

    for (struct ferry_verbs_slot *slot = endpoint->early; slot; slot = next) {
        next = slot->next;
        ferry_verbs_receive_into(endpoint->rails[0].device, slot);
    }
    endpoint->early = NULL;
    endpoint->early_count = 0;
    ferry_verbs_post_receives(endpoint->rails[0].device);
}

/* ---- After a fall ---- */

void ferry_verbs_send_again(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs_device *device = endpoint->rails[0].device;

    while (endpoint->acknowledged != endpoint->sent) {
        struct ferry_verbs_slot *slot =
            endpoint->kept[endpoint->acknowledged++ % FERRY_VERBS_WINDOW];
        struct ferry_head head;

        memcpy(&head, slot->bytes + sizeof(struct ferry_verbs_lead), sizeof(head));
        if (ferry_core_forward(endpoint->base.lower, &head, slot->bytes + FERRY_VERBS_BEFORE))
            ferry_core_lost(&endpoint->base, -ENOMEM, "no memory for what is sent to it again");
        ferry_verbs_give_slot(device, slot);
    }
}
