/*
 * Long messages: the receiver reads them out of their sender's memory by libfabric, which over TCP copies once on each side
 * where a packet is copied twice. A message is read in slices, so that packets of the same connection get between them.
 */
#include <errno.h>
#include <rdma/fi_rma.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "fabric.h"

/* Bytes of a slice, and of all slices of one connection that are under way: the next is asked for while one comes. Small ones
 * leave fewer gaps, which congestion control that paces takes for the path's limit; large ones cost less. Between two
 * containers the one is twice as quick with bbr, the other half as quick again with reno (doc/measurements.md, "TCP"). */
#define SLICE ((size_t) 512 << 10)
#define SLICE_PACED ((size_t) 128 << 10)
#define UNDER_WAY ((size_t) 2 << 20)

struct exposed {
    struct ferry_link link;
    struct ferry_fabric_endpoint *endpoint;
    struct fid_mr *region;
    uint64_t address;
};

struct descriptor {
    uint64_t address, key;
};

_Static_assert(sizeof(struct descriptor) <= FERRY_DESCRIPTOR_MAX, "size");

/* A message that is read. */
struct ferry_fabric_read {
    struct ferry_fabric_buffer buffer; /* stands for it in completions; has no bytes */
    struct ferry_fabric_read *next_of_all;
    struct ferry_fabric_read *next; /* of its endpoint, or that is free */
    void *op;
    char *to;
    size_t length, asked;
    struct descriptor from;
    unsigned flying; /* slices */
};

static bool can_read(const struct ferry_fabric_endpoint *endpoint)
{
    const struct ferry_fabric *fabric = (struct ferry_fabric *) endpoint->base.transport;

    return endpoint->state == FERRY_FABRIC_UP && endpoint != fabric->self && fabric->library.reads;
}

/* ---- The sender ---- */

void *ferry_fabric_expose(struct ferry_endpoint *base, const void *from, size_t length)
{
    struct ferry_fabric_endpoint *endpoint = (struct ferry_fabric_endpoint *) base;
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct exposed *exposed;
    uint64_t key;

    if (!can_read(endpoint))
        return NULL;
    exposed = malloc(sizeof(*exposed));
    if (!exposed)
        return NULL;
    /* Any peer could read what it knows the key of. */
    ferry_random(&key, sizeof(key));
    if (fi_mr_reg(fabric->library.domain, from, length, FI_REMOTE_READ, 0, key, 0, &exposed->region,
                  NULL)) {
        free(exposed);
        return NULL;
    }
    exposed->endpoint = endpoint;
    exposed->address = fabric->library.by_address ? (uintptr_t) from : 0;
    endpoint->exposed++;
    ferry_link_append(&fabric->exposed, &exposed->link);
    return exposed;
}

size_t ferry_fabric_describe_exposed(struct ferry_endpoint *base, void *exposed_, void *to)
{
    struct exposed *exposed = exposed_;
    struct descriptor descriptor = {exposed->address, fi_mr_key(exposed->region)};

    (void) base;
    memcpy(to, &descriptor, sizeof(descriptor));
    return sizeof(descriptor);
}

void ferry_fabric_withdraw(struct ferry_endpoint *base, void *exposed_)
{
    struct exposed *exposed = exposed_;

    (void) base;
    fi_close(&exposed->region->fid);
    exposed->endpoint->exposed--;
    ferry_link_remove(&exposed->link);
    free(exposed);
}

/* ---- The receiver ---- */

static struct ferry_fabric_read *take(struct ferry_fabric *fabric)
{
    struct ferry_fabric_read *read = fabric->free_reads;

    if (read) {
        fabric->free_reads = read->next;
        return read;
    }
    read = calloc(1, sizeof(*read));
    if (!read)
        return NULL;
    read->next_of_all = fabric->all_reads;
    fabric->all_reads = read;
    return read;
}

static void give(struct ferry_fabric *fabric, struct ferry_fabric_read *read)
{
    read->next = fabric->free_reads;
    fabric->free_reads = read;
}

static size_t slice_of(const struct ferry_fabric_endpoint *endpoint)
{
    return endpoint->paced ? SLICE_PACED : SLICE;
}

