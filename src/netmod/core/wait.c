/*
 * Waiting: what progress does when there is nothing to do. It polls for a while, then sleeps until somebody
 * wakes it, with a look around now and then.
 *
 * A caller that waits for a message may wait for something else, too, which wakes nobody. So a sleep is short against
 * the time that was waited already (PART): that is late by no more than this part. A caller that only looks
 * for messages between two steps of something else is delayed by every sleep, so it sleeps only when nothing has come for
 * long (LOOKING_NS), and then shortly.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "config.h"
#include "internal.h"
#include "watch.h"

/* Idle polls between two looks at the clock, which cost about ten polls; fewer where others may want the
 * processor: in a crowd, and after a word to somebody who may sleep. Powers of two. */
#define POLLS_PER_LOOK 64
#define POLLS_OFTEN FERRY_POLLS

/* In a job of more processes than processors, whom is waited for may only lack a processor: after the first polls it
 * is offered so many times. That is the quickest way to another process, but does not always lead there: each
 * rank may be a session or a container of its own, and Linux shares processors between these first. With the
 * polls before a multiple of them. */
#define YIELDS 24

/* Calls further apart than this, on average, come from a program that computes in between. */
#define GAP_NS 1000

/* For how long it polls at most in a job of more processes than processors, and where polling takes from the
 * processor time that the process has. About what it costs to be woken. */
#define SPIN_SHORT_NS 50000u

/* The kernel may have put whom it waits for behind it on its own processor, although another is idle: so while it polls
 * it offers the processor after so long, and at once after it has woken somebody, or may have by a message over the
 * network. After the former it polls no longer than to be woken and to answer takes. */
#define OFFER_NS 20000u
#define SPIN_WOKEN_NS 200000u

/* For how long who only looks is not made to sleep, where processors are not scarce anyhow. Its work may lie between two
 * looks, however little time passes there: what it was to send then comes late, and he who waits for that sleeps, too.
 * Longer than others of the same processor take their turns. */
#define LOOKING_NS 20000000u

/* For how long a process does not poll after it did so in vain: doubled so many times at most. */
#define VAIN_NS 1000000u
#define VAIN_MAX 5

/* A sleep lasts this part of the time waited; not less than the second or (where many want the processor) the
 * third, so that it is worth its cost, and not more than the fourth or (whose caller only looks) the fifth,
 * microseconds. */
#define PART 4
#define SLEEP_LEAST_US 50
#define SLEEP_LEAST_CROWDED_US 1000
#define SLEEP_MOST_US 100000
#define SLEEP_MOST_LOOKING_US 1000

/* The most where something that is waited for can't wake: room in a full ring; a copy that goes on; a
 * descriptor that told of something that then was not there. */
#define SLEEP_FULL_US 1000
#define SLEEP_SHORT_US 100
#define SLEEP_ALARMED_US 200

#define HOUSEKEEPING_NS 100000000u

/* ---- Rare work ---- */

/* Peers to which no connection could be begun. */
static void say_lost(ferry_context_t *context)
{
    context->unsaid = false;
    for (uint32_t i = 0; i < context->peer_count; i++)
        if (context->peers[i]->error && !context->peers[i]->said)
            ferry_core_peer_lost(context->peers[i], context->peers[i]->error,
                                 "no connection to it can be made");
}

/* From this part of the processors' time on, what the hypervisor takes of it counts; looked at so often. */
#define STEAL_PART 20u
#define STEAL_NS 1000000000u

static void look_at_steal(struct ferry_wait *wait, uint64_t now)
{
    uint64_t stolen, all;

    if (now - wait->steal_ns < STEAL_NS || !ferry_steal_time("", &stolen, &all))
        return;
    wait->is_stolen_from = wait->steal_ns &&
                           (stolen - wait->stolen_ticks) * STEAL_PART > all - wait->all_ticks;
    wait->stolen_ticks = stolen;
    wait->all_ticks = all;
    wait->steal_ns = now;
}

