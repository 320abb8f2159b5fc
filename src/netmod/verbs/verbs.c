/*
 * The transport over verbs.
 */
#include "verbs.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "log.h"
#include "ports.h"

/* Between two looks at devices that tell nothing, and for those that are not there (any more). */
#define LOOK_NS 2000000000ull

/* ---- Opening ---- */

static int verbs_open(ferry_context_t *context, struct ferry_transport **out)
{
    struct ferry_verbs_port ports[FERRY_CARDS_MAX];
    struct ferry_verbs *verbs;

    if (!ferry_core_transport(context, &ferry_fabric_ops) ||
        ferry_verbs_ports(ports, FERRY_CARDS_MAX) <= 0)
        return -ENODEV;
    verbs = calloc(1, sizeof(*verbs));
    if (!verbs)
        return -ENOMEM;
    verbs->base = (struct ferry_transport){.ops = &ferry_verbs_ops, .context = context};
    ferry_link_init(&verbs->endpoints);
    *out = &verbs->base;
    return 0;
}

static void free_endpoint(struct ferry_verbs_endpoint *endpoint)
{
    for (uint32_t i = 0; i < endpoint->rail_count; i++)
        ferry_verbs_rail_destroy(&endpoint->rails[i]);
    ferry_verbs_free_reads(endpoint);
    ferry_link_remove(&endpoint->link);
    free(endpoint);
}

static void verbs_close(struct ferry_transport *transport)
{
    struct ferry_verbs *verbs = ferry_verbs_of(transport);

    while (!ferry_link_empty(&verbs->endpoints))
        free_endpoint(ferry_container(verbs->endpoints.next, struct ferry_verbs_endpoint, link));
    for (unsigned i = 0; i < verbs->device_count; i++) {
        ferry_verbs_close_device(&verbs->devices[i]);
        ferry_verbs_free_slabs(&verbs->devices[i]);
        ferry_verbs_free_places(&verbs->devices[i]);
    }
    free(verbs);
}

/* ---- Who is reached ---- */

/* That there is a device, no more: what it is like is told when two first talk. */
static size_t verbs_address(struct ferry_transport *transport, void *part, size_t room)
{
    (void) transport;
    if (!room)
        return 0;
    *(uint8_t *) part = 1;
    return 1;
}

static bool verbs_reach(struct ferry_transport *transport, ferry_peer_t *peer, const void *part,
                        size_t length)
{
    (void) transport;
    (void) peer;
    return length == 1 && *(const uint8_t *) part == 1;
}

static int verbs_raise(struct ferry_transport *transport, struct ferry_endpoint *lower,
                       struct ferry_endpoint **out)
{
    struct ferry_verbs *verbs = ferry_verbs_of(transport);
    struct ferry_verbs_endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (!endpoint)
        return -ENOMEM;
    endpoint->base = (struct ferry_endpoint){.ops = transport->ops,
                                             .transport = transport,
                                             .peer = lower->peer,
                                             .lower = lower,
                                             .packet_max = FERRY_VERBS_PACKET,
                                             .chunk = lower->chunk,
                                             .eager_max = lower->eager_max,
                                             .fetch_min = SIZE_MAX,
                                             .way = lower->ops};
    endpoint->leads = memcmp(ferry_core_nonce(transport->context), ferry_peer_nonce(lower->peer),
                             16) < 0;
    ferry_link_init(&endpoint->exposures);
    ferry_link_init(&endpoint->reads);
    if (!verbs->opened) {
        ferry_verbs_open_devices(verbs);
        ferry_verbs_show_cards(verbs);
    }
    ferry_link_append(&verbs->endpoints, &endpoint->link);
    ferry_verbs_say_hello(endpoint);
    *out = &endpoint->base;
    return 0;
}

