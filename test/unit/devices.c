/*
 * What devices a machine has, of machines that are told by what their /sys says.
 */
#include "sysfs.h"

static void mlx5_with_virtual_functions(void **state)
{
    const char *folder;

    put_pci("0000:3b:00.0", "0x15b3 0x1017", "mlx5_core");
    put("/sys/devices/pci/0000:3b:00.0/sriov_numvfs", "2\n");
    put("/sys/devices/pci/0000:3b:00.0/numa_node", "1\n");
    put("/sys/devices/pci/0000:3b:00.0/local_cpulist", "1,3,5-31\n");
    put_net("ens1", "pci/0000:3b:00.0", "up\n", "100000\n");
    folder = put_class("infiniband", "mlx5_0", "pci/0000:3b:00.0");
    put_port(folder, "Ethernet\n", "100 Gb/sec (4X EDR)\n");
    put_gid(folder, 0, LOCAL_GID, "IB/RoCE v1\n", "ens1\n");
    put_gid(folder, 3, V4_GID, "RoCE v2\n", "ens1\n");
    put_gid(folder, 10, ZERO_GID, "", "");
    put_in(folder, "ports/1/pkeys/0", "0xffff\n");
    put_in(folder, "ports/1/pkeys/1", "0x0000\n");
    put_verbs("uverbs1", "mlx5_0\n", true);
    put_verbs("uverbs0", "mlx5_2\n", false);
    put_pci("0000:3b:00.2", "0x15b3 0x1018", "mlx5_core");
    link_in("/sys/devices/pci/0000:3b:00.2", "physfn", "../", "0000:3b:00.0");
    put_net("ens1v0", "pci/0000:3b:00.2", "down\n", "-1\n");
    folder = put_class("infiniband", "mlx5_2", "pci/0000:3b:00.2");
    put_port(folder, "InfiniBand\n", "100 Gb/sec (4X EDR)\n");
    expect(
        "RDMA devices\n"
        "  mlx5_0            physical function with 2 virtual ones (0000:3b:00.0, 15b3:1017, "
        "mlx5_core)\n"
        "    for programs    /dev/infiniband/uverbs1, this user may open it\n"
        "    near            NUMA node 1, processors 1,3,5-31\n"
        "    port 1          ACTIVE, LinkUp, Ethernet, 100 Gb/sec (4X EDR), network device ens1\n"
        "      GID 0         fe80::a94:efff:fe12:3456 (IB/RoCE v1, ens1)\n"
        "      GID 3         10.1.2.3 (RoCE v2, ens1)\n"
        "      pkeys         0xffff\n"
        "  mlx5_2            virtual function of 0000:3b:00.0 (0000:3b:00.2, 15b3:1018, "
        "mlx5_core)\n"
        "    for programs    /dev/infiniband/uverbs0, node missing\n"
        "    port 1          ACTIVE, LinkUp, InfiniBand, 100 Gb/sec (4X EDR), network device "
        "ens1v0\n"
        "\nNetwork devices\n"
        "  ens1              physical function with 2 virtual ones (0000:3b:00.0, 15b3:1017, "
        "mlx5_core)\n"
        "    link            up, 100000 Mbit/s, packets of 9000 bytes\n"
        "    near            NUMA node 1, processors 1,3,5-31\n"
        "  ens1v0            virtual function of 0000:3b:00.0 (0000:3b:00.2, 15b3:1018, "
        "mlx5_core)\n"
        "    link            down, packets of 9000 bytes\n" NO_MEMORY);
}

static void mlx5_on_azure(void **state)
{
    const char *folder;

    put_pci("8e1c:00:02.0", "0x15b3 0x101a", "mlx5_core");
    put_net("enP36380s1", "pci/8e1c:00:02.0", "up\n", "50000\n");
    link_in("/sys/class/net/enP36380s1", "master", "../../../../vmbus/x/net/", "eth0");
    folder = put_class("infiniband", "mlx5_0", "pci/8e1c:00:02.0");
    put_port(folder, "Ethernet\n", "50 Gb/sec (2X EDR)\n");
    put_gid(folder, 1, V4_GID, "RoCE v2\n", "enP36380s1\n");
    link_in("/sys/devices/vmbus/000d3a-x", "subsystem", "../../../bus/", "vmbus");
    link_in("/sys/devices/vmbus/000d3a-x", "driver", "../../../bus/vmbus/drivers/", "hv_netvsc");
    put_net("eth0", "vmbus/000d3a-x", "up\n", "50000\n");
    expect("RDMA devices\n"
           "  mlx5_0            virtual function (8e1c:00:02.0, told by its id 15b3:101a, "
           "mlx5_core)\n"
           "    for programs    nothing: the kernel's ib_uverbs doesn't serve it\n"
           "    port 1          ACTIVE, LinkUp, Ethernet, 50 Gb/sec (2X EDR), network device "
           "enP36380s1\n"
           "      GID 1         10.1.2.3 (RoCE v2, enP36380s1)\n"
           "\nNetwork devices\n"
           "  enP36380s1        virtual function (8e1c:00:02.0, told by its id 15b3:101a, "
           "mlx5_core)\n"
           "    link            up, 50000 Mbit/s, packets of 9000 bytes, part of eth0\n"
           "  eth0              virtual device (000d3a-x, hv_netvsc)\n"
           "    link            up, 50000 Mbit/s, packets of 9000 bytes\n" NO_MEMORY);
}

