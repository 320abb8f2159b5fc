/* Messages between processes, by every way that shared memory offers. */
#include "unit.h"

#include "job.h"

#include <sys/stat.h>

#define LONGEST ((size_t) 5 << 20)

static const size_t sizes[] = {
    0,    1,    7,    8,     15,    40,    47,    48,     49,      100,           1000,   4080,
    4096, 4097, 8192, 16384, 65535, 65536, 65537, 100000, 1 << 20, (1 << 20) + 1, 5 << 20};
#define SIZES (sizeof(sizes) / sizeof(sizes[0]))

/* What the description of a peer must say in the end, or NULL. */
static const char *expected_way;

/* Sizes of all kinds, posted before and after they arrive. */
static void all_sizes(struct job *job)
{
    uint8_t *data = malloc(LONGEST), *back = malloc(LONGEST);
    int other = job->size == 1 ? 0 : !job->rank;

    for (unsigned late = 0; late < 2; late++)
        for (unsigned i = 0; i < SIZES; i++) {
            struct job_request send, receive;
            unsigned flags = i % 2 ? FERRY_SYNC : 0;

            job_fill(data, sizes[i], i + (unsigned) job->rank);
            memset(back, 0xee, LONGEST);
            if (!late)
                job_recv(job, i, 0, back, LONGEST, &receive);
            job_barrier(job);
            job_send(job, other, i, data, sizes[i], flags, &send);
            if (late) {
                for (int k = 0; k < 100; k++)
                    ferry_progress(job->context);
                check(!(flags & FERRY_SYNC) || !send.done);
                job_barrier(job);
                job_recv(job, i, 0, back, LONGEST, &receive);
            }
            job_wait(job, &receive);
            job_wait(job, &send);
            check(send.request.status == 0 && receive.request.status == 0);
            check(receive.request.length == sizes[i] && receive.request.match == i);
            check(receive.request.peer == job->peers[other]);
            check(job_filled(back, sizes[i], i + (unsigned) other));
            check(sizes[i] == LONGEST || back[sizes[i]] == 0xee);
        }
    if (expected_way) {
        char text[200];

        ferry_peer_describe(job->peers[other], text, sizeof(text));
        check(strstr(text, expected_way));
    }
    free(data);
    free(back);
}

/* Runs a job with variables, such as "FERRY_COPY=cma FERRY_FETCH=always FERRY_FETCH_MIN=1K". */
static void run(const char *variables, int size, void (*body)(struct job *))
{
    char text[200], *rest = text, *word;
    const char *names[8];
    int count = 0, failed;

    snprintf(text, sizeof(text), "%s", variables);
    while ((word = strsep(&rest, " ")) && *word) {
        char *value = strchr(word, '=');

        *value++ = 0;
        setenv(word, value, 1);
        names[count++] = word;
    }
    failed = job_run(size, body);
    while (count)
        unsetenv(names[--count]);
    assert_int_equal(failed, 0);
}

static void every_size_arrives_whole(void **state)
{
    (void) state;
    run("", 2, all_sizes);
}

static void every_size_with_one_copy_by_cma(void **state)
{
    (void) state;
    expected_way = "process_vm_readv";
    run("FERRY_COPY=cma FERRY_FETCH=always FERRY_FETCH_MIN=1K", 2, all_sizes);
    expected_way = NULL;
}

static void every_size_with_one_copy_by_mem(void **state)
{
    (void) state;
    expected_way = "/proc/self/mem";
    run("FERRY_COPY=mem FERRY_FETCH=always FERRY_FETCH_MIN=1K", 2, all_sizes);
    expected_way = NULL;
}

static void every_size_through_small_rings(void **state)
{
    (void) state;
    run("FERRY_RING_SLOTS=16 FERRY_RING_BYTES=4K FERRY_BULK_BYTES=64K", 2, all_sizes);
}

static void every_size_on_offer(void **state)
{
    (void) state;
    run("FERRY_EAGER_MAX=0", 2, all_sizes);
}

static void every_size_in_a_file(void **state)
{
    (void) state;
    expected_way = "file met in /";
    run("FERRY_SEGMENT=file", 2, all_sizes);
    expected_way = NULL;
}

static void every_size_to_oneself(void **state)
{
    (void) state;
    run("", 1, all_sizes);
}

