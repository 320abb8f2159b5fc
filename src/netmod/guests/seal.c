#include "seal.h"

#include <errno.h>
#include <string.h>

#include "auth.h"

static void make_key(struct ferry_endpoint *endpoint, const uint8_t from[16], const uint8_t to[16],
                     uint8_t key[16])
{
    uint8_t both[32];

    memcpy(both, from, 16);
    memcpy(both + 16, to, 16);
    ferry_prove(ferry_peer_key(endpoint->peer), "ferry guests seal", both, sizeof(both), key);
}

void ferry_seal_keys(struct ferry_guests_endpoint *endpoint)
{
    const uint8_t *own = ferry_core_nonce(endpoint->base.transport->context);
    const uint8_t *other = ferry_peer_nonce(endpoint->base.peer);

    make_key(&endpoint->base, own, other, endpoint->tx_key);
    make_key(&endpoint->base, other, own, endpoint->rx_key);
}

uint64_t ferry_seal(const uint8_t key[16], uint64_t count, const struct ferry_head *head,
                    const void *lead, size_t lead_length)
{
    struct {
        uint64_t count, word;
        uint32_t length;
        uint8_t type, flags, unused[2];
        uint8_t lead[FERRY_SEALED_MAX];
    } sealed = {.count = count,
                .word = head->word,
                .length = head->length,
                .type = head->type,
                .flags = head->flags};

    memcpy(sealed.lead, lead, lead_length);
    return ferry_short_hash(key, &sealed, offsetof(typeof(sealed), lead) + lead_length);
}

int ferry_unseal(const uint8_t key[16], uint64_t count, struct ferry_head *head,
                 const uint8_t **payload)
{
    bool is_offer = head->type == FERRY_PKT_AM_RTS;
    uint64_t seal, header = head->word >> 16;
    size_t lead;

    if (header > FERRY_AM_HEADER_MAX ||
        head->length < FERRY_SEAL_SIZE + header + (is_offer ? sizeof(struct ferry_rts) : 0))
        return -EPROTO;
    memcpy(&seal, *payload, sizeof(seal));
    head->length -= FERRY_SEAL_SIZE;
    *payload += FERRY_SEAL_SIZE;
    /* An offer has no data; what tells where these are is sealed, too. */
    lead = is_offer ? head->length : header;
    if (lead > FERRY_SEALED_MAX)
        return -EPROTO;
    return ferry_seal(key, count, head, *payload, lead) == seal ? 0 : -EPROTO;
}
