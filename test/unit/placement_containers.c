/*
 * Which container a process runs in, of machines that are told by what their files say.
 */
#include "scene.h"

static void put_docker(const char *id)
{
    char mounts[4096];

    put_namespaces(ALL);
    put("/.dockerenv", "");
    put("/proc/self/cgroup", "0::/\n");
    snprintf(
        mounts, sizeof(mounts),
        "600 500 0:50 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/AB:"
        "/var/lib/docker/overlay2/l/CD,upperdir=/var/lib/docker/overlay2/x/diff\n"
        "610 600 254:1 /var/lib/docker/containers/%s/resolv.conf /etc/resolv.conf rw - ext4 "
        "/dev/vda1 rw\n"
        "611 600 254:1 /var/lib/docker/containers/%s/hostname /etc/hostname rw - ext4 "
        "/dev/vda1 rw\n"
        "612 600 254:1 /var/lib/docker/containers/%s/hosts /etc/hosts rw - ext4 /dev/vda1 rw\n",
        id, id, id);
    put("/proc/self/mountinfo", mounts);
}

static void docker_in_a_vm(void **state)
{
    put_ec2();
    put_docker(ID_A);
    expect_chain(EC2 " > container docker (0123456789ab)");
    assert_string_equal(found.levels[2].id, ID_A);
    expect_evidence(2, "/.dockerenv exists");
    put("/proc/self/cgroup", "4:memory:/docker" PATH_A "\n3:cpu:/docker" PATH_A "\n0::/\n");
    expect_chain(EC2 " > container docker (0123456789ab)");
}

static void docker_in_docker(void **state)
{
    put_metal();
    put_docker(ID_B);
    put("/proc/self/cgroup", "0::/docker" PATH_A "/docker" PATH_B "\n");
    expect_chain(METAL " > container docker (0123456789ab) > container docker (fedcba987654)");
    put("/proc/self/cgroup", "4:memory:/docker" PATH_A "/docker" PATH_B "\n3:cpu:/docker" PATH_A
                             "/docker" PATH_B "\n2:cpuset:/docker" PATH_A "\n0::/\n");
    expect_chain(METAL " > container docker (0123456789ab) > container docker (fedcba987654)");
}

static void docker_with_containerd_s_images(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/.dockerenv", "");
    put("/proc/self/mountinfo",
        "600 500 0:50 / / rw - overlay overlay rw,lowerdir=/var/lib/containerd/"
        "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs\n"
        "610 600 254:1 /docker-t/containers" PATH_A "/hosts /etc/hosts rw - ext4 /dev/vda1 rw\n");
    expect_chain(METAL " > container docker (0123456789ab)");
}

#define PODMAN_ROOT                                                                                \
    "600 500 0:50 / / rw - overlay overlay rw,lowerdir=/var/lib/containers/storage/overlay/l/AB\n" \
    "610 600 0:24 /containers/storage/overlay-containers" PATH_B                                   \
    "/userdata/hosts /etc/hosts rw - tmpfs tmpfs rw\n"

static void podman(void **state)
{
    put_metal();
    put_namespaces(ALL " user");
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", PODMAN_ROOT);
    put("/run/.containerenv", "");
    put("/.dockerenv", ""); /* of the image */
    set_variable("container=podman");
    expect_chain(METAL " > container podman (fedcba987654)");
    assert_non_null(strstr(found.note, "/.dockerenv"));
    /* One with all privileges is told more. */
    put("/run/.containerenv",
        "engine=\"podman-4.3.1\"\nname=\"x\"\nid=\"" ID_B "\"\nimage=\"i\"\n");
    expect_chain(METAL " > container podman 4.3.1 (fedcba987654)");
}

static void podman_by_its_file_only(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/run/.containerenv", "engine=\"podman-5.0.0\"\nid=\"" ID_B "\"\n");
    expect_chain(METAL " > container podman 5.0.0 (fedcba987654)");
}

