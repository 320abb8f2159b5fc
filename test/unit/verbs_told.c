/*
 * What a peer says about its queue pairs, when it is nonsense: nothing is believed, and what must be answered is.
 */
#include "unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "verbs.h"

/* ---- An endpoint upon one that notes what is sent ---- */

static struct {
    unsigned count;
    struct ferry_head last;
    uint8_t bytes[4096];
} said;

static int note(struct ferry_endpoint *endpoint, const struct ferry_head *head,
                const struct ferry_payload *payload)
{
    (void) endpoint;
    said.count++;
    said.last = *head;
    memcpy(said.bytes, payload->lead, payload->lead_length);
    return 0;
}

static const struct ferry_transport_ops lower_ops = {.name = "lower", .send = note};

static struct scene {
    struct ferry_verbs verbs;
    struct ferry_transport transport;
    struct ferry_peer peer;
    struct ferry_endpoint lower;
    struct ferry_verbs_endpoint endpoint;
} scene;

static struct ferry_card good_card(uint8_t last)
{
    struct ferry_card card = {.name = "rxe0:1",
                              .link = FERRY_CARD_ETHERNET,
                              .mtu = 3,
                              .reads = 4,
                              .gid_count = 1,
                              .pkey_count = 1,
                              .pkeys = {{.value = 0xffff}}};

    card.gids[0] = (struct ferry_card_gid){
        .index = 1,
        .type = FERRY_GID_ROCE_2,
        .prefix = 24,
        .bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 78, 0, last}};
    return card;
}

static void set(bool leads)
{
    memset(&scene, 0, sizeof(scene));
    memset(&said, 0, sizeof(said));
    scene.verbs.base.ops = &ferry_verbs_ops;
    ferry_link_init(&scene.verbs.endpoints);
    scene.verbs.serial = 5;
    scene.verbs.own.count = 1;
    scene.verbs.own.at[0] = good_card(11);
    scene.verbs.places[0] = &scene.verbs.devices[0];
    scene.verbs.devices[0].verbs = &scene.verbs;
    scene.transport.ops = &lower_ops;
    scene.peer.rank = 1;
    scene.lower = (struct ferry_endpoint){
        .ops = &lower_ops, .transport = &scene.transport, .peer = &scene.peer, .chunk = 32768};
    scene.endpoint.base = (struct ferry_endpoint){.ops = &ferry_verbs_ops,
                                                  .transport = &scene.verbs.base,
                                                  .peer = &scene.peer,
                                                  .lower = &scene.lower};
    scene.endpoint.leads = leads;
    scene.endpoint.other.count = 1;
    scene.endpoint.other.at[0] = good_card(12);
    ferry_link_init(&scene.endpoint.exposures);
    ferry_link_init(&scene.endpoint.reads);
    ferry_link_append(&scene.verbs.endpoints, &scene.endpoint.link);
}

static int tell(uint64_t kind, const void *payload, size_t length)
{
    return ferry_verbs_told(&scene.endpoint, kind, payload, length);
}

static int tell_word(uint64_t kind, uint32_t generation, uint32_t value)
{
    struct ferry_verbs_word word = {.generation = generation, .value = value};

    return tell(kind, &word, sizeof(word));
}

static struct ferry_verbs_word last_word(void)
{
    struct ferry_verbs_word word;

    memcpy(&word, said.bytes, sizeof(word));
    return word;
}

/* ---- Tests ---- */

static void hello(void **state)
{
    uint8_t bytes[1 + FERRY_CARDS_PACKED] = {9};
    struct ferry_cards cards = {.count = 1};
    size_t length;

    (void) state;
    set(false);
    cards.at[0] = good_card(77);
    length = 1 + ferry_cards_pack(&cards, bytes + 1);
    assert_int_equal(tell(FERRY_VERBS_HELLO, bytes, 0), -EPROTO);
    assert_int_equal(tell(FERRY_VERBS_HELLO, bytes, length - 1), -EPROTO);
    assert_false(scene.endpoint.knows_other);
    assert_int_equal(tell(FERRY_VERBS_HELLO, bytes, length), 0);
    assert_true(scene.endpoint.knows_other);
    assert_int_equal(scene.endpoint.serial, 9);
    assert_int_equal(scene.endpoint.other.at[0].gids[0].bytes[15], 77);
    /* Who has no port left says so, too. */
    cards.count = 0;
    assert_int_equal(tell(FERRY_VERBS_HELLO, bytes, 1 + ferry_cards_pack(&cards, bytes + 1)), 0);
    assert_int_equal(scene.endpoint.other.count, 0);
}

static size_t offer_of(struct ferry_verbs_offer *offer, uint8_t count)
{
    *offer = (struct ferry_verbs_offer){.generation = 1, .serial = 5, .count = count};
    for (unsigned i = 0; i < FERRY_CARDS_MAX; i++)
        offer->ends[i] = (struct ferry_verbs_end){.number = 17, .mtu = 3, .global = 1, .reads = 1};
    return offsetof(struct ferry_verbs_offer, ends) + count * sizeof(offer->ends[0]);
}

