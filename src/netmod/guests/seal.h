/*
 * Seals: what MPICH would follow unchecked (the headers of active messages) carries a keyed hash, for others than the
 * job can write the memory that it comes through.
 */
#ifndef FERRY_GUESTS_SEAL_H
#define FERRY_GUESTS_SEAL_H

#include <stdint.h>

#include "guests.h"

#define FERRY_SEAL_SIZE 8
/* An offer's own words, the longest header, and where the data is. */
#define FERRY_SEALED_MAX (sizeof(struct ferry_rts) + FERRY_AM_HEADER_MAX + FERRY_DESCRIPTOR_MAX)

/* Whether packets of a type are sealed. */
static inline bool ferry_seals(uint8_t type)
{
    return type == FERRY_PKT_AM || type == FERRY_PKT_AM_RTS;
}

/* Makes the keys of both directions from the key that both processes proved. */
void ferry_seal_keys(struct ferry_guests_endpoint *endpoint);

/* The seal of the packet that is the count-th of its direction: over its head and its lead, private memory.
 * length: of the payload without the seal. */
uint64_t ferry_seal(const uint8_t key[16], uint64_t count, const struct ferry_head *head,
                    const void *lead, size_t lead_length);

/* Checks a packet whose payload begins with a seal, in private memory, and takes the seal off.
 * Errors: -EPROTO somebody else wrote it. */
int ferry_unseal(const uint8_t key[16], uint64_t count, struct ferry_head *head,
                 const uint8_t **payload);

#endif