static void podman_in_docker(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/proc/self/cgroup", "0::/docker" PATH_A "/libpod_parent/libpod-" ID_B "\n");
    put("/proc/self/mountinfo", PODMAN_ROOT);
    put("/run/.containerenv", "");
    set_variable("container=podman");
    expect_chain(METAL " > container docker (0123456789ab) > container podman (fedcba987654)");
}

static void lxc(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo",
        "600 500 254:1 /var/lib/lxc/c1/rootfs / rw - ext4 /dev/vda1 rw\n"
        "601 600 0:30 /.lxc-boot-id /proc/sys/kernel/random/boot_id ro - tmpfs none rw\n");
    put("/.dockerenv", ""); /* of the image */
    expect_chain(METAL " > container LXC (c1)");
    put("/proc/self/mountinfo", "600 500 254:1 / / rw - ext4 /dev/vda1 rw\n");
    put("/proc/1/environ", "container=lxc");
    expect_chain(METAL " > container LXC");
    put("/proc/self/cgroup", "0::/lxc.payload.c2/init.scope\n");
    expect_chain(METAL " > container LXC (c2)");
}

/* "Communication between instance and host" of LXD's documentation. */
static void lxd(void **state)
{
    put_metal();
    put_namespaces(ALL " user");
    put("/proc/self/cgroup", "0::/init.scope\n");
    put("/proc/self/mountinfo",
        "600 500 0:50 /var/snap/lxd/common/lxd/storage-pools/default/containers/c1/rootfs / rw - "
        "btrfs /dev/vda1 rw\n"
        "601 600 0:30 /.lxc-boot-id /proc/sys/kernel/random/boot_id ro - tmpfs none rw\n");
    put("/run/systemd/container", "lxc\n");
    put("/dev/lxd/sock", "");
    expect_chain(METAL " > container LXD");
    put_docker(ID_A);
    put("/proc/self/cgroup", "0::/docker" PATH_A "\n");
    put("/run/systemd/container", "");
    put("/proc/self/cgroup", "0::/lxc.payload.c1/docker" PATH_A "\n");
    expect_chain(METAL " > container LXD (c1) > container docker (0123456789ab)");
}

/* LXD's agent makes the socket in its virtual machines, too: the same page. */
static void lxd_s_virtual_machine(void **state)
{
    set_signature(0x40000000, "KVMKVMKVM");
    put_dmi("QEMU\n", "Standard PC (Q35 + ICH9, 2009)\n");
    put_host();
    put("/dev/lxd/sock", "");
    expect_chain("VM KVM (QEMU)");
}

/* "The Container Interface" of systemd's documentation. */
static void nspawn(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/proc/self/mountinfo", "600 500 254:1 /var/lib/machines/m1 / rw - ext4 /dev/vda1 rw\n");
    put("/run/host/container-manager", "systemd-nspawn\n");
    expect_chain(METAL " > container systemd-nspawn (m1)");
}

#define KUBELET "/var/lib/kubelet/pods/0a1b2c3d-1111-2222-3333-444455556666"

/* The kubelet's design document "kubelet-systemd" has the names of cgroups, Kubernetes' documentation of services the
 * variable; the paths of mounts are containerd's defaults. */
static void pod_under_containerd(void **state)
{
    put_ec2();
    put_namespaces(ALL);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo",
        "600 500 0:50 / / rw - overlay overlay rw,lowerdir=/var/lib/containerd/"
        "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs\n"
        "610 600 254:1 " KUBELET "/etc-hosts /etc/hosts rw - ext4 /dev/vda1 rw\n"
        "611 600 254:1 /var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes" PATH_A
        "/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n");
    set_variable("KUBERNETES_SERVICE_HOST=10.96.0.1");
    expect_chain(EC2
                 " > pod Kubernetes (0a1b2c3d-1111-2222-3333-444455556666) > container containerd");
    put("/proc/self/cgroup",
        "0::/kubepods.slice/kubepods-burstable.slice/"
        "kubepods-burstable-pod0a1b2c3d_1111_2222_3333_444455556666.slice/cri-containerd-" ID_B
        ".scope\n");
    expect_chain(EC2 " > pod Kubernetes (0a1b2c3d-1111-2222-3333-444455556666) > "
                     "container containerd (fedcba987654)");
    put("/proc/self/cgroup",
        "4:memory:/kubepods/besteffort/pod0a1b2c3d-1111-2222-3333-444455556666" PATH_B "\n");
    expect_chain(EC2 " > pod Kubernetes (0a1b2c3d-1111-2222-3333-444455556666) > "
                     "container containerd (fedcba987654)");
}

