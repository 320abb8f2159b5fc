/*
 * How processes find each other over the transport over libfabric: addresses, interfaces, and network
 * namespaces.
 */
#ifndef HAVE_LIBFABRIC
int main(void)
{
    return 77; /* skipped */
}
#else

#include "fabric_core.h"

/* ---- Addresses ---- */

static void addresses_travel(void **state)
{
    struct ferry_sites sites = {.port = 4711}, back;
    uint8_t bytes[64];

    (void) state;
    for (sites.count = 1; sites.count <= FERRY_SITES_MAX; sites.count++) {
        size_t length;

        memset(&sites.at[sites.count - 1], 0, sizeof(sites.at[0]));
        sites.at[sites.count - 1].family = AF_INET;
        sites.at[sites.count - 1].address[3] = sites.count;
        length = ferry_sites_pack(&sites, bytes, 28);
        assert_true(ferry_sites_unpack(&back, bytes, length));
        assert_memory_equal(&sites, &back, sizeof(sites));
        for (size_t wrong = 0; wrong < 40; wrong++)
            assert_true(wrong == length || !ferry_sites_unpack(&back, bytes, wrong));
    }
    /* Two of IPv4 and one of IPv6 fill the part. */
    memset(sites.at + 3, 0, 3 * sizeof(sites.at[0]));
    sites.count = 3;
    sites.at[2] = (struct ferry_site){.family = AF_INET6, .address = {0xfd, [15] = 9}};
    assert_int_equal(ferry_sites_pack(&sites, bytes, 28), 27);
    assert_true(ferry_sites_unpack(&back, bytes, 27));
    assert_memory_equal(&sites, &back, sizeof(sites));
    for (int i = 0; i < 100000; i++) {
        uint8_t noise[32];

        ferry_random(noise, sizeof(noise));
        if (ferry_sites_unpack(&back, noise, noise[31] % 32))
            assert_in_range(back.count, 1, FERRY_SITES_MAX);
    }
}

static void own_networks_come_first(void **state)
{
    struct ferry_net nets[] = {
        {.site = {.family = AF_INET, .address = {10, 1, 255, 1}}, .prefix = 13}};
    struct ferry_sites sites = {.port = 1,
                                .count = 3,
                                .at = {{.family = AF_INET, .address = {172, 17, 0, 1}},
                                       {.family = AF_INET, .address = {10, 8, 0, 1}},
                                       {.family = AF_INET, .address = {10, 7, 3, 4}}}};

    (void) state;
    ferry_sites_nearest_first(&sites, nets, 1);
    assert_int_equal(sites.at[0].address[1], 7);
    assert_int_equal(sites.at[1].address[1], 17);
    assert_int_equal(sites.at[2].address[1], 8);
}

/* ---- The user's choice ---- */

static void choose(const char *interface, int expected, const char *address)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct ferry_context context = {0};
        uint8_t part[28];
        struct ferry_sites sites;
        char text[FERRY_SITE_TEXT];

        setenv("FERRY_FABRIC_INTERFACE", interface, 1);
        if (!address)
            freopen("/dev/null", "w", stderr);
        if (ferry_fabric_ops.open(&context, &context.transport) != expected)
            _exit(1);
        if (expected)
            _exit(0);
        if (!ferry_sites_unpack(&sites, part,
                                ferry_fabric_ops.address(context.transport, part, sizeof(part))))
            _exit(2);
        if (strcmp(ferry_site_text(&sites.at[0], text), address))
            _exit(3);
        ferry_fabric_ops.close(context.transport);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void the_interface_can_be_chosen(void **state)
{
    (void) state;
    choose("lo", 0, "127.0.0.1");
    choose("127.0.0.1", 0, "127.0.0.1");
    choose("127.0.0.0/8", 0, "127.0.0.1");
    choose("nosuch0", -ENODEV, NULL);
    choose("203.0.113.9", -ENODEV, NULL);
    choose("203.0.113.0/24", -ENODEV, NULL);
    choose("127.0.0.0/99", -ENODEV, NULL);
}

/* In a process of its own, as the configuration is read once. */
static void with_providers(const char *providers, void (*body)(struct pair *))
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        struct pair pair;

        setenv("FERRY_FABRIC_PROVIDER", providers, 1);
        pair = pair_new();
        body(&pair);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void expect_its_name(struct pair *pair)
{
    const char *why;

    until((try_send(pair->to_b), pair->to_b->lost), 20, pair->a, pair->b);
    /* One of them finds out itself, the other is told. */
    until(pair->to_a->lost || strstr(pair->to_b->why, "pigeon"), 20, pair->a, pair->b);
    why = pair->to_a->lost ? pair->to_a->why : pair->to_b->why;
    if (strstr(why, "=carrier-pigeon") && strstr(why, "tcp"))
        return;
    fprintf(stderr, "%s\n", why);
    _exit(1);
}

static void a_wrong_provider_is_named(void **state)
{
    (void) state;
    with_providers("carrier-pigeon", expect_its_name);
}

static void talk(struct pair *pair)
{
    exchange(pair->to_b, pair->to_a, 10);
    pair_free(pair);
}

static void the_first_provider_that_is_there_is_used(void **state)
{
    (void) state;
    with_providers("carrier-pigeon,tcp", talk);
}

/* ---- Many addresses ---- */