/* Long and short messages of one match word, received in the order sent, whatever way each goes. */
static void in_order(struct job *job)
{
    enum { COUNT = 300 };
    static uint8_t data[COUNT][70000];
    static struct job_request requests[COUNT];

    for (int i = 0; i < COUNT; i++) {
        size_t length = (size_t) (i * 7919 % 70000);

        if (job->rank == 0) {
            job_fill(data[i], length, (unsigned) i);
            job_send(job, 1, 5, data[i], length, 0, &requests[i]);
        } else {
            job_recv(job, i % 3 ? 5 : 4, i % 3 ? 0 : 1, data[i], sizeof(data[i]), &requests[i]);
        }
    }
    for (int i = 0; i < COUNT; i++) {
        size_t length = (size_t) (i * 7919 % 70000);

        job_wait(job, &requests[i]);
        if (job->rank == 1) {
            check(requests[i].request.length == length);
            check(job_filled(data[i], length, (unsigned) i));
        }
    }
}

static void messages_keep_their_order(void **state)
{
    (void) state;
    run("", 2, in_order);
}

static void ends(struct job *job)
{
    uint8_t data[100], back[200] = {0};
    struct job_request r, s;
    ferry_message_t *message;
    ferry_probe_t probe;

    job_fill(data, sizeof(data), 1);
    if (job->rank == 0) {
        job_send(job, 1, 1, data, sizeof(data), 0, &r);
        job_send(job, 1, 2, data, sizeof(data), 0, &s);
        job_wait(job, &r);
        job_wait(job, &s);
        job_barrier(job);
        return;
    }
    /* Taken back before anything fits. */
    job_recv(job, 77, 0, back, sizeof(back), &r);
    check(ferry_cancel(job->context, &r.request) == 0);
    /* Too short a buffer. */
    job_recv(job, 1, 0, back, 10, &r);
    job_wait(job, &r);
    check(r.request.status == -EMSGSIZE && r.request.length == 10 && back[10] == 0);
    check(job_filled(back, 10, 1));
    check(ferry_cancel(job->context, &r.request) == -EBUSY);
    /* Looked at, taken out, received. */
    while (!ferry_probe(job->context, 0, ~(uint64_t) 0, &probe, NULL))
        ferry_progress(job->context);
    check(probe.match == 2 && probe.length == 100 && probe.peer == job->peers[0]);
    check(!ferry_probe(job->context, 3, 0, &probe, NULL));
    check(ferry_probe(job->context, 2, 0, &probe, &message));
    check(!ferry_probe(job->context, 2, 0, &probe, NULL));
    memset(&r, 0, sizeof(r));
    r.request.done = job_done;
    job_posted(&r, ferry_message_recv(message, back, sizeof(back), &r.request));
    job_wait(job, &r);
    check(r.request.length == 100 && job_filled(back, 100, 1));
    job_barrier(job);
}

static void cancel_truncation_and_probes(void **state)
{
    (void) state;
    run("", 2, ends);
}

/* Data with a byte between each two. */
static void pack(void *arg, size_t offset, void *to, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *) to)[i] = ((uint8_t *) arg)[(offset + i) * 2];
}

static void unpack(void *arg, size_t offset, const void *from, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *) arg)[(offset + i) * 2] = ((const uint8_t *) from)[i];
}

static const ferry_stream_t every_second = {.pack = pack, .unpack = unpack};

static void scattered(struct job *job)
{
    uint8_t *data = malloc(2 * LONGEST);
    struct job_request r;

    for (unsigned i = 0; i < SIZES; i++) {
        size_t length = sizes[i];

        memset(&r, 0, sizeof(r));
        r.request.done = job_done;
        r.request.stream = &every_second;
        memset(data, 0x55, 2 * LONGEST);
        for (size_t k = 0; job->rank == 0 && k < length; k++)
            data[2 * k] = (uint8_t) (k * 7 + i);
        job_posted(&r, job->rank == 0 ? ferry_send(job->peers[1], i, data, length, 0, &r.request)
                                      : ferry_recv(job->context, i, 0, data, length, &r.request));
        job_wait(job, &r);
        for (size_t k = 0; k < length; k++)
            check(data[2 * k] == (uint8_t) (k * 7 + i) && data[2 * k + 1] == 0x55);
    }
    free(data);
}

static void data_that_is_not_contiguous(void **state)
{
    (void) state;
    run("", 2, scattered);
}

