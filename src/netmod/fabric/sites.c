/*
 * Which of the own addresses to publish, and how they travel.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sites.h"

#define ROUTES_MAX 8
#define FOUND_MAX 64

/* The first byte of a packed list: how many of IPv4, and whether one of IPv6 follows. */
#define COUNT_MASK 7
#define HAS_V6 8

static unsigned address_size(uint8_t family)
{
    return family == AF_INET ? 4 : 16;
}

bool ferry_site_equal(const struct ferry_site *a, const struct ferry_site *b)
{
    return a->family == b->family && !memcmp(a->address, b->address, address_size(a->family));
}

const char *ferry_site_text(const struct ferry_site *site, char text[FERRY_SITE_TEXT])
{
    return inet_ntop(site->family, site->address, text, FERRY_SITE_TEXT) ? text : "?";
}

socklen_t ferry_site_to_socket(const struct ferry_site *site, uint16_t port,
                               struct sockaddr_storage *to)
{
    struct sockaddr_in *in = (struct sockaddr_in *) to;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *) to;

    memset(to, 0, sizeof(*to));
    to->ss_family = site->family;
    in->sin_port = htons(port); /* at the same place in both */
    if (site->family == AF_INET) {
        memcpy(&in->sin_addr, site->address, 4);
        return sizeof(*in);
    }
    memcpy(&in6->sin6_addr, site->address, 16);
    return sizeof(*in6);
}

void ferry_site_from_socket(struct ferry_site *site, uint16_t *port,
                            const struct sockaddr_storage *from)
{
    const struct sockaddr_in *in = (const struct sockaddr_in *) from;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) from;

    memset(site, 0, sizeof(*site));
    *port = ntohs(in->sin_port);
    if (from->ss_family == AF_INET || IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
        site->family = AF_INET;
        memcpy(site->address,
               from->ss_family == AF_INET ? (const void *) &in->sin_addr
                                          : (const void *) &in6->sin6_addr.s6_addr[12],
               4);
    } else {
        site->family = AF_INET6;
        memcpy(site->address, &in6->sin6_addr, 16);
    }
}

/* Whether the first bits of two addresses are the same. */
static bool same_net(const struct ferry_site *a, const struct ferry_site *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    return a->family == b->family && !memcmp(a->address, b->address, whole) &&
           (!rest || ((a->address[whole] ^ b->address[whole]) >> (8 - rest)) == 0);
}

/* ---- What there is ---- */

struct found {
    struct ferry_site site;
    uint8_t prefix;
    char name[IF_NAMESIZE];
    bool loopback;
    int score;
    unsigned order; /* as the kernel lists them */
};

