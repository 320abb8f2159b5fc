# Containers made of the kernel's namespaces alone: for scripts that run in a sandbox (see ./sandbox).
#
#   container NAME [ATTRIBUTE=VALUE]...   makes one: attributes as ./own has them, and
#                                         net=NAME       the network of another container
#                                         dead_end=yes   a first interface that leads nowhere
#   inside NAME COMMAND...                runs a command in it
#   job NAME,NAME ARGUMENTS...            mpiexec with ranks in these containers in turn
#
# "host" is the sandbox itself. Containers have addresses 10.77.0.11, .12 and so on, the host .1; they
# know each other by name.
containers_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
containers_made=0

container() {
    local name=$1 net=own user=host dead_end=no time= attributes=() each fd
    shift
    containers_made=$((containers_made + 1))
    for each; do
        case $each in
        net=own | net=host) net=${each#*=} ;;
        net=*) net=${each#*=} each=net=host ;;
        user=*) user=${each#*=} ;;
        time=*) time=--time ;;
        dead_end=*) dead_end=${each#*=}; continue ;;
        esac
        attributes+=("$each")
    done
    case " $* " in *" hostname="* | *" uts=host "*) ;; *) attributes+=("hostname=$name") ;; esac

    local join=()
    case $net in
    own | host) ;;
    *) join=(nsenter --net="/proc/$(cat "$SANDBOX/pid-$net")/ns/net") ;;
    esac
    exec {fd}< <(${join[@]+"${join[@]}"} "$containers_dir/own" "${attributes[@]}" \
        bash -c 'echo $OWN_PID; exec > /dev/null < /dev/null; sleep infinity & while :; do wait; done')
    local pid
    read -r pid <&"$fd" || { echo "container $name could not be made" >&2; return 1; }
    exec {fd}<&-
    echo "$pid" > "$SANDBOX/pid-$name"

    local as=(--preserve-credentials)
    case $user in
    host) as=() ;;
    own) as=(--user --preserve-credentials) ;;
    *) as=(--user --setuid 0 --setgid 0) ;;
    esac
    printf '#!/bin/sh\nexec nsenter --target %s --mount --net --pid --ipc --uts --cgroup %s %s -- "$@"\n' \
        "$pid" "$time" "${as[*]-}" > "$SANDBOX/enter-$name"
    chmod 755 "$SANDBOX/enter-$name"

    local number=$((10 + containers_made)) to=eth0
    echo "10.77.0.$number $name" >> "$SANDBOX/hosts"
    [ "$net" = own ] || return 0
    local in_net=(nsenter --target "$pid" --net)
    "${in_net[@]}" ip link set lo up
    if [ "$dead_end" = yes ]; then
        # Both sides believe in a common network 192.168.77.0/24, by which nothing arrives.
        ip link add "d$number" type veth peer name eth0 netns "$pid"
        ip link set "d$number" up
        "${in_net[@]}" ip address add "192.168.77.$number/24" dev eth0
        "${in_net[@]}" ip link set eth0 up
        "${in_net[@]}" ip route add default via 192.168.77.1 dev eth0
        to=eth1
    fi
    ip link add "v$number" type veth peer name "$to" netns "$pid"
    ip link set "v$number" master br0 up
    "${in_net[@]}" ip address add "10.77.0.$number/24" dev "$to"
    "${in_net[@]}" ip link set "$to" up
}

inside() {
    local name=$1
    shift
    "$SANDBOX/enter-$name" "$@"
}

job() {
    local names=$1
    shift
    "$MPI_PREFIX/bin/mpiexec" -launcher ssh -launcher-exec "$containers_dir/enter" -iface br0 \
        -hosts "$names" "$@"
}
