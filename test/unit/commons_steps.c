/*
 * The commons' own code, run by several actors in one thread, with a switch from one to another between any two accesses to
 * the region: all schedules with a bounded number of switches that nobody asked for. Most mistakes in such code
 * show with two (Musuvathi and Qadeer, PLDI 2007). What processors reorder does not show here.
 *
 *   commons_steps             two or three of them
 *   commons_steps SWITCHES    so many, up to 4
 *
 * An actor is a process, or the end of a lease, which may come at any moment. In small: three blocks of 64 bytes.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "auth.h"
#include "clock.h"

static void step(void);
static void numbers(void *to, size_t length);
#define FERRY_COMMONS_STEP() step()
#define ferry_random numbers
#include "commons_blocks.c"
#include "commons_head.c"
#include "commons_layout.c"
#include "commons_owners.c"

#define ACTORS_MAX 4
#define SWITCHES_MAX 4
#define HELD_MAX 4
#define STACK 65536
#define BLOCK 64u
#define BLOCKS 3u
#define ENTRIES 3u

/* ---- The scheduler ---- */

struct actor {
    void (*body)(struct actor *actor);
    ucontext_t context;
    char stack[STACK];
    bool done;
    struct ferry_commons *commons;
    struct ferry_commons_segment held[HELD_MAX];
    unsigned held_count;
};

static struct actor actors[ACTORS_MAX];
static unsigned count, now, steps, switches;
static struct {
    unsigned at, to;
} plan[SWITCHES_MAX];
#define STEPS_MAX 1000

static unsigned char who[STEPS_MAX]; /* ran at each step of the last run */
static ucontext_t scheduler;
static unsigned long runs;
static void (*inspect)(void);
static char wrong[256];

static void step(void)
{
    if (!runs)
        return;
    inspect();
    swapcontext(&actors[now].context, &scheduler);
}

static void run_body(void)
{
    actors[now].body(&actors[now]);
    actors[now].done = true;
}

static void set_up_actor(unsigned i)
{
    ucontext_t *context = &actors[i].context;

    actors[i].done = false;
    getcontext(context);
    context->uc_stack.ss_sp = actors[i].stack;
    context->uc_stack.ss_size = STACK;
    context->uc_link = &scheduler;
    makecontext(context, run_body, 0);
}

/* One run. Without a switch in the plan an actor goes on until it is done. */
static void run_plan(unsigned planned)
{
    unsigned next = 0;

    now = 0;
    steps = 0;
    switches = planned;
    for (unsigned i = 0; i < count; i++)
        set_up_actor(i);
    for (;;) {
        if (next < planned && plan[next].at == steps)
            now = plan[next++].to;
        for (unsigned i = 0; actors[now].done && i < count; i++)
            now = i;
        if (actors[now].done)
            break;
        who[steps++] = (unsigned char) now;
        swapcontext(&scheduler, &actors[now].context);
        if (steps == STEPS_MAX) {
            snprintf(wrong, sizeof(wrong), "no end");
            break;
        }
    }
    runs++;
}

static void (*begin)(void), (*end)(void);

static void show_plan(void)
{
    char text[128] = "";

    for (unsigned i = 0; i < switches; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), " to %u at step %u", plan[i].to,
                 plan[i].at);
    fail_msg("%s; switches:%s", wrong, text);
}

static void explore(unsigned planned, unsigned most)
{
    unsigned char went[STEPS_MAX];
    unsigned length;

    begin();
    run_plan(planned);
    end();
    if (wrong[0])
        show_plan();
    if (planned == most)
        return;
    length = steps;
    memcpy(went, who, length);
    for (unsigned at = planned ? plan[planned - 1].at + 1 : 0; at < length; at++)
        for (unsigned to = 0; to < count; to++) {
            if (to == went[at])
                continue;
            plan[planned].at = at;
            plan[planned].to = to;
            explore(planned + 1, most);
        }
}

/* ---- A small region ---- */

static struct {
    struct ferry_commons_head head;
    struct ferry_commons_entry entries[ENTRIES];
    struct ferry_commons_block blocks[BLOCKS];
    char memory[BLOCKS * BLOCK];
} small;

static struct ferry_commons all[ACTORS_MAX];
static struct ferry_commons_seen seen[ACTORS_MAX][ENTRIES];
static uint64_t number;

/* Numbers of which none comes twice. */
static void numbers(void *to, size_t length)
{
    for (size_t i = 0; i < length / sizeof(number); i++) {
        number += 0x9e3779b97f4a7c15u;
        memcpy((char *) to + i * sizeof(number), &number, sizeof(number));
    }
}

