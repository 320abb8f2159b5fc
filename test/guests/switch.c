/*
 * switch PATH...: joins guests. Each PATH becomes a unix socket, and is a network of its own for all QEMUs that connect to
 * it by a netdev of the kind "stream": their frames have their length in front, four bytes, big-endian. As any switch
 * it learns who is where, and what somebody doesn't take in time is lost.
 */
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { PORTS = 1024, STATIONS = 4096, LONGEST = 1 << 17, ROOM = 4 << 20 };

struct port {
    int fd, network;
    size_t in, out; /* bytes that wait */
    unsigned char *input, *output;
};

struct station {
    unsigned char mac[6];
    int port;
};

static struct port ports[PORTS];
static struct station stations[STATIONS];
static int n_networks, n_ports, n_stations;

static void die(const char *what)
{
    fprintf(stderr, "switch: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void close_port(struct port *p)
{
    close(p->fd);
    free(p->input);
    free(p->output);
    *p = (struct port){.fd = -1};
}

static void flush(struct port *p)
{
    ssize_t n = send(p->fd, p->output, p->out, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
        p->out -= n;
        memmove(p->output, p->output + n, p->out);
    }
}

static void append(struct port *p, const unsigned char *frame, size_t length)
{
    if (p->out + length > ROOM)
        return;
    memcpy(p->output + p->out, frame, length);
    p->out += length;
}

/* The station of this address in the port's network, or NULL. */
static struct station *find(const unsigned char *mac, int network)
{
    for (struct station *s = stations; s < stations + n_stations; s++)
        if (memcmp(s->mac, mac, 6) == 0 && ports[s->port].fd >= 0 &&
            ports[s->port].network == network)
            return s;
    return NULL;
}

/* The frame begins with its length. */
static void forward(int from, const unsigned char *frame, size_t length)
{
    const unsigned char *to = frame + 4, *source = frame + 10;
    int network = ports[from].network;
    struct station *s = find(source, network);
    if (!s && n_stations < STATIONS) {
        s = &stations[n_stations++];
        memcpy(s->mac, source, 6);
    }
    if (s)
        s->port = from;
    s = to[0] & 1 ? NULL : find(to, network);
    for (int i = n_networks; i < n_ports; i++)
        if (ports[i].fd >= 0 && i != from && ports[i].network == network && (!s || s->port == i))
            append(&ports[i], frame, length);
}

static void receive(int from)
{
    struct port *p = &ports[from];
    ssize_t n = recv(p->fd, p->input + p->in, LONGEST - p->in, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        close_port(p);
        return;
    }
    p->in += n > 0 ? n : 0;
    size_t done = 0;
    while (p->in - done >= 4) {
        unsigned char *frame = p->input + done;
        size_t length = 4 + ((size_t) frame[0] << 24 | frame[1] << 16 | frame[2] << 8 | frame[3]);
        if (length < 18 || length > LONGEST) {
            close_port(p);
            return;
        }
        if (p->in - done < length)
            break;
        forward(from, frame, length);
        done += length;
    }
    p->in -= done;
    memmove(p->input, p->input + done, p->in);
}

static void welcome(int network)
{
    int fd = accept(ports[network].fd, NULL, NULL), i = n_networks;
    while (i < n_ports && ports[i].fd >= 0)
        i++;
    if (fd < 0 || i == PORTS) {
        close(fd);
        return;
    }
    ports[i] = (struct port){
        .fd = fd, .network = network, .input = malloc(LONGEST), .output = malloc(ROOM)};
    if (!ports[i].input || !ports[i].output)
        die("memory");
    if (i == n_ports)
        n_ports++;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (strlen(argv[i]) >= sizeof(address.sun_path) || i == PORTS) {
            errno = ENAMETOOLONG;
            die(argv[i]);
        }
        strcpy(address.sun_path, argv[i]);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) != 0 ||
            listen(fd, 64) != 0)
            die(argv[i]);
        ports[n_networks++] = (struct port){.fd = fd};
    }
    n_ports = n_networks;
    for (;;) {
        struct pollfd polls[PORTS];
        int n = n_ports;
        for (int i = 0; i < n; i++)
            polls[i] = (struct pollfd){.fd = ports[i].fd,
                                       .events = POLLIN | (ports[i].out ? POLLOUT : 0)};
        if (poll(polls, n, -1) < 0 && errno != EINTR)
            die("poll");
        for (int i = 0; i < n; i++) {
            if (!(polls[i].revents & ~POLLOUT))
                continue;
            if (i < n_networks)
                welcome(i);
            else
                receive(i);
        }
        for (int i = n_networks; i < n_ports; i++)
            if (ports[i].fd >= 0 && ports[i].out)
                flush(&ports[i]);
    }
}
