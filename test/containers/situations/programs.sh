# Programs of others.

# What Debian's mpicc compiled runs on this library.
debians_program() {
    command -v mpicc.mpich > /dev/null || skip "no mpicc.mpich"
    mpicc.mpich -O2 -o "$SANDBOX/foreign" "$programs/source/pt2pt.c" -w
    two_with_directory
    passes job a,b -n 2 env LD_LIBRARY_PATH="$MPI_PREFIX/lib" "$SANDBOX/foreign"
    by shm
}
