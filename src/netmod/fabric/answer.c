/*
 * Those who call: nothing of what they say is believed before they have proved that they know a key,
 * and they can't hold more than a few doors for a short time.
 */
#include <errno.h>
#include <string.h>

#include "clock.h"
#include "log.h"
#include "meeting.h"

/* Doors of strangers; when there are more, the oldest are shut once they had a fair chance. */
#define STRANGERS_MAX 64
#define PATIENCE_NS 10000000000ull
#define CHANCE_NS 1000000000ull

static void dismiss(struct ferry_fabric *fabric, struct ferry_door *door)
{
    fabric->stranger_count--;
    ferry_door_close(door, &fabric->closed);
}

void ferry_answer_expire(struct ferry_fabric *fabric, uint64_t now)
{
    while (!ferry_link_empty(&fabric->strangers)) {
        struct ferry_door *oldest = ferry_container(fabric->strangers.next, struct ferry_door,
                                                    link);

        if (now - oldest->since_ns <= PATIENCE_NS)
            break;
        dismiss(fabric, oldest);
    }
}

/* Whether one more can be let in; else it waits in the kernel. */
static bool make_room(struct ferry_fabric *fabric)
{
    struct ferry_door *oldest;

    if (fabric->stranger_count < STRANGERS_MAX)
        return true;
    oldest = ferry_container(fabric->strangers.next, struct ferry_door, link);
    if (ferry_now_ns() - oldest->since_ns <= CHANCE_NS)
        return false;
    dismiss(fabric, oldest);
    return true;
}

void ferry_answer_accept(struct ferry_fabric *fabric)
{
    struct ferry_door *door;

    if (!make_room(fabric))
        return;
    door = ferry_door_accept(fabric->epoll, fabric->listener);
    if (door) {
        ferry_link_append(&fabric->strangers, &door->link);
        fabric->stranger_count++;
    } else if ((errno == EMFILE || errno == ENFILE) && !fabric->told) {
        fabric->told = true;
        ferry_log(FERRY_LOG_WARN, "no descriptors are left to let other processes in: raise the "
                                  "limit (ulimit -n)");
    }
}

/* Says why, takes in what was not read (else the kernel takes back what was said), and closes. */
static void refuse(struct ferry_fabric *fabric, struct ferry_door *door,
                   enum ferry_greet_status status)
{
    struct ferry_greet_head head;
    uint8_t rest[256];

    ferry_greet_refuse(&head, FERRY_GREET_ANSWER, status);
    ferry_door_write(door, &head, sizeof(head));
    recv(door->fd, rest, sizeof(rest), MSG_DONTWAIT);
    dismiss(fabric, door);
}

static void tell(struct ferry_fabric *fabric, const struct ferry_door *door, const char *what)
{
    char text[FERRY_SITE_TEXT];

    ferry_log(fabric->told ? FERRY_LOG_DEBUG : FERRY_LOG_WARN,
              "a process at %s that tried to connect was refused: %s",
              ferry_site_text(&door->remote, text), what);
    fabric->told = true;
}

static void on_hello(struct ferry_fabric *fabric, struct ferry_door *door)
{
    int result = ferry_door_read(door, FERRY_GREET_HELLO);
    struct ferry_greet_head head;
    const uint8_t *key, *nonce = ferry_core_nonce(fabric->base.context);
    char text[192];

    if (result < 0)
        dismiss(fabric, door);
    if (result <= 0)
        return;
    memcpy(&head, door->in, sizeof(head));
    if (!ferry_greet_same_version(&head)) {
        ferry_greet_version_text(&head, text, sizeof(text));
        tell(fabric, door, text);
        refuse(fabric, door, FERRY_GREET_VERSION);
        return;
    }
    memcpy(&door->said.hello, door->in, sizeof(door->said.hello));
    key = ferry_core_find_key(fabric->base.context, door->said.hello.key_id);
    if (head.status) {
        dismiss(fabric, door);
    } else if (memcmp(door->said.hello.answerer, nonce, 16) ||
               !memcmp(door->said.hello.caller, nonce, 16)) {
        refuse(fabric, door, FERRY_GREET_ELSEWHERE);
    } else if (!key) {
        tell(fabric, door, "it does not know the key of this job");
        refuse(fabric, door, FERRY_GREET_NO_KEY);
    } else {
        memcpy(door->key, key, sizeof(door->key));
        door->state = FERRY_DOOR_AT_PROOF;
        ferry_greet_answer(&door->said, door->key);
        if (ferry_door_write(door, &door->said.answer, sizeof(door->said.answer)))
            dismiss(fabric, door);
    }
}

static void on_proof(struct ferry_fabric *fabric, struct ferry_door *door)
{
    int result = ferry_door_read(door, FERRY_GREET_PROOF);
    const uint8_t *nonce = door->said.hello.caller;
    struct ferry_greet_proof proof;
    ferry_peer_t *peer;

    if (result == 0)
        return;
    memcpy(&proof, door->in, sizeof(proof));
    if (result < 0 || proof.head.length != sizeof(proof) ||
        !ferry_greet_same_version(&proof.head) || proof.head.status) {
        dismiss(fabric, door);
        return;
    }
    if (!ferry_greet_proof_holds(&door->said, door->key, &proof)) {
        tell(fabric, door, "it does not know the key that it named");
        dismiss(fabric, door);
        return;
    }
    peer = ferry_core_find_peer(fabric->base.context, nonce);
    /* Who was invited is not one of the job, whatever it says. (Of another job's process we know the
     * invitation that it gave us; it proves the one that we gave.) */
    if (peer && ferry_peer_rank(peer) >= 0 && !ferry_proof_equal(ferry_peer_key(peer), door->key)) {
        tell(fabric, door, "it proved another key than the process that it says it is");
        dismiss(fabric, door);
        return;
    }
    if (!peer)
        peer = ferry_core_stranger(&fabric->base, nonce);
    if (!peer) {
        dismiss(fabric, door);
        return;
    }
    fabric->stranger_count--;
    ferry_link_remove(&door->link);
    ferry_link_init(&door->link);
    ferry_meeting_proved(fabric, door, peer);
}

void ferry_answer_door(struct ferry_fabric *fabric, struct ferry_door *door)
{
    if (door->state == FERRY_DOOR_AT_HELLO)
        on_hello(fabric, door);
    else
        on_proof(fabric, door);
}
