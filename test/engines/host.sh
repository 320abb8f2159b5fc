# Makes the sandbox more like a host of its own, as engines want one. Sourced by run, before an engine's
# file. $work/root is the image, $SANDBOX a scratch folder.
export PATH=$MPI_PREFIX/bin:$SANDBOX/bin:/usr/sbin:/usr/bin:/sbin:/bin
root=$work/root common=/run/ferry
# What runs the tests: nothing special.
as=()
# What the engine is told to make a container.
options=() shared=()

host_like() {
    # /sys with this network's devices, and the machine's cgroups.
    mkdir /run/cgroup "$SANDBOX/bin"
    mount --rbind /sys/fs/cgroup /run/cgroup
    mount -t sysfs sysfs /sys
    mount --rbind /run/cgroup /sys/fs/cgroup
    umount -l /run/cgroup
    # Engines' images and state are those of the machine's user.
    mount -t tmpfs -o mode=755 tmpfs /var/lib
    chmod 1777 "$SANDBOX"
    if [ ! -c /dev/net/tun ]; then
        mkdir -p /dev/net
        touch /dev/net/tun
    fi
    mknod -m 666 "$SANDBOX/tun" c 10 200
    mount --bind "$SANDBOX/tun" /dev/net/tun
}

# Containers stay: what waits for what, and what the engine says of itself, if it can be asked.
why_not_gone() {
    ps -eo pid,ppid,stat,wchan:20,etimes,args --forest | cut -c 1-150
    [ "$(type -t engine_says)" != function ] || engine_says
}

have() { # COMMAND...
    local each
    for each; do
        command -v "$each" > /dev/null || { echo "there is no $each (maint/deps engines)"; return 1; }
    done
}
