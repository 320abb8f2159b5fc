# LXC, run by root. Containers that run something else than an init system have no /dev/shm there.
tests="containers_without_options containers_with_a_directory containers_with_one_network one_stopped
    one_frozen container_for_each_rank one_of_each_killed mpiexec_killed"
plain_way=fabric
directory=("lxc.mount.entry = /run/ferry run/ferry none bind,create=dir 0 0")
network=("lxc.net.0.type = none")
level=LXC

available() {
    have lxc-start lxc-attach lxc-execute lxc-ls
}

# configuration NAME ROOT [LINE]...
configuration() {
    local line
    echo "lxc.include = /usr/share/lxc/config/common.conf"
    echo "lxc.rootfs.path = $2"
    echo "lxc.uts.name = $1"
    # Not every machine has AppArmor.
    echo "lxc.apparmor.profile = unconfined"
    shift 2
    for line; do
        echo "$line"
    done
}

setup() {
    mkdir -p /var/lib/lxc
    configuration each "dir:$root" "lxc.net.0.type = empty" > /var/lib/lxc/each.conf
    within true
}

within() {
    lxc-execute -n trial -f /var/lib/lxc/each.conf -- "$@"
}

entered() {
    lxc-attach -n one -- "$@"
}

remove_all() {
    local name
    for name in $(running); do
        lxc-stop -k -n "$name"
    done
    rm -rf /var/lib/lxc/one /var/lib/lxc/two
    # Where mpiexec killed lxc-execute, the cgroups stay.
    find /sys/fs/cgroup -depth -type d -regex '.*/lxc\.[a-z]*\.\(ferry-[0-9]*\|one\|two\|trial\)' -exec rmdir {} +
}

running() {
    lxc-ls --active
}

start() {
    local name=$1 number=11
    shift
    [ "$name" = one ] || number=12
    mkdir -p "/var/lib/lxc/$name/delta"
    case ${1-} in
    lxc.net.*) ;;
    *) set -- "lxc.net.0.type = veth" "lxc.net.0.link = br0" "lxc.net.0.flags = up" \
        "lxc.net.0.ipv4.address = 10.77.0.$number/24" "$@" ;;
    esac
    configuration "$name" "overlay:$root:/var/lib/lxc/$name/delta" "$@" > "/var/lib/lxc/$name/config"
    lxc-start -n "$name" -- sleep infinity
}

host() {
    echo "lxc/$1"
}

stop() {
    lxc-stop -t 1 -n "$1"
}

freeze() {
    lxc-freeze -n "$1"
}

thaw() {
    lxc-unfreeze -n "$1"
}

each() {
    job=(mpiexec -n "$1" ferry_enter lxc-execute -f /var/lib/lxc/each.conf --)
}

kill_one() {
    lxc-stop -k -n "$(lxc-ls --active -1 | head -n 1)"
}
