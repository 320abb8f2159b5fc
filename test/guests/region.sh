# Jobs over memory that the guests a and b share. For scripts that set work, a folder for temporary files, and memory, what
# Ferry calls it.

# over_region RANKS PROGRAM...: with no other way from one guest to the other. Each job finds the region empty.
over_region() {
    local ranks=$1
    shift
    guest_job a,b -n "$ranks" -genv FERRY_REPORT yes -genv FERRY_TRANSPORTS shm,guests "$@" >"$work/out" 2>"$work/err" ||
        { cat "$work/out" "$work/err"; return 1; }
    cat "$work/out" "$work/err"
    grep -q passed "$work/out"
    grep -q "rank 0: peer 1: guests ($memory" "$work/err"
    [ "$ranks" = 2 ] || grep -q 'rank 0: peer 2: shm' "$work/err"
    is_empty
}

# All of the region is free. (Who ended last may still be counted: the next job tidies up.)
is_empty() {
    in_guest a "$MPI_PREFIX/bin/ferry_info" -t >"$work/info"
    grep "$memory" "$work/info"
    grep -qE "$memory.* ([0-9.]+) of \1 MiB are free" "$work/info"
}

becomes_empty() {
    local each
    for each in 1 2 3 4 5 6 7 8 9 10; do
        ! (is_empty) || return 0
        sleep 2
    done
    return 1
}

have_dax() {
    in_guest a sh -c "[ -c /dev/dax0.0 ] || '$guests_dir/guest-dax'"
    in_guest b sh -c "[ -c /dev/dax0.0 ] || '$guests_dir/guest-dax'"
}

over_dax() {
    have_dax
    over_region 2 -genv FERRY_GUESTS_MEMORY dax "$work/$1"
}

# keeps_order PATH FILE FROM: Ferry's rings, fences and additions, on the bare memory, which PATH is in the guests, and which
# begins FROM MiB behind the beginning of this machine's FILE. Ferry finds it empty then.
keeps_order() {
    local pid zero=(dd if=/dev/zero of="$2" bs=1M seek="$3" count=8 conv=notrunc status=none)
    "${zero[@]}"
    in_guest a "$work/order" "$1" 0 &
    pid=$!
    in_guest b "$work/order" "$1" 1
    wait $pid
    "${zero[@]}"
}