/* All to all, all at once, twice what the rings hold. */
static void crowd(struct job *job)
{
    enum { EACH = 400 };
    static uint64_t out[JOB_MAX][EACH], in[JOB_MAX * EACH];
    static struct job_request s[JOB_MAX][EACH], r[JOB_MAX * EACH];
    int next[JOB_MAX] = {0};

    for (int i = 0; i < EACH; i++)
        for (int to = 0; to < job->size; to++) {
            out[to][i] = (uint64_t) i;
            job_send(job, to, (uint64_t) job->rank << 32, &out[to][i], sizeof(uint64_t), 0,
                     &s[to][i]);
        }
    for (int i = 0; i < job->size * EACH; i++)
        job_recv(job, 0, (uint64_t) 0xff << 32, &in[i], sizeof(in[i]), &r[i]);
    for (int i = 0; i < job->size * EACH; i++) {
        job_wait(job, &r[i]);
        check(in[i] == (uint64_t) next[r[i].request.match >> 32]++);
    }
    for (int to = 0; to < job->size; to++)
        for (int i = 0; i < EACH; i++)
            job_wait(job, &s[to][i]);
    job_barrier(job);
}

static void many_to_many(void **state)
{
    (void) state;
    run("FERRY_RING_SLOTS=16", 6, crowd);
}

static int done_of(const struct job_request *requests, int count)
{
    int done = 0;

    for (int i = 0; i < count; i++)
        done += requests[i].done;
    return done;
}

/* More than the receiver wants to keep for later: the rest stays with the sender. */
static void flood(struct job *job)
{
    enum { COUNT = 1000, LENGTH = 50000 };
    uint8_t *data = malloc(LENGTH);
    struct job_request *requests = calloc(COUNT, sizeof(*requests));
    job_fill(data, LENGTH, 9);
    for (int i = 0; job->rank == 0 && i < COUNT; i++)
        job_send(job, 1, (uint64_t) i, data, LENGTH, 0, &requests[i]);
    if (job->rank == 0) {
        /* The receiver may not even run yet. */
        while (done_of(requests, COUNT) <= 10)
            ferry_progress(job->context);
        for (int i = 0; i < 20000; i++)
            ferry_progress(job->context);
        check(done_of(requests, COUNT) < COUNT / 2);
    }
    job_barrier(job);
    for (int i = 0; i < COUNT; i++) {
        if (job->rank == 1) {
            memset(data, 0, LENGTH);
            job_recv(job, (uint64_t) i, 0, data, LENGTH, &requests[i]);
        }
        job_wait(job, &requests[i]);
        check(requests[i].request.status == 0 && job_filled(data, LENGTH, 9));
    }
}

static void a_flood_stays_with_its_sender(void **state)
{
    (void) state;
    run("FERRY_UNEXPECTED_MAX=1M", 2, flood);
}

/* A receiver needs no sender that attends, once the message is offered. */
static void absent(struct job *job)
{
    uint8_t *data = malloc(LONGEST);
    struct job_request r;

    job_fill(data, LONGEST, 4);
    if (job->rank == 0) {
        job_send(job, 1, 1, data, LONGEST, 0, &r);
        /* No progress here until the other has it all. */
        while (!atomic_load(&job->board->word))
            usleep(100);
    } else {
        memset(data, 0, LONGEST);
        job_recv(job, 1, 0, data, LONGEST, &r);
    }
    job_wait(job, &r);
    check(r.request.status == 0 && job_filled(data, LONGEST, 4));
    atomic_store(&job->board->word, 1);
}

static void a_busy_sender_is_not_waited_for(void **state)
{
    (void) state;
    run("", 2, absent);
}

static uint64_t counted(struct job *job, const char *name)
{
    ferry_counter_t counter;

    for (unsigned i = 0; ferry_counter(i, &counter); i++)
        if (!strcmp(counter.name, name))
            return ferry_counter_value(job->context, i);
    check(!"there is such a counter");
    return 0;
}

