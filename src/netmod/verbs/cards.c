/*
 * How what is known of ports travels, and how it is shown.
 */
#include "cards.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- How it travels ---- */

/* A byte that counts the cards. Each: the length of its name and that, link, mtu, reads, grh, LID, a byte each that counts
 * GIDs and pkeys, then those. Numbers of two bytes have the lower one first. */

static uint8_t *put(uint8_t *to, const void *from, size_t length)
{
    memcpy(to, from, length);
    return to + length;
}

static uint8_t *put_number(uint8_t *to, uint16_t number)
{
    *to++ = (uint8_t) number;
    *to++ = (uint8_t) (number >> 8);
    return to;
}

static uint8_t *pack_card(const struct ferry_card *card, uint8_t *to)
{
    *to++ = (uint8_t) strlen(card->name);
    to = put(to, card->name, strlen(card->name));
    *to++ = card->link;
    *to++ = card->mtu;
    *to++ = card->reads;
    *to++ = card->grh;
    to = put_number(to, card->lid);
    *to++ = card->gid_count;
    *to++ = card->pkey_count;
    for (unsigned i = 0; i < card->gid_count; i++) {
        *to++ = card->gids[i].index;
        *to++ = card->gids[i].type;
        *to++ = card->gids[i].prefix;
        to = put(to, card->gids[i].bytes, 16);
    }
    for (unsigned i = 0; i < card->pkey_count; i++) {
        to = put_number(to, card->pkeys[i].index);
        to = put_number(to, card->pkeys[i].value);
    }
    return to;
}

size_t ferry_cards_pack(const struct ferry_cards *cards, uint8_t *to)
{
    uint8_t *end = to;

    *end++ = cards->count;
    for (unsigned i = 0; i < cards->count; i++)
        end = pack_card(&cards->at[i], end);
    return (size_t) (end - to);
}

/* ---- What comes from a peer ---- */

struct packed {
    const uint8_t *at;
    size_t left;
    bool short_of; /* something was taken that was not there */
};

static void take(struct packed *from, void *to, size_t length)
{
    memset(to, 0, length);
    if (length > from->left) {
        from->short_of = true;
        return;
    }
    memcpy(to, from->at, length);
    from->at += length;
    from->left -= length;
}

static uint8_t take_byte(struct packed *from)
{
    uint8_t byte;

    take(from, &byte, 1);
    return byte;
}

static uint16_t take_number(struct packed *from)
{
    uint8_t low = take_byte(from);

    return (uint16_t) (low | take_byte(from) << 8);
}

static bool unpack_name(struct packed *from, char name[24])
{
    uint8_t length = take_byte(from);

    if (length == 0 || length >= 24)
        return false;
    take(from, name, length);
    name[length] = 0;
    for (unsigned i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~')
            return false;
    return true;
}

static bool unpack_gid(struct packed *from, uint8_t link, struct ferry_card_gid *gid)
{
    static const uint8_t zero[16];

    gid->index = take_byte(from);
    gid->type = take_byte(from);
    gid->prefix = take_byte(from);
    take(from, gid->bytes, 16);
    return (link == FERRY_CARD_INFINIBAND
                ? gid->type == FERRY_GID_IB
                : gid->type == FERRY_GID_ROCE_1 || gid->type == FERRY_GID_ROCE_2) &&
           gid->prefix <= (ferry_card_gid_is_v4(gid) ? 32 : 128) && memcmp(gid->bytes, zero, 16) &&
           gid->bytes[0] != 0xff; /* multicast */
}

static bool unpack_pkey(struct packed *from, struct ferry_card_pkey *pkey)
{
    pkey->index = take_number(from);
    pkey->value = take_number(from);
    return pkey->value & 0x7fff; /* else it is an empty place in the table */
}

static bool unpack_card(struct packed *from, struct ferry_card *card)
{
    uint8_t grh;

    if (!unpack_name(from, card->name))
        return false;
    card->link = take_byte(from);
    card->mtu = take_byte(from);
    card->reads = take_byte(from);
    grh = take_byte(from);
    card->grh = grh;
    card->lid = take_number(from);
    card->gid_count = take_byte(from);
    card->pkey_count = take_byte(from);
    if ((card->link != FERRY_CARD_INFINIBAND && card->link != FERRY_CARD_ETHERNET) ||
        card->mtu < 1 || card->mtu > 5 || grh > 1 || card->gid_count > FERRY_CARD_GIDS ||
        card->pkey_count > FERRY_CARD_PKEYS)
        return false;
    for (unsigned i = 0; i < card->gid_count; i++)
        if (!unpack_gid(from, card->link, &card->gids[i]))
            return false;
    for (unsigned i = 0; i < card->pkey_count; i++)
        if (!unpack_pkey(from, &card->pkeys[i]))
            return false;
    return true;
}

bool ferry_cards_unpack(struct ferry_cards *cards, const uint8_t *from, size_t length)
{
    struct packed packed = {.at = from, .left = length};

    memset(cards, 0, sizeof(*cards));
    cards->count = take_byte(&packed);
    if (cards->count > FERRY_CARDS_MAX)
        return false;
    for (unsigned i = 0; i < cards->count; i++)
        if (!unpack_card(&packed, &cards->at[i]))
            return false;
    return !packed.short_of && !packed.left;
}

/* ---- For people ---- */

struct text {
    char *at;
    size_t room, used; /* used: without the zero; may be beyond room */
};

static void say(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *text, const char *format, ...)
{
    bool fits = text->used < text->room;
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(fits ? text->at + text->used : NULL, fits ? text->room - text->used : 0,
                       format, arguments);
    va_end(arguments);
    text->used += length > 0 ? (size_t) length : 0;
}

static void say_gid(struct text *text, const struct ferry_card_gid *gid)
{
    char address[INET6_ADDRSTRLEN] = "?";
    bool v4 = ferry_card_gid_is_v4(gid);

    inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? gid->bytes + 12 : gid->bytes, address, sizeof(address));
    say(text, "%s", address);
    if (gid->prefix)
        say(text, "/%u", gid->prefix);
    if (gid->type != FERRY_GID_IB)
        say(text, " v%u", gid->type == FERRY_GID_ROCE_1 ? 1 : 2);
}

static void say_card(struct text *text, const struct ferry_card *card)
{
    say(text, "%s (", card->name);
    if (card->link == FERRY_CARD_INFINIBAND)
        say(text, "InfiniBand, LID %u", card->lid);
    else
        say(text, "RoCE");
    say(text, "; GIDs");
    for (unsigned i = 0; i < card->gid_count; i++) {
        say(text, "%s %u: ", i ? "," : "", card->gids[i].index);
        say_gid(text, &card->gids[i]);
    }
    say(text, "%s; pkeys", card->gid_count ? "" : " none");
    for (unsigned i = 0; i < card->pkey_count; i++)
        say(text, "%s 0x%04x", i ? "," : "", card->pkeys[i].value);
    say(text, "%s)", card->pkey_count ? "" : " none");
}

void ferry_cards_text(const struct ferry_cards *cards, char *to, size_t room)
{
    struct text text = {.at = to, .room = room};

    say(&text, "%s", cards->count ? "" : "none");
    for (unsigned i = 0; i < cards->count; i++) {
        say(&text, "%s", i ? ", " : "");
        say_card(&text, &cards->at[i]);
    }
    if (text.used >= room && room > 3)
        strcpy(to + room - 4, "...");
}
