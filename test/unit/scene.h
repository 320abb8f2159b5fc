/*
 * A made-up machine to be placed: besides files (machine.h) it has namespaces, an environment and CPUID.
 */
#ifndef FERRY_TEST_SCENE_H
#define FERRY_TEST_SCENE_H

#include "machine.h"
#include "placement.h"

#include <unistd.h>

static char *environment[16];
static unsigned variables;
static struct {
    bool none;    /* no x86-64 */
    bool present; /* the bit of leaf 1 */
    uint32_t leaf[8][5];
    unsigned leaves;
} processor;

static bool fake_cpuid(uint32_t leaf, uint32_t registers[4])
{
    memset(registers, 0, 4 * sizeof(uint32_t));
    if (processor.none)
        return false;
    if (leaf == 1)
        registers[2] = processor.present ? 1u << 31 : 0;
    for (unsigned i = 0; i < processor.leaves; i++)
        if (processor.leaf[i][0] == leaf)
            memcpy(registers, &processor.leaf[i][1], 4 * sizeof(uint32_t));
    return true;
}

static void set_leaf(uint32_t leaf, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    uint32_t *row = processor.leaf[processor.leaves++];

    row[0] = leaf, row[1] = a, row[2] = b, row[3] = c, row[4] = d;
}

/* The hypervisor's signature in a block of leaves. */
static void set_signature(uint32_t block, const char *signature)
{
    char text[13] = "";
    uint32_t r[3];

    snprintf(text, sizeof(text), "%s", signature);
    memcpy(r, text, sizeof(r));
    processor.present = true;
    set_leaf(block, block + 1, r[0], r[1], r[2]);
}

static void set_variable(const char *variable)
{
    environment[variables++] = (char *) variable;
}

static void put_link(const char *path, const char *target)
{
    char name[PATH_MAX];

    snprintf(name, sizeof(name), "%s%s", root, path);
    unlink(name);
    put(path, ""); /* the directories */
    assert_int_equal(unlink(name), 0);
    assert_int_equal(symlink(target, name), 0);
}

/* All namespaces are the machine's first, but for those in a list of words. */
static void put_namespaces(const char *own)
{
    static const char *const names[] = {"ipc",    "uts",  "user", "pid",
                                        "cgroup", "time", "net",  "mnt"};

    for (int i = 0; i < 8; i++) {
        char path[64], target[64];
        bool is_own = strstr(own, names[i]) != NULL;

        snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
        snprintf(target, sizeof(target), "%s:[%u]", names[i],
                 is_own ? 4026532500u + i : 4026531839u - i);
        put_link(path, target);
    }
}

static void put_dmi(const char *vendor, const char *product)
{
    put("/sys/class/dmi/id/sys_vendor", vendor);
    put("/sys/class/dmi/id/product_name", product);
}

static void clear_scene(void)
{
    memset(&processor, 0, sizeof(processor));
    memset(environment, 0, sizeof(environment));
    variables = 0;
}

static int make_scene(void **state)
{
    clear_scene();
    return make_machine(state);
}

static void find(struct ferry_placement *out)
{
    const struct ferry_scene scene = {root, environment, fake_cpuid};

    ferry_placement_find(&scene, out);
}

#define ID_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define PATH_A "/" ID_A
#define PATH_B "/" ID_B

/* The namespaces that most engines make. */
#define ALL "mnt pid ipc uts net cgroup"

static struct ferry_placement found;

/* The chain of levels, as text. */
static void expect_chain(const char *chain)
{
    char text[1024];

    find(&found);
    ferry_placement_text(&found, text, sizeof(text));
    assert_string_equal(text, chain);
    for (unsigned i = 0; i < found.count; i++)
        assert_true(found.levels[i].evidence[0] != '\0');
}

static void expect_evidence(unsigned level, const char *part)
{
    if (strstr(found.levels[level].evidence, part) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", found.levels[level].evidence, part);
}

/* A disk of the machine itself. */
#define DISK "25 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"

static void put_host(void)
{
    put_namespaces("");
    put("/proc/self/mountinfo", DISK);
    put("/proc/self/cgroup", "0::/user.slice/user-1000.slice/session-1.scope\n");
}

/* A Nitro instance. The board's tag: "Detect whether a host is an EC2 instance" of EC2's user guide; the vendor and the
 * type: what systemd's virt.c and its commits on EC2 take for granted. */
static void put_ec2(void)
{
    set_signature(0x40000000, "KVMKVMKVM");
    put_dmi("Amazon EC2\n", "c5n.18xlarge\n");
    put("/sys/class/dmi/id/bios_vendor", "Amazon EC2\n");
    put("/sys/class/dmi/id/board_asset_tag", "i-0123456789abcdef0\n");
}

#define EC2 "cloud Amazon EC2 (c5n.18xlarge, i-0123456789abcdef0) > VM KVM"

static void put_metal(void)
{
    put_dmi("Dell Inc.\n", "PowerEdge R640\n");
}

#define METAL "bare metal Dell Inc. (PowerEdge R640)"

#define in_scene(test) cmocka_unit_test_setup_teardown(test, make_scene, remove_machine)

#endif