static void new_process(unsigned i)
{
    struct ferry_commons *commons = &all[i];

    *commons = (struct ferry_commons){
        .layout = {.size = sizeof(small),
                   .block = BLOCK,
                   .blocks = BLOCKS,
                   .entries = ENTRIES,
                   .entries_at = offsetof(typeof(small), entries),
                   .blocks_at = offsetof(typeof(small), blocks),
                   .memory_at = offsetof(typeof(small), memory)},
        .memory = (char *) &small,
        .entries = small.entries,
        .blocks = small.blocks,
        .pid = 1,
        .nonce = {i + 1, i + 100},
        .lease_ms = i ? 60000 : 1000,
        .seen = seen[i],
    };
    pthread_mutex_init(&commons->lock, NULL);
    memset(seen[i], 0, sizeof(seen[i]));
    actors[i].commons = commons;
    actors[i].held_count = 0;
}

/* An empty region, and so many owners. Done before the actors begin. */
static void new_region(unsigned owners)
{
    unsigned long before = runs;

    runs = 0; /* no steps */
    memset(&small, 0, sizeof(small));
    for (unsigned i = 0; i < ACTORS_MAX; i++)
        new_process(i);
    for (unsigned i = 0; i < owners; i++)
        if (ferry_commons_claim(&all[i]) || ferry_commons_begin(&all[i]))
            snprintf(wrong, sizeof(wrong), "no entry");
    runs = before ? before : 1;
}

static void take(struct actor *actor, size_t length)
{
    struct ferry_commons_segment *segment = &actor->held[actor->held_count];

    if (ferry_commons_alloc(actor->commons, length, segment) == 0)
        actor->held_count++;
}

static void give_up(struct actor *actor, unsigned i)
{
    struct ferry_commons_segment segment = actor->held[i];

    actor->held[i] = actor->held[--actor->held_count];
    ferry_commons_free(actor->commons, &segment);
}

/* Writes a letter all over a segment, as one should. */
static void write_to(struct actor *actor, struct ferry_commons_segment *segment, char letter)
{
    bool held = ferry_commons_holds(segment);

    if (held) {
        step(); /* here it may be paused for long */
        memset(segment->memory, letter, segment->name.length);
    }
    step();
    if (!ferry_commons_holds(segment))
        ferry_commons_confess(actor->commons, segment);
}

static char letter_of(const struct actor *actor)
{
    return (char) ('A' + (actor - actors));
}

/* No two processes believe in the same space. */
static void nothing_is_held_twice(void)
{
    for (unsigned a = 0; a < count; a++)
        for (unsigned b = 0; b < a; b++)
            for (unsigned i = 0; i < actors[a].held_count; i++)
                for (unsigned k = 0; k < actors[b].held_count; k++) {
                    struct ferry_commons_segment *x = &actors[a].held[i], *y = &actors[b].held[k];

                    if (x->name.offset < y->name.offset + y->name.length &&
                        y->name.offset < x->name.offset + x->name.length &&
                        ferry_commons_holds(x) && ferry_commons_holds(y))
                        snprintf(wrong, sizeof(wrong), "held twice");
                }
}

/* What is held holds what its owner wrote last. */
static void all_is_as_written(void)
{
    for (unsigned a = 0; a < count; a++)
        for (unsigned i = 0; i < actors[a].held_count; i++) {
            struct ferry_commons_segment *segment = &actors[a].held[i];
            const char *memory = segment->memory;

            if (!ferry_commons_holds(segment))
                continue;
            for (size_t k = 0; k < segment->name.length; k++)
                if (memory[k] != letter_of(&actors[a]))
                    snprintf(wrong, sizeof(wrong), "%c holds what %c wrote", letter_of(&actors[a]),
                             memory[k] ? memory[k] : '0');
        }
}

/* When all have given back, nothing is in use. */
static void nothing_is_lost(void)
{
    struct ferry_commons_usage usage;
    unsigned long before = runs;

    runs = 0;
    for (unsigned a = 0; a < count; a++)
        while (actors[a].held_count > 0)
            give_up(&actors[a], 0);
    ferry_commons_usage(&all[0], &usage);
    if (usage.free != usage.total)
        snprintf(wrong, sizeof(wrong), "%d bytes are lost", (int) (usage.total - usage.free));
    runs = before;
}

static unsigned asked_for;

static void explore_all(unsigned number_of_actors, unsigned most)
{
    unsigned long before = runs = 1;

    if (asked_for)
        most = asked_for;
    count = number_of_actors;
    wrong[0] = 0;
    explore(0, most);
    printf("%lu schedules\n", runs - before);
}

/* ---- Two that take and give back ---- */

