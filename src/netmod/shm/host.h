/*
 * Whether processes that share no memory run under one kernel all the same: not to talk, but to tell
 * the user what would let them share memory. Each holds a lock whose range is a token; the kernel shows
 * all locks to all containers in /proc/locks.
 */
#ifndef FERRY_HOST_H
#define FERRY_HOST_H

#include <stdbool.h>
#include <stdint.h>

/* Shows the token of a nonce for as long as the descriptor that is returned is open. -1: can't. */
int ferry_host_show(const uint8_t nonce[16]);

/* Whether tokens are shown here: sets here[i] for nonces[i]. Returns how many. */
unsigned ferry_host_look(const uint8_t *const *nonces, unsigned count, bool *here);

#endif
