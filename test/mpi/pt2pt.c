/*
 * Every mode of sending, at sizes from nothing to 16 MiB, into receives that wait and into none;
 * order, reversed order, both directions at once, messages too long for the receive.
 */
#include "check.h"

enum mode { SEND, BSEND, SSEND, RSEND, ISEND, IBSEND, ISSEND, IRSEND, PERSISTENT, MODES };
static const char *const mode_names[MODES] = {"send",   "bsend",  "ssend",  "rsend",     "isend",
                                              "ibsend", "issend", "irsend", "persistent"};

static const int sizes[] = {0,      1,       7,       8,       63,      64,      65,
                            255,    256,     1000,    1024,    4095,    4096,    4097,
                            8193,   16384,   32767,   32768,   65535,   65536,   65537,
                            131072, 1000001, 1048576, 1048579, 4194304, 16777216};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), LONGEST = 16777216, GUARD = 64 };
enum { ATTACHED = LONGEST + 4096 + MPI_BSEND_OVERHEAD };
enum { DATA = 5, GO = 6, ORDER = 7 };

static char *out, *in, *attached;
static int partner;
static bool sender;

/* What was sent buffered has left the buffer when this returns. */
static void empty_attached(void)
{
    void *memory;
    int length;
    MPI_Buffer_detach(&memory, &length);
    MPI_Buffer_attach(attached, ATTACHED);
}

static void send_in_mode(enum mode mode, int length)
{
    MPI_Request request = MPI_REQUEST_NULL;
    switch (mode) {
    case SEND:
        MPI_Send(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD);
        break;
    case BSEND:
        MPI_Bsend(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD);
        break;
    case SSEND:
        MPI_Ssend(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD);
        break;
    case RSEND:
        MPI_Rsend(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD);
        break;
    case ISEND:
        MPI_Isend(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &request);
        break;
    case IBSEND:
        MPI_Ibsend(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &request);
        break;
    case ISSEND:
        MPI_Issend(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &request);
        break;
    case IRSEND:
        MPI_Irsend(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &request);
        break;
    default:
        MPI_Send_init(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &request);
        MPI_Start(&request);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        MPI_Request_free(&request);
    }
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    if (mode == BSEND || mode == IBSEND)
        empty_attached();
}

static void check_message(const MPI_Status *status, int length, uint64_t seed, const char *what)
{
    int count;
    MPI_Get_count(status, MPI_BYTE, &count);
    CHECK(count == length, "%s: %d of %d bytes", what, count, length);
    CHECK(status->MPI_SOURCE == partner && status->MPI_TAG == DATA, "%s: from %d, tag %d", what,
          status->MPI_SOURCE, status->MPI_TAG);
    CHECK_DATA(in, length, seed, "%s of %d bytes", what, length);
    for (int i = 0; i < GUARD; i++)
        CHECK(in[length + i] == 0x5a, "%s of %d bytes: written past the end", what, length);
}

