/*
 * What a part of a program did to Ferry's counters: reads the performance variables ferry_* (MPI_T) before and after
 * it, and prints those that changed on rank 0.
 *
 *     mpicc -o counters counters.c
 *     mpiexec -n 2 ./counters [ROUND-TRIPS [BYTES]]
 *
 * With another MPI it says that there are none.
 */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* From this part of the time on, percent, a measurement is spoiled by what the hypervisor took from the processors
 * meanwhile: good ones scatter by about as much. What was taken from any of the processors counts in full, for a rank
 * that is stopped stops those that wait for it. It is told in steps of mostly 10 ms, so measure for a second at least:
 * in less, one step is already too much. */
#define SPOILED_PERCENT 1

#define VARIABLES_MAX 128

static struct variable {
    char name[64], help[256];
    int class;
    MPI_T_pvar_handle handle;
    unsigned long long before;
} variables[VARIABLES_MAX];
static int count;
static MPI_T_pvar_session session;

/* Finds the variables ferry_* that are single numbers of the whole process and go on by themselves. */
static void find_variables(void)
{
    int all, provided;

    MPI_T_init_thread(MPI_THREAD_SINGLE, &provided);
    MPI_T_pvar_session_create(&session);
    MPI_T_pvar_get_num(&all);
    for (int i = 0; i < all && count < VARIABLES_MAX; i++) {
        struct variable *v = &variables[count];
        int name_length = sizeof(v->name), help_length = sizeof(v->help);
        int verbosity, bind, readonly, continuous, atomic, numbers;
        MPI_Datatype type;
        MPI_T_enum words;

        if (MPI_T_pvar_get_info(i, v->name, &name_length, &verbosity, &v->class, &type, &words,
                                v->help, &help_length, &bind, &readonly, &continuous,
                                &atomic) != MPI_SUCCESS ||
            strncmp(v->name, "ferry_", 6) != 0 || type != MPI_UNSIGNED_LONG_LONG ||
            bind != MPI_T_BIND_NO_OBJECT || !continuous)
            continue;
        if (MPI_T_pvar_handle_alloc(session, i, NULL, &v->handle, &numbers) == MPI_SUCCESS)
            count++;
    }
}

static unsigned long long value_of(const struct variable *v)
{
    unsigned long long value = 0;

    MPI_T_pvar_read(session, v->handle, &value);
    return value;
}

static void begin(void)
{
    for (int i = 0; i < count; i++)
        variables[i].before = value_of(&variables[i]);
}

static void end(double seconds)
{
    unsigned long long stolen = 0;

    for (int i = 0; i < count; i++) {
        const struct variable *v = &variables[i];
        unsigned long long value = value_of(v);

        if (strcmp(v->name, "ferry_steal_time") == 0)
            stolen = value - v->before;
        if (value == v->before)
            continue;
        if (v->class == MPI_T_PVAR_CLASS_LEVEL)
            printf("%-28s %12llu -> %llu  %s\n", v->name, v->before, value, v->help);
        else
            printf("%-28s %12llu  %s\n", v->name, value - v->before, v->help);
    }
    if (count == 0)
        printf("this MPI has no variables ferry_*\n");
    else
        printf("stolen by the hypervisor: %.3f s of %.3f s%s\n", 1e-6 * (double) stolen, seconds,
               1e-6 * (double) stolen * 100 > seconds * SPOILED_PERCENT
                   ? ": the figure was spoiled, measure again"
                   : "");
}

/* The part that is looked at. Instead of it, put your own. */
static void ping_pong(int rank, int trips, int bytes, char *data)
{
    for (int i = 0; i < trips && rank < 2; i++) {
        if (rank == 0)
            MPI_Send(data, bytes, MPI_CHAR, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(data, bytes, MPI_CHAR, !rank, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (rank == 1)
            MPI_Send(data, bytes, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
    }
}

int main(int argc, char **argv)
{
    int trips = argc > 1 ? atoi(argv[1]) : 100000, bytes = argc > 2 ? atoi(argv[2]) : 1024;
    char *data = calloc(1, bytes > 0 ? (size_t) bytes : 1);
    int rank, size;
    double start;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size < 2 || data == NULL) {
        fprintf(stderr, "counters: needs two ranks, and memory\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    find_variables();
    MPI_Barrier(MPI_COMM_WORLD);
    begin();
    start = MPI_Wtime();
    ping_pong(rank, trips, bytes, data);
    if (rank == 0) {
        double seconds = MPI_Wtime() - start;

        printf("%d round trips of %d bytes: %.3f us each\n", trips, bytes, 1e6 * seconds / trips);
        end(seconds);
    }
    MPI_T_pvar_session_free(&session);
    MPI_T_finalize();
    free(data);
    MPI_Finalize();
    return 0;
}
