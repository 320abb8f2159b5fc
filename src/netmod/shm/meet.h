/*
 * Meeting: processes of a job find each other at a secret name in a place, prove the job's key to
 * each other, and one hands the others a descriptor.
 */
#ifndef FERRY_MEET_H
#define FERRY_MEET_H

#include <stdint.h>

#include "place.h"

/* Where the first to come waits for the others. */
struct ferry_meet_door;

/* Takes the name, if nobody has it: 0 and the listening socket, which does not block. Errors: -EADDRINUSE somebody has
 * it, others: the place can't be used in this way. */
int ferry_meet_claim(struct ferry_place *place, const char *name, int *listener);

/* Hands fd (still the caller's) to all who prove the key, in a thread, until ferry_meet_end(). Takes
 * the listener over, also on error. Errors: -ENOMEM. */
int ferry_meet_serve(const struct ferry_place *place, int listener, const uint8_t key[16], int fd,
                     struct ferry_meet_door **door);
void ferry_meet_end(struct ferry_meet_door *door);

/* Goes to a claimed name and comes back with the descriptor. Takes at most a few seconds.
 * Errors: -ENOENT nobody is there (any more), -EACCES it did not prove the key, -ETIMEDOUT. */
int ferry_meet_join(struct ferry_place *place, const char *name, const uint8_t key[16],
                    uint32_t rank, int *fd);

/* Connects to a claimed name, without waiting, where a process of the own user listens: returns the
 * socket. Errors: -EACCES another user's. */
int ferry_meet_knock(struct ferry_place *place, const char *name);

/* One message with up to one descriptor (-1: none). Errors: negative errno; -EPROTO another size. */
int ferry_send_fd(int socket, const void *data, size_t length, int fd);
int ferry_receive_fd(int socket, void *data, size_t length, int *fd);

#endif
