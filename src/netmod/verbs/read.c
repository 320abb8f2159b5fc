/*
 * Long messages: the receiver's adapter reads them out of the sender's memory, where both buffers are registered. They
 * stay so in a cache of each device's; what is not registered yet is sent in pieces instead.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "log.h"
#include "verbs.h"

/* What one request reads, so that several queue pairs share a long message, and none has too much at once. */
#define PART ((size_t) 512 << 10)
#define PARTS_MAX 8u /* under way by one queue pair */

struct descriptor {
    uint64_t address;
    uint32_t generation;
    uint32_t count;
    uint32_t keys[FERRY_CARDS_MAX];
};
_Static_assert(sizeof(struct descriptor) <= FERRY_DESCRIPTOR_MAX, "size");

struct exposure {
    struct ferry_link link;
    const void *address;
    uint32_t generation, count;
    const struct ferry_region *regions[FERRY_CARDS_MAX]; /* by rail */
};

struct ferry_verbs_read {
    struct ferry_link link;
    struct ferry_verbs_endpoint *endpoint;
    void *op;
    struct descriptor from;
    uint8_t *to;
    size_t length, asked;
    unsigned parts; /* under way */
    int number;     /* of those under way; -1: it waits */
    bool failed;
    uint32_t next_rail;
    const struct ferry_region *regions[FERRY_CARDS_MAX];
};

/* ---- Registering ---- */

static int enter(void *context, void *address, size_t length, void **handle)
{
    struct ferry_verbs_device *device = context;

    *handle = ibv_reg_mr(device->pd, address, length,
                         IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ);
    return *handle ? 0 : -errno;
}

static void leave(void *context, void *handle)
{
    (void) context;
    ibv_dereg_mr(handle);
}

/* A buffer's first use is copied, whatever registering costs. */
static int measure(struct ferry_verbs_device *device, const struct ferry_regions_adapter *adapter,
                   struct ferry_region_policy *policy)
{
    int error = ferry_region_policy_measure(adapter, device->slabs->memory, device->slabs->length,
                                            policy);

    policy->copies_most = 1;
    return error;
}

int ferry_verbs_open_regions(struct ferry_verbs_device *device)
{
    const char *wanted = ferry_config()->registration;
    const struct ferry_regions_adapter adapter = {enter, leave, device};
    struct ferry_regions_options options = {.bytes = ferry_config()->registered_max,
                                            .events = FERRY_REGIONS_HOOKED};
    int error;

    if (!strcmp(wanted, "never"))
        return 0;
    if (!strcmp(wanted, "each"))
        options.events = FERRY_REGIONS_BLIND;
    else if ((error = measure(device, &adapter, &options.policy)))
        return error;
    error = ferry_regions_open(&adapter, &options, &device->regions);
    if (!error && options.events == FERRY_REGIONS_HOOKED && ferry_regions_off(device->regions))
        ferry_log(FERRY_LOG_INFO, "no memory is kept registered: %s",
                  ferry_regions_off(device->regions));
    return error;
}

void ferry_verbs_close_regions(struct ferry_verbs_device *device)
{
    struct ferry_regions_counters counted = {0};

    if (!device->regions)
        return;
    ferry_verbs_count_regions(device, &counted);
    counted.regions = counted.bytes = 0;
    device->counted = counted;
    ferry_regions_close(device->regions);
    device->regions = NULL;
}

static void add(struct ferry_regions_counters *sum, const struct ferry_regions_counters *more)
{
    sum->hits += more->hits;
    sum->misses += more->misses;
    sum->copies += more->copies;
    sum->registrations += more->registrations;
    sum->failures += more->failures;
    sum->registering_ns += more->registering_ns;
    sum->merges += more->merges;
    sum->evictions += more->evictions;
    sum->invalidations += more->invalidations;
    sum->regions += more->regions;
    sum->bytes += more->bytes;
}

void ferry_verbs_count_regions(const struct ferry_verbs_device *device,
                               struct ferry_regions_counters *sum)
{
    struct ferry_regions_counters now;

    add(sum, &device->counted);
    if (!device->regions)
        return;
    now = ferry_regions_count(device->regions);
    add(sum, &now);
}

static void put_all(const struct ferry_region **regions)
{
    for (unsigned i = 0; i < FERRY_CARDS_MAX; i++) {
        if (regions[i])
            ferry_regions_put(regions[i]);
        regions[i] = NULL;
    }
}

