/*
 * Bare metal or a VM, and whose.
 */
#include "parts.h"
#include "peek.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* ---- What firmware says ---- */

/* The hypervisors that DMI names. CERTAIN: also where CPUID has another name, since these offer their guests
 * the interface of KVM or Hyper-V. CLOUDS: where there is no CPUID; a cloud's firmware is that of its bare metal
 * too. */
static const struct firmware {
    const char *vendor, *product; /* how sys_vendor and product_name begin */
    const char *name;
    enum { USUAL, CERTAIN, CLOUDS } trust;
} firmwares[] = {
    {"QEMU", "KVM Virtual Machine", "KVM", USUAL}, /* arm64, hw/arm/virt.c */
    {"QEMU", "QEMU Virtual Machine", "QEMU TCG", USUAL},
    {"QEMU", "", "QEMU", USUAL},
    {"", "KVM", "KVM", USUAL},
    {"Red Hat", "RHEV", "KVM", USUAL},
    {"oVirt", "", "KVM", USUAL},
    {"Nutanix", "AHV", "KVM", USUAL},
    {"Cloud Hypervisor", "", "Cloud Hypervisor", USUAL},
    {"VMware", "", "VMware", USUAL},
    {"innotek GmbH", "", "VirtualBox", CERTAIN},
    {"", "VirtualBox", "VirtualBox", CERTAIN},
    {"Xen", "", "Xen", USUAL},
    {"Parallels", "", "Parallels", CERTAIN},
    {"BHYVE", "", "bhyve", USUAL},
    {"Microsoft Corporation", "Virtual Machine", "Hyper-V", USUAL},
    {"Apple Inc.", "Apple Virtualization", "Apple Virtualization", CERTAIN},
    {"Google", "Google Compute Engine", "KVM", CLOUDS},
    {"Alibaba Cloud", "Alibaba Cloud ECS", "KVM", CLOUDS},
    {"Amazon EC2", "", "KVM", CLOUDS}, /* Nitro, which is all there is on arm64 */
    {"OpenStack", "OpenStack", "", CLOUDS},
};

static const struct firmware *find_firmware(const struct ferry_dmi *dmi)
{
    for (size_t i = 0; i < sizeof(firmwares) / sizeof(firmwares[0]); i++)
        if (begins(dmi->sys_vendor, firmwares[i].vendor) &&
            begins(dmi->product_name, firmwares[i].product))
            return &firmwares[i];
    return NULL;
}

/* EC2 names instances without a hypervisor so: "m5.metal", "c6g.metal-16xl". */
static bool is_metal_instance(const struct ferry_dmi *dmi)
{
    return strstr(dmi->product_name, ".metal") != NULL;
}

/* ---- What the kernel shows ---- */

struct xen {
    bool found, first; /* first: it is dom0, which runs the others */
    char mode[16], version[32];
};

/* See Documentation/ABI/stable/sysfs-hypervisor-xen. */
static void find_xen(const char *root, struct xen *xen)
{
    enum { FEATURE_DOM0 = 1 << 11 }; /* XENFEAT_dom0 in Xen's public/features.h */
    char text[32], major[8], minor[8], extra[12];

    memset(xen, 0, sizeof(*xen));
    ferry_peek_line(root, "/sys/hypervisor/type", text, sizeof(text));
    xen->found = strcmp(text, "xen") == 0;
    if (ferry_peek_line(root, "/proc/xen/capabilities", text, sizeof(text)) >= 0) {
        xen->found = true;
        xen->first = strstr(text, "control_d") != NULL;
    }
    if (!xen->found)
        return;
    ferry_peek_line(root, "/sys/hypervisor/properties/features", text, sizeof(text));
    xen->first = xen->first || strtoul(text, NULL, 16) & FEATURE_DOM0;
    ferry_peek_line(root, "/sys/hypervisor/guest_type", xen->mode, sizeof(xen->mode));
    ferry_peek_line(root, "/sys/hypervisor/version/major", major, sizeof(major));
    ferry_peek_line(root, "/sys/hypervisor/version/minor", minor, sizeof(minor));
    ferry_peek_line(root, "/sys/hypervisor/version/extra", extra, sizeof(extra));
    if (major[0] != '\0')
        snprintf(xen->version, sizeof(xen->version), "%s.%s%s", major, minor, extra);
}

/* The device tree of a machine without x86's ways: its node "hypervisor" says what that is compatible with, and
 * QEMU's and other monitors' boards have names. Properties are strings with zeros between. */
