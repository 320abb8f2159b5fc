/*
 * Peers: their addresses, and who reaches them how.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth.h"
#include "internal.h"
#include "log.h"

/* An address: this, then for each transport its index, the length of its part, and the part. */
struct address {
    uint8_t magic;
    uint8_t wire;       /* FERRY_WIRE_VERSION */
    uint8_t release[3]; /* of the library, to be named where wire differs */
    uint8_t reserved[3];
    uint8_t job[4]; /* tells processes that start together from others */
    int32_t rank;
    uint8_t nonce[16];
};

#define ADDRESS_MAGIC 0xfe

static void own_address(ferry_context_t *context, struct address *address)
{
    *address = (struct address){
        .magic = ADDRESS_MAGIC, .wire = FERRY_WIRE_VERSION, .rank = (int32_t) context->params.rank};
    sscanf(FERRY_VERSION_STRING, "%hhu.%hhu.%hhu", &address->release[0], &address->release[1],
           &address->release[2]);
    memcpy(address->job, context->job.id, sizeof(address->job));
    memcpy(address->nonce, context->nonce, sizeof(address->nonce));
}

int ferry_address(ferry_context_t *context, void *to)
{
    struct address address;
    uint8_t *bytes = to;
    size_t length = sizeof(address);

    own_address(context, &address);
    memcpy(bytes, &address, sizeof(address));
    for (unsigned i = 0; ferry_transports[i]; i++) {
        struct ferry_transport *transport = context->transports[i];
        size_t part;

        if (!transport || length + 2 > FERRY_ADDRESS_MAX)
            continue;
        part = transport->ops->address(transport, bytes + length + 2,
                                       FERRY_ADDRESS_MAX - length - 2);
        if (!part)
            continue;
        bytes[length] = (uint8_t) i;
        bytes[length + 1] = (uint8_t) part;
        length += 2 + part;
    }
    return (int) length;
}

/* ---- The table of peers ---- */

ferry_peer_t *ferry_core_find_peer(ferry_context_t *context, const uint8_t nonce[16])
{
    for (uint32_t i = 0; i < context->peer_count; i++)
        if (!memcmp(context->peers[i]->nonce, nonce, 16))
            return context->peers[i];
    return NULL;
}

static ferry_peer_t *new_peer(ferry_context_t *context, const uint8_t nonce[16], int rank,
                              const uint8_t key[FERRY_KEY_SIZE])
{
    ferry_peer_t *peer;

    if (context->peer_count == context->peer_room) {
        uint32_t room = context->peer_room ? context->peer_room * 2 : 16;
        ferry_peer_t **peers = realloc(context->peers, room * sizeof(*peers));

        if (!peers)
            return NULL;
        context->peers = peers;
        context->peer_room = room;
    }
    peer = calloc(1, sizeof(*peer));
    if (!peer)
        return NULL;
    peer->context = context;
    peer->rank = rank;
    memcpy(peer->nonce, nonce, sizeof(peer->nonce));
    memcpy(peer->key, key, sizeof(peer->key));
    context->peers[context->peer_count++] = peer;
    return peer;
}

void ferry_peers_free(ferry_context_t *context)
{
    for (uint32_t i = 0; i < context->peer_count; i++) {
        free(context->peers[i]->near_part);
        free(context->peers[i]);
    }
    free(context->peers);
    free(context->nodes);
}

/* ---- Adding ---- */

static int check(ferry_context_t *context, const struct address *address, size_t length)
{
    struct address own;

    if (length < sizeof(*address) || length > FERRY_ADDRESS_MAX || address->magic != ADDRESS_MAGIC)
        return -EINVAL;
    if (address->wire == FERRY_WIRE_VERSION)
        return 0;
    own_address(context, &own);
    ferry_log(
        FERRY_LOG_ERROR,
        "process %d uses Ferry %u.%u.%u (wire version %u), this one Ferry " FERRY_VERSION_STRING
        " (wire version %u): they can't talk; install the same version everywhere",
        address->rank, address->release[0], address->release[1], address->release[2], address->wire,
        own.wire);
    return -EPROTO;
}

static unsigned count_transports(void)
{
    unsigned count = 0;

    while (ferry_transports[count])
        count++;
    return count;
}

/* What this transport may be to the peer, or NULL: of no use. */
static struct ferry_transport **use_of(ferry_peer_t *peer, const struct ferry_transport *transport)
{
    if (transport->ops->upon) {
        bool fits = peer->transport && peer->transport->ops == transport->ops->upon &&
                    !peer->endpoint &&
                    memcmp(peer->nonce, peer->context->nonce, sizeof(peer->nonce));

        return fits ? &peer->upper : NULL;
    }
    /* One that came by itself has a transport, but was not known to it by address. */
    if (!peer->transport || (peer->transport == transport && peer->rank < 0))
        return &peer->transport;
    return peer->transport->ops->falls && transport->ops->on_demand ? &peer->network : NULL;
}

