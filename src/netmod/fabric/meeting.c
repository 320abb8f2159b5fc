/*
 * Meeting: either process calls the other. When both call at once, the call of the one with the lower
 * nonce is taken.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "clock.h"
#include "meeting.h"

/* How long a call that has the lower right waits for the other. */
#define HOLD_NS (1000 * FERRY_MS)
/* How long libfabric may take to connect. */
#define OPEN_NS (10000 * FERRY_MS)
/* How long a peer without an address is waited for, once it has called. */
#define RECALL_NS (10000 * FERRY_MS)
/* All sites are tried so many times, with pauses that grow from this one. */
#define ROUNDS 4
#define PAUSE_NS (250 * FERRY_MS)

#define BATCH 16

/* ---- Beginning and end ---- */

struct ferry_fabric_route *ferry_meeting_route(struct ferry_fabric *fabric, ferry_peer_t *peer)
{
    void **slot = ferry_peer_slot(peer);
    struct ferry_fabric_route *route = *slot;

    if (route)
        return route;
    route = calloc(1, sizeof(*route));
    if (route) {
        ferry_link_append(&fabric->routes, &route->link);
        *slot = route;
    }
    return route;
}

int ferry_meeting_begin(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_fabric_route *route = ferry_meeting_route(fabric, endpoint->base.peer);
    struct ferry_meeting *meeting = calloc(1, sizeof(*meeting));

    if (!meeting)
        return -ENOMEM;
    ferry_sites_unpack(&meeting->sites, route->part, route->length);
    ferry_sites_nearest_first(&meeting->sites, fabric->nets, fabric->net_count);
    meeting->call_ns = ferry_now_ns() + (fabric->answering ? HOLD_NS : 0);
    endpoint->meeting = meeting;
    ferry_link_append(&fabric->meeting, &endpoint->meeting_link);
    return 0;
}

static void close_door(struct ferry_fabric *fabric, struct ferry_door **door)
{
    if (*door)
        ferry_door_close(*door, &fabric->closed);
    *door = NULL;
}

void ferry_meeting_free(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_meeting *meeting = endpoint->meeting;

    if (!meeting)
        return;
    ferry_calls_close(endpoint, NULL);
    close_door(fabric, &meeting->chosen);
    close_door(fabric, &meeting->held);
    ferry_link_remove(&endpoint->meeting_link);
    ferry_link_init(&endpoint->meeting_link);
    endpoint->meeting = NULL;
    free(meeting);
}

/* Takes the peer's call, whatever became of ours. */
static void adopt(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    ferry_calls_close(endpoint, NULL);
    close_door(ferry_fabric_of_endpoint(endpoint), &meeting->chosen);
    meeting->chosen = door;
    meeting->caller = false;
    ferry_meeting_open(endpoint);
}

static void give_up(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_meeting *meeting = endpoint->meeting;
    char why[sizeof(meeting->why) + 64];

    snprintf(why, sizeof(why), "it can't be reached over the network: %s",
             meeting->why[0] ? meeting->why : "it called, and went away");
    ferry_fabric_lose(endpoint, -EHOSTUNREACH, why);
}

void ferry_meeting_failed(struct ferry_fabric_endpoint *endpoint, const char *why)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_meeting *meeting = endpoint->meeting;
    struct ferry_door *held = meeting->held;

    if (why != meeting->why)
        snprintf(meeting->why, sizeof(meeting->why), "%s", why);
    ferry_fabric_disconnect(endpoint);
    ferry_calls_close(endpoint, NULL);
    close_door(fabric, &meeting->chosen);
    meeting->due = false;
    meeting->next = 0;
    /* Two that fall out with each other must not come back at the same moment. */
    meeting->call_ns = ferry_now_ns() + (PAUSE_NS << meeting->round) +
                       ferry_core_nonce(fabric->base.context)[0] * FERRY_MS;
    meeting->round++;
    meeting->held = NULL;
    if (held)
        adopt(endpoint, held);
    else if (meeting->round >= ROUNDS)
        give_up(endpoint);
}

/* ---- libfabric's part ---- */

bool ferry_meeting_is_caller(const struct ferry_fabric_endpoint *endpoint)
{
    return endpoint->meeting->caller;
}

void ferry_meeting_own_seal(struct ferry_fabric_endpoint *endpoint, bool of_caller,
                            uint8_t seal[16])
{
    struct ferry_door *door = endpoint->meeting->chosen;

    ferry_greet_seal(&door->said, door->key, of_caller, seal);
}

bool ferry_meeting_seal_holds(struct ferry_fabric_endpoint *endpoint, bool of_caller,
                              const void *seal, size_t length)
{
    uint8_t right[16];

    if (length < sizeof(right))
        return false;
    ferry_meeting_own_seal(endpoint, of_caller, right);
    return ferry_proof_equal(right, seal);
}

void ferry_meeting_connected(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    /* Where libfabric's socket can't be watched, the door stays, to tell of the peer's end. And the
     * caller closes it, so that the end of the door can't come before the news of the connection. */
    if (endpoint->fd < 0 || !meeting->caller) {
        endpoint->door = meeting->chosen;
        meeting->chosen = NULL;
    }
    ferry_meeting_free(endpoint);
}

