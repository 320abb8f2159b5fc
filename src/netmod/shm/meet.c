#include "meet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "auth.h"
#include "clock.h"

/* How long whoever lets in waits for a word; how long who wants in does, who may be one of many on a busy machine;
 * how long for somebody who has bound a name, but does not listen yet; and how long the door stays open at the end. */
#define WORD_NS 5000000000u
#define TURN_SECONDS 60
#define LISTEN_NS 2000000000u
#define END_NS 100000000u

/* How often it is looked for guests who wait in silence; and how often who was sent away comes again. */
#define LOOK_MS 1000
#define TRIES 20

#define CHALLENGE_SIZE 16

/* What is proved: both challenges, and who asks. */
struct evidence {
    uint8_t asked[CHALLENGE_SIZE], own[CHALLENGE_SIZE];
    uint32_t rank;
};

struct greeting {
    uint8_t challenge[CHALLENGE_SIZE];
};

struct reply {
    uint8_t challenge[CHALLENGE_SIZE];
    uint8_t proof[FERRY_PROOF_SIZE];
    uint32_t rank;
};

struct welcome {
    uint8_t proof[FERRY_PROOF_SIZE];
};

/* ---- Messages with descriptors ---- */

int ferry_send_fd(int socket, const void *data, size_t length, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {.iov_base = (void *) data, .iov_len = length};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t sent;

    if (fd >= 0) {
        struct cmsghdr *part;

        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(part), &fd, sizeof(fd));
    }
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : (size_t) sent == length ? 0 : -EPROTO;
}

int ferry_receive_fd(int socket, void *data, size_t length, int *fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {.iov_base = data, .iov_len = length};
    struct msghdr message = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *part;
    int got_fd = -1;
    ssize_t got;

    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? -ETIMEDOUT : -errno;
    part = CMSG_FIRSTHDR(&message);
    if (part && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS)
        memcpy(&got_fd, CMSG_DATA(part), sizeof(got_fd));
    if ((size_t) got != length || (message.msg_flags & MSG_TRUNC) || (got_fd >= 0 && !fd)) {
        if (got_fd >= 0)
            close(got_fd);
        return got == 0 ? -ECONNRESET : -EPROTO;
    }
    if (fd)
        *fd = got_fd;
    return 0;
}

static void set_timeout(int socket, int seconds)
{
    struct timeval limit = {.tv_sec = seconds};

    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* ---- Claiming ---- */

/* In a directory, a socket gets its name only when it is listened at, so that a name at which nobody
 * listens is known to be a dead one's. */
static int claim_in_directory(struct ferry_place *place, const char *name, int socket)
{
    char nascent[FERRY_NAME_SIZE + 24];
    struct sockaddr_un address;
    socklen_t length;
    uint64_t salt;
    int error = 0;

    ferry_random(&salt, sizeof(salt));
    snprintf(nascent, sizeof(nascent), "%s.%08x" FERRY_NASCENT, name, (unsigned) salt);
    length = ferry_place_address(place, nascent, &address);
    if (bind(socket, (struct sockaddr *) &address, length))
        return -errno;
    /* Others than the own user need write permission to connect; the key keeps out who must not. */
    if (!place->own_only)
        fchmodat(place->fd, nascent, S_IRWXU | S_IRWXG | S_IRWXO, 0);
    if (listen(socket, SOMAXCONN) || linkat(place->fd, nascent, place->fd, name, 0))
        error = errno == EEXIST ? -EADDRINUSE : -errno;
    /* The folder may have been removed, and made again by somebody else, since it was opened. */
    if (unlinkat(place->fd, nascent, 0))
        unlink(address.sun_path);
    return error;
}

static int claim(struct ferry_place *place, const char *name, int *listener)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un address;
    socklen_t length;
    int error = 0;

    if (fd < 0)
        return -errno;
    if (place->abstract) {
        length = ferry_place_address(place, name, &address);
        if (bind(fd, (struct sockaddr *) &address, length) || listen(fd, SOMAXCONN))
            error = -errno;
    } else {
        ferry_place_naming(place, true);
        error = claim_in_directory(place, name, fd);
        ferry_place_naming(place, false);
    }
    if (error)
        close(fd);
    else
        *listener = fd;
    return error;
}

int ferry_meet_claim(struct ferry_place *place, const char *name, int *listener)
{
    int error = claim(place, name, listener);

    if (error == -ENOENT && !ferry_place_reopen(place))
        error = claim(place, name, listener);
    return error;
}

