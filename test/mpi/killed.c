/*
 * The last rank dies in the middle of a long message, or between the barriers of all. The others must not wait for it
 * for ever: with errors that return they see one, and write it into a file FOLDER/ended-RANK: what they say on
 * standard error the launcher may lose.
 *     killed fatal|return|barrier FOLDER
 */
#include "check.h"

#include <pthread.h>
#include <signal.h>

enum { TAG = 1, LENGTH = 8 << 20 };

static void *killer(void *arg)
{
    usleep((useconds_t) (intptr_t) arg);
    kill(getpid(), SIGKILL);
    return NULL;
}

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    char *buffer = check_malloc(LENGTH), text[MPI_MAX_ERROR_STRING];
    int victim = check_size - 1, error = MPI_SUCCESS, length;
    MPI_Barrier(MPI_COMM_WORLD);
    int barriers = argc > 1 && strcmp(argv[1], "barrier") == 0;
    if (argc > 1 && strcmp(argv[1], "fatal") != 0)
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (check_rank == victim) {
        pthread_t thread;
        pthread_create(&thread, NULL, killer, (void *) (intptr_t) 200000);
    }
    for (double end = MPI_Wtime() + 30; MPI_Wtime() < end && error == MPI_SUCCESS;) {
        if (barriers)
            error = MPI_Barrier(MPI_COMM_WORLD);
        else if (check_rank == victim)
            for (int r = 0; r < victim; r++)
                MPI_Send(buffer, LENGTH, MPI_BYTE, r, TAG, MPI_COMM_WORLD);
        else
            error = MPI_Recv(buffer, LENGTH, MPI_BYTE, victim, TAG, MPI_COMM_WORLD,
                             MPI_STATUS_IGNORE);
    }
    if (error == MPI_SUCCESS)
        strcpy(text, "no error");
    else
        MPI_Error_string(error, text, &length);
    char name[4096];
    snprintf(name, sizeof(name), "%s/ended-%d", argc > 2 ? argv[2] : ".", check_rank);
    FILE *file = fopen(name, "w");
    if (file != NULL) {
        fprintf(file, "%s\n", text);
        fclose(file);
    }
    /* MPI_Finalize would wait for the dead. */
    _exit(error == MPI_SUCCESS ? 3 : 4);
}
