/*
 * Falling to the network, when the memory is lost. Each tells the other over the network how much it took from the ring
 * to it; what is beyond that is sent again.
 *
 * Nothing is kept for it while all is well. A packet that was written while the memory was held is seen by whoever still
 * has that memory: the peer, who takes it, or this process, which reads it back from its own ring. One during whose
 * writing the memory went may have come or not: that one is kept. Only where both lose it at once, and packets were on
 * their way, is something lost, and the connection with it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "seal.h"

/* How far the ring to whoever says this was read: as counted in struct ferry_ring. */
struct took {
    uint64_t packets; /* 0: its ring was never read */
    uint64_t bytes;
};

struct ferry_guests_kept {
    uint64_t number;
    struct ferry_head head;
    uint8_t payload[];
};

/* ---- Falling ---- */

int ferry_guests_keep(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                      const struct ferry_payload *payload)
{
    struct ferry_guests_kept *kept;

    if (!ferry_peer_has_network(endpoint->base.peer))
        return 0;
    kept = malloc(sizeof(*kept) + head->length);
    if (!kept)
        return -ENOMEM;
    kept->number = endpoint->tx.count;
    kept->head = *head;
    ferry_core_fill(kept->payload, payload);
    endpoint->kept = kept;
    return 0;
}

void ferry_guests_fall_again(struct ferry_guests_endpoint *endpoint, const char *why)
{
    endpoint->state = FERRY_GUESTS_FALLING;
    endpoint->why = why;
    endpoint->says = true;
    ferry_guests_of(endpoint->base.transport)->falling++;
}

bool ferry_guests_fall(struct ferry_guests_endpoint *endpoint, const char *why)
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);

    if (endpoint->state != FERRY_GUESTS_SHARED)
        return true;
    /* What the program would send now is not what it wrote. */
    if (ferry_guests_own_is_lost(guests) || !ferry_core_fall_back(&endpoint->base))
        return false;
    ferry_log(FERRY_LOG_WARN,
              "messages to process %u take the network from now on, which is slower: %s",
              endpoint->rank, why);
    ferry_guests_confess(endpoint);
    ferry_guests_fall_again(endpoint, why);
    return true;
}

/* All that can still be taken from the ring is taken before that is told. */
static void tell(struct ferry_guests_endpoint *endpoint)
{
    struct took took;

    ferry_guests_drain_all(endpoint);
    ferry_guests_end_reads(endpoint);
    endpoint->says = endpoint->reading = false;
    endpoint->below = true;
    ferry_guests_of(endpoint->base.transport)->falling--;
    if (ferry_peer_lost(endpoint->base.peer))
        return;
    took.packets = endpoint->rx_region ? endpoint->rx.count : 0;
    took.bytes = endpoint->rx_region ? endpoint->rx.byte_count : 0;
    if (ferry_core_tell(endpoint->base.lower, FERRY_GUESTS_TOOK, &took, sizeof(took)))
        ferry_guests_lose(endpoint, -ENOMEM, "no memory to go on over the network");
}

void ferry_guests_tell_fallen(struct ferry_guests *guests)
{
    for (uint32_t i = 0; i < guests->endpoint_count && guests->falling; i++)
        if (guests->endpoints[i]->says)
            tell(guests->endpoints[i]);
}

/* ---- Sending again ---- */

/* A view of the own ring as its reader had it. */
static struct ferry_ring read_back(const struct ferry_guests_endpoint *endpoint,
                                   const struct took *took)
{
    struct ferry_ring ring = endpoint->tx;

    ring.count = took->packets ? took->packets : endpoint->first_count;
    ring.byte_count = took->bytes;
    if (ring.count < endpoint->grown_at) {
        ring.byte_room = endpoint->first_room;
        ring.bytes = (uint8_t *) endpoint->tx_ring.memory + ferry_ring_size(ring.slot_room);
        ring.byte_base = 0;
    }
    return ring;
}

/* Sends the next packet of the own ring again. Errors: -EIO the memory is gone; -EPROTO somebody wrote into it; -ENOMEM. */
static int repeat(struct ferry_guests_endpoint *endpoint, struct ferry_ring *ring)
{
    uint8_t *copy = ferry_guests_of(endpoint->base.transport)->bounce;
    const uint8_t *payload;
    struct ferry_head head;
    int result;

    if (ring->count + 1 == endpoint->grown_at) {
        ring->count++;
        ferry_ring_change_bytes(ring, endpoint->tx.bytes, endpoint->tx.byte_room);
        return 0;
    }
    result = ferry_ring_peek(ring, &head, &payload);
    if (result > 0)
        memcpy(copy, payload, head.length);
    if (!ferry_guests_may_write(endpoint))
        return -EIO;
    if (result <= 0)
        return -EPROTO;
    ferry_ring_pass(ring, &head);
    payload = copy;
    if (ferry_seals(head.type) && ferry_unseal(endpoint->tx_key, ring->count, &head, &payload))
        return -EPROTO;
    if (!head.type || head.type >= FERRY_PKT_TRANSPORT || head.length > FERRY_PAYLOAD_CARRIED)
        return -EPROTO;
    return ferry_core_forward(endpoint->base.lower, &head, payload);
}

