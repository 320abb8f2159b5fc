/*
 * Which ports of two processes may reach each other, in situations that people met, and how what is known of ports
 * travels and is shown.
 */
#include "cards_made.h"

static struct ferry_cards own, other;
static struct ferry_lane lanes[FERRY_LANES_MAX];
static unsigned lane_count;

static int start(void **state)
{
    memset(&own, 0, sizeof(own));
    memset(&other, 0, sizeof(other));
    return 0;
}

/* Lanes as text, each with its cards and the GIDs' numbers in the ports' tables: "0.3-1.5 ", with "G" behind it where it
 * is global. Whatever is found from one side is found from the other too. */
static void expect(const char *wanted)
{
    struct ferry_lane back[FERRY_LANES_MAX];
    char text[2048] = "";
    size_t used = 0;

    lane_count = ferry_lanes_find(&other, &own, back);
    assert_int_equal(ferry_lanes_find(&own, &other, lanes), lane_count);
    for (unsigned i = 0; i < lane_count; i++) {
        const struct ferry_lane *lane = &lanes[i];

        used += (size_t) snprintf(text + used, sizeof(text) - used, "%u.%u-%u.%u%s ", lane->own,
                                  own.at[lane->own].gids[lane->own_gid].index, lane->other,
                                  other.at[lane->other].gids[lane->other_gid].index,
                                  lane->global ? "G" : "");
        assert_true(used < sizeof(text));
    }
    assert_string_equal(text, wanted);
}

/* ---- RoCE ---- */

/* A VF in a container of each host: the kernel gave the same address another place in the table, since other containers
 * came and went, so a number that is the same on all hosts fails. (k8snetworkplumbingwg/sriov-network-device-plugin
 * issue 342) */
static void another_index_on_each_host(void **state)
{
    struct ferry_card *card = add_roce(&own, "mlx5_2:1");

    add_gid(card, 0, FERRY_GID_ROCE_1, "fe80::a94:efff:fe12:3456", 64);
    add_gid(card, 1, FERRY_GID_ROCE_2, "fe80::a94:efff:fe12:3456", 64);
    add_gid(card, 2, FERRY_GID_ROCE_1, "10.78.0.11", 16);
    add_gid(card, 3, FERRY_GID_ROCE_2, "10.78.0.11", 16);
    card = add_roce(&other, "mlx5_7:1");
    add_gid(card, 4, FERRY_GID_ROCE_1, "10.78.0.12", 16);
    add_gid(card, 5, FERRY_GID_ROCE_2, "10.78.0.12", 16);
    add_gid(card, 6, FERRY_GID_ROCE_1, "fe80::a94:efff:fe12:9999", 64);
    add_gid(card, 7, FERRY_GID_ROCE_2, "fe80::a94:efff:fe12:9999", 64);
    expect("0.3-0.5G 0.2-0.4G 0.1-0.7G 0.0-0.6G ");
}

/* Only link-local GIDs are in a container's table where the address went to another namespace. */
static void link_local_only(void **state)
{
    add_gid(add_roce(&own, "rocep1:1"), 0, FERRY_GID_ROCE_2, "fe80::1", 64);
    add_gid(add_roce(&other, "rocep1:1"), 9, FERRY_GID_ROCE_2, "fe80::2", 64);
    expect("0.0-0.9G ");
    other.count = 0;
    add_gid(add_roce(&other, "rocep1:1"), 1, FERRY_GID_ROCE_2, "10.0.0.1", 24);
    expect("");
}

/* Both addresses of IPv4 that no DHCP server gave. */
static void link_local_of_ipv4(void **state)
{
    struct ferry_card *card = add_roce(&own, "a:1");

    add_gid(card, 1, FERRY_GID_ROCE_2, "169.254.3.4", 16);
    add_gid(card, 2, FERRY_GID_ROCE_2, "2001:db8::1", 64);
    card = add_roce(&other, "b:1");
    add_gid(card, 1, FERRY_GID_ROCE_2, "169.254.9.9", 16);
    add_gid(card, 2, FERRY_GID_ROCE_2, "2001:db8:1::1", 64);
    expect("0.2-0.2G 0.1-0.1G ");
}

