/*
 * How two processes greet each other: each proves to the other that it knows the key, which is never
 * sent, and that it is the one that was looked for.
 *
 *     caller                                      answerer
 *     HELLO    who calls whom, which key, a challenge
 *              ANSWER    a challenge, and the proof over both messages
 *     PROOF    the proof over both messages
 *              WELCOME   where to connect to
 *
 * The seals that both then show on the new connection bind it to this conversation.
 */
#ifndef FERRY_GREET_H
#define FERRY_GREET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth.h"

enum ferry_greet_kind {
    FERRY_GREET_HELLO = 1,
    FERRY_GREET_ANSWER,
    FERRY_GREET_PROOF,
    FERRY_GREET_WELCOME,
};

enum ferry_greet_status {
    FERRY_GREET_OK,
    FERRY_GREET_VERSION,   /* another version of Ferry */
    FERRY_GREET_ELSEWHERE, /* not the process that was looked for */
    FERRY_GREET_NO_KEY,    /* a key that is not known here */
    FERRY_GREET_FAILED,    /* the answerer's libfabric can't be used */
};

/* Stays as it is in all versions. */
struct ferry_greet_head {
    uint8_t magic[4];
    uint8_t kind;
    uint8_t status;
    uint8_t length; /* of the whole message */
    uint8_t wire;   /* FERRY_WIRE_VERSION */
    uint8_t release[3];
    uint8_t reserved;
};

struct ferry_greet_hello {
    struct ferry_greet_head head;
    uint8_t caller[16], answerer[16]; /* nonces */
    uint8_t key_id[8];
    uint8_t challenge[16];
};

struct ferry_greet_answer {
    struct ferry_greet_head head;
    uint8_t challenge[16];
    uint8_t proof[FERRY_PROOF_SIZE];
};

struct ferry_greet_proof {
    struct ferry_greet_head head;
    uint8_t proof[FERRY_PROOF_SIZE];
};

struct ferry_greet_welcome {
    struct ferry_greet_head head;
    uint16_t port;
    uint16_t reserved;
};

#define FERRY_GREET_LONGEST sizeof(struct ferry_greet_hello)

/* What was said so far, by both; proofs are made of it. */
struct ferry_greeting {
    struct ferry_greet_hello hello;
    struct ferry_greet_answer answer;
    struct ferry_greet_welcome welcome;
};

/* Each fills its message. */
void ferry_greet_hello(struct ferry_greeting *said, const uint8_t caller[16],
                       const uint8_t answerer[16], const uint8_t key[16]);
void ferry_greet_answer(struct ferry_greeting *said, const uint8_t key[16]);
void ferry_greet_refuse(struct ferry_greet_head *head, enum ferry_greet_kind kind,
                        enum ferry_greet_status status);
void ferry_greet_proof(const struct ferry_greeting *said, const uint8_t key[16],
                       struct ferry_greet_proof *proof);
void ferry_greet_welcome(struct ferry_greeting *said, uint16_t port);

/* The proofs of the others. */
bool ferry_greet_answer_holds(const struct ferry_greeting *said, const uint8_t key[16]);
bool ferry_greet_proof_holds(const struct ferry_greeting *said, const uint8_t key[16],
                             const struct ferry_greet_proof *proof);

/* What the caller shows on the new connection, and what it is shown there. */
void ferry_greet_seal(const struct ferry_greeting *said, const uint8_t key[16], bool of_caller,
                      uint8_t seal[FERRY_PROOF_SIZE]);

/* Whether this is Ferry, of whatever version, saying something of this kind. */
bool ferry_greet_head_holds(const struct ferry_greet_head *head, enum ferry_greet_kind kind);
bool ferry_greet_same_version(const struct ferry_greet_head *head);
/* The length that a message of this kind has; refusals consist of a head. */
size_t ferry_greet_length(enum ferry_greet_kind kind);
/* Names both versions. */
void ferry_greet_version_text(const struct ferry_greet_head *theirs, char *text, size_t room);

#endif
