/*
 * How two processes go over from the fabric to queue pairs, and back. What is said goes over the fabric, in order with
 * the packets that go there; each message names the generation of queue pairs that it is about.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "clock.h"
#include "config.h"
#include "log.h"
#include "verbs.h"

/* Before the leader offers again after a fall; doubled each time, so many times at most. */
#define RETRY_NS 1000000000ull
#define RETRIES_MAX 5

/* Errors: the peer is gone. */
static int say(struct ferry_verbs_endpoint *endpoint, enum ferry_verbs_message kind, uint32_t value)
{
    struct ferry_verbs_word word = {.generation = endpoint->generation, .value = value};

    return ferry_core_tell(endpoint->base.lower, kind, &word, sizeof(word));
}

void ferry_verbs_say_hello(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs *verbs = ferry_verbs_of_endpoint(endpoint);
    uint8_t bytes[1 + FERRY_CARDS_PACKED];

    bytes[0] = verbs->serial;
    ferry_core_tell(endpoint->base.lower, FERRY_VERBS_HELLO, bytes,
                    1 + ferry_cards_pack(&verbs->own, bytes + 1));
    /* What there is now may reach the peer. */
    endpoint->round = endpoint->retries = 0;
    endpoint->retry_ns = 1;
}

/* ---- Queue pairs of one generation ---- */

static void enter(struct ferry_verbs_endpoint *endpoint, enum ferry_verbs_state state)
{
    struct ferry_endpoint *base = &endpoint->base, *lower = base->lower;
    bool up = state == FERRY_VERBS_UP;
    size_t least = ferry_config()->rdma_min - 1;
    static const char *const names[] = {
        [FERRY_VERBS_BELOW] = "none",      [FERRY_VERBS_OFFERED] = "offered",
        [FERRY_VERBS_PROBING] = "probing", [FERRY_VERBS_ACCEPTED] = "accepted",
        [FERRY_VERBS_UP] = "up",           [FERRY_VERBS_FALLING] = "falling",
    };

    ferry_log(FERRY_LOG_DEBUG, "peer %d: queue pairs %u: %s", ferry_peer_rank(base->peer),
              endpoint->generation, names[state]);
    endpoint->state = state;
    base->way = up ? base->ops : lower->ops;
    base->chunk = !up                      ? lower->chunk
                  : endpoint->long_packets ? FERRY_VERBS_LONG
                                           : FERRY_VERBS_PACKET;
    base->eager_max = up && least < lower->eager_max ? least : lower->eager_max;
    base->copied_max = lower->eager_max;
}

static void destroy(struct ferry_verbs_endpoint *endpoint)
{
    for (uint32_t i = 0; i < endpoint->rail_count; i++)
        ferry_verbs_rail_destroy(&endpoint->rails[i]);
    if (endpoint->rail_count) {
        ferry_verbs_drop_inbox(endpoint);
        ferry_verbs_remove_peer(endpoint->rails[0].device);
    }
    if (endpoint->own)
        ferry_verbs_give_slot(endpoint->rails[0].device, endpoint->own);
    endpoint->own = NULL;
    endpoint->rail_count = 0;
    endpoint->acknowledging = endpoint->got_long = false;
}

/* Makes a queue pair for each of these lanes, as far as needed, or none. Errors: negative errno. */
static int make(struct ferry_verbs_endpoint *endpoint, const struct ferry_lane *lanes,
                unsigned count)
{
    struct ferry_verbs *verbs = ferry_verbs_of_endpoint(endpoint);
    struct ferry_verbs_device *device = verbs->places[lanes[0].own];
    int error = ferry_verbs_add_peer(device);

    if (error) {
        ferry_verbs_say_unusable(device, error);
        return error;
    }
    endpoint->rails[0].device = device;
    endpoint->rail_count = 0;
    endpoint->sent = endpoint->acknowledged = endpoint->got = endpoint->got_told = 0;
    endpoint->own = ferry_verbs_take_slot(endpoint);
    for (unsigned i = 0; i < count && !error; i++) {
        error = ferry_verbs_rail_make(&endpoint->rails[endpoint->rail_count], endpoint,
                                      verbs->places[lanes[i].own], &lanes[i]);
        endpoint->rail_count += !error;
        /* It makes do without one beyond the first; the follower has to make what it is offered. */
        if (error && i > 0 && endpoint->leads)
            error = 0;
    }
    if (!endpoint->own)
        error = -ENOMEM;
    if (!error)
        return 0;
    if (!endpoint->rail_count)
        ferry_verbs_remove_peer(device);
    destroy(endpoint);
    return error;
}

