/*
 * Conjugate gradients with the communication of NAS CG: the matrix is dealt out in two dimensions, to a power of two of
 * ranks. A product is summed along each row of ranks by exchanges of vectors, then exchanged with the transposed rank;
 * dot products are summed by exchanges of single numbers. Told is the time of one iteration; the bytes are those of the
 * part of a vector that a rank has. That the iteration comes to the solution is checked.
 */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ORDER = 32768, BESIDE = 6, ITERATIONS = 60, SOLUTIONS = 12, SUM = 1, TURN, DOT };

static int grid_columns, row, col;  /* the grid of ranks; this rank's place */
static int mine_rows, mine_columns; /* of the matrix in this rank's block */
static int *start, *index_of;       /* the block's rows, compressed */
static double *value_of, *product, *room;

/* The matrix: symmetric, a diagonal that outweighs the rest, and some far from it. */
static const int distance[BESIDE] = {1, 2, 77, 512, 3001, 8187};

static void add(int *count, int column, double value)
{
    int local = column - col * mine_columns;

    if (column < 0 || column >= ORDER || local < 0 || local >= mine_columns)
        return;
    index_of[*count] = local;
    value_of[(*count)++] = value;
}

static void make_matrix(void)
{
    size_t most = (size_t) mine_rows * (2 * BESIDE + 1);
    int count = 0;

    start = bench_memory(sizeof(int) * (size_t) (mine_rows + 1));
    index_of = bench_memory(sizeof(int) * most);
    value_of = bench_memory(sizeof(double) * most);
    product = bench_memory(sizeof(double) * (size_t) mine_rows);
    room = bench_memory(sizeof(double) * (size_t) mine_rows);
    for (int i = 0; i < mine_rows; i++) {
        int global = row * mine_rows + i;

        start[i] = count;
        add(&count, global, 2 * BESIDE + 1);
        for (int each = 0; each < BESIDE; each++) {
            add(&count, global - distance[each], -1);
            add(&count, global + distance[each], -1);
        }
    }
    start[mine_rows] = count;
}

static void exchange(double *out, double *in, int count, int other, int tag)
{
    MPI_Request request;

    MPI_Irecv(in, count, MPI_DOUBLE, other, tag, MPI_COMM_WORLD, &request);
    MPI_Send(out, count, MPI_DOUBLE, other, tag, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
}

/* Sums what the ranks of a row have of their rows' products. Where there are twice as many columns of ranks as rows,
 * each needs half of them: then the first exchange is with the neighbour, of the half that it needs. Returns where this
 * rank's part begins. */
static double *sum_along_row(void)
{
    double *part = product;
    int far = 1;

    if (mine_columns < mine_rows) {
        double *lower = product, *upper = product + mine_columns;

        part = col & 1 ? upper : lower;
        exchange(col & 1 ? lower : upper, room, mine_columns, row * grid_columns + (col ^ 1), SUM);
        for (int i = 0; i < mine_columns; i++)
            part[i] += room[i];
        far = 2;
    }
    for (; far < grid_columns; far *= 2) {
        exchange(part, room, mine_columns, row * grid_columns + (col ^ far), SUM);
        for (int i = 0; i < mine_columns; i++)
            part[i] += room[i];
    }
    return part;
}

/* out = A in, both dealt out by columns. */
static void multiply(const double *in, double *out)
{
    double *part;
    int other;

    for (int i = 0; i < mine_rows; i++) {
        double sum = 0;

        for (int at = start[i]; at < start[i + 1]; at++)
            sum += value_of[at] * in[index_of[at]];
        product[i] = sum;
    }
    part = sum_along_row();
    other = mine_columns < mine_rows ? col / 2 * grid_columns + 2 * row + (col & 1)
                                     : col * grid_columns + row;
    if (other == bench_rank)
        memcpy(out, part, sizeof(double) * (size_t) mine_columns);
    else
        exchange(part, out, mine_columns, other, TURN);
}

static double dot(const double *a, const double *b)
{
    double sum = 0, theirs;

    for (int i = 0; i < mine_columns; i++)
        sum += a[i] * b[i];
    for (int far = 1; far < grid_columns; far *= 2) {
        exchange(&sum, &theirs, 1, row * grid_columns + (col ^ far), DOT);
        sum += theirs;
    }
    return sum;
}

/* Solves A x = (1, 1, ...); what is left of it by what there was. */
static double solve(double *x, double *r, double *p, double *q)
{
    double rho, first;

    for (int i = 0; i < mine_columns; i++) {
        x[i] = 0;
        r[i] = p[i] = 1;
    }
    rho = first = dot(r, r);
    for (int each = 0; each < ITERATIONS; each++) {
        double alpha, beta = rho;

        multiply(p, q);
        alpha = rho / dot(p, q);
        for (int i = 0; i < mine_columns; i++) {
            x[i] += alpha * p[i];
            r[i] -= alpha * q[i];
        }
        rho = dot(r, r);
        beta = rho / beta;
        for (int i = 0; i < mine_columns; i++)
            p[i] = r[i] + beta * p[i];
    }
    /* Not what the iteration believes, but what is so. */
    multiply(x, q);
    for (int i = 0; i < mine_columns; i++)
        r[i] = 1 - q[i];
    return sqrt(dot(r, r) / first);
}

int main(int argc, char **argv)
{
    double *vector[4], begin, left = 0;
    int grid_rows = 1;

    bench_begin(argc, argv, ORDER, ORDER);
    if (bench_ranks & (bench_ranks - 1) || bench_ranks > 64)
        bench_fail("a power of two of ranks is wanted, 64 at most");
    for (grid_columns = 1; grid_rows * grid_columns < bench_ranks;)
        grid_columns == grid_rows ? (grid_columns *= 2) : (grid_rows *= 2);
    row = bench_rank / grid_columns;
    col = bench_rank % grid_columns;
    mine_rows = ORDER / grid_rows;
    mine_columns = ORDER / grid_columns;
    make_matrix();
    for (int i = 0; i < 4; i++)
        vector[i] = bench_memory(sizeof(double) * (size_t) mine_columns);
    MPI_Barrier(MPI_COMM_WORLD);
    begin = MPI_Wtime();
    for (int i = 0; i < SOLUTIONS; i++)
        left = solve(vector[0], vector[1], vector[2], vector[3]);
    MPI_Barrier(MPI_COMM_WORLD);
    begin = MPI_Wtime() - begin;
    if (!(left < 1e-6))
        bench_fail("the iteration did not come to the solution");
    bench_tell("iteration", sizeof(double) * (size_t) mine_columns,
               begin / SOLUTIONS / ITERATIONS * 1e6, "us");
    MPI_Finalize();
    return 0;
}