/* Asks for slices of the messages in their order. */
static void push(struct ferry_fabric_endpoint *endpoint)
{
    for (struct ferry_fabric_read *read = endpoint->reads;
         read && endpoint->state == FERRY_FABRIC_UP; read = read->next)
        while (read->asked < read->length) {
            size_t length = read->length - read->asked;
            ssize_t result;

            if (endpoint->slices >= UNDER_WAY / slice_of(endpoint))
                return;
            if (length > slice_of(endpoint))
                length = slice_of(endpoint);
            result = fi_read(endpoint->ep, read->to + read->asked, length, NULL, 0,
                             read->from.address + read->asked, read->from.key, &read->buffer);
            if (result) {
                if (result != -FI_EAGAIN)
                    ferry_fabric_end(endpoint, "its connection is broken");
                return;
            }
            read->asked += length;
            read->flying++;
            endpoint->slices++;
            ferry_core_has_called(endpoint->base.transport->context);
        }
}

int ferry_fabric_read(struct ferry_endpoint *base, const void *descriptor, size_t descriptor_length,
                      void *to, size_t length, void *op)
{
    struct ferry_fabric_endpoint *endpoint = (struct ferry_fabric_endpoint *) base;
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    struct ferry_fabric_read *read, **last = &endpoint->reads;

    if (!can_read(endpoint) || descriptor_length != sizeof(read->from))
        return -ENOTSUP;
    read = take(fabric);
    if (!read)
        return -ENOTSUP;
    read->buffer.use = FERRY_BUFFER_READ;
    read->buffer.endpoint = endpoint;
    read->next = NULL;
    read->op = op;
    read->to = to;
    read->length = length;
    read->asked = 0;
    read->flying = 0;
    memcpy(&read->from, descriptor, sizeof(read->from));
    while (*last)
        last = &(*last)->next;
    *last = read;
    fabric->reading++;
    push(endpoint);
    return 0;
}

void ferry_fabric_push_reads(struct ferry_fabric *fabric)
{
    for (struct ferry_link *link = fabric->endpoints.next; link != &fabric->endpoints;
         link = link->next)
        push(ferry_container(link, struct ferry_fabric_endpoint, link));
}

static void take_off(struct ferry_fabric_endpoint *endpoint, struct ferry_fabric_read *read)
{
    struct ferry_fabric_read **link = &endpoint->reads;

    while (*link != read)
        link = &(*link)->next;
    *link = read->next;
    ferry_fabric_of_endpoint(endpoint)->reading--;
}

void ferry_fabric_read_some(struct ferry_fabric_buffer *buffer, bool failed)
{
    struct ferry_fabric_read *read = ferry_container(buffer, struct ferry_fabric_read, buffer);
    struct ferry_fabric_endpoint *endpoint = buffer->endpoint;
    void *op = read->op;

    read->flying--;
    endpoint->slices--;
    /* What failed ends with its connection. */
    if (failed)
        return;
    if (read->flying || read->asked < read->length) {
        push(endpoint);
        return;
    }
    take_off(endpoint, read);
    give(ferry_fabric_of_endpoint(endpoint), read);
    push(endpoint);
    ferry_core_read_done(op, 0);
}

void ferry_fabric_lost(struct ferry_endpoint *base)
{
    struct ferry_fabric_endpoint *endpoint = (struct ferry_fabric_endpoint *) base;
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);

    /* Nothing is written to the program's memory any more once its requests have ended. */
    if (endpoint->state != FERRY_FABRIC_ENDED)
        ferry_fabric_leave(endpoint);
    while (endpoint->reads) {
        struct ferry_fabric_read *read = endpoint->reads;
        void *op = read->op;

        take_off(endpoint, read);
        /* libfabric may still name it. */
        read->buffer.endpoint = NULL;
        if (!read->flying)
            give(fabric, read);
        ferry_core_read_done(op, -ECONNRESET);
    }
    endpoint->slices = 0;
}

void ferry_fabric_withdraw_all(struct ferry_fabric *fabric)
{
    while (!ferry_link_empty(&fabric->exposed)) {
        struct exposed *exposed = ferry_container(fabric->exposed.next, struct exposed, link);

        ferry_fabric_withdraw(&exposed->endpoint->base, exposed);
    }
}

void ferry_fabric_free_reads(struct ferry_fabric *fabric)
{
    while (fabric->all_reads) {
        struct ferry_fabric_read *next = fabric->all_reads->next_of_all;

        free(fabric->all_reads);
        fabric->all_reads = next;
    }
}