static void body_one(struct actor *actor)
{
    take(actor, 2 * BLOCK);
    if (actor->held_count) {
        write_to(actor, &actor->held[0], letter_of(actor));
        give_up(actor, 0);
    }
    take(actor, BLOCK);
    if (actor->held_count)
        write_to(actor, &actor->held[0], letter_of(actor));
}

static void body_two(struct actor *actor)
{
    take(actor, 2 * BLOCK);
    if (actor->held_count)
        write_to(actor, &actor->held[0], letter_of(actor));
}

static void begin_two(void)
{
    new_region(2);
    actors[0].body = body_one;
    actors[1].body = body_two;
}

static void end_two(void)
{
    all_is_as_written();
    /* There is room for one of one and one of two blocks; at worst each hinders the other. */
    if (!actors[0].held_count && !actors[1].held_count)
        snprintf(wrong, sizeof(wrong), "neither got anything");
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < actors[i].held_count; k++)
            if (!ferry_commons_holds(&actors[i].held[k]))
                snprintf(wrong, sizeof(wrong), "taken away from one who lives");
    nothing_is_lost();
}

static void two_take_and_give_back(void **state)
{
    begin = begin_two;
    end = end_two;
    inspect = nothing_is_held_twice;
    explore_all(2, 3);
}

/* ---- One loses its entry at any moment; another takes what it can ---- */

static void body_paused(struct actor *actor)
{
    take(actor, 2 * BLOCK);
    if (actor->held_count)
        write_to(actor, &actor->held[0], letter_of(actor));
    take(actor, BLOCK);
    if (actor->held_count)
        write_to(actor, &actor->held[actor->held_count - 1], letter_of(actor));
}

static void body_lease(struct actor *actor)
{
    ferry_word_swap(&ferry_commons_entry(&all[0])->state, all[0].lives,
                    ferry_entry_state(all[0].generation, FERRY_ENTRY_SILENT));
}

static void begin_lease(void)
{
    new_region(2);
    actors[0].body = body_paused;
    actors[1].body = body_two;
    actors[2].body = body_lease;
}

static void end_lease(void)
{
    all_is_as_written();
    nothing_is_lost();
}

static void a_lease_ends(void **state)
{
    begin = begin_lease;
    end = end_lease;
    inspect = nothing_is_held_twice;
    explore_all(3, 3);
}

/* ---- One writes late into a segment of another, who frees it and takes the next ---- */

static struct ferry_commons_name offered;

static void body_guest(struct actor *actor)
{
    struct ferry_commons_segment segment;

    if (ferry_commons_attach(actor->commons, &offered, &segment) == 0)
        write_to(actor, &segment, letter_of(&actors[0]) + 32);
}

static void body_host(struct actor *actor)
{
    give_up(actor, 0);
    take(actor, 3 * BLOCK);
    if (actor->held_count)
        write_to(actor, &actor->held[0], letter_of(actor));
}

static void begin_guest(void)
{
    unsigned long before;

    new_region(2);
    before = runs;
    runs = 0;
    take(&actors[0], 2 * BLOCK);
    runs = before;
    offered = actors[0].held[0].name;
    actors[0].body = body_host;
    actors[1].body = body_guest;
}

static void a_peer_writes_late(void **state)
{
    begin = begin_guest;
    end = end_lease;
    inspect = nothing_is_held_twice;
    explore_all(2, 3);
}

/* ---- Entries: several come at once, and one that is being filled in is taken away ---- */

static bool came[ACTORS_MAX];

static void body_comes(struct actor *actor)
{
    came[actor - actors] = ferry_commons_claim(actor->commons) == 0 &&
                           ferry_commons_begin(actor->commons) == 0;
}

/* Takes every entry from whoever is filling it in just now. */
static void body_takes_away(struct actor *actor)
{
    for (unsigned i = 0; i < ENTRIES; i++) {
        uint64_t state = ferry_word(&small.entries[i].state);

        if ((state & 0xff) == FERRY_ENTRY_CLAIMED)
            ferry_word_swap(&small.entries[i].state, state,
                            ferry_entry_state(state >> 8, FERRY_ENTRY_SILENT));
    }
}

static void begin_entries(void)
{
    new_region(0);
    memset(came, 0, sizeof(came));
    for (unsigned i = 0; i < 2; i++) {
        actors[i].body = body_comes;
        all[i].nonce[0] = (i + 1) * ENTRIES; /* both want the same entry */
    }
    actors[2].body = body_takes_away;
}

