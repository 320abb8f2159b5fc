/*
 * Waiting: what progress does when there is nothing to do.
 */
#include <sched.h>

#include "clock.h"
#include "config.h"
#include "internal.h"

/* Idle polls between two looks at the clock, and while processes share processors, before one
 * lets others run. Reading the clock costs about ten polls. */
#define POLLS_PER_LOOK 64
#define POLLS_WHEN_CROWDED 8

/* Idle calls further apart than this come from a program that computes in between: it is not waiting. */
#define GAP_NS 5000

/* For how long a process does not poll after it did so in vain: doubled so many times at most. */
#define VAIN_NS 1000000u
#define VAIN_MAX 5

/* How long a process sleeps before it looks around by itself, microseconds: longest, and where something
 * that it waits for can't wake it. */
#define SLEEP_US 10000
#define SLEEP_SHORT_US 100

#define HOUSEKEEPING_NS 100000000u

/* Peers to which no connection could be begun. */
static void say_lost(ferry_context_t *context)
{
    context->unsaid = false;
    for (uint32_t i = 0; i < context->peer_count; i++)
        if (context->peers[i]->error && !context->peers[i]->said)
            ferry_core_peer_lost(context->peers[i], context->peers[i]->error,
                                 "no connection to it can be made");
}

static void housekeep(ferry_context_t *context, uint64_t now)
{
    context->last_housekeeping_ns = now;
    if (context->unsaid)
        say_lost(context);
    for (unsigned i = 0; i < context->active_count; i++)
        if (context->active[i]->ops->housekeep)
            context->active[i]->ops->housekeep(context->active[i]);
}

/* Gives the processor to others that share it. sched_yield() alone would not: launchers make each process
 * a session of its own, and Linux shares processors between sessions first (autogroup). */
static void make_room(ferry_context_t *context)
{
    struct ferry_transport *transport = context->active[0];
    bool alone = context->active_count == 1 && !context->busy && !context->fetching;

    if (transport->ops->sleep)
        transport->ops->sleep(transport,
                              context->params.may_sleep && alone ? SLEEP_US : SLEEP_SHORT_US);
    else
        sched_yield();
}

bool ferry_is_crowded(ferry_context_t *context)
{
    struct ferry_transport *transport = context->active[0];

    return context->crowded && (!transport->ops->crowded || transport->ops->crowded(transport));
}

/* Polls for so long while it is allowed to; not again for a while when that was in vain, which is what it
 * is when the awaited process waits for this very processor. Returns whether to go on polling. */
static bool may_poll_on(ferry_context_t *context, uint64_t now)
{
    if (now < context->no_poll_until_ns)
        return false;
    if (now - context->idle_since_ns > ferry_config()->spin * 1000) {
        if (context->polling) {
            context->no_poll_until_ns = now + (VAIN_NS << context->vain);
            context->vain += context->vain < VAIN_MAX;
        }
        context->polling = false;
        return false;
    }
    context->polling = !ferry_is_crowded(context);
    return context->polling;
}

/* Nothing to do, in a job of more processes than processors. Only calls that follow each other closely are
 * a program's waiting. While the others sleep there is room to poll: to be woken takes long where the
 * processor fell idle meanwhile, in a virtual machine 50 us and more. */
static void idle_in_crowd(ferry_context_t *context)
{
    uint64_t now = ferry_now_ns();

    if (now - context->last_idle_ns > GAP_NS)
        context->idle = 1;
    context->last_idle_ns = now;
    if (context->idle == 1) {
        context->idle_since_ns = now;
        if (context->polling) /* and something came */
            context->vain = 0;
        context->polling = false;
    }
    if (context->idle <= POLLS_WHEN_CROWDED)
        return;
    if (!may_poll_on(context, now)) {
        make_room(context);
        context->last_idle_ns = ferry_now_ns();
    }
    if (context->last_idle_ns - context->last_housekeeping_ns > HOUSEKEEPING_NS)
        housekeep(context, context->last_idle_ns);
}

void ferry_idle(ferry_context_t *context)
{
    uint64_t now;

    context->idle++;
    if (context->crowded) {
        idle_in_crowd(context);
        return;
    }
    if (context->idle % POLLS_PER_LOOK)
        return;
    now = ferry_now_ns();
    if (context->idle == POLLS_PER_LOOK)
        context->idle_since_ns = now;
    else if (now - context->idle_since_ns > ferry_config()->spin * 1000)
        sched_yield();
    if (now - context->last_housekeeping_ns > HOUSEKEEPING_NS)
        housekeep(context, now);
}
