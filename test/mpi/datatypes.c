/*
 * Messages that are not contiguous at the sender, at the receiver or at both, from a few bytes to
 * several MiB; what lies between the pieces stays as it was.
 */
#include "check.h"

enum { TAG = 4, KINDS = 6 };

static const char *const kind_names[KINDS] = {"vector",  "indexed",  "struct",
                                              "resized", "subarray", "vector of structs"};

/* A type of n pieces. Its packed size is even in doubles only for some. */
static MPI_Datatype make(int kind, int n)
{
    MPI_Datatype type, inner;
    if (kind == 0) {
        MPI_Type_vector(n, 3, 7, MPI_INT, &type);
    } else if (kind == 1) {
        int *lengths = check_malloc(n * sizeof(int)), *places = check_malloc(n * sizeof(int));
        for (int i = 0, at = 2; i < n; i++, at += lengths[i - 1] + i % 3) {
            lengths[i] = 1 + i % 5;
            places[i] = at;
        }
        MPI_Type_indexed(n, lengths, places, MPI_SHORT, &type);
        free(lengths);
        free(places);
    } else if (kind == 2 || kind == 5) {
        int lengths[3] = {1, 3, 5};
        MPI_Aint places[3] = {0, 16, 33};
        MPI_Datatype types[3] = {MPI_DOUBLE, MPI_INT, MPI_CHAR};
        MPI_Type_create_struct(3, lengths, places, types, &inner);
        if (kind == 2) {
            MPI_Type_contiguous(n, inner, &type);
        } else {
            MPI_Type_vector(n / 2 + 1, 1, 3, inner, &type);
        }
        MPI_Type_free(&inner);
    } else if (kind == 3) {
        MPI_Type_create_resized(MPI_LONG, 0, 24, &inner);
        MPI_Type_contiguous(n, inner, &type);
        MPI_Type_free(&inner);
    } else {
        int whole[3] = {n + 2, 8, 5}, part[3] = {n, 3, 2}, start[3] = {1, 2, 1};
        MPI_Type_create_subarray(3, whole, part, start, MPI_ORDER_C, MPI_SHORT, &type);
    }
    MPI_Type_commit(&type);
    return type;
}

/* Makes data through the type, by way of a packed form that is known; fillers are 0x5a. */
static void spread(char *at, size_t extent, const void *packed, int size, MPI_Datatype type)
{
    int position = 0;
    memset(at, 0x5a, extent);
    MPI_Unpack(packed, size, &position, at, 1, type, MPI_COMM_SELF);
}

static void one(int kind, int n, bool type_at_sender, bool type_at_receiver, bool sync)
{
    MPI_Datatype type = make(kind, n);
    MPI_Aint lower, extent, true_lower, true_extent;
    int size, sender = n % 2;
    MPI_Type_size(type, &size);
    MPI_Type_get_extent(type, &lower, &extent);
    MPI_Type_get_true_extent(type, &true_lower, &true_extent);
    size_t room = (size_t) (true_lower + true_extent > extent ? true_lower + true_extent : extent) +
                  64;
    char *packed = check_malloc(size), *buffer = check_malloc(room), *wanted = check_malloc(room);
    fill(packed, size, n * 10 + kind);
    if (check_rank == sender) {
        spread(buffer, room, packed, size, type);
        void *from = type_at_sender ? buffer : packed;
        int count = type_at_sender ? 1 : size;
        MPI_Datatype of = type_at_sender ? type : MPI_BYTE;
        if (sync)
            MPI_Ssend(from, count, of, 1 - sender, TAG, MPI_COMM_WORLD);
        else
            MPI_Send(from, count, of, 1 - sender, TAG, MPI_COMM_WORLD);
    } else if (check_rank == 1 - sender) {
        MPI_Status status;
        int count;
        if (type_at_receiver) {
            memset(buffer, 0x5a, room);
            MPI_Recv(buffer, 1, type, sender, TAG, MPI_COMM_WORLD, &status);
            spread(wanted, room, packed, size, type);
            CHECK(memcmp(buffer, wanted, room) == 0, "%s of %d pieces, %d bytes", kind_names[kind],
                  n, size);
        } else {
            MPI_Recv(buffer, size, MPI_BYTE, sender, TAG, MPI_COMM_WORLD, &status);
            CHECK(memcmp(buffer, packed, size) == 0, "%s of %d pieces, %d bytes, packed",
                  kind_names[kind], n, size);
        }
        MPI_Get_count(&status, MPI_BYTE, &count);
        CHECK(count == size, "%s of %d pieces: %d of %d bytes", kind_names[kind], n, count, size);
    }
    free(packed);
    free(buffer);
    free(wanted);
    MPI_Type_free(&type);
}

int main(int argc, char **argv)
{
    static const int pieces[] = {1, 2, 5, 16, 33, 100, 1000, 5001, 20000, 100003};
    check_start(&argc, &argv, 2);
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t p = 0; p < sizeof(pieces) / sizeof(pieces[0]); p++)
            for (int way = 1; way < 4; way++) {
                one(kind, pieces[p], way & 1, way & 2, false);
                one(kind, pieces[p], way & 1, way & 2, true);
            }
    return check_end();
}