struct tree {
    bool found;
    const char *name; /* NULL: no hypervisor's */
    char board[64], evidence[128];
};

static void find_tree(const char *root, struct tree *tree)
{
    static const char *const names[][2] = {
        {"linux,kvm", "KVM"}, {"xen,xen", "Xen"}, {"vmware", "VMware"}, {"microsoft", "Hyper-V"}};
    char text[64];

    memset(tree, 0, sizeof(*tree));
    tree->found = ferry_peek_line(root, "/proc/device-tree/compatible", tree->board,
                                  sizeof(tree->board)) > 0;
    if (ferry_peek_line(root, "/proc/device-tree/hypervisor/compatible", text, sizeof(text)) > 0) {
        tree->found = true;
        tree->name = "";
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (begins(text, names[i][0]))
                tree->name = names[i][1];
        snprintf(tree->evidence, sizeof(tree->evidence),
                 "device tree: hypervisor is compatible with \"%s\"", text);
    } else if (strcmp(tree->board, "linux,dummy-virt") == 0) {
        tree->name = "";
        snprintf(tree->evidence, sizeof(tree->evidence),
                 "device tree: the board is \"%s\", which no hardware is", tree->board);
    }
}

/* ---- Which monitor, beside KVM in the kernel, makes the machine ---- */

/* ACPI tables carry at byte 10 who made them (ACPI 6.5, 5.2.6); only root may read them. */
static const char *acpi_maker(const char *root)
{
    enum { AT = 10, LENGTH = 6, ROOM = 37 };
    static const char *const makers[][2] = {{"FIRECK", "Firecracker"},
                                            {"CLOUDH", "Cloud Hypervisor"},
                                            {"CROSVM", "crosvm"},
                                            {"BOCHS ", "QEMU"}};
    char table[ROOM];

    if (ferry_peek(root, "/sys/firmware/acpi/tables/DSDT", table, sizeof(table)) < AT + LENGTH)
        return NULL;
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
        if (memcmp(table + AT, makers[i][0], LENGTH) == 0)
            return makers[i][1];
    return NULL;
}

static void find_monitor(const struct ferry_scene *scene, const struct ferry_dmi *dmi,
                         struct ferry_level *level)
{
    const char *maker;

    if (dmi->found) {
        if (begins(dmi->sys_vendor, "QEMU") || begins(dmi->bios_vendor, "SeaBIOS"))
            ferry_set_text(level->model, sizeof(level->model), "QEMU");
        else if (begins(dmi->sys_vendor, "Cloud Hypervisor"))
            ferry_set_text(level->model, sizeof(level->model), "Cloud Hypervisor");
        return;
    }
    if (ferry_peek_exists(scene->root, "/sys/class/dmi/id")) {
        ferry_prove(level, "DMI can't be read: in which cloud can't be known");
        return;
    }
    if (!ferry_peek_exists(scene->root, "/sys/class"))
        return;
    maker = acpi_maker(scene->root);
    ferry_set_text(level->model, sizeof(level->model), maker != NULL ? maker : "a micro-VM");
    if (maker != NULL)
        ferry_prove(level, "its ACPI tables are %s's", maker);
    else
        ferry_prove(level, "there is no DMI, as in Firecracker and others; which of them it is the "
                           "ACPI tables may tell root, outside of containers");
}

/* ---- All together ---- */

struct facts {
    struct ferry_hypervisor cpu;
    struct xen xen;
    struct tree tree;
    const struct firmware *firmware;
};

static void prove_dmi(struct ferry_level *level, const struct ferry_dmi *dmi)
{
    ferry_prove(level, "DMI: sys_vendor is \"%s\", product_name \"%s\"", dmi->sys_vendor,
                dmi->product_name);
}

static void prove_cpu(struct ferry_level *level, const struct ferry_hypervisor *cpu)
{
    if (cpu->name != NULL)
        ferry_prove(level, "CPUID says \"%s\"%s", cpu->signature,
                    cpu->present ? "" : ", though it denies a hypervisor");
    else if (cpu->present)
        ferry_prove(level, "CPUID says that there is a hypervisor, named \"%s\"", cpu->signature);
}

