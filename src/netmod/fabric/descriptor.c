/*
 * Finding and tuning the sockets that libfabric opened.
 */
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

/* New descriptors get the lowest free number: they are not far behind a gap as long as this. */
#define GAP_MAX 256

/* A peer whose host does not answer is given up after this: longer than a virtual machine pauses. */
#define LEASE_SECONDS 60
#define PROBES 4

/* Segments from here on, bytes, are those of a loopback (half a window at first, 65,483 later): there congestion control
 * has next to nothing to pace. */
#define LOOPBACK_SEGMENT (16 << 10)

/* How long libfabric may block in a read from a connection that it lets in, microseconds. */
#define PATIENCE_US 20000

static bool same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct ferry_site first, second;
    uint16_t first_port, second_port;

    ferry_site_from_socket(&first, &first_port, a);
    ferry_site_from_socket(&second, &second_port, b);
    return first_port == second_port && ferry_site_equal(&first, &second);
}

static bool is_tcp(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET || address->ss_family == AF_INET6;
}

static bool is_listening(int fd, uint16_t port)
{
    struct sockaddr_storage own = {0};
    socklen_t length = sizeof(own), size = sizeof(int);
    struct ferry_site site;
    uint16_t own_port;
    int listening = 0;

    if (getsockname(fd, (struct sockaddr *) &own, &length) || !is_tcp(&own))
        return false;
    ferry_site_from_socket(&site, &own_port, &own);
    return own_port == port && !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) &&
           listening;
}

static bool is_between(int fd, const struct sockaddr_storage *local,
                       const struct sockaddr_storage *remote)
{
    struct sockaddr_storage own = {0}, other = {0};
    socklen_t length = sizeof(own), other_length = sizeof(other);

    return !getsockname(fd, (struct sockaddr *) &own, &length) && is_tcp(&own) &&
           !getpeername(fd, (struct sockaddr *) &other, &other_length) && same(&own, local) &&
           same(&other, remote);
}

int ferry_descriptor_listening(uint16_t port)
{
    for (int fd = 0, gap = 0; gap < GAP_MAX; fd++) {
        gap = fcntl(fd, F_GETFD) < 0 ? gap + 1 : 0;
        if (!gap && is_listening(fd, port))
            return fd;
    }
    return -1;
}

int ferry_descriptor_between(const struct sockaddr_storage *local,
                             const struct sockaddr_storage *remote)
{
    for (int fd = 0, gap = 0; gap < GAP_MAX; fd++) {
        gap = fcntl(fd, F_GETFD) < 0 ? gap + 1 : 0;
        if (!gap && is_between(fd, local, remote))
            return fd;
    }
    return -1;
}

/* ---- Tuning ---- */

static void set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof(value));
}

/* Drops what does not come from that address, before the kernel makes a connection of it. */
static void only_from(int fd, const struct ferry_site *only)
{
    unsigned words = only->family == AF_INET ? 1 : 4;
    uint32_t source = (uint32_t) SKF_NET_OFF + (only->family == AF_INET ? 12 : 8);
    struct sock_filter code[10];
    unsigned length = 0;
    struct sock_fprog program = {.filter = code};

    for (unsigned i = 0; i < words; i++) {
        uint32_t word;

        memcpy(&word, only->address + 4 * i, 4);
        code[length++] = (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, source + 4 * i);
        /* Where it differs: to the last statement. */
        code[length++] = (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ntohl(word), 0,
                                                       (uint8_t) (2 * (words - i) - 1));
    }
    code[length++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    code[length++] = (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, 0);
    program.len = (unsigned short) length;
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

void ferry_descriptor_guard(int fd, const struct ferry_site *only)
{
    struct timeval patience = {.tv_usec = PATIENCE_US};

    fcntl(fd, F_SETFD, FD_CLOEXEC);
    /* Inherited by what it accepts. */
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    only_from(fd, only);
}

void ferry_descriptor_watch(int fd)
{
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    set(fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, LEASE_SECONDS / 2);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, LEASE_SECONDS / 2 / PROBES);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
}

unsigned ferry_descriptor_unsent(int fd)
{
    int bytes = 0;

    return ioctl(fd, SIOCOUTQ, &bytes) ? 0 : (unsigned) bytes;
}

bool ferry_descriptor_paced(int fd)
{
    char name[16] = "";
    socklen_t length = sizeof(name) - 1, size = sizeof(int);
    int segment = 0;

    return !getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) &&
           !strncmp(name, "bbr", 3) && !getsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, &size) &&
           segment < LOOPBACK_SEGMENT;
}

/* Keepalive is quiet while data is on its way, and the kernel would repeat that for a quarter of an
 * hour. The kernel of a peer that only does not read acknowledges, so it is not taken for dead. */
bool ferry_descriptor_silent(int fd, uint64_t *since_ns, uint64_t now_ns)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) || !info.tcpi_unacked || !*since_ns ||
        info.tcpi_last_ack_recv * 1000000ull < now_ns - *since_ns)
        *since_ns = now_ns;
    return now_ns - *since_ns > LEASE_SECONDS * 1000000000ull;
}
