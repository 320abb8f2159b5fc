/*
 * Memory that is allocated with windows: the processes of a node have one range in common, of which each gets a part.
 */
#include "ferry_win.h"

#define PAGE 4096

static bool info_says_no(MPIR_Info *info, const char *key)
{
    for (MPIR_Info *each = info != NULL ? info->next : NULL; each != NULL; each = each->next)
        if (strcmp(each->key, key) == 0)
            return strcmp(each->value, "false") == 0;
    return false;
}

/* Where each part begins, and how long all are together. False: longer than memory can be. Parts of a shared window lie
 * one behind the other, for that is what MPI promises; others begin at pages. */
static bool lay_out(MPIR_Win *win, int parts, MPI_Aint *offsets, MPI_Aint *length)
{
    bool apart = win->create_flavor == MPI_WIN_FLAVOR_ALLOCATE ||
                 MPIDIG_WIN(win, info_args).alloc_shared_noncontig;
    MPI_Aint end = 0;

    for (int i = 0; i < parts; i++) {
        if (apart)
            end = (end + PAGE - 1) & ~(MPI_Aint) (PAGE - 1);
        offsets[i] = end;
        if (__builtin_add_overflow(end, MPIDIG_WIN(win, shared_table)[i].size, &end) ||
            end > MPIR_AINT_MAX - PAGE)
            return false;
    }
    *length = end;
    return true;
}

/* Returns 0 or an error of libferry's, the same in all processes of the node. */
static int agree(MPIR_Comm *node, int error)
{
    MPIR_Errflag_t errflag = MPIR_ERR_NONE;
    int worst = error;

    if (MPIR_Allreduce(&error, &worst, 1, MPI_INT, MPI_MIN, node, &errflag) != MPI_SUCCESS)
        return -EIO;
    return worst;
}

static int map(MPIR_Win *win, MPIR_Comm *node, MPI_Aint own)
{
    MPIDI_FERRY_win_t *ours = &MPIDI_FERRY_WIN(win);
    ferry_context_t *context = MPIDI_FERRY_global.context;
    MPIR_Errflag_t errflag = MPIR_ERR_NONE;
    int error = 0;

    if (node->rank == 0)
        error = ferry_shared_take(context, ours->length, &ours->name);
    error = agree(node, error);
    if (error != 0)
        return error;
    if (MPIR_Bcast(&ours->name, sizeof ours->name, MPI_BYTE, 0, node, &errflag) != MPI_SUCCESS)
        return -EIO;
    error = ferry_shared_map(context, ours->name, ours->length, own, win->size, &ours->memory);
    if (error != 0)
        ours->memory = NULL;
    error = agree(node, error);
    if (error != 0 && ours->memory != NULL)
        ferry_shared_unmap(ours->memory, ours->length);
    if (error != 0 && node->rank == 0)
        ferry_shared_release(context, ours->name, ours->length);
    return error;
}

/* Fills the table by which MPICH, and puts and gets, find the parts of others. */
static int share(MPIR_Win *win, MPIR_Comm *node)
{
    MPIDI_FERRY_win_t *ours = &MPIDI_FERRY_WIN(win);
    MPIR_Errflag_t errflag = MPIR_ERR_NONE;
    int parts = node->local_size, error;
    MPIDIG_win_shared_info_t *table = MPL_calloc(parts, sizeof *table, MPL_MEM_RMA);
    MPI_Aint *offsets = MPL_malloc(parts * sizeof *offsets, MPL_MEM_RMA);

    MPIDIG_WIN(win, shared_table) = table;
    error = agree(node, table != NULL && offsets != NULL ? 0 : -ENOMEM);
    if (error != 0)
        goto fn_exit;
    table[node->rank].size = win->size;
    table[node->rank].disp_unit = win->disp_unit;
    if (MPIR_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, table, sizeof *table, MPI_BYTE, node,
                       &errflag) != MPI_SUCCESS)
        error = -EIO;
    else if (!lay_out(win, parts, offsets, &ours->length))
        error = -ENOMEM;
    else if (ours->length > 0)
        error = map(win, node, offsets[node->rank]);
    for (int i = 0; i < parts && error == 0; i++)
        table[i].shm_base_addr = table[i].size > 0 ? (char *) ours->memory + offsets[i] : NULL;
    win->base = table[node->rank].shm_base_addr;

