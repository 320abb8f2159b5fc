# Clocks.

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
