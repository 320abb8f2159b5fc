/*
 * Puts and gets between processes that share a window's memory are copies; all other one-sided operations are those of
 * MPICH's generic layer, in which the target's process does them. MPI_Win_start waits in a way of its own.
 */
#ifndef FERRY_RMA_H_INCLUDED
#define FERRY_RMA_H_INCLUDED

#include "ferry_win.h"

#define MPIDI_NM_mpi_put MPIDI_FERRY_generic_put
#define MPIDI_NM_mpi_get MPIDI_FERRY_generic_get
#define MPIDI_NM_mpi_win_start MPIDI_FERRY_generic_win_start
#define MPIDI_NM_mpi_win_flush MPIDI_FERRY_generic_win_flush
#define MPIDI_NM_mpi_win_flush_local MPIDI_FERRY_generic_win_flush_local
#define MPIDI_NM_mpi_win_flush_all MPIDI_FERRY_generic_win_flush_all
#define MPIDI_NM_mpi_win_flush_local_all MPIDI_FERRY_generic_win_flush_local_all
#include "netmod_am_fallback_rma.h"
#undef MPIDI_NM_mpi_put
#undef MPIDI_NM_mpi_get
#undef MPIDI_NM_mpi_win_start
#undef MPIDI_NM_mpi_win_flush
#undef MPIDI_NM_mpi_win_flush_local
#undef MPIDI_NM_mpi_win_flush_all
#undef MPIDI_NM_mpi_win_flush_local_all

/* Where bytes of a target's part lie in this process, or NULL: elsewhere, or not within the part. */
MPL_STATIC_INLINE_PREFIX char *MPIDI_FERRY_part_of(MPIR_Win *win, int target, MPI_Aint disp,
                                                   MPI_Aint lower_bound, MPI_Aint bytes)
{
    MPIDIG_win_shared_info_t *part = MPIDIG_WIN(win, shared_table);
    MPI_Aint offset;
    int index;

    if (part == NULL || target < 0)
        return NULL;
    index = win->comm_ptr->intranode_table[target];
    if (index < 0)
        return NULL;
    part += index;
    if (__builtin_mul_overflow(disp, (MPI_Aint) part->disp_unit, &offset) ||
        __builtin_add_overflow(offset, lower_bound, &offset) || offset < 0 ||
        offset > (MPI_Aint) part->size || bytes > (MPI_Aint) part->size - offset)
        return NULL;
    return (char *) part->shm_base_addr + offset;
}

/* Both sides of an operation, if it is a copy of bytes in a row. */
typedef struct MPIDI_FERRY_copy {
    char *origin, *target;
    size_t bytes;
} MPIDI_FERRY_copy_t;

MPL_STATIC_INLINE_PREFIX bool MPIDI_FERRY_is_copy(const void *origin, int origin_count,
                                                  MPI_Datatype origin_type, int target,
                                                  MPI_Aint disp, int target_count,
                                                  MPI_Datatype target_type, MPIR_Win *win,
                                                  MPIDI_FERRY_copy_t *copy)
{
    int origin_contiguous, target_contiguous;
    MPI_Aint origin_bytes, target_bytes, origin_bound, target_bound;

    if (MPIDIG_WIN(win, shared_table) == NULL)
        return false;
    MPIDI_Datatype_check_contig_size_lb(origin_type, origin_count, origin_contiguous, origin_bytes,
                                        origin_bound);
    MPIDI_Datatype_check_contig_size_lb(target_type, target_count, target_contiguous, target_bytes,
                                        target_bound);
    if (!origin_contiguous || !target_contiguous || origin_bytes != target_bytes ||
        origin_bytes == 0)
        return false;
    copy->origin = (char *) MPIR_get_contig_ptr(origin, origin_bound);
    copy->target = MPIDI_FERRY_part_of(win, target, disp, target_bound, target_bytes);
    copy->bytes = origin_bytes;
    return copy->target != NULL;
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_put(const void *origin_addr, int origin_count,
                                              MPI_Datatype origin_datatype, int target_rank,
                                              MPI_Aint target_disp, int target_count,
                                              MPI_Datatype target_datatype, MPIR_Win *win,
                                              MPIDI_av_entry_t *addr, MPIDI_winattr_t winattr)
{
    int mpi_errno = MPI_SUCCESS;
    MPIDI_FERRY_copy_t copy;

    if (!MPIDI_FERRY_is_copy(origin_addr, origin_count, origin_datatype, target_rank, target_disp,
                             target_count, target_datatype, win, &copy))
        return MPIDI_FERRY_generic_put(origin_addr, origin_count, origin_datatype, target_rank,
                                       target_disp, target_count, target_datatype, win, addr,
                                       winattr);
    MPIDIG_RMA_OP_CHECK_SYNC(target_rank, win);
    memcpy(copy.target, copy.origin, copy.bytes);
    MPL_atomic_write_barrier();

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_get(void *origin_addr, int origin_count,
                                              MPI_Datatype origin_datatype, int target_rank,
                                              MPI_Aint target_disp, int target_count,
                                              MPI_Datatype target_datatype, MPIR_Win *win,
                                              MPIDI_av_entry_t *addr, MPIDI_winattr_t winattr)
{
    int mpi_errno = MPI_SUCCESS;
    MPIDI_FERRY_copy_t copy;

    if (!MPIDI_FERRY_is_copy(origin_addr, origin_count, origin_datatype, target_rank, target_disp,
                             target_count, target_datatype, win, &copy))
        return MPIDI_FERRY_generic_get(origin_addr, origin_count, origin_datatype, target_rank,
                                       target_disp, target_count, target_datatype, win, addr,
                                       winattr);
    MPIDIG_RMA_OP_CHECK_SYNC(target_rank, win);
    MPL_atomic_read_barrier();
    memcpy(copy.origin, copy.target, copy.bytes);

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_win_start(MPIR_Group *group, int assert, MPIR_Win *win)
{
    return MPIDI_FERRY_win_start(group, assert, win);
}

/* Flushes make progress once though all is done: programs that look for a word in a window flush again and again. */

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_win_flush(int rank, MPIR_Win *win, MPIDI_av_entry_t *addr)
{
    MPIDI_FERRY_passes();
    return MPIDI_FERRY_generic_win_flush(rank, win, addr);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_win_flush_local(int rank, MPIR_Win *win,
                                                          MPIDI_av_entry_t *addr)
{
    MPIDI_FERRY_passes();
    return MPIDI_FERRY_generic_win_flush_local(rank, win, addr);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_win_flush_all(MPIR_Win *win)
{
    MPIDI_FERRY_passes();
    return MPIDI_FERRY_generic_win_flush_all(win);
}

MPL_STATIC_INLINE_PREFIX int MPIDI_NM_mpi_win_flush_local_all(MPIR_Win *win)
{
    MPIDI_FERRY_passes();
    return MPIDI_FERRY_generic_win_flush_local_all(win);
}

#endif
