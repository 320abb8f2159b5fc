# systemd-nspawn. Its containers have the host's network if not told otherwise.
tests="containers_without_options containers_with_a_directory one_stopped container_for_each_rank
    one_of_each_killed mpiexec_killed"
plain_way=shm
directory=(--bind=/run/ferry)
level=systemd-nspawn

available() {
    have systemd-nspawn
}

setup() {
    # Without systemd as the first process there is nobody to register with.
    printf '#!/bin/sh\nexec /usr/bin/systemd-nspawn --register=no --keep-unit "$@"\n' > "$SANDBOX/bin/systemd-nspawn"
    chmod 755 "$SANDBOX/bin/systemd-nspawn"
    within true
}

within() {
    systemd-nspawn -q --read-only -D "$root" --console=pipe "$@"
}

remove_all() {
    local pid
    for pid in $(running); do
        kill -KILL "$pid"
    done
    while pkill -0 -x systemd-nspawn; do
        sleep 0.1
    done
}

# The first process of each container.
running() {
    local pid
    for pid in $(pgrep -x systemd-nspawn); do
        pgrep -P "$pid" || true
    done
}

start() {
    local name=$1 i
    shift
    systemd-nspawn -q --read-only -D "$root" -M "$name" "$@" --console=pipe sleep infinity < /dev/null > "$log.$name" 2>&1 &
    echo $! > "$SANDBOX/nspawn-$name"
    for ((i = 0; i < 400; i++)); do
        [ "$(cat "/proc/$(inner_pid "$name")/comm" 2> /dev/null)" != sleep ] || return 0
        sleep 0.05
    done
    cat "$log.$name"
    return 1
}

inner_pid() {
    pgrep -P "$(cat "$SANDBOX/nspawn-$1")" || true
}

host() {
    echo "pid/$(inner_pid "$1")"
}

stop() {
    kill -KILL "$(inner_pid "$1")"
}

each() {
    job=(mpiexec -n "$1" ferry_enter systemd-nspawn -q --read-only --private-network -D "$root")
}

kill_one() {
    kill -KILL "$(running | head -n 1)"
}
