/*
 * Slots: pieces of memory that are registered once, for packets.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "log.h"
#include "verbs.h"

/* Slots to send packets from that each peer is sure to have: all its own but the one for acknowledgements. */
#define OWN (FERRY_VERBS_PEER_SLOTS - FERRY_VERBS_PEER_RECEIVES - 1)

static int grow_table(struct ferry_verbs_device *device, unsigned count)
{
    uint32_t room = device->slot_room ? device->slot_room : 64;
    struct ferry_verbs_slot **slots;

    while (room < device->slot_count + count)
        room *= 2;
    if (room == device->slot_room)
        return 0;
    slots = realloc(device->slots, room * sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    device->slots = slots;
    device->slot_room = room;
    return 0;
}

static int enter(struct ferry_verbs_device *device, struct ferry_verbs_slab *slab)
{
    slab->mr = ibv_reg_mr(device->pd, slab->memory, slab->length, IBV_ACCESS_LOCAL_WRITE);
    return slab->mr ? 0 : -errno;
}

int ferry_verbs_add_slots(struct ferry_verbs_device *device, unsigned count)
{
    struct ferry_verbs_slab *slab;
    int error = grow_table(device, count);

    if (error)
        return error;
    slab = calloc(1, sizeof(*slab) + count * sizeof(slab->slots[0]));
    if (!slab)
        return -ENOMEM;
    slab->length = count * (size_t) FERRY_VERBS_SLOT;
    slab->memory = mmap(NULL, slab->length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                        0);
    if (slab->memory == MAP_FAILED) {
        free(slab);
        return -ENOMEM;
    }
    /* A child of fork() must not make these pages other ones than the adapter has. */
    madvise(slab->memory, slab->length, MADV_DONTFORK);
    error = enter(device, slab);
    if (error) {
        munmap(slab->memory, slab->length);
        free(slab);
        return error;
    }
    slab->next = device->slabs;
    device->slabs = slab;
    for (unsigned i = 0; i < count; i++) {
        struct ferry_verbs_slot *slot = &slab->slots[i];

        slot->slab = slab;
        slot->bytes = (uint8_t *) slab->memory + i * (size_t) FERRY_VERBS_SLOT;
        slot->number = device->slot_count;
        device->slots[device->slot_count++] = slot;
        ferry_verbs_give_slot(device, slot);
    }
    return 0;
}

int ferry_verbs_renew_slabs(struct ferry_verbs_device *device)
{
    for (struct ferry_verbs_slab *slab = device->slabs; slab; slab = slab->next) {
        int error = enter(device, slab);

        if (error)
            return error;
    }
    return 0;
}

void ferry_verbs_forget_slabs(struct ferry_verbs_device *device)
{
    for (struct ferry_verbs_slab *slab = device->slabs; slab; slab = slab->next) {
        if (slab->mr)
            ibv_dereg_mr(slab->mr);
        slab->mr = NULL;
    }
    device->receives = 0;
    device->chain = NULL;
    device->chain_end = &device->chain;
    /* Those that are kept for peers come back once they were sent in another way. */
    for (uint32_t i = 0; i < device->slot_count; i++)
        if (device->slots[i]->receives) {
            device->slots[i]->receives = false;
            ferry_verbs_give_slot(device, device->slots[i]);
        }
}

void ferry_verbs_free_slabs(struct ferry_verbs_device *device)
{
    while (device->slabs) {
        struct ferry_verbs_slab *slab = device->slabs;

        device->slabs = slab->next;
        munmap(slab->memory, slab->length);
        free(slab);
    }
    free(device->slots);
}

/* ---- To send from ---- */

static struct ferry_verbs_slot *take(struct ferry_verbs_device *device)
{
    struct ferry_verbs_slot *slot = device->free;

    if (!slot)
        return NULL;
    device->free = slot->next;
    device->free_count--;
    return slot;
}

struct ferry_verbs_slot *ferry_verbs_take_slot(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs_device *device = endpoint->rails[0].device;

    if (endpoint->own && endpoint->sent - endpoint->acknowledged >= OWN &&
        device->free_count <= OWN * device->peers)
        return NULL;
    return take(device);
}

void ferry_verbs_give_slot(struct ferry_verbs_device *device, struct ferry_verbs_slot *slot)
{
    slot->next = device->free;
    device->free = slot;
    device->free_count++;
}

/* ---- To receive into ---- */

void ferry_verbs_receive_into(struct ferry_verbs_device *device, struct ferry_verbs_slot *slot)
{
    slot->part = (struct ibv_sge){
        .addr = (uintptr_t) slot->bytes, .length = FERRY_VERBS_SLOT, .lkey = slot->slab->mr->lkey};
    slot->request = (struct ibv_recv_wr){.wr_id = ferry_verbs_id(FERRY_VERBS_RECEIVE, slot->number),
                                         .sg_list = &slot->part,
                                         .num_sge = 1};
    *device->chain_end = &slot->request;
    device->chain_end = &slot->request.next;
}

void ferry_verbs_post_receives(struct ferry_verbs_device *device)
{
    struct ibv_recv_wr *bad;

    if (!device->chain)
        return;
    if (ibv_post_srq_recv(device->srq, device->chain, &bad))
        device->check = true;
    device->chain = NULL;
    device->chain_end = &device->chain;
}

/* Completions that the queue pairs of one more peer may leave: of receives, and of half of the requests. */
static int grow_completions(struct ferry_verbs_device *device, uint32_t peers)
{
    uint32_t needed = peers * 64, more = device->completions;

    while (more < needed)
        more *= 2;
    if (more == device->completions)
        return 0;
    if (ibv_resize_cq(device->cq, (int) more))
        return -ENOSPC;
    device->completions = more;
    return 0;
}

int ferry_verbs_add_peer(struct ferry_verbs_device *device)
{
    uint32_t peers = device->peers + 1, receives = peers * FERRY_VERBS_PEER_RECEIVES;
    int error = 0;

    if (peers > FERRY_VERBS_PEERS_MAX || receives > device->receives_max)
        return -ENOSPC;
    error = grow_completions(device, peers);
    while (!error && device->receives < receives) {
        struct ferry_verbs_slot *slot;

        if (device->free_count + device->receives <
            FERRY_VERBS_FIRST_SLOTS + peers * FERRY_VERBS_PEER_SLOTS)
            error = ferry_verbs_add_slots(device, FERRY_VERBS_PEER_SLOTS);
        slot = error ? NULL : take(device);
        if (!slot)
            break;
        slot->receives = true;
        device->receives++;
        ferry_verbs_receive_into(device, slot);
    }
    ferry_verbs_post_receives(device);
    if (!error)
        device->peers = peers;
    return error;
}

void ferry_verbs_remove_peer(struct ferry_verbs_device *device)
{
    device->peers--;
}