static int verbs_carried(struct ferry_endpoint *base, const struct ferry_head *head,
                         const void *payload)
{
    struct ferry_verbs_endpoint *endpoint = ferry_verbs_endpoint_of(base);

    if (head->type == FERRY_PKT_UPPER)
        return ferry_verbs_told(endpoint, head->word, payload, head->length);
    return ferry_core_receive(base, head, payload);
}

static void verbs_left(struct ferry_endpoint *base)
{
    ferry_verbs_endpoint_of(base)->left = true;
}

static void verbs_lost(struct ferry_endpoint *base)
{
    ferry_verbs_fail(ferry_verbs_endpoint_of(base), "the peer is lost");
}

static void verbs_hold(struct ferry_endpoint *base, bool on)
{
    ferry_core_tell(base->lower, on ? FERRY_VERBS_HOLD : FERRY_VERBS_GO_ON, NULL, 0);
}

static void verbs_describe(struct ferry_transport *transport, ferry_peer_t *peer, char *text,
                           size_t room)
{
    struct ferry_verbs_endpoint *endpoint = ferry_verbs_endpoint_of(ferry_core_endpoint(peer));
    const struct ferry_verbs_rail *rail = &endpoint->rails[0];
    struct ferry_transport *lower = endpoint->base.lower->transport;
    char below[100];

    (void) transport;
    if (endpoint->state == FERRY_VERBS_UP) {
        snprintf(text, room, "verbs (%s to its %s%s)", rail->device->card.name,
                 endpoint->other.at[rail->lane.other].name,
                 endpoint->rail_count > 1 ? ", and others beside it" : "");
        return;
    }
    lower->ops->describe(lower, peer, below, sizeof(below));
    snprintf(text, room, "%s%s%s", below, endpoint->why ? "; RDMA: " : "",
             endpoint->why ? endpoint->why : "");
}

/* ---- Progress ---- */

static void do_what_is_due(struct ferry_verbs *verbs)
{
    verbs->due = false;
    for (unsigned i = 0; i < verbs->device_count; i++)
        verbs->devices[i].short_of_places = false;
    for (struct ferry_link *link = verbs->endpoints.next; link != &verbs->endpoints;
         link = link->next) {
        struct ferry_verbs_endpoint *endpoint = ferry_container(link, struct ferry_verbs_endpoint,
                                                                link);

        if (endpoint->failed)
            ferry_verbs_fall(endpoint, endpoint->why);
        else if (endpoint->probed)
            ferry_verbs_after_probes(endpoint);
        else if (endpoint->inbox)
            ferry_verbs_fetch_on(endpoint);
    }
}

/* A port that went down, or came up, or has other addresses now. */
static void look_at(struct ferry_verbs_device *device)
{
    if (!ferry_verbs_look_at(device))
        return;
    if (!device->usable) {
        ferry_log(
            device->said ? FERRY_LOG_INFO : FERRY_LOG_WARN,
            "RDMA device %s can't be used any more (it was taken away, or its port went down): "
            "messages go over the network until it comes back",
            device->card.name);
        device->said = true;
        ferry_verbs_leave_device(device, "its device can't be used any more");
        ferry_verbs_close_device(device);
    }
    ferry_verbs_show_cards(device->verbs);
}

static int verbs_progress(struct ferry_transport *transport)
{
    struct ferry_verbs *verbs = ferry_verbs_of(transport);
    int events = 0;

    for (unsigned i = 0; i < verbs->device_count; i++) {
        struct ferry_verbs_device *device = &verbs->devices[i];

        if (device->queue_pairs)
            events += ferry_verbs_poll(device);
        if (device->check)
            look_at(device);
    }
    if (verbs->owing)
        ferry_verbs_pay(verbs);
    if (verbs->due)
        do_what_is_due(verbs);
    return events;
}

static bool is_there(const struct ferry_verbs_device *device)
{
    char path[64 + FERRY_NAME_ROOM];

    snprintf(path, sizeof(path), "/sys/class/infiniband/%s", device->name);
    return access(path, F_OK) == 0;
}