static unsigned prefix_length(const struct sockaddr *mask)
{
    struct sockaddr_storage storage = {.ss_family = AF_INET};
    struct ferry_site site;
    uint16_t port;
    unsigned bits = 0;

    if (!mask)
        return 0;
    memcpy(&storage, mask,
           mask->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    ferry_site_from_socket(&site, &port, &storage);
    for (unsigned i = 0; i < address_size(site.family); i++)
        bits += (unsigned) __builtin_popcount(site.address[i]);
    return bits;
}

/* The interfaces that a default route leads over: the likeliest to reach others. */
static unsigned default_routes(char names[ROUTES_MAX][IF_NAMESIZE])
{
    char line[512], name[IF_NAMESIZE];
    unsigned count = 0, destination, mask;
    FILE *file = fopen("/proc/net/route", "re");

    while (file && count < ROUTES_MAX && fgets(line, sizeof(line), file))
        if (sscanf(line, "%15s %x %*x %*x %*d %*d %*d %x", name, &destination, &mask) == 3 &&
            !destination && !mask)
            strcpy(names[count++], name);
    if (file)
        fclose(file);
    file = fopen("/proc/net/ipv6_route", "re");
    while (file && count < ROUTES_MAX && fgets(line, sizeof(line), file))
        if (!strncmp(line, "00000000000000000000000000000000 00 ", 36) &&
            sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %15s", name) == 1)
            strcpy(names[count++], name);
    if (file)
        fclose(file);
    return count;
}

static bool is_link_local(const struct ferry_site *site)
{
    if (site->family == AF_INET)
        return site->address[0] == 169 && site->address[1] == 254;
    return site->address[0] == 0xfe && (site->address[1] & 0xc0) == 0x80;
}

/* A host's bridge leads to the containers on it, which have other ways to each other. */
static bool is_bridge(const char *name)
{
    char path[64 + IF_NAMESIZE];

    snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", name);
    return access(path, F_OK) == 0;
}

static int score(const struct found *found, char routes[ROUTES_MAX][IF_NAMESIZE], unsigned count)
{
    int score = is_link_local(&found->site) ? 0 : 2;

    for (unsigned i = 0; i < count; i++)
        if (!strcmp(routes[i], found->name))
            return score + 4;
    return score + !is_bridge(found->name);
}

static unsigned find_all(struct found all[FOUND_MAX])
{
    char routes[ROUTES_MAX][IF_NAMESIZE];
    unsigned count = 0, route_count = default_routes(routes);
    struct ifaddrs *first = NULL;

    if (getifaddrs(&first))
        return 0;
    for (struct ifaddrs *entry = first; entry && count < FOUND_MAX; entry = entry->ifa_next) {
        struct found *found = &all[count];
        struct sockaddr_storage storage = {0};
        int family = entry->ifa_addr ? entry->ifa_addr->sa_family : AF_UNSPEC;
        uint16_t port;

        if ((family != AF_INET && family != AF_INET6) || !(entry->ifa_flags & IFF_UP))
            continue;
        memcpy(&storage, entry->ifa_addr,
               family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
        ferry_site_from_socket(&found->site, &port, &storage);
        /* Of no use without the number of the interface, which differs from host to host. */
        if (family == AF_INET6 && is_link_local(&found->site))
            continue;
        found->prefix = (uint8_t) prefix_length(entry->ifa_netmask);
        snprintf(found->name, sizeof(found->name), "%s", entry->ifa_name);
        found->loopback = entry->ifa_flags & IFF_LOOPBACK;
        found->score = score(found, routes, route_count);
        found->order = count;
        count++;
    }
    freeifaddrs(first);
    return count;
}

/* ---- The choice ---- */

struct choice {
    const char *name; /* NULL: an address or a network */
    struct ferry_site site;
    unsigned prefix;
};

static void parse_choice(struct choice *choice, const char *text)
{
    const char *slash = strchr(text, '/');
    char address[FERRY_SITE_TEXT];
    int length = slash ? (int) (slash - text) : (int) strlen(text);
    char *end = "";

    *choice = (struct choice){.name = text};
    snprintf(address, sizeof(address), "%.*s", length, text);
    if (inet_pton(AF_INET, address, choice->site.address) == 1)
        choice->site.family = AF_INET;
    else if (inet_pton(AF_INET6, address, choice->site.address) == 1)
        choice->site.family = AF_INET6;
    else
        return;
    choice->prefix = address_size(choice->site.family) * 8;
    if (slash) {
        unsigned long bits = strtoul(slash + 1, &end, 10);

        if (end == slash + 1 || *end || bits > choice->prefix)
            return;
        choice->prefix = (unsigned) bits;
    }
    choice->name = NULL;
}

static bool fits(const struct found *found, const struct choice *choice)
{
    return choice->name ? !strcmp(found->name, choice->name)
                        : same_net(&found->site, &choice->site, choice->prefix);
}

static void complain(const char *text, const struct found *all, unsigned count)
{
    char there[512] = "", address[FERRY_SITE_TEXT];
    size_t used = 0;

    for (unsigned i = 0; i < count && used < sizeof(there); i++)
        used += (size_t) snprintf(there + used, sizeof(there) - used, "%s%s (%s/%u)", i ? ", " : "",
                                  all[i].name, ferry_site_text(&all[i].site, address),
                                  all[i].prefix);
    ferry_log(FERRY_LOG_ERROR,
              "FERRY_FABRIC_INTERFACE=%s is no interface, address or network here; "
              "there are: %s",
              text, count ? there : "none");
}

static int by_score(const void *a, const void *b)
{
    const struct found *first = a, *second = b;

    return first->score != second->score ? second->score - first->score
                                         : (int) first->order - (int) second->order;
}

/* Takes the best of what fits. IPv6 comes in where it leaves room enough for IPv4. */
static void take(struct ferry_sites *sites, const struct found *all, unsigned count)
{
    unsigned v4 = 0;

    for (unsigned i = 0; i < count; i++)
        v4 += all[i].site.family == AF_INET;
    sites->count = 0;
    for (unsigned i = 0; i < count && sites->count < FERRY_SITES_MAX; i++)
        if (all[i].site.family == AF_INET)
            sites->at[sites->count++] = all[i].site;
    for (unsigned i = 0; v4 <= 2 && i < count; i++)
        if (all[i].site.family == AF_INET6) {
            sites->at[sites->count++] = all[i].site;
            break;
        }
}

int ferry_sites_own(const char *text, struct ferry_sites *sites, struct ferry_net *nets,
                    unsigned *net_count)
{
    struct found all[FOUND_MAX], fit[FOUND_MAX];
    struct choice choice;
    unsigned count = find_all(all), fit_count = 0;

    *net_count = 0;
    for (unsigned i = 0; i < count && *net_count < FERRY_NETS_MAX; i++)
        nets[(*net_count)++] = (struct ferry_net){.site = all[i].site, .prefix = all[i].prefix};
    parse_choice(&choice, text);
    for (unsigned i = 0; i < count; i++)
        if (text[0] ? fits(&all[i], &choice) : !all[i].loopback)
            fit[fit_count++] = all[i];
    /* Processes of one network namespace that share no directory meet there. */
    for (unsigned i = 0; !text[0] && !fit_count && i < count; i++)
        if (all[i].site.family == AF_INET || i == count - 1)
            fit[fit_count++] = all[i];
    if (!fit_count) {
        if (text[0])
            complain(text, all, count);
        else
            ferry_log(FERRY_LOG_ERROR, "there is no network interface that is up");
        return -ENODEV;
    }
    qsort(fit, fit_count, sizeof(fit[0]), by_score);
    take(sites, fit, fit_count);
    return 0;
}

/* ---- How they travel ---- */

size_t ferry_sites_pack(const struct ferry_sites *sites, uint8_t *to, size_t room)
{
    size_t used = 3;

    if (room < used)
        return 0;
    to[0] = 0;
    memcpy(to + 1, &sites->port, 2);
    for (unsigned i = 0; i < sites->count; i++) {
        const struct ferry_site *site = &sites->at[i];
        unsigned size = address_size(site->family);

        if (used + size > room)
            break;
        to[0] = site->family == AF_INET ? (uint8_t) (to[0] + 1) : to[0] | HAS_V6;
        memcpy(to + used, site->address, size);
        used += size;
    }
    return used;
}

bool ferry_sites_unpack(struct ferry_sites *sites, const uint8_t *from, size_t length)
{
    unsigned v4, v6;

    memset(sites, 0, sizeof(*sites));
    if (length < 3)
        return false;
    v4 = from[0] & COUNT_MASK;
    v6 = from[0] & HAS_V6 ? 1 : 0;
    if (v4 + v6 == 0 || v4 + v6 > FERRY_SITES_MAX || (from[0] & ~(COUNT_MASK | HAS_V6)) ||
        length != 3 + 4 * v4 + 16 * v6)
        return false;
    memcpy(&sites->port, from + 1, 2);
    from += 3;
    for (sites->count = 0; sites->count < v4 + v6; sites->count++) {
        struct ferry_site *site = &sites->at[sites->count];

        site->family = sites->count < v4 ? AF_INET : AF_INET6;
        memcpy(site->address, from, address_size(site->family));
        from += address_size(site->family);
    }
    return sites->port != 0;
}

void ferry_sites_nearest_first(struct ferry_sites *sites, const struct ferry_net *nets,
                               unsigned net_count)
{
    struct ferry_site near[FERRY_SITES_MAX], far[FERRY_SITES_MAX];
    unsigned near_count = 0, far_count = 0;

    for (unsigned i = 0; i < sites->count; i++) {
        bool is_near = false;

        for (unsigned k = 0; k < net_count; k++)
            is_near |= same_net(&sites->at[i], &nets[k].site, nets[k].prefix);
        if (is_near)
            near[near_count++] = sites->at[i];
        else
            far[far_count++] = sites->at[i];
    }
    memcpy(sites->at, near, near_count * sizeof(near[0]));
    memcpy(sites->at + near_count, far, far_count * sizeof(far[0]));
}
