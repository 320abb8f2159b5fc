# Charliecloud: ch-run leaves network, processes and descriptors as they are, and needs no help.
tests="container_for_each_rank mpiexec_killed"
level=Charliecloud

# It wants to know who it works for.
export USER=${USER:-root}

available() {
    have ch-run
}

setup() {
    within true
}

within() {
    ch-run "$root" -- "$@"
}

remove_all() {
    pkill -KILL -x ch-run || true
}

running() {
    pgrep -x ch-run || true
}

each() {
    job=(mpiexec -n "$1" ch-run "$root" --)
}
