/*
 * collectives [MOST]: collective operations at sizes from one element to some MiB (MOST: of so many elements at most), on
 * the world and on parts of it, blocking and not.
 */
#include "check.h"

static int rank, size, most = 300000;
static MPI_Comm comm;

static long value(int owner, int i)
{
    return owner * 1000003L + i;
}

static void all_equal(const long *data, int count, int owner, const char *what)
{
    for (int i = 0; i < count; i++)
        CHECK(data[i] == value(owner, i), "%s of %d: [%d] of rank %d is %ld", what, count, i, owner,
              data[i]);
}

static void one_to_all(int count)
{
    long *data = check_malloc(count * sizeof(long)),
         *all = check_malloc(count * sizeof(long) * size);
    for (int root = 0; root < size; root++) {
        for (int i = 0; i < count; i++)
            data[i] = rank == root ? value(root, i) : -1;
        MPI_Bcast(data, count, MPI_LONG, root, comm);
        all_equal(data, count, root, "bcast");

        for (int i = 0; i < count * size; i++)
            all[i] = value(i / count, i % count);
        MPI_Scatter(all, count, MPI_LONG, data, count, MPI_LONG, root, comm);
        all_equal(data, count, rank, "scatter");

        memset(all, 0, count * sizeof(long) * size);
        MPI_Gather(data, count, MPI_LONG, all, count, MPI_LONG, root, comm);
        for (int r = 0; rank == root && r < size; r++)
            all_equal(all + (size_t) r * count, count, r, "gather");
    }
    free(data);
    free(all);
}

/* The longs of every other place go where all are in a row, and back. */
static void columns(const long *row, int count)
{
    size_t total = (size_t) count * size;
    long *wide = check_malloc(2 * total * sizeof(long)), *in = check_malloc(total * sizeof(long));
    MPI_Datatype column, strided;

    MPI_Type_vector(count, 1, 2, MPI_LONG, &column);
    MPI_Type_create_resized(column, 0, (MPI_Aint) (2 * count * sizeof(long)), &strided);
    MPI_Type_commit(&strided);
    memset(wide, 0, 2 * total * sizeof(long));
    for (size_t i = 0; i < total; i++)
        wide[2 * i] = row[i];
    MPI_Alltoall(wide, 1, strided, in, count, MPI_LONG, comm);
    for (int r = 0; r < size; r++)
        all_equal(in + (size_t) r * count, count, r * 100 + rank, "alltoall of columns");
    MPI_Allgather(row, count, MPI_LONG, wide, 1, strided, comm);
    MPI_Bcast(wide, size, strided, size - 1, comm);
    for (size_t i = 0; i < total; i++) {
        CHECK(wide[2 * i] == value((int) (i / count) * 100, (int) (i % count)),
              "allgather to columns of %d: [%zu] is %ld", count, i, wide[2 * i]);
        CHECK(wide[2 * i + 1] == 0, "between the columns of %d: [%zu]", count, i);
    }
    MPI_Type_free(&column);
    MPI_Type_free(&strided);
    free(wide);
    free(in);
}

static void all_to_all(int count)
{
    size_t bytes = count * sizeof(long) * size;
    long *out = check_malloc(bytes), *in = check_malloc(bytes);
    MPI_Request request[3];
    for (int i = 0; i < count; i++)
        out[i] = value(rank, i);
    memset(in, 0, bytes);
    MPI_Allgather(out, count, MPI_LONG, in, count, MPI_LONG, comm);
    for (int r = 0; r < size; r++)
        all_equal(in + (size_t) r * count, count, r, "allgather");

    for (int r = 0; r < size; r++)
        for (int i = 0; i < count; i++)
            out[(size_t) r * count + i] = value(rank * 100 + r, i);
    memset(in, 0, bytes);
    MPI_Alltoall(out, count, MPI_LONG, in, count, MPI_LONG, comm);
    for (int r = 0; r < size; r++)
        all_equal(in + (size_t) r * count, count, r * 100 + rank, "alltoall");

    /* In place. */
    for (int i = 0; i < count; i++)
        in[(size_t) rank * count + i] = value(rank, i);
    MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, in, count, MPI_LONG, comm);
    for (int r = 0; r < size; r++)
        all_equal(in + (size_t) r * count, count, r, "allgather in place");
    memcpy(in, out, bytes);
    MPI_Alltoall(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, in, count, MPI_LONG, comm);
    for (int r = 0; r < size; r++)
        all_equal(in + (size_t) r * count, count, r * 100 + rank, "alltoall in place");
    columns(out, count);

    /* Unequal shares: the pair (a, b) exchanges (a + b) % 3 parts of the count. */
    int *length = check_malloc(4 * size * sizeof(int)), *place = length + size, at = 0;
    for (int r = 0; r < size; r++) {
        length[r] = (rank + r) % 3 * (count / 3);
        place[r] = at;
        at += length[r];
        for (int i = 0; i < length[r]; i++)
            out[place[r] + i] = value(rank * 100 + r, i);
    }
    memset(in, 0, bytes);
    MPI_Alltoallv(out, length, place, MPI_LONG, in, length, place, MPI_LONG, comm);
    for (int r = 0; r < size; r++)
        all_equal(in + place[r], length[r], r * 100 + rank, "alltoallv");
    free(length);

    /* Three at the same time. */
    long *sum = check_malloc(count * sizeof(long)), *mine = check_malloc(count * sizeof(long));
    for (int i = 0; i < count; i++) {
        sum[i] = 0;
        mine[i] = value(rank, i);
    }
    MPI_Iallgather(mine, count, MPI_LONG, in, count, MPI_LONG, comm, &request[0]);
    MPI_Iallreduce(mine, sum, count, MPI_LONG, MPI_SUM, comm, &request[1]);
    MPI_Ibarrier(comm, &request[2]);
    MPI_Waitall(3, request, MPI_STATUSES_IGNORE);
    for (int r = 0; r < size; r++)
        all_equal(in + (size_t) r * count, count, r, "iallgather");
    for (int i = 0; i < count; i++)
        CHECK(sum[i] == 1000003L * size * (size - 1) / 2 + (long) size * i,
              "iallreduce of %d: [%d] is %ld", count, i, sum[i]);
    free(sum);
    free(mine);
    free(out);
    free(in);
}

