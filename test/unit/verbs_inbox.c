/*
 * What comes by queue pair: long packets are read from where they are, all is handed on in order, and nonsense ends the
 * connection. The adapter is a double that reads when it is told to.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "verbs.h"

enum { SLOTS = 16, LENGTH = 20000 };

static uint8_t memory[SLOTS][FERRY_VERBS_SLOT], places[FERRY_VERBS_PLACES][FERRY_VERBS_LONG];
static uint8_t far_away[4][LENGTH]; /* the sender's places */

static struct scene {
    ferry_context_t *context, *other;
    struct ferry_verbs verbs;
    struct ferry_verbs_endpoint endpoint;
    struct ferry_verbs_slab slab;
    struct ferry_verbs_slot slots[SLOTS], *numbers[SLOTS];
    struct ibv_mr mr;
    struct ibv_qp qp;
    struct ibv_srq srq;
    struct ibv_context adapter;
    unsigned posted_again, lost, next;
    struct {
        uint64_t id, from;
        void *to;
        uint32_t key, length;
    } asked[8];
    unsigned asked_count;
} scene;

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *request, struct ibv_send_wr **bad)
{
    (void) qp;
    (void) bad;
    if (request->opcode != IBV_WR_RDMA_READ)
        return 0;
    scene.asked[scene.asked_count].id = request->wr_id;
    scene.asked[scene.asked_count].from = request->wr.rdma.remote_addr;
    scene.asked[scene.asked_count].key = request->wr.rdma.rkey;
    scene.asked[scene.asked_count].to = (void *) (uintptr_t) request->sg_list->addr;
    scene.asked[scene.asked_count++].length = request->sg_list->length;
    return 0;
}

static int post_receives(struct ibv_srq *srq, struct ibv_recv_wr *request, struct ibv_recv_wr **bad)
{
    (void) srq;
    (void) bad;
    for (; request; request = request->next)
        scene.posted_again++;
    return 0;
}

static void on_lost(void *user, ferry_peer_t *peer, int error, const char *why)
{
    (void) user;
    (void) peer;
    (void) why;
    assert_int_equal(error, -EPROTO);
    scene.lost++;
}

static int setup(void **state)
{
    struct ferry_verbs_device *device = &scene.verbs.devices[0];
    struct ferry_verbs_rail *rail = &scene.endpoint.rails[0];
    ferry_params_t params = {.size = 2, .peer_lost = on_lost};
    ferry_peer_t *peer;

    (void) state;
    memset(&scene, 0, sizeof(scene));
    setenv("FERRY_TRANSPORTS", "fabric", 1);
    assert_int_equal(ferry_open(&params, &scene.context), 0);
    assert_int_equal(ferry_open(&params, &scene.other), 0);
    scene.verbs.base = (struct ferry_transport){.ops = &ferry_verbs_ops, .context = scene.context};
    ferry_link_init(&scene.verbs.endpoints);
    peer = ferry_core_stranger(&scene.verbs.base, ferry_core_nonce(scene.other));
    peer->transport = &scene.verbs.base;
    peer->endpoint = &scene.endpoint.base;
    device->verbs = &scene.verbs;
    device->srq = &scene.srq;
    device->chain_end = &device->chain;
    device->slots = scene.numbers;
    device->slot_count = SLOTS;
    device->in.mr = &scene.mr;
    for (unsigned i = 0; i < FERRY_VERBS_PLACES; i++) {
        device->in.all[i].bytes = places[i];
        ferry_verbs_give_place(&device->in, &device->in.all[i]);
    }
    scene.slab.mr = &scene.mr;
    for (uint32_t i = 0; i < SLOTS; i++) {
        scene.slots[i] = (struct ferry_verbs_slot){
            .slab = &scene.slab, .bytes = memory[i], .number = i, .receives = true};
        scene.numbers[i] = &scene.slots[i];
    }
    scene.adapter.ops.post_send = post_send;
    scene.adapter.ops.post_srq_recv = post_receives;
    scene.qp.context = scene.srq.context = &scene.adapter;
    *rail =
        (struct ferry_verbs_rail){.endpoint = &scene.endpoint, .device = device, .qp = &scene.qp};
    scene.endpoint.base = (struct ferry_endpoint){.ops = &ferry_verbs_ops,
                                                  .transport = &scene.verbs.base,
                                                  .peer = peer,
                                                  .eager_max = SIZE_MAX};
    scene.endpoint.rail_count = 1;
    scene.endpoint.state = FERRY_VERBS_UP;
    scene.endpoint.sends_up = scene.endpoint.receives_up = true;
    ferry_link_init(&scene.endpoint.exposures);
    ferry_link_init(&scene.endpoint.reads);
    return 0;
}