/* The sender is away until the first part was fetched, then attends: the rest comes from both. */
static void coming_back(struct job *job)
{
    uint8_t *data = malloc(LONGEST);
    struct job_request r;
    uint64_t fetched = 0;

    job_fill(data, LONGEST, 4);
    if (job->rank == 0) {
        job_send(job, 1, 1, data, LONGEST, 0, &r);
        while (!atomic_load(&job->board->word))
            usleep(100);
        for (int i = 0; i < 1000; i++)
            ferry_progress(job->context);
        atomic_store(&job->board->word, 2);
    } else {
        memset(data, 0, LONGEST);
        job_recv(job, 1, 0, data, LONGEST, &r);
        while (!fetched && !r.done) {
            ferry_progress(job->context);
            fetched = counted(job, "ferry_cma_bytes");
        }
        atomic_store(&job->board->word, 1);
        while (atomic_load(&job->board->word) < 2)
            usleep(100);
    }
    job_wait(job, &r);
    check(r.request.status == 0 && job_filled(data, LONGEST, 4));
    if (job->rank == 1 && fetched) {
        check(counted(job, "ferry_cma_bytes") == fetched && fetched < LONGEST);
        check(counted(job, "ferry_piecewise_bytes") == LONGEST - fetched);
    }
}

static void a_sender_that_comes_back_copies_too(void **state)
{
    (void) state;
    run("FERRY_COPY=cma", 2, coming_back);
}

/* Both have a message for the other, and one more of each is there throughout: each byte comes once, by either way. */
static void crossing(struct job *job)
{
    uint8_t *out = malloc(LONGEST), *in = malloc(LONGEST);
    struct job_request early, sent, got;

    job_fill(out, LONGEST, 4);
    memset(in, 0, LONGEST);
    job_send(job, 1 - job->rank, 2, out, LONGEST, 0, &early);
    job_recv(job, 1, 0, in, LONGEST, &got);
    job_send(job, 1 - job->rank, 1, out, LONGEST, 0, &sent);
    job_wait(job, &got);
    job_wait(job, &sent);
    check(got.request.status == 0 && job_filled(in, LONGEST, 4));
    check(counted(job, "ferry_cma_bytes") + counted(job, "ferry_piecewise_bytes") == LONGEST);
    job_barrier(job);
    job_recv(job, 2, 0, in, LONGEST, &got);
    job_wait(job, &got);
    job_wait(job, &early);
    check(job_filled(in, LONGEST, 4));
}

static void messages_cross(void **state)
{
    (void) state;
    run("FERRY_COPY=cma", 2, crossing);
}

/* A message to oneself is one copy, whatever the kernel allows. */
static void to_oneself(struct job *job)
{
    uint8_t *out = malloc(LONGEST), *in = malloc(LONGEST);
    struct job_request sent, got;

    job_fill(out, LONGEST, 4);
    job_send(job, 0, 1, out, LONGEST, 0, &sent);
    job_recv(job, 1, 0, in, LONGEST, &got);
    job_wait(job, &got);
    job_wait(job, &sent);
    check(got.request.status == 0 && job_filled(in, LONGEST, 4));
    check(counted(job, "ferry_cma_bytes") == 0 && counted(job, "ferry_mem_bytes") == 0);
    check(counted(job, "ferry_piecewise_bytes") == 0);
    /* Too long for its receiver */
    job_send(job, 0, 1, out, LONGEST, 0, &sent);
    job_recv(job, 1, 0, in, LONGEST / 2, &got);
    job_wait(job, &got);
    job_wait(job, &sent);
    check(got.request.status == -EMSGSIZE && job_filled(in, LONGEST / 2, 4));
}

static void own_messages_are_copied_once(void **state)
{
    (void) state;
    run("FERRY_COPY=cma", 1, to_oneself);
    run("FERRY_COPY=none", 1, to_oneself);
}

/* More than the ring holds, to somebody who says nothing himself: he wakes the sender when there is room. */
static void full_ring(struct job *job)
{
    enum { MANY = 2000 };
    struct job_request r;
    uint64_t word;

    if (job->rank == 0) {
        for (word = 0; word < MANY; word++) {
            job_send(job, 1, word, &word, sizeof(word), 0, &r);
            job_wait(job, &r);
        }
        return;
    }
    for (uint64_t i = 0, before = counted(job, "ferry_wakes"); i < MANY; i++) {
        /* Time to fill the ring, and to fall asleep */
        if (i % 500 == 0)
            usleep(50000);
        job_recv(job, i, 0, &word, sizeof(word), &r);
        job_wait(job, &r);
        check(word == i);
        check(i < MANY - 1 || counted(job, "ferry_wakes") > before);
    }
}

static void room_in_a_ring_wakes_who_waits_for_it(void **state)
{
    (void) state;
    run("FERRY_SPIN=0us", 2, full_ring);
}

