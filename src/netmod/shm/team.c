/*
 * Teams: memory of a node in which processes that go through the same steps see each other's steps and data.
 */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>

#include "shm.h"

/* ---- In the segment: a line for each member, one for all, then the areas ---- */

struct line {
    alignas(64) _Atomic uint32_t steps;
    /* What the member waits for while it sleeps: steps of one member or of FERRY_TEAM_ALL; of NOBODY: of none */
    _Atomic uint32_t wanted_steps, wanted_member;
};

struct common {
    alignas(64) _Atomic uint32_t left; /* members that have */
};

#define NOBODY (FERRY_TEAM_ALL - 1)

struct member {
    ferry_peer_t *peer;
    uint32_t rank;
    _Atomic uint32_t *asleep;
};

struct ferry_team {
    struct ferry_shm *shm;
    struct ferry_extent extent;
    struct line *lines;
    struct common *common;
    uint8_t *areas;
    size_t room;
    uint32_t count, index, steps;
    uint32_t all_made; /* so many steps, as last seen */
    bool fences;
    struct member member[];
};

static size_t padded(size_t room)
{
    return (room + 63) & ~(size_t) 63;
}

static size_t length_of(uint32_t members, size_t room)
{
    return members * (sizeof(struct line) + padded(room)) + sizeof(struct common);
}

/* ---- Making, joining, leaving ---- */

int ferry_team_make(ferry_context_t *context, uint32_t members, size_t room, uint64_t *name)
{
    struct ferry_shm *shm = ferry_shm_with_node(context);
    size_t length = length_of(members, room);
    struct line *lines;
    void *memory;
    int error;

    if (!shm)
        return -ENOTSUP;
    if (ferry_shm_is_scarce(shm->node, length))
        return -ENOSPC;
    error = ferry_board_alloc(shm->node, length, name, &memory);
    if (error)
        return error;
    lines = memory;
    for (uint32_t i = 0; i < members; i++)
        atomic_init(&lines[i].wanted_member, NOBODY);
    ferry_board_unmap(memory, length);
    return 0;
}

void ferry_team_unmake(ferry_context_t *context, uint32_t members, size_t room, uint64_t name)
{
    struct ferry_shm *shm = ferry_shm_with_node(context);

    if (shm)
        ferry_board_drop(shm->node, name, length_of(members, room));
}

static void find_members(ferry_team_t *team, ferry_peer_t *const *peers)
{
    struct ferry_shm *shm = team->shm;

    for (uint32_t i = 0; i < team->count; i++) {
        struct member *member = &team->member[i];

        member->peer = peers[i];
        member->rank = (uint32_t) ferry_peer_rank(peers[i]);
        member->asleep = ferry_board_asleep(shm->node, member->rank);
        team->fences = team->fences || ferry_shm_needs_fence(shm, member->rank);
    }
}

int ferry_team_join(ferry_context_t *context, uint64_t name, uint32_t members, size_t room,
                    ferry_peer_t *const *peers, uint32_t index, ferry_team_t **out)
{
    struct ferry_shm *shm = ferry_shm_with_node(context);
    ferry_team_t *team;
    int error;

    if (!shm)
        return -ENOTSUP;
    for (uint32_t i = 0; i < members; i++)
        if (ferry_peer_node(peers[i]) != ferry_peer_node(peers[index]))
            return -ENOTSUP;
    team = calloc(1, sizeof(*team) + members * sizeof(team->member[0]));
    if (!team)
        return -ENOMEM;
    *team = (ferry_team_t){.shm = shm,
                           .extent = {.offset = name, .length = length_of(members, room)},
                           .room = padded(room),
                           .count = members,
                           .index = index};
    error = ferry_board_map(shm->node, name, team->extent.length, &team->extent.memory);
    if (error) {
        free(team);
        return error;
    }
    team->lines = team->extent.memory;
    team->common = (struct common *) &team->lines[members];
    team->areas = (uint8_t *) (team->common + 1);
    find_members(team, peers);
    *out = team;
    return 0;
}