/* "kind", Kubernetes whose nodes are docker's containers. */
static void pod_in_docker(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/proc/self/cgroup",
        "0::/docker" PATH_A
        "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
        "kubelet-kubepods-besteffort-pod0a1b2c3d_1111_2222_3333_444455556666.slice/"
        "cri-containerd-" ID_B ".scope\n");
    expect_chain(METAL " > container docker (0123456789ab) > "
                       "pod Kubernetes (0a1b2c3d-1111-2222-3333-444455556666) > "
                       "container containerd (fedcba987654)");
}

static void pod_under_crio(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", PODMAN_ROOT
        "612 600 254:1 " KUBELET "/containers/c/0 /dev/termination-log rw - ext4 d rw\n");
    put("/run/.containerenv", "");
    expect_chain(METAL " > pod Kubernetes (0a1b2c3d-1111-2222-3333-444455556666) > "
                       "container CRI-O (fedcba987654)");
    assert_string_equal(found.note, "");
}

/* Microsoft's answer in microsoft/WSL, issue 4555. */
static void wsl(void **state)
{
    set_signature(0x40000000, "Microsoft Hv");
    set_leaf(0x40000002, 22621, 10 << 16, 0, 0);
    put("/sys/class/net/eth0/mtu", "1500\n");
    put_namespaces("mnt pid ipc uts");
    put("/proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n");
    expect_chain("VM Hyper-V 10.0.22621 > container WSL 2");
    put_docker(ID_A);
    expect_chain("VM Hyper-V 10.0.22621 > container WSL 2 > container docker (0123456789ab)");
}

static void wsl_1(void **state)
{
    put("/proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n");
    put("/sys/class/net/eth0/mtu", "1500\n");
    expect_chain("bare metal > container WSL 1");
}

static void apptainer(void **state)
{
    put_metal();
    put_namespaces("mnt user");
    put("/proc/self/cgroup", "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n");
    put("/proc/self/mountinfo",
        "600 500 0:50 / / ro - overlay overlay ro,lowerdir=/var/lib/apptainer/"
        "mnt/session/overlay-lowerdir:/var/lib/apptainer/mnt/session/rootfs\n");
    put("/.singularity.d/runscript", "");
    expect_chain(METAL " > container Apptainer");
    set_variable("APPTAINER_CONTAINER=/home/u/mpi.sif");
    set_variable("APPTAINER_NAME=mpi.sif");
    set_variable("SINGULARITY_CONTAINER=/home/u/mpi.sif");
    set_variable("SINGULARITY_NAME=mpi.sif");
    expect_chain(METAL " > container Apptainer (mpi.sif)");
}

static void singularity(void **state)
{
    put_metal();
    put_namespaces("mnt");
    put("/.singularity.d/runscript", "");
    set_variable("SINGULARITY_CONTAINER=/home/u/mpi.sif");
    expect_chain(METAL " > container Singularity");
}

static void charliecloud(void **state)
{
    put_metal();
    put_namespaces("mnt user");
    put("/proc/self/mountinfo", "600 500 254:1 /var/tmp/u.ch/img/mpi / ro - ext4 /dev/vda1 rw\n");
    expect_chain(METAL " > container Charliecloud (mpi)");
    put("/proc/self/mountinfo", DISK);
    set_variable("CH_RUNNING=Weird Al Yankovic");
    expect_chain(METAL " > container Charliecloud");
}

