/*
 * Connections of libfabric: how they are made once processes have met, and how they end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "clock.h"
#include "config.h"
#include "descriptor.h"
#include "meeting.h"

#define BATCH 16
#define BACKSTOP_NS 1000000000u

/* ---- Memory ---- */

struct ferry_fabric_endpoint *ferry_fabric_endpoint_new(struct ferry_fabric *fabric,
                                                        ferry_peer_t *peer)
{
    struct ferry_fabric_endpoint *endpoint = calloc(1, sizeof(*endpoint));

    if (!endpoint)
        return NULL;
    endpoint->base = (struct ferry_endpoint){.ops = fabric->base.ops,
                                             .transport = &fabric->base,
                                             .peer = peer,
                                             .packet_max = FERRY_FABRIC_PACKET,
                                             .chunk = FERRY_FABRIC_PACKET,
                                             .eager_max = ferry_config()->eager_max,
                                             .fetch_min = SIZE_MAX};
    endpoint->small.use = FERRY_BUFFER_SMALL;
    endpoint->small.endpoint = endpoint;
    endpoint->fd = -1;
    ferry_link_append(&fabric->endpoints, &endpoint->link);
    ferry_link_init(&endpoint->meeting_link);
    return endpoint;
}

void ferry_fabric_endpoint_free(struct ferry_fabric_endpoint *endpoint)
{
    ferry_fabric_disconnect(endpoint);
    ferry_self_free(endpoint);
    ferry_link_remove(&endpoint->link);
    free(endpoint);
}

/* libfabric may still tell of receives that it gave up. */
static void forget_receives(struct ferry_fabric_endpoint *endpoint)
{
    for (unsigned i = 0; i < endpoint->received_count; i++)
        endpoint->received[i]->endpoint = NULL;
    endpoint->received_count = 0;
    endpoint->spare = NULL;
    endpoint->receives = 0;
}

static void enter(struct ferry_fabric_endpoint *endpoint, enum ferry_fabric_state state)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);
    unsigned *counts[] = {[FERRY_FABRIC_OPENING] = &fabric->opening,
                          [FERRY_FABRIC_UP] = &fabric->up,
                          [FERRY_FABRIC_ENDING] = &fabric->ending,
                          [FERRY_FABRIC_ENDED] = NULL};

    if (counts[endpoint->state])
        --*counts[endpoint->state];
    endpoint->state = state;
    endpoint->since_ns = ferry_now_ns();
    if (counts[state])
        ++*counts[state];
}

void ferry_fabric_disconnect(struct ferry_fabric_endpoint *endpoint)
{
    struct ferry_fabric *fabric = ferry_fabric_of_endpoint(endpoint);

    if (endpoint->listening)
        fi_close(&endpoint->listening->fid);
    endpoint->listening = NULL;
    if (endpoint->ep) {
        fi_shutdown(endpoint->ep, 0); /* writes out what libfabric holds back */
        fi_close(&endpoint->ep->fid);
    }
    endpoint->ep = NULL;
    endpoint->fd = -1;
    endpoint->sends = 0;
    if (endpoint->stalled) {
        ferry_fabric_sent(endpoint->stalled);
        fabric->stalled--;
    }
    endpoint->stalled = NULL;
    forget_receives(endpoint);
    if (endpoint->door)
        ferry_door_close(endpoint->door, &fabric->closed);
    endpoint->door = NULL;
    if (endpoint->state == FERRY_FABRIC_OPENING)
        enter(endpoint, FERRY_FABRIC_MEETING);
}

/* ---- Making connections ---- */

static int open_ep(struct ferry_fabric_endpoint *endpoint, struct fi_info *info)
{
    struct ferry_library *library = &ferry_fabric_of_endpoint(endpoint)->library;
    int error = fi_endpoint(library->domain, info, &endpoint->ep, endpoint);

    if (!error)
        error = fi_ep_bind(endpoint->ep, &library->events->fid, 0);
    if (!error)
        error = fi_ep_bind(endpoint->ep, &library->completions->fid, FI_TRANSMIT | FI_RECV);
    if (!error)
        error = fi_enable(endpoint->ep);
    return error ? error : ferry_fabric_post_receives(endpoint);
}

/* Keeps others away from a port that is meant for one peer. */
static int guard(struct ferry_fabric_endpoint *endpoint, const struct ferry_site *remote,
                 uint16_t *port)
{
    struct sockaddr_storage own = {0};
    size_t length = sizeof(own);
    struct ferry_site site;
    int error = fi_getname(&endpoint->listening->fid, &own, &length);
    int fd;

    if (error)
        return error;
    ferry_site_from_socket(&site, port, &own);
    fd = ferry_descriptor_listening(*port);
    if (fd >= 0)
        ferry_descriptor_guard(fd, remote);
    return 0;
}

