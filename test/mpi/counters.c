/*
 * MPI_T shows Ferry's counters: what a known exchange adds to them, how sessions treat them, and that they can be read
 * by any thread as long as MPI_T is there.
 *
 *   counters [NUMBER]   fails also unless so many peers are reached by another transport than the first
 */
#include "check.h"

#include <pthread.h>

#define ROUNDS 7
#define LENGTH 1000

static const char *const ways[] = {"shm", "guests", "verbs", "fabric", "self"};
static MPI_T_pvar_session session;

/* -1: there is none */
static int index_of(const char *name, int class)
{
    int index;
    return MPI_T_pvar_get_index(name, class, &index) == MPI_SUCCESS ? index : -1;
}

static MPI_T_pvar_handle handle_of(const char *name, int class)
{
    MPI_T_pvar_handle handle;
    int count, index = index_of(name, class);
    CHECK(index >= 0, "there is no %s", name);
    MPI_T_pvar_handle_alloc(session, index, NULL, &handle, &count);
    CHECK(count == 1, "%s has %d values", name, count);
    return handle;
}

static unsigned long long read_handle(MPI_T_pvar_handle handle)
{
    unsigned long long value = 77;
    int error = MPI_T_pvar_read(session, handle, &value);
    CHECK(error == MPI_SUCCESS, "MPI_T_pvar_read: %d", error);
    return value;
}

/* Over all ways that a peer can be reached by. */
static unsigned long long sum(const char *what)
{
    unsigned long long all = 0;
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        char name[64];
        snprintf(name, sizeof(name), "ferry_%s_%s", ways[i], what);
        MPI_T_pvar_handle handle = handle_of(name, MPI_T_PVAR_CLASS_COUNTER);
        all += read_handle(handle);
        MPI_T_pvar_handle_free(session, &handle);
    }
    return all;
}

static void all_are_explained(void)
{
    int count, shown = 0;
    MPI_T_pvar_get_num(&count);
    for (int i = 0; i < count; i++) {
        char name[64], help[512];
        int name_length = sizeof(name), help_length = sizeof(help);
        int verbosity, class, bind, readonly, continuous, atomic;
        MPI_Datatype type;
        MPI_T_enum words;
        MPI_T_pvar_get_info(i, name, &name_length, &verbosity, &class, &type, &words, help,
                            &help_length, &bind, &readonly, &continuous, &atomic);
        if (strncmp(name, "ferry_", 6) != 0)
            continue;
        shown++;
        CHECK(strlen(help) > 5, "%s is not explained", name);
        CHECK(type == MPI_UNSIGNED_LONG_LONG, "%s is of another type", name);
        CHECK(bind == MPI_T_BIND_NO_OBJECT, "%s is bound", name);
        CHECK(readonly && continuous, "%s is not read-only or does not go on", name);
        CHECK(index_of(name, class) == i, "%s is not found by its name", name);
    }
    CHECK(shown > 20, "%d counters", shown);
}

