/*
 * The sockets of doors, and whole messages out of their bytes.
 */
#include "door.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "descriptor.h"

#define BACKLOG 1024

static int listen_at(const struct sockaddr_storage *address, socklen_t length)
{
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), off = 0;

    if (fd < 0)
        return -errno;
    if (address->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, (const struct sockaddr *) address, length) || listen(fd, BACKLOG)) {
        int error = -errno;

        close(fd);
        return error;
    }
    return fd;
}

int ferry_door_listen(struct ferry_sites *sites, bool at_one)
{
    struct ferry_site site = at_one ? sites->at[0] : (struct ferry_site){.family = AF_INET};
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    int fd;

    /* One socket serves both families. */
    for (unsigned i = 0; i < sites->count && !at_one; i++)
        if (sites->at[i].family == AF_INET6)
            site.family = AF_INET6;
    fd = listen_at(&address, ferry_site_to_socket(&site, 0, &address));
    if (fd >= 0 && !getsockname(fd, (struct sockaddr *) &address, &length))
        ferry_site_from_socket(&site, &sites->port, &address);
    return fd;
}

/* ---- Connections ---- */

static struct ferry_door *new_door(int epoll, int fd, enum ferry_door_state state, uint32_t events)
{
    struct ferry_door *door = calloc(1, sizeof(*door));
    struct epoll_event event = {.events = events, .data.ptr = door};
    int on = 1;

    if (door && !epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) {
        door->fd = fd;
        door->state = state;
        door->since_ns = ferry_now_ns();
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        /* A host that goes away while it greets. */
        ferry_descriptor_watch(fd);
        ferry_link_init(&door->link);
        return door;
    }
    free(door);
    close(fd);
    errno = ENOMEM;
    return NULL;
}

struct ferry_door *ferry_door_call(int epoll, const struct ferry_site *site, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t length = ferry_site_to_socket(site, port, &address);
    int fd = socket(site->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct ferry_door *door;

    if (fd < 0)
        return NULL;
    if (connect(fd, (struct sockaddr *) &address, length) && errno != EINPROGRESS) {
        int error = errno;

        close(fd);
        errno = error;
        return NULL;
    }
    door = new_door(epoll, fd, FERRY_DOOR_CALLING, EPOLLOUT);
    if (door) {
        door->remote = *site;
        door->port = port;
    }
    return door;
}

int ferry_door_called(int epoll, struct ferry_door *door)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = door};
    int error = 0;
    socklen_t length = sizeof(error);

    if (getsockopt(door->fd, SOL_SOCKET, SO_ERROR, &error, &length))
        error = errno;
    if (!error && epoll_ctl(epoll, EPOLL_CTL_MOD, door->fd, &event))
        error = errno;
    return -error;
}

struct ferry_door *ferry_door_accept(int epoll, int listener)
{
    struct sockaddr_storage address = {0};
    socklen_t length = sizeof(address);
    int fd = accept4(listener, (struct sockaddr *) &address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct ferry_door *door;

    if (fd < 0)
        return NULL;
    door = new_door(epoll, fd, FERRY_DOOR_AT_HELLO, EPOLLIN);
    if (door)
        ferry_site_from_socket(&door->remote, &door->port, &address);
    return door;
}

void ferry_door_close(struct ferry_door *door, struct ferry_link *closed)
{
    if (door->fd < 0)
        return;
    close(door->fd);
    door->fd = -1;
    door->endpoint = NULL;
    ferry_link_remove(&door->link);
    ferry_link_append(closed, &door->link);
}

void ferry_door_sweep(struct ferry_link *closed)
{
    while (!ferry_link_empty(closed)) {
        struct ferry_link *link = closed->next;

        ferry_link_remove(link);
        free(ferry_container(link, struct ferry_door, link));
    }
}

void ferry_door_local(const struct ferry_door *door, struct ferry_site *site)
{
    struct sockaddr_storage address = {.ss_family = AF_INET};
    socklen_t length = sizeof(address);
    uint16_t port;

    getsockname(door->fd, (struct sockaddr *) &address, &length);
    ferry_site_from_socket(site, &port, &address);
}

/* ---- Messages ---- */

int ferry_door_write(struct ferry_door *door, const void *message, size_t length)
{
    ssize_t sent;

    do
        sent = send(door->fd, message, length, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    /* All that is ever sent on a door is less than any socket's buffer. */
    return sent == (ssize_t) length ? 0 : -EPIPE;
}

/* Reads until so many bytes are there: 1 they are, 0 not yet, or an error. */
static int read_up_to(struct ferry_door *door, size_t length)
{
    while (door->in_length < length) {
        ssize_t got = recv(door->fd, door->in + door->in_length, length - door->in_length, 0);

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (got <= 0)
            return -ECONNRESET;
        door->in_length = (uint8_t) (door->in_length + got);
    }
    return 1;
}

int ferry_door_read(struct ferry_door *door, enum ferry_greet_kind kind)
{
    struct ferry_greet_head head;
    int result = read_up_to(door, sizeof(head));

    if (result <= 0)
        return result;
    memcpy(&head, door->in, sizeof(head));
    if (!ferry_greet_head_holds(&head, kind))
        return -EPROTO;
    if (!ferry_greet_same_version(&head) || head.status) {
        door->in_length = 0;
        return 1;
    }
    if (head.length != ferry_greet_length(kind))
        return -EPROTO;
    result = read_up_to(door, head.length);
    if (result > 0)
        door->in_length = 0; /* the next message begins in front */
    return result;
}
