/*
 * Which machine a process runs on, of machines that are told by what their files say.
 */
#include "scene.h"

#include "clock.h"

#include <sys/socket.h>
#include <sys/un.h>

/* ---- Machines ---- */

static void bare_metal(void **state)
{
    put_metal();
    put_host();
    expect_chain(METAL);
    expect_evidence(0, "CPUID denies");
    /* Intel's processors answer leaves that they don't have with another leaf's numbers. */
    set_leaf(0x40000000, 7, 0x140, 0x1, 0x123456);
    expect_chain(METAL);
}

static void ec2_nitro(void **state)
{
    put_ec2();
    put_host();
    expect_chain(EC2);
    expect_evidence(0, "sys_vendor is \"Amazon EC2\"");
    expect_evidence(1, "CPUID says \"KVMKVMKVM\"");
}

/* systemd tells these by their type, too: the commit "virt: Improve detection of EC2 metal instances". */
static void ec2_metal(void **state)
{
    put_dmi("Amazon EC2\n", "c5.metal\n");
    put_host();
    expect_chain("cloud Amazon EC2 (c5.metal) > bare metal Amazon EC2 (c5.metal)");
}

static void ec2_arm64(void **state)
{
    processor.none = true;
    put_dmi("Amazon EC2\n", "c6g.metal\n");
    put_host();
    expect_chain("cloud Amazon EC2 (c6g.metal) > bare metal Amazon EC2 (c6g.metal)");
    put_dmi("Amazon EC2\n", "c6g.large\n");
    expect_chain("cloud Amazon EC2 (c6g.large) > VM KVM");
}

/* The build's name: what machines of that time reported publicly; the uuid in xen_pv: the page of EC2's user guide that
 * scene.h names. */
static void ec2_xen(void **state)
{
    set_signature(0x40000000, "XenVMMXenVMM");
    set_leaf(0x40000001, 4 << 16 | 11, 0, 0, 0);
    put_dmi("Xen\n", "HVM domU\n");
    put("/sys/class/dmi/id/bios_version", "4.11.amazon\n");
    put("/sys/hypervisor/type", "xen\n");
    put("/sys/hypervisor/guest_type", "HVM\n");
    put("/sys/hypervisor/version/major", "4\n");
    put("/sys/hypervisor/version/minor", "11\n");
    put("/sys/hypervisor/version/extra", ".amazon\n");
    put_host();
    expect_chain("cloud Amazon EC2 > VM Xen 4.11.amazon (HVM)");
}

/* Linux's Documentation/ABI/stable and testing/sysfs-hypervisor-xen. */
static void xen_pv(void **state)
{
    put("/sys/hypervisor/type", "xen\n");
    put("/sys/hypervisor/guest_type", "PV\n");
    put("/sys/hypervisor/version/major", "4\n");
    put("/sys/hypervisor/version/minor", "17\n");
    put("/sys/hypervisor/version/extra", ".3\n");
    put("/sys/hypervisor/properties/features", "000001ff\n");
    put("/sys/class/net/eth0/mtu", "1500\n");
    put_host();
    expect_chain("VM Xen 4.17.3 (PV)");
    put("/sys/hypervisor/uuid", "ec2f0a3b-0000-0000-0000-000000000000\n");
    expect_chain("cloud Amazon EC2 > VM Xen 4.17.3 (PV)");
}

static void xen_hvm(void **state)
{
    set_signature(0x40000000, "XenVMMXenVMM");
    set_leaf(0x40000001, 4 << 16 | 17, 0, 0, 0);
    put_dmi("Xen\n", "HVM domU\n");
    put("/sys/hypervisor/type", "xen\n");
    put("/sys/hypervisor/guest_type", "HVM\n");
    put("/sys/hypervisor/properties/features", "00000705\n");
    put("/sys/hypervisor/uuid", "4a1c8e0e-7c52-4f4c-9d56-0e3c1f2a5b6d\n");
    put("/proc/xen/capabilities", "");
    put_host();
    expect_chain("VM Xen 4.17 (HVM)");
    put("/sys/hypervisor/guest_type", "PVH\n");
    expect_chain("VM Xen 4.17 (PVH)");
    /* There all guests are of one kind. */
    processor.none = true;
    put_dmi("", "");
    put("/sys/hypervisor/guest_type", "Xen\n");
    put("/proc/device-tree/hypervisor/compatible", "xen,xen-4.17");
    expect_chain("VM Xen (Xen)");
}

