/*
 * What it costs to start: init, the longest time that a rank spends in MPI_Init; finalize, that of rank 0; memory, what
 * a rank has resident after MPI_Init, the most of all. Bytes are 0.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

static double resident_mib(void)
{
    char line[256];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "VmRSS: %lf", &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib / 1024;
}

int main(int argc, char **argv)
{
    double begin = now(), mine[2], most[2];
    int rank;

    MPI_Init(&argc, &argv);
    mine[0] = now() - begin;
    mine[1] = resident_mib();
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Reduce(mine, most, 2, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    begin = now();
    MPI_Finalize();
    if (rank == 0)
        printf("init,0,%.6g,s,0\nmemory,0,%.6g,MiB,0\nfinalize,0,%.6g,s,0\n", most[0], most[1],
               now() - begin);
    return 0;
}
