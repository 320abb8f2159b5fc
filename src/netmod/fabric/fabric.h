/*
 * What the files of the fabric transport share.
 */
#ifndef FERRY_FABRIC_H
#define FERRY_FABRIC_H

#include "door.h"
#include "library.h"
#include "link.h"
#include "sites.h"
#include "transport.h"

/* Payload of a packet. */
#define FERRY_FABRIC_PACKET FERRY_PAYLOAD_CARRIED

struct ferry_fabric {
    struct ferry_transport base;
    struct ferry_library library;
    bool loading; /* or loaded */

    /* Meeting (meeting.c, answer.c) */
    struct ferry_sites sites; /* own, as published */
    struct ferry_net nets[FERRY_NETS_MAX];
    unsigned net_count;
    int epoll, listener;
    bool told;                   /* that somebody was refused, or could not be let in */
    struct ferry_link strangers; /* doors that have proved nothing, oldest first */
    unsigned stranger_count;
    struct ferry_link closed; /* doors */
    struct ferry_link routes;
    struct ferry_link meeting; /* endpoints that are not yet connected */
    bool answering;            /* an endpoint is made because its peer calls */

    /* Sending and receiving (endpoint.c) */
    struct ferry_link endpoints;  /* all, until close */
    unsigned opening, up, ending; /* endpoints in these states */
    unsigned stalled;             /* packets that libfabric did not take yet */
    bool failed;                  /* an operation did: there are events to read */
    struct ferry_fabric_buffer *free_buffers, *all_buffers;
    uint32_t large; /* bytes that are under way in buffers */
    struct ferry_fabric_read *free_reads, *all_reads;
    unsigned reading;          /* messages */
    struct ferry_link exposed; /* to be read by peers */
    struct ferry_fabric_endpoint *self;

    /* Pace (fabric.c) */
    unsigned rest;  /* calls of progress that do nothing */
    unsigned quiet; /* looks at the network that found nothing, in a row */
    unsigned looks;
    unsigned blanks;  /* looks at libfabric's completions that found none */
    uint64_t dead_ns; /* when the silent were last looked for */
};

/* A peer that is reached by this transport: in its slot. */
struct ferry_fabric_route {
    struct ferry_link link;
    struct ferry_fabric_endpoint *endpoint; /* NULL until connected or called */
    uint8_t length;
    uint8_t part[FERRY_SITES_PACKED]; /* of its address; packed, for there may be many */
};

enum ferry_fabric_state {
    FERRY_FABRIC_MEETING, /* doors are tried */
    FERRY_FABRIC_OPENING, /* libfabric makes the connection */
    FERRY_FABRIC_UP,
    FERRY_FABRIC_ENDING, /* the connection ended; what came before is still to be delivered */
    FERRY_FABRIC_ENDED,
};

struct ferry_fabric_buffer {
    struct ferry_fabric_buffer *next, *next_of_all;
    struct ferry_fabric_endpoint *endpoint; /* NULL: libfabric may still name it, nobody waits */
    enum { FERRY_BUFFER_SEND, FERRY_BUFFER_RECEIVE, FERRY_BUFFER_SMALL, FERRY_BUFFER_READ } use;
    uint32_t length;
    _Alignas(16) uint8_t bytes[]; /* a head, then the payload */
};

struct ferry_fabric_endpoint {
    struct ferry_endpoint base;
    struct ferry_link link;         /* of all */
    struct ferry_link meeting_link; /* while meeting or opening */
    enum ferry_fabric_state state;
    struct ferry_meeting *meeting; /* while meeting or opening */
    struct ferry_door *door; /* by which the peer's end is noticed, where nothing else tells */

    struct fid_ep *ep;
    struct fid_pep *listening; /* where the caller connects to */
    int fd;                    /* libfabric's socket; -1: not found */
    bool watched;              /* it ends this process's sleep */
    bool paced;                /* see ferry_descriptor_paced() */
    uint32_t sent_seq, got_seq;
    uint16_t sends, receives;            /* under way */
    uint32_t large;                      /* bytes of sends in buffers */
    struct ferry_fabric_buffer small;    /* stands for all small sends */
    struct ferry_fabric_buffer *stalled; /* taken from the core, not yet by libfabric */
    struct ferry_fabric_buffer *received[FERRY_FABRIC_RECEIVES]; /* all that libfabric may name, */
    unsigned received_count;
    struct ferry_fabric_buffer *spare; /* and those of them that are not under way */
    unsigned row, row_of; /* packets since the last blank look; the count of these then */
    struct ferry_fabric_read *reads; /* messages, in order */
    unsigned slices;                 /* of them, under way */
    unsigned exposed;                /* messages that the peer may read */
    uint64_t since_ns;               /* in this state */
    uint64_t acknowledged_ns;        /* see ferry_descriptor_silent() */
    const char *why;                 /* it ends */
    struct ferry_site remote;

    struct ferry_fabric_buffer *first, *last; /* to oneself (self.c) */
};

static inline struct ferry_fabric *ferry_fabric_of(struct ferry_transport *transport)
{
    return (struct ferry_fabric *) transport;
}

