/*
 * The messages of a greeting, and what is proved with them.
 */
#include "greet.h"

#include <stdio.h>
#include <string.h>

#include "ferry.h"
#include "wire.h"

static const uint8_t magic[4] = {'F', 'e', 'R', 'y'};

_Static_assert(sizeof(struct ferry_greet_hello) == 68, "layout");
_Static_assert(sizeof(struct ferry_greet_answer) == 44, "layout");
_Static_assert(sizeof(struct ferry_greet_welcome) == 16, "layout");
_Static_assert(sizeof(struct ferry_greeting) == 68 + 44 + 16, "no padding in what is proved");

size_t ferry_greet_length(enum ferry_greet_kind kind)
{
    static const uint8_t lengths[] = {[FERRY_GREET_HELLO] = sizeof(struct ferry_greet_hello),
                                      [FERRY_GREET_ANSWER] = sizeof(struct ferry_greet_answer),
                                      [FERRY_GREET_PROOF] = sizeof(struct ferry_greet_proof),
                                      [FERRY_GREET_WELCOME] = sizeof(struct ferry_greet_welcome)};

    return lengths[kind];
}

static void fill_head(struct ferry_greet_head *head, enum ferry_greet_kind kind,
                      enum ferry_greet_status status)
{
    *head = (struct ferry_greet_head){
        .kind = (uint8_t) kind,
        .status = (uint8_t) status,
        .length = (uint8_t) (status ? sizeof(*head) : ferry_greet_length(kind)),
        .wire = FERRY_WIRE_VERSION};
    memcpy(head->magic, magic, sizeof(magic));
    sscanf(FERRY_VERSION_STRING, "%hhu.%hhu.%hhu", &head->release[0], &head->release[1],
           &head->release[2]);
}

bool ferry_greet_head_holds(const struct ferry_greet_head *head, enum ferry_greet_kind kind)
{
    return !memcmp(head->magic, magic, sizeof(magic)) && head->kind == kind;
}

bool ferry_greet_same_version(const struct ferry_greet_head *head)
{
    return head->wire == FERRY_WIRE_VERSION;
}

void ferry_greet_version_text(const struct ferry_greet_head *theirs, char *text, size_t room)
{
    snprintf(text, room,
             "it uses Ferry %u.%u.%u (wire version %u), this process Ferry " FERRY_VERSION_STRING
             " (wire version %u): install the same version everywhere",
             theirs->release[0], theirs->release[1], theirs->release[2], theirs->wire,
             FERRY_WIRE_VERSION);
}

/* ---- Messages ---- */

void ferry_greet_hello(struct ferry_greeting *said, const uint8_t caller[16],
                       const uint8_t answerer[16], const uint8_t key[16])
{
    fill_head(&said->hello.head, FERRY_GREET_HELLO, FERRY_GREET_OK);
    memcpy(said->hello.caller, caller, 16);
    memcpy(said->hello.answerer, answerer, 16);
    ferry_key_id(key, said->hello.key_id);
    ferry_random(said->hello.challenge, sizeof(said->hello.challenge));
}

static void prove_answer(const struct ferry_greeting *said, const uint8_t key[16],
                         uint8_t proof[FERRY_PROOF_SIZE])
{
    ferry_prove(key, "ferry fabric answer", said, offsetof(struct ferry_greeting, answer.proof),
                proof);
}

void ferry_greet_answer(struct ferry_greeting *said, const uint8_t key[16])
{
    fill_head(&said->answer.head, FERRY_GREET_ANSWER, FERRY_GREET_OK);
    ferry_random(said->answer.challenge, sizeof(said->answer.challenge));
    prove_answer(said, key, said->answer.proof);
}

void ferry_greet_refuse(struct ferry_greet_head *head, enum ferry_greet_kind kind,
                        enum ferry_greet_status status)
{
    fill_head(head, kind, status);
}

void ferry_greet_proof(const struct ferry_greeting *said, const uint8_t key[16],
                       struct ferry_greet_proof *proof)
{
    fill_head(&proof->head, FERRY_GREET_PROOF, FERRY_GREET_OK);
    ferry_prove(key, "ferry fabric proof", said, offsetof(struct ferry_greeting, welcome),
                proof->proof);
}

void ferry_greet_welcome(struct ferry_greeting *said, uint16_t port)
{
    fill_head(&said->welcome.head, FERRY_GREET_WELCOME, FERRY_GREET_OK);
    said->welcome.port = port;
    said->welcome.reserved = 0;
}

/* ---- Proofs ---- */

bool ferry_greet_answer_holds(const struct ferry_greeting *said, const uint8_t key[16])
{
    uint8_t proof[FERRY_PROOF_SIZE];

    prove_answer(said, key, proof);
    return ferry_proof_equal(proof, said->answer.proof);
}

bool ferry_greet_proof_holds(const struct ferry_greeting *said, const uint8_t key[16],
                             const struct ferry_greet_proof *proof)
{
    struct ferry_greet_proof right;

    ferry_greet_proof(said, key, &right);
    return ferry_proof_equal(right.proof, proof->proof);
}

void ferry_greet_seal(const struct ferry_greeting *said, const uint8_t key[16], bool of_caller,
                      uint8_t seal[FERRY_PROOF_SIZE])
{
    ferry_prove(key, of_caller ? "ferry fabric caller" : "ferry fabric answerer", said,
                sizeof(*said), seal);
}