/* Azure, for one, gives each VM an address in a network of its own, behind a router. */
static void networks_behind_routers(void **state)
{
    struct ferry_card *card = add_roce(&own, "a:1");

    add_gid(card, 0, FERRY_GID_ROCE_1, "10.1.0.4", 32);
    add_gid(card, 1, FERRY_GID_ROCE_2, "10.1.0.4", 32);
    card = add_roce(&other, "b:1");
    add_gid(card, 0, FERRY_GID_ROCE_1, "10.1.0.5", 32);
    add_gid(card, 1, FERRY_GID_ROCE_2, "10.1.0.5", 32);
    expect("0.1-0.1G ");
}

/* One takes the other to be a neighbour, but not the other way round: a router answers one way. */
static void netmasks_that_differ(void **state)
{
    struct ferry_card *card = add_roce(&own, "a:1");

    add_gid(card, 1, FERRY_GID_ROCE_2, "10.78.0.11", 16);
    add_gid(card, 2, FERRY_GID_ROCE_2, "10.90.0.11", 24);
    card = add_roce(&other, "b:1");
    add_gid(card, 1, FERRY_GID_ROCE_2, "10.78.3.12", 24);
    add_gid(card, 2, FERRY_GID_ROCE_2, "10.90.0.12", 25);
    expect("0.2-0.2G 0.1-0.1G 0.1-0.2G 0.2-0.1G ");
}

static void prefixes_not_known(void **state)
{
    struct ferry_card *card = add_roce(&own, "a:1");

    add_gid(card, 0, FERRY_GID_ROCE_1, "10.1.0.4", 0);
    add_gid(card, 1, FERRY_GID_ROCE_2, "10.1.0.4", 0);
    card = add_roce(&other, "b:1");
    add_gid(card, 2, FERRY_GID_ROCE_1, "10.1.0.5", 24);
    add_gid(card, 3, FERRY_GID_ROCE_2, "10.1.0.5", 24);
    expect("0.1-0.3G 0.0-0.2G ");
}

static void types_and_families_do_not_mix(void **state)
{
    struct ferry_card *card = add_roce(&own, "a:1");

    add_gid(card, 0, FERRY_GID_ROCE_1, "10.1.0.4", 16);
    add_gid(card, 1, FERRY_GID_ROCE_2, "2001:db8::4", 64);
    card = add_roce(&other, "b:1");
    add_gid(card, 0, FERRY_GID_ROCE_2, "10.1.0.5", 16);
    add_gid(card, 1, FERRY_GID_ROCE_1, "2001:db8::5", 64);
    expect("");
}

static void ipv4_before_ipv6(void **state)
{
    struct ferry_card *card = add_roce(&own, "a:1");

    add_gid(card, 1, FERRY_GID_ROCE_2, "2001:db8::4", 64);
    add_gid(card, 2, FERRY_GID_ROCE_2, "10.1.0.4", 16);
    card = add_roce(&other, "b:1");
    add_gid(card, 5, FERRY_GID_ROCE_2, "2001:db8::5", 64);
    add_gid(card, 8, FERRY_GID_ROCE_2, "10.1.0.5", 16);
    expect("0.2-0.8G 0.1-0.5G ");
}

/* A port with a VLAN for each of several networks, of which one is the peer's. */
static void networks_of_vlans(void **state)
{
    struct ferry_card *card = add_roce(&own, "a:1");

    add_gid(card, 1, FERRY_GID_ROCE_2, "192.168.1.4", 24);
    add_gid(card, 3, FERRY_GID_ROCE_2, "192.168.2.4", 24);
    add_gid(card, 5, FERRY_GID_ROCE_2, "192.168.3.4", 24);
    add_gid(add_roce(&other, "b:1"), 1, FERRY_GID_ROCE_2, "192.168.3.5", 24);
    expect("0.5-0.1G 0.3-0.1G 0.1-0.1G ");
}

