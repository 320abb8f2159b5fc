# The tests, one function each: in which containers the ranks of a job sit, or what is wrong there, and
# how they must reach each other. Sourced by run-all inside a sandbox, after lib.sh and checks.sh; $programs is
# the folder of the test programs.

# ---- What the tests are made of ----

# Nothing but folders is left in the places that Ferry uses, in each container named.
nothing_left() {
    local name left
    for name; do
        left=$("$SANDBOX/enter-$name" sh -c 'for d in /run/ferry /dev/shm /tmp; do
            [ ! -d $d ] || find $d -xdev ! -type d ! -name "try*" ! -path "*/ferry-sandbox.*"
        done')
        [ -z "$left" ] || fail "left in $name: $left"
    done
}

# Each of the programs, by one rank in each of the containers named a,b or more.
each_of() {
    local list=$1 way=$2 places=$3 program ranks
    for program in $list; do
        case $program in
        any_source | collectives | rma | where) ranks=4 ;;
        *) ranks=2 ;;
        esac
        passes job "$places" -n $ranks "$programs/$program"
        # Which container spawned processes are in is the launcher's business.
        [ "$program" = spawn ] || by "$way" "$places"
    done
}
most="pt2pt any_source datatypes cancel collectives rma threads partitioned fork spawn"
some="pt2pt collectives rma"

common_dir() {
    mkdir -p /run/ferry
    chmod 1777 /run/ferry
}

# Two containers with everything of their own but /run/ferry.
two_with_directory() {
    common_dir
    container a share=/run/ferry:/run/ferry "$@"
    container b share=/run/ferry:/run/ferry "$@"
}

needs_root() {
    [ "$(cut -c 1-40 /proc/self/uid_map | tr -s ' ')" = " 0 0 4294967295" ] ||
        skip "needs root"
}

# ---- Where the ranks are ----

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

# ---- What is chosen by variables ----

segment_memfd() {
    two_with_directory
    FERRY_SEGMENT=memfd each_of "$some" 'shm.*memfd' a,b
}

segment_file() {
    mount -t tmpfs -o mode=1777,size=256m tmpfs "$(common_dir && echo /run/ferry)"
    two_with_directory
    FERRY_SEGMENT=file each_of "$some" 'shm.*file' a,b
    FERRY_SEGMENT=file each_of "where any_source" 'shm.*file' host,a
    nothing_left a b host
}

copy_none() {
    two_with_directory
    FERRY_COPY=none each_of "$some datatypes" shm a,b
}

copy_mem() {
    two_with_directory
    FERRY_COPY=mem FERRY_FETCH=always each_of "$some datatypes" shm a,b
}

copy_cma() {
    container a
    local program
    for program in $some; do
        FERRY_COPY=cma FERRY_FETCH=always passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 \
            "$programs/$program"
        by shm
    done
    # Refused by the kernel from one container to the other: it goes another way.
    two_with_directory
    FERRY_COPY=cma FERRY_FETCH=always each_of "$some" shm a,b
}

fabric_only() {
    container c
    local program
    for program in $some; do
        FERRY_TRANSPORTS=fabric passes inside c "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/$program"
        by fabric
    done
}

shm_only_and_nothing_in_common() {
    container a
    container b
    FERRY_TRANSPORTS=shm run job a,b -n 2 "$programs/where"
    [ $status != 0 ] || fail "ended well"
    [ $status -lt 128 ] || fail "was killed: $status"
    says 'ferry: ' 'FERRY_TRANSPORTS\|reach'
}

bad_value() {
    container a
    # By a single process: what ranks say that end at once mpiexec may lose.
    FERRY_SPIN=quick run inside a "$programs/where"
    [ $status != 0 ] || fail "ended well"
    says 'ferry: ' FERRY_SPIN quick
    FERRY_RING_SLOTS=100 run inside a "$programs/where"
    [ $status != 0 ] || fail "ended well"
    says 'ferry: ' FERRY_RING_SLOTS 'power of two'
    FERRY_RING_SLOTS=100 run inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/where"
    [ $status != 0 ] || fail "ended well"
    [ $status -lt 128 ] || fail "was killed: $status"
}

