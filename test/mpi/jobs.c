/*
 * Two jobs meet at a port whose name one writes into a file: jobs server FILE, jobs client FILE.
 */
#include "check.h"

enum { TAG = 2, LENGTH = 2000000 };

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 1);
    CHECK(argc == 3, "usage: jobs server|client FILE");
    bool server = strcmp(argv[1], "server") == 0;
    char port[MPI_MAX_PORT_NAME] = "", other[4096];
    MPI_Comm inter;
    if (server && check_rank == 0) {
        MPI_Open_port(MPI_INFO_NULL, port);
        snprintf(other, sizeof(other), "%s.new", argv[2]);
        FILE *file = fopen(other, "w");
        CHECK(file != NULL && fputs(port, file) >= 0 && fclose(file) == 0, "can't write %.400s",
              other);
        CHECK(rename(other, argv[2]) == 0, "can't write %.400s", argv[2]);
    } else if (check_rank == 0) {
        FILE *file = NULL;
        for (int i = 0; i < 600 && (file = fopen(argv[2], "r")) == NULL; i++)
            usleep(50000);
        CHECK(file != NULL && fgets(port, sizeof(port), file) != NULL, "no port in %.400s",
              argv[2]);
        fclose(file);
    }
    if (server)
        MPI_Comm_accept(port, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &inter);
    else
        MPI_Comm_connect(port, MPI_INFO_NULL, 0, MPI_COMM_WORLD, &inter);
    char *buffer = check_malloc(LENGTH);
    int others;
    MPI_Comm_remote_size(inter, &others);
    for (int i = 0; i < 10; i++)
        for (int r = 0; r < others; r++)
            if ((i % 2 == 0) == server) {
                fill(buffer, LENGTH, check_rank * 100 + i);
                MPI_Send(buffer, LENGTH, MPI_BYTE, r, TAG, inter);
            } else {
                MPI_Recv(buffer, LENGTH, MPI_BYTE, r, TAG, inter, MPI_STATUS_IGNORE);
                CHECK_DATA(buffer, LENGTH, r * 100 + i, "round %d from %d of the other job", i, r);
            }
    MPI_Comm_disconnect(&inter);
    free(buffer);
    if (server && check_rank == 0)
        MPI_Close_port(port);
    return check_end();
}
