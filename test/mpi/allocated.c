/*
 * Memory of MPI_Alloc_mem and MPI_Win_allocate: what is sent from it and what one-sided operations find in it arrives
 * whole, also from pieces of it, and when more is asked for than can be had of a special kind.
 *
 *   allocated [NUMBER]   fails also unless each rank reads so many messages at least where they lie
 */
#include "check.h"

enum { LENGTH = 1 << 20, MANY = 24, ROUNDS = 6, TAG = 5 };

static unsigned long long reads_in_place(void)
{
    unsigned long long value = 0;
    MPI_T_pvar_session session;
    MPI_T_pvar_handle handle;
    int provided, index, count;

    MPI_T_init_thread(MPI_THREAD_SINGLE, &provided);
    CHECK(MPI_T_pvar_get_index("ferry_guests_reads", MPI_T_PVAR_CLASS_COUNTER, &index) ==
              MPI_SUCCESS,
          "there is no ferry_guests_reads");
    MPI_T_pvar_session_create(&session);
    MPI_T_pvar_handle_alloc(session, index, NULL, &handle, &count);
    MPI_T_pvar_read(session, handle, &value);
    MPI_T_pvar_session_free(&session);
    MPI_T_finalize();
    return value;
}

/* Around, from the front, the middle and the end of what was allocated, to what was and to what was not. */
static void around(char *allocated, char *other)
{
    int next = (check_rank + 1) % check_size, before = (check_rank + check_size - 1) % check_size;

    for (int round = 0; round < ROUNDS; round++) {
        int length = LENGTH / 3, at = round % 3 * length;
        char *to = round % 2 ? other : allocated + (at + length) % (3 * length);
        uint64_t seed = (uint64_t) round * 100;

        fill(allocated + at, (size_t) length, seed + (uint64_t) check_rank);
        MPI_Sendrecv(allocated + at, length, MPI_BYTE, next, TAG, to, length, MPI_BYTE, before, TAG,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        CHECK_DATA(to, (size_t) length, seed + (uint64_t) before, "round %d", round);
    }
}

static void windows(void)
{
    int next = (check_rank + 1) % check_size, before = (check_rank + check_size - 1) % check_size;
    char *base, *data = check_malloc(LENGTH);
    MPI_Win win;

    MPI_Win_allocate(2 * LENGTH, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win);
    MPI_Win_fence(0, win);
    fill(base, LENGTH, 7000 + (uint64_t) check_rank);
    fill(data, LENGTH, 8000 + (uint64_t) check_rank);
    MPI_Win_fence(0, win);
    MPI_Put(data, LENGTH, MPI_BYTE, next, LENGTH, LENGTH, MPI_BYTE, win);
    MPI_Win_fence(0, win);
    CHECK_DATA(base + LENGTH, LENGTH, 8000 + (uint64_t) before, "put");
    MPI_Get(data, LENGTH, MPI_BYTE, next, 0, LENGTH, MPI_BYTE, win);
    MPI_Win_fence(0, win);
    CHECK_DATA(data, LENGTH, 7000 + (uint64_t) next, "get");
    MPI_Win_free(&win);
    free(data);
}

int main(int argc, char **argv)
{
    char *some[MANY], *other;

    check_start(&argc, &argv, 2);
    other = check_malloc(LENGTH);
    for (int i = 0; i < MANY; i++) {
        MPI_Alloc_mem(LENGTH, MPI_INFO_NULL, &some[i]);
        CHECK(some[i] != NULL, "no memory for the %d-th", i);
        fill(some[i], LENGTH, 9000 + (uint64_t) i);
    }
    for (int i = 0; i < MANY; i++)
        CHECK_DATA(some[i], LENGTH, 9000 + (uint64_t) i, "the %d-th", i);
    for (int i = 1; i < MANY; i++)
        MPI_Free_mem(some[i]);
    around(some[0], other);
    MPI_Free_mem(some[0]);
    windows();
    if (argc > 1) {
        unsigned long long reads = reads_in_place();
        CHECK(reads >= strtoull(argv[1], NULL, 10), "%llu reads", reads);
    }
    free(other);
    return check_end();
}