/* ---- The door ----
 * In a directory that is open to others, anybody can knock and say nothing: nobody waits for another guest, and there
 * is always room for one of the own user. Who has to go for want of room knocks again. */

#define GUESTS 32

struct guest {
    int socket;
    bool is_own_user;
    uint64_t since_ns;
    uint8_t challenge[CHALLENGE_SIZE];
};

struct ferry_meet_door {
    bool own_only;
    uint8_t key[16];
    int fd, listener, stop;
    uint64_t ends_ns; /* 0: not yet */
    struct guest guests[GUESTS];
    unsigned count;
    pthread_t thread;
};

/* Whether a process of the own user is at the other end. */
static bool is_own_user(int socket)
{
    struct ucred who;
    socklen_t length = sizeof(who);

    return !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &length) && who.uid == geteuid();
}

static void dismiss(struct ferry_meet_door *door, unsigned index)
{
    close(door->guests[index].socket);
    door->guests[index] = door->guests[--door->count];
}

/* Who came first of those that must give way; count: nobody must. */
static unsigned least_welcome(const struct ferry_meet_door *door)
{
    unsigned found = door->count;

    for (unsigned i = 0; i < door->count; i++)
        if (!door->guests[i].is_own_user &&
            (found == door->count || door->guests[i].since_ns < door->guests[found].since_ns))
            found = i;
    return found;
}

static bool has_room(const struct ferry_meet_door *door)
{
    return door->count < GUESTS || least_welcome(door) < door->count;
}

static void admit(struct ferry_meet_door *door, uint64_t now)
{
    struct guest *guest;
    int socket = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    bool own = socket >= 0 && is_own_user(socket);
    struct greeting greeting;

    if (socket < 0)
        return;
    /* Names of abstract sockets can be seen by all. */
    if (door->own_only && !own) {
        close(socket);
        return;
    }
    if (door->count == GUESTS)
        dismiss(door, least_welcome(door));
    guest = &door->guests[door->count++];
    *guest = (struct guest){.socket = socket, .is_own_user = own, .since_ns = now};
    ferry_random(guest->challenge, CHALLENGE_SIZE);
    memcpy(greeting.challenge, guest->challenge, CHALLENGE_SIZE);
    ferry_send_fd(socket, &greeting, sizeof(greeting), -1);
}

/* The guest has said something, or has gone. */
static void hear(struct ferry_meet_door *door, const struct guest *guest)
{
    struct evidence evidence;
    uint8_t expected[FERRY_PROOF_SIZE];
    struct welcome welcome;
    struct reply reply;

    if (ferry_receive_fd(guest->socket, &reply, sizeof(reply), NULL))
        return;
    evidence.rank = reply.rank;
    memcpy(evidence.asked, guest->challenge, CHALLENGE_SIZE);
    memcpy(evidence.own, reply.challenge, CHALLENGE_SIZE);
    ferry_prove(door->key, "ferry join", &evidence, sizeof(evidence), expected);
    if (!ferry_proof_equal(expected, reply.proof))
        return;
    ferry_prove(door->key, "ferry lead", &evidence, sizeof(evidence), welcome.proof);
    ferry_send_fd(guest->socket, &welcome, sizeof(welcome), door->fd);
}

/* Waits until something happens; then hears the guests. Returns whether somebody knocks. */
static bool look_around(struct ferry_meet_door *door)
{
    struct pollfd waits[2 + GUESTS] = {
        {.fd = has_room(door) ? door->listener : -1, .events = POLLIN},
        {.fd = door->ends_ns ? -1 : door->stop, .events = POLLIN}};
    uint64_t now;

    for (unsigned i = 0; i < door->count; i++)
        waits[2 + i] = (struct pollfd){.fd = door->guests[i].socket, .events = POLLIN};
    if (poll(waits, 2 + door->count, door->ends_ns ? 1 : door->count ? LOOK_MS : -1) < 0)
        return false;
    now = ferry_now_ns();
    if (waits[1].revents)
        door->ends_ns = now + END_NS;
    for (unsigned i = door->count; i-- > 0;) {
        if (waits[2 + i].revents)
            hear(door, &door->guests[i]);
        if (waits[2 + i].revents || now - door->guests[i].since_ns > WORD_NS)
            dismiss(door, i);
    }
    return waits[0].revents & POLLIN;
}

static void *door_main(void *arg)
{
    struct ferry_meet_door *door = arg;

    for (;;) {
        bool knocks = look_around(door);
        uint64_t now = ferry_now_ns();

        if (knocks)
            admit(door, now);
        /* Whoever knocked before the end is still let in; only strangers can be so many. */
        else if (door->ends_ns && !door->count)
            break;
        if (door->ends_ns && now > door->ends_ns)
            break;
    }
    while (door->count)
        dismiss(door, 0);
    return NULL;
}

