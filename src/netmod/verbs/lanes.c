/*
 * Which ports may reach which. Nothing here is sure: a lane is tried before it is used.
 */
#include "cards.h"

#include <stdlib.h>

/* Lanes of two cards. */
#define LANES_EACH (FERRY_LANES_MAX / (FERRY_CARDS_MAX * FERRY_CARDS_MAX))

/* How far two GIDs are from each other, the likeliest to work first. */
enum distance {
    SAME_NETWORK,
    SAME_NETWORK_1, /* by RoCE v1 */
    ROUTED,
    SAME_LINK, /* if they are on the same link, which their GIDs don't tell */
    SAME_LINK_1,
    UNREACHABLE
};

struct candidate {
    struct ferry_lane lane;
    uint64_t order; /* the least first; different for each */
};

/* ---- Two GIDs ---- */

static unsigned common_bits(const struct ferry_card_gid *a, const struct ferry_card_gid *b)
{
    unsigned bits = 0;

    while (bits < 128 && !((a->bytes[bits / 8] ^ b->bytes[bits / 8]) >> (7 - bits % 8) & 1))
        bits++;
    return bits;
}

/* Whether both take the other to be in their own network. */
static bool is_same_network(const struct ferry_card_gid *a, const struct ferry_card_gid *b)
{
    unsigned common = common_bits(a, b), before = ferry_card_gid_is_v4(a) ? 96 : 0;

    return common == 128 ||
           (a->prefix && b->prefix && common >= before + a->prefix && common >= before + b->prefix);
}

/* Addresses that mean something on one link or within one host only. */
static bool is_local(const struct ferry_card_gid *gid)
{
    static const uint8_t loopback[16] = {[15] = 1};
    const uint8_t *bytes = gid->bytes;

    if (ferry_card_gid_is_v4(gid))
        return (bytes[12] == 169 && bytes[13] == 254) || bytes[12] == 127;
    return (bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) || !memcmp(bytes, loopback, 16);
}

static enum distance between_ethernets(const struct ferry_card_gid *a,
                                       const struct ferry_card_gid *b)
{
    bool v1 = a->type == FERRY_GID_ROCE_1;

    if (a->type != b->type || ferry_card_gid_is_v4(a) != ferry_card_gid_is_v4(b) ||
        is_local(a) != is_local(b))
        return UNREACHABLE;
    if (is_local(a))
        return v1 ? SAME_LINK_1 : SAME_LINK;
    if (is_same_network(a, b))
        return v1 ? SAME_NETWORK_1 : SAME_NETWORK;
    if (!v1)
        return ROUTED;
    return a->prefix && b->prefix ? UNREACHABLE : SAME_LINK_1; /* no router passes v1 on */
}

/* The first half of a GID is its subnet's. No router passes those of the default subnet on. */
static enum distance between_infinibands(const struct ferry_card_gid *a,
                                         const struct ferry_card_gid *b)
{
    if (common_bits(a, b) >= 64)
        return SAME_NETWORK;
    return is_local(a) || is_local(b) ? UNREACHABLE : ROUTED;
}

/* ---- Two cards ---- */

/* Both must be members of a partition, one of them a full one. Two full ones are best. */
static bool find_pkeys(const struct ferry_card *own, const struct ferry_card *other,
                       struct ferry_lane *lane)
{
    bool found = false;

    for (unsigned i = 0; i < own->pkey_count; i++)
        for (unsigned k = 0; k < other->pkey_count; k++) {
            uint16_t a = own->pkeys[i].value, b = other->pkeys[k].value;
            bool both = a & b & 0x8000;

            if ((a ^ b) & 0x7fff || !((a | b) & 0x8000) || (found && !both))
                continue;
            lane->own_pkey = (uint8_t) i;
            lane->other_pkey = (uint8_t) k;
            if (both)
                return true;
            found = true;
        }
    return found;
}

/* Of places in two lists, both below 16: equal ones first, then low ones. Takes 15 bits. */
static uint64_t rank(unsigned i, unsigned k)
{
    return (i > k ? i - k : k - i) << 11 | (i + k) << 5 | i;
}

/* How likely it is that they reach each other, then how near the cards are, then IPv4 first. */
static uint64_t order_of(const struct ferry_lane *lane, enum distance distance,
                         const struct ferry_card_gid *a, const struct ferry_card_gid *b)
{
    uint64_t apart = distance == ROUTED ? 128 - common_bits(a, b) : 0;
    uint64_t v6 = !ferry_card_gid_is_v4(a);

    return (uint64_t) distance << 40 | apart << 32 | rank(lane->own, lane->other) << 16 | v6 << 15 |
           rank(lane->own_gid, lane->other_gid);
}

static int by_order(const void *a, const void *b)
{
    uint64_t first = ((const struct candidate *) a)->order;
    uint64_t second = ((const struct candidate *) b)->order;

    return first < second ? -1 : first > second;
}

/* Fills in the best lanes of two cards; lane has what all of them have. */
static unsigned find_between(const struct ferry_card *own, const struct ferry_card *other,
                             struct ferry_lane lane, struct candidate best[LANES_EACH])
{
    struct candidate all[FERRY_CARD_GIDS * FERRY_CARD_GIDS];
    bool infiniband = own->link == FERRY_CARD_INFINIBAND;
    unsigned count = 0;

    if (own->link != other->link || (infiniband && (!own->lid || !other->lid)) ||
        !find_pkeys(own, other, &lane))
        return 0;
    lane.mtu = own->mtu < other->mtu ? own->mtu : other->mtu;
    for (unsigned i = 0; i < own->gid_count; i++)
        for (unsigned k = 0; k < other->gid_count; k++) {
            const struct ferry_card_gid *a = &own->gids[i], *b = &other->gids[k];
            enum distance distance = infiniband ? between_infinibands(a, b)
                                                : between_ethernets(a, b);

            if (distance == UNREACHABLE)
                continue;
            lane.own_gid = (uint8_t) i;
            lane.other_gid = (uint8_t) k;
            lane.global = !infiniband || distance == ROUTED || own->grh || other->grh;
            all[count++] = (struct candidate){lane, order_of(&lane, distance, a, b)};
        }
    qsort(all, count, sizeof(all[0]), by_order);
    if (count > LANES_EACH)
        count = LANES_EACH;
    memcpy(best, all, count * sizeof(all[0]));
    return count;
}

unsigned ferry_lanes_find(const struct ferry_cards *own, const struct ferry_cards *other,
                          struct ferry_lane lanes[FERRY_LANES_MAX])
{
    struct candidate found[FERRY_LANES_MAX];
    unsigned count = 0;

    for (unsigned i = 0; i < own->count; i++)
        for (unsigned k = 0; k < other->count; k++)
            count += find_between(&own->at[i], &other->at[k],
                                  (struct ferry_lane){.own = (uint8_t) i, .other = (uint8_t) k},
                                  &found[count]);
    qsort(found, count, sizeof(found[0]), by_order);
    for (unsigned i = 0; i < count; i++)
        lanes[i] = found[i].lane;
    return count;
}