/* The memory goes with the last: a slow member may still read what others wrote. */
void ferry_team_leave(ferry_team_t *team)
{
    bool last = atomic_fetch_add(&team->common->left, 1) + 1 == team->count;

    ferry_board_unmap(team->extent.memory, team->extent.length);
    if (last)
        ferry_board_drop(team->shm->node, team->extent.offset, team->extent.length);
    free(team);
}

void *ferry_team_area(ferry_team_t *team, uint32_t index)
{
    return team->areas + index * team->room;
}

/* ---- Steps ---- */

static bool has_made(const ferry_team_t *team, uint32_t index, uint32_t steps)
{
    uint32_t made = atomic_load_explicit(&team->lines[index].steps, memory_order_acquire);

    return (int32_t) (made - steps) >= 0;
}

static bool have_all_made(const ferry_team_t *team, uint32_t steps)
{
    for (uint32_t i = 0; i < team->count; i++)
        if (!has_made(team, i, steps))
            return false;
    return true;
}

/* A member sleeps: wakes it where this step was the last that it waits for. */
static void wake(ferry_team_t *team, uint32_t index)
{
    struct line *line = &team->lines[index];
    uint32_t member = atomic_load_explicit(&line->wanted_member, memory_order_relaxed);
    uint32_t steps = atomic_load_explicit(&line->wanted_steps, memory_order_relaxed);

    if (member != team->index && member != FERRY_TEAM_ALL)
        return;
    /* Of two that make the last steps at the same time one must see both. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!has_made(team, team->index, steps) ||
        (member == FERRY_TEAM_ALL && !have_all_made(team, steps)))
        return;
    ferry_board_wake(team->shm->node, team->member[index].rank);
    ferry_core_has_woken(team->shm->base.context);
}

uint32_t ferry_team_step(ferry_team_t *team)
{
    atomic_store_explicit(&team->lines[team->index].steps, ++team->steps, memory_order_release);
    /* As after a message: by a fence here, or by the one of the sleeper. */
    if (__builtin_expect(team->fences, 0))
        atomic_thread_fence(memory_order_seq_cst);
    else
        atomic_signal_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < team->count; i++)
        if (i != team->index &&
            __builtin_expect(atomic_load_explicit(team->member[i].asleep, memory_order_acquire), 0))
            wake(team, i);
    return team->steps;
}

struct waiting {
    ferry_team_t *team;
    uint32_t member, steps;
    uint32_t at, end; /* members that were not seen there yet */
    int error;
};

static bool is_there(void *arg)
{
    struct waiting *waiting = arg;
    ferry_team_t *team = waiting->team;

    for (; waiting->at < waiting->end; waiting->at++) {
        if (has_made(team, waiting->at, waiting->steps))
            continue;
        if (__builtin_expect(ferry_peer_lost(team->member[waiting->at].peer), 0))
            waiting->error = -ECONNRESET;
        return waiting->error;
    }
    return true;
}

int ferry_team_await(ferry_team_t *team, uint32_t member, uint32_t steps)
{
    struct line *own = &team->lines[team->index];
    bool all = member == FERRY_TEAM_ALL;
    struct waiting waiting = {.team = team,
                              .member = member,
                              .steps = steps,
                              .at = all ? 0 : member,
                              .end = all ? team->count : member + 1};

    if (all && (int32_t) (team->all_made - steps) >= 0)
        return 0;
    if (!is_there(&waiting)) {
        atomic_store_explicit(&own->wanted_steps, steps, memory_order_relaxed);
        atomic_store_explicit(&own->wanted_member, member, memory_order_relaxed);
        ferry_core_await(team->shm->base.context, is_there, &waiting);
        atomic_store_explicit(&own->wanted_member, NOBODY, memory_order_relaxed);
    }
    if (all && !waiting.error)
        team->all_made = steps;
    return waiting.error;
}
