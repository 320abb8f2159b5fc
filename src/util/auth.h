/*
 * Keys, and proofs that somebody knows one. The cipher work is libsodium's.
 */
#ifndef FERRY_AUTH_H
#define FERRY_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FERRY_PROOF_SIZE 16

/* Fills to with random bytes that nobody can guess. */
void ferry_random(void *to, size_t length);

/* The proof of knowing a key for a purpose (a short string, so that no proof serves another) and
 * data: keyed BLAKE2b, 128 bits. */
void ferry_prove(const uint8_t key[16], const char *purpose, const void *data, size_t length,
                 uint8_t proof[FERRY_PROOF_SIZE]);

/* Whether two proofs are equal, in a time that tells nothing about where they differ. */
bool ferry_proof_equal(const uint8_t a[FERRY_PROOF_SIZE], const uint8_t b[FERRY_PROOF_SIZE]);

/* A short keyed hash (SipHash-2-4) of data, quick enough for each message: nobody without the key can make it. */
uint64_t ferry_short_hash(const uint8_t key[16], const void *data, size_t length);

/* A name for a key that may be shown. */
void ferry_key_id(const uint8_t key[16], uint8_t id[8]);

#endif
