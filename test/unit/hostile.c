/*
 * A member of the job that writes nonsense into the shared memory (of one host, or a region as virtual machines share
 * it): the other must neither read nor write outside of it, nor crash, nor hang.
 *
 *   hostile              a fixed set of attacks
 *   hostile SECONDS      other ones at random, for so long
 */
#include "unit.h"

#include "board.h"
#include "clock.h"
#include "guests.h"
#include "job.h"
#include "shm.h"

#define PACKETS 200
#define RECEIVES 16
#define LENGTH 3000
#define GUARD 64

#define REGION_SIZE ((size_t) 2 << 20)

static uint64_t seed;
static int region = -1; /* a file */

/* xorshift64 (Marsaglia 2003) */
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t below(uint64_t limit)
{
    return next_random() % limit;
}

/* ---- The attacker ---- */

/* Numbers that are wrong in interesting ways. */
static uint64_t odd_number(void)
{
    static const uint64_t numbers[] = {0,
                                       1,
                                       8,
                                       4095,
                                       4096,
                                       65536,
                                       1 << 20,
                                       (uint64_t) 1 << 32,
                                       (uint64_t) 1 << 42,
                                       (uint64_t) 1 << 63,
                                       ~(uint64_t) 0};
    uint64_t number = numbers[below(sizeof(numbers) / sizeof(numbers[0]))];

    return below(2)   ? number
           : below(3) ? next_random() >> below(64)
                      : (uint64_t) 1 << 32 | below(4);
}

/* A packet that could be right, so that what follows it is looked at. */
static void plausible(uint8_t *type, uint64_t *word, uint16_t *length, uint64_t words[6])
{
    static const struct {
        uint8_t type;
        uint16_t length;
    } kinds[] = {{FERRY_PKT_EAGER, 20},
                 {FERRY_PKT_EAGER, 3001},
                 {FERRY_PKT_FIRST, 48},
                 {FERRY_PKT_NEXT, 40},
                 {FERRY_PKT_RTS, sizeof(struct ferry_rts)},
                 {FERRY_PKT_AM, 44},
                 {FERRY_PKT_AM_RTS, 40},
                 {FERRY_PKT_CTS, sizeof(struct ferry_cts)},
                 {FERRY_PKT_DATA, 40},
                 {FERRY_PKT_DONE, 0}};
    unsigned kind = (unsigned) below(below(4) ? 7 : 10);

    *type = kinds[kind].type;
    *length = kinds[kind].length;
    words[0] = (uint64_t) 1 << 32 | below(8);
    words[1] = below(6000);
    if (*type == FERRY_PKT_FIRST)
        words[0] = below(7000) + 32;
    *word = below(RECEIVES);
    if (*type == FERRY_PKT_AM || *type == FERRY_PKT_AM_RTS)
        *word = below(4) | below(17) << 16;
    if (*type == FERRY_PKT_CTS || *type == FERRY_PKT_DATA || *type == FERRY_PKT_DONE)
        *word = (uint64_t) (1 + below(2)) << 32 | below(8);
}

static void write_packet(struct ferry_ring *ring)
{
    struct ferry_slot *slot = ferry_ring_slot(ring);
    uint16_t length = (uint16_t) (below(2) ? below(80) : below(4) ? below(5000) : next_random());
    uint8_t type = (uint8_t) below(FERRY_PKT_TYPES + 1);
    uint64_t words[6], word = below(2) ? below(4) | below(100) << 16 : odd_number();

    for (unsigned i = 0; i < 6; i++)
        words[i] = odd_number();
    if (below(20))
        plausible(&type, &word, &length, words);
    memcpy(slot->data, words, sizeof(words));
    slot->word = word;
    if (length > FERRY_SLOT_DATA && length <= ferry_ring_payload_max(ring)) {
        uint8_t *to = ferry_ring_reserve(ring, length);

        if (!to)
            return;
        memcpy(to, words, sizeof(words));
    }
    ferry_ring_publish(ring, type,
                       (uint8_t) (below(4)   ? 0
                                  : below(2) ? FERRY_RING_AGAIN
                                             : below(4)),
                       length);
}

/* Random bytes over a part of what is mapped. */
static void scribble(uint8_t *memory, size_t length)
{
    size_t start = below(length), count = below(length - start < 4096 ? length - start : 4096);

    for (size_t i = 0; i < count; i++)
        memory[start + i] = (uint8_t) next_random();
}

static void attack(struct job *job)
{
    struct ferry_shm_endpoint *endpoint = ferry_shm_endpoint(ferry_core_endpoint(job->peers[0]));
    unsigned kind = (unsigned) below(4);

    seed ^= 0x5555;
    for (int i = 0; i < PACKETS; i++) {
        if (below(4) == 0)
            ferry_progress(job->context);
        if (!ferry_ring_has_slot(&endpoint->tx))
            continue;
        write_packet(&endpoint->tx);
        if (kind == 1 && i > 20)
            scribble(endpoint->tx_ring.memory, endpoint->tx_ring.length);
        if (kind == 2 && i > 20 && endpoint->rx_ring.memory)
            scribble(endpoint->rx_ring.memory, endpoint->rx_ring.length);
        if (kind == 3 && i == 20)
            ferry_board_tell(endpoint->board, 0, odd_number());
    }
    atomic_store(&job->board->word, 1);
    _exit(0);
}