/* Two containers of one host that were given the same device. */
static void same_port_on_both_sides(void **state)
{
    add_gid(add_roce(&own, "a:1"), 1, FERRY_GID_ROCE_2, "10.1.0.4", 0);
    add_gid(add_roce(&other, "a:1"), 1, FERRY_GID_ROCE_2, "10.1.0.4", 0);
    expect("0.1-0.1G ");
    start(state);
    add_gid(add_roce(&own, "rxe:1"), 1, FERRY_GID_ROCE_2, "127.0.0.1", 8);
    add_gid(add_roce(&other, "rxe:1"), 1, FERRY_GID_ROCE_2, "127.0.0.1", 8);
    expect("0.1-0.1G ");
    start(state);
    add_gid(add_roce(&own, "rxe:1"), 1, FERRY_GID_ROCE_2, "127.0.0.1", 8);
    add_gid(add_roce(&other, "rxe:1"), 1, FERRY_GID_ROCE_2, "10.1.0.4", 8);
    expect("");
}

/* ---- Several cards ---- */

static void add_rails(struct ferry_cards *cards, unsigned count, unsigned host, bool crossed)
{
    for (unsigned i = 0; i < count; i++) {
        char address[32];

        snprintf(address, sizeof(address), "10.%u.0.%u", crossed ? count - i : i + 1, host);
        add_gid(add_roce(cards, "r:1"), i, FERRY_GID_ROCE_2, address, 24);
    }
}

/* A network for each rail: that first, then whatever routers may do. */
static void rails_of_their_own(void **state)
{
    add_rails(&own, 2, 1, false);
    add_rails(&other, 2, 2, true);
    expect("0.0-1.1G 1.1-0.0G 0.0-0.0G 1.1-1.1G ");
}

/* All in one network: the first lanes use each card once. */
static void rails_spread_out(void **state)
{
    for (unsigned i = 0; i < 3; i++) {
        add_gid(add_roce(&own, "r:1"), i, FERRY_GID_ROCE_2, "10.1.0.1", 16);
        add_gid(add_roce(&other, "s:1"), i, FERRY_GID_ROCE_2, "10.1.0.9", 16);
    }
    expect("0.0-0.0G 1.1-1.1G 2.2-2.2G 0.0-1.1G 1.1-0.0G 1.1-2.2G 2.2-1.1G 0.0-2.2G 2.2-0.0G ");
}

static void one_card_to_three(void **state)
{
    add_rails(&own, 1, 1, false);
    for (unsigned i = 0; i < 3; i++)
        add_gid(add_roce(&other, "s:1"), i, FERRY_GID_ROCE_2, "10.1.0.9", 24);
    expect("0.0-0.0G 0.0-1.1G 0.0-2.2G ");
}

/* A router between the rails' networks: the nearest by address is of the same rail. */
static void routed_rails(void **state)
{
    add_gid(add_roce(&own, "r:1"), 0, FERRY_GID_ROCE_2, "10.1.4.1", 24);
    add_gid(add_roce(&own, "r:1"), 1, FERRY_GID_ROCE_2, "10.2.4.1", 24);
    add_gid(add_roce(&other, "s:1"), 0, FERRY_GID_ROCE_2, "10.2.5.1", 24);
    add_gid(add_roce(&other, "s:1"), 1, FERRY_GID_ROCE_2, "10.1.5.1", 24);
    expect("0.0-1.1G 1.1-0.0G 0.0-0.0G 1.1-1.1G ");
}

