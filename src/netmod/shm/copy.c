/*
 * Single copies: a receiver reads a large message out of its sender's memory.
 *
 * Two ways: process_vm_readv (cma), where the kernel lets us trace the peer; and pread of a
 * descriptor of /proc/self/mem (mem) that its owner opened for reading and handed over, which works
 * across PID and user namespaces. A way is used after it has read the peer's probe, a random number
 * that the peer tells in the segment and keeps in its memory.
 *
 * The hand-over: the reader sends WANT with a challenge, the owner answers CHALLENGE with its own;
 * the reader listens at a name that only holders of the key can compute from both, and sends DOOR;
 * the owner connects, sees that a process of its own user listens there, sends the descriptor with a
 * proof of its own, and SENT. Nobody waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "auth.h"
#include "config.h"
#include "list.h"
#include "log.h"
#include "shm.h"

void ferry_copier_init(struct ferry_copier *copier)
{
    *copier = (struct ferry_copier){.fd = -1, .socket = -1};
}

static void close_door(struct ferry_copier *copier, struct ferry_place *place)
{
    if (copier->socket < 0)
        return;
    close(copier->socket);
    copier->socket = -1;
    ferry_place_remove(place, copier->name);
}

void ferry_copier_close(struct ferry_copier *copier, struct ferry_place *place)
{
    close_door(copier, place);
    if (copier->fd >= 0)
        close(copier->fd);
    ferry_copier_init(copier);
}

static bool allowed(const char *way)
{
    return ferry_list_has(ferry_config()->copy, way);
}

static struct ferry_place *place_of(struct ferry_shm_endpoint *endpoint)
{
    return (struct ferry_place *) ferry_board_place(endpoint->board);
}

/* ---- Reading ---- */

static ssize_t read_with(const struct ferry_copier *copier, enum ferry_copy_way way,
                         uint64_t address, void *to, size_t length)
{
    struct iovec local = {.iov_base = to, .iov_len = length};
    struct iovec remote = {.iov_base = (void *) (uintptr_t) address, .iov_len = length};
    ssize_t got;

    if (way == FERRY_COPY_CMA)
        got = process_vm_readv(copier->pid, &local, 1, &remote, 1, 0);
    else
        got = pread(copier->fd, to, length, (off_t) address);
    return got > 0 ? got : got < 0 && errno == EINTR ? -EINTR : -ENOTSUP;
}

static bool works(struct ferry_shm_endpoint *endpoint, enum ferry_copy_way way)
{
    uint8_t expected[16], found[16];
    uint64_t address = ferry_board_probe(endpoint->board, endpoint->rank, expected);

    return read_with(&endpoint->copier, way, address, found, sizeof(found)) == sizeof(found) &&
           !memcmp(expected, found, sizeof(found));
}

static void give_up(struct ferry_shm_endpoint *endpoint)
{
    endpoint->copier.way = FERRY_COPY_NONE;
    endpoint->base.fetch_min = SIZE_MAX;
}

/* Begins to ask for a descriptor, or gives up. */
static void ask(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_copier *copier = &endpoint->copier;

    ferry_random(copier->own, sizeof(copier->own));
    if (!allowed("mem") ||
        ferry_core_answer(&endpoint->base, FERRY_SHM_MEM_WANT, copier->own, sizeof(copier->own)))
        give_up(endpoint);
    else
        copier->way = FERRY_COPY_ASKING;
}

static struct ferry_counts *counts_of(struct ferry_shm_endpoint *endpoint)
{
    return ferry_core_counts(endpoint->base.transport->context);
}

static void choose(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_copier *copier = &endpoint->copier;
    bool try_cma = allowed("cma");

    ferry_board_liveness(endpoint->board, endpoint->rank, &copier->pid);
    if (try_cma && copier->pid && works(endpoint, FERRY_COPY_CMA)) {
        copier->way = FERRY_COPY_CMA;
    } else {
        counts_of(endpoint)->copy_failures += try_cma;
        ask(endpoint);
    }
}

