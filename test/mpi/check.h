/*
 * What the MPI test programs share: a check that ends the job with a sentence, data that can be
 * told apart, and the last line "passed".
 */
#ifndef CHECK_H
#define CHECK_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int check_rank, check_size;

#define CHECK(condition, ...)                                                                   \
    do {                                                                                        \
        if (!(condition)) {                                                                     \
            char check_text[512];                                                               \
            snprintf(check_text, sizeof(check_text), __VA_ARGS__);                              \
            fprintf(stderr, "%s:%d: rank %d: not so: %s: %s\n", __FILE__, __LINE__, check_rank, \
                    #condition, check_text);                                                    \
            MPI_Abort(MPI_COMM_WORLD, 1);                                                       \
        }                                                                                       \
    } while (0)

/* Word i of a buffer's contents: no two seeds or places give the same. */
static inline uint64_t check_word(uint64_t seed, size_t i)
{
    return (seed * 0x100000001b3u + i + 1) * 0x9e3779b97f4a7c15u;
}

__attribute__((unused)) static void fill(void *buffer, size_t length, uint64_t seed)
{
    char *to = buffer;
    size_t i, words = length / 8;
    for (i = 0; i < words; i++) {
        uint64_t word = check_word(seed, i);
        memcpy(to + 8 * i, &word, 8);
    }
    uint64_t word = check_word(seed, i);
    memcpy(to + 8 * i, &word, length % 8);
}

/* The offset of the first word that is not as fill() makes it, or -1. */
__attribute__((unused)) static int64_t differs(const void *buffer, size_t length, uint64_t seed)
{
    const char *from = buffer;
    size_t i, words = length / 8;
    for (i = 0; i < words; i++) {
        uint64_t word = check_word(seed, i);
        if (memcmp(from + 8 * i, &word, 8) != 0)
            return (int64_t) (8 * i);
    }
    uint64_t word = check_word(seed, i);
    return memcmp(from + 8 * i, &word, length % 8) != 0 ? (int64_t) (8 * i) : -1;
}

#define CHECK_DATA(buffer, length, seed, ...)                                         \
    do {                                                                              \
        int64_t check_at = differs(buffer, length, seed);                             \
        if (check_at >= 0) {                                                          \
            fprintf(stderr, "wrong data at byte %lld of %zu\n", (long long) check_at, \
                    (size_t) (length));                                               \
            CHECK(!"wrong data", __VA_ARGS__);                                        \
        }                                                                             \
    } while (0)

__attribute__((unused)) static void *check_malloc(size_t length)
{
    void *memory = malloc(length > 0 ? length : 1);
    CHECK(memory != NULL, "no memory for %zu bytes", length);
    return memory;
}

/* Starts MPI; ends the program well when there are fewer ranks than needed: that is a wrong test. */
static void check_start_level(int *argc, char ***argv, int needed, int level)
{
    int provided;

    MPI_Init_thread(argc, argv, level, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &check_rank);
    MPI_Comm_size(MPI_COMM_WORLD, &check_size);
    CHECK(check_size >= needed, "%d ranks, needs %d", check_size, needed);
    CHECK(provided >= level, "only thread level %d is provided", provided);
}

__attribute__((unused)) static void check_start(int *argc, char ***argv, int needed)
{
    check_start_level(argc, argv, needed, MPI_THREAD_SINGLE);
}

/* Every rank came this far: says so, once. */
__attribute__((unused)) static int check_end(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
    if (check_rank == 0) {
        printf("passed\n");
        fflush(stdout);
    }
    MPI_Finalize();
    return 0;
}

#endif
