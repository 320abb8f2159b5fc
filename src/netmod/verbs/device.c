/*
 * Devices: a port that can be used, and what is made once for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config.h"
#include "held.h"
#include "log.h"
#include "ports.h"
#include "verbs.h"

/* Completions at first; as many are added with each peer as its queue pair can have. */
#define FIRST_COMPLETIONS 1024
#define RECEIVES_MAX 16384u

/* Of a device, that are looked at */
#define GIDS_MAX 128

/* The bits of a pkey that name the partition */
#define PARTITION 0x7fffu

/* ---- Opening ---- */

static struct ibv_context *open_named(const char *name)
{
    struct ibv_device **list = ibv_get_device_list(NULL);
    struct ibv_context *context = NULL;

    for (unsigned i = 0; list && list[i] && !context; i++)
        if (!strcmp(ibv_get_device_name(list[i]), name))
            context = ibv_open_device(list[i]);
    if (list)
        ibv_free_device_list(list);
    return context;
}

static void set_nonblocking(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static int make_queues(struct ferry_verbs_device *device)
{
    struct ibv_device_attr attributes;
    struct ibv_srq_init_attr receives = {.attr.max_sge = 1};

    if (ibv_query_device(device->context, &attributes))
        return -ENODEV;
    device->reads = least(
        attributes.max_qp_init_rd_atom > 0 ? (uint32_t) attributes.max_qp_init_rd_atom : 1, 16);
    device->card.reads = (uint8_t) least(
        attributes.max_qp_rd_atom > 0 ? (uint32_t) attributes.max_qp_rd_atom : 1, 16);
    device->receives_max = least((uint32_t) attributes.max_srq_wr, RECEIVES_MAX);
    receives.attr.max_wr = device->receives_max;
    device->pd = ibv_alloc_pd(device->context);
    device->channel = ibv_create_comp_channel(device->context);
    if (!device->pd || !device->channel)
        return -errno;
    device->completions = least((uint32_t) attributes.max_cqe, FIRST_COMPLETIONS);
    device->cq = ibv_create_cq(device->context, (int) device->completions, NULL, device->channel,
                               0);
    device->srq = device->cq ? ibv_create_srq(device->pd, &receives) : NULL;
    if (!device->srq)
        return -errno;
    set_nonblocking(device->channel->fd);
    set_nonblocking(device->context->async_fd);
    ferry_core_watch(device->verbs->base.context, device->channel->fd);
    ferry_core_watch(device->verbs->base.context, device->context->async_fd);
    return 0;
}

void ferry_verbs_say_unusable(struct ferry_verbs_device *device, int error)
{
    struct rlimit limit;

    if (device->said)
        return;
    device->said = true;
    if ((error == -ENOMEM || error == -EAGAIN || error == -EPERM) &&
        !getrlimit(RLIMIT_MEMLOCK, &limit) && limit.rlim_cur != RLIM_INFINITY)
        ferry_log(FERRY_LOG_WARN,
                  "no (more) memory can be registered with RDMA device %s, so messages go over the "
                  "network instead: this process may lock %llu KiB (RLIMIT_MEMLOCK); raise that "
                  "(ulimit -l "
                  "unlimited, docker run --ulimit memlock=-1)",
                  device->name, (unsigned long long) limit.rlim_cur / 1024);
    else
        ferry_log(FERRY_LOG_WARN,
                  "RDMA device %s can't be used (for more peers): %s; messages go over the network "
                  "instead",
                  device->name, strerror(-error));
}

bool ferry_verbs_open_device(struct ferry_verbs_device *device)
{
    bool anew = device->slabs != NULL;
    int error;

    device->context = open_named(device->name);
    if (!device->context) {
        ferry_log(device->said ? FERRY_LOG_INFO : FERRY_LOG_WARN,
                  "RDMA device %s can't be opened (%s): messages go over the network", device->name,
                  strerror(errno));
        device->said = true;
        return false;
    }
    snprintf(device->node, sizeof(device->node), "/dev/infiniband/%.40s",
             device->context->device->dev_name);
    error = make_queues(device);
    if (!error)
        error = anew ? ferry_verbs_renew_slabs(device)
                     : ferry_verbs_add_slots(device, FERRY_VERBS_FIRST_SLOTS);
    if (!error)
        error = ferry_verbs_open_regions(device);
    if (!error)
        ferry_verbs_open_places(device);
    if (error) {
        ferry_verbs_say_unusable(device, error);
        ferry_verbs_close_device(device);
        return false;
    }
    ferry_verbs_look_at(device);
    return device->usable;
}

/* The device's entry, made when there is none. NULL: there are enough. */
static struct ferry_verbs_device *entry(struct ferry_verbs *verbs,
                                        const struct ferry_verbs_port *port)
{
    struct ferry_verbs_device *device;

    for (unsigned i = 0; i < verbs->device_count; i++)
        if (!strcmp(verbs->devices[i].name, port->device) && verbs->devices[i].port == port->number)
            return &verbs->devices[i];
    if (verbs->device_count == FERRY_CARDS_MAX)
        return NULL;
    device = &verbs->devices[verbs->device_count++];
    memcpy(device->name, port->device, sizeof(device->name));
    device->port = (uint8_t) port->number;
    device->verbs = verbs;
    device->chain_end = &device->chain;
    return device;
}

void ferry_verbs_open_devices(struct ferry_verbs *verbs)
{
    struct ferry_verbs_port ports[FERRY_CARDS_MAX];
    int count = ferry_verbs_ports(ports, FERRY_CARDS_MAX);

    verbs->opened = true;
    for (int i = 0; i < count; i++) {
        struct ferry_verbs_device *device = entry(verbs, &ports[i]);

        if (device && !device->context)
            ferry_verbs_open_device(device);
    }
}

/* ---- Closing ---- */

void ferry_verbs_close_device(struct ferry_verbs_device *device)
{
    device->usable = device->armed = device->late = false;
    ferry_verbs_close_regions(device);
    ferry_verbs_forget_places(device);
    ferry_verbs_forget_slabs(device);
    if (device->srq)
        ibv_destroy_srq(device->srq);
    if (device->cq)
        ibv_destroy_cq(device->cq);
    if (device->channel)
        ibv_destroy_comp_channel(device->channel);
    if (device->pd)
        ibv_dealloc_pd(device->pd);
    if (device->context)
        ibv_close_device(device->context);
    device->srq = NULL;
    device->cq = NULL;
    device->channel = NULL;
    device->pd = NULL;
    device->context = NULL;
}

void ferry_verbs_let_go(const struct ferry_verbs_device *device)
{
    char path[100];

    /* The kernel takes this away first, and the rest when all have closed the device. */
    snprintf(path, sizeof(path), "/sys/class/infiniband_verbs%s", strrchr(device->node, '/'));
    if (access(path, F_OK) && ferry_held_let_go(device->node))
        ferry_log(FERRY_LOG_DEBUG, "RDMA device %s: closed for libfabric", device->name);
}

/* ---- What it is like ---- */

static void read_gids(struct ferry_verbs_device *device)
{
    struct ibv_gid_entry entries[GIDS_MAX];
    const char *wanted = ferry_config()->verbs_gid_index;
    struct ferry_card *card = &device->card;

    ssize_t count = ibv_query_gid_table(device->context, entries, GIDS_MAX, 0);

    card->gid_count = 0;
    for (ssize_t i = 0; i < count && card->gid_count < FERRY_CARD_GIDS; i++) {
        const struct ibv_gid_entry *entry = &entries[i];

        if (entry->port_num != device->port || entry->gid_index > UINT8_MAX ||
            (strcmp(wanted, "auto") && strtoul(wanted, NULL, 0) != entry->gid_index))
            continue;
        card->gids[card->gid_count] = (struct ferry_card_gid){
            .index = (uint8_t) entry->gid_index,
            .type = entry->gid_type == IBV_GID_TYPE_IB        ? FERRY_GID_IB
                    : entry->gid_type == IBV_GID_TYPE_ROCE_V1 ? FERRY_GID_ROCE_1
                                                              : FERRY_GID_ROCE_2,
            .prefix = ferry_verbs_prefix(entry->gid.raw, entry->ndev_ifindex)};
        memcpy(card->gids[card->gid_count++].bytes, entry->gid.raw, 16);
    }
}

static void read_pkeys(struct ferry_verbs_device *device, const struct ibv_port_attr *port)
{
    const char *wanted = ferry_config()->verbs_pkey;
    struct ferry_card *card = &device->card;

    card->pkey_count = 0;
    for (int i = 0; i < port->pkey_tbl_len && card->pkey_count < FERRY_CARD_PKEYS; i++) {
        __be16 key;
        uint16_t value;

        if (ibv_query_pkey(device->context, device->port, i, &key))
            continue;
        value = (uint16_t) (((uint16_t) key << 8) | ((uint16_t) key >> 8));
        /* The highest bit only says what kind of member the port is. */
        if (!(value & PARTITION) ||
            (strcmp(wanted, "auto") && ((strtoul(wanted, NULL, 0) ^ value) & PARTITION)))
            continue;
        card->pkeys[card->pkey_count++] = (struct ferry_card_pkey){.index = (uint16_t) i,
                                                                   .value = value};
    }
}

/* 256 is 1, and so on; see enum ibv_mtu. */
static uint8_t most_mtu(uint8_t active)
{
    const char *wanted = ferry_config()->verbs_mtu;
    uint8_t mtu = 1;

    if (!strcmp(wanted, "auto"))
        return active;
    while (mtu < active && (128 << mtu) < atoi(wanted))
        mtu++;
    return mtu;
}

static bool read_port(struct ferry_verbs_device *device)
{
    struct ibv_port_attr port;
    struct ferry_card *card = &device->card;

    if (ibv_query_port(device->context, device->port, &port) || port.state != IBV_PORT_ACTIVE)
        return false;
    snprintf(card->name, sizeof(card->name), "%.19s:%u", device->name, device->port);
    card->link = port.link_layer == IBV_LINK_LAYER_ETHERNET ? FERRY_CARD_ETHERNET
                                                            : FERRY_CARD_INFINIBAND;
    card->mtu = most_mtu((uint8_t) port.active_mtu);
    card->lid = port.lid;
    card->grh = (port.flags & IBV_QPF_GRH_REQUIRED) != 0;
    read_gids(device);
    read_pkeys(device, &port);
    return true;
}

bool ferry_verbs_take_events(struct ferry_verbs_device *device)
{
    struct ibv_async_event event;
    bool any = false;

    while (!ibv_get_async_event(device->context, &event)) {
        ferry_log(FERRY_LOG_DEBUG, "RDMA device %s: %s", device->name,
                  ibv_event_type_str(event.event_type));
        ibv_ack_async_event(&event);
        any = true;
    }
    return any;
}

bool ferry_verbs_look_at(struct ferry_verbs_device *device)
{
    struct ferry_card before = device->card;
    bool was = device->usable;

    device->check = false;
    if (!device->context)
        return false;
    device->usable = read_port(device);
    return device->usable != was || (was && memcmp(&before, &device->card, sizeof(before)) != 0);
}

void ferry_verbs_show_cards(struct ferry_verbs *verbs)
{
    char text[400];

    verbs->serial++;
    verbs->own.count = 0;
    for (unsigned i = 0; i < verbs->device_count; i++)
        if (verbs->devices[i].usable) {
            verbs->places[verbs->own.count] = &verbs->devices[i];
            verbs->own.at[verbs->own.count++] = verbs->devices[i].card;
        }
    ferry_cards_text(&verbs->own, text, sizeof(text));
    ferry_log(FERRY_LOG_DEBUG, "RDMA ports: %s", text);
    for (struct ferry_link *link = verbs->endpoints.next; link != &verbs->endpoints;
         link = link->next)
        ferry_verbs_say_hello(ferry_container(link, struct ferry_verbs_endpoint, link));
}