static void inspect_entries(void)
{
    unsigned long before = runs;
    struct ferry_commons_owner self;

    runs = 0;
    for (unsigned i = 0; i < 2; i++) {
        self.tag = ferry_commons_tag(all[i].generation, all[i].index);
        memcpy(self.nonce, all[i].nonce, sizeof(self.nonce));
        if (came[i] && ferry_commons_state(&all[2], &self) != FERRY_COMMONS_LIVES)
            snprintf(wrong, sizeof(wrong), "an owner's entry is not its own");
    }
    for (unsigned i = 0; i < 2; i++)
        if (came[i] && (small.entries[all[i].index].lease & UINT32_MAX) != all[i].lease_ms)
            snprintf(wrong, sizeof(wrong), "an owner's lease is not its own");
    if (came[0] && came[1] && all[0].index == all[1].index)
        snprintf(wrong, sizeof(wrong), "two have the same entry");
    runs = before;
}

static void end_entries(void)
{
    inspect_entries();
}

static void several_come(void **state)
{
    begin = begin_entries;
    end = end_entries;
    inspect = inspect_entries;
    explore_all(3, 2);
}

/* ---- Two that judge a third, whose lease is over, while it leaves and another comes ---- */

static void body_judge(struct actor *actor)
{
    struct ferry_commons *commons = actor->commons;

    commons->index = ENTRIES; /* has no entry itself */
    ferry_commons_judge(commons, 100000000000000u);
}

static void body_leaves(struct actor *actor)
{
    ferry_commons_end(actor->commons);
}

static void begin_judges(void)
{
    unsigned long before;

    new_region(1);
    before = runs;
    runs = 0;
    for (unsigned i = 2; i < 4; i++) {
        all[i].index = ENTRIES;
        ferry_commons_judge(&all[i], 1000);
        seen[i][all[0].index].silent_ns = 61000000000u;
    }
    runs = before;
    memset(came, 0, sizeof(came));
    all[1].nonce[0] = ENTRIES + all[0].index;
    actors[0].body = body_leaves;
    actors[1].body = body_comes;
    actors[2].body = body_judge;
    actors[3].body = body_judge;
}

static void end_judges(void)
{
    struct ferry_commons_owner self;
    unsigned long before = runs;

    runs = 0;
    self.tag = ferry_commons_tag(all[1].generation, all[1].index);
    memcpy(self.nonce, all[1].nonce, sizeof(self.nonce));
    if (!came[1] || ferry_commons_state(&all[2], &self) != FERRY_COMMONS_LIVES)
        snprintf(wrong, sizeof(wrong), "the new one was taken for the old one");
    if (ferry_word(&small.entries[all[0].index].state) == all[0].lives)
        snprintf(wrong, sizeof(wrong), "the old one lives for ever");
    runs = before;
}

static void nothing(void)
{
}

static void two_judge(void **state)
{
    begin = begin_judges;
    end = end_judges;
    inspect = nothing;
    explore_all(4, 2);
}

/* ---- Formatting ---- */

static char *region;
static int found[ACTORS_MAX];
static struct ferry_commons_layout layouts[ACTORS_MAX];

/* The look for zeros is long, and no step of it is interesting. */
static void body_finds(struct actor *actor)
{
    unsigned i = (unsigned) (actor - actors);
    char why[256];

    found[i] = ferry_commons_found(region, FERRY_COMMONS_LEAST + i * 65536, &layouts[i], why,
                                   sizeof(why));
    if (found[i] == 0)
        region[FERRY_COMMONS_LEAST - 5] = 'x';
}

static void begin_format(void)
{
    memset(region, 0, 4096);
    region[FERRY_COMMONS_LEAST - 5] = 0;
    for (unsigned i = 0; i < 3; i++)
        actors[i].body = body_finds;
}

static void end_format(void)
{
    for (unsigned i = 0; i < 3; i++) {
        /* One that has mapped less than who was first is told so. */
        if (found[i] != 0 && found[i] != -EPROTO)
            snprintf(wrong, sizeof(wrong), "%u found %d", i, found[i]);
        if (found[i] == 0 && found[2] == 0 &&
            memcmp(&layouts[i], &layouts[2], sizeof(layouts[i])) != 0)
            snprintf(wrong, sizeof(wrong), "two layouts");
    }
    if (found[2] != 0)
        snprintf(wrong, sizeof(wrong), "who has mapped most can't use it");
}

static void three_format(void **state)
{
    region = aligned_alloc(4096, 2 * FERRY_COMMONS_LEAST);
    memset(region, 0, 2 * FERRY_COMMONS_LEAST);
    begin = begin_format;
    end = end_format;
    inspect = nothing;
    explore_all(3, 2);
    free(region);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_take_and_give_back),
        cmocka_unit_test(a_lease_ends),
        cmocka_unit_test(a_peer_writes_late),
        cmocka_unit_test(several_come),
        cmocka_unit_test(two_judge),
        cmocka_unit_test(three_format),
    };

    if (argc > 1)
        asked_for = (unsigned) atoi(argv[1]);
    if (asked_for > SWITCHES_MAX)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
