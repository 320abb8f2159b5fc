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

# Of the size that Docker gives, and nothing left in it.
full_dev_shm() {
    local name
    two_with_directory
    for name in a b; do
        inside $name sh -c 'head -c 1G /dev/zero > /dev/shm/fill' 2> /dev/null || true
    done
    each_of "$some" shm a,b
    FERRY_SEGMENT=file,memfd each_of "where any_source" shm a,b
    for name in a b; do
        inside $name rm /dev/shm/fill
    done
    nothing_left a b
}

# It serves for meeting; memory comes from elsewhere.
directory_on_disk() {
    local disk=$SANDBOX/disk
    mkdir -m 1777 "$disk"
    [ "$(stat -f -c %T "$disk")" != tmpfs ] || skip "the temporary directory is not on a disk"
    container a
    container b
    FERRY_DIR=$disk each_of "$some" 'shm.*memfd' a,b
    # No file is mapped that must be written to a disk.
    FERRY_DIR=$disk FERRY_SEGMENT=file passes job a,b -n 2 "$programs/where"
    by fabric
    says "$disk" FERRY_SEGMENT network
    [ -z "$(ls "$disk")" ] || fail "left: $(ls "$disk")"
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

# As many descriptors as ranks, of which some are needed for other things.
few_descriptors() {
    local name ranks=64
    common_dir
    for name in a b c d; do
        container $name share=/run/ferry:/run/ferry
    done
    for name in a a,b,c,d; do
        FERRY_FETCH=always FERRY_COPY=mem meanwhile true job $name -n 64 sh -c 'ulimit -n 64; exec "$0" "$@"' \
            "$programs/meanwhile" "$SANDBOX/meanwhile" 100000
        by shm
    done
    # Over the network each pair of ranks needs a connection: too many must end the job in words.
    FERRY_TRANSPORTS=fabric run job a,b -n 32 sh -c 'ulimit -n 64; exec "$0"' "$programs/collectives"
    [ $status != 0 ] || fail "ended well"
    says 'ferry: ' descriptors 'ulimit -n'
    nothing_left a b c d
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
    # A peer costs little before it is talked to.
    passes job a,b -n 2 "$programs/resident" "$SANDBOX/with-2"
    passes job a,b,c,d,e,f,g,h -n 64 "$programs/resident" "$SANDBOX/with-64"
    [ $(($(cat "$SANDBOX/with-64") - $(cat "$SANDBOX/with-2"))) -le $((62 * 4)) ] ||
        fail "64 ranks: $(cat "$SANDBOX/with-64") KiB, 2 ranks: $(cat "$SANDBOX/with-2") KiB"
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

# Who shares memory, whatever the launcher thinks, and windows in that memory. Where it is a directory's, that holds
# few of them at a time.
nodes() {
    two_with_directory
    container c
    passes job a,b -n 4 "$programs/nodes" 4444
    passes job a,b,c -n 4 "$programs/nodes" 3313
    MPIR_CVAR_NUM_CLIQUES=2 passes job a,b -n 4 "$programs/nodes" 2222
    FERRY_TRANSPORTS=fabric passes job a,b -n 2 "$programs/nodes" 11
    nothing_left a b c
    mount -t tmpfs -o mode=1777,size=48m tmpfs /run/ferry
    container d share=/run/ferry:/run/ferry
    container e share=/run/ferry:/run/ferry
    FERRY_SEGMENT=file passes job d,e -n 2 "$programs/nodes" 22 20
    by shm
    nothing_left d e
}

# Half a processor for each rank: what waits must leave it to what works.
quota() {
    needs_root
    local group
    for group in /sys/fs/cgroup/cpu /sys/fs/cgroup/cpu,cpuacct /sys/fs/cgroup; do
        [ ! -e $group/cgroup.procs ] || break
    done
    group=$group/$TEST_GROUP
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

# ---- What becomes scarce in the middle of a job ----

# meanwhile WHAT COMMAND...: runs a job of test/mpi/meanwhile with $ranks ranks (default 8); once all have started, the
# function WHAT does something to them. They must go on.
meanwhile() { # WHAT COMMAND...
    local what=$1 pid i
    shift
    rm -rf "$SANDBOX/meanwhile"
    mkdir -m 1777 "$SANDBOX/meanwhile"
    echo "+ $*"
    "$@" > "$log.out" 2> "$log.err" < /dev/null &
    pid=$!
    for ((i = 0; i < 600; i++)); do
        [ "$(find "$SANDBOX/meanwhile" -name 'ready-*' | wc -l)" != "${ranks:-8}" ] || break
        sleep 0.1
    done
    [ $i != 600 ] || fail "the ranks did not get ready"
    $what
    touch "$SANDBOX/meanwhile/go"
    status=0
    wait $pid || status=$?
    head -c 20000 "$log.out" "$log.err"
    [ $status = 0 ] || fail "status $status"
    grep -q passed "$log.out" || fail "it did not say that it passed"
}

# One line for each rank at most.
says_short() { # helps
    says 'ferry: ' 'little memory' 'more memory'
    [ "$(grep -c 'little memory' "$log.err")" -le 8 ] || fail "it is said more often than once"
}

# A cgroup for memory in $group; the files with its limit and usage.
memory_group() { # helps
    needs_root
    group=/sys/fs/cgroup/memory limit_file=memory.limit_in_bytes usage_file=memory.usage_in_bytes
    events_file=memory.oom_control
    [ -e $group/$limit_file ] || {
        group=/sys/fs/cgroup limit_file=memory.max usage_file=memory.current events_file=memory.events
    }
    group=$group/$TEST_GROUP
    mkdir "$group" 2> /dev/null || skip "no cgroup can be made here"
    [ -e "$group/$limit_file" ] || {
        rmdir "$group"
        skip "no limit of memory can be set here"
    }
    export group
}

limit_memory() { # helps
    echo $(($(cat "$group/$usage_file") + mebibytes * 1048576)) > "$group/$limit_file"
}

# Too little for any ring but those that were kept back, and enough for some; for all ranks, and for those of one
# container.
scarce_memory() {
    local odd mebibytes
    memory_group
    two_with_directory
    for mebibytes in 3 6; do
        for odd in '*' '*[1357]'; do
            export odd
            meanwhile limit_memory job a,b -n 8 sh -c 'case $PMI_RANK in $odd) echo 0 > "$group/cgroup.procs" ;; esac
                exec "$0" "$@"' "$programs/meanwhile" "$SANDBOX/meanwhile"
            by shm
            says_short
            [ "$(sed -n 's/^oom_kill //p' "$group/$events_file")" = 0 ] || fail "the kernel killed somebody"
            echo -1 > "$group/$limit_file" 2> /dev/null || echo max > "$group/$limit_file"
        done
    done
    rmdir "$group"
    nothing_left a b
}

fill_directory() { # helps
    ! head -c 1G /dev/zero > "$directory/fill" 2> /dev/null || fail "$directory could not be filled"
}

scarce_directory() {
    local directory
    mount -t tmpfs -o mode=1777,size=40m tmpfs "$(common_dir && echo /run/ferry)"
    mount -t tmpfs -o mode=1777,size=40m tmpfs /dev/shm
    two_with_directory shm=host
    for directory in /run/ferry /dev/shm; do
        FERRY_DIR=$directory FERRY_SEGMENT=file meanwhile fill_directory job a,b -n 8 "$programs/meanwhile" \
            "$SANDBOX/meanwhile"
        by 'shm.*file'
        says_short
        rm $directory/fill
    done
    nothing_left host a b
}

# The kernel kills who makes a file longer than that.
limit_files() { # helps
    local pid
    for pid in $(pgrep -x meanwhile); do
        prlimit --pid "$pid" --fsize=4096
    done
}

scarce_file_size() {
    local segment
    mount -t tmpfs -o mode=1777,size=256m tmpfs "$(common_dir && echo /run/ferry)"
    two_with_directory
    for segment in memfd file; do
        FERRY_DIR=/run/ferry FERRY_SEGMENT=$segment meanwhile limit_files job a,b -n 8 "$programs/meanwhile" \
            "$SANDBOX/meanwhile"
        by "shm.*$segment"
    done
    nothing_left a b
}

# Nobody needs it any more: not for first talks, and not for handing over descriptors.
remove_directory() { # helps
    rm -rf /run/ferry 2> /dev/null || [ -z "$(ls -A /run/ferry)" ]
}

removed_directory() {
    local segment
    for segment in memfd file; do
        rm -rf /run/ferry
        common_dir
        [ $segment = memfd ] || mount -t tmpfs -o mode=1777,size=256m tmpfs /run/ferry
        container a$segment share=/run/ferry:/run/ferry
        container b$segment share=/run/ferry:/run/ferry
        FERRY_SEGMENT=$segment FERRY_FETCH=always FERRY_COPY=mem meanwhile remove_directory \
            job a$segment,b$segment -n 8 "$programs/meanwhile" "$SANDBOX/meanwhile"
        by "shm.*$segment"
    done
    # Whoever starts after that is told.
    umount /run/ferry
    rm -rf /run/ferry
    FERRY_DIR=/run/gone passes job amemfd,bmemfd -n 2 "$programs/spawn"
    says FERRY_DIR /run/gone
}

# ---- What dies ----

# killed_in A,B,...: the last rank is killed, the others must end with a message in a few seconds. One
# rank in each: hydra kills those that share a proxy with a dead one. They write into files, since hydra
# may lose what ranks say that end at once.
killed_in() { # PLACES
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

# Ranks that are stopped for a while live, and the others wait for them. TEST_PAUSE: how long.
pause=${TEST_PAUSE:-8}

stop_ranks() { # helps
    begin=$SECONDS
    inside b pkill -STOP -x meanwhile
    { sleep "$pause"; inside b pkill -CONT -x meanwhile; } &
}

# The same, as a container is stopped.
freeze_ranks() { # helps
    begin=$SECONDS
    freeze
    { sleep "$pause"; thaw; } &
}

paused() { # HOW COMMAND...
    local begin
    meanwhile "$@"
    [ $((SECONDS - begin)) -ge "$pause" ] || fail "it did not wait for those who were stopped"
}

paused_ranks() {
    local ranks=4
    two_with_directory
    paused stop_ranks job a,b -n 4 "$programs/meanwhile" "$SANDBOX/meanwhile"
    by shm
    FERRY_TRANSPORTS=fabric paused stop_ranks job a,b -n 4 "$programs/meanwhile" "$SANDBOX/meanwhile"
    by fabric
}

freeze() { # helps
    if [ -e "$group/freezer.state" ]; then
        echo FROZEN > "$group/freezer.state"
        until grep -q FROZEN "$group/freezer.state"; do sleep 0.05; done
    else
        echo 1 > "$group/cgroup.freeze"
        until grep -q 'frozen 1' "$group/cgroup.events"; do sleep 0.05; done
    fi
}

thaw() { # helps
    if [ -e "$group/freezer.state" ]; then
        echo THAWED > "$group/freezer.state"
    else
        echo 0 > "$group/cgroup.freeze"
    fi
}

frozen_ranks() {
    needs_root
    for group in /sys/fs/cgroup/freezer /sys/fs/cgroup/unified /sys/fs/cgroup; do
        [ ! -e $group/cgroup.procs ] || break
    done
    export group=$group/$TEST_GROUP
    mkdir "$group" 2> /dev/null || skip "no cgroup can be made here"
    [ -e "$group/freezer.state" ] || [ -e "$group/cgroup.freeze" ] || {
        rmdir "$group"
        skip "nothing can be frozen here"
    }
    two_with_directory
    local way ranks=4
    for way in shm fabric; do
        FERRY_TRANSPORTS=$way paused freeze_ranks job a,b -n 4 sh -c 'case $PMI_RANK in
            *[13]) echo 0 > "$group/cgroup.procs" ;; esac; exec "$0" "$@"' "$programs/meanwhile" "$SANDBOX/meanwhile"
        by $way
    done
    rmdir "$group"
}

# ---- Clocks ----

# Each container counts the time since another moment.
other_clocks() {
    local program
    common_dir
    container a share=/run/ferry:/run/ferry time=100000
    container b share=/run/ferry:/run/ferry
    container c share=/run/ferry:/run/ferry time=7777777
    [ "$(inside c cut -d . -f 1 /proc/uptime)" -ge 7777777 ] || fail "the clock is the host's"
    for program in where any_source collectives rma steps threads; do
        passes job a,b,c -n 6 "$programs/$program"
        by shm
    done
    passes job a,b,c -n 3 "$programs/late"
    FERRY_TRANSPORTS=fabric each_of "$some" fabric a,b
    nothing_left a b c
    container d time=100000
    container e
    passes job a,d,e -n 3 "$programs/late" threads
    killed_in a,b,c
}

# The wall clock jumps by up to an hour, back and forth, at random: a double of the kernel's, since it can't be set
# for a container.
jumping_clock() {
    local program
    two_with_directory
    container c
    ${CC:-cc} -shared -fPIC -O2 -o "$SANDBOX/jumping.so" "$containers_dir/jumping_clock.c"
    [ "$(for i in 1 2 3 4 5 6; do LD_PRELOAD=$SANDBOX/jumping.so date +%Y%m%d%H%M; done | uniq | wc -l)" -gt 2 ] ||
        fail "the clock does not jump"
    for program in $some any_source steps; do
        passes job a,b -n 4 env LD_PRELOAD="$SANDBOX/jumping.so" "$programs/$program"
        by shm
        passes job a,c -n 2 env LD_PRELOAD="$SANDBOX/jumping.so" "$programs/$program"
        by fabric
    done
    local begin=$SECONDS # of a clock that only goes forward, as MPI_Wtime's must
    passes job a,b -n 2 env LD_PRELOAD="$SANDBOX/jumping.so" "$programs/rounds" 3
    [ $((SECONDS - begin)) -ge 2 ] || fail "three seconds were over at once"
    nothing_left a b
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