static int send_again(struct ferry_guests_endpoint *endpoint, const struct took *took)
{
    struct ferry_guests_kept *kept = endpoint->kept;
    uint64_t end = kept ? kept->number - 1 : endpoint->tx.count;
    struct ferry_ring ring;
    int error = 0;

    if (!endpoint->tx_region)
        return 0;
    if (took->packets > endpoint->tx.count || took->bytes > endpoint->tx.byte_count ||
        (took->packets && took->packets < endpoint->first_count))
        return -EPROTO;
    ring = read_back(endpoint, took);
    while (!error && ring.count < end)
        error = repeat(endpoint, &ring);
    if (!error && kept && ring.count < kept->number)
        error = ferry_core_forward(endpoint->base.lower, &kept->head, kept->payload);
    return error;
}

/* ---- Going on ---- */

/* Nobody reads the own ring any more, nor is another read here. */
static void forget_rings(struct ferry_guests_endpoint *endpoint)
{
    struct ferry_guests_region *region = endpoint->tx_region;

    if (region && !region->lost && endpoint->tx_ring.memory) {
        ferry_commons_free(region->commons, &endpoint->tx_ring);
        if (endpoint->tx_bytes.memory != endpoint->tx_ring.memory)
            ferry_commons_free(region->commons, &endpoint->tx_bytes);
    }
    memset(&endpoint->tx_ring, 0, sizeof(endpoint->tx_ring));
    memset(&endpoint->rx_ring, 0, sizeof(endpoint->rx_ring));
    endpoint->tx_bytes = endpoint->tx_ring;
    endpoint->rx_bytes = endpoint->rx_ring;
    endpoint->tx_region = endpoint->rx_region = NULL;
    endpoint->may_grow = true;
    endpoint->grown_at = 0;
}

static void go_on(struct ferry_guests_endpoint *endpoint)
{
    struct ferry_endpoint *base = &endpoint->base, *lower = base->lower;

    endpoint->state = FERRY_GUESTS_FALLEN;
    free(endpoint->kept);
    endpoint->kept = NULL;
    forget_rings(endpoint);
    base->way = lower->ops;
    base->chunk = lower->chunk;
    base->cheap = lower->cheap;
    base->packet_max = lower->packet_max;
    base->eager_max = lower->eager_max;
    base->held = false;
    if (base->core.holding)
        ferry_guests_hold_below(endpoint, true);
}

static int on_took(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                   const void *payload)
{
    struct took took;
    int error;

    if (head->length != sizeof(took) || endpoint->state == FERRY_GUESTS_FALLEN)
        return -EPROTO;
    memcpy(&took, payload, sizeof(took));
    if (!ferry_guests_fall(endpoint, "the other has lost the memory that both shared"))
        return -ENOMEM;
    if (endpoint->says)
        tell(endpoint);
    if (ferry_peer_lost(endpoint->base.peer))
        return 0;
    error = send_again(endpoint, &took);
    if (error)
        ferry_guests_lose(endpoint, error,
                          error == -EIO
                              ? "both lost the memory that they shared, with messages in it"
                          : error == -EPROTO ? "somebody wrote nonsense into the shared memory"
                                             : strerror(-error));
    else
        go_on(endpoint);
    return 0;
}

int ferry_guests_carried(struct ferry_endpoint *base, const struct ferry_head *head,
                         const void *payload)
{
    struct ferry_guests_endpoint *endpoint = ferry_guests_endpoint(base);

    if (head->type != FERRY_PKT_UPPER)
        return endpoint->below ? ferry_guests_hand_on(endpoint, head, payload) : -EPROTO;
    switch (head->word) {
    case FERRY_GUESTS_TOOK:
        return on_took(endpoint, head, payload);
    case FERRY_GUESTS_HOLD:
    case FERRY_GUESTS_GO_ON:
        base->held = head->word == FERRY_GUESTS_HOLD;
        return 0;
    case FERRY_GUESTS_BACK:
        return ferry_guests_on_back(endpoint, head, payload);
    case FERRY_GUESTS_RING:
        return ferry_guests_on_ring(endpoint, head, payload);
    default:
        return -EPROTO;
    }
}

int ferry_guests_send_below(struct ferry_guests_endpoint *endpoint, const struct ferry_head *head,
                            const struct ferry_payload *payload)
{
    struct ferry_endpoint *lower = endpoint->base.lower;

    /* What is sent again goes first. */
    if (endpoint->state == FERRY_GUESTS_FALLING || lower->core.first)
        return -EAGAIN;
    return lower->ops->send(lower, head, payload);
}

void ferry_guests_hold_below(struct ferry_guests_endpoint *endpoint, bool on)
{
    ferry_core_tell(endpoint->base.lower, on ? FERRY_GUESTS_HOLD : FERRY_GUESTS_GO_ON, NULL, 0);
}
