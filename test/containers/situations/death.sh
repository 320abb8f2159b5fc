# What dies, or stands still.

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
        [ $((SECONDS - begin)) -lt 30 ] || fail "took $((SECONDS - begin)) seconds"
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
