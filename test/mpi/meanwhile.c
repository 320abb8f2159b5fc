/*
 * Something happens to a job that runs: the ranks start, rank 0 and 1 talk, each makes FOLDER/ready-RANK, and whoever does
 * it then makes FOLDER/go. After that all talk to all for the first time, with messages of up to LENGTH bytes.
 *     meanwhile FOLDER [LENGTH]
 */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { TAG = 7 };

static int length_of_long = 3 << 20;

/* Memory of the program's own that is there from the beginning. */
static char *out, *in;

static void await_limits(const char *folder)
{
    char path[4096];
    struct stat info;

    if (check_rank < 2)
        MPI_Sendrecv(out, 1, MPI_BYTE, !check_rank, TAG, in, 1, MPI_BYTE, !check_rank, TAG,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    snprintf(path, sizeof(path), "%s/ready-%d", folder, check_rank);
    close(open(path, O_WRONLY | O_CREAT, 0644));
    snprintf(path, sizeof(path), "%s/go", folder);
    for (int i = 0; stat(path, &info) != 0; i++) {
        CHECK(i < 6000, "nobody says go");
        usleep(10000);
    }
}

/* Each with each, short and long in turn; order between two is looked at. */
static void talk(size_t length)
{
    for (int step = 0; step < check_size; step++) {
        int to = (check_rank + step) % check_size;
        int from = (check_rank + check_size - step) % check_size;
        uint64_t seed = (uint64_t) (from * 100 + check_rank), word = seed, got = 0;
        uint64_t own = (uint64_t) (check_rank * 100 + to);
        MPI_Request requests[4];

        fill(out, length, own);
        word = own;
        MPI_Irecv(in, (int) length, MPI_BYTE, from, TAG, MPI_COMM_WORLD, &requests[0]);
        MPI_Irecv(&got, 8, MPI_BYTE, from, TAG, MPI_COMM_WORLD, &requests[1]);
        MPI_Isend(out, (int) length, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &requests[2]);
        MPI_Isend(&word, 8, MPI_BYTE, to, TAG, MPI_COMM_WORLD, &requests[3]);
        MPI_Waitall(4, requests, MPI_STATUSES_IGNORE);
        CHECK_DATA(in, length, seed, "from rank %d", from);
        CHECK(got == seed, "the second message from rank %d overtook the first", from);
    }
}

static void reduce_and_expose(void)
{
    int mine = check_rank, sum;
    MPI_Win win;

    for (int i = 0; i < 20; i++)
        MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK(sum == check_size * (check_size - 1) / 2, "sum %d", sum);
    MPI_Win_create(in, length_of_long, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &win);
    fill(out, (size_t) length_of_long, (uint64_t) check_rank);
    MPI_Win_fence(0, win);
    MPI_Put(out, length_of_long, MPI_BYTE, (check_rank + 1) % check_size, 0, length_of_long,
            MPI_BYTE, win);
    MPI_Win_fence(0, win);
    CHECK_DATA(in, length_of_long, (uint64_t) ((check_rank + check_size - 1) % check_size), "put");
    MPI_Win_free(&win);
}

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    if (argc > 2)
        length_of_long = atoi(argv[2]);
    out = check_malloc((size_t) length_of_long);
    in = check_malloc((size_t) length_of_long);
    memset(out, 1, (size_t) length_of_long);
    memset(in, 1, (size_t) length_of_long);
    await_limits(argc > 1 ? argv[1] : ".");
    talk(8);
    talk((size_t) length_of_long);
    talk((size_t) length_of_long / 50);
    reduce_and_expose();
    return check_end();
}
