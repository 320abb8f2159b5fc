# Where the ranks are.

same_container() {
    local program
    container a
    for program in $most; do
        passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/$program"
        by shm
    done
    passes inside a "$MPI_PREFIX/bin/mpiexec" -n 4 "$programs/any_source"
    by shm
    nothing_left a
    unset FERRY_REPORT
    passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/where"
    [ ! -s "$log.err" ] || fail "it has something to say though all is well"
}

network_in_common() {
    container a net=host
    container b net=host
    each_of "$some spawn threads" shm a,b
    nothing_left a b
}

directory_in_common() {
    two_with_directory
    each_of "$most" shm a,b
    nothing_left a b
}

# As in one pod of Kubernetes: network and a directory, each with its own of the rest.
pod() {
    common_dir
    container a share=/run/ferry:/run/ferry
    container b net=a share=/run/ferry:/run/ferry
    each_of "$some" shm a,b
    nothing_left a b
}

host_and_container() {
    common_dir
    container a share=/run/ferry:/run/ferry
    each_of "$some" shm host,a
    each_of "where spawn" shm a,host
    nothing_left a host
}

# One launcher outside that starts each rank in a container of its own.
container_for_each_rank() {
    local program
    for program in where $some; do
        passes "$MPI_PREFIX/bin/mpiexec" -n 4 "$containers_dir/own" net=host "$programs/$program"
        by shm
    done
    # The same without a network: not even a loopback interface is up.
    common_dir
    for program in where $some; do
        passes "$MPI_PREFIX/bin/mpiexec" -n 4 "$containers_dir/own" share=/run/ferry:/run/ferry \
            "$programs/$program"
        by shm
    done
    nothing_left host
}

user_namespaces() {
    two_with_directory user=own
    each_of "$some threads" shm a,b
    nothing_left a b
}

# Two users to the kernel: they meet only in the directory that is named.
user_namespaces_of_two_users() {
    needs_root
    common_dir
    container a share=/run/ferry:/run/ferry user=100000
    container b share=/run/ferry:/run/ferry user=200000
    FERRY_DIR=/run/ferry each_of "$some" shm a,b
    nothing_left a b
    each_of where fabric a,b
}

# As apptainer and charliecloud make them: two containers of one user that have all in common but the user namespace.
sibling_user_namespaces() {
    local all="pid=host net=host ipc=host uts=host cgroup=host shm=host tmp=host run=host"
    container a user=own $all
    container b user=own $all
    each_of "$most" shm a,b
    FERRY_SEGMENT=file,memfd each_of "$some" shm a,b
    FERRY_FETCH=always each_of pt2pt shm a,b
    nothing_left a
}

# Ranks of several users, without user namespaces, in a directory that is named.
several_users() {
    needs_root
    two_with_directory
    local program
    for program in where $some; do
        FERRY_DIR=/run/ferry passes job a,b -n 4 sh -c \
            'exec setpriv --reuid $((1000 + PMI_RANK)) --regid $((1000 + PMI_RANK)) --clear-groups "$0"' \
            "$programs/$program"
        by shm
    done
    nothing_left a b
}

equal_names_and_pids() {
    local name
    two_with_directory hostname=node
    for name in a b; do
        echo "127.0.1.1 node" >> "$SANDBOX/hosts"
        inside $name sh -c 'echo 5000 > /proc/sys/kernel/ns_last_pid'
    done
    passes job a,b -n 2 "$programs/where"
    by shm
    [ "$(grep -o 'pid [0-9]* on [a-z]*' "$log.out" | sort | uniq -c | tr -s ' ' | cut -d ' ' -f 2,6-)" = "2 node" ] ||
        fail "names or pids differ"
    each_of "$some" shm a,b
    nothing_left a b
}

nothing_in_common() {
    container a
    container b
    each_of "$most" fabric a,b
    passes job a,b -n 4 "$programs/where"
    says 'share this host .* but no memory' 'mount one directory'
    [ "$(grep -ci 'share this host' "$log.err")" = 1 ] ||
        fail "the advice is not given once"
    nothing_left a b
}

# The first interface of both leads nowhere though it is up and in one network.
interfaces() {
    container a dead_end=yes
    container b dead_end=yes
    each_of "where $some" fabric a,b
    FERRY_FABRIC_INTERFACE=eth1 each_of where fabric a,b
    FERRY_FABRIC_INTERFACE=10.77.0.0/24 each_of where fabric a,b
}