static int teardown(void **state)
{
    (void) state;
    scene.endpoint.base.peer->endpoint = NULL;
    ferry_close(scene.context);
    ferry_close(scene.other);
    return 0;
}

/* ---- What the peer sends ---- */

static struct ferry_head head_of(uint32_t seq, uint32_t length)
{
    return (struct ferry_head){
        .seq = seq, .type = FERRY_PKT_EAGER, .length = (uint16_t) length, .word = seq};
}

static void arrives(const struct ferry_head *head, const void *payload, uint32_t length)
{
    struct ferry_verbs_slot *slot = &scene.slots[scene.next++ % SLOTS];
    struct ferry_verbs_lead lead = {0};

    memcpy(slot->bytes, &lead, sizeof(lead));
    memcpy(slot->bytes + sizeof(lead), head, sizeof(*head));
    memcpy(slot->bytes + FERRY_VERBS_BEFORE, payload, length);
    ferry_verbs_received(&scene.endpoint.rails[0], slot, (uint32_t) FERRY_VERBS_BEFORE + length);
}

/* A short packet has its number as its payload; a long one lies far away, full of it. */
static void short_packet(uint32_t seq)
{
    struct ferry_head head = head_of(seq, sizeof(seq));

    arrives(&head, &seq, sizeof(seq));
}

static void long_packet(uint32_t seq, unsigned where)
{
    struct ferry_head head = head_of(seq, LENGTH);
    struct ferry_verbs_reference reference = {.address = (uintptr_t) far_away[where], .key = 77};

    memset(far_away[where], (int) seq, LENGTH);
    arrives(&head, &reference, sizeof(reference));
}

static void adapter_reads(unsigned which, bool works)
{
    uint32_t number = (uint32_t) (scene.asked[which].id >> FERRY_VERBS_ID_READ);

    assert_int_equal(scene.asked[which].id & 0xff, FERRY_VERBS_FETCH);
    assert_int_equal(scene.asked[which].key, 77);
    if (works)
        memcpy(scene.asked[which].to, (void *) (uintptr_t) scene.asked[which].from,
               scene.asked[which].length);
    scene.endpoint.rails[0].done++;
    ferry_verbs_fetched(&scene.endpoint.rails[0], number, works);
}

/* ---- What the program gets ---- */

static unsigned finished;

static void on_done(ferry_request_t *request)
{
    (void) request;
    finished++;
}

static unsigned posted(unsigned messages)
{
    static ferry_request_t requests[SLOTS];
    static uint8_t buffers[SLOTS][LENGTH];
    unsigned right = 0;

    if (messages) {
        memset(buffers, 0xee, sizeof(buffers));
        finished = 0;
        for (uint32_t i = 1; i <= messages; i++) {
            requests[i] = (ferry_request_t){.done = on_done};
            assert_int_equal(ferry_recv(scene.context, i, 0, buffers[i], LENGTH, &requests[i]), 0);
        }
    }
    for (uint32_t i = 1; i < SLOTS; i++)
        right += buffers[i][0] == i &&
                 (requests[i].length != LENGTH || buffers[i][LENGTH - 1] == i);
    return right;
}

/* ---- Tests ---- */

static void order_is_kept_around_long_packets(void **state)
{
    (void) state;
    posted(5);
    short_packet(1);
    long_packet(2, 0);
    short_packet(3);
    long_packet(4, 1);
    short_packet(5);
    assert_int_equal(finished, 1);
    assert_int_equal(scene.asked_count, 2);
    assert_int_equal(scene.asked[0].length, LENGTH);
    adapter_reads(1, true);
    assert_int_equal(finished, 1);
    adapter_reads(0, true);
    assert_int_equal(finished, 5);
    assert_int_equal(posted(0), 5);
    assert_int_equal(scene.endpoint.got, 5);
    assert_int_equal(scene.endpoint.inbox_count, 0);
    assert_int_equal(scene.lost, 0);
}

static void not_all_are_read_at_once(void **state)
{
    (void) state;
    posted(4);
    for (uint32_t i = 0; i < 4; i++)
        long_packet(i + 1, i);
    for (unsigned done = 0; done < 4; done++) {
        assert_true(scene.asked_count > done && scene.asked_count <= done + 2);
        adapter_reads(done, true);
        assert_int_equal(finished, done + 1);
    }
    assert_int_equal(posted(0), 4);
}