mpi_t_variables() {
    container a
    FERRY_EAGER_MAX=3K passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/variables" FERRY_EAGER_MAX 3K
    passes inside a "$programs/variables" FERRY_SPIN 1ms
}

unknown_name() {
    container a
    FERRY_SPIM=10us passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/where"
    says FERRY_SPIM 'FERRY_SPIN\b'
    by shm
}

# ---- What is scarce or missing ----

tiny_dev_shm() {
    two_with_directory shm=64k
    each_of "$some" shm a,b
    FERRY_SEGMENT=file,memfd each_of "where any_source" shm a,b
    nothing_left a b
}

no_dev_shm() {
    two_with_directory shm=none
    each_of "$some" shm a,b
    nothing_left a b
}

# The only directory in common is too small for a segment: TCP, with a line that says so.
tiny_directory() {
    common_dir
    mount -t tmpfs -o mode=1777,size=64k tmpfs /run/ferry
    container a share=/run/ferry:/run/ferry
    container b share=/run/ferry:/run/ferry
    FERRY_SEGMENT=file each_of "where any_source collectives" fabric a,b
    says 'ferry: ' '/run/ferry'
    nothing_left a b
}

read_only_root() {
    two_with_directory root=ro
    each_of "$some" shm a,b
    nothing_left a b
}

low_limits() {
    two_with_directory
    local program
    for program in where any_source collectives; do
        passes job a,b -n 4 sh -c 'ulimit -n 64; ulimit -l 64; exec "$0"' "$programs/$program"
        by shm
        # Files that may not grow: too little for a segment, and the kernel kills who tries.
        passes job a,b -n 4 sh -c 'ulimit -f 16; exec "$0"' "$programs/$program"
        FERRY_SEGMENT=file,memfd passes job a,b -n 4 sh -c 'ulimit -f 1024; exec "$0"' "$programs/$program"
    done
}

