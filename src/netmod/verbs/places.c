/*
 * Places: registered memory for packets that are too long for a slot. The sender writes such a packet to a place of its
 * own and says where that is; the receiver's adapter reads it into one of the receiver's.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "verbs.h"

_Static_assert(FERRY_VERBS_PLACE >= FERRY_VERBS_LONG, "size");

/* What is registered before anybody is talked to, and for each peer more. */
enum {
    OF_DEVICE = FERRY_VERBS_FIRST_SLOTS * FERRY_VERBS_SLOT +
                2 * FERRY_VERBS_PLACES * FERRY_VERBS_PLACE,
    OF_PEER = FERRY_VERBS_PEER_SLOTS * FERRY_VERBS_SLOT
};
_Static_assert(OF_DEVICE *FERRY_CARDS_MAX <= 4 << 20 && OF_PEER <= 64 << 10, "size");

static void enter(struct ferry_verbs_device *device, struct ferry_verbs_places *places, int access)
{
    size_t length = FERRY_VERBS_PLACES * (size_t) FERRY_VERBS_PLACE;

    if (!places->memory) {
        void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                            0);

        if (memory == MAP_FAILED)
            return;
        madvise(memory, length, MADV_DONTFORK);
        places->memory = memory;
        for (unsigned i = 0; i < FERRY_VERBS_PLACES; i++) {
            places->all[i].bytes = places->memory + i * (size_t) FERRY_VERBS_PLACE;
            ferry_verbs_give_place(places, &places->all[i]);
        }
    }
    places->mr = ibv_reg_mr(device->pd, places->memory, length, access);
}

static void leave(struct ferry_verbs_places *places)
{
    if (places->mr)
        ibv_dereg_mr(places->mr);
    places->mr = NULL;
}

void ferry_verbs_open_places(struct ferry_verbs_device *device)
{
    enter(device, &device->out, IBV_ACCESS_REMOTE_READ);
    enter(device, &device->in, IBV_ACCESS_LOCAL_WRITE);
}

void ferry_verbs_forget_places(struct ferry_verbs_device *device)
{
    leave(&device->out);
    leave(&device->in);
}

void ferry_verbs_free_places(struct ferry_verbs_device *device)
{
    struct ferry_verbs_places *both[] = {&device->out, &device->in};

    for (unsigned i = 0; i < 2; i++)
        if (both[i]->memory)
            munmap(both[i]->memory, FERRY_VERBS_PLACES * (size_t) FERRY_VERBS_PLACE);
}

struct ferry_verbs_place *ferry_verbs_take_place(struct ferry_verbs_places *places)
{
    struct ferry_verbs_place *place = places->free;

    if (place)
        places->free = place->next;
    return place;
}

void ferry_verbs_give_place(struct ferry_verbs_places *places, struct ferry_verbs_place *place)
{
    place->next = places->free;
    places->free = place;
}
