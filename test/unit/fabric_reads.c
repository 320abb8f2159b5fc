/*
 * Messages that are read over the network out of their sender's memory.
 */
#include "fabric/descriptor.h"
#include "fabric/fabric.h"
#include "fabric_core.h"

#include <netinet/tcp.h>

/* One message between two contexts of this process. */
struct reading {
    struct ferry_endpoint *sender, *receiver;
    uint8_t *from, *to;
    size_t length;
    void *exposed;
    uint8_t descriptor[FERRY_DESCRIPTOR_MAX];
    size_t descriptor_length;
    int done;
};

static struct reading reading_new(struct pair *pair, size_t length)
{
    struct reading reading = {.sender = ferry_core_endpoint(pair->to_b),
                              .receiver = ferry_core_endpoint(pair->to_a),
                              .from = malloc(length),
                              .to = calloc(1, length),
                              .length = length};

    fill_packet(reading.from, length, 0, length);
    reading.exposed = ferry_fabric_ops.expose(reading.sender, reading.from, length);
    assert_non_null(reading.exposed);
    reading.descriptor_length = ferry_fabric_ops.describe_exposed(reading.sender, reading.exposed,
                                                                  reading.descriptor);
    assert_in_range(reading.descriptor_length, 1, FERRY_DESCRIPTOR_MAX);
    return reading;
}

static int begin(struct reading *reading)
{
    return ferry_fabric_ops.read(reading->receiver, reading->descriptor, reading->descriptor_length,
                                 reading->to, reading->length, &reading->done);
}

static void reading_free(struct reading *reading)
{
    ferry_fabric_ops.withdraw(reading->sender, reading->exposed);
    free(reading->from);
    free(reading->to);
}

static void reads_come_whole_between_packets(void **state)
{
    static const size_t lengths[] = {1, 4096, 65537, 512 << 10, (3 << 20) + 5};
    struct pair pair = pair_new();

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    for (unsigned i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct reading reading = reading_new(&pair, lengths[i]);

        assert_int_equal(begin(&reading), 0);
        exchange(pair.to_b, pair.to_a, 50);
        until(reading.done, 60, pair.a, pair.b);
        assert_int_equal(reading.done, 1);
        assert_memory_equal(reading.to, reading.from, lengths[i]);
        reading_free(&reading);
    }
    pair_free(&pair);
}

/* Slices are smaller where congestion control paces, and as many bytes under way. */
static void slices_go_by_congestion_control(void **state)
{
    struct pair pair = pair_new();
    struct ferry_fabric_endpoint *endpoint;

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    endpoint = (struct ferry_fabric_endpoint *) pair.to_a->endpoint;
    for (unsigned paced = 0; paced < 2; paced++) {
        struct reading reading = reading_new(&pair, (size_t) 5 << 20);

        endpoint->paced = paced;
        assert_int_equal(begin(&reading), 0);
        assert_int_equal(endpoint->slices, paced ? 16 : 4);
        until(reading.done, 60, pair.a, pair.b);
        assert_memory_equal(reading.to, reading.from, reading.length);
        reading_free(&reading);
    }
    pair_free(&pair);
}

/* A connection over the loopback, with segments of so many bytes at most (0: as it likes). Returns the caller's socket, or
 * -1 where the kernel has no such congestion control. */
static int loopback(const char *control, int segment)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *) &address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *) &address, &size), 0);
    if (segment)
        assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof(segment)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, size), 0);
    close(listener);
    if (!setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, control, (socklen_t) strlen(control)))
        return fd;
    close(fd);
    return -1;
}

static void paced_is_bbr_but_not_over_the_loopback(void **state)
{
    int reno = loopback("reno", 1400), path = loopback("bbr", 1400), here = loopback("bbr", 0);

    (void) state;
    assert_false(ferry_descriptor_paced(reno));
    assert_false(ferry_descriptor_paced(-1));
    if (path >= 0)
        assert_true(ferry_descriptor_paced(path));
    if (here >= 0)
        assert_false(ferry_descriptor_paced(here));
    close(reno);
    close(path);
    close(here);
}

static void many_at_once(void **state)
{
    struct pair pair = pair_new();
    struct reading readings[40];

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    for (unsigned i = 0; i < 40; i++) {
        readings[i] = reading_new(&pair, ((size_t) 1 << 20) + i);
        assert_int_equal(begin(&readings[i]), 0);
    }
    for (unsigned i = 0; i < 40; i++) {
        until(readings[i].done, 60, pair.a, pair.b);
        assert_int_equal(readings[i].done, 1);
        assert_memory_equal(readings[i].to, readings[i].from, readings[i].length);
        reading_free(&readings[i]);
    }
    pair_free(&pair);
}

static void what_is_not_exposed_is_not_read(void **state)
{
    struct pair pair = pair_new();
    struct reading reading;
    uint8_t *nothing;

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    reading = reading_new(&pair, 100000);
    nothing = calloc(1, reading.length);
    /* Another key; and words that are no descriptor. */
    reading.descriptor_length--;
    assert_int_equal(begin(&reading), -ENOTSUP);
    reading.descriptor_length++;
    reading.descriptor[reading.descriptor_length - 1] ^= 1;
    assert_int_equal(begin(&reading), 0);
    until(reading.done, 60, pair.a, pair.b);
    assert_true(reading.done < 0);
    assert_true(pair.to_a->lost);
    assert_memory_equal(reading.to, nothing, reading.length);
    reading_free(&reading);
    free(nothing);
    pair_free(&pair);
}

static void a_sender_that_leaves_ends_the_read(void **state)
{
    struct pair pair = pair_new();
    struct reading reading;

    (void) state;
    exchange(pair.to_b, pair.to_a, 1);
    reading = reading_new(&pair, 8 << 20);
    assert_int_equal(begin(&reading), 0);
    /* It takes back what it exposed, too. */
    context_free(pair.a);
    until(reading.done, 60, pair.b);
    assert_true(reading.done < 0 && pair.to_a->lost);
    free(reading.from);
    free(reading.to);
    context_free(pair.b);
}

static void nothing_is_exposed_before_a_connection(void **state)
{
    struct pair pair = pair_new();
    uint8_t bytes[100];

    (void) state;
    assert_null(ferry_fabric_ops.expose(ferry_core_endpoint(pair.to_b), bytes, sizeof(bytes)));
    pair_free(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_come_whole_between_packets),
        cmocka_unit_test(slices_go_by_congestion_control),
        cmocka_unit_test(paced_is_bbr_but_not_over_the_loopback),
        cmocka_unit_test(many_at_once),
        cmocka_unit_test(what_is_not_exposed_is_not_read),
        cmocka_unit_test(a_sender_that_leaves_ends_the_read),
        cmocka_unit_test(nothing_is_exposed_before_a_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