static void xen_dom0(void **state)
{
    put_metal();
    put("/sys/hypervisor/type", "xen\n");
    put("/sys/hypervisor/properties/features", "00000bff\n");
    put_host();
    expect_chain("VM Xen (dom0)");
    put("/sys/hypervisor/properties/features", "000003ff\n");
    put("/proc/xen/capabilities", "control_d\n");
    expect_chain("VM Xen (dom0)");
}

/* The tag: cloud-init's documentation of Azure and its ds-identify; versions: Hyper-V's "Hypervisor Top-Level
 * Functional Specification". Devices are none of this; test/unit/devices.c has the network's. */
static void azure_with_a_virtual_function(void **state)
{
    set_signature(0x40000000, "Microsoft Hv");
    set_leaf(0x40000002, 20348, 10 << 16, 0, 0);
    set_leaf(0x40000003, 0x2e7f, 0x3b8030 & ~1, 2, 0xbed7b2);
    put_dmi("Microsoft Corporation\n", "Virtual Machine\n");
    put("/sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n");
    put("/sys/class/infiniband/mlx5_0/node_type", "1: CA\n");
    put("/sys/class/infiniband/mlx5_0/device/vendor", "0x15b3\n");
    put_host();
    expect_chain("cloud Azure > VM Hyper-V 10.0.20348");
    processor.none = true; /* arm64 */
    expect_chain("cloud Azure > VM Hyper-V");
    put("/sys/class/dmi/id/chassis_asset_tag", "\n"); /* somebody's own Hyper-V */
    expect_chain("VM Hyper-V");
}

static void hyper_v_in_hyper_v(void **state)
{
    set_signature(0x40000000, "Microsoft Hv");
    set_leaf(0x40000004, 1 << 12, 0, 0, 0);
    put_dmi("Microsoft Corporation\n", "Virtual Machine\n");
    put_host();
    expect_chain("VM Hyper-V > VM Hyper-V 0.0.0");
}

static void hyper_v_s_own_system(void **state)
{
    set_signature(0x40000000, "Microsoft Hv");
    set_leaf(0x40000002, 26100, 10 << 16, 0, 0);
    set_leaf(0x40000003, 0, 1, 0, 0);
    put_metal();
    put_host();
    expect_chain("VM Hyper-V 10.0.26100 (root partition)");
}

/* "Detect if a VM is running in Compute Engine" of Compute Engine's documentation. */
static void google(void **state)
{
    set_signature(0x40000000, "KVMKVMKVM");
    put_dmi("Google\n", "Google Compute Engine\n");
    put_host();
    expect_chain("cloud Google Compute Engine > VM KVM");
    processor.none = true; /* arm64 */
    expect_chain("cloud Google Compute Engine > VM KVM");
}

static void openstack_and_others(void **state)
{
    set_signature(0x40000000, "KVMKVMKVM");
    put_dmi("OpenStack Foundation\n", "OpenStack Nova\n");
    put_host();
    expect_chain("cloud OpenStack > VM KVM");
    put_dmi("Alibaba Cloud\n", "Alibaba Cloud ECS\n");
    expect_chain("cloud Alibaba Cloud > VM KVM");
    put_dmi("QEMU\n", "Standard PC (i440FX + PIIX, 1996)\n");
    put("/sys/class/dmi/id/chassis_asset_tag", "OracleCloud.com\n");
    expect_chain("cloud Oracle Cloud > VM KVM (QEMU)");
}

static void emulated(void **state)
{
    put_dmi("QEMU\n", "Standard PC (Q35 + ICH9, 2009)\n");
    put_host();
    expect_chain("VM QEMU"); /* tcg-cpuid=off */
    set_signature(0x40000000, "TCGTCGTCGTCG");
    processor.present = false; /* hypervisor=off */
    expect_chain("VM QEMU TCG");
    expect_evidence(0, "denies");
    /* OpenStack's firmware on it: it is no KVM for that. */
    put_dmi("OpenStack Foundation\n", "OpenStack Nova\n");
    expect_chain("cloud OpenStack > VM QEMU TCG");
}