static void count_copy(struct ferry_shm_endpoint *endpoint, size_t length)
{
    struct ferry_counts *counts = counts_of(endpoint);
    struct ferry_volume *volume = endpoint->copier.way == FERRY_COPY_CMA ? &counts->copied_by_cma
                                                                         : &counts->copied_by_mem;

    volume->messages++;
    volume->bytes += length;
}

static bool is_same_process(struct ferry_shm_endpoint *endpoint)
{
    int pid;

    ferry_board_liveness(endpoint->board, endpoint->rank, &pid);
    return pid == endpoint->copier.pid;
}

ssize_t ferry_shm_fetch(struct ferry_endpoint *base, uint64_t address, void *to, size_t length)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(base);
    struct ferry_copier *copier = &endpoint->copier;
    ssize_t got;

    if (copier->way == FERRY_COPY_UNTRIED)
        choose(endpoint);
    if (copier->way == FERRY_COPY_ASKING)
        return -EAGAIN;
    if (copier->way == FERRY_COPY_NONE)
        return -ENOTSUP;
    do
        got = read_with(copier, copier->way, address, to, length);
    while (got == -EINTR);
    /* The number of a process that died may by now be another's. */
    if (got > 0 && (copier->way != FERRY_COPY_CMA || is_same_process(endpoint))) {
        count_copy(endpoint, (size_t) got);
        return got;
    }
    counts_of(endpoint)->copy_failures++;
    ferry_log(FERRY_LOG_INFO, "peer %u: copying by %s failed (%s), another way is used from now on",
              endpoint->rank, copier->way == FERRY_COPY_CMA ? "process_vm_readv" : "/proc/self/mem",
              strerror(errno));
    if (copier->way == FERRY_COPY_CMA) {
        ask(endpoint);
        return copier->way == FERRY_COPY_ASKING ? -EAGAIN : -ENOTSUP;
    }
    give_up(endpoint);
    return -ENOTSUP;
}

/* ---- Handing over ---- */

/* The name of the reader's door, and the proof that goes there with the descriptor: both from the
 * reader's challenge, then the owner's. */
static void door_name(struct ferry_shm_endpoint *endpoint, const uint8_t reader[16],
                      const uint8_t owner[16], char name[FERRY_NAME_SIZE],
                      uint8_t proof[FERRY_PROOF_SIZE])
{
    const ferry_params_t *params = ferry_core_params(endpoint->base.transport->context);
    uint8_t both[32];

    memcpy(both, reader, 16);
    memcpy(both + 16, owner, 16);
    ferry_place_name(params->key, "ferry memory door", both, sizeof(both), name);
    ferry_prove(params->key, "ferry memory", both, sizeof(both), proof);
}

/* The owner got WANT. */
static int on_want(struct ferry_shm_endpoint *endpoint, const uint8_t challenge[16])
{
    struct ferry_copier *giver = &endpoint->giver;

    memcpy(giver->asked, challenge, 16);
    ferry_random(giver->own, sizeof(giver->own));
    giver->way = FERRY_COPY_ASKING;
    return ferry_core_answer(&endpoint->base, FERRY_SHM_MEM_CHALLENGE, giver->own,
                             sizeof(giver->own));
}

static int open_door(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_copier *copier = &endpoint->copier;
    uint8_t proof[FERRY_PROOF_SIZE];

    door_name(endpoint, copier->own, copier->asked, copier->name, proof);
    return ferry_meet_claim(place_of(endpoint), copier->name, &copier->socket);
}

/* The reader got CHALLENGE. */
static int on_challenge(struct ferry_shm_endpoint *endpoint, const uint8_t challenge[16])
{
    struct ferry_copier *copier = &endpoint->copier;

    if (copier->way != FERRY_COPY_ASKING || copier->socket >= 0)
        return -EPROTO;
    memcpy(copier->asked, challenge, 16);
    if (open_door(endpoint)) {
        counts_of(endpoint)->copy_failures++;
        give_up(endpoint);
        return 0;
    }
    return ferry_core_answer(&endpoint->base, FERRY_SHM_MEM_DOOR, NULL, 0);
}

