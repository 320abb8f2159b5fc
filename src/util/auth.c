#include "auth.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void start(void)
{
    /* Fails only where the system has no randomness at all; nothing safe can be done then. */
    if (sodium_init() < 0)
        abort();
}

void ferry_random(void *to, size_t length)
{
    start();
    randombytes_buf(to, length);
}

void ferry_prove(const uint8_t key[16], const char *purpose, const void *data, size_t length,
                 uint8_t proof[FERRY_PROOF_SIZE])
{
    crypto_generichash_state state;

    start();
    crypto_generichash_init(&state, key, 16, FERRY_PROOF_SIZE);
    /* The terminating zero keeps purpose and data apart. */
    crypto_generichash_update(&state, (const unsigned char *) purpose, strlen(purpose) + 1);
    crypto_generichash_update(&state, data, length);
    crypto_generichash_final(&state, proof, FERRY_PROOF_SIZE);
}

bool ferry_proof_equal(const uint8_t a[FERRY_PROOF_SIZE], const uint8_t b[FERRY_PROOF_SIZE])
{
    return sodium_memcmp(a, b, FERRY_PROOF_SIZE) == 0;
}

uint64_t ferry_short_hash(const uint8_t key[16], const void *data, size_t length)
{
    uint64_t hash;

    _Static_assert(crypto_shorthash_BYTES == sizeof(hash) && crypto_shorthash_KEYBYTES == 16,
                   "sizes");
    crypto_shorthash((unsigned char *) &hash, data, length, key);
    return hash;
}

void ferry_key_id(const uint8_t key[16], uint8_t id[8])
{
    uint8_t proof[FERRY_PROOF_SIZE];

    ferry_prove(key, "ferry key id", "", 0, proof);
    memcpy(id, proof, 8);
}
