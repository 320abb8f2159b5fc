# What becomes scarce in the middle of a job.

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
