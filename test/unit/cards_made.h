/*
 * Made-up ports for verbs.
 */
#ifndef FERRY_TEST_CARDS_MADE_H
#define FERRY_TEST_CARDS_MADE_H

#include "unit.h"

#include "cards.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static void add_pkey(struct ferry_card *card, unsigned index, unsigned value)
{
    assert_true(card->pkey_count < FERRY_CARD_PKEYS);
    card->pkeys[card->pkey_count++] = (struct ferry_card_pkey){(uint16_t) index, (uint16_t) value};
}

static void add_gid(struct ferry_card *card, unsigned index, enum ferry_card_gid_type type,
                    const char *address, unsigned prefix)
{
    struct ferry_card_gid *gid = &card->gids[card->gid_count++];

    assert_true(card->gid_count <= FERRY_CARD_GIDS);
    gid->index = (uint8_t) index;
    gid->type = (uint8_t) type;
    gid->prefix = (uint8_t) prefix;
    if (inet_pton(AF_INET, address, gid->bytes + 12) == 1)
        gid->bytes[10] = gid->bytes[11] = 0xff;
    else
        assert_int_equal(inet_pton(AF_INET6, address, gid->bytes), 1);
}

static struct ferry_card *add_card(struct ferry_cards *cards, const char *name,
                                   enum ferry_card_link link)
{
    struct ferry_card *card = &cards->at[cards->count++];

    assert_true(cards->count <= FERRY_CARDS_MAX);
    memset(card, 0, sizeof(*card));
    snprintf(card->name, sizeof(card->name), "%s", name);
    card->link = (uint8_t) link;
    card->mtu = 3;
    card->reads = 16;
    add_pkey(card, 0, 0xffff);
    return card;
}

static struct ferry_card *add_roce(struct ferry_cards *cards, const char *name)
{
    return add_card(cards, name, FERRY_CARD_ETHERNET);
}

static struct ferry_card *add_infiniband(struct ferry_cards *cards, const char *name, unsigned lid,
                                         const char *gid)
{
    struct ferry_card *card = add_card(cards, name, FERRY_CARD_INFINIBAND);

    card->lid = (uint16_t) lid;
    add_gid(card, 0, FERRY_GID_IB, gid, 64);
    return card;
}

/* Something of everything. */
static void make_many(struct ferry_cards *cards)
{
    struct ferry_card *card = add_roce(cards, "mlx5_2:1");

    add_gid(card, 2, FERRY_GID_ROCE_1, "10.78.0.11", 16);
    add_gid(card, 3, FERRY_GID_ROCE_2, "10.78.0.11", 16);
    add_gid(card, 255, FERRY_GID_ROCE_2, "2001:db8::1:4", 64);
    add_roce(cards, "rxe0:1");
    card = add_infiniband(cards, "mlx4_0:2", 0xbfff, "fe80::1:2:3:4");
    card->grh = true;
    add_pkey(card, 127, 0x7001);
}

#endif