static void housekeep(ferry_context_t *context, uint64_t now)
{
    context->wait.housekeeping_ns = now;
    if (context->unsaid)
        say_lost(context);
    look_at_steal(&context->wait, now);
    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->ops->housekeep)
            context->active[i]->ops->housekeep(context->active[i]);
}

/* ---- Polling ---- */

void ferry_wait_init(ferry_context_t *context)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    context->wait = (struct ferry_wait){
        .housekeeping_ns = ferry_now_ns(),
        .epoll = -1,
        .nudge = -1,
        .quota = ferry_quota(""),
        .processors = processors > 0 ? (uint32_t) processors : 1,
        .stolen_before_us = ferry_stolen_us("", 0),
    };
    ferry_core_shares(context, false, 1);
}

void ferry_wait_close(ferry_context_t *context)
{
    if (context->wait.watch)
        ferry_watch_close(context->wait.watch);
    if (context->wait.epoll >= 0)
        close(context->wait.epoll);
    if (context->wait.nudge >= 0)
        close(context->wait.nudge);
    context->wait.watch = NULL;
    context->wait.epoll = context->wait.nudge = -1;
}

const struct ferry_quota *ferry_core_quota(ferry_context_t *context)
{
    return &context->wait.quota;
}

void ferry_core_shares(ferry_context_t *context, bool crowded, uint32_t in_quota)
{
    struct ferry_wait *wait = &context->wait;

    wait->crowded = crowded;
    wait->starved = wait->quota.milli && wait->quota.milli < in_quota * 1000u;
}

bool ferry_is_crowded(ferry_context_t *context)
{
    struct ferry_transport *transport = context->active[0];

    return context->wait.starved || (context->wait.crowded && (!transport->ops->crowded ||
                                                               transport->ops->crowded(transport)));
}

static uint64_t spin_ns(const struct ferry_wait *wait)
{
    uint64_t spin = ferry_config()->spin * 1000;
    bool is_dear = wait->starved || wait->is_stolen_from || wait->crowded;
    uint64_t most = is_dear ? SPIN_SHORT_NS : wait->is_brief ? SPIN_WOKEN_NS : spin;

    return spin < most ? spin : most;
}

/* Whether polling takes the processor from nobody. */
static bool has_room(ferry_context_t *context, uint64_t now)
{
    struct ferry_wait *wait = &context->wait;

    if (wait->crowded)
        return !ferry_is_crowded(context);
    /* Nobody of this job wants it: most waits are over before it pays to ask whether others do. */
    return now - wait->since_ns < SPIN_SHORT_NS ||
           ferry_processors_free(&wait->load, wait->processors, now);
}

/* Polls for so long while it is allowed to. Not again for a while when that was in vain, which is what it
 * is when the awaited process waits for this very processor. Returns whether to go on polling. While the
 * others sleep there is room to poll: to be woken takes long where the processor fell idle meanwhile, in a
 * virtual machine 50 us and more. */
static bool may_poll_on(ferry_context_t *context, bool waits, uint64_t now)
{
    struct ferry_wait *wait = &context->wait;

    if (!waits && !wait->crowded && !wait->starved && now - wait->since_ns < LOOKING_NS) {
        if (!has_room(context, now))
            sched_yield();
        return true;
    }
    if (now < wait->no_poll_until_ns)
        return false;
    if (now - wait->since_ns > spin_ns(wait)) {
        if (wait->polling && wait->crowded) {
            wait->no_poll_until_ns = now + (VAIN_NS << wait->vain);
            wait->vain += wait->vain < VAIN_MAX;
        }
        wait->polling = false;
        return false;
    }
    wait->polling = has_room(context, now);
    if (wait->polling && (wait->offers || now - wait->since_ns > OFFER_NS))
        sched_yield();
    return wait->polling;
}

/* ---- Sleeping ---- */