/* The second process dies while a message to it and one from it are under way. */
static void dying(struct job *job)
{
    uint8_t *data = malloc(LONGEST);
    struct job_request s, r;

    if (job->rank == 1) {
        job_recv(job, 9, 0, data, 1, &r);
        for (int i = 0; i < 1000; i++)
            ferry_progress(job->context);
        raise(SIGKILL);
    }
    job_send(job, 1, 1, data, LONGEST, 0, &s);
    while (!job->lost)
        ferry_progress(job->context);
    check(s.done && s.request.status < 0);
    check(ferry_send(job->peers[1], 1, data, 1, 0, &s.request) < 0);
    ferry_close(job->context);
    _exit(0);
}

static void a_dead_peer_is_noticed(void **state)
{
    (void) state;
    run("", 2, dying);
}

/* The second process truncates the file in which the rings lie. */
static void truncating(struct job *job)
{
    uint8_t data[100] = {0};
    struct job_request s;
    struct stat info;

    job_send(job, !job->rank, 1, data, sizeof(data), 0, &s);
    job_barrier(job);
    for (int fd = 3; job->rank == 1 && fd < 100; fd++)
        if (!fstat(fd, &info) && S_ISREG(info.st_mode) && info.st_size > (off_t) 1 << 40)
            check(ftruncate(fd, 0) == 0);
    job_barrier(job);
    while (!job->lost) {
        ferry_send_small(job->peers[!job->rank], 1, data, sizeof(data));
        ferry_progress(job->context);
    }
    ferry_close(job->context);
    _exit(0);
}

static void a_truncated_file_ends_no_process(void **state)
{
    (void) state;
    run("FERRY_SEGMENT=file", 2, truncating);
}

static const struct {
    size_t length;
    int id;
} ams[] = {{0, 1}, {1, 1}, {40, 2}, {3000, 1}, {4096, 2}, {70000, 1}, {3 << 20, 2}};
#define AMS (sizeof(ams) / sizeof(ams[0]))

static uint8_t *am_data;
static unsigned am_next;
static struct job_request am_receive;

static void am_check(size_t length)
{
    check(length == ams[am_next].length && job_filled(am_data, length, am_next));
    am_next++;
}

static void am_received(ferry_request_t *request)
{
    check(request->status == 0);
    am_check(request->length);
}

static void on_am(int id, const void *header, size_t header_length, const void *data, size_t length,
                  ferry_message_t *message)
{
    check(id == ams[am_next].id && header_length == 4 && *(const unsigned *) header == am_next);
    check(length == ams[am_next].length);
    if (!message) {
        memcpy(am_data, data, length);
        am_check(length);
        return;
    }
    memset(&am_receive, 0, sizeof(am_receive));
    am_receive.request.done = am_received;
    if (ferry_message_recv(message, am_data, LONGEST, &am_receive.request) == 1)
        am_received(&am_receive.request);
}

static void on_am_1(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                    const void *data, size_t length, ferry_message_t *message)
{
    check(peer == ((struct job *) user)->peers[0]);
    on_am(1, header, header_length, data, length, message);
}

static void on_am_2(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                    const void *data, size_t length, ferry_message_t *message)
{
    (void) user;
    (void) peer;
    on_am(2, header, header_length, data, length, message);
}

static void active(struct job *job)
{
    am_data = malloc(LONGEST);
    check(ferry_am_register(job->context, 1, on_am_1) == 0);
    check(ferry_am_register(job->context, 2, on_am_2) == 0);
    check(ferry_am_register(job->context, FERRY_AM_IDS, on_am_2) == -EINVAL);
    job_barrier(job);
    for (unsigned i = 0; i < AMS; i++) {
        struct job_request r = {.request.done = job_done};

        if (job->rank == 0) {
            job_fill(am_data, ams[i].length, i);
            job_posted(&r, ferry_am_send(job->peers[1], (unsigned) ams[i].id, &i, sizeof(i),
                                         am_data, ams[i].length, &r.request));
            job_wait(job, &r);
        }
        while (job->rank == 1 && am_next <= i)
            ferry_progress(job->context);
        job_barrier(job);
    }
}

static void active_messages(void **state)
{
    (void) state;
    run("", 2, active);
}

