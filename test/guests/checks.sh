# Checks, one after the other, each with a line that says how it went. For scripts that set work, a folder for temporary
# files, and verbose, yes or no.
passed=0 failed=0

# check WHAT COMMAND...: the command ends well, and so does each command in it, if it is a function.
check() {
    local what=$1 begin=$SECONDS status=0
    shift
    printf '%-68s' "$what"
    ( set -eE; trap 'exit 1' ERR; "$@" ) >"$work/log" 2>&1 </dev/null &
    wait $! || status=$?
    if [ $status = 0 ]; then
        passed=$((passed + 1))
        printf '%4d s  ok\n' $((SECONDS - begin))
    else
        failed=$((failed + 1))
        printf '%4d s  FAILED (%d)\n' $((SECONDS - begin)) $status
    fi
    [ $status = 0 ] && [ "$verbose" = no ] || tail -n 40 "$work/log" | sed 's/^/    | /'
}

# ends_with STATUS COMMAND...
ends_with() {
    local expected=$1 status=0
    shift
    "$@" || status=$?
    echo "status $status"
    [ $status = "$expected" ]
}