int ferry_meet_serve(const struct ferry_place *place, int listener, const uint8_t key[16], int fd,
                     struct ferry_meet_door **out)
{
    struct ferry_meet_door *door = calloc(1, sizeof(*door));
    sigset_t all, before;
    int failed;

    if (!door) {
        close(listener);
        return -ENOMEM;
    }
    memcpy(door->key, key, sizeof(door->key));
    door->fd = fd;
    door->own_only = place->own_only;
    door->listener = listener;
    door->stop = eventfd(0, EFD_CLOEXEC);
    /* The program's signals are not for this thread. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = door->stop < 0 || pthread_create(&door->thread, NULL, door_main, door);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        close(door->listener);
        if (door->stop >= 0)
            close(door->stop);
        free(door);
        return -ENOMEM;
    }
    *out = door;
    return 0;
}

void ferry_meet_end(struct ferry_meet_door *door)
{
    uint64_t one = 1;

    if (write(door->stop, &one, sizeof(one)) == sizeof(one))
        pthread_join(door->thread, NULL);
    close(door->listener);
    close(door->stop);
    free(door);
}

/* ---- Joining ---- */

int ferry_meet_knock(struct ferry_place *place, const char *name)
{
    struct sockaddr_un address;
    socklen_t length = ferry_place_address(place, name, &address);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *) &address, length))
        error = -errno;
    else if (!is_own_user(fd))
        error = -EACCES;
    if (!error)
        return fd;
    close(fd);
    return error;
}

static int connect_to(struct ferry_place *place, const char *name)
{
    uint64_t end = ferry_now_ns() + LISTEN_NS;
    struct sockaddr_un address;
    socklen_t length = ferry_place_address(place, name, &address);
    struct timespec pause = {.tv_nsec = 1000000};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    set_timeout(fd, TURN_SECONDS);
    while (connect(fd, (struct sockaddr *) &address, length)) {
        int error = errno;

        if (error == EINTR)
            continue;
        /* Bound, but not listened at yet; in a directory that can't be: nobody on this host is behind the name. */
        if (error != ECONNREFUSED || !place->abstract || ferry_now_ns() > end) {
            close(fd);
            return error == ECONNREFUSED ? -ENOENT : -error;
        }
        nanosleep(&pause, NULL);
    }
    return fd;
}

static int introduce(int socket, const uint8_t key[16], uint32_t rank, struct evidence *evidence)
{
    struct reply reply = {.rank = rank};
    struct greeting greeting;
    int error = ferry_receive_fd(socket, &greeting, sizeof(greeting), NULL);

    if (error)
        return error;
    ferry_random(reply.challenge, CHALLENGE_SIZE);
    evidence->rank = rank;
    memcpy(evidence->asked, greeting.challenge, CHALLENGE_SIZE);
    memcpy(evidence->own, reply.challenge, CHALLENGE_SIZE);
    ferry_prove(key, "ferry join", evidence, sizeof(*evidence), reply.proof);
    return ferry_send_fd(socket, &reply, sizeof(reply), -1);
}

static int join(struct ferry_place *place, const char *name, const uint8_t key[16], uint32_t rank,
                int *fd)
{
    int socket = connect_to(place, name);
    uint8_t expected[FERRY_PROOF_SIZE];
    struct evidence evidence;
    struct welcome welcome;
    int error;

    if (socket < 0)
        return socket;
    *fd = -1;
    error = introduce(socket, key, rank, &evidence);
    if (!error)
        error = ferry_receive_fd(socket, &welcome, sizeof(welcome), fd);
    close(socket);
    if (error)
        return error;
    ferry_prove(key, "ferry lead", &evidence, sizeof(evidence), expected);
    if (*fd < 0 || !ferry_proof_equal(expected, welcome.proof)) {
        if (*fd >= 0)
            close(*fd);
        return -EACCES;
    }
    return 0;
}

int ferry_meet_join(struct ferry_place *place, const char *name, const uint8_t key[16],
                    uint32_t rank, int *fd)
{
    struct timespec pause = {0};
    int error = join(place, name, key, rank, fd);

    /* Where others crowd the door, it may have had no more room. */
    for (unsigned i = 0; i < TRIES && (error == -ECONNRESET || error == -EPIPE); i++) {
        pause.tv_nsec += 1000000;
        nanosleep(&pause, NULL);
        error = join(place, name, key, rank, fd);
    }
    return error;
}
