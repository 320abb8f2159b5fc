/*
 * The name of a port holds until the port is closed. Two jobs of one rank: ports server FILE and
 * ports client FILE, which tries a port that was closed, and then the next of the same process.
 */
#include "check.h"

enum { TAG = 3, TIMES = 3 };

static void talk(MPI_Comm inter, int number)
{
    int in = -1, size;
    MPI_Comm_remote_size(inter, &size);
    CHECK(size == 1, "%d at the other side", size);
    MPI_Sendrecv(&number, 1, MPI_INT, 0, TAG, &in, 1, MPI_INT, 0, TAG, inter, MPI_STATUS_IGNORE);
    CHECK(in == number, "got %d, not %d", in, number);
    MPI_Comm_disconnect(&inter);
}

static void serve(const char *file)
{
    char port[MPI_MAX_PORT_NAME], closed[MPI_MAX_PORT_NAME], other[4096];
    MPI_Comm inter;
    MPI_Open_port(MPI_INFO_NULL, closed);
    MPI_Close_port(closed);
    MPI_Open_port(MPI_INFO_NULL, port);
    CHECK(strcmp(port, closed) != 0, "both are called %.200s", port);
    snprintf(other, sizeof(other), "%s.new", file);
    FILE *out = fopen(other, "w");
    CHECK(out != NULL && fprintf(out, "%s\n%s\n", closed, port) > 0 && fclose(out) == 0,
          "can't write %.400s", other);
    CHECK(rename(other, file) == 0, "can't write %.400s", file);
    for (int i = 0; i < TIMES; i++) {
        MPI_Comm_accept(port, MPI_INFO_NULL, 0, MPI_COMM_SELF, &inter);
        talk(inter, i);
    }
    MPI_Close_port(port);
}

static void read_line(FILE *in, char port[MPI_MAX_PORT_NAME])
{
    CHECK(fgets(port, MPI_MAX_PORT_NAME, in) != NULL, "no port in the file");
    port[strcspn(port, "\n")] = '\0';
}

static void call(const char *file)
{
    char port[MPI_MAX_PORT_NAME], closed[MPI_MAX_PORT_NAME];
    MPI_Comm inter = MPI_COMM_NULL;
    FILE *in = NULL;
    for (int i = 0; i < 600 && (in = fopen(file, "r")) == NULL; i++)
        usleep(50000);
    CHECK(in != NULL, "there is no %.400s", file);
    read_line(in, closed);
    read_line(in, port);
    fclose(in);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
    int error = MPI_Comm_connect(closed, MPI_INFO_NULL, 0, MPI_COMM_SELF, &inter), class;
    CHECK(error != MPI_SUCCESS, "came in by a closed port");
    MPI_Error_class(error, &class);
    CHECK(class == MPI_ERR_PORT, "error class %d", class);
    MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_ARE_FATAL);
    for (int i = 0; i < TIMES; i++) {
        MPI_Comm_connect(port, MPI_INFO_NULL, 0, MPI_COMM_SELF, &inter);
        talk(inter, i);
    }
}

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 1);
    CHECK(argc == 3 && check_size == 1, "usage, as jobs of one rank: ports server|client FILE");
    if (strcmp(argv[1], "server") == 0)
        serve(argv[2]);
    else
        call(argv[2]);
    return check_end();
}