int ferry_fabric_listen(struct ferry_fabric_endpoint *endpoint, const struct ferry_site *local,
                        const struct ferry_site *remote, uint16_t *port)
{
    struct ferry_library *library = &ferry_fabric_of_endpoint(endpoint)->library;
    struct fi_info *info = ferry_library_info(library, local, NULL, 0);
    int error;

    if (!info)
        return -FI_ENOMEM;
    enter(endpoint, FERRY_FABRIC_OPENING);
    endpoint->remote = *remote;
    error = fi_passive_ep(library->fabric, info, &endpoint->listening, endpoint);
    ferry_library_info_free(info);
    if (!error)
        error = fi_pep_bind(endpoint->listening, &library->events->fid, 0);
    if (!error)
        error = fi_listen(endpoint->listening);
    if (!error)
        error = guard(endpoint, remote, port);
    return error;
}

int ferry_fabric_call(struct ferry_fabric_endpoint *endpoint, const struct ferry_site *local,
                      const struct ferry_site *remote, uint16_t port, const uint8_t seal[16])
{
    struct ferry_library *library = &ferry_fabric_of_endpoint(endpoint)->library;
    struct fi_info *info = ferry_library_info(library, local, remote, port);
    int error;

    if (!info)
        return -FI_ENOMEM;
    enter(endpoint, FERRY_FABRIC_OPENING);
    endpoint->remote = *remote;
    error = open_ep(endpoint, info);
    if (!error)
        error = fi_connect(endpoint->ep, info->dest_addr, seal, 16);
    ferry_library_info_free(info);
    return error;
}

/* ---- Events of connections ---- */

union event {
    struct fi_eq_cm_entry entry;
    struct fi_eq_err_entry error;
    uint8_t bytes[sizeof(struct fi_eq_cm_entry) + 1024];
};

/* Whose it is; an event may come late, for something that is closed. */
static struct ferry_fabric_endpoint *owner(struct ferry_fabric *fabric, const struct fid *fid)
{
    for (struct ferry_link *link = fabric->endpoints.next; link != &fabric->endpoints;
         link = link->next) {
        struct ferry_fabric_endpoint *endpoint = ferry_container(link, struct ferry_fabric_endpoint,
                                                                 link);

        if ((endpoint->ep && &endpoint->ep->fid == fid) ||
            (endpoint->listening && &endpoint->listening->fid == fid))
            return endpoint;
    }
    return NULL;
}

static void on_request(struct ferry_fabric *fabric, struct ferry_fabric_endpoint *endpoint,
                       struct fi_eq_cm_entry *entry, size_t length)
{
    uint8_t seal[16];
    struct fid_ep *unwanted;
    int error;

    if (!endpoint || endpoint->ep ||
        !ferry_meeting_seal_holds(endpoint, true, entry->data, length)) {
        /* Not known to whom it was addressed, or not by whom: the connection is taken to be closed. */
        if (!fi_endpoint(fabric->library.domain, entry->info, &unwanted, NULL))
            fi_close(&unwanted->fid);
        return;
    }
    ferry_meeting_own_seal(endpoint, false, seal);
    error = open_ep(endpoint, entry->info);
    if (!error)
        error = fi_accept(endpoint->ep, seal, sizeof(seal));
    fi_close(&endpoint->listening->fid);
    endpoint->listening = NULL;
    if (error)
        ferry_meeting_failed(endpoint, ferry_library_error(error));
}

/* Finds libfabric's socket, so that it can be watched. */
static void find_descriptor(struct ferry_fabric_endpoint *endpoint)
{
    struct sockaddr_storage own = {0}, other = {0};
    size_t length = sizeof(own), other_length = sizeof(other);

    if (!fi_getname(&endpoint->ep->fid, &own, &length) &&
        !fi_getpeer(endpoint->ep, &other, &other_length))
        endpoint->fd = ferry_descriptor_between(&own, &other);
    if (endpoint->fd < 0)
        return;
    ferry_descriptor_watch(endpoint->fd);
    endpoint->paced = ferry_descriptor_paced(endpoint->fd);
    endpoint->watched = !ferry_core_watch(endpoint->base.transport->context, endpoint->fd);
}

static void on_connected(struct ferry_fabric_endpoint *endpoint, const struct fi_eq_cm_entry *entry,
                         size_t length)
{
    if (endpoint->state != FERRY_FABRIC_OPENING)
        return;
    if (ferry_meeting_is_caller(endpoint) &&
        !ferry_meeting_seal_holds(endpoint, false, entry->data, length)) {
        ferry_meeting_failed(endpoint, "another process answered");
        return;
    }
    find_descriptor(endpoint);
    enter(endpoint, FERRY_FABRIC_UP);
    ferry_meeting_connected(endpoint);
}

/* A process that has no descriptor left for a connection may be unable to say so: libfabric takes the connection in and closes
 * it. Limits are mostly the same for all processes of a job. */
#define DESCRIPTORS_A_PROCESS 3

const char *ferry_fabric_why_ended(struct ferry_fabric *fabric)
{
    uint64_t processes = ferry_core_params(fabric->base.context)->size;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < processes * DESCRIPTORS_A_PROCESS)
        return "its process ended without a word, or had no descriptors left for connections, of "
               "which a job of so many processes needs more: raise the limit (ulimit -n)";
    return "its process ended without a word";
}

