/*
 * ferry_bench: latency, bandwidth and message rate of libferry, without MPI, between two processes of
 * this machine.
 */
#include "ferry.h"
#include "ferry_bench_common.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DATA = 1, ANSWER = 2, COMMAND = 3 };

typedef struct side {
    ferry_context_t *context;
    ferry_peer_t *other;
    char *out, *in;
} side_t;

typedef struct request {
    ferry_request_t ferry; /* first: done() gets its address */
    bool done;
} request_t;

static void fail(const char *what, int error)
{
    fprintf(stderr, "ferry_bench: %s: %s\n", what, strerror(-error));
    exit(1);
}

static void done(ferry_request_t *ferry)
{
    request_t *request = (request_t *) ferry;
    if (ferry->status < 0)
        fail("message", ferry->status);
    request->done = true;
}

static void finish(side_t *side, request_t *request)
{
    while (!request->done)
        ferry_progress(side->context);
}

static void start_send(side_t *side, uint64_t match, const void *data, size_t bytes,
                       request_t *request)
{
    request->done = false;
    request->ferry.done = done;
    request->ferry.stream = NULL;
    int result = ferry_send(side->other, match, data, bytes, 0, &request->ferry);
    if (result < 0)
        fail("ferry_send", result);
    if (result == 1)
        request->done = true;
}

static void start_recv(side_t *side, uint64_t match, void *data, size_t bytes, request_t *request)
{
    request->done = false;
    request->ferry.done = done;
    request->ferry.stream = NULL;
    int result = ferry_recv(side->context, match, 0, data, bytes, &request->ferry);
    if (result < 0)
        fail("ferry_recv", result);
    if (result == 1)
        request->done = true;
}

static void deliver(side_t *side, uint64_t match, const void *data, size_t bytes)
{
    request_t request;
    int result = ferry_send_small(side->other, match, data, bytes);
    if (result == 0)
        return;
    if (result != -EAGAIN)
        fail("ferry_send_small", result);
    start_send(side, match, data, bytes, &request);
    finish(side, &request);
}

static void receive(side_t *side, uint64_t match, void *data, size_t bytes)
{
    request_t request;
    start_recv(side, match, data, bytes, &request);
    finish(side, &request);
}

static void command(void *self, bench_command_t *command, bool lead)
{
    if (lead)
        deliver(self, COMMAND, command, sizeof(*command));
    else
        receive(self, COMMAND, command, sizeof(*command));
}

static void latency(void *self, size_t bytes, int count, bool lead)
{
    side_t *side = self;
    for (int i = 0; i < count; i++) {
        if (lead) {
            deliver(side, DATA, side->out, bytes);
            receive(side, DATA, side->in, bytes);
        } else {
            receive(side, DATA, side->in, bytes);
            deliver(side, DATA, side->out, bytes);
        }
    }
}

static void windows(void *self, size_t bytes, int count, bool lead)
{
    side_t *side = self;
    request_t request[BENCH_WINDOW];
    char word[4] = "ok";
    for (int i = 0; i < count; i++) {
        for (int w = 0; w < BENCH_WINDOW; w++) {
            if (lead)
                start_send(side, DATA, side->out, bytes, &request[w]);
            else
                start_recv(side, DATA, side->in, bytes, &request[w]);
        }
        for (int w = 0; w < BENCH_WINDOW; w++)
            finish(side, &request[w]);
        if (lead)
            receive(side, ANSWER, word, sizeof(word));
        else
            deliver(side, ANSWER, word, sizeof(word));
    }
}

/* The two sides exchange what each must know of the other, and add each other. */
static void meet(side_t *side, int rank, int fd)
{
    char address[2][FERRY_ADDRESS_MAX] = {{0}};
    int length[2], error;
    length[rank] = ferry_address(side->context, address[rank]);
    if (write(fd, &length[rank], sizeof(int)) != sizeof(int) ||
        write(fd, address[rank], FERRY_ADDRESS_MAX) != FERRY_ADDRESS_MAX ||
        recv(fd, &length[!rank], sizeof(int), MSG_WAITALL) != sizeof(int) ||
        recv(fd, address[!rank], FERRY_ADDRESS_MAX, MSG_WAITALL) != FERRY_ADDRESS_MAX)
        fail("the other process", errno ? -errno : -EPIPE);
    for (int i = 0; i < 2; i++) {
        ferry_peer_t *peer;
        if ((error = ferry_peer_add(side->context, address[i], (size_t) length[i], NULL, &peer)) <
            0)
            fail("ferry_peer_add", error);
        if (i != rank)
            side->other = peer;
    }
}

int main(int argc, char **argv)
{
    bench_options_t options;
    ferry_params_t params = {.size = 2};
    int fds[2], error;
    bench_parse(&options, argc, argv);
    if (getrandom(params.key, sizeof(params.key), 0) != sizeof(params.key) ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        fail("starting", -errno);
    bench_limit_start(&options);
    pid_t child = fork();
    if (child < 0)
        fail("fork", -errno);
    if (child == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    int rank = child == 0;
    close(fds[!rank]);
    bench_pin(options.cpu[rank]);

    side_t side;
    size_t longest = bench_longest(&options);
    if (posix_memalign((void **) &side.out, 4096, longest) ||
        posix_memalign((void **) &side.in, 4096, longest))
        fail("memory", -ENOMEM);
    memset(side.out, 1, longest);
    memset(side.in, 2, longest);
    params.rank = (uint32_t) rank;
    if ((error = ferry_open(&params, &side.context)) < 0)
        fail("ferry_open", error);
    meet(&side, rank, fds[rank]);
    if ((error = ferry_settle(side.context)) < 0)
        fail("ferry_settle", error);
    if (error == FERRY_SETTLE_NETWORK) {
        if ((error = ferry_open_fabric(side.context)) < 0)
            fail("ferry_open_fabric", error);
        meet(&side, rank, fds[rank]);
    }

    const bench_front_t front = {&side, command, latency, windows};
    char way[200];
    ferry_peer_describe(side.other, way, sizeof(way));
    if (rank == 0)
        bench_lead(&options, &front, way);
    else
        bench_follow(&front);
    ferry_flush(side.context, 1000000);
    ferry_close(side.context);
    int status = 0;
    if (rank == 0 && (waitpid(child, &status, 0) != child || status != 0)) {
        fprintf(stderr, "ferry_bench: the other process failed\n");
        return 1;
    }
    return 0;
}
