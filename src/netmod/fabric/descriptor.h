/*
 * The descriptors inside libfabric. It opens its sockets without close-on-exec and has no words for
 * keepalive or for who may connect; so its sockets are looked for by their addresses, which nothing
 * else in the process has.
 */
#ifndef FERRY_FABRIC_DESCRIPTOR_H
#define FERRY_FABRIC_DESCRIPTOR_H

#include <stdbool.h>

#include "sites.h"

/* The TCP socket that listens at a port, or -1. */
int ferry_descriptor_listening(uint16_t port);
/* The TCP socket between two addresses, or -1. */
int ferry_descriptor_between(const struct sockaddr_storage *local,
                             const struct sockaddr_storage *remote);

/* A listening socket: only one host is let in, and what it says comes soon or is not waited for. */
void ferry_descriptor_guard(int fd, const struct ferry_site *only);
/* A connected one: it is closed in programs that are started, and a host that is gone is noticed. */
void ferry_descriptor_watch(int fd);

/* Bytes that the peer's kernel has not yet acknowledged. */
unsigned ferry_descriptor_unsent(int fd);
/* Whether its congestion control, as bbr does, sends no faster than it believes the path to bear, and that is no
 * loopback. */
bool ferry_descriptor_paced(int fd);
/* Whether data is on its way and nothing was acknowledged for longer than a pause may last. To be asked
 * now and then; since, at first 0, is kept for it. */
bool ferry_descriptor_silent(int fd, uint64_t *since_ns, uint64_t now_ns);

#endif