static void on_shutdown(struct ferry_fabric_endpoint *endpoint, const char *why)
{
    if (endpoint->state == FERRY_FABRIC_OPENING)
        ferry_meeting_failed(endpoint, why);
    else
        ferry_fabric_end(endpoint, why);
}

static void on_error(struct ferry_fabric *fabric)
{
    struct fi_eq_err_entry error = {0};
    struct ferry_fabric_endpoint *endpoint;

    if (fi_eq_readerr(fabric->library.events, &error, 0) < 0)
        return;
    endpoint = owner(fabric, error.fid);
    if (endpoint)
        on_shutdown(endpoint, ferry_library_error(error.err));
}

int ferry_fabric_read_events(struct ferry_fabric *fabric)
{
    union event event;
    int count;

    fabric->failed = false;
    for (count = 0; count < BATCH; count++) {
        struct ferry_fabric_endpoint *endpoint;
        uint32_t kind;
        ssize_t size = fi_eq_read(fabric->library.events, &kind, &event, sizeof(event), 0);
        size_t length;

        if (size == -FI_EAVAIL) {
            on_error(fabric);
            continue;
        }
        if (size < (ssize_t) sizeof(event.entry))
            break;
        length = (size_t) size - sizeof(event.entry);
        endpoint = owner(fabric, event.entry.fid);
        if (kind == FI_CONNREQ) {
            on_request(fabric, endpoint, &event.entry, length);
            ferry_library_info_free(event.entry.info);
        } else if (endpoint && kind == FI_CONNECTED) {
            on_connected(endpoint, &event.entry, length);
        } else if (endpoint && kind == FI_SHUTDOWN) {
            on_shutdown(endpoint, ferry_fabric_why_ended(fabric));
        }
    }
    return count;
}

/* ---- Completions ---- */

static void on_failed_operation(struct ferry_fabric *fabric)
{
    struct fi_cq_err_entry error = {0};
    struct ferry_fabric_buffer *buffer;
    struct ferry_fabric_endpoint *endpoint;

    if (fi_cq_readerr(fabric->library.completions, &error, 0) < 0)
        return;
    buffer = error.op_context;
    endpoint = buffer ? buffer->endpoint : NULL;
    if (!endpoint)
        return;
    if (buffer->use == FERRY_BUFFER_RECEIVE)
        endpoint->receives--;
    else if (buffer->use == FERRY_BUFFER_READ)
        ferry_fabric_read_some(buffer, true);
    else
        ferry_fabric_sent(buffer);
    fabric->failed = true;
    if (endpoint->state == FERRY_FABRIC_UP)
        ferry_fabric_end(endpoint, error.err == FI_ETRUNC ? "it sent nonsense over the network"
                                                          : ferry_fabric_why_ended(fabric));
}

int ferry_fabric_read_completions(struct ferry_fabric *fabric)
{
    struct fi_cq_msg_entry entries[BATCH];
    ssize_t count = fi_cq_read(fabric->library.completions, entries, BATCH);

    if (count == -FI_EAVAIL) {
        on_failed_operation(fabric);
        return 1;
    }
    for (ssize_t i = 0; i < count; i++) {
        struct ferry_fabric_buffer *buffer = entries[i].op_context;

        if (!buffer->endpoint)
            continue;
        if (buffer->use == FERRY_BUFFER_RECEIVE)
            ferry_fabric_received(buffer, entries[i].len);
        else if (buffer->use == FERRY_BUFFER_READ)
            ferry_fabric_read_some(buffer, false);
        else
            ferry_fabric_sent(buffer);
    }
    if (count > 0)
        return (int) count;
    fabric->blanks++;
    return 0;
}

/* ---- Ends ---- */

void ferry_fabric_end(struct ferry_fabric_endpoint *endpoint, const char *why)
{
    if (endpoint->state != FERRY_FABRIC_UP)
        return;
    enter(endpoint, FERRY_FABRIC_ENDING);
    endpoint->why = why;
}

void ferry_fabric_lose(struct ferry_fabric_endpoint *endpoint, int error, const char *why)
{
    if (endpoint->state == FERRY_FABRIC_ENDED)
        return;
    ferry_fabric_leave(endpoint);
    ferry_core_lost(&endpoint->base, error, why);
}

void ferry_fabric_leave(struct ferry_fabric_endpoint *endpoint)
{
    ferry_fabric_disconnect(endpoint);
    ferry_meeting_free(endpoint);
    enter(endpoint, FERRY_FABRIC_ENDED);
}

void ferry_fabric_finish_endings(struct ferry_fabric *fabric, uint64_t now)
{
    for (struct ferry_link *link = fabric->endpoints.next; link != &fabric->endpoints;
         link = link->next) {
        struct ferry_fabric_endpoint *endpoint = ferry_container(link, struct ferry_fabric_endpoint,
                                                                 link);

        if (endpoint->state == FERRY_FABRIC_ENDING &&
            (!endpoint->receives || now - endpoint->since_ns > BACKSTOP_NS))
            ferry_fabric_lose(endpoint, -ECONNRESET, endpoint->why);
    }
}
