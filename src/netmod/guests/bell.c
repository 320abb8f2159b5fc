/*
 * Waking across virtual machines: an ivshmem-doorbell device that vfio-pci holds has a register by which another one's
 * interrupt is raised (QEMU's docs/specs/ivshmem-spec). That takes some hundred microseconds, so it ends long waits, and
 * carries nothing.
 *
 * Who wants to be rung says so in its seat, looks once more whether something is there, and sleeps. Who writes rings once.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"

#include "guests.h"

/* BAR 0, in words of 32 bits: the own number, and where another one's is written, above the number of its interrupt. */
#define REGISTERS 0u
#define POSITION 2
#define DOORBELL 3
#define NOWHERE UINT32_MAX /* the own number, before a server told it */

/* ---- The own bell ---- */

static int open_bell(struct ferry_guests *guests, struct ferry_guests_region *region)
{
    struct ferry_guests_bell *bell = &region->bell;
    volatile uint32_t *registers;
    int error;

    registers = ferry_vfio_map(&region->memory.vfio, REGISTERS, &bell->length);
    if (!registers)
        return -errno;
    bell->registers = registers;
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd < 0)
        return -errno;
    error = ferry_vfio_interrupt(&region->memory.vfio, bell->fd);
    if (error || registers[POSITION] == NOWHERE)
        return error ? error : -ENOTCONN;
    error = ferry_core_watch(guests->base.context, bell->fd);
    if (!error)
        atomic_store(&region->seat->bell, registers[POSITION] + 1);
    return error;
}

void ferry_guests_bell_open(struct ferry_guests *guests, struct ferry_guests_region *region)
{
    int error = region->memory.vfio_error;

    if (error == -ENODEV || (!error && !ferry_vfio_has_interrupt(&region->memory.vfio)))
        return;
    if (!error)
        error = open_bell(guests, region);
    if (!error)
        return;
    ferry_guests_bell_close(region);
    ferry_log(FERRY_LOG_INFO, "the doorbell of ivshmem %s can't be used, so this process polls: %s",
              region->memory.name, strerrordesc_np(-error));
}

void ferry_guests_bell_close(struct ferry_guests_region *region)
{
    struct ferry_guests_bell *bell = &region->bell;

    if (bell->registers)
        munmap((void *) bell->registers, bell->length);
    if (bell->fd >= 0)
        close(bell->fd);
    bell->registers = NULL;
    bell->fd = -1;
}

/* ---- Ringing ---- */

/* The peer's seat. */
static const struct ferry_commons_segment *place_of(const struct ferry_guests_endpoint *endpoint)
{
    struct ferry_guests *guests = ferry_guests_of(endpoint->base.transport);

    return &guests->members[endpoint->rank].at[endpoint->tx_region->index].place;
}

void ferry_guests_find_bell(struct ferry_guests_endpoint *endpoint)
{
    const struct ferry_commons_segment *place = place_of(endpoint);
    struct ferry_guests_seat *seat = place->memory;

    endpoint->bell = 0;
    if (endpoint->tx_region->bell.registers && seat && ferry_commons_holds(place))
        endpoint->bell = atomic_load(&seat->bell);
}

void ferry_guests_ring(struct ferry_guests_endpoint *endpoint)
{
    const struct ferry_commons_segment *place = place_of(endpoint);
    struct ferry_guests_seat *seat = place->memory;

    /* What was written before comes before the look; see ferry_guests_lie_down(). */
    atomic_thread_fence(memory_order_seq_cst);
    if (!atomic_load_explicit(&seat->sleeps, memory_order_relaxed) || !ferry_commons_holds(place) ||
        !atomic_exchange(&seat->sleeps, 0))
        return;
    endpoint->tx_region->bell.registers[DOORBELL] = (endpoint->bell - 1) << 16;
    ferry_core_has_woken(endpoint->base.transport->context);
}

/* ---- Sleeping ---- */

/* Whether a process can ring in all regions in which it may have a ring. */
static bool can_ring(const struct ferry_guests *guests, const struct ferry_guests_member *member)
{
    for (unsigned i = 0; i < guests->region_count; i++) {
        struct ferry_guests_seat *seat = member->at[i].place.memory;

        if ((member->in >> i & 1) &&
            (!guests->regions[i]->bell.registers || !atomic_load(&seat->bell)))
            return false;
    }
    return true;
}

/* Whether all who may send can. Several threads would have to agree on who sleeps. */
static bool may_sleep(struct ferry_guests *guests)
{
    const ferry_params_t *params = ferry_core_params(guests->base.context);
    bool may = !params->unlock;

    for (uint32_t rank = 0; rank < params->size && may; rank++) {
        struct ferry_guests_member *member = &guests->members[rank];

        may = !member->reached || ferry_peer_lost(member->peer) || can_ring(guests, member);
    }
    return may;
}

static bool has_come(struct ferry_guests *guests)
{
    const uint8_t *payload;
    struct ferry_head head;

    for (unsigned i = 0; i < guests->region_count; i++)
        if (atomic_load(&guests->regions[i]->seat->knocks) != guests->regions[i]->knocks)
            return true;
    for (uint32_t i = 0; i < guests->reader_count; i++)
        if (guests->readers[i]->reading &&
            ferry_ring_peek(&guests->readers[i]->rx, &head, &payload))
            return true;
    return false;
}

/* Says whether this process wants to be rung. */
static void say(struct ferry_guests *guests, uint32_t sleeps)
{
    guests->sleeps = sleeps;
    for (unsigned i = 0; i < guests->region_count; i++)
        if (guests->regions[i]->bell.registers && ferry_commons_holds(&guests->regions[i]->place))
            atomic_store(&guests->regions[i]->seat->sleeps, sleeps);
}

bool ferry_guests_lie_down(struct ferry_guests *guests)
{
    if (!may_sleep(guests))
        return false;
    say(guests, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (!has_come(guests))
        return true;
    say(guests, 0);
    return false;
}

void ferry_guests_get_up(struct ferry_guests *guests)
{
    uint64_t rings;

    say(guests, 0);
    for (unsigned i = 0; i < guests->region_count; i++)
        if (guests->regions[i]->bell.fd >= 0 &&
            read(guests->regions[i]->bell.fd, &rings, sizeof(rings)) < 0)
            continue; /* it woke by itself */
}
