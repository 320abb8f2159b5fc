/*
 * Meeting: the addresses of a peer are tried one after the other until a process answers that proves
 * to be the peer. When both call at once, the call of the one with the lower nonce is taken.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "clock.h"
#include "fabric.h"
#include "log.h"

#define MS 1000000ull

/* The next address is tried when the one before has not answered for so long. */
#define STAGGER_NS (250 * MS)
/* A host that says nothing is not there; one that connects but does not answer may be busy, and is
 * waited for: that is said after a while. */
#define CALL_NS (5000 * MS)
#define OPEN_NS (10000 * MS)
#define TELL_NS (60000 * MS)
/* How long a call that has the lower right waits for the other. */
#define HOLD_NS (1000 * MS)
/* How long a peer without an address is waited for, once it has called. */
#define RECALL_NS (10000 * MS)
/* All addresses are tried so many times, with pauses that grow from this one. */
#define ROUNDS 6
#define PAUSE_NS (250 * MS)

#define BATCH 16

struct ferry_meeting {
    struct ferry_sites sites; /* of the peer */
    unsigned next, round;
    uint64_t call_ns, since_ns; /* when to call next; begun */
    struct ferry_door *calls[FERRY_SITES_MAX];
    struct ferry_door *chosen; /* the one that leads to the peer */
    struct ferry_door *held;   /* the peer's call, while ours may still be taken */
    uint64_t held_ns;
    bool caller; /* chosen is our call */
    bool due;    /* to be gone on with once libfabric is loaded */
    bool told;
    char why[96]; /* the last failure */
};

/* ---- Beginning and end ---- */

struct ferry_fabric_route *ferry_meet_route(struct ferry_fabric *fabric, ferry_peer_t *peer)
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

int ferry_meet_begin(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_fabric_route *route = ferry_meet_route(fabric, endpoint->base.peer);
    struct ferry_meeting *meeting = calloc(1, sizeof(*meeting));

    if (!meeting)
        return -ENOMEM;
    ferry_sites_unpack(&meeting->sites, route->part, route->length);
    ferry_sites_nearest_first(&meeting->sites, fabric->nets, fabric->net_count);
    meeting->since_ns = ferry_now_ns();
    meeting->call_ns = meeting->since_ns + (fabric->answering ? HOLD_NS : 0);
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

static void close_calls(struct ferry_fabric *fabric, struct ferry_meeting *meeting,
                        const struct ferry_door *except)
{
    for (unsigned i = 0; i < FERRY_SITES_MAX; i++) {
        if (meeting->calls[i] && meeting->calls[i] != except)
            ferry_door_close(meeting->calls[i], &fabric->closed);
        meeting->calls[i] = NULL;
    }
}

void ferry_meet_free(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_meeting *meeting = endpoint->meeting;

    if (!meeting)
        return;
    close_calls(fabric, meeting, NULL);
    close_door(fabric, &meeting->chosen);
    close_door(fabric, &meeting->held);
    ferry_link_remove(&endpoint->meeting_link);
    ferry_link_init(&endpoint->meeting_link);
    endpoint->meeting = NULL;
    free(meeting);
}

static void adopt(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door);

/* What was reached so far came to nothing: another round, later. */
void ferry_meet_failed(struct ferry_fabric_endpoint *endpoint, const char *why)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_meeting *meeting = endpoint->meeting;
    struct ferry_door *held = meeting->held;

    if (why != meeting->why)
        snprintf(meeting->why, sizeof(meeting->why), "%s", why);
    ferry_fabric_disconnect(endpoint);
    close_calls(fabric, meeting, NULL);
    close_door(fabric, &meeting->chosen);
    meeting->due = false;
    meeting->next = 0;
    /* Two that fall out with each other must not come back at the same moment. */
    meeting->call_ns = ferry_now_ns() + (PAUSE_NS << meeting->round) +
                       ferry_core_nonce(fabric->base.context)[0] * MS;
    meeting->round++;
    meeting->held = NULL;
    if (held)
        adopt(endpoint, held);
}

static void give_up(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_meeting *meeting = endpoint->meeting;
    char why[sizeof(meeting->why) + 64];

    snprintf(why, sizeof(why), "it can't be reached over the network: %s",
             meeting->why[0] ? meeting->why : "it called, and went away");
    ferry_fabric_lose(endpoint, -EHOSTUNREACH, why);
}

/* ---- libfabric's part ---- */

bool ferry_meet_is_caller(const struct ferry_fabric_endpoint *endpoint)
{
    return endpoint->meeting->caller;
}

void ferry_meet_own_seal(struct ferry_fabric_endpoint *endpoint, bool of_caller, uint8_t seal[16])
{
    struct ferry_door *door = endpoint->meeting->chosen;

    ferry_greet_seal(&door->said, door->key, of_caller, seal);
}

