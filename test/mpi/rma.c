/*
 * One-sided operations: every way of synchronising, every kind of window, sizes from one element to
 * some MiB, pieces that are not contiguous, atomic counters.
 */
#include "check.h"

enum { ROOM = 1 << 22, PIECES = 5 };
static const int counts[PIECES] = {1, 10, 1000, 20000, 400000};

static int right, left;

static void set(long *at, int count, long base)
{
    for (int i = 0; i < count; i++)
        at[i] = base + i;
}

static void check(const long *at, int count, long base, const char *what)
{
    for (int i = 0; i < count; i++)
        CHECK(at[i] == base + i, "%s of %d: [%d] is %ld, not %ld", what, count, i, at[i], base + i);
}

/* Every operation in turn, within fences. base is this rank's window. */
static void fences(MPI_Win window, long *base, const char *kind)
{
    long *out = check_malloc(ROOM), *in = check_malloc(ROOM);
    for (int p = 0; p < PIECES; p++) {
        int n = counts[p];
        char what[64];
        snprintf(what, sizeof(what), "put (fence, %s)", kind);
        set(out, n, 1000 * check_rank);
        memset(base, 0, ROOM);
        MPI_Win_fence(0, window);
        MPI_Put(out, n, MPI_LONG, right, 3, n, MPI_LONG, window);
        MPI_Win_fence(0, window);
        check(base + 3, n, 1000 * left, what);
        CHECK(base[2] == 0 && base[3 + n] == 0, "%s of %d: written beside", what, n);

        snprintf(what, sizeof(what), "get (fence, %s)", kind);
        MPI_Get(in, n, MPI_LONG, right, 3, n, MPI_LONG, window);
        MPI_Win_fence(0, window);
        check(in, n, 1000 * check_rank, what);

        snprintf(what, sizeof(what), "accumulate (fence, %s)", kind);
        set(base, n, 5);
        for (int i = 0; i < n; i++)
            out[i] = 1;
        MPI_Win_fence(0, window);
        for (int r = 0; r < check_size; r++)
            MPI_Accumulate(out, n, MPI_LONG, r, 0, n, MPI_LONG, MPI_SUM, window);
        MPI_Win_fence(0, window);
        check(base, n, 5 + check_size, what);

        /* Every third of the target takes what lies dense here. */
        MPI_Datatype thirds;
        MPI_Type_vector(n / 3 + 1, 1, 3, MPI_LONG, &thirds);
        MPI_Type_commit(&thirds);
        set(base, n + 3, 0);
        set(out, n / 3 + 1, 100);
        MPI_Win_fence(0, window);
        MPI_Put(out, n / 3 + 1, MPI_LONG, right, 0, 1, thirds, window);
        MPI_Win_fence(0, window);
        for (int i = 0; i < n; i++)
            CHECK(base[i] == (i % 3 == 0 ? 100 + i / 3 : i), "put of thirds (%s): [%d] is %ld",
                  kind, i, base[i]);
        memset(in, 0, sizeof(long) * (n / 3 + 1));
        MPI_Get(in, n / 3 + 1, MPI_LONG, right, 0, 1, thirds, window);
        MPI_Win_fence(0, window);
        check(in, n / 3 + 1, 100, "get of thirds");
        MPI_Type_free(&thirds);
    }
    MPI_Win_fence(0, window);
    free(out);
    free(in);
}

