/*
 * nodes SIZES [ROUNDS]: which ranks share memory, as MPI tells them, and windows in it. SIZES has a digit for each
 * rank: how many are on its node. ROUNDS windows of 8 MiB a rank come and go.
 */
#include "check.h"

#define WORDS 1000

static MPI_Comm node;
static int node_rank, node_size;

static void find_node(const char *sizes)
{
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
    MPI_Comm_rank(node, &node_rank);
    MPI_Comm_size(node, &node_size);
    CHECK(node_size == sizes[check_rank] - '0', "%d ranks on its node", node_size);
    MPI_Comm_set_errhandler(node, MPI_ERRORS_RETURN);
}

/* Word i of what a rank writes. */
static uint64_t word(int rank, int i)
{
    return (uint64_t) rank * 1000000 + (uint64_t) i + 1;
}

/* All write into their own parts, then into those of their neighbours, and see what others wrote. */
static void shared_window(bool apart)
{
    MPI_Aint bytes = (MPI_Aint) sizeof(uint64_t) * (WORDS + node_rank), size;
    uint64_t *own, *parts[16];
    MPI_Info info;
    MPI_Win win;
    int unit, result;

    MPI_Info_create(&info);
    if (apart)
        MPI_Info_set(info, "alloc_shared_noncontig", "true");
    result = MPI_Win_allocate_shared(bytes, sizeof(uint64_t), info, node, &own, &win);
    CHECK(result == MPI_SUCCESS, "MPI_Win_allocate_shared: %d", result);
    MPI_Info_free(&info);
    for (int r = 0; r < node_size; r++) {
        MPI_Win_shared_query(win, r, &size, &unit, &parts[r]);
        CHECK(size == (MPI_Aint) sizeof(uint64_t) * (WORDS + r) && unit == sizeof(uint64_t),
              "part %d has %ld bytes", r, (long) size);
        CHECK(apart || r == 0 || parts[r] == parts[r - 1] + WORDS + r - 1,
              "part %d is not behind the one before it", r);
    }
    CHECK(parts[node_rank] == own, "%p is not %p", (void *) parts[node_rank], (void *) own);
    MPI_Win_lock_all(MPI_MODE_NOCHECK, win);
    for (int turn = 0; turn < 2; turn++) {
        int to = (node_rank + turn) % node_size;

        for (int i = 0; i < WORDS; i++)
            parts[to][i] = word(node_rank, i);
        MPI_Win_sync(win);
        MPI_Barrier(node);
        MPI_Win_sync(win);
        for (int r = 0; r < node_size; r++)
            for (int i = 0; i < WORDS; i++)
                CHECK(parts[(r + turn) % node_size][i] == word(r, i), "word %d of %d", i, r);
        MPI_Barrier(node);
    }
    MPI_Win_unlock_all(win);
    MPI_Win_free(&win);
}

/* Puts, gets and fetches in a window of all, to ranks that share memory and to others. */
static void window_of_all(MPI_Aint words)
{
    uint64_t *own, *seen = check_malloc(8 * (size_t) words), count = 0, one = 1;
    MPI_Datatype pair;
    MPI_Win win;

    /* A slot for each rank, and a counter behind them. */
    MPI_Win_allocate((words * check_size + 1) * 8, 8, MPI_INFO_NULL, MPI_COMM_WORLD, &own, &win);
    memset(own, 0, 8 * ((size_t) words * check_size + 1));
    for (MPI_Aint i = 0; i < words; i++)
        seen[i] = word(check_rank, (int) i);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, win);
    for (int r = 0; r < check_size; r++) {
        MPI_Put(seen, (int) words, MPI_UINT64_T, r, words * check_rank, (int) words, MPI_UINT64_T,
                win);
        MPI_Fetch_and_op(&one, &count, MPI_UINT64_T, r, words * check_size, MPI_SUM, win);
        MPI_Win_flush(r, win);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    for (int r = 0; r < check_size; r++) {
        int of = (r + check_rank) % check_size;

        MPI_Get(seen, (int) words, MPI_UINT64_T, r, words * of, (int) words, MPI_UINT64_T, win);
        MPI_Get(&count, 1, MPI_UINT64_T, r, words * check_size, 1, MPI_UINT64_T, win);
        MPI_Win_flush(r, win);
        CHECK(count == (uint64_t) check_size, "rank %d counted %lu", r, (unsigned long) count);
        for (MPI_Aint i = 0; i < words; i++)
            CHECK(seen[i] == word(of, (int) i), "word %ld of rank %d at rank %d", (long) i, of, r);
    }
    MPI_Win_unlock_all(win);
    /* Not in a row: every other word of the slot of the right neighbour. */
    MPI_Type_vector((int) words / 2, 1, 2, MPI_UINT64_T, &pair);
    MPI_Type_commit(&pair);
    MPI_Win_fence(0, win);
    MPI_Put(seen, (int) words / 2, MPI_UINT64_T, (check_rank + 1) % check_size, words * check_rank,
            1, pair, win);
    MPI_Win_fence(0, win);
    for (MPI_Aint i = 0; i < words / 2; i++) {
        int left = (check_rank + check_size - 1) % check_size;
        int of = (check_size - 1 + left) % check_size;

        CHECK(own[words * left + 2 * i] == word(of, (int) i), "every other word: %ld", (long) i);
        CHECK(own[words * left + 2 * i + 1] == word(left, (int) (2 * i + 1)), "between: %ld",
              (long) i);
    }
    MPI_Type_free(&pair);
    MPI_Win_free(&win);
    free(seen);
}

/* What can't be had is an error, the same for all, and costs nothing. */
static void too_much(void)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int class, length, result;
    void *base;
    MPI_Win win;

    result = MPI_Win_allocate_shared((MPI_Aint) 1 << 40, 1, MPI_INFO_NULL, node, &base, &win);
    CHECK(node_size == 1 || result != MPI_SUCCESS, "a TiB of memory was there");
    if (result == MPI_SUCCESS) {
        MPI_Win_free(&win);
    } else if (node_size > 1) {
        MPI_Error_class(result, &class);
        MPI_Error_string(result, text, &length);
        CHECK(class == MPI_ERR_RMA_SHARED, "class %d", class);
        CHECK(strstr(text, "not so much memory"), "%s", text);
    }
    if (node_size == check_size)
        return;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    result = MPI_Win_allocate_shared(8, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &base, &win);
    MPI_Error_class(result, &class);
    CHECK(class == MPI_ERR_RMA_SHARED, "class %d", class);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

static void come_and_go(int rounds)
{
    size_t bytes = 8 << 20;
    char *own;
    MPI_Win win;

    for (int i = 0; i < rounds; i++) {
        MPI_Win_allocate_shared((MPI_Aint) bytes, 1, MPI_INFO_NULL, node, &own, &win);
        memset(own, i, bytes);
        MPI_Win_free(&win);
    }
}

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    CHECK(argc > 1 && (int) strlen(argv[1]) == check_size, "needs a size for each rank");
    find_node(argv[1]);
    shared_window(false);
    shared_window(true);
    window_of_all(10);
    window_of_all(100000);
    too_much();
    come_and_go(argc > 2 ? atoi(argv[2]) : 3);
    MPI_Comm_free(&node);
    return check_end();
}
