# What is chosen by variables.

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

mpi_t_counters() {
    two_with_directory
    passes job a,b -n 2 "$programs/counters" 0
    by shm
    FERRY_TRANSPORTS=fabric passes job a,b -n 2 "$programs/counters" 0
    by fabric
    container c
    passes job a,c -n 2 "$programs/counters" 1
    by fabric
}

unknown_name() {
    container a
    FERRY_SPIM=10us passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/where"
    says FERRY_SPIM 'FERRY_SPIN\b'
    by shm
}

# Rank 0, in container a, writes; its /tmp is the host's.
map_of_the_job() {
    local map
    map=$(mktemp -d /tmp/try.XXXXXX)
    two_with_directory tmp=host
    container c
    FERRY_MAP=$map/job.json passes job a,b,c -n 3 "$programs/where"
    python3 - "$map/job.json" <<'PYTHON' || fail "the map is not as it should be"
import json, sys
job = json.load(open(sys.argv[1]))
ranks, pairs = job["ranks"], {(p["from"], p["to"]): p for p in job["pairs"]}
assert [r["host"] for r in ranks] == ["a", "b", "c"], ranks
assert len({r["in"][0]["key"] for r in ranks}) == 1, "not on one machine"
assert len({r["in"][-1]["key"] for r in ranks}) == 3, "not in three containers"
for one in range(3):
    for other in range(3):
        if one != other:
            pair = pairs[one, other]
            assert pair["way"] == ("fabric" if 2 in (one, other) else "shm"), pair
            assert pair["messages"] >= 1 and pair["bytes"] >= 4, pair
astray = {(p["one"], p["other"]) for p in job["together_but_not_by_memory"]}
assert astray == {(0, 2), (1, 2)}, astray
PYTHON
    FERRY_MAP=$map/job.svg passes job a,b,c -n 12 "$programs/where"
    python3 - "$map/job.svg" <<'PYTHON' || fail "the picture is not as it should be"
import sys, xml.etree.ElementTree as tree
titles = [t.text for t in tree.parse(sys.argv[1]).iter("{http://www.w3.org/2000/svg}title")]
assert sum(t.startswith("rank ") for t in titles) == 12, titles
assert any(t.startswith("0 to 2: ") and "network" in t for t in titles), titles
assert any(t.startswith("0 to 1: ") and "shared memory" in t for t in titles), titles
PYTHON
    FERRY_MAP=$map/job.txt passes job a,b,c -n 3 "$programs/where"
    grep -q '^  0 and 2: network$' "$map/job.txt" || fail "not in the text: 0 and 2"
    rm -r "$map"
}

# No map, but a word about it, and the job is as well as ever.
map_that_fails() {
    container a tmp=host
    FERRY_MAP=/nowhere/job.svg passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/where"
    says 'ferry: ' map /nowhere/job.svg 'No such file'
    FERRY_MAP=/dev/full.png passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/where"
    says 'ferry: ' FERRY_MAP .png .svg
    ln -s /dev/full /tmp/try.full.json
    FERRY_MAP=/tmp/try.full.json passes inside a "$MPI_PREFIX/bin/mpiexec" -n 2 "$programs/where"
    rm /tmp/try.full.json
    says 'ferry: ' map 'No space left'
}