/* The receive is there before the message. */
static void expected(enum mode mode, int length, uint64_t seed)
{
    if (sender) {
        fill(out, length, seed);
        MPI_Recv(NULL, 0, MPI_BYTE, partner, GO, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        send_in_mode(mode, length);
    } else {
        MPI_Request request;
        MPI_Status status;
        memset(in, 0x5a, length + GUARD);
        MPI_Irecv(in, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &request);
        MPI_Send(NULL, 0, MPI_BYTE, partner, GO, MPI_COMM_WORLD);
        MPI_Wait(&request, &status);
        check_message(&status, length, seed, mode_names[mode]);
    }
}

/* The message is there before the receive: the receiver has seen it in a probe. */
static void unexpected(enum mode mode, int length, uint64_t seed)
{
    if (sender) {
        fill(out, length, seed);
        send_in_mode(mode, length);
    } else {
        MPI_Status status;
        MPI_Message message;
        int count;
        memset(in, 0x5a, length + GUARD);
        if (seed % 2 == 0) {
            MPI_Probe(partner, MPI_ANY_TAG, MPI_COMM_WORLD, &status);
            MPI_Get_count(&status, MPI_BYTE, &count);
            CHECK(count == length, "probe says %d of %d bytes", count, length);
            MPI_Recv(in, length + GUARD, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &status);
        } else {
            MPI_Mprobe(MPI_ANY_SOURCE, DATA, MPI_COMM_WORLD, &message, &status);
            MPI_Get_count(&status, MPI_BYTE, &count);
            CHECK(count == length, "mprobe says %d of %d bytes", count, length);
            MPI_Mrecv(in, length + GUARD, MPI_BYTE, &message, &status);
        }
        check_message(&status, length, seed, mode_names[mode]);
    }
}

static void all_modes(void)
{
    uint64_t seed = 1;
    for (int s = 0; s < SIZES; s++)
        for (int m = 0; m < MODES; m++, seed++) {
            expected(m, sizes[s], seed);
            if (m != RSEND && m != IRSEND)
                unexpected(m, sizes[s], seed);
        }
}

/* Short and long messages in turn, all with one tag, are received in the order sent. */
static void in_order(void)
{
    enum { MANY = 200 };
    MPI_Request request[MANY];
    static const int lengths[] = {8, 200000, 0, 60000, 16, 1500000, 3000, 70000};
    char *at = out;
    for (int i = 0; i < MANY; i++) {
        int length = lengths[i % 8] % (LONGEST / MANY);
        if (sender) {
            fill(at, length, 1000 + i);
            MPI_Isend(at, length, MPI_BYTE, partner, ORDER, MPI_COMM_WORLD, &request[i]);
            at += length;
        } else {
            MPI_Status status;
            int count;
            MPI_Recv(in, LONGEST, MPI_BYTE, MPI_ANY_SOURCE, ORDER, MPI_COMM_WORLD, &status);
            MPI_Get_count(&status, MPI_BYTE, &count);
            CHECK(count == length, "message %d has %d bytes, not %d", i, count, length);
            CHECK_DATA(in, length, 1000 + i, "message %d", i);
        }
    }
    if (sender)
        MPI_Waitall(MANY, request, MPI_STATUSES_IGNORE);
}

/* Each message has a tag of its own; the last is received first. */
static void reversed(void)
{
    enum { MANY = 64 };
    MPI_Request request[MANY];
    size_t piece = LONGEST / MANY;
    if (sender) {
        for (int i = 0; i < MANY; i++) {
            fill(out + piece * i, piece - i, 2000 + i);
            MPI_Isend(out + piece * i, (int) piece - i, MPI_BYTE, partner, 100 + i, MPI_COMM_WORLD,
                      &request[i]);
        }
        MPI_Waitall(MANY, request, MPI_STATUSES_IGNORE);
    } else {
        for (int i = MANY - 1; i >= 0; i--) {
            MPI_Recv(in, (int) piece, MPI_BYTE, partner, 100 + i, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
            CHECK_DATA(in, piece - i, 2000 + i, "tag %d", 100 + i);
        }
    }
}

static void both_ways(void)
{
    enum { MANY = 32 };
    MPI_Request request[2 * MANY];
    for (int length = 8; length <= LONGEST; length *= 8) {
        MPI_Status status;
        fill(out, length, 3000 + check_rank);
        MPI_Sendrecv(out, length, MPI_BYTE, partner, DATA, in, length, MPI_BYTE, partner, DATA,
                     MPI_COMM_WORLD, &status);
        CHECK_DATA(in, length, 3000 + partner, "sendrecv of %d bytes", length);
    }
    int piece = LONGEST / MANY;
    for (int i = 0; i < MANY; i++) {
        fill(out + piece * i, piece, 4000 + 100 * check_rank + i);
        MPI_Isend(out + piece * i, piece, MPI_BYTE, partner, i, MPI_COMM_WORLD, &request[i]);
        MPI_Irecv(in + piece * i, piece, MPI_BYTE, partner, i, MPI_COMM_WORLD, &request[MANY + i]);
    }
    MPI_Waitall(2 * MANY, request, MPI_STATUSES_IGNORE);
    for (int i = 0; i < MANY; i++)
        CHECK_DATA(in + piece * i, piece, 4000 + 100 * partner + i, "message %d", i);
}

/* A synchronous send is not done while no receive matches it. */
static void synchronous(void)
{
    for (int length = 0; length <= 1 << 20; length = length == 0 ? 8 : length * 512) {
        int done = 0;
        if (sender) {
            MPI_Request request;
            MPI_Issend(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &request);
            for (double end = MPI_Wtime() + 0.05; MPI_Wtime() < end && !done;)
                MPI_Test(&request, &done, MPI_STATUS_IGNORE);
            CHECK(!done, "issend of %d bytes finished before it was received", length);
            MPI_Send(NULL, 0, MPI_BYTE, partner, GO, MPI_COMM_WORLD);
            MPI_Wait(&request, MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(NULL, 0, MPI_BYTE, partner, GO, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Recv(in, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        }
    }
}

/* A message that is longer than the receive is an error, and the next one is right again. */
static void too_long(void)
{
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    for (int s = 2; s < SIZES; s++) {
        int length = sizes[s], room = length / 2;
        if (sender) {
            fill(out, length, 5000 + s);
            MPI_Send(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD);
            MPI_Send(out, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD);
        } else {
            MPI_Status status;
            int class = 0;
            memset(in, 0x5a, length + GUARD);
            int error = MPI_Recv(in, room, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &status);
            MPI_Error_class(error, &class);
            CHECK(class == MPI_ERR_TRUNCATE, "%d bytes into %d: error class %d", length, room,
                  class);
            for (int i = 0; i < GUARD; i++)
                CHECK(in[room + i] == 0x5a, "%d bytes into %d: written past the end", length, room);
            memset(in, 0x5a, length + GUARD);
            MPI_Recv(in, length, MPI_BYTE, partner, DATA, MPI_COMM_WORLD, &status);
            check_message(&status, length, 5000 + s, "message after one too long");
        }
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}

static void to_self(void)
{
    for (int s = 0; s < SIZES; s++) {
        MPI_Request request;
        MPI_Irecv(in, sizes[s], MPI_BYTE, check_rank, ORDER, MPI_COMM_WORLD, &request);
        fill(out, sizes[s], 6000 + s);
        MPI_Send(out, sizes[s], MPI_BYTE, check_rank, ORDER, MPI_COMM_WORLD);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
        CHECK_DATA(in, sizes[s], 6000 + s, "%d bytes to itself", sizes[s]);
    }
}

int main(int argc, char **argv)
{
    check_start(&argc, &argv, 2);
    partner = check_rank ^ 1;
    out = check_malloc(LONGEST + GUARD);
    in = check_malloc(LONGEST + GUARD);
    attached = check_malloc(ATTACHED);
    MPI_Buffer_attach(attached, ATTACHED);
    for (int way = 0; way < 2 && partner < check_size; way++) {
        sender = check_rank % 2 == way;
        all_modes();
        in_order();
        reversed();
        synchronous();
        too_long();
    }
    if (partner < check_size)
        both_ways();
    to_self();
    return check_end();
}
