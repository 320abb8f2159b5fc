/*
 * The counters, shown to whoever uses the library. They lie with what they count, in structures that are touched
 * anyway, and are added up when somebody asks.
 */
#include "internal.h"
#include "regions.h"

struct row {
    ferry_counter_t shown;
    uint64_t (*read)(ferry_context_t *context, const struct row *row);
    size_t offset;   /* of read_sum, read_count */
    const char *way; /* of read_sum: which peers */
};

/* One of an endpoint's counts, of all the peers that are reached in this way. */
static uint64_t read_sum(ferry_context_t *context, const struct row *row)
{
    uint64_t sum = 0, one;

    for (uint32_t i = 0; i < context->peer_count; i++) {
        const ferry_peer_t *peer = context->peers[i];

        if (!peer->endpoint || strcmp(ferry_peer_way(peer), row->way))
            continue;
        memcpy(&one, (const char *) peer->endpoint + row->offset, sizeof(one));
        sum += one;
    }
    return sum;
}

static uint64_t read_count(ferry_context_t *context, const struct row *row)
{
    uint64_t count;

    memcpy(&count, (const char *) &context->counts + row->offset, sizeof(count));
    return count;
}

/* Of all transports. */
static struct ferry_regions_counters sum_regions(ferry_context_t *context)
{
    struct ferry_regions_counters sum = {0};

    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->ops->count_regions)
            context->active[i]->ops->count_regions(context->active[i], &sum);
    return sum;
}

static uint64_t read_registration_time(ferry_context_t *context, const struct row *row)
{
    (void) row;
    return sum_regions(context).registering_ns / 1000;
}

static uint64_t read_regions(ferry_context_t *context, const struct row *row)
{
    struct ferry_regions_counters sum = sum_regions(context);
    uint64_t value;

    memcpy(&value, (const char *) &sum + row->offset, sizeof(value));
    return value;
}

/* Transports are tried in order. */
static uint64_t read_fallback_peers(ferry_context_t *context, const struct row *row)
{
    struct ferry_transport *const *first = context->transports;
    uint64_t count = 0;

    (void) row;
    while (first < context->transports + FERRY_TRANSPORTS_MAX && !*first)
        first++;
    if (first == context->transports + FERRY_TRANSPORTS_MAX)
        return 0;
    for (uint32_t i = 0; i < context->peer_count; i++) {
        const ferry_peer_t *peer = context->peers[i];

        count += peer->transport && peer->transport != *first;
    }
    return count;
}

static uint64_t read_unexpected_bytes(ferry_context_t *context, const struct row *row)
{
    uint64_t sum = 0;

    (void) row;
    for (uint32_t i = 0; i < context->peer_count; i++)
        if (context->peers[i]->endpoint)
            sum += context->peers[i]->endpoint->core.unexpected;
    return sum;
}

static uint64_t read_wait_time(ferry_context_t *context, const struct row *row)
{
    (void) row;
    return ferry_wait_ns(context) / 1000;
}

static uint64_t read_sleep_time(ferry_context_t *context, const struct row *row)
{
    (void) row;
    return context->wait.slept_ns / 1000;
}

static uint64_t read_sleeps(ferry_context_t *context, const struct row *row)
{
    (void) row;
    return context->wait.sleeps;
}

static uint64_t read_steal_time(ferry_context_t *context, const struct row *row)
{
    (void) row;
    return ferry_stolen_us("", context->wait.stolen_before_us);
}

