/*
 * A machine whose files hold nonsense: the search must not read or write out of bounds, nor show what can't be
 * shown, nor wait.
 *
 *   placement_nonsense           a fixed set of machines
 *   placement_nonsense SECONDS   other ones at random, for so long
 */
#include "scene.h"

#include "clock.h"
#include "process_limits.h"

#include <time.h>

static uint64_t seed;

/* xorshift64 (Marsaglia 2003) */
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static uint64_t below(uint64_t limit)
{
    return next_random() % limit;
}

static const char *const paths[] = {
    "/proc/self/mountinfo",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/proc/self/cgroup",
    "/proc/1/environ",
    "/proc/sys/kernel/osrelease",
    "/proc/xen/capabilities",
    "/proc/device-tree/compatible",
    "/proc/device-tree/hypervisor/compatible",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/class/dmi/id/product_name",
    "/sys/class/dmi/id/board_asset_tag",
    "/sys/class/dmi/id/bios_version",
    "/sys/class/dmi/id/chassis_asset_tag",
    "/sys/hypervisor/type",
    "/sys/hypervisor/guest_type",
    "/sys/hypervisor/version/major",
    "/sys/hypervisor/version/extra",
    "/sys/hypervisor/uuid",
    "/sys/hypervisor/properties/features",
    "/sys/firmware/acpi/tables/DSDT",
    "/run/.containerenv",
    "/run/systemd/container",
    "/run/host/container-manager",
    "/dev/lxd/sock",
    "/proc/meminfo",
    "/proc/sys/kernel/yama/ptrace_scope",
    "/sys/kernel/mm/transparent_hugepage/enabled",
};

/* Pieces that the search looks for, so that what follows them is reached. */
static const char *const words[] = {
    "0::/docker/",
    "4:memory:",
    "/kubepods/",
    "pod",
    "kubepods-pod",
    ".slice",
    ".scope",
    "libpod-",
    "docker-",
    "lxc.payload.",
    "cri-containerd-",
    "/",
    " ",
    "\n",
    "\n",
    " - ",
    "overlay",
    " / ",
    " / / rw - overlay overlay ",
    "/etc/hosts",
    "/containers/",
    "-containers/",
    "/kubelet/pods/",
    "lowerdir=/var/lib/docker/overlay2/l/",
    "/storage/overlay/",
    "/io.containerd.",
    "600 500 0:50 /var/lib/lxc/",
    " / rw - ext4 d o\n",
    "\"",
    "\\",
    "engine=\"podman-",
    "id=\"",
    "container=lxc",
    "container=docker",
    "xen",
    "Amazon EC2",
    "QEMU",
    "Xen",
    "linux,kvm",
    "i-",
    "-Microsoft",
    "WSL2",
    "\033[2J",
    "[",
    "]",
    "HugePages_Total: ",
    "Hugepagesize: ",
    " kB\n",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
};

static void name_of(const char *path, char name[PATH_MAX])
{
    snprintf(name, PATH_MAX, "%s%s", root, path);
}

static void put_nonsense(const char *path)
{
    static char text[32768];
    size_t length = 0, most = below(8) ? 600 : sizeof(text) - 200;
    char name[PATH_MAX];
    FILE *file;

    while (length < most && below(60)) {
        if (below(3)) {
            length += (size_t) sprintf(text + length, "%s",
                                       words[below(sizeof(words) / sizeof(words[0]))]);
        } else if (below(4)) {
            text[length++] = (char) next_random();
        } else {
            size_t run = below(100);

            memset(text + length, (int) below(256), run);
            length += run;
        }
    }
    put(path, "");
    name_of(path, name);
    file = fopen(name, "w");
    assert_non_null(file);
    fwrite(text, 1, length, file);
    fclose(file);
}

/* All files are made anew or removed, so that a seed alone says what a machine is. */
static void put_all(void)
{
    char name[PATH_MAX];

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        name_of(paths[i], name);
        unlink(name);
        if (below(2))
            put_nonsense(paths[i]);
    }
}

static void fail_unless_shown(const char *text, size_t room)
{
    assert_true(strnlen(text, room) < room);
    for (; *text != '\0'; text++)
        assert_true(*text >= ' ' && *text <= '~');
}

static void check_texts(const struct ferry_placement *placement)
{
    char text[2048];

    assert_true(placement->count > 0 && placement->count <= FERRY_LEVELS_MAX);
    for (unsigned i = 0; i < placement->count; i++) {
        const struct ferry_level *level = &placement->levels[i];

        fail_unless_shown(level->name, sizeof(level->name));
        fail_unless_shown(level->version, sizeof(level->version));
        fail_unless_shown(level->model, sizeof(level->model));
        fail_unless_shown(level->id, sizeof(level->id));
        fail_unless_shown(level->evidence, sizeof(level->evidence));
    }
    fail_unless_shown(placement->note, sizeof(placement->note));
    ferry_placement_text(placement, text, below(sizeof(text)) + 1);
    fail_unless_shown(text, sizeof(text));
}

static void run(uint64_t with)
{
    struct ferry_limits limits;
    char signature[13];

    seed = with * 0x9e3779b97f4a7c15u | 1;
    clear_scene();
    processor.none = below(3) == 0;
    for (int i = 0; i < 12; i++)
        signature[i] = (char) next_random();
    signature[12] = '\0';
    set_signature(0x40000000, below(2) ? "KVMKVMKVM" : signature);
    if (below(4))
        put_namespaces(below(2) ? ALL : "");
    put_all();
    if (below(4) == 0)
        set_variable("APPTAINER_CONTAINER=x");
    if (below(4) == 0)
        set_variable("container=podman");
    find(&found);
    check_texts(&found);
    ferry_limits_find(root, &limits);
    fail_unless_shown(limits.thp, sizeof(limits.thp));
}

static void nonsense_is_survived(void **state)
{
    for (uint64_t i = 1; i <= 100; i++)
        run(i);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {in_scene(nonsense_is_survived)};
    uint64_t rounds = 0, first = (uint64_t) time(NULL) * 1000000, end;

    if (argc < 2)
        return cmocka_run_group_tests(tests, NULL, NULL);
    end = ferry_now_ns() + (uint64_t) atoi(argv[1]) * 1000000000u;
    if (make_scene(NULL) != 0)
        return 1;
    for (; ferry_now_ns() < end; rounds++)
        run(first + rounds);
    remove_machine(NULL);
    printf("%llu machines full of nonsense were looked at\n", (unsigned long long) rounds);
    return 0;
}