/* However many GIDs there are, the last card has lanes too. */
static void as_much_as_there_can_be(void **state)
{
    bool pairs[FERRY_CARDS_MAX][FERRY_CARDS_MAX] = {{false}};

    for (unsigned i = 0; i < FERRY_CARDS_MAX; i++) {
        struct ferry_card *a = add_roce(&own, "a:1"), *b = add_roce(&other, "b:1");

        for (unsigned k = 0; k < FERRY_CARD_GIDS; k++) {
            add_gid(a, k, FERRY_GID_ROCE_2, "10.1.0.4", 16);
            add_gid(b, k, FERRY_GID_ROCE_2, "10.1.0.5", 16);
        }
    }
    assert_int_equal(ferry_lanes_find(&own, &other, lanes), FERRY_LANES_MAX);
    for (unsigned i = 0; i < FERRY_LANES_MAX; i++)
        pairs[lanes[i].own][lanes[i].other] = true;
    for (unsigned i = 0; i < FERRY_CARDS_MAX * FERRY_CARDS_MAX; i++)
        assert_true(pairs[i / FERRY_CARDS_MAX][i % FERRY_CARDS_MAX]);
}

/* ---- InfiniBand ---- */

static void one_subnet(void **state)
{
    add_infiniband(&own, "mlx5_0:1", 12, "fe80::1:2:3:4");
    add_infiniband(&other, "mlx5_0:1", 17, "fe80::1:2:3:5");
    expect("0.0-0.0 ");
    own.at[0].mtu = 5;
    other.at[0].mtu = 4;
    expect("0.0-0.0 ");
    assert_int_equal(lanes[0].mtu, 4);
}

/* Functions of one adapter that share its LID are told apart by their GIDs. */
static void a_lid_that_functions_share(void **state)
{
    add_infiniband(&own, "mlx5_0:1", 12, "fe80::1:2:3:4");
    add_infiniband(&other, "mlx5_4:1", 12, "fe80::1:2:3:5")->grh = true;
    expect("0.0-0.0G ");
}

static void subnets_with_a_router(void **state)
{
    add_infiniband(&own, "mlx5_0:1", 12, "fec0:0:0:1::4");
    add_infiniband(&other, "mlx5_0:1", 12, "fec0:0:0:2::5");
    add_infiniband(&other, "mlx5_1:1", 13, "fec0:0:0:1::5");
    expect("0.0-1.0 0.0-0.0G ");
}

static void default_subnet_is_not_routed(void **state)
{
    add_infiniband(&own, "mlx5_0:1", 12, "fe80::4");
    add_infiniband(&other, "mlx5_0:1", 12, "fec0:0:0:2::5");
    expect("");
}

static void no_subnet_manager(void **state)
{
    add_infiniband(&own, "mlx5_0:1", 12, "fe80::4");
    add_infiniband(&other, "mlx5_0:1", 0, "fe80::5");
    expect("");
}

static void links_that_differ(void **state)
{
    add_infiniband(&own, "mlx5_0:1", 12, "fe80::4");
    add_gid(add_roce(&other, "mlx5_0:1"), 0, FERRY_GID_ROCE_1, "fe80::5", 64);
    expect("");
}

/* ---- Partitions ---- */

static void set_pkeys(struct ferry_card *card, uint16_t first, uint16_t second)
{
    card->pkey_count = 0;
    if (first)
        add_pkey(card, 0, first);
    if (second)
        add_pkey(card, 3, second);
}

static bool is_joined(uint16_t a, uint16_t b, uint16_t c, uint16_t d)
{
    start(NULL);
    set_pkeys(add_infiniband(&own, "a:1", 1, "fe80::4"), a, b);
    set_pkeys(add_infiniband(&other, "b:1", 2, "fe80::5"), c, d);
    return ferry_lanes_find(&own, &other, lanes) == 1;
}

