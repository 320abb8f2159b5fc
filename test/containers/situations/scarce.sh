# What is scarce or missing from the start.

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
    # More than one process sends to by itself: broadcasts go through the memory of a team.
    passes job a,b -n 17 "$programs/collectives" 1000
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
    # The first rank is alone on its node, and the last one.
    passes job c,a,b -n 3 "$programs/steps"
    passes job c,a,b -n 3 "$programs/collectives"
    passes job a,b,c -n 3 "$programs/collectives"
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
