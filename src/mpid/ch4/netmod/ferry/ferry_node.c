/*
 * Nodes: MPICH takes from the launcher which processes share one. Containers make that wrong both ways; what counts is
 * who shares memory.
 */
#include "ferry_impl.h"

/* MPICH's variables by which its tests see several nodes on one machine. */
static int clique_of(int rank)
{
    int size = MPIR_Process.size;
    int cliques = MPIR_CVAR_ODD_EVEN_CLIQUES ? 2 : 1;

    if (MPIR_CVAR_NOLOCAL)
        return rank;
    if (MPIR_CVAR_NUM_CLIQUES > 1)
        cliques = MPL_MIN(MPIR_CVAR_NUM_CLIQUES, size);
    if (MPIR_CVAR_CLIQUES_BY_BLOCK)
        return (int) ((int64_t) rank * cliques / size);
    return rank % cliques;
}

/* Numbers nodes in the order of their first ranks. Returns how many, or -1: no memory. */
static int number_nodes(int *nodes)
{
    int size = MPIR_Process.size;
    /* Of each node and clique the number that was given, or -1; a node is named by its least rank. */
    int *numbers, cliques = 0, count = 0;

    for (int rank = 0; rank < size; rank++)
        cliques = MPL_MAX(cliques, clique_of(rank) + 1);
    numbers = MPL_malloc(sizeof(int) * size * cliques, MPL_MEM_ADDRESS);
    if (numbers == NULL)
        return -1;
    memset(numbers, -1, sizeof(int) * size * cliques);
    for (int rank = 0; rank < size; rank++) {
        ferry_peer_t *peer = MPIDI_FERRY_AV(&MPIDIU_get_av(0, rank)).peer;
        size_t at = (size_t) ferry_peer_node(peer) * cliques + clique_of(rank);
        if (numbers[at] == -1)
            numbers[at] = count++;
        nodes[rank] = numbers[at];
    }
    MPL_free(numbers);
    return count;
}

/* The first process of each node, and those of this process's. */
static void list_nodes(const int *nodes, int *roots, int *locals)
{
    int own = nodes[MPIR_Process.rank];
    int seen = 0;

    MPIR_Process.local_size = 0;
    for (int rank = 0; rank < MPIR_Process.size; rank++) {
        if (nodes[rank] == seen)
            roots[seen++] = rank;
        if (nodes[rank] != own)
            continue;
        if (rank == MPIR_Process.rank)
            MPIR_Process.local_rank = MPIR_Process.local_size;
        locals[MPIR_Process.local_size++] = rank;
    }
}

/* The least rank in a communicator of those on this process's node. In mixed, whether there are processes of other
 * jobs. */
static int first_of_node(MPIR_Comm *comm, bool *mixed)
{
    int own = MPIR_Process.node_map[MPIR_Process.rank];
    int first = -1;

    *mixed = false;
    for (int i = 0; i < comm->local_size; i++) {
        int lpid, avtid;
        MPIDIU_comm_rank_to_pid(comm, i, &lpid, &avtid);
        if (avtid != 0)
            *mixed = true;
        else if (first < 0 && MPIR_Process.node_map[lpid] == own)
            first = i;
    }
    return first;
}

/* MPICH compares the numbers of nodes, which mean something within a job only. */
static int split_type(MPIR_Comm *comm, int type, int key, MPIR_Info *info, MPIR_Comm **split)
{
    int mpi_errno = MPI_SUCCESS;
    MPIR_Comm *part = NULL;
    bool mixed;
    int first = first_of_node(comm, &mixed);

    if (mixed && comm->comm_kind == MPIR_COMM_KIND__INTRACOMM) {
        mpi_errno = MPIR_Comm_split_impl(comm, first, comm->rank, &part);
        MPIR_ERR_CHECK(mpi_errno);
    }
    mpi_errno = MPIDI_Comm_split_type(part != NULL ? part : comm, type, key, info, split);
    MPIR_ERR_CHECK(mpi_errno);

fn_exit:
    if (part != NULL)
        MPIR_Comm_free_impl(part);
    return mpi_errno;
fn_fail:
    goto fn_exit;
}

int MPIDI_FERRY_nodes_tell(void)
{
    int mpi_errno = MPI_SUCCESS;
    int size = MPIR_Process.size;
    int *nodes = MPL_malloc(sizeof(int) * size, MPL_MEM_ADDRESS);
    int *roots = MPL_malloc(sizeof(int) * size, MPL_MEM_ADDRESS);
    int *locals = MPL_malloc(sizeof(int) * size, MPL_MEM_ADDRESS);
    int count = -1;

    if (nodes != NULL && roots != NULL && locals != NULL)
        count = number_nodes(nodes);
    MPIR_ERR_CHKANDJUMP(count < 0, mpi_errno, MPI_ERR_OTHER, "**nomem");
    list_nodes(nodes, roots, locals);
    MPL_free(MPIR_Process.node_map);
    MPL_free(MPIR_Process.node_root_map);
    MPL_free(MPIR_Process.node_local_map);
    MPIR_Process.node_map = nodes;
    MPIR_Process.node_root_map = roots;
    MPIR_Process.node_local_map = locals;
    MPIR_Process.num_nodes = count;
    MPIDI_global.MPIR_Comm_fns_store.split_type = split_type;

fn_exit:
    return mpi_errno;
fn_fail:
    MPL_free(nodes);
    MPL_free(roots);
    MPL_free(locals);
    goto fn_exit;
}

bool MPIDI_FERRY_is_one_node(MPIR_Comm *comm)
{
    return comm->node_comm != NULL && comm->node_comm->local_size == comm->local_size;
}
