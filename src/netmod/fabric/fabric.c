/*
 * The transport over libfabric, for peers that share no memory.
 *
 * Two processes first meet at plain TCP connections, which are cheap to listen at, and prove to each
 * other who they are; only then libfabric, loaded in the background, connects them.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "descriptor.h"
#include "log.h"
#include "meeting.h"

/* A look at the network is a system call or two, so progress, which others share, looks less often
 * the longer it found nothing: never after so many looks, then after one more call for each so many
 * further looks, up to a limit. */
#define LOOKS_EAGER 256
#define LOOKS_PER_REST 8
#define REST_MAX 64

/* New connections are looked for with every so manieth look, unless some are being made. */
#define LOOKS_PER_DOOR 16
/* Ends of connections that moved no data are looked for with every so manieth. */
#define LOOKS_PER_EVENT 256

/* Between two looks for hosts that are silent. */
#define SILENCE_NS 2000000000u

static void fabric_close(struct ferry_transport *transport);

/* ---- Opening ---- */

static int watch_listener(struct ferry_fabric *fabric)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};

    fabric->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (fabric->epoll < 0 || epoll_ctl(fabric->epoll, EPOLL_CTL_ADD, fabric->listener, &event) < 0)
        return -errno;
    return 0;
}

static int start(struct ferry_fabric *fabric)
{
    const struct ferry_config *config = ferry_config();
    const char *choice = config->fabric_interface;
    int error = ferry_sites_own(choice, &fabric->sites, fabric->nets, &fabric->net_count);

    if (error)
        return error;
    fabric->listener = ferry_door_listen(&fabric->sites, choice[0] && fabric->sites.count == 1);
    error = fabric->listener < 0 ? fabric->listener : watch_listener(fabric);
    if (!error)
        error = ferry_core_watch(fabric->base.context, fabric->epoll);
    if (!error) {
        error = ferry_library_open(&fabric->library, config->fabric_provider);
        fabric->loading = !error;
    }
    if (error)
        ferry_log(FERRY_LOG_ERROR, "the network can't be used: %s", strerror(-error));
    return error;
}

static int fabric_open(ferry_context_t *context, struct ferry_transport **out)
{
    struct ferry_fabric *fabric = calloc(1, sizeof(*fabric));

    if (!fabric)
        return -ENOMEM;
    fabric->base = (struct ferry_transport){.ops = &ferry_fabric_ops, .context = context};
    fabric->epoll = fabric->listener = -1;
    ferry_link_init(&fabric->strangers);
    ferry_link_init(&fabric->closed);
    ferry_link_init(&fabric->routes);
    ferry_link_init(&fabric->meeting);
    ferry_link_init(&fabric->endpoints);
    ferry_link_init(&fabric->exposed);
    if (start(fabric)) {
        fabric_close(&fabric->base);
        return -ENODEV;
    }
    *out = &fabric->base;
    return 0;
}

static void free_routes(struct ferry_fabric *fabric)
{
    while (!ferry_link_empty(&fabric->routes)) {
        struct ferry_link *link = fabric->routes.next;

        ferry_link_remove(link);
        free(ferry_container(link, struct ferry_fabric_route, link));
    }
}

static void fabric_close(struct ferry_transport *transport)
{
    struct ferry_fabric *fabric = ferry_fabric_of(transport);

    ferry_fabric_withdraw_all(fabric);
    while (!ferry_link_empty(&fabric->endpoints)) {
        struct ferry_fabric_endpoint *endpoint =
            ferry_container(fabric->endpoints.next, struct ferry_fabric_endpoint, link);

        if (endpoint != fabric->self)
            ferry_fabric_say_goodbye(endpoint);
        ferry_meeting_free(endpoint);
        ferry_fabric_endpoint_free(endpoint);
    }
    while (!ferry_link_empty(&fabric->strangers))
        ferry_door_close(ferry_container(fabric->strangers.next, struct ferry_door, link),
                         &fabric->closed);
    ferry_door_sweep(&fabric->closed);
    free_routes(fabric);
    if (fabric->loading)
        ferry_library_close(&fabric->library);
    ferry_fabric_free_buffers(fabric);
    ferry_fabric_free_reads(fabric);
    if (fabric->listener >= 0)
        close(fabric->listener);
    if (fabric->epoll >= 0)
        close(fabric->epoll);
    free(fabric);
}

