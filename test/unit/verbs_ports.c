/*
 * Which ports of RDMA devices would be used, and what is said of the others, of machines that are told by what their /sys
 * says.
 */
#include "sysfs.h"

#include "ports.h"
#include "survey.h"

#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static struct ferry_survey survey;

/* ---- Making devices ---- */

/* As put_class() with one port that is up, a node, and a driver. */
static const char *put_rdma(const char *name, const char *address, unsigned number)
{
    char verbs[32], line[40], below[40];
    const char *folder;

    put_pci(address, "0x15b3 0x1018", "mlx5_core");
    snprintf(below, sizeof(below), "pci/%s", address);
    folder = put_class("infiniband", name, below);
    put_in(folder, "node_type", "1: CA\n");
    put_port(folder, "Ethernet\n", "100 Gb/sec (4X EDR)\n");
    snprintf(verbs, sizeof(verbs), "uverbs%u", number);
    snprintf(line, sizeof(line), "%s\n", name);
    put_verbs(verbs, line, true);
    return folder;
}

static void put_cpus(const char *address, const char *cpus, const char *node)
{
    char folder[64];

    snprintf(folder, sizeof(folder), "/sys/devices/pci/%s", address);
    put_in(folder, "local_cpulist", cpus);
    put_in(folder, "numa_node", node);
}

/* The good ones, each with its distance: "mlx5_0:1 10 ". */
static void expect_ports(const char *wanted, const char *good)
{
    struct ferry_verbs_judged judged[FERRY_VERBS_PORTS_MAX];
    char text[512] = "";
    size_t used = 0;
    unsigned count;

    ferry_devices_find(root, &devices);
    count = ferry_verbs_judge(root, &devices, wanted, judged);
    for (unsigned i = 0; i < count; i++)
        if (judged[i].obstacle == FERRY_PORT_GOOD)
            used += (size_t) snprintf(text + used, sizeof(text) - used, "%s:%u %u ",
                                      judged[i].device->name, judged[i].port->number,
                                      judged[i].distance);
    assert_string_equal(text, good);
}

/* ---- The choice ---- */