#define SUM(name, unit, direction, what, way, help)                                        \
    {                                                                                      \
        {"ferry_" way "_" #direction "_" name, unit, help, FERRY_COUNTER_COUNT}, read_sum, \
            offsetof(struct ferry_endpoint, core.direction.what), way                      \
    }
#define SUMS(way, to, from)                                                       \
    SUM("messages", "", sent, messages, way, "messages sent " to),                \
        SUM("bytes", "bytes", sent, bytes, way, "data sent " to),                 \
        SUM("messages", "", received, messages, way, "messages that came " from), \
        SUM("bytes", "bytes", received, bytes, way, "data that came " from)
#define COUNT(name, unit, what, help)                                 \
    {                                                                 \
        {"ferry_" name, unit, help, FERRY_COUNTER_COUNT}, read_count, \
            offsetof(struct ferry_counts, what), NULL                 \
    }
#define REGIONS(name, unit, kind, what, help)                            \
    {                                                                    \
        {"ferry_" name, unit, help, FERRY_COUNTER_##kind}, read_regions, \
            offsetof(struct ferry_regions_counters, what), NULL          \
    }
#define OTHER(name, unit, kind, help)                                            \
    {                                                                            \
        {"ferry_" #name, unit, help, FERRY_COUNTER_##kind}, read_##name, 0, NULL \
    }

static const struct row rows[] = {
    SUMS("shm", "over shared memory", "over shared memory"),
    SUMS("guests", "over memory that virtual machines share",
         "over memory that virtual machines share"),
    SUMS("verbs", "by RDMA adapters", "by RDMA adapters"),
    SUMS("fabric", "over the network", "over the network"),
    SUMS("self", "by this process to itself", "from this process itself"),
    COUNT("piecewise_messages", "", piecewise.messages,
          "messages received in several pieces, which both sides copied"),
    COUNT("piecewise_bytes", "bytes", piecewise.bytes,
          "data received in several pieces, which both sides copied"),
    COUNT("cma_copies", "", copied_by_cma.messages,
          "single copies out of a sender's memory by process_vm_readv, of 1 MiB at most"),
    COUNT("cma_bytes", "bytes", copied_by_cma.bytes, "data copied by process_vm_readv"),
    COUNT("mem_copies", "", copied_by_mem.messages,
          "single copies out of a sender's memory by its /proc/self/mem, of 1 MiB at most"),
    COUNT("mem_bytes", "bytes", copied_by_mem.bytes, "data copied by /proc/self/mem"),
    COUNT("rdma_reads", "", read.messages,
          "messages that an adapter, or libfabric, read out of their sender's memory"),
    COUNT("rdma_bytes", "bytes", read.bytes, "data that an adapter, or libfabric, read"),
    COUNT("guests_reads", "", read_in_place.messages,
          "messages that were read where they lay, in memory that virtual machines share"),
    COUNT("guests_read_bytes", "bytes", read_in_place.bytes, "data that was read there"),
    REGIONS("region_hits", "", COUNT, hits, "long messages whose buffer was found registered"),
    REGIONS("region_misses", "", COUNT, misses, "those whose buffer was not"),
    REGIONS("region_copies", "", COUNT, copies,
            "of these, those that were copied instead of registered"),
    REGIONS("registrations", "", COUNT, registrations, "times that memory was registered"),
    REGIONS("registration_failures", "", COUNT, failures, "times that it could not be"),
    OTHER(registration_time, "us", TIME, "time spent registering and deregistering memory"),
    REGIONS("region_merges", "", COUNT, merges, "registered regions that went into a longer one"),
    REGIONS("region_evictions", "", COUNT, evictions,
            "regions deregistered to make room for others"),
    REGIONS("region_invalidations", "", COUNT, invalidations,
            "regions deregistered because their memory was unmapped"),
    REGIONS("regions", "", LEVEL, regions, "regions registered now"),
    REGIONS("registered_bytes", "bytes", LEVEL, bytes,
            "memory registered now, without that for packets"),
    COUNT("copy_failures", "", copy_failures,
          "ways of single copies that failed or could not be had, for a peer, so that another way "
          "was "
          "taken"),
    OTHER(fallback_peers, "", LEVEL,
          "peers that are reached by another transport than the first that is open"),
    COUNT("stalls", "", stalls,
          "messages, and answers of Ferry's own, that had to wait for room or for a connection"),
    COUNT("unexpected_messages", "", unexpected,
          "messages that came before a receive was posted for them"),
    OTHER(unexpected_bytes, "bytes", LEVEL, "data that has come and waits for a receive"),
    OTHER(wait_time, "us", TIME,
          "time spent in waits that were long enough for a look at the clock, polling or asleep"),
    OTHER(sleep_time, "us", TIME, "time slept in waits"),
    OTHER(sleeps, "", COUNT, "sleeps in waits"),
    COUNT("wakes", "", wakes, "processes woken"),
    OTHER(steal_time, "us", TIME,
          "time that the hypervisor took from the machine's processors, all together, while they "
          "were "
          "wanted; known in ticks of mostly 10 ms"),
};

#define ROWS (sizeof(rows) / sizeof(rows[0]))

bool ferry_counter(unsigned index, ferry_counter_t *counter)
{
    if (index >= ROWS)
        return false;
    *counter = rows[index].shown;
    return true;
}

uint64_t ferry_counter_value(ferry_context_t *context, unsigned index)
{
    return index < ROWS ? rows[index].read(context, &rows[index]) : 0;
}