static void fill_offer(const struct ferry_verbs_endpoint *endpoint, struct ferry_verbs_offer *offer)
{
    *offer = (struct ferry_verbs_offer){.generation = endpoint->generation,
                                        .serial = endpoint->serial,
                                        .count = (uint8_t) endpoint->rail_count};
    for (uint32_t i = 0; i < endpoint->rail_count; i++)
        offer->ends[i] = ferry_verbs_rail_end(&endpoint->rails[i]);
}

static void tell_offer(struct ferry_verbs_endpoint *endpoint, enum ferry_verbs_message kind)
{
    struct ferry_verbs_offer offer;

    fill_offer(endpoint, &offer);
    ferry_core_tell(endpoint->base.lower, kind, &offer,
                    offsetof(struct ferry_verbs_offer, ends) + offer.count * sizeof(offer.ends[0]));
}

/* Reads an offer, or its answer, as far as it can be checked by itself. */
static bool read_offer(struct ferry_verbs_offer *offer, const void *payload, size_t length)
{
    size_t before = offsetof(struct ferry_verbs_offer, ends);

    memset(offer, 0, sizeof(*offer));
    if (length < before || length > sizeof(*offer))
        return false;
    memcpy(offer, payload, length);
    return offer->count > 0 && offer->count <= FERRY_CARDS_MAX &&
           length == before + offer->count * sizeof(offer->ends[0]);
}

static int connect_all(struct ferry_verbs_endpoint *endpoint, const struct ferry_verbs_offer *offer)
{
    endpoint->long_packets = offer->ends[0].long_packets && endpoint->rails[0].device->out.mr;
    for (uint32_t i = 0; i < endpoint->rail_count; i++) {
        int error = ferry_verbs_rail_connect(&endpoint->rails[i], &offer->ends[i]);

        if (error)
            return error;
    }
    return 0;
}

/* ---- The leader offers ---- */

static void say_no_lane(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs *verbs = ferry_verbs_of_endpoint(endpoint);
    char own[400], other[400];

    endpoint->retry_ns = 0;
    if (endpoint->told || !verbs->own.count || !endpoint->other.count)
        return;
    endpoint->told = true;
    ferry_cards_text(&verbs->own, own, sizeof(own));
    ferry_cards_text(&endpoint->other, other, sizeof(other));
    ferry_log(
        FERRY_LOG_WARN,
        "peer %d can't be reached by RDMA (%s), messages to it go over the network; ports here: "
        "%s; there: %s",
        ferry_peer_rank(endpoint->base.peer),
        endpoint->round ? "no pair of addresses works" : "no addresses suit each other", own,
        other);
}

/* The lane whose turn it is, and one for each other pair of ports. */
static unsigned choose(const struct ferry_verbs_endpoint *endpoint, const struct ferry_lane *lanes,
                       unsigned count, struct ferry_lane *chosen)
{
    unsigned own = 0, other = 0, found = 0;

    for (unsigned i = endpoint->round; i < count && found < ferry_config()->verbs_rails; i++) {
        if ((own >> lanes[i].own & 1) || (other >> lanes[i].other & 1))
            continue;
        own |= 1u << lanes[i].own;
        other |= 1u << lanes[i].other;
        chosen[found++] = lanes[i];
    }
    return found;
}

static void try_later(struct ferry_verbs_endpoint *endpoint)
{
    endpoint->retry_ns = ferry_now_ns() + (RETRY_NS << endpoint->retries);
    endpoint->retries += endpoint->retries < RETRIES_MAX;
}

static void offer(struct ferry_verbs_endpoint *endpoint)
{
    struct ferry_verbs *verbs = ferry_verbs_of_endpoint(endpoint);
    struct ferry_lane lanes[FERRY_LANES_MAX], chosen[FERRY_CARDS_MAX];
    unsigned count = ferry_lanes_find(&verbs->own, &endpoint->other, lanes);
    int error;

    if (endpoint->round >= count) {
        say_no_lane(endpoint);
        return;
    }
    endpoint->generation++;
    error = make(endpoint, chosen, choose(endpoint, lanes, count, chosen));
    if (error) {
        ferry_log(FERRY_LOG_INFO, "peer %d: no queue pair: %s",
                  ferry_peer_rank(endpoint->base.peer), strerror(-error));
        try_later(endpoint);
        return;
    }
    tell_offer(endpoint, FERRY_VERBS_OFFER);
    enter(endpoint, FERRY_VERBS_OFFERED);
}