static void nearest_first(void **state)
{
    cpu_set_t one, before;
    char here[32];
    int cpu = sched_getcpu();

    assert_true(cpu >= 0);
    assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
    CPU_ZERO(&one);
    CPU_SET((size_t) cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    snprintf(here, sizeof(here), "5000,%d-%d\n", cpu, cpu);
    put_rdma("mlx5_0", "0000:10:00.0", 0);
    put_cpus("0000:10:00.0", "6000-6003\n", "3\n");
    put_rdma("mlx5_1", "0000:20:00.0", 1); /* the kernel says nothing of it */
    put_rdma("mlx5_2", "0000:30:00.0", 2);
    put_cpus("0000:30:00.0", here, "0\n");
    put_rdma("mlx5_3", "0000:40:00.0", 3);
    put_cpus("0000:40:00.0", "6004\n", "1\n");
    put_rdma("mlx5_4", "0000:50:00.0", 4);
    put_cpus("0000:50:00.0", "6005-6000,7\n", "-1\n");
    expect_ports("", "mlx5_2:1 10 mlx5_1:1 15 mlx5_0:1 20 mlx5_3:1 20 mlx5_4:1 20 ");
    /* Node 2 is none here. */
    put("/sys/devices/system/node/node0/cpulist", here);
    put("/sys/devices/system/node/node0/distance", "10 12 32\n");
    put("/sys/devices/system/node/node1/cpulist", "6004\n");
    put("/sys/devices/system/node/node1/distance", "12 10 32\n");
    put("/sys/devices/system/node/node3/cpulist", "6000-6003\n");
    put("/sys/devices/system/node/node3/distance", "32 32 10\n");
    expect_ports("", "mlx5_2:1 10 mlx5_3:1 12 mlx5_1:1 15 mlx5_4:1 20 mlx5_0:1 32 ");
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

static void quick_ones_and_hardware_first(void **state)
{
    put_in(put_rdma("a0", "0000:10:00.0", 0), "ports/1/rate", "10 Gb/sec (4X SDR)\n");
    put_in(put_rdma("rxe0", "0000:20:00.0", 1), "parent", "eth0\n");
    put_rdma("z1", "0000:30:00.0", 2);
    put_rdma("z10", "0000:40:00.0", 3);
    put_rdma("z2", "0000:50:00.0", 4);
    expect_ports("", "z1:1 15 z2:1 15 z10:1 15 a0:1 15 rxe0:1 15 ");
}

static void only_those_that_work(void **state)
{
    const char *folder;

    put_in(put_rdma("down", "0000:10:00.0", 0), "ports/1/state", "1: DOWN\n");
    put_in(put_rdma("iwarp", "0000:20:00.0", 1), "node_type", "4: RNIC\n");
    put_in(put_rdma("efa", "0000:30:00.0", 2), "ports/1/link_layer", "Unspecified\n");
    put_class("infiniband", "no_uverbs", "pci/0000:30:00.0");
    folder = put_rdma("two", "0000:40:00.0", 4);
    put_in(folder, "ports/2/state", "4: ACTIVE\n");
    put_in(folder, "ports/2/link_layer", "InfiniBand\n");
    put_rdma("no_node", "0000:50:00.0", 5);
    assert_int_equal(chdir(root), 0);
    assert_int_equal(unlink("dev/infiniband/uverbs5"), 0);
    expect_ports("", "two:1 15 two:2 15 ");
    expect_ports("two:2", "two:2 15 ");
    expect_ports("down, two", "two:1 15 two:2 15 ");
    expect_ports(" , ", "two:1 15 two:2 15 ");
    expect_ports("tw", "");
    assert_int_equal(chdir("/"), 0);
}

static void names_that_are_not_there(void **state)
{
    char text[64];

    put_rdma("mlx5_0", "0000:10:00.0", 0);
    put_in(put_rdma("mlx5_1", "0000:20:00.0", 1), "ports/2/state", "1: DOWN\n");
    ferry_devices_find(root, &devices);
    assert_false(ferry_verbs_missing(&devices, "", text, sizeof(text)));
    assert_false(ferry_verbs_missing(&devices, "mlx5_1:2,mlx5_0", text, sizeof(text)));
    assert_true(ferry_verbs_missing(&devices, "mlx5_0,mlx5_2", text, sizeof(text)));
    assert_string_equal(text, "mlx5_2; there are: mlx5_0:1, mlx5_1:1, mlx5_1:2");
    assert_true(ferry_verbs_missing(&devices, "mlx5_0:2", text, 30));
    assert_string_equal(text, "mlx5_0:2; there are: mlx5_0:1");
    devices.rdma_count = 0;
    assert_true(ferry_verbs_missing(&devices, "mlx5_0", text, sizeof(text)));
    assert_string_equal(text, "mlx5_0; there are: none");
}

/* ---- What is said ---- */

static bool says(const char *label, const char *part)
{
    for (unsigned i = 0; i < survey.count; i++)
        if (strcmp(survey.facts[i].label, label) == 0 && strstr(survey.facts[i].text, part) != NULL)
            return true;
    fprintf(stderr, "\"%s\" does not say \"%s\"\n", label, part);
    return false;
}

static void look(const char *wanted)
{
    memset(&survey, 0, sizeof(survey));
    ferry_verbs_survey_in(root, wanted, &survey);
}

static void expect_reason(const char *wanted, const char *why, const char *help)
{
    look(wanted);
    assert_false(survey.usable);
    if (!strstr(survey.why, why))
        fail_msg("\"%s\" does not say \"%s\"", survey.why, why);
    if (!strstr(survey.help, help))
        fail_msg("\"%s\" does not say \"%s\"", survey.help, help);
}

static void a_good_port(void **state)
{
    const char *folder = put_rdma("mlx5_0", "0000:10:00.0", 0);

    put_gid(folder, 3, V4_GID, "RoCE v2\n", "ens1\n");
    put_gid(folder, 4, LOCAL_GID, "IB/RoCE v1\n", "ens1\n");
    put_in(put_rdma("mlx5_1", "0000:20:00.0", 1), "ports/1/state", "1: DOWN\n");
    put_net("ens2", "pci/0000:20:00.0", "down\n", "-1\n");
    look("");
    assert_string_equal(survey.why, "");
    assert_true(survey.usable);
    assert_true(says("mlx5_0:1", "RoCE, virtual function, 100 Gb/sec (4X EDR); GIDs 3: 10.1.2.3 "
                                 "(RoCE v2), 4: fe80::a94:efff:fe12:3456 (IB/RoCE v1)"));
    assert_true(says("mlx5_1:1", "not used: it is DOWN"));
    assert_true(says("may lock", "memory"));
    put("/sys/class/infiniband/mlx5_0/parent", "ens1\n");
    look("");
    assert_true(says("mlx5_0:1", "RoCE, Soft-RoCE over ens1, 100"));
    look("mlx5_9,mlx5_0");
    assert_true(survey.usable);
    assert_true(says("not there", "mlx5_9; there are: mlx5_0:1, mlx5_1:1"));
    assert_true(says("mlx5_1:1", "left out by FERRY_VERBS_DEVICE"));
    expect_reason("mlx5_9", "FERRY_VERBS_DEVICE names mlx5_9; there are: mlx5_0:1, mlx5_1:1",
                  "name what is there");
    expect_reason("mlx5_1", "mlx5_1:1 is DOWN", "ip link set ens2 up");
}

/* The longest text is cut where there is no more room. */
static void many_gids(void **state)
{
    const char *folder = put_rdma("mlx5_0", "0000:10:00.0", 0);

    for (unsigned i = 0; i < 16; i++)
        put_gid(folder, i, LOCAL_GID, "IB/RoCE v1\n", "ens1\n");
    look("");
    assert_true(survey.usable);
    assert_true(says("mlx5_0:1", "..."));
}

static void what_is_missing(void **state)
{
    char node[PATH_MAX];

    expect_reason("", "/sys can't be read", "mount sysfs");
    put("/sys/class/net/x", "");
    expect_reason("", "there is no RDMA device here", "virtual function");
    put_port(put_class("infiniband", "mlx5_0", "pci/0000:10:00.0"), "InfiniBand\n", "\n");
    expect_reason("", "mlx5_0:1 is not given to programs", "modprobe ib_uverbs");
    put_verbs("uverbs0", "mlx5_0\n", false);
    expect_reason("", "/dev/infiniband/uverbs0: No such file", "--device /dev/infiniband");
    put_verbs("uverbs0", "mlx5_0\n", true);
    look("");
    assert_true(survey.usable);
    assert_true(says("mlx5_0:1", "InfiniBand, physical function, speed not known"));
    put("/sys/class/infiniband/mlx5_0/ports/1/state", "2: INIT\n");
    expect_reason("", "mlx5_0:1 is INIT", "subnet manager");
    put("/sys/class/infiniband/mlx5_0/ports/1/state", "4: ACTIVE\n");
    put("/sys/class/infiniband/mlx5_0/node_type", "4: RNIC\n");
    expect_reason("", "(iWARP)", "FERRY_FABRIC_PROVIDER");
    put("/sys/class/infiniband/mlx5_0/node_type", "1: CA\n");
    /* No ordinary user may open it. */
    snprintf(node, sizeof(node), "%s/dev/infiniband/uverbs0", root);
    assert_int_equal(unlink(node), 0);
    assert_int_equal(mkdir(node, 0700), 0);
    expect_reason("", "can't be opened by this user: /dev/infiniband/uverbs0: Is a directory",
                  "rule of udev open the node");
    if (geteuid() == 0) {
        assert_int_equal(chown(node, 0, 12345), 0);
        assert_int_equal(chmod(node, 0660), 0);
        expect_reason("", "uverbs0", "member of the group that owns it");
    }
}

/* ---- What this process may do ---- */

static void in_child(const char *transports, rlim_t memlock, bool (*check)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        struct rlimit limit = {memlock, memlock};

        setenv("FERRY_TRANSPORTS", transports, 1);
        if (setrlimit(RLIMIT_MEMLOCK, &limit) != 0)
            _exit(2);
        look("");
        _exit(check() ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static bool too_little_memory(void)
{
    return !survey.usable && strstr(survey.why, "may lock 64 KiB of memory") != NULL &&
           strstr(survey.help, "ulimit -l unlimited") != NULL;
}

static bool some_memory(void)
{
    return survey.usable && says("may lock", "1024 KiB of memory; no more");
}

static bool capable(void)
{
    return survey.usable && says("may lock", "the limit of 64 KiB doesn't bind CAP_IPC_LOCK");
}

static bool no_fabric(void)
{
    return !survey.usable && strstr(survey.why, "FERRY_TRANSPORTS=shm,verbs leaves fabric") != NULL;
}

static void limits(void **state)
{
    put_rdma("mlx5_0", "0000:10:00.0", 0);
    put("/proc/self/uid_map", "         0          0 4294967295\n");
    put("/proc/self/status", "Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t0000000000000000\n");
    in_child("verbs,fabric", 1 << 16, too_little_memory);
    in_child("verbs,fabric", 1 << 20, some_memory);
    in_child("shm,verbs", 1 << 20, no_fabric);
    put("/proc/self/status", "Name:\tx\nCapEff:\t0000000000004000\n");
    in_child("verbs,fabric", 1 << 16, capable);
    put("/proc/self/uid_map", "         0       1000          1\n");
    in_child("verbs,fabric", 1 << 16, too_little_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scene(limits), /* before this process has read its configuration */
        in_scene(nearest_first),
        in_scene(quick_ones_and_hardware_first),
        in_scene(only_those_that_work),
        in_scene(names_that_are_not_there),
        in_scene(a_good_port),
        in_scene(many_gids),
        in_scene(what_is_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