int ferry_core_watch(ferry_context_t *context, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (context->wait.epoll < 0)
        context->wait.epoll = epoll_create1(EPOLL_CLOEXEC);
    return context->wait.epoll < 0 || epoll_ctl(context->wait.epoll, EPOLL_CTL_ADD, fd, &event)
               ? -errno
               : 0;
}

/* The transport in whose memory the process sleeps, if there is one. */
static struct ferry_transport *sleeper(ferry_context_t *context)
{
    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->sleeps)
            return context->active[i];
    return NULL;
}

static void rouse(void *arg)
{
    struct ferry_transport *transport = arg;

    transport->ops->rouse(transport);
}

void ferry_core_rouse(ferry_context_t *context)
{
    struct ferry_transport *transport = sleeper(context);
    const uint64_t one = 1;

    if (!context->wait.sleepers)
        return;
    if (transport)
        rouse(transport);
    else if (context->wait.nudge >= 0)
        while (write(context->wait.nudge, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
}

/* Who sleeps in shared memory has somebody else watch the descriptors. */
static struct ferry_watch *watch_of(ferry_context_t *context)
{
    struct ferry_wait *wait = &context->wait;

    if (!wait->watch && wait->epoll >= 0)
        wait->watch = ferry_watch_open(wait->epoll, rouse, sleeper(context));
    return wait->watch;
}

/* Of this thread: others of the process may await something else. */
static _Thread_local struct {
    bool (*is_there)(void *arg);
    void *arg;
} awaited;

void ferry_wait_for(bool (*is_there)(void *arg), void *arg)
{
    awaited.is_there = is_there;
    awaited.arg = arg;
}

bool ferry_core_falls_asleep(ferry_context_t *context)
{
    struct ferry_watch *watch = context->wait.alarmed ? NULL : watch_of(context);

    if (watch)
        ferry_watch_arm(watch);
    return awaited.is_there && awaited.is_there(awaited.arg);
}

bool ferry_core_release(ferry_context_t *context, unsigned *microseconds)
{
    const ferry_params_t *params = &context->params;

    if (!params->unlock)
        return false;
    if (params->unlock(params->user))
        return true;
    if (*microseconds > SLEEP_SHORT_US)
        *microseconds = SLEEP_SHORT_US;
    return false;
}

void ferry_core_acquire(ferry_context_t *context)
{
    context->params.lock(context->params.user);
}

static void limit(uint64_t *microseconds, uint64_t most)
{
    if (*microseconds > most)
        *microseconds = most;
}

static unsigned sleep_us(ferry_context_t *context, bool waits, bool in_memory, uint64_t now)
{
    struct ferry_wait *wait = &context->wait;
    uint64_t us = (now - wait->since_ns) / 1000 / PART;
    bool is_dear = waits && (wait->crowded || wait->starved);
    uint64_t least = is_dear ? SLEEP_LEAST_CROWDED_US : SLEEP_LEAST_US;

    if (us < least)
        us = least;
    limit(&us, waits ? SLEEP_MOST_US : SLEEP_MOST_LOOKING_US);
    if (wait->until_ns)
        limit(&us, now < wait->until_ns ? (wait->until_ns - now) / 1000 + 1 : 0);
    if (context->busy)
        limit(&us, SLEEP_FULL_US);
    if (context->fetching)
        limit(&us, SLEEP_SHORT_US);
    if (wait->alarmed || (in_memory && wait->epoll >= 0 && !watch_of(context)))
        limit(&us, SLEEP_ALARMED_US);
    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->ops->patience)
            limit(&us, context->active[i]->ops->patience(context->active[i]));
    return (unsigned) us;
}

/* By which other threads of this process wake one that sleeps on descriptors. */
static void open_nudge(ferry_context_t *context)
{
    struct ferry_wait *wait = &context->wait;

    if (!context->params.unlock || wait->nudge >= 0)
        return;
    wait->nudge = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wait->nudge >= 0)
        ferry_core_watch(context, wait->nudge);
}

static bool moves(ferry_context_t *context)
{
    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->moves)
            return true;
    return false;
}

