# docker, with a daemon of its own.
tests="containers_without_options containers_with_a_directory containers_with_one_network one_stopped
    one_frozen container_for_each_rank one_of_each_killed mpiexec_killed"
plain_way=fabric
directory=(-v /run/ferry:/run/ferry)
network=(--network host)
shared=(--network host --pid host --ipc host --uts host)
level=docker
unset DOCKER_HOST DOCKER_CONTEXT
export DOCKER_CONFIG=$SANDBOX/docker

available() {
    have dockerd docker
}

setup() {
    local i
    dockerd --pidfile "$SANDBOX/dockerd.pid" > "$SANDBOX/dockerd.log" 2>&1 &
    for ((i = 0; i < 200; i++)); do
        docker version > /dev/null 2>&1 && break
        kill -0 $! 2> /dev/null || break
        sleep 0.1
    done
    docker version > /dev/null 2>&1 || { tail "$SANDBOX/dockerd.log"; return 1; }
    tar -C "$root" -c . | docker import - mpi
    within true
}

# What its threads are at that do something with a container: one may have lost its end, or wait for a lock.
engine_says() {
    tail -n 15 "$SANDBOX/dockerd.log" | cut -c 1-200
    kill -USR1 "$(cat "$SANDBOX/dockerd.pid")"
    sleep 1
    awk -v RS= -v FS='\n' '/daemon\.\(\*Daemon\)\.[A-Za-z]*([cC]ontainer|[kK]ill|Event)/ {
        print $1
        for (i = 2; i < NF; i += 2) { sub(/\([^()]*\)$/, "", $i); sub(/^.*\//, "", $i); print "    " $i }
    }' /run/docker/goroutine-stacks-*.log | head -n 150
}

within() {
    docker run --rm "${options[@]}" mpi "$@"
}

remove_all() {
    docker ps -aq | xargs -r docker rm -f
}

running() {
    docker ps -aq
}

start() {
    docker run -d --name "$@" mpi sleep infinity
}

host() {
    echo "docker/$1"
}

stop() {
    docker stop -t 1 "$1"
}

freeze() {
    docker pause "$1"
}

thaw() {
    docker unpause "$1"
}

each() {
    job=(mpiexec -pmi-port -n "$1" ferry_enter docker run mpi)
}

kill_one() {
    docker kill "$(docker ps -q | head -n 1)"
}
