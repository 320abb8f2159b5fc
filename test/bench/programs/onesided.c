/*
 * MPI_Put and MPI_Get of rank 0 with the memory of rank 1, each flushed, in MPI_Win_lock_all. Up to 16 MiB: containers
 * often have 64 MiB of /dev/shm, where many an MPI has all windows.
 */
#include "bench.h"

static char *local;
static MPI_Win window;

static void put(size_t bytes, int count)
{
    while (bench_rank == 0 && count--) {
        MPI_Put(local, (int) bytes, MPI_BYTE, 1, 0, (int) bytes, MPI_BYTE, window);
        MPI_Win_flush(1, window);
    }
}

static void get(size_t bytes, int count)
{
    while (bench_rank == 0 && count--) {
        MPI_Get(local, (int) bytes, MPI_BYTE, 1, 0, (int) bytes, MPI_BYTE, window);
        MPI_Win_flush(1, window);
    }
}

int main(int argc, char **argv)
{
    char *shared;

    bench_begin(argc, argv, 1, 16 << 20);
    if (bench_ranks != 2)
        bench_fail("this takes two ranks");
    local = bench_memory(bench_to);
    MPI_Win_allocate((MPI_Aint) bench_to, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &shared, &window);
    for (size_t i = 0; i < bench_to; i += 4096)
        shared[i] = 1;
    MPI_Win_lock_all(0, window);
    BENCH_SIZES(bytes)
    {
        bench_tell("put", bytes, bench_measure(put, bytes, true) * 1e6, "us");
        bench_tell("get", bytes, bench_measure(get, bytes, true) * 1e6, "us");
    }
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
    MPI_Finalize();
    return 0;
}