bool ferry_meet_seal_holds(struct ferry_fabric_endpoint *endpoint, bool of_caller, const void *seal,
                           size_t length)
{
    uint8_t right[16];

    if (length < sizeof(right))
        return false;
    ferry_meet_own_seal(endpoint, of_caller, right);
    return ferry_proof_equal(right, seal);
}

void ferry_meet_connected(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    /* Where libfabric's socket can't be watched, the door stays, to tell of the peer's end. */
    if (endpoint->fd < 0) {
        endpoint->door = meeting->chosen;
        meeting->chosen = NULL;
    }
    ferry_meet_free(endpoint);
}

/* Both know who the other is: libfabric connects them, once it is loaded. */
static void open_connection(struct ferry_fabric_endpoint *endpoint)
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
        ferry_meet_own_seal(endpoint, true, seal);
        error = ferry_fabric_call(endpoint, &local, &door->remote, door->said.welcome.port, seal);
    } else {
        error = ferry_fabric_listen(endpoint, &local, &door->remote, &port);
        if (!error) {
            ferry_greet_welcome(&door->said, port);
            error = ferry_door_write(door, &door->said.welcome, sizeof(door->said.welcome));
        }
    }
    if (error)
        ferry_meet_failed(endpoint, ferry_library_error(error));
}

/* ---- Calls ---- */

static void note_failure(struct ferry_meeting *meeting, const struct ferry_site *site,
                         uint16_t port, const char *why)
{
    char text[FERRY_SITE_TEXT];

    snprintf(meeting->why, sizeof(meeting->why), "%s port %u: %s", ferry_site_text(site, text),
             port, why);
    ferry_log(FERRY_LOG_DEBUG, "fabric: %s", meeting->why);
    meeting->call_ns = 0; /* the next at once */
}

static void call_failed(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door,
                        const char *why)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    note_failure(meeting, &door->remote, door->port, why);
    for (unsigned i = 0; i < FERRY_SITES_MAX; i++)
        if (meeting->calls[i] == door)
            close_door(ferry_fabric_of_endpoint(endpoint), &meeting->calls[i]);
}

static void call_next(struct ferry_fabric_endpoint *endpoint, uint64_t now)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_meeting *meeting = endpoint->meeting;
    unsigned index = meeting->next++;
    const struct ferry_site *site = &meeting->sites.at[index];
    struct ferry_door *door = ferry_door_call(fabric->epoll, site, meeting->sites.port);

    meeting->call_ns = now + STAGGER_NS;
    if (!door) {
        note_failure(meeting, site, meeting->sites.port, strerror(errno));
        return;
    }
    door->endpoint = endpoint;
    memcpy(door->key, ferry_peer_key(endpoint->base.peer), sizeof(door->key));
    meeting->calls[index] = door;
}

/* Whether some call is still open. Ends those that nobody answers. */
static bool calls_open(struct ferry_fabric_endpoint *endpoint, uint64_t now)
{
    struct ferry_meeting *meeting = endpoint->meeting;
    bool open = false;

    for (unsigned i = 0; i < FERRY_SITES_MAX; i++) {
        struct ferry_door *door = meeting->calls[i];

        if (!door)
            continue;
        if (door->state == FERRY_DOOR_CALLING && now - door->since_ns > CALL_NS) {
            call_failed(endpoint, door, "no answer");
            continue;
        }
        open = true;
        if (door->state == FERRY_DOOR_AT_ANSWER && now - door->since_ns > TELL_NS &&
            !meeting->told) {
            char text[FERRY_SITE_TEXT];

            meeting->told = true;
            ferry_log(FERRY_LOG_WARN,
                      "process %d at %s port %u has not answered for a minute: it makes no "
                      "progress, or another program listens there; still waiting",
                      ferry_peer_rank(endpoint->base.peer), ferry_site_text(&door->remote, text),
                      door->port);
        }
    }
    return open;
}

/* What is to be done by time alone. */
static void tick(struct ferry_fabric_endpoint *endpoint, uint64_t now)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    if (meeting->due) {
        open_connection(endpoint);
    } else if (endpoint->state == FERRY_FABRIC_OPENING) {
        if (meeting->caller && now - endpoint->since_ns > OPEN_NS)
            ferry_meet_failed(endpoint, "its port for libfabric can't be reached");
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
        call_next(endpoint, now);
    } else if (!calls_open(endpoint, now) && !meeting->held &&
               meeting->next == meeting->sites.count) {
        if (meeting->round >= ROUNDS)
            give_up(endpoint);
        else
            ferry_meet_failed(endpoint, meeting->why);
    }
}

/* ---- What the doors of calls say ---- */