/* Offers the parts of an address to the transports, in order of preference. */
static int reach(ferry_context_t *context, ferry_peer_t *peer, const uint8_t *parts, size_t length)
{
    for (size_t at = 0; at < length; at += 2u + parts[at + 1])
        if (at + 2 > length || at + 2 + parts[at + 1] > length)
            return -EINVAL;
    for (size_t at = 0; at < length; at += 2u + parts[at + 1])
        if (parts[at] < count_transports() &&
            ferry_node_note(peer, parts[at], parts + at + 2, parts[at + 1]))
            return -ENOMEM;
    for (unsigned i = 0; ferry_transports[i]; i++) {
        struct ferry_transport *transport = context->transports[i], **use;

        for (size_t at = 0; transport && transport->ops->note && at < length;
             at += 2u + parts[at + 1])
            if (parts[at] == i)
                transport->ops->note(transport, peer, parts + at + 2, parts[at + 1]);
        use = transport ? use_of(peer, transport) : NULL;
        for (size_t at = 0; use && at < length; at += 2u + parts[at + 1])
            if (parts[at] == i &&
                transport->ops->reach(transport, peer, parts + at + 2, parts[at + 1]))
                *use = transport;
    }
    return 0;
}

/* A process of another job that was lost may be reachable by a new invitation: an old one may have been
 * withdrawn. */
static void invited_again(ferry_peer_t *peer, const uint8_t key[FERRY_KEY_SIZE])
{
    if (peer->error && !ferry_proof_equal(peer->key, key)) {
        peer->error = 0;
        peer->said = false;
        peer->anew = true;
    }
    memcpy(peer->key, key, sizeof(peer->key));
}

int ferry_peer_add(ferry_context_t *context, const void *bytes, size_t length,
                   const uint8_t key[FERRY_KEY_SIZE], ferry_peer_t **out)
{
    struct address address;
    ferry_peer_t *peer;
    bool ours;
    int error;

    memset(&address, 0, sizeof(address));
    memcpy(&address, bytes, length < sizeof(address) ? length : sizeof(address));
    error = check(context, &address, length);
    if (error)
        return error;
    ours = !memcmp(address.job, context->job.id, sizeof(address.job));
    if (ours && (address.rank < 0 || (uint32_t) address.rank >= context->params.size))
        return -EINVAL;
    peer = ferry_core_find_peer(context, address.nonce);
    if (!peer)
        peer = new_peer(context, address.nonce, ours ? address.rank : -1,
                        key ? key : context->job.key);
    else if (key && peer->rank < 0)
        invited_again(peer, key);
    if (!peer)
        return -ENOMEM;
    *out = peer;
    return reach(context, peer, (const uint8_t *) bytes + sizeof(address),
                 length - sizeof(address));
}

ferry_peer_t *ferry_core_stranger(struct ferry_transport *transport, const uint8_t nonce[16])
{
    ferry_context_t *context = transport->context;
    ferry_peer_t *peer = new_peer(context, nonce, -1, context->job.key);

    if (peer)
        peer->transport = transport;
    return peer;
}

int ferry_settle(ferry_context_t *context)
{
    bool all = false, may_fall = false;
    int error = ferry_nodes_find(context);

    if (error)
        return error;
    for (unsigned i = 0; i < context->active_count && !all; i++) {
        const struct ferry_transport_ops *ops = context->active[i]->ops;

        all = ops->reaches_all && ops->reaches_all(context->active[i]);
        may_fall = all && ops->may_fall && ops->may_fall(context->active[i]);
    }
    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->ops->settle) {
            error = context->active[i]->ops->settle(context->active[i]);
            if (error)
                return error;
        }
    for (uint32_t i = 0; all && i < context->peer_count; i++)
        if (!context->peers[i]->transport) {
            ferry_log(FERRY_LOG_ERROR,
                      "process %d says that it shares memory with this one, but does not: "
                      "use FERRY_TRANSPORTS=fabric",
                      context->peers[i]->rank);
            return -EHOSTUNREACH;
        }
    return !all ? FERRY_SETTLE_NETWORK : may_fall ? FERRY_SETTLE_RESERVE : 0;
}

bool ferry_needs_fabric(ferry_context_t *context)
{
    for (uint32_t i = 0; i < context->peer_count; i++)
        if (!context->peers[i]->transport)
            return true;
    return false;
}

/* ---- Using ---- */

/* The endpoint that ended stays with its transport. */
static void replace_endpoint(ferry_peer_t *peer, struct ferry_endpoint *endpoint)
{
    if (peer->endpoint) {
        endpoint->core.sent = peer->endpoint->core.sent;
        endpoint->core.received = peer->endpoint->core.received;
        endpoint->core.unexpected = peer->endpoint->core.unexpected;
    }
    peer->endpoint = endpoint;
    peer->anew = false;
}

static int raise_upon(ferry_peer_t *peer, struct ferry_endpoint **endpoint)
{
    struct ferry_endpoint *lower = *endpoint;
    int error = peer->upper->ops->raise(peer->upper, lower, endpoint);

    if (error)
        return error;
    lower->upper = *endpoint;
    (*endpoint)->lower = lower;
    return 0;
}