/* Between the readings there is nothing but ROUNDS messages from 0 to 1. */
static void exact(void)
{
    char data[LENGTH];
    unsigned long long messages, bytes;

    memset(data, check_rank, LENGTH);
    if (check_rank == 0) {
        MPI_Recv(data, 1, MPI_CHAR, 1, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        messages = sum("sent_messages");
        bytes = sum("sent_bytes");
        for (int i = 0; i < ROUNDS; i++)
            MPI_Send(data, LENGTH, MPI_CHAR, 1, 2, MPI_COMM_WORLD);
        messages = sum("sent_messages") - messages;
        bytes = sum("sent_bytes") - bytes;
    } else {
        messages = sum("received_messages");
        bytes = sum("received_bytes");
        MPI_Send(data, 1, MPI_CHAR, 0, 1, MPI_COMM_WORLD);
        for (int i = 0; i < ROUNDS; i++)
            MPI_Recv(data, LENGTH, MPI_CHAR, 0, 2, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        messages = sum("received_messages") - messages;
        bytes = sum("received_bytes") - bytes;
    }
    CHECK(messages == ROUNDS, "%llu messages", messages);
    CHECK(bytes == ROUNDS * LENGTH, "%llu bytes", bytes);
    /* Until now nobody else may have sent anything. */
    for (int i = 0; check_rank == 1 && i < check_size; i++)
        if (i != 1)
            MPI_Send(data, 1, MPI_CHAR, i, 4, MPI_COMM_WORLD);
    if (check_rank == 0)
        MPI_Recv(data, 1, MPI_CHAR, 1, 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
}

/* What goes on by itself can't be started, what is read-only can't be reset; all at once is no error. */
static void sessions(void)
{
    MPI_T_pvar_handle handle = handle_of("ferry_wait_time", MPI_T_PVAR_CLASS_TIMER);
    unsigned long long before = read_handle(handle);
    CHECK(MPI_T_pvar_start(session, handle) == MPI_T_ERR_PVAR_NO_STARTSTOP, "it was started");
    CHECK(MPI_T_pvar_stop(session, handle) == MPI_T_ERR_PVAR_NO_STARTSTOP, "it was stopped");
    CHECK(MPI_T_pvar_reset(session, handle) == MPI_T_ERR_PVAR_NO_WRITE, "it was reset");
    CHECK(MPI_T_pvar_start(session, MPI_T_PVAR_ALL_HANDLES) == MPI_SUCCESS, "start");
    CHECK(MPI_T_pvar_reset(session, MPI_T_PVAR_ALL_HANDLES) == MPI_SUCCESS, "reset");
    CHECK(MPI_T_pvar_stop(session, MPI_T_PVAR_ALL_HANDLES) == MPI_SUCCESS, "stop");
    CHECK(read_handle(handle) >= before, "it went back");
    MPI_T_pvar_handle_free(session, &handle);
}

static void *read_often(void *arg)
{
    for (int i = 0; i < 200; i++) {
        sum("sent_messages");
        usleep(500);
    }
    return arg;
}

/* Rank 0 waits a while: for so long at most, and hardly less than a part of it. */
static void waiting(void)
{
    MPI_T_pvar_handle handle = handle_of("ferry_wait_time", MPI_T_PVAR_CLASS_TIMER);
    unsigned long long before = read_handle(handle);
    double start = MPI_Wtime();
    pthread_t reader;
    char byte;
    pthread_create(&reader, NULL, read_often, NULL);
    if (check_rank == 1) {
        MPI_Recv(&byte, 1, MPI_CHAR, 0, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        usleep(300000);
        MPI_Send("x", 1, MPI_CHAR, 0, 3, MPI_COMM_WORLD);
    } else {
        MPI_Send("x", 1, MPI_CHAR, 1, 3, MPI_COMM_WORLD);
        MPI_Recv(&byte, 1, MPI_CHAR, 1, 3, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        double spent = 1e6 * (MPI_Wtime() - start);
        double counted = (double) (read_handle(handle) - before);
        CHECK(counted > 50000 && counted < spent + 1, "%.0f us of %.0f", counted, spent);
    }
    pthread_join(reader, NULL);
    MPI_T_pvar_handle_free(session, &handle);
}

int main(int argc, char **argv)
{
    int provided;

    MPI_T_init_thread(MPI_THREAD_MULTIPLE, &provided);
    int early = index_of("ferry_wakes", MPI_T_PVAR_CLASS_COUNTER);
    check_start_level(&argc, &argv, 2, MPI_THREAD_MULTIPLE);
    CHECK(early < 0, "a counter of a process that has not called MPI_Init");
    MPI_T_pvar_session_create(&session);
    all_are_explained();
    if (argc > 1) {
        MPI_T_pvar_handle handle = handle_of("ferry_fallback_peers", MPI_T_PVAR_CLASS_LEVEL);
        unsigned long long peers = read_handle(handle);
        CHECK(peers == strtoull(argv[1], NULL, 10), "%llu peers", peers);
        MPI_T_pvar_handle_free(session, &handle);
    }
    if (check_rank < 2) {
        exact();
        sessions();
        waiting();
    } else {
        char byte;
        MPI_Recv(&byte, 1, MPI_CHAR, 1, 4, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    }
    MPI_T_pvar_handle late = handle_of("ferry_wait_time", MPI_T_PVAR_CLASS_TIMER);
    unsigned long long before = read_handle(late);
    check_end();
    /* They keep their last values. */
    unsigned long long value = 0;
    int error = MPI_T_pvar_read(session, late, &value);
    if (error != MPI_SUCCESS || value < before) {
        fprintf(stderr, "after MPI_Finalize: error %d, %llu after %llu\n", error, value, before);
        return 1;
    }
    MPI_T_pvar_session_free(&session);
    MPI_T_finalize();
    return 0;
}