static void efa(void **state)
{
    const char *folder;

    put_pci("0000:00:06.0", "0x1d0f 0xefa1", "efa");
    put_pci("0000:00:05.0", "0x1d0f 0xec20", "ena");
    put_net("ens5", "pci/0000:00:05.0", "up\n", "");
    folder = put_class("infiniband", "rdmap0s6", "pci/0000:00:06.0");
    put_port(folder, "Unspecified\n", "100 Gb/sec (4X EDR)\n");
    put_in(folder, "ports/1/gids/0", LOCAL_GID);
    put_in(folder, "ports/1/pkeys/0", "0xffff\n");
    expect("RDMA devices\n"
           "  rdmap0s6          virtual function (0000:00:06.0, told by its id 1d0f:efa1, efa)\n"
           "    for programs    nothing: the kernel's ib_uverbs doesn't serve it\n"
           "    port 1          ACTIVE, LinkUp, Unspecified, 100 Gb/sec (4X EDR)\n"
           "      GID 0         fe80::a94:efff:fe12:3456\n"
           "      pkeys         0xffff\n"
           "\nNetwork devices\n"
           "  ens5              virtual function (0000:00:05.0, told by its id 1d0f:ec20, ena)\n"
           "    link            up, packets of 9000 bytes\n" NO_MEMORY);
}

static void irdma(void **state)
{
    const char *folder;

    put_pci("0000:17:00.1", "0x8086 0x1592", "ice");
    put_net("ens2f1", "pci/0000:17:00.1", "up\n", "25000\n");
    folder = put_class("infiniband", "rocep23s0f1", "pci/0000:17:00.1");
    put_port(folder, "Ethernet\n", "25 Gb/sec (1X EDR)\n");
    put_gid(folder, 0, LOCAL_GID, "RoCE v2\n", "ens2f1\n");
    put_pci("0000:18:01.0", "0x8086 0x1889", "iavf");
    folder = put_class("infiniband", "rocep24s1", "pci/0000:18:01.0");
    put_in(folder, "ports/1/state", "1: DOWN\n");
    expect("RDMA devices\n"
           "  rocep23s0f1       physical function (0000:17:00.1, 8086:1592, ice)\n"
           "    for programs    nothing: the kernel's ib_uverbs doesn't serve it\n"
           "    port 1          ACTIVE, LinkUp, Ethernet, 25 Gb/sec (1X EDR), network device "
           "ens2f1\n"
           "      GID 0         fe80::a94:efff:fe12:3456 (RoCE v2, ens2f1)\n"
           "  rocep24s1         virtual function (0000:18:01.0, told by its id 8086:1889, iavf)\n"
           "    for programs    nothing: the kernel's ib_uverbs doesn't serve it\n"
           "    port 1          DOWN\n"
           "\nNetwork devices\n"
           "  ens2f1            physical function (0000:17:00.1, 8086:1592, ice)\n"
           "    link            up, 25000 Mbit/s, packets of 9000 bytes\n" NO_MEMORY);
}