void ferry_verbs_retry(struct ferry_verbs_endpoint *endpoint, uint64_t now)
{
    if (endpoint->leads && endpoint->state == FERRY_VERBS_BELOW && endpoint->knows_other &&
        endpoint->retry_ns && now >= endpoint->retry_ns && !endpoint->base.core.lost)
        offer(endpoint);
}

/* At once, when the peer has given this one up, too. */
static void try_next_lane(struct ferry_verbs_endpoint *endpoint, const char *why)
{
    endpoint->round++;
    endpoint->next_lane = true;
    ferry_verbs_fall(endpoint, why);
}

static int on_refuse(struct ferry_verbs_endpoint *endpoint)
{
    if (endpoint->state != FERRY_VERBS_OFFERED)
        return 0;
    destroy(endpoint);
    enter(endpoint, FERRY_VERBS_BELOW);
    try_later(endpoint);
    return 0;
}

static int on_accept(struct ferry_verbs_endpoint *endpoint, const void *payload, size_t length)
{
    struct ferry_verbs_offer answer;

    if (!endpoint->leads || !read_offer(&answer, payload, length))
        return -EPROTO;
    if (endpoint->state != FERRY_VERBS_OFFERED || answer.generation != endpoint->generation)
        return 0;
    if (answer.count != endpoint->rail_count)
        return -EPROTO;
    enter(endpoint, FERRY_VERBS_PROBING);
    if (connect_all(endpoint, &answer)) {
        try_next_lane(endpoint, "its queue pair could not be connected");
        return 0;
    }
    endpoint->probes = endpoint->rail_count;
    for (uint32_t i = 0; i < endpoint->rail_count; i++) {
        struct ibv_send_wr nothing = {.opcode = IBV_WR_RDMA_READ};

        if (ferry_verbs_rail_post(&endpoint->rails[i], &nothing, FERRY_VERBS_PROBE, true))
            ferry_verbs_probed(&endpoint->rails[i], false);
    }
    return 0;
}

void ferry_verbs_probed(struct ferry_verbs_rail *rail, bool works)
{
    struct ferry_verbs_endpoint *endpoint = rail->endpoint;
    const struct ferry_lane *lane = &rail->lane;

    ferry_log(FERRY_LOG_DEBUG, "peer %d: from GID %u of %s to GID %u of its %s: %s",
              ferry_peer_rank(endpoint->base.peer), rail->device->card.gids[lane->own_gid].index,
              rail->device->card.name, endpoint->other.at[lane->other].gids[lane->other_gid].index,
              endpoint->other.at[lane->other].name, works ? "works" : "nothing gets through");
    rail->probed = works;
    if (--endpoint->probes)
        return;
    endpoint->probed = true;
    ferry_verbs_of_endpoint(endpoint)->due = true;
}

/* Keeps those rails whose bit is set. */
static void keep_rails(struct ferry_verbs_endpoint *endpoint, uint32_t mask)
{
    uint32_t kept = endpoint->rail_count;

    /* A rail is found by where it lies, so what is not the last stays in its place, without a queue pair. */
    for (uint32_t i = 0; i < endpoint->rail_count; i++)
        if (!(mask >> i & 1))
            ferry_verbs_rail_destroy(&endpoint->rails[i]);
    while (kept > 1 && !endpoint->rails[kept - 1].qp)
        kept--;
    endpoint->rail_count = kept;
}

static void go_over(struct ferry_verbs_endpoint *endpoint, uint32_t mask)
{
    say(endpoint, FERRY_VERBS_OVER, mask);
    endpoint->sends_up = true;
    enter(endpoint, FERRY_VERBS_UP);
}

