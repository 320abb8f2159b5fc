# What a test of MPI jobs is made of: runs commands in a sandbox, and looks at what they said.

log=$SANDBOX/log
export FERRY_REPORT=yes

fail() {
    echo "not so: $*" >&2
    return 1
}

# Runs a command; its output is in $log.out and $log.err, and shown. Its status is in $status.
run() {
    echo "+ $*"
    status=0
    "$@" > "$log.out" 2> "$log.err" < /dev/null || status=$?
    head -c 20000 "$log.out" "$log.err"
    return 0
}

# The command ends well: the program, or one of several, said that it passed.
passes() {
    run "$@"
    [ $status = 0 ] || fail "status $status"
    grep -q passed "$log.out" || fail "it did not say that it passed"
}

# What the ranks of the last command reported: all others were reached this way. Where they were placed
# in turn in several places (a,b), ranks of one place share memory in any case.
by() {
    local way=$1 places=${2-} odd
    grep -q '^ferry: rank [0-9]*: peer [^:]*: ' "$log.err" || fail "nothing was reported"
    odd=$(awk -v way="^$way" -v commas="${places//[!,]/}" -v fabric="${FERRY_TRANSPORTS-}" '
        /^ferry: rank [0-9]+: peer [0-9]+: / {
            rank = $3 + 0; peer = $5 + 0; how = $0; sub(/^[^:]*:[^:]*:[^:]*: /, "", how)
            near = commas != "" && rank % (length(commas) + 1) == peer % (length(commas) + 1)
            if (rank != peer && how !~ (near && fabric == "" ? "^shm" : way)) print
        }' "$log.err")
    [ -z "$odd" ] || fail "these were not reached as they should: $odd"
}

# says WORDS...: the last command said a line on standard error that has them all (in any case).
says() {
    local lines word
    lines=$(cat "$log.err")
    for word; do
        lines=$(grep -i -e "$word" <<< "$lines") || fail "no line has: $*"
    done
}

skip() {
    echo "skipped: $*"
    exit 77
}