/* One rank's counter and list, taken by all at the same time. */
static void atomics(MPI_Win window, long *base)
{
    enum { MANY = 300 };
    memset(base, 0, ROOM);
    MPI_Barrier(MPI_COMM_WORLD);
    long one = 1, got, last = -1;
    MPI_Win_lock_all(0, window);
    for (int i = 0; i < MANY; i++) {
        MPI_Fetch_and_op(&one, &got, MPI_LONG, 0, 0, MPI_SUM, window);
        MPI_Win_flush(0, window);
        CHECK(got > last && got < (long) MANY * check_size, "counter gave %ld after %ld", got,
              last);
        last = got;
        /* Every ticket is marked once. */
        MPI_Accumulate(&one, 1, MPI_LONG, 0, 10 + got, 1, MPI_LONG, MPI_SUM, window);
    }
    /* A lock made of compare-and-swap guards two plain words. */
    for (int i = 0; i < MANY / 10; i++) {
        long free_ = 0, mine = check_rank + 1, words[2];
        do {
            MPI_Compare_and_swap(&mine, &free_, &got, MPI_LONG, 0, 1, window);
            MPI_Win_flush(0, window);
        } while (got != 0);
        MPI_Get(words, 2, MPI_LONG, 0, 2, 2, MPI_LONG, window);
        MPI_Win_flush(0, window);
        CHECK(words[1] == -words[0], "two words apart: %ld, %ld", words[0], words[1]);
        words[0]++;
        words[1]--;
        MPI_Put(words, 2, MPI_LONG, 0, 2, 2, MPI_LONG, window);
        MPI_Win_flush(0, window);
        MPI_Accumulate(&free_, 1, MPI_LONG, 0, 1, 1, MPI_LONG, MPI_REPLACE, window);
        MPI_Win_flush(0, window);
    }
    MPI_Win_unlock_all(window);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock(MPI_LOCK_SHARED, check_rank, 0, window);
    if (check_rank == 0) {
        CHECK(base[0] == (long) MANY * check_size, "counter ends at %ld", base[0]);
        for (int i = 0; i < MANY * check_size; i++)
            CHECK(base[10 + i] == 1, "ticket %d given %ld times", i, base[10 + i]);
        CHECK(base[2] == MANY / 10 * (long) check_size, "guarded word ends at %ld", base[2]);
    }
    MPI_Win_unlock(check_rank, window);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void locks(MPI_Win window, long *base)
{
    long *out = check_malloc(ROOM), *in = check_malloc(ROOM);
    for (int p = 0; p < PIECES; p++) {
        int n = counts[p];
        memset(base, 0, ROOM);
        MPI_Barrier(MPI_COMM_WORLD);
        set(out, n, 7000 * check_rank);
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, right, 0, window);
        MPI_Put(out, n, MPI_LONG, right, 0, n, MPI_LONG, window);
        MPI_Win_flush(right, window);
        MPI_Get(in, n, MPI_LONG, right, 0, n, MPI_LONG, window);
        MPI_Win_unlock(right, window);
        check(in, n, 7000 * check_rank, "put and get (lock)");
        MPI_Barrier(MPI_COMM_WORLD);

        /* All add to rank 0 and see what was there, whole, at some moment between. */
        for (int i = 0; i < n; i++)
            out[i] = 1;
        if (check_rank == 0) {
            MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window);
            memset(base, 0, ROOM);
            MPI_Win_unlock(0, window);
        }
        MPI_Barrier(MPI_COMM_WORLD);
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window);
        MPI_Get_accumulate(out, n, MPI_LONG, in, n, MPI_LONG, 0, 0, n, MPI_LONG, MPI_SUM, window);
        MPI_Win_unlock(0, window);
        for (int i = 0; i < n; i++)
            CHECK(in[i] == in[0] && in[i] < check_size,
                  "get_accumulate of %d: [%d] is %ld, [0] %ld", n, i, in[i], in[0]);
        MPI_Barrier(MPI_COMM_WORLD);
        MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window);
        MPI_Get(in, n, MPI_LONG, 0, 0, n, MPI_LONG, window);
        MPI_Win_unlock(0, window);
        for (int i = 0; i < n; i++)
            CHECK(in[i] == check_size, "sum of %d: [%d] is %ld", n, i, in[i]);
        MPI_Barrier(MPI_COMM_WORLD);

        MPI_Request request[2];
        MPI_Win_lock_all(0, window);
        set(out, n, 9000 * check_rank);
        MPI_Rput(out, n, MPI_LONG, right, 5, n, MPI_LONG, window, &request[0]);
        MPI_Wait(&request[0], MPI_STATUS_IGNORE);
        MPI_Win_flush_all(window);
        MPI_Rget(in, n, MPI_LONG, right, 5, n, MPI_LONG, window, &request[1]);
        MPI_Wait(&request[1], MPI_STATUS_IGNORE);
        check(in, n, 9000 * check_rank, "rput and rget");
        MPI_Win_unlock_all(window);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    free(out);
    free(in);
}