/* Registered with the device of each rail up to count. Returns whether it is so for the first. */
static bool get_all(struct ferry_verbs_endpoint *endpoint, const void *address, size_t length,
                    uint32_t count, const struct ferry_region **regions)
{
    for (uint32_t i = 0; i < count; i++) {
        struct ferry_verbs_rail *rail = &endpoint->rails[i];

        regions[i] = NULL;
        if (rail->qp && rail->device->regions)
            ferry_regions_get(rail->device->regions, address, length, &regions[i]);
    }
    return regions[0] != NULL;
}

static const struct ibv_mr *registration(const struct ferry_region *region)
{
    return region->handle;
}

/* ---- What peers may read ---- */

/* One for each part, as far as there are so many. */
static uint32_t rails_for(const struct ferry_verbs_endpoint *endpoint, size_t length)
{
    size_t parts = length / PART;

    return parts < 1 ? 1 : parts < endpoint->rail_count ? (uint32_t) parts : endpoint->rail_count;
}

void *ferry_verbs_expose(struct ferry_endpoint *base, const void *from, size_t length)
{
    struct ferry_verbs_endpoint *endpoint = ferry_verbs_endpoint_of(base);
    struct exposure *exposure;

    if (!endpoint->sends_up || length < ferry_config()->rdma_min)
        return NULL;
    exposure = calloc(1, sizeof(*exposure));
    if (!exposure)
        return NULL;
    exposure->address = from;
    exposure->generation = endpoint->generation;
    exposure->count = rails_for(endpoint, length);
    if (!get_all(endpoint, from, length, exposure->count, exposure->regions)) {
        put_all(exposure->regions);
        free(exposure);
        return NULL;
    }
    ferry_link_append(&endpoint->exposures, &exposure->link);
    return exposure;
}

size_t ferry_verbs_describe_exposed(struct ferry_endpoint *base, void *exposed, void *to)
{
    const struct exposure *exposure = exposed;
    struct descriptor descriptor = {.address = (uintptr_t) exposure->address,
                                    .generation = exposure->generation,
                                    .count = exposure->count};

    (void) base;
    if (!exposure->regions[0])
        return 0;
    /* A rail without a key reads nothing: 0 is none that adapters give. */
    for (uint32_t i = 0; i < exposure->count; i++)
        descriptor.keys[i] = exposure->regions[i] ? registration(exposure->regions[i])->rkey : 0;
    memcpy(to, &descriptor, sizeof(descriptor));
    return sizeof(descriptor);
}

void ferry_verbs_withdraw(struct ferry_endpoint *base, void *exposed)
{
    struct exposure *exposure = exposed;

    (void) base;
    put_all(exposure->regions);
    ferry_link_remove(&exposure->link);
    free(exposure);
}

void ferry_verbs_hide_all(struct ferry_verbs_endpoint *endpoint)
{
    for (struct ferry_link *link = endpoint->exposures.next; link != &endpoint->exposures;
         link = link->next)
        put_all(ferry_container(link, struct exposure, link)->regions);
}

/* ---- Reading ---- */

void ferry_verbs_copied(struct ferry_endpoint *base, const void *to, size_t length)
{
    struct ferry_verbs_endpoint *endpoint = ferry_verbs_endpoint_of(base);
    uint32_t count = rails_for(endpoint, length);

    for (uint32_t i = 0; i < count && i < endpoint->rail_count; i++)
        if (endpoint->rails[i].qp && endpoint->rails[i].device->regions)
            ferry_regions_copied(endpoint->rails[i].device->regions, to, length);
}

static int free_number(const struct ferry_verbs_endpoint *endpoint)
{
    for (int i = 0; i < FERRY_VERBS_READS; i++)
        if (!endpoint->by_number[i])
            return i;
    return -1;
}

static bool is_usable(const struct ferry_verbs_read *read, uint32_t rail)
{
    return rail < read->endpoint->rail_count && read->endpoint->rails[rail].qp &&
           read->regions[rail] && read->from.keys[rail] &&
           read->endpoint->rails[rail].reads < PARTS_MAX &&
           ferry_verbs_rail_has_room(&read->endpoint->rails[rail]);
}

/* The next rail, in turn, that can take a request; -1: none. */
static int choose_rail(struct ferry_verbs_read *read)
{
    for (uint32_t i = 0; i < read->from.count; i++) {
        uint32_t rail = (read->next_rail + i) % read->from.count;

        if (is_usable(read, rail)) {
            read->next_rail = (rail + 1) % read->from.count;
            return (int) rail;
        }
    }
    return -1;
}

