/*
 * How processes meet, before libfabric connects them.
 */
#ifndef FERRY_FABRIC_MEETING_H
#define FERRY_FABRIC_MEETING_H

#include "fabric.h"

#define FERRY_MS 1000000ull

struct ferry_meeting {
    struct ferry_sites sites; /* of the peer */
    unsigned next, round;     /* site to be tried next; how often all were */
    uint64_t call_ns;         /* when to try */
    struct ferry_door *calls[FERRY_SITES_MAX];
    struct ferry_door *chosen; /* the one that leads to the peer */
    struct ferry_door *held;   /* the peer's call, while ours may still be taken */
    uint64_t held_ns;
    bool caller; /* chosen is our call */
    bool due;    /* to be gone on with once libfabric is loaded */
    bool told;
    char why[192]; /* the last failure */
};

/* ---- meeting.c: what becomes of calls, ours and the peer's ---- */

/* The peer's route, made when there is none. Errors: NULL, no memory. */
struct ferry_fabric_route *ferry_meeting_route(struct ferry_fabric *fabric, ferry_peer_t *peer);
/* Begins to meet: calls, unless the endpoint is made because the peer called. -ENOMEM. */
int ferry_meeting_begin(struct ferry_fabric_endpoint *endpoint);
void ferry_meeting_free(struct ferry_fabric_endpoint *endpoint);

/* What goes on at the doors. Returns the number of events. */
int ferry_meeting_progress(struct ferry_fabric *fabric);

/* Both know who the other is: libfabric connects them, once it is loaded. */
void ferry_meeting_open(struct ferry_fabric_endpoint *endpoint);
/* What was reached so far came to nothing: another round, later. */
void ferry_meeting_failed(struct ferry_fabric_endpoint *endpoint, const char *why);
/* A stranger has proved who it is. */
void ferry_meeting_proved(struct ferry_fabric *fabric, struct ferry_door *door, ferry_peer_t *peer);

/* libfabric's part: the seals on its connection, and that it was made. */
bool ferry_meeting_is_caller(const struct ferry_fabric_endpoint *endpoint);
bool ferry_meeting_seal_holds(struct ferry_fabric_endpoint *endpoint, bool of_caller,
                              const void *seal, size_t length);
void ferry_meeting_own_seal(struct ferry_fabric_endpoint *endpoint, bool of_caller,
                            uint8_t seal[16]);
void ferry_meeting_connected(struct ferry_fabric_endpoint *endpoint);

/* ---- call.c: our calls ---- */

/* Tries the next site. */
void ferry_call_next(struct ferry_fabric_endpoint *endpoint, uint64_t now);
/* Whether some call is still open. Ends those that no host answers. */
bool ferry_calls_open(struct ferry_fabric_endpoint *endpoint, uint64_t now);
void ferry_calls_close(struct ferry_fabric_endpoint *endpoint, const struct ferry_door *except);
void ferry_call_door(struct ferry_door *door);

/* ---- answer.c: those who call ---- */

void ferry_answer_accept(struct ferry_fabric *fabric);
void ferry_answer_door(struct ferry_fabric *fabric, struct ferry_door *door);
/* Shuts the doors of those who take too long. */
void ferry_answer_expire(struct ferry_fabric *fabric, uint64_t now);

#endif