/* In a region others write who are not of the job: anywhere. */
static void attack_region(struct job *job)
{
    struct ferry_guests_endpoint *endpoint =
        ferry_guests_endpoint(ferry_core_endpoint(job->peers[0]));
    struct ferry_guests_region *at = endpoint->tx_region;
    unsigned kind = (unsigned) below(6);

    for (int i = 0; i < PACKETS; i++) {
        if (below(4) == 0)
            ferry_progress(job->context);
        if (ferry_ring_has_slot(&endpoint->tx))
            write_packet(&endpoint->tx);
        if (kind == 1 && i > 20)
            scribble(endpoint->tx_ring.memory, endpoint->tx_ring.name.length);
        if (kind == 2 && i > 20 && endpoint->rx_region)
            scribble(endpoint->rx_ring.memory, endpoint->rx_ring.name.length);
        if (kind == 3 && i > 20)
            scribble(at->memory.base, at->memory.size);
        if (kind == 4 && i == 100)
            memset(at->memory.base, (int) below(2) * 0xff, at->memory.size);
        if (kind == 5 && i == 20) {
            struct ferry_guests_member *member =
                &ferry_guests_of(endpoint->base.transport)->members[0];
            struct ferry_guests_seat *seat = member->at[0].place.memory;

            seat->told[below(2)].number = odd_number();
            seat->knocks++;
        }
    }
    atomic_store(&job->board->word, 1);
    _exit(0);
}

/* ---- The victim ---- */

static void on_am(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                  const void *data, size_t length, ferry_message_t *message)
{
    static uint8_t sink[FERRY_AM_HEADER_MAX + FERRY_PAYLOAD_MAX];
    static struct job_request requests[PACKETS + 1];
    static unsigned count;

    (void) user;
    (void) peer;
    memcpy(sink, header, header_length);
    if (!message) {
        memcpy(sink, data, length);
        return;
    }
    check(count <= PACKETS);
    requests[count].request.done = job_done;
    ferry_message_recv(message, sink, sizeof(sink), &requests[count].request);
    count++;
}

static void suffer(struct job *job)
{
    static struct job_request receives[RECEIVES], sends[RECEIVES];
    uint8_t *buffers[RECEIVES], data[LENGTH] = {1};
    bool refused = false;

    for (unsigned id = 0; id < 4; id++)
        ferry_am_register(job->context, id, on_am);
    for (unsigned i = 0; i < RECEIVES; i++) {
        buffers[i] = malloc(LENGTH + GUARD);
        memset(buffers[i], 0xaa, LENGTH + GUARD);
        job_recv(job, i, i % 2 ? ~(uint64_t) 0 : 0, buffers[i], LENGTH, &receives[i]);
    }
    for (unsigned i = 0; i < RECEIVES; i++) {
        int result;

        sends[i].request.done = job_done;
        result = ferry_send(job->peers[1], i, data, i % 2 ? 8 : LENGTH, i % 3 ? FERRY_SYNC : 0,
                            &sends[i].request);
        refused = refused || result < 0;
    }
    while (!atomic_load(&job->board->word))
        ferry_progress(job->context);
    for (int quiet = 0; quiet < 10;)
        quiet = ferry_progress(job->context) ? 0 : quiet + 1;
    while (refused && !job->lost)
        ferry_progress(job->context);
    for (unsigned i = 0; i < RECEIVES; i++)
        for (unsigned k = 0; k < GUARD; k++)
            check(buffers[i][LENGTH + k] == 0xaa);
    ferry_close(job->context);
    _exit(0);
}

static void fight(struct job *job)
{
    if (!job->rank)
        suffer(job);
    else if (region >= 0)
        attack_region(job);
    else
        attack(job);
}

static int run(uint64_t with)
{
    int failed;

    seed = with * 0x9e3779b97f4a7c15u | 1;
    /* Each attack on a region begins with an empty one. */
    if (region >= 0 && (ftruncate(region, 0) || ftruncate(region, REGION_SIZE)))
        return 1;
    failed = job_run(2, fight);
    if (failed)
        fprintf(stderr, "seed %llu failed\n", (unsigned long long) with);
    return failed;
}

static void nonsense_ends_at_most_the_connection(void **state)
{
    (void) state;
    for (uint64_t i = 1; i <= 60; i++)
        assert_int_equal(run(i), 0);
}

static void use_region(bool on)
{
    char path[] = "/dev/shm/ferry-test-XXXXXX", shown[64];

    if (!on) {
        close(region);
        region = -1;
        unsetenv("FERRY_TRANSPORTS");
        return;
    }
    region = mkstemp(path);
    assert_true(region >= 0);
    unlink(path);
    snprintf(shown, sizeof(shown), "/proc/%d/fd/%d", (int) getpid(), region);
    setenv("FERRY_TRANSPORTS", "guests", 1);
    setenv("FERRY_GUESTS_MEMORY", shown, 1);
}

static void nonsense_in_a_region(void **state)
{
    use_region(true);
    nonsense_ends_at_most_the_connection(state);
    use_region(false);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(nonsense_ends_at_most_the_connection),
                                       cmocka_unit_test(nonsense_in_a_region)};
    uint64_t rounds = 0, end;
    struct timespec now;

    setenv("FERRY_LOG", "error", 1);
    if (argc < 2)
        return cmocka_run_group_tests(tests, NULL, NULL);
    clock_gettime(CLOCK_REALTIME, &now);
    end = ferry_now_ns() + (uint64_t) atoi(argv[1]) * 1000000000u;
    while (ferry_now_ns() < end) {
        if (rounds % 10 == 0)
            use_region(rounds % 20 == 10);
        if (run((uint64_t) now.tv_sec * 1000000 + rounds++))
            return 1;
    }
    printf("%llu rounds of nonsense were survived\n", (unsigned long long) rounds);
    return 0;
}