/* The name of the hypervisor, by the source that knows best; NULL: there seems to be none. */
static const char *choose_name(const struct facts *facts, const struct ferry_dmi *dmi)
{
    if (facts->firmware != NULL && facts->firmware->trust == CERTAIN)
        return facts->firmware->name;
    if (facts->cpu.name != NULL)
        return facts->cpu.name;
    if (facts->xen.found)
        return "Xen";
    if (facts->tree.name != NULL && facts->tree.name[0] != '\0')
        return facts->tree.name;
    if (is_metal_instance(dmi) && !facts->cpu.present)
        return NULL;
    if (facts->firmware != NULL && (facts->firmware->trust == USUAL || !facts->cpu.known))
        return facts->firmware->name;
    return facts->cpu.present || facts->tree.name != NULL ? "" : NULL;
}

static void add_vm(const struct ferry_scene *scene, const struct ferry_dmi *dmi,
                   const struct facts *facts, const char *name, struct ferry_placement *out)
{
    struct ferry_level *level;

    if (facts->cpu.nested) {
        level = ferry_level_insert(out, out->count, FERRY_LEVEL_VM, "Hyper-V");
        if (level != NULL)
            ferry_prove(level, "the hypervisor within says by CPUID that it runs in a VM itself");
    }
    level = ferry_level_insert(out, out->count, FERRY_LEVEL_VM, name);
    if (level == NULL)
        return;
    prove_cpu(level, &facts->cpu);
    if (facts->cpu.name != NULL && strcmp(name, facts->cpu.name) == 0)
        ferry_set_text(level->version, sizeof(level->version), facts->cpu.version);
    if (facts->cpu.root)
        ferry_set_text(level->model, sizeof(level->model), "root partition");
    if (facts->xen.found && strcmp(name, "Xen") == 0) { /* KVM can show these as well */
        ferry_prove(level, "/sys/hypervisor or /proc/xen names Xen");
        ferry_set_text(level->model, sizeof(level->model),
                       facts->xen.first ? "dom0" : facts->xen.mode);
        if (facts->xen.version[0] != '\0')
            ferry_set_text(level->version, sizeof(level->version), facts->xen.version);
    }
    if (facts->tree.name != NULL)
        ferry_prove(level, "%s", facts->tree.evidence);
    /* A cloud's name was evidence for the cloud. */
    if (facts->firmware != NULL && (facts->firmware->trust != CLOUDS || facts->cpu.name == NULL))
        prove_dmi(level, dmi);
    if (strcmp(name, "KVM") == 0)
        find_monitor(scene, dmi, level);
}

static void add_metal(const struct ferry_dmi *dmi, const struct facts *facts,
                      struct ferry_placement *out)
{
    bool told = facts->cpu.known || dmi->found || facts->tree.found;
    struct ferry_level *level = ferry_level_insert(out, out->count,
                                                   told ? FERRY_LEVEL_METAL : FERRY_LEVEL_UNKNOWN,
                                                   told ? dmi->sys_vendor : "machine");

    if (level == NULL)
        return;
    if (!told) {
        ferry_prove(level,
                    "neither DMI nor a device tree can be read in /sys and /proc: whether this "
                    "is a VM, and in which cloud, can't be known");
        return;
    }
    ferry_set_text(level->model, sizeof(level->model),
                   dmi->found ? dmi->product_name : facts->tree.board);
    if (facts->cpu.known)
        ferry_prove(level, "CPUID denies a hypervisor");
    if (dmi->found)
        prove_dmi(level, dmi);
    else if (facts->tree.found)
        ferry_prove(level, "the device tree names no hypervisor");
    else
        ferry_prove(level, "DMI can't be read: whose machine it is can't be known");
}

void ferry_placement_machine(const struct ferry_scene *scene, const struct ferry_dmi *dmi,
                             struct ferry_placement *out)
{
    struct facts facts = {.firmware = find_firmware(dmi)};
    struct ferry_level *level;
    const char *name;

    ferry_placement_cpuid(scene->cpuid, &facts.cpu);
    find_xen(scene->root, &facts.xen);
    find_tree(scene->root, &facts.tree);
    name = choose_name(&facts, dmi);
    if (name == NULL)
        add_metal(dmi, &facts, out);
    else
        add_vm(scene, dmi, &facts, name, out);

    level = out->count > 0 ? &out->levels[out->count - 1] : NULL;
    if (level != NULL && !ferry_peek_exists(scene->root, "/sys/class") &&
        level->kind != FERRY_LEVEL_UNKNOWN)
        ferry_prove(level, "/sys can't be read: in which cloud%s can't be known",
                    level->kind == FERRY_LEVEL_METAL ? ", or whether Xen runs it," : "");
}