# Memory is shared by a with b, and by b with c, but not by a with c.
not_transitive() {
    local dir
    for dir in one two; do
        mkdir "/run/$dir"
        chmod 1777 "/run/$dir"
    done
    container a share=/run/one:/run/one
    container b share=/run/one:/run/one share=/run/two:/run/two
    container c share=/run/two:/run/two
    local program
    for program in where collectives rma; do
        FERRY_DIR=/run/one,/run/two passes job a,b,c -n 3 "$programs/$program"
        says 'rank 0.*peer 1: shm'
        says 'rank 1.*peer 2: shm'
        says 'rank 0.*peer 2: fabric'
    done
    nothing_left a b c
}

# Two jobs that start each by itself, one in each container, meet at a port.
two_jobs_connect() {
    local kind
    for kind in shared apart; do
        [ $kind = apart ] || common_dir
        rm -f "$SANDBOX/port"
        if [ $kind = shared ]; then
            two_with_directory
        else
            container c
            container d
        fi
        local first=a second=b
        [ $kind = shared ] || first=c second=d
        job $first -n 2 "$programs/jobs" server "$SANDBOX/port" > "$log.server" 2>&1 &
        passes job $second -n 2 "$programs/jobs" client "$SANDBOX/port"
        wait $! || fail "the server ended with $?: $(cat "$log.server")"
        grep -q passed "$log.server" || fail "the server did not say that it passed"
    done
}

# A port's name is good until the port is closed.
closed_port() {
    two_with_directory
    job a -n 1 "$programs/ports" server "$SANDBOX/ports" > "$log.server" 2>&1 &
    passes job b -n 1 "$programs/ports" client "$SANDBOX/ports"
    wait $! || fail "the server ended with $?: $(cat "$log.server")"
    grep -q passed "$log.server" || fail "the server did not say that it passed"
}

# Two jobs in the same directory at the same time don't meet.
two_jobs_at_once() {
    local i
    two_with_directory
    for i in 1 2 3; do
        job a,b -n 2 "$programs/collectives" > "$log.other" 2>&1 &
        passes job b,a -n 2 "$programs/pt2pt"
        by shm
        wait $! || fail "the other job ended with $?: $(cat "$log.other")"
    done
    nothing_left a b
}

as_user() { # NUMBER: what to put before a command
    echo setpriv --reuid "$1" --regid "$1" --clear-groups
}

# Jobs of two users in the same containers: neither minds the other.
two_users_at_once() {
    needs_root
    local i dir
    two_with_directory
    for dir in "" /run/ferry; do
        for i in 1 2 3; do
            (
                [ -z "$dir" ] || export FERRY_DIR=$dir
                job a,b -n 2 $(as_user 2000) "$programs/collectives" > "$log.other" 2>&1 &
                passes job b,a -n 2 $(as_user 1000) "$programs/pt2pt"
                by shm
                wait $! || fail "the other job ended with $?: $(cat "$log.other")"
            )
        done
    done
    nothing_left a b
}

# One who has taken the names that others would, and knocks at each door and stays.
hostile_user() {
    needs_root
    local name pid begin
    two_with_directory
    for name in a b; do
        inside $name $(as_user 2000) sh -c 'mkdir -m 777 /run/ferry/ferry-uid-1000; touch /dev/shm/ferry-uid-1000
            ln -s /etc /tmp/ferry-uid-1000' 2> /dev/null || true
    done
    inside a $(as_user 2000) "$programs/hinder" /run/ferry /dev/shm /tmp > "$log.hinder" 2>&1 &
    pid=$!
    for name in "" "" /run/ferry; do
        # In a directory that is named, he reaches the doors themselves.
        [ -z "$name" ] || export FERRY_DIR=$name
        begin=$SECONDS
        passes job a,b -n 4 $(as_user 1000) "$programs/pt2pt"
        [ $((SECONDS - begin)) -lt 30 ] || fail "took $((SECONDS - begin)) s"
        by shm
    done
    kill -0 $pid || fail "nobody hindered: $(cat "$log.hinder")"
    kill $pid
    wait $pid || true
    cat "$log.hinder"
    for name in a b; do
        [ -z "$(inside $name find /run/ferry /dev/shm /tmp -uid 1000)" ] || fail "something is left"
    done
}
