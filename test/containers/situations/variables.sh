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