fn_exit:
    MPL_free(offsets);
    if (error != 0) {
        MPL_free(table);
        MPIDIG_WIN(win, shared_table) = NULL;
        ours->memory = NULL;
    }
    return error;
}

static int take_memory(MPIR_Win *win)
{
    MPIR_Comm *node = win->comm_ptr->node_comm;
    bool is_shared = win->create_flavor == MPI_WIN_FLAVOR_SHARED;
    int error = -ENOTSUP;

    if (node != NULL && (is_shared || MPIDIG_WIN(win, info_args).alloc_shm))
        error = share(win, node);
    if (error != 0 && (node == NULL || !is_shared)) {
        win->base = win->size > 0 ? ferry_alloc(MPIDI_FERRY_global.context, win->size) : NULL;
        if (win->base == NULL && win->size > 0)
            win->base = MPL_malloc(win->size, MPL_MEM_RMA);
        error = win->base != NULL || win->size == 0 ? 0 : -ENOMEM;
    }
    return error;
}

static const char *explain(int error)
{
    if (error == -ENOSPC || error == -ENOMEM)
        return "there is not so much memory: the machine's, what the container may use, what files "
               "may have (ulimit -f), or that of the directory where FERRY_SEGMENT is file";
    return strerror(-error);
}

int MPIDI_FERRY_win_allocate(MPI_Aint size, int disp_unit, MPIR_Info *info, MPIR_Comm *comm,
                             int flavor, void **base, MPIR_Win **win_ptr)
{
    int mpi_errno = MPI_SUCCESS;
    MPIR_Win *win;
    int error;

    mpi_errno = MPIDIG_mpi_win_create(NULL, size, disp_unit, info, comm, win_ptr);
    MPIR_ERR_CHECK(mpi_errno);
    win = *win_ptr;
    win->create_flavor = flavor;
    MPIDIG_WIN(win, info_args).alloc_shm = !info_says_no(info, "alloc_shm");
    /* Nobody leaves before all have their memory. */
    error = agree(win->comm_ptr, take_memory(win));
    if (error != 0) {
        MPIDIG_mpi_win_free(win_ptr);
        MPIR_ERR_CHKANDJUMP(flavor == MPI_WIN_FLAVOR_ALLOCATE, mpi_errno, MPI_ERR_NO_MEM,
                            "**nomem");
        MPIR_ERR_SETANDJUMP1(mpi_errno, MPI_ERR_RMA_SHARED, "**ferryshared", "**ferryshared %s",
                             explain(error));
    }
    *base = win->base;

fn_exit:
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

/* MPICH frees the memory of windows that were allocated; one that was created it leaves alone. */
void MPIDI_FERRY_win_release(MPIR_Win *win)
{
    MPIDI_FERRY_win_t *ours = &MPIDI_FERRY_WIN(win);

    if (win->create_flavor != MPI_WIN_FLAVOR_ALLOCATE &&
        win->create_flavor != MPI_WIN_FLAVOR_SHARED)
        return;
    win->create_flavor = MPI_WIN_FLAVOR_CREATE;
    if (MPIDIG_WIN(win, shared_table) == NULL) {
        if (!ferry_free(MPIDI_FERRY_global.context, win->base))
            MPL_free(win->base);
    } else if (ours->memory != NULL)
        ferry_shared_unmap(ours->memory, ours->length);
    if (ours->memory != NULL && win->comm_ptr->node_comm->rank == 0)
        ferry_shared_release(MPIDI_FERRY_global.context, ours->name, ours->length);
    MPL_free(MPIDIG_WIN(win, shared_table));
    MPIDIG_WIN(win, shared_table) = NULL;
    ours->memory = NULL;
}