static void the_next_address_is_tried(void **state)
{
    struct ferry_context *a = context_new(1, job_key), *b = context_new(2, job_key);
    struct ferry_sites sites = {.port = port_of(b),
                                .count = 4,
                                .at = {{.family = AF_INET, .address = {198, 51, 100, 1}},
                                       {.family = AF_INET, .address = {203, 0, 113, 77}},
                                       {.family = AF_INET, .address = {127, 0, 0, 1}},
                                       {.family = AF_INET, .address = {192, 0, 2, 123}}}};
    uint8_t part[28];
    struct ferry_peer *to_b = add(a, b->nonce, part, ferry_sites_pack(&sites, part, 28));
    uint64_t began = ferry_now_ns();

    (void) state;
    until((try_send(to_b), b->strangers == 1), 10, a, b);
    assert_true(ferry_now_ns() - began < 5 * SECOND);
    exchange(to_b, ferry_core_find_peer(b, a->nonce), 10);
    context_free(a);
    context_free(b);
}

/* Runs a command; whether it worked. */
static bool run(const char *format, int pid)
{
    char command[512];

    snprintf(command, sizeof(command), format, pid);
    return system(command) == 0;
}

static void wait_for(struct board *board, int word)
{
    for (int i = 0; board->word < word; i++) {
        if (i > 60000)
            _exit(1);
        usleep(1000);
    }
}

/* Two network namespaces with a wire between them. Each has a bridge that leads nowhere, too, with one
 * address in both. Returns in the child 1, in the parent 0 (then with the child's pid), or -1: can't. */
static int separate(struct board *board, const char *const setup[2], pid_t *pid)
{
    *pid = fork();
    assert_true(*pid >= 0);
    if (*pid == 0) {
        if (unshare(CLONE_NEWNET) || !run("ip link set lo up", 0))
            _exit(77);
        board->word = 1;
        wait_for(board, 2);
        if (!run(setup[1], 0))
            _exit(77);
        board->word = 3;
        wait_for(board, 4);
        return 1;
    }
    while (board->word < 1)
        if (waitpid(*pid, NULL, WNOHANG) == *pid)
            return -1;
    if (!run("ip link add w0 type veth peer name w1 netns %d", *pid) || !run(setup[0], 0)) {
        kill(*pid, SIGKILL);
        waitpid(*pid, NULL, 0);
        return -1;
    }
    board->word = 2;
    wait_for(board, 3);
    return 0;
}

/* In a process of its own, which can enter another namespace. */
static void in_namespaces(const char *const setup[2], const char *through)
{
    pid_t pid = fork(), child;
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        struct board *board = board_new();
        struct ferry_peer *peer;
        char text[80];
        int which;

        if (unshare(CLONE_NEWNET) || !run("ip link set lo up", 0))
            _exit(77);
        which = separate(board, setup, &child);
        if (which < 0)
            _exit(77);
        if (which == 0)
            board->word = 4;
        peer = join(board, which);
        if (which == 1)
            echo(peer);
        until((send_some(peer, 2000), peer->got == 2000), 20, peer->context);
        ferry_fabric_ops.describe(peer->context->transport, peer, text, sizeof(text));
        if (!strstr(text, through)) {
            fprintf(stderr, "through %s, not %s\n", text, through);
            _exit(1);
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        until(peer->lost, 5, peer->context);
        context_free(peer->context);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(status, 0);
}

#define BRIDGE \
    "ip link add br0 type bridge && ip addr add 172.17.0.1/16 dev br0 && ip link set br0 up && "

static void containers_with_bridges(void **state)
{
    static const char *const setup[2] = {
        BRIDGE "ip addr add 10.7.0.1/24 dev w0 && ip link set w0 up",
        BRIDGE "ip addr add 10.7.0.2/24 dev w1 && ip link set w1 up"};

    (void) state;
    in_namespaces(setup, "10.7.0.2");
}

#define HOLE "ip link add d0 type veth peer name d1 && ip link set d0 up && ip link set d1 up && "

/* The first address of the other is one on the way to which packets just disappear. */
static void containers_with_a_black_hole(void **state)
{
    static const char *const setup[2] = {
        "ip addr add 10.7.0.1/24 dev w0 && ip link set w0 up && " HOLE
        "ip addr add 10.8.0.1/24 dev d0 && ip route add default dev d0 && "
        "ip neigh add 10.8.0.2 lladdr 02:00:00:00:00:01 dev d0",
        "ip addr add 10.7.0.2/24 dev w1 && ip link set w1 up && " HOLE
        "ip addr add 10.8.0.2/24 dev d0 && ip route add default dev d0 && "
        "ip neigh add 10.8.0.1 lladdr 02:00:00:00:00:02 dev d0"};

    (void) state;
    in_namespaces(setup, "10.7.0.2");
}

static void containers_without_ipv4(void **state)
{
    static const char *const setup[2] = {
        "ip addr del 127.0.0.1/8 dev lo; ip addr add fd07::1/64 dev w0 nodad && ip link set w0 up",
        "ip addr del 127.0.0.1/8 dev lo; ip addr add fd07::2/64 dev w1 nodad && ip link set w1 up"};

    (void) state;
    in_namespaces(setup, "fd07::2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_travel),
        cmocka_unit_test(own_networks_come_first),
        cmocka_unit_test(the_interface_can_be_chosen),
        cmocka_unit_test(a_wrong_provider_is_named),
        cmocka_unit_test(the_first_provider_that_is_there_is_used),
        cmocka_unit_test(the_next_address_is_tried),
        cmocka_unit_test(containers_with_bridges),
        cmocka_unit_test(containers_with_a_black_hole),
        cmocka_unit_test(containers_without_ipv4),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
