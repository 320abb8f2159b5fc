/*
 * What travels: packets of a 16-byte head and a payload, over every transport.
 * Little-endian, as all supported machines are.
 */
#ifndef FERRY_WIRE_H
#define FERRY_WIRE_H

#include <stdint.h>

/* Changes whenever anything in this file or a transport's own layout does; peers of different
 * versions refuse each other at start. */
#define FERRY_WIRE_VERSION 6

enum ferry_packet_type {
    FERRY_PKT_NONE = 0,
    FERRY_PKT_EAGER,     /* word: match; payload: the whole message */
    FERRY_PKT_FIRST,     /* word: match; payload: u64 length of the message, then its beginning */
    FERRY_PKT_NEXT,      /* the rest of the message that FIRST began, in order */
    FERRY_PKT_RTS,       /* word: match; payload: struct ferry_rts, descriptor */
    FERRY_PKT_CTS,       /* word: sender's handle; payload: struct ferry_cts */
    FERRY_PKT_DATA,      /* word: receiver's handle; payload: the next bytes */
    FERRY_PKT_DONE,      /* word: sender's handle: the message was matched (SYNC) or fetched */
    FERRY_PKT_AM,        /* word: id | header length << 16; payload: header, data */
    FERRY_PKT_AM_RTS,    /* the same word; payload: struct ferry_rts, header, descriptor */
    FERRY_PKT_TRANSPORT, /* the transport's own, never seen by the core */
    FERRY_PKT_UPPER,     /* of the transport that is raised upon this one */
    FERRY_PKT_TYPES
};

enum ferry_packet_flags {
    FERRY_PKT_SYNC = 1, /* the sender waits for DONE; its handle leads the payload as u64 */
};

struct ferry_head {
    uint32_t seq; /* counts the packets of one direction of an endpoint, from 1 */
    uint8_t type;
    uint8_t flags;
    uint16_t length; /* of the payload, bytes */
    uint64_t word;
};

#define FERRY_PAYLOAD_MAX 65535
/* Any network transport carries a packet with such a payload: large enough that a system call is cheap beside the copy,
 * and so that two take a message of 64 KiB with what the protocol puts before it. */
#define FERRY_PAYLOAD_CARRIED (32768 + 64)

/* A sender's offer, which names each way in which the receiver may take the message: by the kernel, to which address is
 * handed as where to read in that process; by its adapter, where a descriptor follows, the transport's own; or in
 * pieces, for which it calls. */
struct ferry_rts {
    uint64_t handle; /* sender's */
    uint64_t length;
    uint64_t address; /* 0: not contiguous, must be streamed */
};

#define FERRY_DESCRIPTOR_MAX 32

/* A receiver's call for bytes [offset, offset + length) of an offered message. */
struct ferry_cts {
    uint64_t handle; /* receiver's */
    uint64_t offset;
    uint64_t length;
};

#endif
