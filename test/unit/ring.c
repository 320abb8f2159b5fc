#include "unit.h"

#include "ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

/* Both ends of a ring in one process. */
struct ends {
    struct ferry_ring writer, reader;
    void *memory;
    uint8_t *bytes;
    size_t room;
};

static void make(struct ends *ends, uint32_t slots, size_t room)
{
    size_t size = ferry_ring_size(slots);

    ends->memory = aligned_alloc(FERRY_LINE, size);
    memset(ends->memory, 0, size);
    ends->bytes = aligned_alloc(FERRY_LINE, room);
    ends->room = room;
    ferry_ring_init(&ends->writer, ends->memory, slots, ends->bytes, room);
    ferry_ring_init(&ends->reader, ends->memory, slots, ends->bytes, room);
}

static void unmake(struct ends *ends)
{
    free(ends->memory);
    free(ends->bytes);
}

/* What byte i of a packet holds. */
static uint8_t pattern(uint64_t word, size_t i)
{
    return (uint8_t) (word * 31 + i);
}

/* Writes one packet as a transport does; false: no room. */
static bool write_packet(struct ferry_ring *ring, uint64_t word, size_t length)
{
    struct ferry_slot *slot;
    uint8_t *to;

    if (!ferry_ring_has_slot(ring))
        return false;
    slot = ferry_ring_slot(ring);
    to = length > FERRY_SLOT_DATA ? ferry_ring_reserve(ring, length) : slot->data;
    if (!to)
        return false;
    for (size_t i = 0; i < length; i++)
        to[i] = pattern(word, i);
    slot->word = word;
    ferry_ring_publish(ring, FERRY_PKT_EAGER, 3, (uint16_t) length);
    return true;
}

/* Reads one packet, which must be this one; false: none. */
static bool read_packet(struct ferry_ring *ring, uint64_t word, size_t length)
{
    struct ferry_head head;
    const uint8_t *payload;
    int result = ferry_ring_peek(ring, &head, &payload);

    if (result == 0)
        return false;
    assert_int_equal(result, 1);
    assert_int_equal(head.word, word);
    assert_int_equal(head.length, length);
    assert_int_equal(head.type, FERRY_PKT_EAGER);
    assert_int_equal(head.flags, 3);
    for (size_t i = 0; i < length; i++)
        if (payload[i] != pattern(word, i))
            fail_msg("packet %lu, byte %zu of %zu", (unsigned long) word, i, length);
    ferry_ring_pop(ring, &head);
    return true;
}

static void empty(void **state)
{
    struct ends ends;
    struct ferry_head head;
    const uint8_t *payload;

    make(&ends, 8, 4096);
    assert_int_equal(ferry_ring_peek(&ends.reader, &head, &payload), 0);
    unmake(&ends);
}

static void as_many_as_there_are_slots(void **state)
{
    struct ends ends;

    make(&ends, 8, 4096);
    for (unsigned i = 0; i < 8; i++)
        assert_true(write_packet(&ends.writer, i, 8));
    assert_false(write_packet(&ends.writer, 8, 8));
    for (unsigned i = 0; i < 8; i++)
        assert_true(read_packet(&ends.reader, i, 8));
    assert_false(read_packet(&ends.reader, 8, 8));
    assert_true(write_packet(&ends.writer, 8, 8));
    assert_true(read_packet(&ends.reader, 8, 8));
    unmake(&ends);
}

/* A packet that may be sent at all can be sent when all before it was read, wherever in the byte
 * area that leaves off and whatever of it was told: else both sides would wait for ever. */
static void an_empty_ring_takes_every_packet(void **state)
{
    for (size_t first = 64; first <= 4096; first += 64) {
        for (size_t second = 64; second <= 4096; second += 64) {
            struct ends ends;
            size_t most;

            make(&ends, 8, 4096);
            most = ferry_ring_payload_max(&ends.writer);
            if (first <= most && second <= most) {
                assert_true(write_packet(&ends.writer, 1, first));
                assert_true(read_packet(&ends.reader, 1, first));
                assert_true(write_packet(&ends.writer, 2, second));
                assert_true(read_packet(&ends.reader, 2, second));
                if (!write_packet(&ends.writer, 3, most))
                    fail_msg("%zu bytes don't go in, although %zu and %zu were read", most, first,
                             second);
            }
            unmake(&ends);
        }
    }
}

static void the_byte_area_limits(void **state)
{
    struct ends ends;
    unsigned written = 0;

    make(&ends, 64, 4096);
    while (write_packet(&ends.writer, written, 1000))
        written++;
    assert_in_range(written, 2, 4);
    for (unsigned i = 0; i < written; i++)
        assert_true(read_packet(&ends.reader, i, 1000));
    unmake(&ends);
}