/* ---- Who is reached ---- */

static size_t fabric_address(struct ferry_transport *transport, void *part, size_t room)
{
    return ferry_sites_pack(&ferry_fabric_of(transport)->sites, part, room);
}

static bool fabric_reach(struct ferry_transport *transport, ferry_peer_t *peer, const void *part,
                         size_t length)
{
    struct ferry_fabric_route *route;
    struct ferry_sites sites;

    if (length > sizeof(route->part) || !ferry_sites_unpack(&sites, part, length))
        return false;
    route = ferry_meeting_route(ferry_fabric_of(transport), peer);
    if (!route)
        return false;
    memcpy(route->part, part, length);
    route->length = (uint8_t) length;
    return true;
}

static int fabric_connect(struct ferry_transport *transport, ferry_peer_t *peer,
                          struct ferry_endpoint **out)
{
    struct ferry_fabric *fabric = ferry_fabric_of(transport);
    struct ferry_fabric_route *route = ferry_meeting_route(fabric, peer);
    struct ferry_fabric_endpoint *endpoint = ferry_fabric_endpoint_new(fabric, peer);

    if (!route || !endpoint)
        return -ENOMEM;
    if (!memcmp(ferry_peer_nonce(peer), ferry_core_nonce(transport->context), 16)) {
        endpoint->state = FERRY_FABRIC_UP;
        fabric->self = endpoint;
    } else if (ferry_meeting_begin(endpoint)) {
        ferry_fabric_endpoint_free(endpoint);
        return -ENOMEM;
    }
    route->endpoint = endpoint;
    fabric->rest = fabric->quiet = 0;
    *out = &endpoint->base;
    return 0;
}

static void fabric_describe(struct ferry_transport *transport, ferry_peer_t *peer, char *text,
                            size_t room)
{
    struct ferry_fabric *fabric = ferry_fabric_of(transport);
    struct ferry_fabric_route *route = *ferry_peer_slot(peer);
    struct ferry_fabric_endpoint *endpoint = route ? route->endpoint : NULL;
    const char *provider = ferry_library_is_ready(&fabric->library)
                               ? ferry_library_provider(&fabric->library)
                               : ferry_config()->fabric_provider;
    char address[FERRY_SITE_TEXT];

    /* The name that people know. */
    if (!strcmp(provider, "net"))
        provider = "tcp";
    if (endpoint && endpoint == fabric->self)
        snprintf(text, room, "fabric (itself)");
    else if (endpoint && endpoint->remote.family)
        snprintf(text, room, "fabric (%s, %s)", provider,
                 ferry_site_text(&endpoint->remote, address));
    else
        snprintf(text, room, "fabric (%s)", provider);
}

/* ---- Progress ---- */

static int look(struct ferry_fabric *fabric)
{
    bool meeting = !ferry_link_empty(&fabric->meeting) || fabric->stranger_count;
    int events = 0;

    fabric->looks++;
    if (fabric->up + fabric->ending + fabric->opening) {
        events += ferry_fabric_read_completions(fabric);
        if (fabric->opening || fabric->failed || fabric->looks % LOOKS_PER_EVENT == 0)
            events += ferry_fabric_read_events(fabric);
        if (fabric->ending)
            ferry_fabric_finish_endings(fabric, ferry_now_ns());
    }
    if (fabric->stalled)
        ferry_fabric_push_stalled(fabric);
    if (fabric->reading)
        ferry_fabric_push_reads(fabric);
    if (fabric->self)
        events += ferry_self_progress(fabric->self);
    if (meeting || fabric->looks % LOOKS_PER_DOOR == 0)
        events += ferry_meeting_progress(fabric);
    return events;
}