/* A descriptor that tells of what then is not there must not keep the process awake. */
static void sleep_on_descriptors(ferry_context_t *context, unsigned microseconds)
{
    struct ferry_wait *wait = &context->wait;
    struct timespec timeout;
    struct pollfd fd;
    uint64_t nudges;
    bool released;

    open_nudge(context);
    fd = (struct pollfd){.fd = wait->alarmed ? -1 : wait->epoll, .events = POLLIN};
    released = ferry_core_release(context, &microseconds);
    timeout = (struct timespec){.tv_nsec = microseconds * 1000L};
    if (ppoll(&fd, 1, &timeout, NULL) <= 0)
        fd.revents = 0;
    if (released)
        ferry_core_acquire(context);
    wait->alarmed = fd.revents && (wait->nudge < 0 || read(wait->nudge, &nudges, 8) < 0);
    /* A part of a long message, maybe: the next ones are polled for. */
    if (wait->alarmed && moves(context)) {
        uint64_t now = ferry_now_ns();

        wait->past_ns += now - wait->since_ns;
        wait->since_ns = now;
        wait->alarmed = false;
    }
}

static void rest(ferry_context_t *context, bool waits, uint64_t now)
{
    struct ferry_transport *transport = sleeper(context);
    unsigned microseconds = sleep_us(context, waits, transport, now);

    if (!microseconds)
        return;
    context->wait.sleepers++;
    context->wait.sleeps++;
    if (transport)
        transport->ops->sleep(transport, microseconds);
    else
        sleep_on_descriptors(context, microseconds);
    context->wait.sleepers--;
}

/* ---- Both ---- */

static void begin(struct ferry_wait *wait, uint64_t now)
{
    wait->past_ns += wait->last_ns - wait->since_ns;
    wait->since_ns = now;
    if (wait->polling) /* and something came */
        wait->vain = 0;
    wait->polling = wait->resting = wait->alarmed = false;
    wait->is_brief = wait->has_woken;
    wait->offers = wait->has_called;
    wait->has_woken = wait->has_called = false;
}

uint64_t ferry_wait_ns(const ferry_context_t *context)
{
    return context->wait.past_ns + context->wait.last_ns - context->wait.since_ns;
}

void ferry_core_has_woken(ferry_context_t *context)
{
    context->wait.has_woken = context->wait.has_called = true;
    context->counts.wakes++;
}

void ferry_core_has_called(ferry_context_t *context)
{
    context->wait.has_called = true;
}

void ferry_idle(ferry_context_t *context, bool waits)
{
    struct ferry_wait *wait = &context->wait;
    bool often = wait->crowded || wait->starved || wait->has_called || wait->offers;
    uint32_t polls = often ? POLLS_OFTEN : POLLS_PER_LOOK;
    uint32_t first = wait->crowded ? polls + YIELDS : polls;
    uint64_t now;

    if (context->idle < first) {
        wait->resting = false;
        if (context->idle > polls)
            sched_yield();
        return;
    }
    if ((context->idle & (polls - 1)) && !(waits && wait->resting))
        return;
    now = ferry_now_ns();
    if (context->idle == first || (!waits && now - wait->last_ns > GAP_NS * polls))
        begin(wait, now);
    wait->last_ns = now;
    if (now - wait->housekeeping_ns > HOUSEKEEPING_NS)
        housekeep(context, now);
    if (may_poll_on(context, waits, now))
        return;
    wait->resting = true;
    rest(context, waits, now);
    wait->last_ns = ferry_now_ns();
    wait->slept_ns += wait->last_ns - now;
}

void ferry_pass(ferry_context_t *context)
{
    uint64_t now;

    if (++context->passes % POLLS_PER_LOOK)
        return;
    now = ferry_now_ns();
    if (now - context->wait.housekeeping_ns > HOUSEKEEPING_NS)
        housekeep(context, now);
    /* It may wait for others after all, in its own way. */
    if (context->wait.crowded || context->wait.starved)
        sched_yield();
}
