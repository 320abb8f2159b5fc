/*
 * The network that an address belongs to: GIDs don't tell it, interfaces do.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "verbs.h"

static uint8_t count_bits(const uint8_t *mask, size_t length)
{
    uint8_t bits = 0;

    while (bits < length * 8 && (mask[bits / 8] >> (7 - bits % 8) & 1))
        bits++;
    return bits;
}

static uint8_t match(const struct ifaddrs *entry, const uint8_t gid[16])
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool is_v4 = !memcmp(gid, mapped, sizeof(mapped));
    int family = entry->ifa_addr->sa_family;

    if (family == AF_INET && is_v4) {
        const struct sockaddr_in *own = (const void *) entry->ifa_addr,
                                 *mask = (const void *) entry->ifa_netmask;

        return memcmp(&own->sin_addr, gid + 12, 4)
                   ? 0
                   : count_bits((const uint8_t *) &mask->sin_addr, 4);
    }
    if (family == AF_INET6 && !is_v4) {
        const struct sockaddr_in6 *own = (const void *) entry->ifa_addr,
                                  *mask = (const void *) entry->ifa_netmask;

        return memcmp(&own->sin6_addr, gid, 16)
                   ? 0
                   : count_bits((const uint8_t *) &mask->sin6_addr, 16);
    }
    return 0;
}

uint8_t ferry_verbs_prefix(const uint8_t gid[16], unsigned interface)
{
    char name[IF_NAMESIZE];
    struct ifaddrs *first = NULL;
    uint8_t bits = 0;

    if (!interface || !if_indextoname(interface, name) || getifaddrs(&first))
        return 0;
    for (struct ifaddrs *entry = first; entry && !bits; entry = entry->ifa_next)
        if (entry->ifa_addr && entry->ifa_netmask && !strcmp(entry->ifa_name, name))
            bits = match(entry, gid);
    freeifaddrs(first);
    return bits;
}