static void offers_of_nonsense(void **state)
{
    struct ferry_verbs_offer offer;
    size_t length;

    (void) state;
    set(false);
    length = offer_of(&offer, 1);
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, 0), -EPROTO);
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length - 1), -EPROTO);
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length + 1), -EPROTO);
    offer.count = 0;
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), -EPROTO);
    offer.count = 200;
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), -EPROTO);
    length = offer_of(&offer, 1);
    offer.ends[0].other = 1; /* a card of ours that there isn't */
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), -EPROTO);
    length = offer_of(&offer, 1);
    offer.ends[0].own = 1; /* of its own */
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), -EPROTO);
    length = offer_of(&offer, 1);
    offer.ends[0].other_gid = 1;
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), -EPROTO);
    length = offer_of(&offer, 1);
    offer.ends[0].own_pkey = 1;
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), -EPROTO);
    length = offer_of(&offer, 1);
    offer.ends[0].mtu = 6;
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), -EPROTO);
    assert_int_equal(scene.endpoint.state, FERRY_VERBS_BELOW);
    assert_int_equal(said.count, 0);
}

static void old_offer_is_refused(void **state)
{
    struct ferry_verbs_offer offer;
    size_t length;

    (void) state;
    set(false);
    length = offer_of(&offer, 1);
    offer.serial = 4;
    offer.generation = 3;
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), 0);
    assert_int_equal(said.count, 1);
    assert_int_equal(said.last.type, FERRY_PKT_UPPER);
    assert_int_equal(said.last.word, FERRY_VERBS_REFUSE);
    assert_int_equal(last_word().generation, 3);
    assert_int_equal(scene.endpoint.state, FERRY_VERBS_BELOW);
}

static void out_of_turn(void **state)
{
    struct ferry_verbs_offer offer;
    size_t length;

    (void) state;
    set(true);
    length = offer_of(&offer, 1);
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), -EPROTO); /* the follower's */
    assert_int_equal(tell_word(FERRY_VERBS_OVER, 0, 1), -EPROTO);
    assert_int_equal(tell_word(99, 0, 0), -EPROTO);
    assert_int_equal(tell(FERRY_VERBS_DOWN, &offer, 3), -EPROTO);
    set(false);
    assert_int_equal(tell(FERRY_VERBS_ACCEPT, &offer, length), -EPROTO); /* the leader's */
    assert_int_equal(tell_word(FERRY_VERBS_DOWN, 7, 0), -EPROTO);
    assert_int_equal(said.count, 0);
}

/* Who gave an offer up before it came waits for an answer, which comes once. */
static void down_is_answered_once(void **state)
{
    struct ferry_verbs_offer offer;
    size_t length;

    (void) state;
    set(false);
    length = offer_of(&offer, 1);
    offer.serial = 4;
    assert_int_equal(tell(FERRY_VERBS_OFFER, &offer, length), 0);
    assert_int_equal(tell_word(FERRY_VERBS_DOWN, 1, 0), 0);
    assert_int_equal(said.count, 2);
    assert_int_equal(said.last.word, FERRY_VERBS_DOWN);
    assert_int_equal(last_word().value, 0);
    assert_int_equal(tell_word(FERRY_VERBS_DOWN, 1, 0), 0);
    assert_int_equal(said.count, 2);
}

static void too_many_acknowledged(void **state)
{
    (void) state;
    set(false);
    assert_int_equal(ferry_verbs_acknowledge(&scene.endpoint, 1), -EPROTO);
    scene.endpoint.sent = scene.endpoint.acknowledged = 0xfffffffe;
    assert_int_equal(ferry_verbs_acknowledge(&scene.endpoint, 0), -EPROTO);
    assert_int_equal(ferry_verbs_acknowledge(&scene.endpoint, 0xfffffffe), 0);
}

static void random_words(void **state)
{
    uint8_t bytes[256];

    (void) state;
    srand(7);
    for (unsigned i = 0; i < 200000; i++) {
        size_t length = (size_t) rand() % sizeof(bytes);

        if (i % 1000 == 0)
            set(i % 2000 == 0);
        for (size_t k = 0; k < length; k++)
            bytes[k] = (uint8_t) (rand() % 4 ? rand() % 8 : rand());
        tell((uint64_t) rand() % 10, bytes, length);
        assert_int_equal(scene.endpoint.rail_count, 0);
        assert_false(scene.endpoint.sends_up);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hello),
        cmocka_unit_test(offers_of_nonsense),
        cmocka_unit_test(old_offer_is_refused),
        cmocka_unit_test(out_of_turn),
        cmocka_unit_test(down_is_answered_once),
        cmocka_unit_test(too_many_acknowledged),
        cmocka_unit_test(random_words),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