static int fabric_progress(struct ferry_transport *transport)
{
    struct ferry_fabric *fabric = ferry_fabric_of(transport);
    int events;

    if (fabric->rest) {
        fabric->rest--;
        return 0;
    }
    events = look(fabric);
    if (events) {
        fabric->quiet = 0;
    } else if (++fabric->quiet > LOOKS_EAGER) {
        unsigned rest = (fabric->quiet - LOOKS_EAGER) / LOOKS_PER_REST;

        fabric->rest = rest < REST_MAX ? rest : REST_MAX;
    }
    return events;
}

/* Looks for ends that libfabric did not tell of, and now and then for those whose host is silent. */
static void fabric_housekeep(struct ferry_transport *transport)
{
    struct ferry_fabric *fabric = ferry_fabric_of(transport);
    uint64_t now = ferry_now_ns();

    if (fabric->up + fabric->ending + fabric->opening)
        ferry_fabric_read_events(fabric);
    if (now - fabric->dead_ns < SILENCE_NS)
        return;
    fabric->dead_ns = now;
    for (struct ferry_link *link = fabric->endpoints.next; link != &fabric->endpoints;
         link = link->next) {
        struct ferry_fabric_endpoint *endpoint = ferry_container(link, struct ferry_fabric_endpoint,
                                                                 link);

        if (endpoint->state == FERRY_FABRIC_UP && endpoint->fd >= 0 &&
            ferry_descriptor_silent(endpoint->fd, &endpoint->acknowledged_ns, now))
            ferry_fabric_end(endpoint, "its host does not answer");
    }
}

/* Where a timer runs, or only libfabric knows what is waited for. */
#define PATIENCE_US 1000

static unsigned fabric_patience(struct ferry_transport *transport)
{
    struct ferry_fabric *fabric = ferry_fabric_of(transport);

    fabric->rest = 0;
    transport->moves = fabric->reading || !ferry_link_empty(&fabric->exposed);
    if (!ferry_link_empty(&fabric->meeting) || fabric->stranger_count || fabric->opening ||
        fabric->ending || fabric->stalled || fabric->reading ||
        (fabric->self && fabric->self->first))
        return PATIENCE_US;
    for (struct ferry_link *link = fabric->endpoints.next; link != &fabric->endpoints;
         link = link->next) {
        struct ferry_fabric_endpoint *endpoint = ferry_container(link, struct ferry_fabric_endpoint,
                                                                 link);

        if (endpoint->state == FERRY_FABRIC_UP && endpoint != fabric->self &&
            (endpoint->sends || endpoint->exposed || !endpoint->watched))
            return PATIENCE_US;
    }
    return UINT_MAX;
}

static bool fabric_flushed(struct ferry_transport *transport)
{
    struct ferry_fabric *fabric = ferry_fabric_of(transport);

    for (struct ferry_link *link = fabric->endpoints.next; link != &fabric->endpoints;
         link = link->next) {
        struct ferry_fabric_endpoint *endpoint = ferry_container(link, struct ferry_fabric_endpoint,
                                                                 link);

        if (endpoint->state == FERRY_FABRIC_UP &&
            (endpoint->sends || endpoint->stalled || endpoint->first ||
             (endpoint->fd >= 0 && ferry_descriptor_unsent(endpoint->fd))))
            return false;
    }
    return true;
}

const struct ferry_transport_ops ferry_fabric_ops = {
    .name = "fabric",
    .on_demand = true,
    .open = fabric_open,
    .close = fabric_close,
    .address = fabric_address,
    .reach = fabric_reach,
    .connect = fabric_connect,
    .send = ferry_fabric_send,
    .send_eager = ferry_fabric_send_eager,
    .hold = ferry_fabric_hold,
    .expose = ferry_fabric_expose,
    .describe_exposed = ferry_fabric_describe_exposed,
    .withdraw = ferry_fabric_withdraw,
    .read = ferry_fabric_read,
    .lost = ferry_fabric_lost,
    .progress = fabric_progress,
    .patience = fabric_patience,
    .housekeep = fabric_housekeep,
    .flushed = fabric_flushed,
    .describe = fabric_describe,
    .survey = ferry_fabric_survey,
};