static void one_sided(struct job *job)
{
    uint8_t *memory = malloc(LONGEST), *data = malloc(LONGEST);
    uint8_t key[FERRY_MEMORY_KEY_MAX] = {0};
    ferry_memory_t *exported;

    job_fill(memory, LONGEST, 3);
    check(ferry_memory_export(job->context, memory, LONGEST, &exported) == 0);
    check(ferry_memory_key(exported, key) <= FERRY_MEMORY_KEY_MAX);
    /* Both export first, so that the keys are the same. */
    job_barrier(job);
    if (job->rank == 0)
        for (unsigned i = 0; i < SIZES - 1; i++) {
            struct job_request r = {.request.done = job_done};

            job_fill(data, sizes[i], 50 + i);
            job_posted(&r, ferry_put(job->peers[1], key, 13, data, sizes[i], &r.request));
            job_wait(job, &r);
            check(r.request.status == 0);
            memset(data, 0, LONGEST);
            r = (struct job_request){.request.done = job_done};
            job_posted(&r, ferry_get(job->peers[1], key, 13, data, sizes[i], &r.request));
            job_wait(job, &r);
            check(r.request.status == 0 && job_filled(data, sizes[i], 50 + i));
            /* Not all within what is exported. */
            if (sizes[i]) {
                r = (struct job_request){.request.done = job_done};
                job_posted(&r, ferry_put(job->peers[1], key, LONGEST - sizes[i] + 1, data, sizes[i],
                                         &r.request));
                job_wait(job, &r);
                check(r.request.status == -EFAULT);
            }
            r = (struct job_request){.request.done = job_done};
            job_posted(&r, ferry_get(job->peers[1], key, ~(uint64_t) 0, data, 1, &r.request));
            job_wait(job, &r);
            check(r.request.status == -EFAULT);
        }
    job_barrier(job);
    ferry_memory_close(exported);
}

static void gets_and_puts(void **state)
{
    (void) state;
    run("", 2, one_sided);
}

/* A plain file stands for what virtual machines share. */
static void all_the_same_over_a_region(void **state)
{
    static void (*const bodies[])(struct job *) = {all_sizes, in_order, ends,      scattered,
                                                   crowd,     active,   one_sided, dying};
    char path[] = "/dev/shm/ferry-test-XXXXXX", variables[100];
    int fd = mkstemp(path);

    (void) state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 16 << 20), 0);
    snprintf(variables, sizeof(variables), "FERRY_TRANSPORTS=guests FERRY_GUESTS_MEMORY=%s", path);
    expected_way = "guests (/dev/shm/ferry-test-";
    for (unsigned i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        run(variables, bodies[i] == crowd ? 4 : 2, bodies[i]);
    run(variables, 1, all_sizes);
    expected_way = NULL;
    close(fd);
    unlink(path);
}

#ifdef HAVE_LIBFABRIC
static void all_the_same_over_the_fabric(void **state)
{
    static void (*const bodies[])(struct job *) = {all_sizes, in_order, ends,      scattered,
                                                   crowd,     active,   one_sided, dying};

    (void) state;
    expected_way = NULL;
    for (unsigned i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        run("FERRY_TRANSPORTS=fabric", 2, bodies[i]);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_arrives_whole),
        cmocka_unit_test(every_size_with_one_copy_by_cma),
        cmocka_unit_test(every_size_with_one_copy_by_mem),
        cmocka_unit_test(every_size_through_small_rings),
        cmocka_unit_test(every_size_on_offer),
        cmocka_unit_test(every_size_in_a_file),
        cmocka_unit_test(every_size_to_oneself),
        cmocka_unit_test(messages_keep_their_order),
        cmocka_unit_test(cancel_truncation_and_probes),
        cmocka_unit_test(data_that_is_not_contiguous),
        cmocka_unit_test(many_to_many),
        cmocka_unit_test(a_flood_stays_with_its_sender),
        cmocka_unit_test(a_busy_sender_is_not_waited_for),
        cmocka_unit_test(a_sender_that_comes_back_copies_too),
        cmocka_unit_test(messages_cross),
        cmocka_unit_test(own_messages_are_copied_once),
        cmocka_unit_test(room_in_a_ring_wakes_who_waits_for_it),
        cmocka_unit_test(active_messages),
        cmocka_unit_test(gets_and_puts),
        cmocka_unit_test(a_dead_peer_is_noticed),
        cmocka_unit_test(a_truncated_file_ends_no_process),
        cmocka_unit_test(all_the_same_over_a_region),
#ifdef HAVE_LIBFABRIC
        cmocka_unit_test(all_the_same_over_the_fabric),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
