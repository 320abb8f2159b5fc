/*
 * Partitioned communication, that of MPICH's generic layer.
 */
#include "ferry_impl.h"

int MPIDI_FERRY_mpi_psend_init(const void *buffer, int partitions, MPI_Aint count,
                               MPI_Datatype datatype, int rank, int tag, MPIR_Comm *comm,
                               MPIR_Info *info, MPIDI_av_entry_t *av, MPIR_Request **request)
{
    return MPIDIG_mpi_psend_init(buffer, partitions, count, datatype, rank, tag, comm, info,
                                 request);
}

int MPIDI_FERRY_mpi_precv_init(void *buffer, int partitions, MPI_Aint count, MPI_Datatype datatype,
                               int rank, int tag, MPIR_Comm *comm, MPIR_Info *info,
                               MPIDI_av_entry_t *av, MPIR_Request **request)
{
    return MPIDIG_mpi_precv_init(buffer, partitions, count, datatype, rank, tag, comm, info,
                                 request);
}
