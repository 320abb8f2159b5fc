# podman, run by root.
tests="containers_without_options containers_with_a_directory containers_with_one_network one_stopped
    one_frozen container_for_each_rank one_of_each_killed mpiexec_killed"
plain_way=fabric
directory=(-v /run/ferry:/run/ferry)
network=(--network host)
shared=(--network host --pid host --ipc host --uts host)
level=podman
export CONTAINERS_CONF=$SANDBOX/containers.conf

# What a machine may lack whose users don't run podman: systemd, and the right to raise limits.
podman_configuration() {
    cat > "$CONTAINERS_CONF" <<'END'
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
}

available() {
    have podman runc
}

setup() {
    podman_configuration
    tar -C "$root" -c . | podman import - mpi
    within true
}

within() {
    podman run --rm "${options[@]}" mpi "$@"
}

remove_all() {
    podman rm -af -t 0
}

running() {
    podman ps -aq
}

start() {
    podman run -d --name "$@" mpi sleep infinity
}

host() {
    echo "podman/$1"
}

stop() {
    podman stop -t 1 "$1"
}

freeze() {
    podman pause "$1"
}

thaw() {
    podman unpause "$1"
}

each() {
    job=(mpiexec -n "$1" ferry_enter podman run mpi)
}

kill_one() {
    podman kill "$(podman ps -q | head -n 1)"
}
