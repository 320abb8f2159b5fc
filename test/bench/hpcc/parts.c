/*
 * Runs one part of HPCC, whose other files are linked to it, and tells its figure as the programs beside it do:
 *
 *   hpcc ORDER hpl|fft|randomaccess
 *
 * ORDER is that of HPL's matrix; the others take as much memory. HPCC reads its input from the current directory: rank 0
 * writes it into one of its own. A part that finds its own result wrong ends the job.
 */
#include <hpcc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_input(int order, int rows, int columns)
{
    char folder[] = "/tmp/hpcc-XXXXXX";
    FILE *file;

    if (!mkdtemp(folder) || chdir(folder) || !(file = fopen("hpccinf.txt", "w"))) {
        perror("hpcc: /tmp");
        MPI_Abort(MPI_COMM_WORLD, 1);
        exit(1);
    }
    fprintf(file,
            "HPL\n-\nHPL.out\n8\n1\n%d\n1\n96\n0\n1\n%d\n%d\n16."
            "0\n1\n2\n1\n4\n1\n2\n1\n1\n1\n1\n1\n0\n2\n64\n0\n0\n1"
            "\n8\n-\n0\n1200\n0\n40\n",
            order, rows, columns);
    fclose(file);
}

static void remove_input(void)
{
    char folder[64];

    unlink("hpccinf.txt");
    unlink("hpccoutf.txt");
    if (getcwd(folder, sizeof(folder)))
        rmdir(folder);
}

int main(int argc, char **argv)
{
    const char *part = argc == 3 ? argv[2] : "";
    HPCC_Params params;
    int rank, ranks, rows = 1, wrong = 0;
    double begin;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    while ((rows + 1) * (rows + 1) <= ranks)
        rows++;
    while (ranks % rows)
        rows--;
    if (rank == 0)
        write_input(argc == 3 ? atoi(argv[1]) : 0, rows, ranks / rows);
    MPI_Barrier(MPI_COMM_WORLD);
    if (HPCC_Init(&params))
        MPI_Abort(MPI_COMM_WORLD, 1);
    MPI_Barrier(MPI_COMM_WORLD);
    begin = MPI_Wtime();
    if (!strcmp(part, "hpl"))
        HPL_main(argc, argv, &params.HPLrdata, &params.Failure);
    else if (!strcmp(part, "fft"))
        HPCC_MPIFFT(&params);
    else if (!strcmp(part, "randomaccess"))
        HPCC_MPIRandomAccess(&params);
    else
        wrong = 1;
    begin = MPI_Wtime() - begin;
    if (rank == 0) {
        remove_input();
        if (wrong || params.Failure) {
            fprintf(stderr,
                    wrong ? "hpcc ORDER hpl|fft|randomaccess\n" : "hpcc: the result is wrong\n");
            MPI_Abort(MPI_COMM_WORLD, 1);
        }
        if (!strcmp(part, "hpl"))
            printf("hpl,0,%.6g,GFlop/s,0\n", params.HPLrdata.Gflops);
        else if (!strcmp(part, "fft"))
            printf("fft,0,%.6g,GFlop/s,0\n", params.MPIFFTGflops);
        else
            printf("randomaccess,0,%.6g,GUP/s,0\n", params.MPIRandomAccess_GUPs);
    }
    MPI_Finalize();
    return 0;
}