/* The sender keeps the place, and does not leave before it is told. */
static void a_long_packet_is_acknowledged_at_once(void **state)
{
    struct ferry_verbs_slot slot = {0};

    (void) state;
    posted(2);
    short_packet(1);
    assert_false(scene.endpoint.owes);
    long_packet(2, 0);
    assert_false(scene.endpoint.owes);
    adapter_reads(0, true);
    assert_true(scene.endpoint.owes);
    scene.endpoint.kept[0] = &slot;
    scene.endpoint.sent = 1;
    assert_false(ferry_verbs_is_read_from(&scene.endpoint));
    slot.place = &scene.verbs.devices[0].in.all[0];
    assert_true(ferry_verbs_is_read_from(&scene.endpoint));
    scene.endpoint.acknowledged = 1;
    assert_false(ferry_verbs_is_read_from(&scene.endpoint));
}

/* What came before the peer's word that it goes over waits for that. */
static void early_ones_wait(void **state)
{
    (void) state;
    scene.endpoint.receives_up = false;
    posted(2);
    long_packet(1, 0);
    short_packet(2);
    assert_int_equal(finished + scene.asked_count, 0);
    scene.endpoint.receives_up = true;
    ferry_verbs_receive_early(&scene.endpoint);
    assert_int_equal(scene.asked_count, 1);
    adapter_reads(0, true);
    assert_int_equal(finished, 2);
    assert_int_equal(posted(0), 2);
}

static unsigned free_places(void)
{
    unsigned count = 0;

    for (struct ferry_verbs_place *at = scene.verbs.devices[0].in.free; at; at = at->next)
        count++;
    return count;
}

/* Its queue pair failed: the peer sends again over the fabric what was not taken in. */
static void what_was_not_read_is_dropped(void **state)
{
    (void) state;
    posted(3);
    long_packet(1, 0);
    short_packet(2);
    assert_int_equal(free_places(), FERRY_VERBS_PLACES - 1);
    adapter_reads(0, false);
    ferry_verbs_drop_inbox(&scene.endpoint);
    assert_int_equal(finished, 0);
    assert_int_equal(scene.endpoint.got, 0);
    assert_int_equal(scene.endpoint.inbox_count, 0);
    assert_int_equal(free_places(), FERRY_VERBS_PLACES);
    assert_int_equal(scene.posted_again, 2);
}

static void nonsense_ends_it(void **state)
{
    static const struct {
        uint32_t seq, length, came;
        uint8_t type;
    } nonsense[] = {
        {1, 10, 9, FERRY_PKT_EAGER},
        {1, 9, 10, FERRY_PKT_EAGER},
        {2, 8, 8, FERRY_PKT_EAGER},
        {0, 8, 8, FERRY_PKT_EAGER},
        {1, FERRY_VERBS_PACKET + 1, 15, FERRY_PKT_EAGER},
        {1, FERRY_VERBS_PACKET + 1, 17, FERRY_PKT_EAGER},
        {1, FERRY_VERBS_LONG + 1, 16, FERRY_PKT_EAGER},
        {1, 65535, 16, FERRY_PKT_DATA},
        {0, 1, 1, FERRY_PKT_TRANSPORT},
        {0, 8000, 16, FERRY_PKT_TRANSPORT},
        {1, 0, 0, FERRY_PKT_TYPES},
    };
    uint8_t payload[32] = {0};

    for (unsigned i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        struct ferry_head head = head_of(nonsense[i].seq, nonsense[i].length);

        setup(state);
        head.type = nonsense[i].type;
        arrives(&head, payload, nonsense[i].came);
        assert_int_equal(scene.lost, 1);
        assert_int_equal(scene.asked_count, 0);
        assert_int_equal(free_places(), FERRY_VERBS_PLACES);
        teardown(state);
    }
    setup(state);
    /* Who has no places told the peer so. */
    scene.verbs.devices[0].in.mr = NULL;
    long_packet(1, 0);
    assert_int_equal(scene.lost, 1);
    assert_int_equal(scene.asked_count, 0);
}

#define test(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(order_is_kept_around_long_packets),
        test(not_all_are_read_at_once),
        test(a_long_packet_is_acknowledged_at_once),
        test(early_ones_wait),
        test(what_was_not_read_is_dropped),
        cmocka_unit_test_setup_teardown(nonsense_ends_it, NULL, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