/* Random lengths, with one side ahead now and then, through many turns of both areas. */
static void many_packets(void **state)
{
    enum { WINDOW = 64 };
    size_t lengths[WINDOW];
    uint64_t written = 0, taken = 0;
    struct ends ends;

    srand(2);
    make(&ends, 16, 4096);
    while (taken < 160000) {
        for (int n = rand() % 20; n > 0; n--) {
            size_t length = rand() % 3
                                ? (size_t) (rand() % 60)
                                : (size_t) rand() % (ferry_ring_payload_max(&ends.writer) + 1);

            lengths[written % WINDOW] = length;
            if (!write_packet(&ends.writer, written, length))
                break;
            written++;
        }
        for (int n = rand() % 20; n > 0; n--)
            if (taken < written)
                assert_true(read_packet(&ends.reader, taken, lengths[taken % WINDOW])), taken++;
        if (rand() % 50 == 0)
            while (taken < written)
                assert_true(read_packet(&ends.reader, taken, lengths[taken % WINDOW])), taken++;
    }
    unmake(&ends);
}

static void the_count_wraps(void **state)
{
    struct ends ends;

    make(&ends, 8, 4096);
    ends.writer.count = ends.reader.count = UINT32_MAX - 3ull;
    ends.writer.known_taken = ends.reader.known_taken = ends.writer.count;
    atomic_store(&ends.writer.control->slots_taken, ends.writer.count);
    for (unsigned i = 0; i < 20; i++) {
        assert_true(write_packet(&ends.writer, i, 100));
        assert_true(read_packet(&ends.reader, i, 100));
    }
    unmake(&ends);
}

static void another_byte_area(void **state)
{
    struct ends ends;
    uint8_t *larger = aligned_alloc(FERRY_LINE, 65536);
    uint64_t word = 0;

    make(&ends, 16, 4096);
    for (; word < 10; word++) {
        assert_true(write_packet(&ends.writer, word, 700));
        assert_true(read_packet(&ends.reader, word, 700));
    }
    /* The writer goes on before the reader knows: what lies in the old area is still read there. */
    assert_true(write_packet(&ends.writer, 10, 1000));
    assert_true(write_packet(&ends.writer, 11, 1000));
    ferry_ring_change_bytes(&ends.writer, larger, 65536);
    assert_true(write_packet(&ends.writer, 12, 16000));
    assert_true(write_packet(&ends.writer, 13, 16000));
    assert_true(read_packet(&ends.reader, 10, 1000));
    assert_true(read_packet(&ends.reader, 11, 1000));
    ferry_ring_change_bytes(&ends.reader, larger, 65536);
    assert_true(read_packet(&ends.reader, 12, 16000));
    assert_true(read_packet(&ends.reader, 13, 16000));
    for (word = 14; word < 1000; word++) {
        assert_true(write_packet(&ends.writer, word, 16000));
        assert_true(read_packet(&ends.reader, word, 16000));
    }
    unmake(&ends);
    free(larger);
}

static void a_length_that_can_not_be(void **state)
{
    struct ends ends;
    struct ferry_head head;
    const uint8_t *payload;

    make(&ends, 8, 4096);
    ferry_ring_publish(&ends.writer, FERRY_PKT_EAGER, 0, 4097);
    assert_int_equal(ferry_ring_peek(&ends.reader, &head, &payload), -EPROTO);
    unmake(&ends);
}

/* Whatever a hostile writer puts anywhere, the reader looks only within the ring. */
static void hostile_writer(void **state)
{
    struct ferry_head head;
    const uint8_t *payload;
    struct ends ends;

    srand(3);
    make(&ends, 8, 4096);
    for (int round = 0; round < 300000; round++) {
        uint64_t tag = (uint64_t) rand() << 33 ^ (uint64_t) rand();
        unsigned slot = rand() % 8;

        if (rand() % 4)
            tag = (tag & ~(uint64_t) UINT32_MAX) | (uint32_t) (ends.reader.count + 1);
        if (rand() % 2)
            slot = ends.reader.count & 7;
        atomic_store(&ends.reader.slots[slot].tag, tag);
        if (rand() % 16 == 0)
            atomic_store(&ends.reader.control->bytes_taken, (uint64_t) rand() << 32);
        if (ferry_ring_peek(&ends.reader, &head, &payload) == 1) {
            bool in_slot = (void *) payload >= ends.memory &&
                           payload + head.length <= (uint8_t *) (ends.reader.slots + 8);
            bool in_bytes = payload >= ends.bytes &&
                            payload + head.length <= ends.bytes + ends.room;

            assert_true(in_slot || in_bytes);
            ferry_ring_pop(&ends.reader, &head);
        }
    }
    unmake(&ends);
}

