/*
 * Datatypes and reduction operations: Ferry keeps nothing in them.
 */
#include "ferry_impl.h"

int MPIDI_FERRY_mpi_type_commit_hook(MPIR_Datatype *datatype)
{
    return MPI_SUCCESS;
}

int MPIDI_FERRY_mpi_type_free_hook(MPIR_Datatype *datatype)
{
    return MPI_SUCCESS;
}

int MPIDI_FERRY_mpi_op_commit_hook(MPIR_Op *op)
{
    return MPI_SUCCESS;
}

int MPIDI_FERRY_mpi_op_free_hook(MPIR_Op *op)
{
    return MPI_SUCCESS;
}