void ferry_verbs_after_probes(struct ferry_verbs_endpoint *endpoint)
{
    uint32_t mask = 0;

    endpoint->probed = false;
    if (endpoint->state != FERRY_VERBS_PROBING)
        return;
    for (uint32_t i = 0; i < endpoint->rail_count; i++)
        mask |= (uint32_t) endpoint->rails[i].probed << i;
    if (!(mask & 1)) {
        try_next_lane(endpoint, "nothing gets through on this path");
        return;
    }
    keep_rails(endpoint, mask);
    go_over(endpoint, mask);
}

/* ---- The follower answers ---- */

static bool read_lane(const struct ferry_verbs_endpoint *endpoint,
                      const struct ferry_verbs_end *end, struct ferry_lane *lane)
{
    const struct ferry_cards *own = &ferry_verbs_of_endpoint(endpoint)->own;
    const struct ferry_cards *other = &endpoint->other;

    if (end->other >= own->count || end->own >= other->count || end->mtu < 1 || end->mtu > 5 ||
        end->other_pkey >= own->at[end->other].pkey_count ||
        end->own_pkey >= other->at[end->own].pkey_count)
        return false;
    if (end->global && (end->other_gid >= own->at[end->other].gid_count ||
                        end->own_gid >= other->at[end->own].gid_count))
        return false;
    *lane = (struct ferry_lane){.own = end->other,
                                .other = end->own,
                                .own_gid = end->other_gid,
                                .other_gid = end->own_gid,
                                .own_pkey = end->other_pkey,
                                .other_pkey = end->own_pkey,
                                .mtu = end->mtu,
                                .global = end->global};
    return true;
}

static int on_offer(struct ferry_verbs_endpoint *endpoint, const void *payload, size_t length)
{
    struct ferry_verbs *verbs = ferry_verbs_of_endpoint(endpoint);
    struct ferry_lane lanes[FERRY_CARDS_MAX];
    struct ferry_verbs_offer offer;
    int error;

    if (endpoint->leads || !read_offer(&offer, payload, length) ||
        endpoint->state != FERRY_VERBS_BELOW)
        return -EPROTO;
    endpoint->generation = offer.generation;
    if (offer.serial != verbs->serial) {
        say(endpoint, FERRY_VERBS_REFUSE, 0);
        return 0;
    }
    for (unsigned i = 0; i < offer.count; i++)
        if (!read_lane(endpoint, &offer.ends[i], &lanes[i]))
            return -EPROTO;
    error = make(endpoint, lanes, offer.count);
    if (!error && connect_all(endpoint, &offer)) {
        destroy(endpoint);
        error = -EIO;
    }
    if (error) {
        ferry_log(FERRY_LOG_INFO, "peer %d: no queue pair: %s",
                  ferry_peer_rank(endpoint->base.peer), strerror(-error));
        say(endpoint, FERRY_VERBS_REFUSE, (uint32_t) -error);
        return 0;
    }
    tell_offer(endpoint, FERRY_VERBS_ACCEPT);
    enter(endpoint, FERRY_VERBS_ACCEPTED);
    return 0;
}

/* ---- Both ---- */

static int on_over(struct ferry_verbs_endpoint *endpoint, uint32_t mask)
{
    bool awaited = endpoint->leads ? endpoint->state == FERRY_VERBS_UP
                                   : endpoint->state == FERRY_VERBS_ACCEPTED;

    if (endpoint->state == FERRY_VERBS_FALLING)
        return 0;
    if (!awaited || endpoint->receives_up || !(mask & 1))
        return -EPROTO;
    if (!endpoint->leads) {
        keep_rails(endpoint, mask);
        go_over(endpoint, mask);
    }
    endpoint->receives_up = true;
    ferry_verbs_receive_early(endpoint);
    return 0;
}

static int say_down(struct ferry_verbs_endpoint *endpoint)
{
    endpoint->said_down = endpoint->generation;
    return say(endpoint, FERRY_VERBS_DOWN, endpoint->got);
}

void ferry_verbs_fail(struct ferry_verbs_endpoint *endpoint, const char *why)
{
    if (!endpoint->failed)
        endpoint->why = why;
    endpoint->failed = true;
    ferry_verbs_of_endpoint(endpoint)->due = true;
}

/* Drops what would be sent again to a peer that is there no more. */
static void forget_kept(struct ferry_verbs_endpoint *endpoint)
{
    ferry_verbs_acknowledge(endpoint, endpoint->sent);
}