void ferry_meeting_open(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_meeting *meeting = endpoint->meeting;
    struct ferry_door *door = meeting->chosen;
    struct ferry_site local;
    uint8_t seal[16];
    uint16_t port;
    int error;

    meeting->due = fabric->library.state == FERRY_LIBRARY_LOADING;
    if (meeting->due)
        return;
    if (fabric->library.state == FERRY_LIBRARY_FAILED) {
        struct ferry_greet_head refusal;

        ferry_greet_refuse(&refusal, FERRY_GREET_WELCOME, FERRY_GREET_FAILED);
        if (!meeting->caller)
            ferry_door_write(door, &refusal, sizeof(refusal));
        ferry_fabric_lose(endpoint, -ENODEV, fabric->library.why);
        return;
    }
    ferry_door_local(door, &local);
    if (meeting->caller) {
        ferry_meeting_own_seal(endpoint, true, seal);
        error = ferry_fabric_call(endpoint, &local, &door->remote, door->said.welcome.port, seal);
    } else {
        error = ferry_fabric_listen(endpoint, &local, &door->remote, &port);
        if (!error) {
            ferry_greet_welcome(&door->said, port);
            error = ferry_door_write(door, &door->said.welcome, sizeof(door->said.welcome));
        }
    }
    if (error)
        ferry_meeting_failed(endpoint, ferry_library_error(error));
}

/* What is to be done by time alone. */
static void tick(struct ferry_fabric_endpoint *endpoint, uint64_t now)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    if (meeting->due) {
        ferry_meeting_open(endpoint);
    } else if (endpoint->state == FERRY_FABRIC_OPENING) {
        if (meeting->caller && now - endpoint->since_ns > OPEN_NS)
            ferry_meeting_failed(endpoint, "its port for libfabric can't be reached");
    } else if (meeting->chosen) {
        /* the peer's turn */
    } else if (meeting->held && now - meeting->held_ns > HOLD_NS) {
        struct ferry_door *held = meeting->held;

        meeting->held = NULL;
        adopt(endpoint, held);
    } else if (!meeting->sites.count) {
        if (now > meeting->call_ns && now - meeting->call_ns > RECALL_NS)
            give_up(endpoint);
    } else if (now >= meeting->call_ns && meeting->next < meeting->sites.count) {
        ferry_call_next(endpoint, now);
    } else if (!ferry_calls_open(endpoint, now) && !meeting->held &&
               meeting->next == meeting->sites.count) {
        ferry_meeting_failed(endpoint, meeting->why);
    }
}

/* ---- Doors ---- */

/* Nothing is said there any more: it ended. */
static void on_end(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    if (meeting && door == meeting->held)
        close_door(ferry_fabric_of_endpoint(endpoint), &meeting->held);
    else if (meeting)
        ferry_meeting_failed(endpoint, "it closed the connection");
    else if (endpoint->fd >= 0)
        close_door(ferry_fabric_of_endpoint(endpoint), &endpoint->door);
    else
        ferry_fabric_end(endpoint, ferry_fabric_why_ended(ferry_fabric_of_endpoint(endpoint)));
}

static void on_door(struct ferry_fabric *fabric, struct ferry_door *door)
{
    if (door->fd < 0)
        return;
    if (!door->endpoint)
        ferry_answer_door(fabric, door);
    else if (door->state == FERRY_DOOR_SILENT)
        on_end(door->endpoint, door);
    else
        ferry_call_door(door);
}

/* ---- The peer's calls ---- */

/* Whether a call of ours may have been heard by the peer, who then has to take it. */
static bool ours_goes_first(const struct ferry_fabric_endpoint *endpoint)
{
    const struct ferry_meeting *meeting = endpoint->meeting;
    bool heard = meeting->chosen && meeting->caller;

    for (unsigned i = 0; i < FERRY_SITES_MAX; i++)
        heard |= meeting->calls[i] && meeting->calls[i]->state == FERRY_DOOR_AT_ANSWER;
    return heard && memcmp(ferry_core_nonce(endpoint->base.transport->context),
                           ferry_peer_nonce(endpoint->base.peer), 16) < 0;
}

void ferry_meeting_proved(struct ferry_fabric *fabric, struct ferry_door *door, ferry_peer_t *peer)
{
    struct ferry_fabric_endpoint *endpoint;
    struct ferry_meeting *meeting;

    fabric->answering = true;
    endpoint = (struct ferry_fabric_endpoint *) ferry_core_own_endpoint(&fabric->base, peer);
    fabric->answering = false;
    if (!endpoint || endpoint->state != FERRY_FABRIC_MEETING) {
        ferry_door_close(door, &fabric->closed);
        return;
    }
    meeting = endpoint->meeting;
    door->endpoint = endpoint;
    door->state = FERRY_DOOR_SILENT;
    if (ours_goes_first(endpoint)) {
        close_door(fabric, &meeting->held);
        meeting->held = door;
        meeting->held_ns = ferry_now_ns();
    } else {
        adopt(endpoint, door);
    }
}

/* ---- Progress ---- */

static int read_doors(struct ferry_fabric *fabric)
{
    struct epoll_event events[BATCH];
    int count = epoll_wait(fabric->epoll, events, BATCH, 0);

    for (int i = 0; i < count; i++)
        if (events[i].data.ptr)
            on_door(fabric, events[i].data.ptr);
        else
            ferry_answer_accept(fabric);
    ferry_door_sweep(&fabric->closed);
    return count > 0 ? count : 0;
}

int ferry_meeting_progress(struct ferry_fabric *fabric)
{
    int events = read_doors(fabric);
    uint64_t now;

    if (ferry_link_empty(&fabric->meeting) && !fabric->stranger_count)
        return events;
    now = ferry_now_ns();
    for (struct ferry_link *link = fabric->meeting.next, *next; link != &fabric->meeting;
         link = next) {
        next = link->next;
        tick(ferry_container(link, struct ferry_fabric_endpoint, meeting_link), now);
    }
    ferry_answer_expire(fabric, now);
    ferry_door_sweep(&fabric->closed);
    return events;
}
