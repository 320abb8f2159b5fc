/*
 * Pi, by integration of 4 / (1 + x^2): the first program of every MPI.
 */
#include "check.h"

int main(int argc, char **argv)
{
    enum { STEPS = 1000000 };
    double part = 0, pi = 0;
    check_start(&argc, &argv, 1);
    for (int i = check_rank; i < STEPS; i += check_size) {
        double x = (i + 0.5) / STEPS;
        part += 4 / (1 + x * x) / STEPS;
    }
    MPI_Reduce(&part, &pi, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (check_rank == 0) {
        printf("pi is approximately %.16f\n", pi);
        CHECK(pi > 3.14159265358 && pi < 3.14159265359, "%.16f", pi);
    }
    return check_end();
}
