/*
 * What two processes tell each other of their ports for verbs, and which pairs of these may reach each other. Knows
 * no verbs library: numbers and GIDs only.
 */
#ifndef FERRY_VERBS_CARDS_H
#define FERRY_VERBS_CARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FERRY_CARDS_MAX 4
#define FERRY_CARD_GIDS 12
#define FERRY_CARD_PKEYS 8

enum ferry_card_link { FERRY_CARD_INFINIBAND = 1, FERRY_CARD_ETHERNET = 2 };
enum ferry_card_gid_type { FERRY_GID_IB = 0, FERRY_GID_ROCE_1 = 1, FERRY_GID_ROCE_2 = 2 };

struct ferry_card_gid {
    uint8_t index;  /* in the port's table */
    uint8_t type;   /* enum ferry_card_gid_type */
    uint8_t prefix; /* bits of its address (IPv4: of 32) that name the network; 0: not known */
    uint8_t bytes[16];
};

/* Whether it holds an address of IPv4. */
static inline bool ferry_card_gid_is_v4(const struct ferry_card_gid *gid)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(gid->bytes, mapped, sizeof(mapped)) == 0;
}

struct ferry_card_pkey {
    uint16_t index, value; /* the highest bit of value: full member */
};

/* A port of a device. */
struct ferry_card {
    char name[24]; /* "mlx5_0:1"; for people, printable */
    uint8_t link;  /* enum ferry_card_link */
    uint8_t mtu;   /* active; 1 to 5: 128 << mtu bytes, as enum ibv_mtu */
    uint8_t reads; /* RDMA reads that it answers at once */
    uint8_t gid_count, pkey_count;
    bool grh; /* InfiniBand: GIDs are needed within the subnet too, where functions share a LID */
    uint16_t lid; /* InfiniBand; 0: none yet */
    struct ferry_card_gid gids[FERRY_CARD_GIDS];
    struct ferry_card_pkey pkeys[FERRY_CARD_PKEYS];
};

/* Best (nearest) first. */
struct ferry_cards {
    uint8_t count;
    struct ferry_card at[FERRY_CARDS_MAX];
};

/* Longest packed form. */
#define FERRY_CARDS_PACKED 2048

/* Returns the length written, at most FERRY_CARDS_PACKED; room must be that. */
size_t ferry_cards_pack(const struct ferry_cards *cards, uint8_t *to);

/* From a peer, so nothing of it is believed: false where it is nonsense. */
bool ferry_cards_unpack(struct ferry_cards *cards, const uint8_t *from, size_t length);

/* A pair of ports that may reach each other. */
struct ferry_lane {
    uint8_t own, other;           /* which card of each */
    uint8_t own_gid, other_gid;   /* places in their gids[] */
    uint8_t own_pkey, other_pkey; /* places in their pkeys[] */
    uint8_t mtu;                  /* that both have */
    bool global;                  /* needs a global route header */
};

#define FERRY_LANES_MAX 64

/* Finds the pairs that may reach each other, the likeliest first, then the nearest: cards at the same place of both lists
 * before others, so that the first lanes with cards of their own spread over all. Two cards have up to four lanes, by
 * different GIDs. The order depends on nothing but the arguments. Returns how many. */
unsigned ferry_lanes_find(const struct ferry_cards *own, const struct ferry_cards *other,
                          struct ferry_lane lanes[FERRY_LANES_MAX]);

/* For people, where no lane works: what both have. Fits in room, is cut if need be. */
void ferry_cards_text(const struct ferry_cards *cards, char *text, size_t room);

#endif
