/*
 * Calls: the sites of a peer are tried one after the other, without waiting long for any, until a
 * process answers that proves to be the peer.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "meeting.h"

/* The next site is tried when the one before has not answered for so long. */
#define STAGGER_NS (250 * FERRY_MS)
/* A host that says nothing is not there; one that connects but does not answer may be busy, and is
 * waited for: that is said after a while. */
#define CALL_NS (5000 * FERRY_MS)
#define TELL_NS (60000 * FERRY_MS)

static void note_failure(struct ferry_meeting *meeting, const struct ferry_site *site,
                         uint16_t port, const char *why)
{
    char text[FERRY_SITE_TEXT];

    snprintf(meeting->why, sizeof(meeting->why), "%s port %u: %s", ferry_site_text(site, text),
             port, why);
    ferry_log(FERRY_LOG_DEBUG, "fabric: %s", meeting->why);
    meeting->call_ns = 0; /* the next at once */
}

void ferry_calls_close(struct ferry_fabric_endpoint *endpoint, const struct ferry_door *except)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    for (unsigned i = 0; i < FERRY_SITES_MAX; i++) {
        if (meeting->calls[i] && meeting->calls[i] != except)
            ferry_door_close(meeting->calls[i], &ferry_fabric_of_endpoint(endpoint)->closed);
        meeting->calls[i] = NULL;
    }
}

static void call_failed(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door,
                        const char *why)
{
    struct ferry_meeting *meeting = endpoint->meeting;

    note_failure(meeting, &door->remote, door->port, why);
    for (unsigned i = 0; i < FERRY_SITES_MAX; i++)
        if (meeting->calls[i] == door) {
            ferry_door_close(door, &ferry_fabric_of_endpoint(endpoint)->closed);
            meeting->calls[i] = NULL;
        }
}

void ferry_call_next(struct ferry_fabric_endpoint *endpoint, uint64_t now)
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

static void tell_waiting(struct ferry_fabric_endpoint *endpoint, const struct ferry_door *door)
{
    char text[FERRY_SITE_TEXT];

    if (endpoint->meeting->told)
        return;
    endpoint->meeting->told = true;
    ferry_log(FERRY_LOG_WARN,
              "process %d at %s port %u has not answered for a minute: it makes no progress, or "
              "another program listens there; still waiting",
              ferry_peer_rank(endpoint->base.peer), ferry_site_text(&door->remote, text),
              door->port);
}

bool ferry_calls_open(struct ferry_fabric_endpoint *endpoint, uint64_t now)
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
        if (door->state == FERRY_DOOR_AT_ANSWER && now - door->since_ns > TELL_NS)
            tell_waiting(endpoint, door);
    }
    return open;
}

/* ---- What is said ---- */

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
        call_failed(endpoint, door, text);
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
    ferry_calls_close(endpoint, door);
    door->state = FERRY_DOOR_AT_WELCOME;
    ferry_greet_proof(&door->said, door->key, &proof);
    if (ferry_door_write(door, &proof, sizeof(proof)))
        ferry_meeting_failed(endpoint, "it closed the connection");
}

static void on_welcome(struct ferry_fabric_endpoint *endpoint, struct ferry_door *door)
{
    int result = ferry_door_read(door, FERRY_GREET_WELCOME);

    if (result < 0)
        ferry_meeting_failed(endpoint, "it closed the connection");
    if (result <= 0)
        return;
    if (on_refusal(endpoint, door)) {
        if (endpoint->meeting)
            ferry_meeting_failed(endpoint, endpoint->meeting->why);
        return;
    }
    memcpy(&door->said.welcome, door->in, sizeof(door->said.welcome));
    door->state = FERRY_DOOR_SILENT;
    ferry_meeting_open(endpoint);
}

void ferry_call_door(struct ferry_door *door)
{
    if (door->state == FERRY_DOOR_CALLING)
        on_called(door->endpoint, door);
    else if (door->state == FERRY_DOOR_AT_ANSWER)
        on_answer(door->endpoint, door);
    else
        on_welcome(door->endpoint, door);
}