/* Passed through to a VM, each in the place of the one before it. From the drivers' tables; see devices/ids.c. */
static void each_family_in_a_guest(void **state)
{
    static const struct {
        const char *id, *driver, *shown;
    } families[] = {
        {"0x15b3 0x1002", "mlx4_core", "virtual function"},  /* ConnectX-2 */
        {"0x15b3 0x1004", "mlx4_core", "virtual function"},  /* ConnectX-3, on Azure too */
        {"0x15b3 0x1014", "mlx5_core", "virtual function"},  /* ConnectX-4 */
        {"0x15b3 0x1016", "mlx5_core", "virtual function"},  /* ConnectX-4 Lx, on Azure too */
        {"0x15b3 0x101e", "mlx5_core", "virtual function"},  /* ConnectX-6 Dx and all later ones */
        {"0x15b3 0x1021", "mlx5_core", "physical function"}, /* ConnectX-7 */
        {"0x14e4 0x16dc", "bnxt_en", "virtual function"},    /* BCM5741x */
        {"0x14e4 0x1806", "bnxt_en", "virtual function"},    /* BCM5750x */
        {"0x14e4 0x1819", "bnxt_en", "virtual function"},    /* BCM5760x */
        {"0x14e4 0x1750", "bnxt_en", "physical function"},
        {"0x8086 0x154c", "iavf", "virtual function"}, /* 700 series */
        {"0x8086 0x1889", "iavf", "virtual function"}, /* E800 series */
        {"0x8086 0x145c", "idpf", "virtual function"},
        {"0x8086 0x1592", "ice", "physical function"},
        {"0x19e5 0xa22f", "hns3", "virtual function"},
        {"0x19e5 0xa222", "hns3", "physical function"},
        {"0x1d0f 0xefa0", "efa", "virtual function"},
        {"0x1d0f 0xefa4", "efa", "virtual function"},
        {"0x1414 0x00ba", "mana", "virtual function"},
        {"0x1414 0x00b9", "mana", "physical function"},
        {"0x1077 0x8090", "qede", "virtual function"},
        {"0x15ad 0x0820", "vmw_pvrdma", "virtual device"},
        {"0x1ae0 0x0042", "gvnic", "virtual device"},
        {"0x1af4 0x1000", "virtio-pci", "virtual device"},
    };

    put_class("infiniband", "device0", "pci/0000:00:05.0");
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        const struct ferry_bus_place *bus = &devices.rdmas[0].bus;

        put_pci("0000:00:05.0", families[i].id, families[i].driver);
        ferry_devices_find(root, &devices);
        assert_int_equal(devices.rdma_count, 1);
        if (strcmp(ferry_function_name(bus->function), families[i].shown) != 0)
            fail_msg("%s is no %s", families[i].id, families[i].shown);
        assert_int_equal(bus->by_id, bus->function == FERRY_FUNCTION_VIRTUAL);
        assert_string_equal(bus->driver, families[i].driver);
        assert_string_equal(bus->parent, "");
    }
}

static void subfunction(void **state)
{
    put_pci("0000:08:00.0", "0x15b3 0xa2d6", "mlx5_core");
    put("/sys/devices/pci/0000:08:00.0/sriov_numvfs", "4\n");
    link_in("/sys/devices/pci/0000:08:00.0/mlx5_core.sf.2", "subsystem", "../../../../bus/",
            "auxiliary");
    link_in("/sys/devices/pci/0000:08:00.0/mlx5_core.sf.2", "driver",
            "../../../../bus/auxiliary/drivers/", "mlx5_core.sf");
    put_class("net", "enp8s0f0s88", "pci/0000:08:00.0/mlx5_core.sf.2");
    expect(NO_RDMA
           "\nNetwork devices\n"
           "  enp8s0f0s88       virtual function (mlx5_core.sf.2, 15b3:a2d6, mlx5_core.sf)\n"
           "    link            state not known\n" NO_MEMORY);
}

/* Some kernels hang Soft-RoCE below the hardware of its network device, others don't. */
static void soft_roce_on_an_igb_function(void **state)
{
    const char *folder;

    put_pci("0000:00:04.0", "0x8086 0x10ca", "igbvf");
    put_net("eth1", "pci/0000:00:04.0", "up\n", "1000\n");
    folder = put_class("infiniband", "rxe0", "pci/0000:00:04.0");
    put_in(folder, "parent", "eth1\n");
    put_port(folder, "Ethernet\n", "2.5 Gb/sec (1X SDR)\n");
    put_in("/sys/devices/virtual/infiniband/rxe1", "node_desc", "rxe\n");
    link_in("/sys/class/infiniband", "rxe1", "../../devices/virtual/infiniband/", "rxe1");
    put_port("/sys/devices/virtual/infiniband/rxe1", "Ethernet\n", "\n");
    put_gid("/sys/devices/virtual/infiniband/rxe1", 0, V4_GID, "RoCE v2\n", "eth1\n");
    expect("RDMA devices\n"
           "  rxe0              Soft-RoCE, a virtual device (0000:00:04.0, 8086:10ca)\n"
           "    for programs    nothing: the kernel's ib_uverbs doesn't serve it\n"
           "    port 1          ACTIVE, LinkUp, Ethernet, 2.5 Gb/sec (1X SDR), network device "
           "eth1\n"
           "  rxe1              Soft-RoCE, a virtual device\n"
           "    for programs    nothing: the kernel's ib_uverbs doesn't serve it\n"
           "    port 1          ACTIVE, LinkUp, Ethernet, network device eth1\n"
           "      GID 0         10.1.2.3 (RoCE v2, eth1)\n"
           "\nNetwork devices\n"
           "  eth1              virtual function (0000:00:04.0, told by its id 8086:10ca, igbvf)\n"
           "    link            up, 1000 Mbit/s, packets of 9000 bytes\n" NO_MEMORY);
}

