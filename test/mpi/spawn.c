/*
 * Processes that join later: spawned ones, and two halves that meet at a port. They talk over the
 * intercommunicator and, merged, among each other; and leave again.
 */
#include "check.h"

enum { TAG = 2, CHILDREN = 2, LONG = 3000000 };

/* Whoever is told to share memory with this process does so. */
static void share(MPI_Comm all)
{
    MPI_Comm node;
    MPI_Win win;
    long *own, *other;
    int size, rank, unit;
    MPI_Aint bytes;

    MPI_Comm_split_type(all, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_size(node, &size);
    MPI_Comm_rank(node, &rank);
    MPI_Win_allocate_shared(sizeof(*own), sizeof(*own), MPI_INFO_NULL, node, &own, &win);
    MPI_Win_fence(0, win);
    *own = rank + 7;
    MPI_Win_fence(0, win);
    for (int r = 0; r < size; r++) {
        MPI_Win_shared_query(win, r, &bytes, &unit, &other);
        CHECK(*other == r + 7, "rank %d of the node wrote %ld", r, *other);
    }
    MPI_Win_free(&win);
    MPI_Comm_free(&node);
}

/* Everyone in a sends to everyone in b and back; then all do so in one communicator. */
static void talk(MPI_Comm inter, bool high)
{
    int mine, others;
    char *buffer = check_malloc(LONG);
    MPI_Comm all;
    MPI_Comm_rank(inter, &mine);
    MPI_Comm_remote_size(inter, &others);
    for (int length = 0; length <= LONG; length = length * 30 + 3) {
        for (int turn = 0; turn < 2; turn++)
            for (int r = 0; r < others; r++) {
                if ((turn == 0) == high) {
                    fill(buffer, length, mine * 10 + high);
                    MPI_Send(buffer, length, MPI_BYTE, r, TAG, inter);
                } else {
                    MPI_Recv(buffer, length, MPI_BYTE, r, TAG, inter, MPI_STATUS_IGNORE);
                    CHECK_DATA(buffer, length, r * 10 + !high, "%d bytes of %d beyond", length, r);
                }
            }
    }
    MPI_Intercomm_merge(inter, high, &all);
    int rank, size, here;
    MPI_Comm_rank(all, &rank);
    MPI_Comm_size(all, &size);
    MPI_Comm_size(inter, &here);
    CHECK(size == here + others, "merged %d and %d to %d", here, others, size);
    long one = rank + 1, sum = 0;
    MPI_Allreduce(&one, &sum, 1, MPI_LONG, MPI_SUM, all);
    CHECK(sum == (long) size * (size + 1) / 2, "sum of merged ranks is %ld", sum);
    fill(buffer, 100000, 1 + (rank == 0 ? 0 : 1000));
    MPI_Bcast(buffer, 100000, MPI_BYTE, 0, all);
    CHECK_DATA(buffer, 100000, 1, "bcast to merged ranks");
    share(all);
    MPI_Comm_free(&all);
    free(buffer);
}

static void spawned(char *program)
{
    MPI_Comm children;
    int errors[CHILDREN];
    char *arguments[] = {"child", NULL};
    MPI_Comm_spawn(program, arguments, CHILDREN, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &children,
                   errors);
    for (int i = 0; check_rank == 0 && i < CHILDREN; i++)
        CHECK(errors[i] == MPI_SUCCESS, "child %d not spawned", i);
    talk(children, false);
    MPI_Comm_disconnect(&children);
}

static void met(void)
{
    char port[MPI_MAX_PORT_NAME] = "";
    bool server = check_rank % 2 == 0;
    MPI_Comm half, inter;
    MPI_Comm_split(MPI_COMM_WORLD, server, check_rank, &half);
    for (int i = 0; i < 3; i++) {
        if (check_rank == 0)
            MPI_Open_port(MPI_INFO_NULL, port);
        MPI_Bcast(port, sizeof(port), MPI_CHAR, 0, MPI_COMM_WORLD);
        if (server)
            MPI_Comm_accept(port, MPI_INFO_NULL, 0, half, &inter);
        else
            MPI_Comm_connect(port, MPI_INFO_NULL, 0, half, &inter);
        talk(inter, server);
        MPI_Comm_disconnect(&inter);
        if (check_rank == 0)
            MPI_Close_port(port);
    }
    MPI_Comm_free(&half);
}

int main(int argc, char **argv)
{
    MPI_Comm parent;
    check_start(&argc, &argv, 2);
    MPI_Comm_get_parent(&parent);
    if (parent != MPI_COMM_NULL) {
        talk(parent, true);
        MPI_Comm_disconnect(&parent);
        MPI_Finalize();
        return 0;
    }
    met();
    spawned(argv[0]);
    return check_end();
}
