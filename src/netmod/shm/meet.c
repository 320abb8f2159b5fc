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

/* How long whoever lets in waits for a word, one after the other; how long who wants in does, who may be
 * one of many on a busy machine; and how long for somebody who has bound a name, but does not listen yet. */
#define WORD_SECONDS 5
#define TURN_SECONDS 60
#define LISTEN_NS 2000000000u

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
    snprintf(nascent, sizeof(nascent), "%s.%08x.new", name, (unsigned) salt);
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
        error = claim_in_directory(place, name, fd);
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

/* ---- The door ---- */

struct ferry_meet_door {
    bool own_only;
    uint8_t key[16];
    int fd, listener, stop;
    pthread_t thread;
};

/* Whether a process of the own user is at the other end. */
static bool is_own_user(int socket)
{
    struct ucred who;
    socklen_t length = sizeof(who);

    return !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &who, &length) && who.uid == geteuid();
}

static void serve(struct ferry_meet_door *door, int socket)
{
    struct evidence evidence;
    uint8_t expected[FERRY_PROOF_SIZE];
    struct greeting greeting;
    struct welcome welcome;
    struct reply reply;

    set_timeout(socket, WORD_SECONDS);
    ferry_random(greeting.challenge, CHALLENGE_SIZE);
    if (ferry_send_fd(socket, &greeting, sizeof(greeting), -1) ||
        ferry_receive_fd(socket, &reply, sizeof(reply), NULL))
        return;
    evidence.rank = reply.rank;
    memcpy(evidence.asked, greeting.challenge, CHALLENGE_SIZE);
    memcpy(evidence.own, reply.challenge, CHALLENGE_SIZE);
    ferry_prove(door->key, "ferry join", &evidence, sizeof(evidence), expected);
    if (!ferry_proof_equal(expected, reply.proof))
        return;
    ferry_prove(door->key, "ferry lead", &evidence, sizeof(evidence), welcome.proof);
    ferry_send_fd(socket, &welcome, sizeof(welcome), door->fd);
}

static void *door_main(void *arg)
{
    struct ferry_meet_door *door = arg;
    struct pollfd waits[2] = {{.fd = door->listener, .events = POLLIN},
                              {.fd = door->stop, .events = POLLIN}};

    for (;;) {
        int socket;

        if (poll(waits, 2, -1) < 0 && errno != EINTR)
            break;
        /* Whoever knocked before the end is still let in. */
        if (!(waits[0].revents & POLLIN)) {
            if (waits[1].revents & POLLIN)
                break;
            continue;
        }
        socket = accept4(door->listener, NULL, NULL, SOCK_CLOEXEC);
        if (socket < 0)
            continue;
        /* Names of abstract sockets can be seen by all: others must not keep the door busy. */
        if (!door->own_only || is_own_user(socket))
            serve(door, socket);
        close(socket);
    }
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

int ferry_meet_join(struct ferry_place *place, const char *name, const uint8_t key[16],
                    uint32_t rank, int *fd)
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