/* Looks for devices that were taken away, or came back, and offers again where it is time to. */
static void verbs_housekeep(struct ferry_transport *transport)
{
    struct ferry_verbs *verbs = ferry_verbs_of(transport);
    uint64_t now = ferry_now_ns();
    bool came = false;

    bool look = now - verbs->look_ns > LOOK_NS;

    if (look)
        verbs->look_ns = now;
    for (unsigned i = 0; i < verbs->device_count; i++) {
        struct ferry_verbs_device *device = &verbs->devices[i];

        if (!device->context && device->node[0] && look)
            ferry_verbs_let_go(device);
        if (!device->context)
            came |= look && is_there(device) && ferry_verbs_open_device(device);
        else if (ferry_verbs_take_events(device) || look)
            look_at(device);
    }
    if (came)
        ferry_verbs_show_cards(verbs);
    for (struct ferry_link *link = verbs->endpoints.next; link != &verbs->endpoints;
         link = link->next)
        ferry_verbs_retry(ferry_container(link, struct ferry_verbs_endpoint, link), now);
}

/* While a device's removal or a new offer may be due. */
#define PATIENCE_US 100000

static unsigned verbs_patience(struct ferry_transport *transport)
{
    struct ferry_verbs *verbs = ferry_verbs_of(transport);
    unsigned patience = PATIENCE_US;

    for (unsigned i = 0; i < verbs->device_count; i++) {
        struct ferry_verbs_device *device = &verbs->devices[i];

        if (!device->queue_pairs || device->armed)
            continue;
        device->armed = !ibv_req_notify_cq(device->cq, 0);
        /* What came before will not be told of. */
        patience = 0;
    }
    return verbs->due ? 0 : patience;
}

static bool verbs_flushed(struct ferry_transport *transport)
{
    struct ferry_verbs *verbs = ferry_verbs_of(transport);
    bool flushed = true;

    for (struct ferry_link *link = verbs->endpoints.next; link != &verbs->endpoints;
         link = link->next) {
        struct ferry_verbs_endpoint *endpoint = ferry_container(link, struct ferry_verbs_endpoint,
                                                                link);

        if (endpoint->base.core.lost || endpoint->left)
            continue;
        if (endpoint->state == FERRY_VERBS_UP &&
            endpoint->rails[0].posted != endpoint->rails[0].done) {
            ferry_verbs_nudge(endpoint);
            flushed = false;
        }
        flushed &= endpoint->state != FERRY_VERBS_FALLING && !ferry_verbs_is_read_from(endpoint);
    }
    return flushed;
}

static void verbs_count_regions(struct ferry_transport *transport,
                                struct ferry_regions_counters *sum)
{
    const struct ferry_verbs *verbs = ferry_verbs_of(transport);

    for (unsigned i = 0; i < verbs->device_count; i++)
        ferry_verbs_count_regions(&verbs->devices[i], sum);
}

const struct ferry_transport_ops ferry_verbs_ops = {
    .name = "verbs",
    .on_demand = true,
    .upon = &ferry_fabric_ops,
    .open = verbs_open,
    .close = verbs_close,
    .address = verbs_address,
    .reach = verbs_reach,
    .raise = verbs_raise,
    .carried = verbs_carried,
    .left = verbs_left,
    .lost = verbs_lost,
    .send = ferry_verbs_send,
    .send_eager = ferry_verbs_send_eager,
    .hold = verbs_hold,
    .expose = ferry_verbs_expose,
    .describe_exposed = ferry_verbs_describe_exposed,
    .withdraw = ferry_verbs_withdraw,
    .copied = ferry_verbs_copied,
    .read = ferry_verbs_read,
    .progress = verbs_progress,
    .patience = verbs_patience,
    .housekeep = verbs_housekeep,
    .flushed = verbs_flushed,
    .count_regions = verbs_count_regions,
    .describe = verbs_describe,
    .survey = ferry_verbs_survey,
};