/* Opens the own memory for reading only and sends it to the reader's door. */
static int hand_over(struct ferry_shm_endpoint *endpoint)
{
    struct ferry_copier *giver = &endpoint->giver;
    uint8_t proof[FERRY_PROOF_SIZE];
    char name[FERRY_NAME_SIZE];
    int memory, door, error;

    if (!allowed("mem"))
        return -EPERM;
    door_name(endpoint, giver->asked, giver->own, name, proof);
    door = ferry_meet_knock(place_of(endpoint), name);
    if (door < 0)
        return door;
    memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    error = memory < 0 ? -errno : ferry_send_fd(door, proof, sizeof(proof), memory);
    if (memory >= 0)
        close(memory);
    close(door);
    return error;
}

/* The owner got DOOR. */
static int on_door(struct ferry_shm_endpoint *endpoint)
{
    int64_t status;

    if (endpoint->giver.way != FERRY_COPY_ASKING)
        return -EPROTO;
    endpoint->giver.way = FERRY_COPY_UNTRIED;
    status = hand_over(endpoint);
    return ferry_core_answer(&endpoint->base, FERRY_SHM_MEM_SENT, &status, sizeof(status));
}

/* Others may be at the door before the owner. */
#define KNOCKS_MAX 64

/* Takes the descriptor that was left at the door. */
static int take_over(struct ferry_copier *copier, const uint8_t expected[FERRY_PROOF_SIZE])
{
    uint8_t proof[FERRY_PROOF_SIZE];

    for (unsigned i = 0; i < KNOCKS_MAX; i++) {
        int socket = accept4(copier->socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), error;

        if (socket < 0)
            return -errno;
        error = ferry_receive_fd(socket, proof, sizeof(proof), &copier->fd);
        close(socket);
        if (!error && copier->fd >= 0 && ferry_proof_equal(proof, expected))
            return 0;
        if (!error && copier->fd >= 0)
            close(copier->fd);
        copier->fd = -1;
    }
    return -EACCES;
}

/* The reader got SENT. */
static int on_sent(struct ferry_shm_endpoint *endpoint, int64_t status)
{
    struct ferry_copier *copier = &endpoint->copier;
    uint8_t expected[FERRY_PROOF_SIZE];
    char name[FERRY_NAME_SIZE];

    if (copier->way != FERRY_COPY_ASKING || copier->socket < 0)
        return -EPROTO;
    door_name(endpoint, copier->own, copier->asked, name, expected);
    if (status || take_over(copier, expected) || !works(endpoint, FERRY_COPY_MEM)) {
        counts_of(endpoint)->copy_failures++;
        give_up(endpoint);
    } else {
        copier->way = FERRY_COPY_MEM;
    }
    close_door(copier, place_of(endpoint));
    return 0;
}

int ferry_copy_receive(struct ferry_shm_endpoint *endpoint, const struct ferry_head *head,
                       const void *payload)
{
    uint8_t challenge[16];
    int64_t status;

    switch (head->word) {
    case FERRY_SHM_MEM_WANT:
    case FERRY_SHM_MEM_CHALLENGE:
        if (head->length != sizeof(challenge))
            return -EPROTO;
        memcpy(challenge, payload, sizeof(challenge));
        return head->word == FERRY_SHM_MEM_WANT ? on_want(endpoint, challenge)
                                                : on_challenge(endpoint, challenge);
    case FERRY_SHM_MEM_DOOR:
        return on_door(endpoint);
    case FERRY_SHM_MEM_SENT:
        if (head->length != sizeof(status))
            return -EPROTO;
        memcpy(&status, payload, sizeof(status));
        return on_sent(endpoint, status);
    default:
        return -EPROTO;
    }
}

const char *ferry_copy_describe(const struct ferry_shm_endpoint *endpoint)
{
    switch (endpoint->copier.way) {
    case FERRY_COPY_CMA:
        return "one copy by process_vm_readv";
    case FERRY_COPY_MEM:
        return "one copy by /proc/self/mem";
    case FERRY_COPY_NONE:
        return "two copies, for want of a way of one";
    default:
        return "two copies";
    }
}