static void not_commutative(void *in, void *inout, int *length, MPI_Datatype *type)
{
    /* Composition of x -> a x + b, modulo 2^32. */
    uint32_t *f = in, *g = inout;
    (void) type;
    for (int i = 0; i < *length; i++) {
        uint32_t a = f[2 * i] * g[2 * i], b = f[2 * i + 1] * g[2 * i] + g[2 * i + 1];
        g[2 * i] = a;
        g[2 * i + 1] = b;
    }
}

static void reductions(int count)
{
    double *mine = check_malloc(count * sizeof(double)),
           *sum = check_malloc(count * sizeof(double));
    for (int i = 0; i < count; i++)
        mine[i] = rank + i;
    MPI_Allreduce(mine, sum, count, MPI_DOUBLE, MPI_SUM, comm);
    for (int i = 0; i < count; i++)
        CHECK(sum[i] == size * (size - 1) / 2.0 + (double) size * i, "allreduce of %d: [%d] is %g",
              count, i, sum[i]);
    memcpy(sum, mine, count * sizeof(double));
    MPI_Allreduce(MPI_IN_PLACE, sum, count, MPI_DOUBLE, MPI_MAX, comm);
    for (int i = 0; i < count; i++)
        CHECK(sum[i] == size - 1 + i, "allreduce in place of %d: [%d] is %g", count, i, sum[i]);
    memset(sum, 0, count * sizeof(double));
    MPI_Scan(mine, sum, count, MPI_DOUBLE, MPI_MAX, comm);
    for (int i = 0; i < count; i++)
        CHECK(sum[i] == rank + i, "scan of %d: [%d] is %g", count, i, sum[i]);
    int root = count % size;
    memset(sum, 0, count * sizeof(double));
    MPI_Reduce(mine, sum, count, MPI_DOUBLE, MPI_MIN, root, comm);
    for (int i = 0; rank == root && i < count; i++)
        CHECK(sum[i] == i, "reduce of %d: [%d] is %g", count, i, sum[i]);
    free(mine);
    free(sum);

    MPI_Op op;
    MPI_Datatype pair;
    MPI_Op_create(not_commutative, 0, &op);
    MPI_Type_contiguous(2, MPI_UINT32_T, &pair);
    MPI_Type_commit(&pair);
    uint32_t *f = check_malloc(count * 8), *g = check_malloc(count * 8);
    for (int i = 0; i < count; i++) {
        f[2 * i] = 2 * rank + 3;
        f[2 * i + 1] = rank + i;
    }
    MPI_Allreduce(f, g, count, pair, op, comm);
    for (int i = 0; i < count; i++) {
        uint32_t want[2] = {3, (uint32_t) i};
        for (int r = 1; r < size; r++) {
            uint32_t next[2] = {2 * r + 3, r + i};
            int one = 1;
            not_commutative(want, next, &one, NULL);
            memcpy(want, next, 8);
        }
        CHECK(memcmp(want, g + 2 * i, 8) == 0, "allreduce in order, of %d: [%d]", count, i);
    }
    free(f);
    free(g);
    MPI_Type_free(&pair);
    MPI_Op_free(&op);
}

static void all_of(MPI_Comm these)
{
    static const int counts[] = {1, 2, 9, 100, 1000, 5001, 40000, 300000};
    comm = these;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]) && counts[c] <= most; c++) {
        one_to_all(counts[c]);
        all_to_all(counts[c]);
        reductions(counts[c]);
    }
    for (int i = 0; i < 500; i++)
        MPI_Barrier(comm);
}

int main(int argc, char **argv)
{
    MPI_Comm part, turned;
    check_start(&argc, &argv, 2);
    if (argc > 1)
        most = atoi(argv[1]);
    all_of(MPI_COMM_WORLD);
    MPI_Comm_split(MPI_COMM_WORLD, check_rank % 2, check_rank, &part);
    all_of(part);
    MPI_Comm_split(MPI_COMM_WORLD, 0, -check_rank, &turned);
    all_of(turned);
    /* What MPI says of shared memory must be true: these ranks share a window. */
    MPI_Comm_free(&part);
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &part);
    int near, me, *base, *other, unit;
    MPI_Aint length;
    MPI_Win window;
    MPI_Comm_size(part, &near);
    MPI_Comm_rank(part, &me);
    MPI_Win_allocate_shared(sizeof(int), sizeof(int), MPI_INFO_NULL, part, &base, &window);
    MPI_Win_lock_all(0, window);
    *base = 77 + me;
    MPI_Win_sync(window);
    MPI_Barrier(part);
    MPI_Win_sync(window);
    for (int r = 0; r < near; r++) {
        MPI_Win_shared_query(window, r, &length, &unit, &other);
        CHECK(length == sizeof(int) && *other == 77 + r, "shared window of %d: %d", r, *other);
    }
    MPI_Win_unlock_all(window);
    MPI_Win_free(&window);
    if (check_rank == 0)
        printf("%d of %d share a window\n", near, check_size);
    MPI_Comm_free(&part);
    MPI_Comm_free(&turned);
    return check_end();
}