static void on_called(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    int error = ferry_door_called(fabric->epoll, door);

    if (!error) {
        ferry_greet_hello(&door->said, ferry_core_nonce(fabric->base.context),
                          ferry_peer_nonce(endpoint->base.peer), door->key);
        door->state = FERRY_DOOR_AT_ANSWER;
        error = ferry_door_write(door, &door->said.hello, sizeof(door->said.hello));
    }
    if (error)
        call_failed(endpoint, door, strerror(-error));
}

/* A refusal in place of a message. Returns whether it was one. */
static bool on_refusal(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    static const char *const reasons[] = {
        [FERRY_GREET_ELSEWHERE] = "another process listens there",
        [FERRY_GREET_NO_KEY] = "it belongs to another job, or the invitation was withdrawn",
        [FERRY_GREET_FAILED] = "libfabric can't be used there",
    };
    struct ferry_greet_head head;
    char text[192];

    memcpy(&head, door->in, sizeof(head));
    if (!ferry_greet_same_version(&head)) {
        ferry_greet_version_text(&head, text, sizeof(text));
        ferry_fabric_lose(endpoint, -EPROTO, text);
        return true;
    }
    if (head.status == FERRY_GREET_FAILED)
        ferry_fabric_lose(endpoint, -ENODEV, reasons[head.status]);
    else if (head.status)
        call_failed(endpoint, door,
                    head.status < sizeof(reasons) / sizeof(*reasons) && reasons[head.status]
                        ? reasons[head.status]
                        : "refused");
    return head.status != FERRY_GREET_OK;
}

static void on_answer(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    struct ferry_meeting *meeting = endpoint->meeting;
    struct ferry_greet_proof proof;
    int result = ferry_door_read(door, FERRY_GREET_ANSWER);

    if (result < 0)
        call_failed(endpoint, door,
                    result == -EPROTO ? "another program listens there"
                                      : "it closed the connection");
    if (result <= 0 || on_refusal(endpoint, door))
        return;
    memcpy(&door->said.answer, door->in, sizeof(door->said.answer));
    if (!ferry_greet_answer_holds(&door->said, door->key)) {
        call_failed(endpoint, door, "it does not know the key");
        return;
    }
    meeting->chosen = door;
    meeting->caller = true;
    close_calls(ferry_fabric_of_endpoint(endpoint), meeting, door);
    door->state = FERRY_DOOR_AT_WELCOME;
    ferry_greet_proof(&door->said, door->key, &proof);
    if (ferry_door_write(door, &proof, sizeof(proof)))
        ferry_meet_failed(endpoint, "it closed the connection");
}

static void on_welcome(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    int result = ferry_door_read(door, FERRY_GREET_WELCOME);

    if (result < 0)
        ferry_meet_failed(endpoint, "it closed the connection");
    if (result <= 0 || on_refusal(endpoint, door))
        return;
    memcpy(&door->said.welcome, door->in, sizeof(door->said.welcome));
    door->state = FERRY_DOOR_SILENT;
    open_connection(endpoint);
}

/* Nothing is said there any more: it ended. */
static void on_end(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    if (meeting && door == meeting->held)
        close_door(ferry_fabric_of_endpoint(endpoint), &meeting->held);
    else if (meeting)
        ferry_meet_failed(endpoint, "it closed the connection");
    else
        ferry_fabric_end(endpoint, "its process ended without a word");
}

static void on_door(struct ferry_fabric *fabric, struct ferry_door *door)
{
    if (door->fd < 0)
        return;
    switch (door->state) {
    case FERRY_DOOR_CALLING:
        on_called(door->endpoint, door);
        break;
    case FERRY_DOOR_AT_ANSWER:
        on_answer(door->endpoint, door);
        break;
    case FERRY_DOOR_AT_WELCOME:
        on_welcome(door->endpoint, door);
        break;
    case FERRY_DOOR_SILENT:
        on_end(door->endpoint, door);
        break;
    default:
        ferry_answer_door(fabric, door);
    }
}

/* ---- The peer's calls ---- */

static void adopt(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_meeting *meeting = endpoint->meeting;

    close_calls(fabric, meeting, NULL);
    close_door(fabric, &meeting->chosen);
    meeting->chosen = door;
    meeting->caller = false;
    open_connection(endpoint);
}

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

void ferry_meet_proved(struct ferry_fabric *fabric, struct ferry_door *door, ferry_peer_t *peer)
{
    struct ferry_endpoint *base;
    struct ferry_fabric_endpoint *endpoint;
    struct ferry_meeting *meeting;

    fabric->answering = true;
    base = ferry_core_endpoint(peer);
    fabric->answering = false;
    endpoint = (struct ferry_fabric_endpoint *) base;
    if (!base || base->ops != fabric->base.ops || endpoint->state != FERRY_FABRIC_MEETING) {
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

int ferry_meet_progress(struct ferry_fabric *fabric)
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
