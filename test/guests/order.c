/*
 * Memory order between two guests: order FILE SIDE, in both at once, SIDE 0 and 1, on memory that they share and that is
 * zero. Without arguments two threads are the sides, for a compiler that looks whether what they do is in order.
 * Packets through rings of Ferry's, one way and both ways, each byte checked; a fence between a store and a load (either
 * sees the other's store); and additions to one word, of which none may be lost.
 */
#include <assert.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring.h"

enum {
    PACKETS = 100000,
    ROUNDS = 2000,
    WORDS = 256,
    ADDITIONS = 500000,
    FEW_SLOTS =
        64, /* with these a ring is full when its slots are used up, with many when its bytes are */
    MANY_SLOTS = 512,
    AREA = 64 << 10,
    LONGEST = 4096,
    WHOLE = 2 << 20, /* what is mapped: a DAX device gives no less */
    PATIENCE_S = 300
};

/* A word on a line of its own. */
struct word {
    alignas(FERRY_LINE) _Atomic uint64_t value;
};

struct shared {
    struct word here[2], store[2][WORDS], sum;
    uint64_t seen[2][WORDS];
    struct rings {
        alignas(4096) uint8_t slots[2][1 << 16], areas[2][AREA];
    } few[2], many[2];
};

static_assert(sizeof(struct shared) <= WHOLE, "it fits");

static _Thread_local int side;

static void fail(const char *what)
{
    fprintf(stderr, "side %d: %s\n", side, what);
    _exit(1);
}

static void wait_for(struct word *word, uint64_t value)
{
    while (atomic_load_explicit(&word->value, memory_order_acquire) < value)
        ;
}

static uint8_t pattern(uint64_t number, size_t i)
{
    return (uint8_t) (number * 31 + i * 7);
}

static size_t length_of(uint64_t number)
{
    uint64_t mixed = (number ^ number >> 7) * 0x9e3779b97f4a7c15u >> 40;

    return mixed % 16 ? mixed % 200 : mixed % (LONGEST + 1);
}

/* From the first side to the second, or both ways. (What comes back orders more than the ring does, and would hide a mistake.) */
static void packets(struct rings *rings, uint32_t slots, bool both_ways)
{
    unsigned sends = both_ways || side == 0 ? PACKETS : 0;
    unsigned receives = both_ways || side == 1 ? PACKETS : 0;
    static _Thread_local uint8_t bytes[LONGEST];
    struct ferry_payload payload = {.data = bytes};
    struct ferry_ring out, in;
    uint64_t sent = 0, got = 0;

    ferry_ring_init(&out, rings->slots[side], slots, rings->areas[side], AREA);
    ferry_ring_init(&in, rings->slots[!side], slots, rings->areas[!side], AREA);
    while (sent < sends || got < receives) {
        const uint8_t *data = NULL;
        struct ferry_head head = {0};

        if (sent < sends) {
            payload.length = length_of(sent);
            for (size_t i = 0; i < payload.length; i++)
                bytes[i] = pattern(sent, i);
            head = (struct ferry_head){
                .type = FERRY_PKT_EAGER, .word = sent, .length = (uint16_t) payload.length};
            sent += !ferry_ring_put(&out, &head, &payload);
        }
        if (ferry_ring_peek(&in, &head, &data) != 1)
            continue;
        if (head.word != got || head.length != length_of(got))
            fail("a packet is not the next one");
        for (size_t i = 0; i < head.length; i++)
            if (data[i] != pattern(got, i))
                fail("a packet has other bytes than were sent");
        ferry_ring_pop(&in, &head);
        got++;
    }
    ferry_ring_tell(&in);
}

/* Both have come so far. */
static void meet(struct shared *shared, uint64_t step)
{
    atomic_store_explicit(&shared->here[side].value, step, memory_order_release);
    wait_for(&shared->here[!side], step);
}

/* Many words in a row, as two processors are seldom at the same one at the same time: one is a little later in each round. */
static void fences(struct shared *shared)
{
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        meet(shared, 2 * round);
        for (uint64_t late = side ? 0 : round % 200; late; late--)
            atomic_signal_fence(memory_order_seq_cst);
        for (int i = 0; i < WORDS; i++) {
            atomic_store_explicit(&shared->store[side][i].value, round, memory_order_relaxed);
            atomic_thread_fence(memory_order_seq_cst);
            shared->seen[side][i] = atomic_load_explicit(&shared->store[!side][i].value,
                                                         memory_order_relaxed);
        }
        meet(shared, 2 * round + 1);
        for (int i = 0; i < WORDS; i++)
            if (shared->seen[0][i] < round && shared->seen[1][i] < round)
                fail("neither saw the other's store");
    }
}

static void additions(struct shared *shared)
{
    for (int i = 0; i < ADDITIONS; i++)
        atomic_fetch_add(&shared->sum.value, 1);
    meet(shared, 2 * ROUNDS + 2);
    if (atomic_load(&shared->sum.value) != 2 * ADDITIONS)
        fail("additions were lost");
}

static void take_side(struct shared *shared, int which)
{
    side = which;
    meet(shared, 1);
    for (int both_ways = 0; both_ways < 2; both_ways++) {
        packets(&shared->few[both_ways], FEW_SLOTS, both_ways);
        packets(&shared->many[both_ways], MANY_SLOTS, both_ways);
    }
    fences(shared);
    additions(shared);
    printf("side %d: passed\n", side);
}

static void *other_side(void *shared)
{
    take_side(shared, 1);
    return NULL;
}

int main(int argc, char **argv)
{
    int fd = argc == 3 ? open(argv[1], O_RDWR) : -1;
    int flags = argc == 3 ? MAP_SHARED : MAP_SHARED | MAP_ANONYMOUS;
    struct shared *shared = mmap(NULL, WHOLE, PROT_READ | PROT_WRITE, flags, fd, 0);
    pthread_t other;

    if (shared == MAP_FAILED)
        fail("order [FILE SIDE]: a file to map is wanted");
    alarm(PATIENCE_S);
    if (argc == 3) {
        take_side(shared, argv[2][0] == '1');
    } else if (!pthread_create(&other, NULL, other_side, shared)) {
        take_side(shared, 0);
        pthread_join(other, NULL);
    }
    return 0;
}
