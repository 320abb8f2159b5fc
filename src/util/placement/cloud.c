/*
 * The machine's firmware, and the clouds that put their names into it.
 */
#include "parts.h"
#include "peek.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* ---- SMBIOS ---- */

static void read_field(const char *root, const char *name, char *text, size_t room)
{
    char path[64];

    snprintf(path, sizeof(path), "/sys/class/dmi/id/%s", name);
    ferry_peek_line(root, path, text, room);
}

void ferry_dmi_read(const char *root, struct ferry_dmi *dmi)
{
#define READ(field) read_field(root, #field, dmi->field, sizeof(dmi->field))
    READ(sys_vendor);
    READ(product_name);
    READ(product_version);
    READ(bios_vendor);
    READ(bios_version);
    READ(board_vendor);
    READ(board_asset_tag);
    READ(chassis_asset_tag);
#undef READ
    dmi->found = dmi->sys_vendor[0] != '\0' || dmi->product_name[0] != '\0' ||
                 dmi->bios_vendor[0] != '\0';
}

/* ---- Clouds ---- */

/* What a field of DMI begins with, as the clouds' own documents tell users to look. Azure has the vendor of
 * Hyper-V anywhere, so that its chassis tag decides. */
enum field { SYS_VENDOR, PRODUCT_NAME, BIOS_VENDOR, BIOS_VERSION, CHASSIS_ASSET_TAG };
static const char *const field_names[] = {"sys_vendor", "product_name", "bios_vendor",
                                          "bios_version", "chassis_asset_tag"};
static const struct cloud {
    const char *name;
    enum field field;
    const char *begin;
    bool model; /* product_name is the kind of instance */
} clouds[] = {
    {"Amazon EC2", SYS_VENDOR, "Amazon EC2", true},
    {"Amazon EC2", BIOS_VENDOR, "Amazon EC2", false},
    {"Google Compute Engine", PRODUCT_NAME, "Google Compute Engine", false},
    {"Azure", CHASSIS_ASSET_TAG, "7783-7084-3265-9085-8269-3286-77", false},
    {"Oracle Cloud", CHASSIS_ASSET_TAG, "OracleCloud.com", false},
    {"Alibaba Cloud", SYS_VENDOR, "Alibaba Cloud", false},
    {"Tencent Cloud", SYS_VENDOR, "Tencent Cloud", false},
    {"Huawei Cloud", SYS_VENDOR, "Huawei Cloud", false},
    {"DigitalOcean", SYS_VENDOR, "DigitalOcean", false},
    {"Hetzner", SYS_VENDOR, "Hetzner", false},
    {"Scaleway", SYS_VENDOR, "Scaleway", false},
    {"Vultr", SYS_VENDOR, "Vultr", false},
    {"Exoscale", PRODUCT_NAME, "Exoscale", false},
    {"OpenStack", SYS_VENDOR, "OpenStack Foundation", false},
    {"OpenStack", PRODUCT_NAME, "OpenStack Nova", false},
    {"OpenStack", PRODUCT_NAME, "OpenStack Compute", false},
    {"OpenStack", CHASSIS_ASSET_TAG, "OpenTelekomCloud", false},
};
#define CLOUDS (sizeof(clouds) / sizeof(clouds[0]))

static const char *value(const struct ferry_dmi *dmi, enum field field)
{
    const char *values[] = {dmi->sys_vendor, dmi->product_name, dmi->bios_vendor, dmi->bios_version,
                            dmi->chassis_asset_tag};

    return values[field];
}

/* EC2's older instances are VMs of Xen: its build there is named after them, and their uuid begins "ec2". */
static void find_old_ec2(const char *root, const struct ferry_dmi *dmi, struct ferry_placement *out)
{
    struct ferry_level *level;
    char uuid[64];
    bool build = strstr(dmi->bios_version, ".amazon") != NULL;

    ferry_peek_line(root, "/sys/hypervisor/uuid", uuid, sizeof(uuid));
    if (!build && strncasecmp(uuid, "ec2", 3) != 0)
        return;
    level = ferry_level_insert(out, out->count, FERRY_LEVEL_CLOUD, "Amazon EC2");
    if (level == NULL)
        return;
    if (build)
        ferry_prove(level, "DMI: bios_version is \"%s\"", dmi->bios_version);
    else
        ferry_prove(level, "/sys/hypervisor/uuid begins with \"ec2\"");
}

void ferry_placement_cloud(const struct ferry_scene *scene, const struct ferry_dmi *dmi,
                           struct ferry_placement *out)
{
    struct ferry_level *level;

    for (size_t i = 0; i < CLOUDS; i++) {
        if (!begins(value(dmi, clouds[i].field), clouds[i].begin))
            continue;
        level = ferry_level_insert(out, out->count, FERRY_LEVEL_CLOUD, clouds[i].name);
        if (level == NULL)
            return;
        ferry_prove(level, "DMI: %s is \"%s\"", field_names[clouds[i].field],
                    value(dmi, clouds[i].field));
        if (clouds[i].model)
            ferry_set_text(level->model, sizeof(level->model), dmi->product_name);
        if (begins(dmi->board_asset_tag, "i-")) /* EC2's name of an instance */
            ferry_set_text(level->id, sizeof(level->id), dmi->board_asset_tag);
        return;
    }
    find_old_ec2(scene->root, dmi, out);
}