static void partitions(void **state)
{
    assert_true(is_joined(0xffff, 0, 0x7fff, 0));
    assert_true(is_joined(0x7fff, 0, 0xffff, 0));
    assert_false(is_joined(0x7fff, 0, 0x7fff, 0)); /* two limited members */
    assert_false(is_joined(0xffff, 0, 0x8001, 0));
    assert_false(is_joined(0, 0, 0xffff, 0));
    /* Limited members of the default partition, as VFs often are, that have one of their own. */
    assert_true(is_joined(0x7fff, 0x8001, 0x8001, 0x7fff));
    assert_int_equal(lanes[0].own_pkey, 1);
    assert_int_equal(lanes[0].other_pkey, 0);
    /* What Azure gives the VMs of one tenant, whatever the order. */
    assert_true(is_joined(0x7fff, 0x800b, 0x800b, 0x7fff));
    assert_int_equal(lanes[0].own_pkey, 1);
    assert_int_equal(lanes[0].other_pkey, 0);
    /* Two full members rather than one. */
    assert_true(is_joined(0xffff, 0x8002, 0x7fff, 0x8002));
    assert_int_equal(lanes[0].own_pkey, 1);
    assert_int_equal(lanes[0].other_pkey, 1);
    assert_true(is_joined(0xffff, 0x8002, 0x7fff, 0x0002));
    assert_int_equal(lanes[0].own_pkey, 0);
    assert_int_equal(lanes[0].other_pkey, 0);
}

/* ---- How they travel ---- */

static void comes_back_the_same(void **state)
{
    static uint8_t packed[FERRY_CARDS_PACKED + 1];
    struct ferry_cards back;
    size_t length;

    make_many(&own);
    length = ferry_cards_pack(&own, packed);
    assert_true(length <= FERRY_CARDS_PACKED);
    assert_true(ferry_cards_unpack(&back, packed, length));
    assert_memory_equal(&back, &own, sizeof(own));
    for (size_t i = 0; i < length; i++)
        assert_false(ferry_cards_unpack(&back, packed, i));
    assert_false(ferry_cards_unpack(&back, packed, length + 1));
    own.count = 0;
    assert_int_equal(ferry_cards_pack(&own, packed), 1);
    assert_true(ferry_cards_unpack(&back, packed, 1));
    assert_int_equal(back.count, 0);
}

/* The longest that there can be. */
static void fits_the_room(void **state)
{
    static uint8_t packed[FERRY_CARDS_PACKED];
    struct ferry_cards back;

    for (unsigned i = 0; i < FERRY_CARDS_MAX; i++) {
        struct ferry_card *card = add_roce(&own, "a_name_of_23_letters__:1");

        while (card->gid_count < FERRY_CARD_GIDS)
            add_gid(card, card->gid_count, FERRY_GID_ROCE_2, "10.1.0.4", 16);
        while (card->pkey_count < FERRY_CARD_PKEYS)
            add_pkey(card, card->pkey_count, 0x8001);
    }
    assert_true(ferry_cards_unpack(&back, packed, ferry_cards_pack(&own, packed)));
    assert_memory_equal(&back, &own, sizeof(own));
}

/* What is wrong with it is put in by change. */
static bool is_refused(void (*change)(struct ferry_card *card))
{
    uint8_t packed[FERRY_CARDS_PACKED];
    struct ferry_cards back;

    start(NULL);
    add_gid(add_roce(&own, "mlx5_0:1"), 1, FERRY_GID_ROCE_2, "10.1.0.4", 16);
    assert_true(ferry_cards_unpack(&back, packed, ferry_cards_pack(&own, packed)));
    change(&own.at[0]);
    return !ferry_cards_unpack(&back, packed, ferry_cards_pack(&own, packed));
}

static void no_name(struct ferry_card *card)
{
    card->name[0] = 0;
}

static void name_with_an_escape(struct ferry_card *card)
{
    strcpy(card->name, "\033[2J");
}

static void no_such_link(struct ferry_card *card)
{
    card->link = 3;
}

static void mtu_of_nothing(struct ferry_card *card)
{
    card->mtu = 0;
}