struct ferry_endpoint *ferry_peer_connect(ferry_peer_t *peer)
{
    struct ferry_endpoint *endpoint = NULL;
    int error;

    if (peer->error)
        return NULL;
    if (peer->endpoint && !peer->anew)
        return peer->endpoint;
    error = peer->transport ? peer->transport->ops->connect(peer->transport, peer, &endpoint)
                            : -EHOSTUNREACH;
    if (!error && peer->upper)
        error = raise_upon(peer, &endpoint);
    if (error) {
        /* Said to the user from inside progress only. */
        peer->error = error;
        peer->context->unsaid = true;
        return NULL;
    }
    replace_endpoint(peer, endpoint);
    return endpoint;
}

struct ferry_endpoint *ferry_core_endpoint(ferry_peer_t *peer)
{
    return ferry_peer_connect(peer);
}

struct ferry_endpoint *ferry_core_fall_back(struct ferry_endpoint *endpoint)
{
    struct ferry_transport *network = endpoint->peer->network;

    if (endpoint->lower || !network)
        return endpoint->lower;
    if (network->ops->connect(network, endpoint->peer, &endpoint->lower))
        return NULL;
    endpoint->lower->upper = endpoint;
    return endpoint->lower;
}

bool ferry_peer_has_network(const ferry_peer_t *peer)
{
    return peer->network != NULL;
}

struct ferry_endpoint *ferry_core_own_endpoint(struct ferry_transport *transport,
                                               ferry_peer_t *peer)
{
    struct ferry_endpoint *endpoint = ferry_peer_connect(peer);

    if (endpoint && endpoint->transport != transport)
        endpoint = ferry_core_fall_back(endpoint);
    return endpoint && endpoint->transport == transport ? endpoint : NULL;
}

void ferry_peer_describe(ferry_peer_t *peer, char *text, size_t room)
{
    struct ferry_transport *transport = peer->upper && peer->endpoint ? peer->upper
                                                                      : peer->transport;

    if (transport)
        transport->ops->describe(transport, peer, text, room);
    else
        snprintf(text, room, "not reached");
}

const char *ferry_peer_way(const ferry_peer_t *peer)
{
    if (!peer->transport)
        return NULL;
    if (ferry_peer_is_self(peer))
        return "self";
    return peer->endpoint && peer->endpoint->way ? peer->endpoint->way->name
                                                 : peer->transport->ops->name;
}

void ferry_peer_traffic(ferry_peer_t *peer, ferry_traffic_t *traffic)
{
    struct ferry_volume none = {0};
    const struct ferry_volume *sent = peer->endpoint ? &peer->endpoint->core.sent : &none;

    *traffic = (ferry_traffic_t){
        .transport = ferry_peer_way(peer), .messages = sent->messages, .bytes = sent->bytes};
}

bool ferry_peer_is_near(ferry_peer_t *peer)
{
    return peer->transport && peer->transport->ops->near;
}

void ferry_peer_set_user(ferry_peer_t *peer, void *user)
{
    peer->user = user;
}

void *ferry_peer_user(ferry_peer_t *peer)
{
    return peer->user;
}

const uint8_t *ferry_peer_nonce(ferry_peer_t *peer)
{
    return peer->nonce;
}

bool ferry_peer_lost(ferry_peer_t *peer)
{
    return peer->error != 0;
}

int ferry_peer_rank(ferry_peer_t *peer)
{
    return peer->rank;
}

void **ferry_peer_slot(ferry_peer_t *peer)
{
    return &peer->slot;
}

const uint8_t *ferry_peer_key(ferry_peer_t *peer)
{
    return peer->key;
}

/* ---- Invitations ---- */

int ferry_invite(ferry_context_t *context, uint8_t key[FERRY_KEY_SIZE])
{
    for (unsigned i = 0; i < FERRY_INVITATIONS_MAX; i++) {
        struct ferry_invitation *invitation = &context->invitations[i];

        if (invitation->used)
            continue;
        ferry_random(invitation->key, FERRY_KEY_SIZE);
        ferry_key_id(invitation->key, invitation->id);
        invitation->used = true;
        memcpy(key, invitation->key, FERRY_KEY_SIZE);
        return 0;
    }
    return -ENOSPC;
}

void ferry_withdraw(ferry_context_t *context, const uint8_t key[FERRY_KEY_SIZE])
{
    for (unsigned i = 0; i < FERRY_INVITATIONS_MAX; i++) {
        struct ferry_invitation *invitation = &context->invitations[i];

        if (invitation->used && ferry_proof_equal(invitation->key, key))
            memset(invitation, 0, sizeof(*invitation));
    }
}

const uint8_t *ferry_core_find_key(ferry_context_t *context, const uint8_t id[8])
{
    if (!memcmp(context->job.id, id, 8))
        return context->job.key;
    for (unsigned i = 0; i < FERRY_INVITATIONS_MAX; i++)
        if (context->invitations[i].used && !memcmp(context->invitations[i].id, id, 8))
            return context->invitations[i].key;
    return NULL;
}
