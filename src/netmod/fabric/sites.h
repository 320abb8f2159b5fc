/*
 * Sites: the network addresses at which a process may be found. A process publishes several, for it
 * can't know which of its interfaces leads to whom; whoever connects finds out.
 */
#ifndef FERRY_SITES_H
#define FERRY_SITES_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define FERRY_SITES_MAX 6
#define FERRY_SITES_PACKED 27 /* bytes at most */
#define FERRY_NETS_MAX 16
#define FERRY_SITE_TEXT 46

struct ferry_site {
    uint8_t family;      /* AF_INET or AF_INET6 */
    uint8_t address[16]; /* the first 4 bytes with AF_INET */
};

struct ferry_sites {
    uint16_t port; /* one for all */
    uint8_t count;
    struct ferry_site at[FERRY_SITES_MAX];
};

/* A network that one of the own interfaces is in. */
struct ferry_net {
    struct ferry_site site;
    uint8_t prefix; /* bits */
};

/* Where this process can be found, best first. choice is an interface, an address or a network; empty:
 * all that can be used. nets: those of all interfaces, whatever was chosen.
 * Errors: -ENODEV nothing fits (reported, with what there is). */
int ferry_sites_own(const char *choice, struct ferry_sites *sites, struct ferry_net *nets,
                    unsigned *net_count);

/* An address part: a byte that counts, the port, then the addresses. */
size_t ferry_sites_pack(const struct ferry_sites *sites, uint8_t *to, size_t room);
bool ferry_sites_unpack(struct ferry_sites *sites, const uint8_t *from, size_t length);

/* Moves those to the front that are in one network with us. */
void ferry_sites_nearest_first(struct ferry_sites *sites, const struct ferry_net *nets,
                               unsigned net_count);

socklen_t ferry_site_to_socket(const struct ferry_site *site, uint16_t port,
                               struct sockaddr_storage *to);
/* IPv4 inside IPv6 becomes IPv4. */
void ferry_site_from_socket(struct ferry_site *site, uint16_t *port,
                            const struct sockaddr_storage *from);
const char *ferry_site_text(const struct ferry_site *site, char text[FERRY_SITE_TEXT]);
bool ferry_site_equal(const struct ferry_site *a, const struct ferry_site *b);

#endif