static void other_engines_of_clusters(void **state)
{
    put_metal();
    put_namespaces("mnt user");
    put("/proc/self/mountinfo",
        "600 500 254:1 /home/u/.local/share/enroot/mpi / ro - ext4 /dev/vda1 rw\n");
    expect_chain(METAL " > container enroot (mpi)");
    put_namespaces("mnt pid");
    put("/proc/self/mountinfo", "600 500 0:50 / / ro - overlay none ro,lowerdir=/var/sarus/"
                                "OCIBundleDir/overlay/rootfs-lower\n");
    expect_chain(METAL " > container Sarus");
    put("/proc/self/mountinfo", DISK);
    put_namespaces("mnt");
    put("/var/shifterConfig.json", "{}");
    expect_chain(METAL " > container Shifter");
}

static void apptainer_in_a_pod(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/proc/self/cgroup",
        "4:memory:/kubepods/pod0a1b2c3d-1111-2222-3333-444455556666" PATH_B "\n");
    put("/proc/self/mountinfo",
        "600 500 0:50 / / ro - overlay overlay ro,lowerdir=/var/lib/apptainer/"
        "mnt/session/rootfs\n");
    expect_chain(METAL " > pod Kubernetes (0a1b2c3d-1111-2222-3333-444455556666) > "
                       "container of no known engine (fedcba987654) > container Apptainer");
}

static void no_known_engine(void **state)
{
    put_metal();
    put_host();
    put_namespaces("pid uts");
    expect_chain(METAL " > container of no known engine");
    expect_evidence(1, "pid uts");
    /* A service's own mounts are no container. */
    put_namespaces("mnt");
    expect_chain(METAL);
}

/* The files of a docker's image, in containers of others. */
static void dockerenv_of_an_image(void **state)
{
    put_metal();
    put_namespaces(ALL);
    put("/.dockerenv", "");
    put("/proc/self/mountinfo", "600 500 254:1 /srv/root / rw - ext4 /dev/vda1 rw\n"
                                "610 600 0:26 /hosts /etc/hosts rw - tmpfs tmpfs rw\n");
    expect_chain(METAL " > container of no known engine");
    assert_non_null(strstr(found.note, "/.dockerenv"));
    put("/proc/self/mountinfo", "600 500 254:1 /var/lib/machines/m1 / rw - ext4 /dev/vda1 rw\n"
                                "610 600 0:26 /resolv.conf /etc/resolv.conf rw - tmpfs tmpfs rw\n");
    expect_chain(METAL " > container systemd-nspawn (m1)");
    /* All three are docker's, wherever it keeps them. */
    put("/proc/self/mountinfo", "600 500 0:50 / / rw - zfs pool/x rw\n"
                                "610 600 0:26 /a/hosts /etc/hosts rw - zfs pool rw\n"
                                "611 600 0:26 /a/hostname /etc/hostname rw - zfs pool rw\n"
                                "612 600 0:26 /a/resolv.conf /etc/resolv.conf rw - zfs pool rw\n");
    expect_chain(METAL " > container docker");
}

/* Signs that came with the files of the machine, or with the environment of a shell. */
static void signs_without_a_container(void **state)
{
    put_metal();
    put_host();
    put("/.dockerenv", "");
    put("/run/.containerenv", "");
    put("/.singularity.d/runscript", "");
    put("/proc/1/environ", "container=lxc");
    set_variable("container=podman");
    set_variable("CH_RUNNING=x");
    expect_chain(METAL);
    assert_non_null(strstr(found.note, "/run/.containerenv exists"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_scene(docker_in_a_vm),
        in_scene(docker_in_docker),
        in_scene(docker_with_containerd_s_images),
        in_scene(podman),
        in_scene(podman_by_its_file_only),
        in_scene(podman_in_docker),
        in_scene(lxc),
        in_scene(lxd),
        in_scene(lxd_s_virtual_machine),
        in_scene(nspawn),
        in_scene(pod_under_containerd),
        in_scene(pod_in_docker),
        in_scene(pod_under_crio),
        in_scene(wsl),
        in_scene(wsl_1),
        in_scene(apptainer),
        in_scene(singularity),
        in_scene(charliecloud),
        in_scene(other_engines_of_clusters),
        in_scene(apptainer_in_a_pod),
        in_scene(no_known_engine),
        in_scene(dockerenv_of_an_image),
        in_scene(signs_without_a_container),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
