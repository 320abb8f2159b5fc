/*
 * The memory that processes of two virtual machines share is taken from one of them, or from both, in the middle of
 * messages: these go on over the network, and nothing is lost. When it is there again, they come back to it.
 */
#include "unit.h"

#include "guests.h"
#include "job.h"
#include "region.h"

#include <pthread.h>

#define SIZE ((size_t) 8 << 20)
#define LONGEST ((size_t) 300000)
#define WINDOW 8
#define MESSAGES 400u
#define HEADER 24

static const size_t sizes[] = {0, 8, 48, 49, 3000, 16000, 40000, 70000, LONGEST};

static int make_file(void **state)
{
    (void) state;
    return region_make("guests,fabric", SIZE);
}

/* ---- Unplugging ---- */

static const char *away(void)
{
    static char name[sizeof(path) + 5];

    snprintf(name, sizeof(name), "%s-away", path);
    return name;
}

/* As a device that is unplugged: reads as zeros, what is written vanishes, and nobody finds it. */
static void unplug(ferry_context_t *context)
{
    struct ferry_guests *guests = ferry_guests_of(ferry_core_transport(context, &ferry_guests_ops));
    struct ferry_guests_memory *memory = &guests->regions[0]->memory;

    rename(path, away());
    check(mmap(memory->base, memory->size, PROT_READ | PROT_WRITE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory->base);
}

static void plug_in(void)
{
    rename(away(), path);
}

static int remove_file(void **state)
{
    plug_in();
    return region_remove(state);
}

/* A job of two for which the device is there at first, with nothing in it: what the last job lost would be freed only after
 * the lease. */
static int run(void (*body)(struct job *))
{
    off_t size = lseek(file, 0, SEEK_END);

    plug_in();
    assert_int_equal(ftruncate(file, 0), 0);
    assert_int_equal(ftruncate(file, size), 0);
    return job_run(2, body);
}

struct unplugger {
    ferry_context_t *context;
    unsigned microseconds;
    pthread_t thread;
};

static void *unplug_later(void *arg)
{
    struct unplugger *unplugger = arg;

    usleep(unplugger->microseconds);
    unplug(unplugger->context);
    return NULL;
}

/* ---- Messages ---- */

static unsigned round_number;        /* of the test: when it is unplugged */
static unsigned unplugged_ranks = 1; /* a set */
static unsigned heard;               /* active messages */

static size_t size_of(unsigned number)
{
    return sizes[number % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void on_am(void *user, ferry_peer_t *peer, const void *header, size_t header_length,
                  const void *data, size_t length, ferry_message_t *message)
{
    (void) user;
    (void) peer;
    check(header_length == HEADER && !message);
    check(job_filled(header, HEADER, heard));
    check(length == heard % 5 * 500 && job_filled(data, length, heard));
    heard++;
}

static void say(struct job *job, unsigned number)
{
    uint8_t header[HEADER], data[2000];
    struct job_request *r = calloc(1, sizeof(*r));

    job_fill(header, HEADER, number);
    job_fill(data, number % 5 * 500, number);
    r->request.done = job_done;
    job_posted(r, ferry_am_send(job->peers[!job->rank], 1, header, HEADER, data, number % 5 * 500,
                                &r->request));
    job_wait(job, r);
    free(r);
}

struct slot {
    struct job_request send, receive;
    uint8_t *out, *in;
};

static bool is_done(const struct job *job, const struct slot *slot)
{
    return job->lost || (slot->send.done && slot->receive.done);
}

/* Both send to each other, several at a time; what arrives is whole and in order. Returns whether all did. */
static bool exchange(struct job *job)
{
    struct slot slots[WINDOW] = {0};

    for (unsigned i = 0; i < WINDOW; i++) {
        slots[i].out = malloc(LONGEST);
        slots[i].in = malloc(LONGEST);
    }
    for (unsigned i = 0; i < MESSAGES + WINDOW; i++) {
        struct slot *slot = &slots[i % WINDOW];

        while (i >= WINDOW && !is_done(job, slot))
            ferry_progress(job->context);
        if (job->lost)
            return false;
        if (i >= WINDOW) {
            unsigned number = i - WINDOW;

            check(slot->send.request.status == 0 && slot->receive.request.status == 0);
            check(slot->receive.request.length == size_of(number));
            check(job_filled(slot->in, size_of(number), number * 2 + (unsigned) !job->rank));
        }
        if (i >= MESSAGES)
            continue;
        /* Some are there before they are received. */
        job_fill(slot->out, size_of(i), i * 2 + (unsigned) job->rank);
        if (i % 3)
            job_recv(job, i % 2, 0, slot->in, LONGEST, &slot->receive);
        job_send(job, !job->rank, i % 2, slot->out, size_of(i), i % 4 == 1 ? FERRY_SYNC : 0,
                 &slot->send);
        if (i % 3 == 0)
            job_recv(job, i % 2, 0, slot->in, LONGEST, &slot->receive);
        if (i % 16 == 5)
            say(job, i / 16);
    }
    while (!job->lost && heard < MESSAGES / 16)
        ferry_progress(job->context);
    for (unsigned i = 0; i < WINDOW; i++) {
        free(slots[i].out);
        free(slots[i].in);
    }
    return !job->lost;
}

static void unplug_in_exchange(struct job *job)
{
    struct unplugger unplugger = {.context = job->context,
                                  .microseconds = 100 + round_number * 317 % 40000};
    bool unplugs = unplugged_ranks >> job->rank & 1;
    ferry_traffic_t traffic;
    char text[200];

    ferry_am_register(job->context, 1, on_am);
    job_barrier(job);
    if (unplugs)
        check(pthread_create(&unplugger.thread, NULL, unplug_later, &unplugger) == 0);
    check(exchange(job));
    if (unplugs)
        pthread_join(unplugger.thread, NULL);
    /* Once more, whenever it was unplugged. */
    job_barrier(job);
    heard = 0;
    job_barrier(job);
    check(exchange(job));
    ferry_peer_describe(job->peers[!job->rank], text, sizeof(text));
    check(strstr(text, "fabric (") && strstr(text, "guests: "));
    ferry_peer_traffic(job->peers[!job->rank], &traffic);
    check(!strcmp(traffic.transport, "fabric"));
}

static void nothing_is_lost(void **state)
{
    (void) state;
    for (round_number = 0; round_number < 40; round_number++) {
        unplugged_ranks = 1 + round_number % 2;
        assert_int_equal(run(unplug_in_exchange), 0);
    }
}

/* Both at once: either all arrives, or the connection ends. */
static void unplug_both(struct job *job)
{
    struct unplugger unplugger = {.context = job->context,
                                  .microseconds = 100 + round_number * 317 % 40000};

    ferry_am_register(job->context, 1, on_am);
    job_barrier(job);
    check(pthread_create(&unplugger.thread, NULL, unplug_later, &unplugger) == 0);
    exchange(job);
    pthread_join(unplugger.thread, NULL);
    _exit(0);
}

static void nothing_wrong_is_believed_when_both_lose_it(void **state)
{
    (void) state;
    for (round_number = 0; round_number < 20; round_number++)
        assert_int_equal(run(unplug_both), 0);
}

/* Before they ever talked. */
static void unplug_first(struct job *job)
{
    ferry_am_register(job->context, 1, on_am);
    if (unplugged_ranks >> job->rank & 1)
        unplug(job->context);
    job_barrier(job);
    check(exchange(job));
}

static void it_goes_before_they_talk(void **state)
{
    (void) state;
    for (unplugged_ranks = 1; unplugged_ranks < 4; unplugged_ranks++)
        assert_int_equal(run(unplug_first), 0);
}

/* ---- Plugging in again ---- */

static bool is_back(const struct job *job)
{
    ferry_traffic_t traffic;
    char text[200];

    ferry_peer_traffic(job->peers[!job->rank], &traffic);
    ferry_peer_describe(job->peers[!job->rank], text, sizeof(text));
    return !strcmp(traffic.transport, "guests") && !strncmp(text, "guests (", 8);
}

/* Whether both say so. */
static bool both(struct job *job, bool say)
{
    struct job_request send, receive;
    bool other = false;

    job_recv(job, 3, 0, &other, 1, &receive);
    job_send(job, !job->rank, 3, &say, 1, 0, &send);
    job_wait(job, &send);
    job_wait(job, &receive);
    return say && other;
}

static void exchange_again(struct job *job)
{
    job_barrier(job);
    heard = 0;
    job_barrier(job);
    check(exchange(job));
}

/* One loses it in the midst of messages; the other too, in the third way, when it is of no use any more. */
static void unplug_and_plug_in(struct job *job)
{
    struct unplugger unplugger = {.context = job->context,
                                  .microseconds = 100 + round_number * 1317 % 40000};
    bool unplugs = (unplugged_ranks == 1 ? 0 : 1) == job->rank;

    if (unplugs)
        check(pthread_create(&unplugger.thread, NULL, unplug_later, &unplugger) == 0);
    exchange_again(job);
    if (unplugs)
        pthread_join(unplugger.thread, NULL);
    exchange_again(job);
    check(!is_back(job));
    if (unplugged_ranks == 3 && !unplugs)
        unplug(job->context);
    exchange_again(job);
    plug_in();
    while (!both(job, is_back(job)))
        exchange_again(job);
    exchange_again(job);
    check(is_back(job));
}

static void come_and_go(struct job *job)
{
    ferry_am_register(job->context, 1, on_am);
    for (unsigned i = 0; i < 3; i++)
        unplug_and_plug_in(job);
}

static void it_is_used_again(void **state)
{
    (void) state;
    for (round_number = 0; round_number < 6; round_number++) {
        unplugged_ranks = 1 + round_number % 3;
        assert_int_equal(run(come_and_go), 0);
    }
}

/* Whether this one has said that it is back, and not heard of the other's ring; or sends by a ring, and doesn't read one
 * yet. */
static bool is_half_back(const struct job *job, uint32_t openings)
{
    struct ferry_guests *guests =
        ferry_guests_of(ferry_core_transport(job->context, &ferry_guests_ops));
    const struct ferry_guests_endpoint *endpoint = guests->endpoints[0];

    return job->rank ? endpoint->state == FERRY_GUESTS_SHARED && endpoint->below
                     : endpoint->state == FERRY_GUESTS_FALLEN && endpoint->told > openings;
}

#define LAST 4u

/* The first loses it, and either loses it again in the midst of coming back, with messages on their way. */
static void lose_it_half_way(struct job *job)
{
    struct ferry_guests *guests =
        ferry_guests_of(ferry_core_transport(job->context, &ferry_guests_ops));
    struct job_request sends[LAST], receives[LAST];
    uint8_t out[LAST][20000], in[LAST][20000];

    ferry_am_register(job->context, 1, on_am);
    exchange_again(job);
    if (job->rank == 0)
        unplug(job->context);
    exchange_again(job);
    for (unsigned i = 0; i < LAST; i++)
        job_recv(job, 100 + i, 0, in[i], sizeof(in[i]), &receives[i]);
    job_barrier(job);
    plug_in();
    if (job->rank == (int) (round_number & 1)) {
        while (!is_half_back(job, 0))
            ferry_progress(job->context);
        for (unsigned i = 0; i < LAST; i++) {
            size_t length = i & 1 ? 8 : sizeof(out[i]);

            job_fill(out[i], length, i);
            job_send(job, !job->rank, 100 + i, out[i], length, 0, &sends[i]);
        }
        check(guests->openings == (job->rank == 0));
        unplug(job->context);
        atomic_store(&job->board->word, 1);
        for (unsigned i = 0; i < LAST; i++)
            job_wait(job, &sends[i]);
    } else {
        while (!atomic_load(&job->board->word))
            ferry_progress(job->context);
        for (unsigned i = 0; i < LAST; i++) {
            job_wait(job, &receives[i]);
            check(job_filled(in[i], i & 1 ? 8 : sizeof(in[i]), i));
        }
    }
    exchange_again(job);
    plug_in();
    while (!both(job, is_back(job)))
        exchange_again(job);
    exchange_again(job);
}

static void it_goes_while_they_come_back(void **state)
{
    (void) state;
    for (round_number = 0; round_number < 6; round_number++)
        assert_int_equal(run(lose_it_half_way), 0);
}

/* ---- While a packet is written, or read ---- */

static ferry_context_t *to_unplug; /* when the stream comes to offset; NULL: it is left alone */
static size_t to_unplug_at;

static void unplug_at(size_t offset)
{
    if (!to_unplug || offset < to_unplug_at)
        return;
    unplug(to_unplug);
    to_unplug = NULL;
}

struct stream {
    uint8_t *data;
    size_t position;
};

static void pack(void *arg, size_t offset, void *to, size_t length)
{
    struct stream *stream = arg;

    check(offset == stream->position);
    stream->position += length;
    unplug_at(offset);
    memcpy(to, stream->data + offset, length);
}

static void unpack(void *arg, size_t offset, const void *from, size_t length)
{
    struct stream *stream = arg;

    check(offset == stream->position);
    stream->position += length;
    unplug_at(offset);
    memcpy(stream->data + offset, from, length);
}

static const ferry_stream_t in_order = {.pack = pack, .unpack = unpack};

/* Messages of this length from the first to the second, who loses the memory while the first piece at or after an
 * offset is written; and so that what is written or read comes in pieces. */
static void lose_it_in_stream(struct job *job)
{
    static const size_t lengths[] = {8, 5000, 60000, LONGEST};
    size_t length = lengths[round_number % 4];
    struct stream stream = {.data = malloc(LONGEST)};
    bool sends = job->rank == 0;

    if (unplugged_ranks >> job->rank & 1)
        to_unplug = job->context;
    to_unplug_at = round_number / 4 % 3 * (length / 3);
    for (unsigned i = 0; i < 3; i++) {
        struct job_request r = {.request = {.done = job_done, .stream = &in_order}};

        stream.position = 0;
        job_fill(stream.data, length, sends ? i : 99);
        if (round_number & 1)
            job_barrier(job);
        job_posted(&r, sends ? ferry_send(job->peers[1], i, &stream, length, 0, &r.request)
                             : ferry_recv(job->context, i, 0, &stream, length, &r.request));
        job_wait(job, &r);
        check(r.request.status == 0 && job_filled(stream.data, length, i));
    }
    job_barrier(job);
    check(!job->lost && (!to_unplug || to_unplug_at));
    free(stream.data);
}

static void streams_go_on_where_they_were(void **state)
{
    (void) state;
    for (round_number = 0; round_number < 24; round_number++) {
        unplugged_ranks = 1 + round_number / 12 % 2;
        assert_int_equal(run(lose_it_in_stream), 0);
    }
}

/* ---- Memory of the program's ---- */

#define OWN ((size_t) 1 << 20)

static uint64_t count_reads(ferry_context_t *context)
{
    ferry_counter_t counter;

    for (unsigned i = 0; ferry_counter(i, &counter); i++)
        if (!strcmp(counter.name, "ferry_guests_reads"))
            return ferry_counter_value(context, i);
    return 0;
}

/* Sends from such memory, from its beginning and its end, into other memory and into such. */
static void send_own(struct job *job)
{
    uint8_t *out = ferry_alloc(job->context, OWN), *own = ferry_alloc(job->context, OWN);
    uint8_t *in = malloc(OWN), *other;
    size_t lengths[] = {8, 70000, OWN - 1, OWN};

    check(out && own && out != own && !ferry_free(job->context, in));
    for (unsigned i = 0; i < 40; i++) {
        size_t length = lengths[i % 4], start = i / 4 % 2 ? OWN - length : 0;
        uint8_t *to = i / 8 % 2 ? own : in;
        struct job_request s, r;

        if (unplugged_ranks >> job->rank & 1 && i == round_number)
            unplug(job->context);
        job_fill(out + start, length, i + (unsigned) job->rank);
        job_recv(job, i, 0, to, OWN, &r);
        job_send(job, !job->rank, i, out + start, length, i % 3 ? 0 : FERRY_SYNC, &s);
        while (!job->lost && (!r.done || !s.done))
            ferry_progress(job->context);
        if (job->lost)
            _exit(unplugged_ranks ? 0 : 1);
        check(r.request.status == 0 && job_filled(to, length, i + (unsigned) !job->rank));
    }
    check(!unplugged_ranks && count_reads(job->context) == 30);
    /* What was given back is taken again, and is zero. */
    check(ferry_free(job->context, out) && !ferry_free(job->context, out));
    other = ferry_alloc(job->context, OWN);
    check(other);
    for (size_t i = 0; i < OWN; i++)
        check(!other[i]);
    check(!ferry_alloc(job->context, SIZE));
}

static void the_programs_memory_is_read_in_place(void **state)
{
    (void) state;
    setenv("FERRY_GUESTS_ALLOC", "yes", 1);
    unplugged_ranks = 0;
    assert_int_equal(run(send_own), 0);
}

/* The program's data is lost then: nobody goes on. */
static void unplugged_memory_of_the_program_ends_the_job(void **state)
{
    (void) state;
    setenv("FERRY_GUESTS_ALLOC", "yes", 1);
    setenv("FERRY_LEASE", "1s", 1);
    for (round_number = 1; round_number < 40; round_number += 9) {
        /* What the unplugged leave there returns by lease only. */
        assert_true(!ftruncate(file, 0) && !ftruncate(file, SIZE));
        unplugged_ranks = 1 + round_number % 2;
        assert_int_equal(run(send_own), 0);
    }
}

static void alloc_nothing(struct job *job)
{
    check(!ferry_alloc(job->context, OWN));
}

static void it_is_not_taken_unasked(void **state)
{
    (void) state;
    assert_int_equal(run(alloc_nothing), 0);
}

/* ---- Other ways to lose it ---- */

static void stand_still(struct job *job)
{
    pid_t self = getpid();

    if (job->rank == 1 && fork() == 0) {
        usleep(50000);
        kill(self, SIGSTOP);
        sleep(6);
        kill(self, SIGCONT);
        _exit(0);
    }
}

static void pause_in_exchange(struct job *job)
{
    ferry_am_register(job->context, 1, on_am);
    job_barrier(job);
    stand_still(job);
    for (unsigned i = 0; i < 30; i++) {
        heard = 0;
        job_barrier(job);
        check(exchange(job));
        job_barrier(job);
    }
    while (!both(job, is_back(job)))
        exchange_again(job);
}

static void a_pause_beyond_the_lease_is_survived(void **state)
{
    (void) state;
    setenv("FERRY_LEASE", "2s", 1);
    assert_int_equal(run(pause_in_exchange), 0);
}

#define with_file(test) cmocka_unit_test_setup_teardown(test, make_file, remove_file)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_file(nothing_is_lost),
        with_file(nothing_wrong_is_believed_when_both_lose_it),
        with_file(it_goes_before_they_talk),
        with_file(it_is_used_again),
        with_file(it_goes_while_they_come_back),
        with_file(streams_go_on_where_they_were),
        with_file(the_programs_memory_is_read_in_place),
        with_file(unplugged_memory_of_the_program_ends_the_job),
        with_file(it_is_not_taken_unasked),
        with_file(a_pause_beyond_the_lease_is_survived),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