/* Whatever a hostile reader says that it has taken, the writer writes only within the ring. */
static void hostile_reader(void **state)
{
    struct ends ends;

    srand(4);
    make(&ends, 8, 4096);
    for (int round = 0; round < 300000; round++) {
        size_t length = (size_t) rand() % (ferry_ring_payload_max(&ends.writer) + 1);

        atomic_store(&ends.writer.control->bytes_taken,
                     ends.writer.byte_count + (uint64_t) (rand() % 9000) - 4500);
        atomic_store(&ends.writer.control->slots_taken,
                     ends.writer.count + (uint64_t) (rand() % 20) - 10);
        write_packet(&ends.writer, (uint64_t) round, length);
    }
    unmake(&ends);
}

/* ---- Two threads ---- */

enum { PACKETS = 300000 };

static size_t length_of(uint64_t i)
{
    return i * 7919 % 17 ? i % 64 : i * 104729 % 1500;
}

static void *write_all(void *arg)
{
    struct ends *ends = arg;

    for (uint64_t i = 0; i < PACKETS; i++)
        while (!write_packet(&ends->writer, i, length_of(i)))
            sched_yield();
    return NULL;
}

static void two_threads(void **state)
{
    struct ends ends;
    pthread_t writer;

    make(&ends, 64, 16384);
    assert_int_equal(pthread_create(&writer, NULL, write_all, &ends), 0);
    for (uint64_t i = 0; i < PACKETS; i++)
        while (!read_packet(&ends.reader, i, length_of(i)))
            sched_yield();
    pthread_join(writer, NULL);
    unmake(&ends);
}

/* ---- Areas that begin again ---- */

static bool put_packet(struct ferry_ring *ring, uint64_t word, size_t length)
{
    static uint8_t bytes[FERRY_PAYLOAD_MAX];
    struct ferry_head head = {
        .type = FERRY_PKT_EAGER, .flags = 3, .length = (uint16_t) length, .word = word};
    struct ferry_payload payload = {.data = bytes, .length = length};

    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern(word, i);
    return !ferry_ring_put(ring, &head, &payload);
}

/* How far from the beginning of the area the payload that is next ends. */
static size_t reach(struct ferry_ring *ring)
{
    struct ferry_head head = {0};
    const uint8_t *payload = NULL;

    assert_int_equal(ferry_ring_peek(ring, &head, &payload), 1);
    return (size_t) (payload - ring->bytes) + head.length;
}

static size_t reach_of_many(size_t room, size_t length, unsigned count)
{
    struct ends ends;
    size_t most = 0;

    make(&ends, 64, room);
    for (unsigned i = 0; i < count; i++) {
        size_t now;

        assert_true(put_packet(&ends.writer, i, length));
        now = reach(&ends.reader);
        most = now > most ? now : most;
        assert_true(read_packet(&ends.reader, i, length));
    }
    unmake(&ends);
    return most;
}

static void a_large_area_is_not_touched_for_little(void **state)
{
    (void) state;
    /* Short payloads never leave the first quarter; long ones do once many have come. */
    assert_in_range(reach_of_many(1 << 20, 8192, 10000), 1, 1 << 18);
    assert_in_range(reach_of_many(1 << 20, 32768, 100), 1, 1 << 18);
    assert_in_range(reach_of_many(1 << 20, 32768, 1000), (1 << 20) - 32768, 1 << 20);
    assert_in_range(reach_of_many(1 << 16, 8192, 1000), (1 << 16) - 8192, 1 << 16);
}

/* With more or fewer of them unread the area begins again at some, and not at others. */
static void all_arrives_from_an_area_that_begins_again(void **state)
{
    struct ends ends;
    uint64_t written = 0, read = 0;
    static size_t lengths[1 << 16];

    (void) state;
    make(&ends, 64, 1 << 18);
    srand(4);
    for (unsigned i = 0; i < 1 << 16; i++)
        lengths[i] = rand() % 3 ? (size_t) rand() % 12000 : (size_t) rand() % 65536;
    while (read < 1 << 16) {
        for (int wish = rand() % 40; wish && written < 1 << 16; wish--)
            if (!put_packet(&ends.writer, written, lengths[written]))
                break;
            else
                written++;
        for (int wish = rand() % 40; wish && read < written; wish--, read++)
            assert_true(read_packet(&ends.reader, read, lengths[read]));
    }
    unmake(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),
        cmocka_unit_test(as_many_as_there_are_slots),
        cmocka_unit_test(an_empty_ring_takes_every_packet),
        cmocka_unit_test(a_large_area_is_not_touched_for_little),
        cmocka_unit_test(all_arrives_from_an_area_that_begins_again),
        cmocka_unit_test(the_byte_area_limits),
        cmocka_unit_test(many_packets),
        cmocka_unit_test(the_count_wraps),
        cmocka_unit_test(another_byte_area),
        cmocka_unit_test(a_length_that_can_not_be),
        cmocka_unit_test(hostile_writer),
        cmocka_unit_test(hostile_reader),
        cmocka_unit_test(two_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
