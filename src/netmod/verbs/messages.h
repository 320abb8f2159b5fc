/*
 * What two processes say to each other about verbs, over the fabric: see doc/verbs.md. Little-endian. The kind is the
 * word of the packet.
 */
#ifndef FERRY_VERBS_MESSAGES_H
#define FERRY_VERBS_MESSAGES_H

#include <stdint.h>

#include "cards.h"

enum ferry_verbs_message {
    FERRY_VERBS_HELLO = 1, /* u8 serial, then packed cards: what the sender has from now on */
    FERRY_VERBS_OFFER, /* leader: struct ferry_verbs_offer: these queue pairs are ready to be connected */
    FERRY_VERBS_ACCEPT, /* follower: the same, filled with its own, which are connected */
    FERRY_VERBS_REFUSE, /* follower: struct ferry_verbs_word: it can't */
    FERRY_VERBS_OVER, /* both: struct ferry_verbs_word: what comes after this goes by the queue pairs; which of
                              them work */
    FERRY_VERBS_DOWN, /* both: struct ferry_verbs_word: they are not used any more; packets taken in by them */
    FERRY_VERBS_HOLD, /* offer messages, see ferry_transport_ops.hold */
    FERRY_VERBS_GO_ON,
};

/* One end of a queue pair. */
struct ferry_verbs_end {
    uint32_t number, psn;
    uint16_t lid;
    uint8_t own, other; /* cards, as their owners have told of them: the sender's, the receiver's */
    uint8_t own_gid, other_gid;   /* places in these */
    uint8_t own_pkey, other_pkey; /* likewise */
    uint8_t mtu;
    uint8_t global;
    uint8_t reads;        /* that it answers at once */
    uint8_t long_packets; /* it reads packets that are too long for a slot */
};

struct ferry_verbs_offer {
    uint32_t generation;
    uint8_t serial; /* of the follower's cards that the ends name */
    uint8_t count;
    uint16_t reserved;
    struct ferry_verbs_end ends[FERRY_CARDS_MAX]; /* count of them are sent */
};

struct ferry_verbs_word {
    uint32_t generation;
    uint32_t value;
};

#endif