static bool ask(struct ferry_verbs_read *read, uint32_t number)
{
    struct ferry_verbs_rail *rail = &read->endpoint->rails[number];
    size_t left = read->length - read->asked, length = left < PART ? left : PART;
    struct ibv_sge part = {.addr = (uintptr_t) read->to + read->asked,
                           .length = (uint32_t) length,
                           .lkey = registration(read->regions[number])->lkey};
    struct ibv_send_wr request = {.wr_id = (uint64_t) read->number << FERRY_VERBS_ID_READ,
                                  .sg_list = &part,
                                  .num_sge = 1,
                                  .opcode = IBV_WR_RDMA_READ,
                                  .wr.rdma = {.remote_addr = read->from.address + read->asked,
                                              .rkey = read->from.keys[number]}};

    if (ferry_verbs_rail_post(rail, &request, FERRY_VERBS_READ, true))
        return false;
    rail->reads++;
    read->parts++;
    read->asked += length;
    return true;
}

static void end(struct ferry_verbs_read *read, int error)
{
    void *op = read->op;

    if (read->number >= 0)
        read->endpoint->by_number[read->number] = NULL;
    put_all(read->regions);
    ferry_link_remove(&read->link);
    free(read);
    ferry_core_read_done(op, error);
}

/* Asks for as much as can be asked for now. */
static void go_on(struct ferry_verbs_read *read)
{
    int rail;

    if (read->number < 0) {
        read->number = free_number(read->endpoint);
        if (read->number < 0)
            return;
        read->endpoint->by_number[read->number] = read;
    }
    while (read->asked < read->length && !read->failed && (rail = choose_rail(read)) >= 0)
        if (!ask(read, (uint32_t) rail)) {
            read->failed = true;
            ferry_verbs_fail(read->endpoint, "a request could not be posted");
        }
    ferry_core_has_called(read->endpoint->base.transport->context);
}

int ferry_verbs_read(struct ferry_endpoint *base, const void *descriptor, size_t descriptor_length,
                     void *to, size_t length, void *op)
{
    struct ferry_verbs_endpoint *endpoint = ferry_verbs_endpoint_of(base);
    struct ferry_verbs_read *read;

    if (descriptor_length != sizeof(read->from) || !endpoint->sends_up || endpoint->failed)
        return -ENOTSUP;
    read = calloc(1, sizeof(*read));
    if (!read)
        return -ENOTSUP;
    memcpy(&read->from, descriptor, sizeof(read->from));
    if (read->from.generation != endpoint->generation || !read->from.count ||
        read->from.count > endpoint->rail_count || !read->from.keys[0] ||
        !get_all(endpoint, to, length, read->from.count, read->regions)) {
        put_all(read->regions);
        free(read);
        return -ENOTSUP;
    }
    read->endpoint = endpoint;
    read->op = op;
    read->to = to;
    read->length = length;
    read->number = -1;
    ferry_link_append(&endpoint->reads, &read->link);
    go_on(read);
    return 0;
}

void ferry_verbs_read_on(struct ferry_verbs_endpoint *endpoint)
{
    for (struct ferry_link *link = endpoint->reads.next; link != &endpoint->reads;
         link = link->next) {
        struct ferry_verbs_read *read = ferry_container(link, struct ferry_verbs_read, link);

        if (read->asked < read->length)
            go_on(read);
    }
}

void ferry_verbs_read_part(struct ferry_verbs_rail *rail, uint32_t number, bool works)
{
    struct ferry_verbs_endpoint *endpoint = rail->endpoint;
    struct ferry_verbs_read *read = number < FERRY_VERBS_READS ? endpoint->by_number[number] : NULL;

    rail->reads--;
    if (!read)
        return;
    read->parts--;
    read->failed |= !works;
    if (!read->failed && read->asked == read->length && !read->parts)
        end(read, 0);
    /* One that failed ends when its queue pair is gone, and nothing writes to its buffer any more. */
    if (!ferry_link_empty(&endpoint->reads))
        ferry_verbs_read_on(endpoint);
}

void ferry_verbs_end_reads(struct ferry_verbs_endpoint *endpoint)
{
    while (!ferry_link_empty(&endpoint->reads))
        end(ferry_container(endpoint->reads.next, struct ferry_verbs_read, link), -EIO);
}

void ferry_verbs_free_reads(struct ferry_verbs_endpoint *endpoint)
{
    while (!ferry_link_empty(&endpoint->exposures))
        ferry_verbs_withdraw(&endpoint->base,
                             ferry_container(endpoint->exposures.next, struct exposure, link));
    while (!ferry_link_empty(&endpoint->reads)) {
        struct ferry_verbs_read *read = ferry_container(endpoint->reads.next,
                                                        struct ferry_verbs_read, link);

        put_all(read->regions);
        ferry_link_remove(&read->link);
        free(read);
    }
}
