/*
 * Packets by queue pairs. A sender keeps each until the receiver has said that it was taken in; that is at the same
 * time what bounds how many may be under way, so that there is always a receive for each.
 */
#include <errno.h>
#include <string.h>

#include "verbs.h"

/* A receiver that has nothing to send says so after so many packets, and after a long one. */
#define OWE_MOST (FERRY_VERBS_WINDOW / 2)
/* Every so manieth request tells when it is done. */
#define TELL_EVERY 8

/* ---- Sending ---- */

static void write_lead(struct ferry_verbs_endpoint *endpoint, uint8_t *to)
{
    struct ferry_verbs_lead lead = {.acknowledged = endpoint->got};

    memcpy(to, &lead, sizeof(lead));
    endpoint->got_told = endpoint->got;
    endpoint->got_long = false;
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

/* The slot in which the next packet is written, or NULL: not now. */
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

/* Writes a packet, with its payload where it is short, else with where that is put for the peer to read it.
 * Errors: -EAGAIN: there is no place for that, packets are short for now. */
static int write_packet(struct ferry_verbs_endpoint *endpoint, struct ferry_verbs_slot *slot,
                        const struct ferry_head *head, const struct ferry_payload *payload)
{
    struct ferry_verbs_places *out = &endpoint->rails[0].device->out;
    struct ferry_head numbered = *head;
    uint8_t *at = slot->bytes + sizeof(struct ferry_verbs_lead);
    struct ferry_verbs_reference reference = {0};

    numbered.seq = endpoint->sent + 1;
    memcpy(at, &numbered, sizeof(numbered));
    at += sizeof(numbered);
    if (head->length <= FERRY_VERBS_PACKET) {
        ferry_core_fill(at, payload);
        slot->length = (uint32_t) (FERRY_VERBS_BEFORE + head->length);
        if (endpoint->long_packets && out->free)
            endpoint->base.chunk = FERRY_VERBS_LONG;
        return 0;
    }
    slot->place = ferry_verbs_take_place(out);
    if (!slot->place) {
        endpoint->base.chunk = FERRY_VERBS_PACKET;
        return -EAGAIN;
    }
    ferry_core_fill(slot->place->bytes, payload);
    reference.address = (uintptr_t) slot->place->bytes;
    reference.key = out->mr->rkey;
    memcpy(at, &reference, sizeof(reference));
    slot->length = (uint32_t) (FERRY_VERBS_BEFORE + sizeof(reference));
    return 0;
}

int ferry_verbs_send(struct ferry_endpoint *base, const struct ferry_head *head,
                     const struct ferry_payload *payload)
{
    struct ferry_verbs_endpoint *endpoint = ferry_verbs_endpoint_of(base);
    struct ferry_verbs_slot *slot;

    if (!endpoint->sends_up) {
        if (endpoint->state == FERRY_VERBS_FALLING || base->lower->core.first)
            return -EAGAIN;
        return base->lower->ops->send(base->lower, head, payload);
    }
    slot = next_slot(endpoint);
    if (!slot)
        return -EAGAIN;
    if (write_packet(endpoint, slot, head, payload)) {
        ferry_verbs_give_slot(endpoint->rails[0].device, slot);
        return -EAGAIN;
    }
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

/* The peer has it. */
static void let_go(struct ferry_verbs_device *device, struct ferry_verbs_slot *slot)
{
    if (slot->place)
        ferry_verbs_give_place(&device->out, slot->place);
    slot->place = NULL;
    ferry_verbs_give_slot(device, slot);
}

int ferry_verbs_acknowledge(struct ferry_verbs_endpoint *endpoint, uint32_t acknowledged)
{
    if (acknowledged - endpoint->acknowledged > endpoint->sent - endpoint->acknowledged)
        return -EPROTO;
    while (endpoint->acknowledged != acknowledged)
        let_go(endpoint->rails[0].device,
               endpoint->kept[endpoint->acknowledged++ % FERRY_VERBS_WINDOW]);
    return 0;
}

bool ferry_verbs_is_read_from(const struct ferry_verbs_endpoint *endpoint)
{
    for (uint32_t i = endpoint->acknowledged; i != endpoint->sent; i++)
        if (endpoint->kept[i % FERRY_VERBS_WINDOW]->place)
            return true;
    return false;
}

static bool has_to_tell(const struct ferry_verbs_endpoint *endpoint)
{
    return endpoint->got_long || endpoint->got - endpoint->got_told >= OWE_MOST;
}

void ferry_verbs_owe(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs *verbs = ferry_verbs_of_endpoint(endpoint);

    if (endpoint->owes || !has_to_tell(endpoint))
        return;
    endpoint->owes = true;
    endpoint->next_owing = verbs->owing;
    verbs->owing = endpoint;
}

/* One at a time, so that a receive is left for it. It is a packet without a number, and is not kept. */
static void say_acknowledged(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_head head = {.type = FERRY_PKT_TRANSPORT};
    struct ferry_verbs_slot *slot;

    if (endpoint->acknowledging || endpoint->state != FERRY_VERBS_UP || endpoint->failed)
        return;
    slot = endpoint->own;
    write_lead(endpoint, slot->bytes);
    memcpy(slot->bytes + sizeof(struct ferry_verbs_lead), &head, sizeof(head));
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
        if (has_to_tell(endpoint))
            say_acknowledged(endpoint);
    }
}

void ferry_verbs_nudge(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs_rail *rail = &endpoint->rails[0];

    if (endpoint->state == FERRY_VERBS_UP && rail->posted != rail->told)
        say_acknowledged(endpoint);
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
        if (ferry_core_forward(endpoint->base.lower, &head,
                               slot->place ? slot->place->bytes : slot->bytes + FERRY_VERBS_BEFORE))
            ferry_core_lost(&endpoint->base, -ENOMEM, "no memory for what is sent to it again");
        let_go(device, slot);
    }
}