static void micro_vm(void **state)
{
    static const char dsdt[] = "DSDTS\xf\1\1\2wFIRECKFCVMDSDT\1\1\1\1FCAT\x19\1$ ";

    set_signature(0x40000000, "KVMKVMKVM");
    put("/sys/class/net/eth0/mtu", "1500\n");
    put("/.dockerenv", ""); /* its disk was made of an image */
    put_host();
    expect_chain("VM KVM (a micro-VM)");
    assert_non_null(strstr(found.note, "/.dockerenv"));
    put("/sys/firmware/acpi/tables/DSDT", dsdt);
    expect_chain("VM KVM (Firecracker)");
    put("/sys/class/dmi/id/x", ""); /* masked */
    expect_chain("VM KVM");
    expect_evidence(0, "DMI can't be read");
}

static void one_that_poses_as_another(void **state)
{
    put_host();
    set_signature(0x40000000, "Microsoft Hv");
    set_signature(0x40000100, "XenVMMXenVMM");
    set_leaf(0x40000101, 4 << 16 | 17, 0, 0, 0);
    set_leaf(0x40000004, 1 << 12, 0, 0, 0);
    expect_chain("VM Xen 4.17");
    set_signature(0x40000200, "KVMKVMKVM");
    put_dmi("QEMU\n", "Standard PC (Q35 + ICH9, 2009)\n");
    expect_chain("VM KVM (QEMU)");
    put_dmi("innotek GmbH\n", "VirtualBox\n");
    expect_chain("VM VirtualBox");
}

static void others_by_cpuid(void **state)
{
    static const char *const names[][2] = {
        {"VMwareVMware", "VM VMware"}, {"VBoxVBoxVBox", "VM VirtualBox"},
        {"bhyve bhyve ", "VM bhyve"},  {" lrpepyh  vr", "VM Parallels"},
        {"ACRNACRNACRN", "VM ACRN"},   {"\033[31mSomeone", "VM"},
        {"Linux KVM Hv", "VM KVM"},
    };

    put_host();
    put_dmi("Somebody\n", "Something\n");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        processor.leaves = 0;
        set_signature(0x40000000, names[i][0]);
        expect_chain(names[i][1]);
    }
}

/* hw/arm/virt.c of QEMU names the machine so. */
static void arm64_on_kvm(void **state)
{
    processor.none = true;
    put_host();
    put_dmi("QEMU\n", "KVM Virtual Machine\n");
    put("/sys/class/net/eth0/mtu", "1500\n");
    expect_chain("VM KVM (QEMU)");
    put_dmi("QEMU\n", "QEMU Virtual Machine\n");
    expect_chain("VM QEMU TCG");
}

/* Documentation/devicetree/bindings/arm/xen.txt and virt/kvm/ppc-pv.rst of Linux; the board is hw/arm/virt.c's. */
static void arm64_by_device_tree(void **state)
{
    processor.none = true;
    put_host();
    put("/proc/device-tree/compatible", "raspberrypi,4-model-b");
    put("/sys/class/net/eth0/mtu", "1500\n");
    expect_chain("bare metal (raspberrypi,4-model-b)");
    put("/proc/device-tree/compatible", "linux,dummy-virt");
    expect_chain("VM");
    put("/proc/device-tree/hypervisor/compatible", "linux,kvm");
    expect_chain("VM KVM (a micro-VM)");
    put("/proc/device-tree/hypervisor/compatible", "xen,xen-4.17");
    expect_chain("VM Xen");
}

/* ---- Namespaces ---- */

static void namespaces_of_older_kernels(void **state)
{
    put_namespaces("");
    put_link("/proc/self/ns/mnt", "mnt:[4026531841]");
    put_link("/proc/self/ns/net", "net:[4026531992]");
    find(&found);
    assert_int_equal(found.namespaces.state[FERRY_NS_MNT], FERRY_NS_INITIAL);
    assert_int_equal(found.namespaces.state[FERRY_NS_NET], FERRY_NS_INITIAL);
    put_link("/proc/self/ns/mnt", "mnt:[4026532210]");
    put_link("/proc/self/ns/net", "net:[4026532213]");
    find(&found);
    assert_int_equal(found.namespaces.state[FERRY_NS_MNT], FERRY_NS_OWN);
    assert_int_equal(found.namespaces.state[FERRY_NS_NET], FERRY_NS_OWN);
    /* Process 1 knows better. */
    put_link("/proc/1/ns/net", "net:[4026532213]");
    find(&found);
    assert_int_equal(found.namespaces.state[FERRY_NS_NET], FERRY_NS_INITIAL);
}