static inline struct ferry_fabric *ferry_fabric_of_endpoint(struct ferry_fabric_endpoint *endpoint)
{
    return (struct ferry_fabric *) endpoint->base.transport;
}

/* ---- endpoint.c: connections of libfabric, once processes have met ---- */

/* A new endpoint, meeting. Errors: NULL, no memory. */
struct ferry_fabric_endpoint *ferry_fabric_endpoint_new(struct ferry_fabric *fabric,
                                                        ferry_peer_t *peer);
void ferry_fabric_endpoint_free(struct ferry_fabric_endpoint *endpoint);

/* The answerer's side: lets one connection in at local, from remote. Fills the port.
 * Errors: those of libfabric. */
int ferry_fabric_listen(struct ferry_fabric_endpoint *endpoint, const struct ferry_site *local,
                        const struct ferry_site *remote, uint16_t *port);
/* The caller's side: connects, and shows the seal. */
int ferry_fabric_call(struct ferry_fabric_endpoint *endpoint, const struct ferry_site *local,
                      const struct ferry_site *remote, uint16_t port, const uint8_t seal[16]);
/* Gives up what was opened. */
void ferry_fabric_disconnect(struct ferry_fabric_endpoint *endpoint);

/* Events of connections, and packets. Return the number of events. */
int ferry_fabric_read_events(struct ferry_fabric *fabric);
int ferry_fabric_read_completions(struct ferry_fabric *fabric);

/* What can be said of a peer whose connection closed. */
const char *ferry_fabric_why_ended(struct ferry_fabric *fabric);
/* The endpoint is of no use any more; once all that came in before is delivered, the core is told. */
void ferry_fabric_end(struct ferry_fabric_endpoint *endpoint, const char *why);
/* The peer said goodbye: nothing is lost. */
void ferry_fabric_leave(struct ferry_fabric_endpoint *endpoint);
/* Tells the core of those that end and have nothing more to deliver. */
void ferry_fabric_finish_endings(struct ferry_fabric *fabric, uint64_t now);
/* At once, without waiting. */
void ferry_fabric_lose(struct ferry_fabric_endpoint *endpoint, int error, const char *why);

/* ---- packet.c: sending, and what comes in ---- */

int ferry_fabric_send(struct ferry_endpoint *base, const struct ferry_head *head,
                      const struct ferry_payload *payload);
int ferry_fabric_send_eager(struct ferry_endpoint *base, uint64_t match, const void *data,
                            uint32_t length);
/* Copies a packet out, with this number. */
void ferry_fabric_fill(uint8_t *bytes, const struct ferry_head *head, uint32_t seq,
                       const struct ferry_payload *payload);
void ferry_fabric_sent(struct ferry_fabric_buffer *buffer);
/* Tries again what libfabric did not take. */
void ferry_fabric_push_stalled(struct ferry_fabric *fabric);
int ferry_fabric_post_receives(struct ferry_fabric_endpoint *endpoint);
/* Checks a packet and hands it on. Errors: -EPROTO nonsense. */
int ferry_fabric_deliver(struct ferry_fabric_endpoint *endpoint, const uint8_t *bytes,
                         size_t length);
void ferry_fabric_received(struct ferry_fabric_buffer *buffer, size_t length);
void ferry_fabric_hold(struct ferry_endpoint *base, bool on);
/* Tells the peer that this end is closed in order. */
void ferry_fabric_say_goodbye(struct ferry_fabric_endpoint *endpoint);
struct ferry_fabric_buffer *ferry_fabric_new_buffer(struct ferry_fabric_endpoint *endpoint);
void ferry_fabric_free_buffers(struct ferry_fabric *fabric);

/* ---- read.c: long messages ---- */

/* Operations of the transport. */
void *ferry_fabric_expose(struct ferry_endpoint *base, const void *from, size_t length);
size_t ferry_fabric_describe_exposed(struct ferry_endpoint *base, void *exposed, void *descriptor);
void ferry_fabric_withdraw(struct ferry_endpoint *base, void *exposed);
int ferry_fabric_read(struct ferry_endpoint *base, const void *descriptor, size_t descriptor_length,
                      void *to, size_t length, void *op);
void ferry_fabric_lost(struct ferry_endpoint *base);
/* A slice has come, or failed. */
void ferry_fabric_read_some(struct ferry_fabric_buffer *buffer, bool failed);
/* Asks again for what libfabric did not take. */
void ferry_fabric_push_reads(struct ferry_fabric *fabric);
/* To be called before the endpoints are freed; and after libfabric is closed. */
void ferry_fabric_withdraw_all(struct ferry_fabric *fabric);
void ferry_fabric_free_reads(struct ferry_fabric *fabric);

/* ---- survey.c ---- */

/* ferry_transport_ops.survey */
void ferry_fabric_survey(struct ferry_survey *survey);

/* ---- self.c: a process that is its own peer ---- */

int ferry_self_send(struct ferry_fabric_endpoint *endpoint, const struct ferry_head *head,
                    const struct ferry_payload *payload);
int ferry_self_progress(struct ferry_fabric_endpoint *endpoint);
void ferry_self_free(struct ferry_fabric_endpoint *endpoint);

#endif