# One message of more than 2^31 bytes.
big_counts() {
    [ "$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 7 ] ||
        skip "needs 7 GiB of free memory"
    two_with_directory
    each_of big shm a,b
    container c
    container d
    each_of big fabric c,d
}

# More ranks than processors: waiting must not cost what the work of others needs.
crowd() {
    two_with_directory
    passes job a,b -n 8 "$programs/crowd" 2000
    by shm
}

many_ranks() {
    local name
    common_dir
    for name in a b c d e f g h; do
        container $name share=/run/ferry:/run/ferry
    done
    passes job a,b,c,d,e,f,g,h -n 64 "$programs/where"
    by shm
    passes job a,b,c,d,e,f,g,h -n 64 "$programs/crowd"
    nothing_left a b c d e f g h
}

# Collective operations through memory that a node shares, in containers of one and of two nodes.
steps() {
    two_with_directory
    container c
    passes job a,b -n 2 "$programs/steps"
    passes job a,b -n 5 "$programs/steps"
    passes job a,b -n 3 "$programs/steps" threads
    passes job a,b,c -n 4 "$programs/steps"
    nothing_left a b c
}

# Half a processor for each rank: what waits must leave it to what works.
quota() {
    needs_root
    local group
    for group in /sys/fs/cgroup/cpu /sys/fs/cgroup/cpu,cpuacct /sys/fs/cgroup; do
        [ ! -e $group/cgroup.procs ] || break
    done
    group=$group/ferry-test-$$
    mkdir "$group" 2> /dev/null || skip "no cgroup can be made here"
    if [ -e "$group/cpu.cfs_quota_us" ]; then
        echo 100000 > "$group/cpu.cfs_period_us"
        echo 100000 > "$group/cpu.cfs_quota_us"
    else
        echo 100000 100000 > "$group/cpu.max" 2> /dev/null || {
            rmdir "$group"
            skip "no quota can be set here"
        }
    fi
    container a
    (
        echo 0 > "$group/cgroup.procs"
        passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/turns" 1.5
    )
    rmdir "$group"
}

# Over shared memory, the network, and both at once.
late_rank() {
    two_with_directory
    container c
    passes job a,b -n 2 "$programs/late"
    passes job a,b -n 5 "$programs/late"
    passes job a,b -n 2 "$programs/late" threads
    passes job a,c -n 2 "$programs/late"
    passes job a,c -n 2 "$programs/late" threads
    passes job a,b,c -n 3 "$programs/late" threads
}

# ---- What dies ----

# killed_in A,B,...: the last rank is killed, the others must end with a message in a few seconds. One
# rank in each: hydra kills those that share a proxy with a dead one. They write into files, since hydra
# may lose what ranks say that end at once.
killed_in() {
    local places=$1 others=${1//[!,]/} mode begin
    for mode in fatal return barrier; do
        begin=$SECONDS
        rm -f "$SANDBOX"/ended-* "$SANDBOX"/said-*
        run timeout -k 1 40 "$MPI_PREFIX/bin/mpiexec" -launcher ssh -launcher-exec \
            "$containers_dir/enter" -iface br0 -disable-auto-cleanup -hosts "$places" \
            -n $((${#others} + 1)) sh -c 'exec "$0" "$@" 2> "$SANDBOX/said-$PMI_RANK"' \
            "$programs/killed" $mode "$SANDBOX"
        [ $((SECONDS - begin)) -lt 15 ] || fail "took $((SECONDS - begin)) seconds"
        [ $status != 0 ] || fail "ended well"
        tail "$SANDBOX"/said-*
        grep -q 'ferry: .*\(rank\|peer\|process\).*\(lost\|died\|ended\|closed\)' "$SANDBOX"/said-* ||
            fail "nobody says who was lost"
        # None of them went on to the end as if nothing had been; the first abort may end the rest.
        ! grep -l 'no error' "$SANDBOX"/ended-* 2> /dev/null || fail "a rank saw no error"
    done
}

killed_rank() {
    two_with_directory
    container c share=/run/ferry:/run/ferry
    killed_in a,b
    killed_in a,b,c
    passes job a,b,c -n 3 "$programs/where"
    by shm
    nothing_left a b c
}

killed_rank_files() {
    common_dir
    mount -t tmpfs -o mode=1777,size=256m tmpfs /run/ferry
    two_with_directory
    container c share=/run/ferry:/run/ferry
    export FERRY_SEGMENT=file
    killed_in a,b,c
    passes job a,b,c -n 3 "$programs/where"
    by shm
    nothing_left a b c
}

killed_rank_fabric() {
    container a
    container b
    container c
    killed_in a,b
    killed_in a,b,c
}

# All at once, in mid-message: nobody is there to clean up but the next job.
killed_job() {
    local segment
    two_with_directory
    for segment in memfd file; do
        FERRY_SEGMENT=$segment job a,b -n 4 "$programs/any_source" > /dev/null 2>&1 &
        sleep 1
        inside a pkill -KILL any_source || true
        inside b pkill -KILL any_source || true
        wait $! || true
        FERRY_SEGMENT=$segment run job a,b -n 2 "$programs/where"
        passes job a,b -n 2 "$programs/where"
        nothing_left a b
    done
}

# A rank that is stopped for a while lives.
paused_rank() {
    two_with_directory
    job a,b -n 2 "$programs/any_source" > "$log.out" 2> "$log.err" &
    local i
    for i in 1 2 3; do
        sleep 0.2
        inside b pkill -STOP any_source || true
        sleep 3
        inside b pkill -CONT any_source || true
    done
    wait $! || fail "ended with $?: $(cat "$log.err")"
    grep -q passed "$log.out" || fail "it did not say that it passed"
    by shm
}

# ---- Programs of others ----

# What Debian's mpicc compiled runs on this library.
debians_program() {
    command -v mpicc.mpich > /dev/null || skip "no mpicc.mpich"
    mpicc.mpich -O2 -o "$SANDBOX/foreign" "$programs/source/pt2pt.c" -w
    two_with_directory
    passes job a,b -n 2 env LD_LIBRARY_PATH="$MPI_PREFIX/lib" "$SANDBOX/foreign"
    by shm
}
