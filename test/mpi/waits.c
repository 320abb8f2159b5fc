/*
 * waits SECONDS: the last rank waits so long for a message of the first, three times, and tells how often it slept
 * meanwhile, and the first how many processes it woke.
 */
#include "check.h"

enum { TAG = 6, TURNS = 3 };

static unsigned long long count(const char *name)
{
    MPI_T_pvar_session session;
    MPI_T_pvar_handle handle;
    unsigned long long value;
    int index, one;

    CHECK(MPI_T_pvar_get_index(name, MPI_T_PVAR_CLASS_COUNTER, &index) == MPI_SUCCESS, "%s", name);
    MPI_T_pvar_session_create(&session);
    MPI_T_pvar_handle_alloc(session, index, NULL, &handle, &one);
    MPI_T_pvar_read(session, handle, &value);
    MPI_T_pvar_handle_free(session, &handle);
    MPI_T_pvar_session_free(&session);
    return value;
}

int main(int argc, char **argv)
{
    int provided, last;
    char data[64];

    MPI_T_init_thread(MPI_THREAD_SINGLE, &provided);
    check_start(&argc, &argv, 2);
    last = check_size - 1;
    for (int i = 0; i < TURNS; i++) {
        MPI_Barrier(MPI_COMM_WORLD);
        if (check_rank == 0) {
            usleep((useconds_t) ((argc > 1 ? atof(argv[1]) : 1) * 1e6));
            fill(data, sizeof(data), (uint64_t) i);
            MPI_Send(data, sizeof(data), MPI_BYTE, last, TAG, MPI_COMM_WORLD);
        } else if (check_rank == last) {
            MPI_Recv(data, sizeof(data), MPI_BYTE, 0, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            CHECK_DATA(data, sizeof(data), (uint64_t) i, "turn %d", i);
        }
    }
    if (check_rank == 0)
        printf("woke %llu\n", count("ferry_wakes"));
    if (check_rank == last)
        printf("slept %llu\n", count("ferry_sleeps"));
    MPI_T_finalize();
    return check_end();
}