static void virtio_bridge_and_veth(void **state)
{
    put_pci("0000:00:03.0", "0x1af4 0x1041", "virtio-pci");
    link_in("/sys/devices/pci/0000:00:03.0/virtio0", "subsystem", "../../../../bus/", "virtio");
    link_in("/sys/devices/pci/0000:00:03.0/virtio0", "driver", "../../../../bus/virtio/drivers/",
            "virtio_net");
    put_class("net", "eth0", "pci/0000:00:03.0/virtio0");
    /* One level deeper than the others. */
    link_in("/sys/class/net", "eth0", "../../devices/pci/0000:00:03.0/virtio0/net/", "eth0");
    put("/sys/class/net/eth0/operstate", "up\n");
    put_soft("docker0", "DEVTYPE=bridge\nINTERFACE=docker0\n", "7\n");
    link_in(put_soft("veth2", "INTERFACE=veth2\n", "2\n"), "master", "../", "docker0");
    put_in(put_soft("lo", "", "7\n"), "type", "772\n");
    put_in(put_soft("tap10", "", "7\n"), "tun_flags", "0x1002\n");
    put("/sys/class/net/bonding_masters", "\n");
    expect(NO_RDMA "\nNetwork devices\n"
                   "  eth0              virtual device (virtio0, 1af4:1041, virtio_net)\n"
                   "    link            up\n"
                   "  docker0           bridge, virtual device\n"
                   "    link            up\n"
                   "  lo                loopback, virtual device\n"
                   "    link            up\n"
                   "  tap10             tun, virtual device\n"
                   "    link            up\n"
                   "  veth2             virtual device, one end of a pair or on another device\n"
                   "    link            up, part of docker0\n" NO_MEMORY);
}

static void shared_memory(void **state)
{
    put_pci("0000:00:08.0", "0x1af4 0x1110", "x");
    put("/sys/devices/pci/0000:00:08.0/resource",
        "0x00000000febf1000 0x00000000febf10ff 0x0000000000040200\n"
        "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
        "0x00000000fc000000 0x00000000fdffffff 0x000000000014220c\n");
    put("/sys/devices/pci/0000:00:08.0/resource2", "");
    put_pci("0000:00:09.0", "0x1af4 0x1110", "x");
    put("/sys/devices/pci/0000:00:09.0/resource", "0xffff 0 5\n0 0 0\n0 0xffffffffffffffff 1\n");
    put("/sys/bus/dax/devices/dax0.0/size", "2147483648\n");
    put("/sys/bus/dax/devices/dax0.0/numa_node", "0\n");
    put("/dev/dax0.0", "");
    put("/sys/bus/dax/devices/dax1.0/size", "4097\n");
    expect(NO_RDMA "\nNetwork devices\n  none\n"
                   "\nMemory shared between VMs (ivshmem)\n"
                   "  0000:00:08.0      32 MiB, this user may open it\n"
                   "  0000:00:09.0      size not known, this user can't open it: No such file or "
                   "directory\n"
                   "\nDAX devices\n"
                   "  dax0.0            2048 MiB, NUMA node 0, this user may open it\n"
                   "  dax1.0            4097 bytes, this user can't open it: No such file or "
                   "directory\n");
}

static void no_sys(void **state)
{
    expect("/sys can't be read here, so nothing is known of devices\n");
    put("/sys/class/net", "no folder\n");
    expect(NO_RDMA "\nNetwork devices\n  none\n" NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scene(mlx5_with_virtual_functions),
        in_scene(mlx5_on_azure),
        in_scene(efa),
        in_scene(irdma),
        in_scene(each_family_in_a_guest),
        in_scene(subfunction),
        in_scene(soft_roce_on_an_igb_function),
        in_scene(virtio_bridge_and_veth),
        in_scene(shared_memory),
        in_scene(no_sys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