static void mtu_too_large(struct ferry_card *card)
{
    card->mtu = 6;
}

static void type_of_infiniband(struct ferry_card *card)
{
    card->gids[0].type = FERRY_GID_IB;
}

static void type_of_roce(struct ferry_card *card)
{
    card->link = FERRY_CARD_INFINIBAND;
}

static void no_such_type(struct ferry_card *card)
{
    card->gids[0].type = 3;
}

static void prefix_too_long(struct ferry_card *card)
{
    card->gids[0].prefix = 33;
}

static void gid_zero(struct ferry_card *card)
{
    memset(card->gids[0].bytes, 0, 16);
}

static void gid_of_many(struct ferry_card *card)
{
    inet_pton(AF_INET6, "ff02::1", card->gids[0].bytes);
}

static void pkey_of_nothing(struct ferry_card *card)
{
    card->pkeys[0].value = 0x8000;
}

static void nonsense_is_refused(void **state)
{
    void (*const changes[])(struct ferry_card *) = {
        no_name,       name_with_an_escape, no_such_link, mtu_of_nothing,
        mtu_too_large, type_of_infiniband,  type_of_roce, no_such_type,
        gid_zero,      prefix_too_long,     gid_of_many,  pkey_of_nothing};

    for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        if (!is_refused(changes[i]))
            fail_msg("change %u was taken", i);
}

/* ---- For people ---- */

static void text_for_people(void **state)
{
    char text[512];
    struct ferry_card *card = add_roce(&own, "mlx5_2:1");

    add_gid(card, 3, FERRY_GID_ROCE_2, "10.78.0.11", 16);
    add_gid(card, 4, FERRY_GID_ROCE_1, "fe80::1", 0);
    card = add_infiniband(&own, "mlx5_0:1", 12, "fe80::4");
    add_pkey(card, 1, 0x7fff);
    add_roce(&own, "rxe0:1")->pkey_count = 0;
    ferry_cards_text(&own, text, sizeof(text));
    assert_string_equal(text, "mlx5_2:1 (RoCE; GIDs 3: 10.78.0.11/16 v2, 4: fe80::1 v1; pkeys "
                              "0xffff), mlx5_0:1 (InfiniBand, LID 12; GIDs 0: fe80::4/64; pkeys "
                              "0xffff, 0x7fff), rxe0:1 (RoCE; GIDs none; pkeys none)");
    ferry_cards_text(&other, text, sizeof(text));
    assert_string_equal(text, "none");
    memset(text, 'x', sizeof(text));
    ferry_cards_text(&own, text, 40);
    assert_string_equal(text, "mlx5_2:1 (RoCE; GIDs 3: 10.78.0.11/1...");
    assert_int_equal(text[40], 'x');
    ferry_cards_text(&own, text, 1);
    assert_string_equal(text, "");
    assert_int_equal(text[1], 'l');
}

#define fresh(test) cmocka_unit_test_setup(test, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fresh(another_index_on_each_host),
        fresh(link_local_only),
        fresh(link_local_of_ipv4),
        fresh(networks_behind_routers),
        fresh(netmasks_that_differ),
        fresh(prefixes_not_known),
        fresh(types_and_families_do_not_mix),
        fresh(ipv4_before_ipv6),
        fresh(networks_of_vlans),
        fresh(same_port_on_both_sides),
        fresh(rails_of_their_own),
        fresh(rails_spread_out),
        fresh(one_card_to_three),
        fresh(routed_rails),
        fresh(as_much_as_there_can_be),
        fresh(one_subnet),
        fresh(a_lid_that_functions_share),
        fresh(subnets_with_a_router),
        fresh(default_subnet_is_not_routed),
        fresh(no_subnet_manager),
        fresh(links_that_differ),
        fresh(partitions),
        fresh(comes_back_the_same),
        fresh(fits_the_room),
        fresh(nonsense_is_refused),
        fresh(text_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
