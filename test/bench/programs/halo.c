/*
 * A halo exchange: the heat equation on a square grid (Jacobi), dealt out in two dimensions; rows go as they lie, columns
 * as a derived datatype. Told is the time of one step: step, bytes are those of one exchanged row. In a grid whose rim
 * is 1 all must come between 0 and 1, and nearer to 1 with each step: it is checked.
 */
#include "bench.h"

#include <stdlib.h>

enum { SIDE = 768, STEPS = 400, NORTH, SOUTH, WEST, EAST };

static int rows, columns, wide; /* of this rank, without the halo; what lies from row to row */
static int beside[4];           /* the neighbours, MPI_PROC_NULL at the rim */
static MPI_Comm grid;
static MPI_Datatype column;

static double *at(double *cells, int row, int col)
{
    return cells + (size_t) row * (size_t) wide + col;
}

static void exchange(double *cells)
{
    MPI_Request request[8];

    MPI_Irecv(at(cells, 0, 1), columns, MPI_DOUBLE, beside[0], SOUTH, grid, &request[0]);
    MPI_Irecv(at(cells, rows + 1, 1), columns, MPI_DOUBLE, beside[1], NORTH, grid, &request[1]);
    MPI_Irecv(at(cells, 1, 0), 1, column, beside[2], EAST, grid, &request[2]);
    MPI_Irecv(at(cells, 1, columns + 1), 1, column, beside[3], WEST, grid, &request[3]);
    MPI_Isend(at(cells, 1, 1), columns, MPI_DOUBLE, beside[0], NORTH, grid, &request[4]);
    MPI_Isend(at(cells, rows, 1), columns, MPI_DOUBLE, beside[1], SOUTH, grid, &request[5]);
    MPI_Isend(at(cells, 1, 1), 1, column, beside[2], WEST, grid, &request[6]);
    MPI_Isend(at(cells, 1, columns), 1, column, beside[3], EAST, grid, &request[7]);
    MPI_Waitall(8, request, MPI_STATUSES_IGNORE);
}

static void step(double *from, double *to)
{
    for (int row = 1; row <= rows; row++) {
        const double *up = at(from, row - 1, 0), *here = at(from, row, 0),
                     *down = at(from, row + 1, 0);
        double *out = at(to, row, 0);

        for (int col = 1; col <= columns; col++)
            out[col] = 0.25 * (up[col] + down[col] + here[col - 1] + here[col + 1]);
    }
}

static double mean(double *cells)
{
    double part = 0, sum;

    for (int row = 1; row <= rows; row++)
        for (int col = 1; col <= columns; col++)
            part += *at(cells, row, col);
    MPI_Allreduce(&part, &sum, 1, MPI_DOUBLE, MPI_SUM, grid);
    return sum / SIDE / SIDE;
}

int main(int argc, char **argv)
{
    int dims[2] = {0, 0}, periods[2] = {0, 0};
    double *cells, *next, *swap, begin, before = 0, after;

    bench_begin(argc, argv, SIDE, SIDE);
    MPI_Dims_create(bench_ranks, 2, dims);
    if (SIDE % dims[0] || SIDE % dims[1])
        bench_fail("the grid can't be dealt out to so many ranks");
    MPI_Cart_create(MPI_COMM_WORLD, 2, dims, periods, 0, &grid);
    MPI_Cart_shift(grid, 0, 1, &beside[0], &beside[1]);
    MPI_Cart_shift(grid, 1, 1, &beside[2], &beside[3]);
    rows = SIDE / dims[0];
    columns = SIDE / dims[1];
    wide = columns + 2;
    MPI_Type_vector(rows, 1, wide, MPI_DOUBLE, &column);
    MPI_Type_commit(&column);
    cells = bench_memory(sizeof(double) * (size_t) (rows + 2) * (size_t) wide);
    next = bench_memory(sizeof(double) * (size_t) (rows + 2) * (size_t) wide);
    for (int row = 0; row < rows + 2; row++)
        for (int col = 0; col < wide; col++)
            *at(cells, row, col) = *at(next, row, col) = 1;
    for (int row = 1; row <= rows; row++)
        for (int col = 1; col <= columns; col++)
            *at(cells, row, col) = 0;
    MPI_Barrier(grid);
    begin = MPI_Wtime();
    for (int i = 0; i < STEPS; i++) {
        exchange(cells);
        step(cells, next);
        swap = cells, cells = next, next = swap;
    }
    MPI_Barrier(grid);
    begin = MPI_Wtime() - begin;
    before = mean(next);
    after = mean(cells);
    if (!(0 < before && before < after && after < 1))
        bench_fail("the heat went wrong");
    bench_tell("step", sizeof(double) * (size_t) columns, begin / STEPS * 1e6, "us");
    MPI_Type_free(&column);
    MPI_Comm_free(&grid);
    MPI_Finalize();
    return 0;
}
