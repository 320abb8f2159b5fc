/*
 * Doors: plain TCP connections on which processes greet each other, before libfabric connects them.
 * libfabric's own listening sockets can't be shown to strangers: half a message blocks the process,
 * and a silent connection is kept for ever.
 */
#ifndef FERRY_FABRIC_DOOR_H
#define FERRY_FABRIC_DOOR_H

#include "greet.h"
#include "link.h"
#include "sites.h"

struct ferry_fabric_endpoint;

enum ferry_door_state {
    FERRY_DOOR_CALLING,  /* the connection is being made */
    FERRY_DOOR_AT_HELLO, /* waiting for this message ... */
    FERRY_DOOR_AT_ANSWER,
    FERRY_DOOR_AT_PROOF,
    FERRY_DOOR_AT_WELCOME,
    FERRY_DOOR_SILENT, /* nothing more is to be said; kept to notice the end */
};

struct ferry_door {
    struct ferry_link link; /* among those of strangers, or among the closed */
    int fd;                 /* -1: closed */
    enum ferry_door_state state;
    struct ferry_fabric_endpoint *endpoint; /* NULL while a stranger's */
    struct ferry_greeting said;
    uint8_t key[16]; /* that both prove */
    uint8_t in[FERRY_GREET_LONGEST];
    uint8_t in_length;
    uint64_t since_ns;
    struct ferry_site remote;
    uint16_t port;
};

/* Listens at all sites, or at one. Fills the port. Returns a descriptor or a negative errno. */
int ferry_door_listen(struct ferry_sites *sites, bool at_one);

/* Begins a connection; epoll tells when it is made. NULL, and errno is set. */
struct ferry_door *ferry_door_call(int epoll, const struct ferry_site *site, uint16_t port);
/* Whether the connection was made: 0 or a negative errno. */
int ferry_door_called(int epoll, struct ferry_door *door);
/* Takes one that waits at the listener. NULL, and errno is set. */
struct ferry_door *ferry_door_accept(int epoll, int listener);

/* Errors: -EPIPE. */
int ferry_door_write(struct ferry_door *door, const void *message, size_t length);
/* Reads a part of a message of that kind into door->in: 1 it is whole, or a refusal or of another
 * version, then a head; 0 not yet. Errors: -ECONNRESET it ended; -EPROTO nonsense. */
int ferry_door_read(struct ferry_door *door, enum ferry_greet_kind kind);

/* Its memory is given back by ferry_door_sweep(): events for it may still be at hand. */
void ferry_door_close(struct ferry_door *door, struct ferry_link *closed);
void ferry_door_sweep(struct ferry_link *closed);

/* The own address on this connection. */
void ferry_door_local(const struct ferry_door *door, struct ferry_site *site);

#endif