/* Post, start, complete, wait, in a circle. */
static void general(MPI_Win window, long *base)
{
    long *out = check_malloc(ROOM);
    MPI_Group world, to, from;
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    MPI_Group_incl(world, 1, &right, &to);
    MPI_Group_incl(world, 1, &left, &from);
    for (int round = 0; round < 20; round++) {
        int n = counts[round % PIECES];
        set(out, n, round * 100 + check_rank);
        MPI_Win_post(from, 0, window);
        MPI_Win_start(to, 0, window);
        MPI_Put(out, n, MPI_LONG, right, 1, n, MPI_LONG, window);
        MPI_Win_complete(window);
        MPI_Win_wait(window);
        check(base + 1, n, round * 100 + left, "put (post, start)");
    }
    MPI_Group_free(&to);
    MPI_Group_free(&from);
    MPI_Group_free(&world);
    free(out);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Ranks of the same or of the other parity (which: 0 even, 1 odd). */
static MPI_Group every_other(MPI_Group world, int which)
{
    MPI_Group group;
    MPI_Group_range_incl(world, 1, (int[][3]){{which, check_size - 1, 2}}, &group);
    return group;
}

/* Groups that change from one epoch to the next, without a barrier between: who is ahead posts for the next while
 * others still wait for posts of this one. */
static void groups_in_turn(MPI_Win window, long *base)
{
    MPI_Group world, groups[2];
    MPI_Comm_group(MPI_COMM_WORLD, &world);
    for (int i = 0; i < 2; i++)
        groups[i] = every_other(world, i);
    for (int round = 0; round < 50; round++) {
        int which = (check_rank + round) % 2;
        long value = round * 100 + check_rank;
        if (check_rank % 2 == 0 && which == 1) {
            MPI_Win_start(groups[which], 0, window);
            MPI_Win_post(groups[which], 0, window);
        } else {
            MPI_Win_post(groups[which], 0, window);
            MPI_Win_start(groups[which], 0, window);
        }
        for (int i = which; i < check_size; i += 2)
            MPI_Put(&value, 1, MPI_LONG, i, check_rank, 1, MPI_LONG, window);
        MPI_Win_complete(window);
        MPI_Win_wait(window);
        for (int i = which; i < check_size; i += 2)
            CHECK(base[i] == round * 100 + i, "round %d: %ld from %d", round, base[i], i);
    }
    for (int i = 0; i < 2; i++)
        MPI_Group_free(&groups[i]);
    MPI_Group_free(&world);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void dynamic(void)
{
    enum { COUNT = 50000 };
    MPI_Win window;
    long *memory = check_malloc(COUNT * sizeof(long)), *out = check_malloc(COUNT * sizeof(long));
    MPI_Aint mine, *all = check_malloc(check_size * sizeof(MPI_Aint));
    MPI_Win_create_dynamic(MPI_INFO_NULL, MPI_COMM_WORLD, &window);
    memset(memory, 0, COUNT * sizeof(long));
    MPI_Win_attach(window, memory, COUNT * sizeof(long));
    MPI_Get_address(memory, &mine);
    MPI_Allgather(&mine, 1, MPI_AINT, all, 1, MPI_AINT, MPI_COMM_WORLD);
    set(out, COUNT, check_rank);
    MPI_Win_fence(0, window);
    MPI_Put(out, COUNT, MPI_LONG, right, all[right], COUNT, MPI_LONG, window);
    MPI_Win_fence(0, window);
    check(memory, COUNT, left, "put (dynamic)");
    MPI_Win_detach(window, memory);
    MPI_Win_free(&window);
    free(memory);
    free(out);
    free(all);
}

static void whole(MPI_Win window, long *base, const char *kind)
{
    fences(window, base, kind);
    locks(window, base);
    general(window, base);
    groups_in_turn(window, base);
    atomics(window, base);
    MPI_Win_free(&window);
}

int main(int argc, char **argv)
{
    MPI_Win window;
    long *base;
    check_start(&argc, &argv, 2);
    right = (check_rank + 1) % check_size;
    left = (check_rank + check_size - 1) % check_size;
    base = check_malloc(ROOM);
    MPI_Win_create(base, ROOM, sizeof(long), MPI_INFO_NULL, MPI_COMM_WORLD, &window);
    whole(window, base, "create");
    free(base);
    MPI_Win_allocate(ROOM, sizeof(long), MPI_INFO_NULL, MPI_COMM_WORLD, &base, &window);
    whole(window, base, "allocate");
    dynamic();
    return check_end();
}