void ferry_verbs_fall(struct ferry_verbs_endpoint *endpoint, const char *why)
{
    endpoint->failed = endpoint->probed = false;
    if (endpoint->state == FERRY_VERBS_BELOW || endpoint->state == FERRY_VERBS_FALLING)
        return;
    endpoint->why = why;
    for (uint32_t i = 0; i < endpoint->rail_count; i++)
        ferry_verbs_drain(endpoint->rails[i].device);
    if (endpoint->state == FERRY_VERBS_UP && !endpoint->base.core.lost)
        ferry_log(FERRY_LOG_INFO, "peer %d: RDMA failed (%s), messages go over the network",
                  ferry_peer_rank(endpoint->base.peer), why);
    destroy(endpoint);
    ferry_verbs_hide_all(endpoint);
    endpoint->failed = false;
    endpoint->sends_up = false;
    enter(endpoint, FERRY_VERBS_FALLING);
    if (say_down(endpoint) || endpoint->base.core.lost) {
        forget_kept(endpoint);
        enter(endpoint, FERRY_VERBS_BELOW);
    }
    ferry_verbs_end_reads(endpoint);
}

void ferry_verbs_leave_device(struct ferry_verbs_device *device, const char *why)
{
    struct ferry_link *all = &device->verbs->endpoints;

    for (struct ferry_link *link = all->next; link != all; link = link->next) {
        struct ferry_verbs_endpoint *endpoint = ferry_container(link, struct ferry_verbs_endpoint,
                                                                link);
        bool uses = false;

        for (uint32_t i = 0; i < endpoint->rail_count; i++)
            uses |= endpoint->rails[i].device == device;
        if (uses)
            ferry_verbs_fall(endpoint, why);
    }
}

static int on_down(struct ferry_verbs_endpoint *endpoint, const struct ferry_verbs_word *word)
{
    if (word->generation != endpoint->generation)
        return endpoint->leads ? 0 : -EPROTO;
    ferry_verbs_fall(endpoint, "its side of it failed");
    if (endpoint->said_down != endpoint->generation)
        say_down(endpoint);
    if (endpoint->state != FERRY_VERBS_FALLING)
        return 0;
    if (ferry_verbs_acknowledge(endpoint, word->value))
        return -EPROTO;
    ferry_verbs_send_again(endpoint);
    endpoint->receives_up = false;
    endpoint->got = endpoint->got_told = 0;
    enter(endpoint, FERRY_VERBS_BELOW);
    if (endpoint->next_lane)
        endpoint->retry_ns = 1;
    else
        try_later(endpoint);
    endpoint->next_lane = false;
    ferry_verbs_retry(endpoint, ferry_now_ns());
    return 0;
}

static int on_hello(struct ferry_verbs_endpoint *endpoint, const uint8_t *payload, size_t length)
{
    struct ferry_cards cards;

    if (length < 1 || !ferry_cards_unpack(&cards, payload + 1, length - 1))
        return -EPROTO;
    endpoint->other = cards;
    endpoint->serial = payload[0];
    endpoint->knows_other = true;
    endpoint->round = endpoint->retries = 0;
    endpoint->retry_ns = 1;
    ferry_verbs_retry(endpoint, ferry_now_ns());
    return 0;
}

int ferry_verbs_told(struct ferry_verbs_endpoint *endpoint, uint64_t kind, const void *payload,
                     size_t length)
{
    struct ferry_verbs_word word;

    switch (kind) {
    case FERRY_VERBS_HELLO:
        return on_hello(endpoint, payload, length);
    case FERRY_VERBS_OFFER:
        return on_offer(endpoint, payload, length);
    case FERRY_VERBS_ACCEPT:
        return on_accept(endpoint, payload, length);
    case FERRY_VERBS_HOLD:
    case FERRY_VERBS_GO_ON:
        endpoint->base.held = kind == FERRY_VERBS_HOLD;
        return 0;
    default:
        break;
    }
    if (length != sizeof(word))
        return -EPROTO;
    memcpy(&word, payload, sizeof(word));
    if (kind == FERRY_VERBS_DOWN)
        return on_down(endpoint, &word);
    if (word.generation != endpoint->generation)
        return 0;
    if (kind == FERRY_VERBS_REFUSE)
        return on_refuse(endpoint);
    return kind == FERRY_VERBS_OVER ? on_over(endpoint, word.value) : -EPROTO;
}
