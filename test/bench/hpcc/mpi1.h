/* HPCC calls two functions by the names of MPI-1, which MPI-3 took away; those that came in their place are everywhere. */
#include <mpi.h>

#undef MPI_Address
#undef MPI_Type_struct
#define MPI_Address MPI_Get_address
#define MPI_Type_struct MPI_Type_create_struct
