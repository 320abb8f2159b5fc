/*
 * Devices whose files hold nonsense, or of which there are too many.
 */
#include "sysfs.h"

static void put_fifo(const char *path)
{
    char name[PATH_MAX];

    put(path, "");
    snprintf(name, sizeof(name), "%s%s", root, path);
    assert_int_equal(unlink(name), 0);
    assert_int_equal(mkfifo(name, 0600), 0);
}

static void hostile(void **state)
{
    static char numbers[300000];
    const char *folder;

    memset(numbers, '9', sizeof(numbers) - 1);
    put_pci("0000:66:00.0", "0xzzzz 0x1041", "\033[2J\n");
    put("/sys/devices/pci/0000:66:00.0/numa_node", numbers);
    put("/sys/devices/pci/0000:66:00.0/local_cpulist", "0-3; rm -rf\n");
    put("/sys/devices/pci/0000:66:00.0/sriov_numvfs", "-5\n");
    put_net("e\033[31m\n", "pci/0000:66:00.0", "\001\002up\377\n", numbers);
    put_fifo("/sys/class/net/fifo0/operstate");
    put_fifo("/sys/class/net/fifo0/uevent");
    put_link("/sys/class/net/loop0", "loop0");
    folder = put_class("infiniband", "%s%n", "pci/0000:66:00.0");
    put_in(folder, "ports/1/state", "4:\n");
    put_fifo("/sys/class/infiniband/%s%n/ports/1/rate");
    put_fifo("/sys/class/infiniband_verbs/uverbs0/ibdev");
    put_verbs("..", "%s%n\n", false);
    put_verbs("u\033x", "%s%n\n", false);
    put_link("/dev/infiniband/u\033x", "u\033x");
    put_in(folder, "ports/999999999999/state", "4: ACTIVE\n");
    put_in(folder, "ports/../x/state", "4: ACTIVE\n");
    put_gid(folder, 0, "fe80::1::2\n", "RoCE v2\n", "eth0\n");
    put_gid(folder, 1, "fe80::1\n", "\033]0;x\a\n", numbers);
    put_gid(folder, 300, "fe80::3\n", "RoCE v2\n", "eth0\n");
    put_in(folder, "ports/1/pkeys/0", "0x1ffff\n");
    put_in(folder, "ports/1/pkeys/1", "-1\n");
    put_in(folder, "ports/1/pkeys/2", "0x8001\n");
    expect("RDMA devices\n"
           "  %s%n              physical function (0000:66:00.0, ?[2J)\n"
           "    for programs    /dev/infiniband/u?x, this user can't open it: "
           "Too many levels of symbolic links\n"
           "    port 1          state not known, network device 9999999999999999999999999999999\n"
           "      GID 1         fe80::1 (?]0;x?, 9999999999999999999999999999999)\n"
           "      pkeys         0x8001\n"
           "\nNetwork devices\n"
           "  e?[31m            physical function (0000:66:00.0, ?[2J)\n"
           "    link            ??up?, packets of 9000 bytes\n"
           "  fifo0             virtual device\n"
           "    link            state not known\n"
           "  loop0             virtual device\n"
           "    link            state not known\n" NO_MEMORY);
}

/* More of everything than there is room for is counted. */
static void too_many(void **state)
{
    const char *folder;
    char name[32], *said;
    size_t length;
    FILE *out;

    for (unsigned i = 0; i < FERRY_NETDEVS_MAX + 3; i++) {
        snprintf(name, sizeof(name), "veth%u", i);
        put_soft(name, "", "7\n");
    }
    put_pci("0000:01:00.0", "0x15b3 0x1017", "mlx5_core");
    put_net("zz", "pci/0000:01:00.0", "up\n", "1\n");
    folder = put_class("infiniband", "mlx5_0", "pci/0000:01:00.0");
    for (unsigned i = 0; i < 40; i++) {
        put_gid(folder, i, "fe80::1\n", "", "");
        snprintf(name, sizeof(name), "ports/1/pkeys/%u", i);
        put_in(folder, name, "0xffff\n");
    }
    for (unsigned i = 2; i <= 9; i++) {
        snprintf(name, sizeof(name), "ports/%u/state", i);
        put_in(folder, name, "4: ACTIVE\n");
    }
    ferry_devices_find(root, &devices);
    assert_string_equal(devices.netdevs[0].name, "zz"); /* what has hardware comes first */
    assert_string_equal(devices.netdevs[3].name, "veth2");
    assert_int_equal(devices.netdev_count + devices.netdevs_left, FERRY_NETDEVS_MAX + 4);
    assert_int_equal(devices.rdmas[0].ports[0].gids_left, 40 - FERRY_GIDS_MAX);
    assert_int_equal(devices.rdmas[0].ports[0].pkeys_left, 40 - FERRY_PKEYS_MAX);
    assert_int_equal(devices.rdmas[0].ports_left, 9 - FERRY_PORTS_MAX);
    out = open_memstream(&said, &length);
    ferry_devices_print(&devices, out);
    fclose(out);
    assert_non_null(strstr(said, "      more GIDs     24\n"));
    assert_non_null(strstr(said, " and 32 more\n"));
    assert_non_null(strstr(said, "    more ports      5\n"));
    assert_non_null(strstr(said, "  more              4\n"));
    free(said);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scene(hostile),
        in_scene(too_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
