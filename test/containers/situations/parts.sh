# What the situations are made of. They are the tests, one function each: in which containers the ranks of a job
# sit, or what is wrong there, and how they must reach each other. Sourced by run-all inside a sandbox, after lib.sh and
# checks.sh; $programs is the folder of the test programs.

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
