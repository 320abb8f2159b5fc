# The tests that every engine's file names some of. Sourced by run, with an engine's file after it.
#
# An engine's file has:
#   tests            the names of its tests
#   available        fails, and says why, where the engine can't be had
#   setup            makes it ready, with the image mpi of $root
#   within COMMAND...    runs a command in a new container, with $options of the engine's
#   entered COMMAND...   runs one in the container "one", where that makes a difference to what it sees
#   level            what ferry_info calls its containers
#   shared           the OPTIONs that leave containers in the host's namespaces, where there are some
#   running          lists the containers that there are
#   remove_all       removes them
#   start NAME [OPTION]...   a container that runs until it is stopped; OPTIONs are the engine's
#   host NAME        what ferry_enter calls it
#   stop, freeze, thaw NAME
#   plain_way        how two containers reach each other without any option; none: not at all
#   common           the directory of this machine that they have in common, as /run/ferry
#   directory, network       the OPTIONs that give containers /run/ferry, or the host's network, in common
#   each N           into $job: mpiexec with a container for each of N ranks
#   kill_one         kills one of these
#   engine_says      what it knows of containers that stay; not every engine has it
. "$here/host.sh"

two_containers() { # [OPTION]...
    local name
    for name in one two; do
        start $name "$@"
    done
    job=(mpiexec -launcher ssh -launcher-exec ferry_enter -hosts "$(host one),$(host two)" -wdir /)
}

common_dir() {
    [ -d "$common" ] || install -d -m 1777 "$common"
}

# Nothing is left but folders.
nothing_left() {
    local left
    left=$(find "$common" ! -type d)
    [ -z "$left" ] || fail "left: $left"
    left=$(running)
    [ -z "$left" ] || fail "still there: $left"
}

# Starts a job of several seconds in the background, and waits until it is under way.
begin_job() { # SECONDS COMMAND...
    local seconds=$1 i
    shift
    echo "+ $*"
    : > "$log.out"
    timeout -k 1 60 "$@" /programs/rounds "$seconds" > "$log.out" 2> "$log.err" < /dev/null &
    background=$!
    for ((i = 0; i < 200; i++)); do
        ! grep -q "under way" "$log.out" || return 0
        sleep 0.1
    done
    cat "$log.out" "$log.err"
    fail "the job did not get under way"
}

# It ends, within half a minute.
end_job() {
    local begin=$SECONDS
    status=0
    wait "$background" || status=$?
    head -c 20000 "$log.out" "$log.err"
    [ $((SECONDS - begin)) -lt 30 ] || fail "the job took $((SECONDS - begin)) s to end"
}

ended_badly() {
    [ $status != 0 ] || fail "the job ended well"
    grep -q -e TERMINATION -e "is lost" -e error "$log.out" "$log.err" || fail "nobody says what happened"
}

# ---- Ranks in containers that run already ----

containers_without_options() {
    local name
    two_containers
    if [ "$plain_way" = none ]; then
        run timeout 60 "${job[@]}" -n 2 /programs/where
        [ $status != 0 ] || fail "they reach each other after all"
        says "share this host" "mount one directory"
    else
        passes "${job[@]}" -n 2 /programs/pt2pt
        by "$plain_way"
    fi
    name=$(host one)
    # One that isn't there ends the job at once, with a message.
    run timeout 40 mpiexec -launcher ssh -launcher-exec ferry_enter -hosts "$name,${name%%/*}/nope" -wdir / -n 2 \
        /programs/where
    [ $status != 124 ] || fail "mpiexec waits for ever"
    says ferry_enter "${name%%/*}/nope" "can't be entered"
    remove_all
}

containers_with_a_directory() {
    common_dir
    two_containers "${directory[@]}"
    passes "${job[@]}" -n 2 /programs/pt2pt
    by "shm .*one copy"
    passes "${job[@]}" -n 4 /programs/collectives
    by shm
    passes "${job[@]}" -n 4 /programs/rma
    by shm
    remove_all
    nothing_left
}

containers_with_one_network() {
    two_containers "${network[@]}"
    passes "${job[@]}" -n 2 /programs/where
    by shm
    remove_all
}

one_stopped() {
    common_dir
    two_containers "${directory[@]}"
    begin_job 50 "${job[@]}" -n 4
    stop two
    end_job
    ended_badly
    remove_all
    nothing_left
}

one_frozen() {
    common_dir
    two_containers "${directory[@]}"
    begin_job 5 "${job[@]}" -n 2
    freeze two
    sleep 4
    thaw two
    end_job
    grep -q passed "$log.out" || fail "it did not say that it passed"
    by shm
    remove_all
}

# ---- A container for each rank ----

container_for_each_rank() {
    each 2
    passes "${job[@]}" /programs/pt2pt
    by "shm .*one copy"
    each 4
    passes "${job[@]}" /programs/collectives
    by shm
    passes "${job[@]}" /programs/rma
    by shm
    gone
}

# The job ends, and no container stays. What ranks said at last may be lost: mpiexec kills the engine's client,
# by which their words go, as soon as it hears from one of them that another died.
one_of_each_killed() {
    each 3
    begin_job 50 "${job[@]}"
    kill_one
    end_job
    [ $status != 0 ] || fail "the job ended well"
    gone
}

mpiexec_killed() {
    each 3
    begin_job 50 "${job[@]}"
    pkill -KILL -x mpiexec
    end_job
    gone
}

# In a few seconds there is no container any more; on a busy machine, an engine takes longer to remove it.
gone() {
    local begin=$SECONDS
    while [ $((SECONDS - begin)) -lt 30 ]; do
        [ -n "$(running)" ] || return 0
        sleep 0.1
    done
    why_not_gone
    fail "still there: $(running)"
}