/* ---- What can't be read ---- */

static void nothing_can_be_read(void **state)
{
    processor.none = true;
    expect_chain("unknown machine > unknown container");
    expect_evidence(0, "can't be known");
    expect_evidence(1, "can't be known");
}

static void masked(void **state)
{
    set_signature(0x40000000, "KVMKVMKVM");
    expect_chain("VM KVM > unknown container");
    expect_evidence(0, "in which cloud can't be known");
    put("/.dockerenv", "");
    expect_chain("VM KVM > container docker");
}

/* Things that would block, or be shown, or be too long. */
static void odd_files(void **state)
{
    static const char *const fifos[] = {
        "/sys/class/dmi/id/sys_vendor", "/proc/self/mountinfo",   "/proc/self/cgroup",
        "/run/.containerenv",           "/run/systemd/container", "/proc/sys/kernel/osrelease"};
    char name[PATH_MAX], *text = malloc(1 << 20);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    put_namespaces(ALL);
    for (size_t i = 0; i < sizeof(fifos) / sizeof(fifos[0]); i++) {
        put_link(fifos[i], "x"); /* makes the directories */
        snprintf(name, sizeof(name), "%s%s", root, fifos[i]);
        assert_int_equal(unlink(name), 0);
        assert_int_equal(mkfifo(name, 0600), 0);
    }
    put_link("/sys/class/dmi/id/product_name", "/dev/zero");
    put_link("/run/host/container-manager", "container-manager"); /* in a circle */
    put_link("/dev/lxd/x", "y");
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/dev/lxd/sock", root);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
    put("/sys/class/dmi/id/bios_vendor/x", "a directory");
    expect_chain("bare metal > container LXD > container podman");

    memset(text, 'x', 1 << 20);
    text[(1 << 20) - 1] = '\0';
    put("/sys/hypervisor/type", text);
    put("/proc/1/environ", text);
    put("/proc/device-tree/compatible", "\033]0;title\a\"\\\xc3\xa4\r\n");
    expect_chain("bare metal (?]0;title?\"\\?"
                 "?) > container LXD > container podman");
    free(text);
    close(fd);
}

static void deep_cgroups_fill_the_chain(void **state)
{
    char path[4096] = "0::";

    for (int i = 0; i < 40; i++)
        snprintf(path + strlen(path), sizeof(path) - strlen(path), "/docker/%064x", i + 1);
    put_metal();
    put_namespaces(ALL);
    put("/proc/self/cgroup", path);
    find(&found);
    assert_int_equal(found.count, FERRY_LEVELS_MAX);
}

/* ---- Here ---- */

static void it_is_quick(void **state)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < 20; i++) {
        uint64_t begin = ferry_now_ns();

        ferry_placement_here(&found);
        if (ferry_now_ns() - begin < best)
            best = ferry_now_ns() - begin;
    }
    print_message("%u us\n", (unsigned) (best / 1000));
    assert_true(found.count > 0);
    /* It takes 0.1 to 0.6 ms, some more under emulation; what waits for something takes longer. */
    assert_true(best < 50000000);
}

static void text_is_cut(void **state)
{
    char text[12], one[1];

    put_ec2();
    find(&found);
    ferry_placement_text(&found, text, sizeof(text));
    assert_string_equal(text, "cloud Amazo");
    ferry_placement_text(&found, one, sizeof(one));
    assert_string_equal(one, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scene(bare_metal),
        in_scene(ec2_nitro),
        in_scene(ec2_metal),
        in_scene(ec2_arm64),
        in_scene(ec2_xen),
        in_scene(xen_pv),
        in_scene(xen_hvm),
        in_scene(xen_dom0),
        in_scene(azure_with_a_virtual_function),
        in_scene(hyper_v_in_hyper_v),
        in_scene(hyper_v_s_own_system),
        in_scene(google),
        in_scene(openstack_and_others),
        in_scene(emulated),
        in_scene(micro_vm),
        in_scene(one_that_poses_as_another),
        in_scene(others_by_cpuid),
        in_scene(arm64_on_kvm),
        in_scene(arm64_by_device_tree),
        in_scene(namespaces_of_older_kernels),
        in_scene(nothing_can_be_read),
        in_scene(masked),
        in_scene(odd_files),
        in_scene(deep_cgroups_fill_the_chain),
        in_scene(it_is_quick),
        in_scene(text_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
