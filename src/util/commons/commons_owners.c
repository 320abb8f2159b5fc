/*
 * The entries: who owns what is in a commons, and whether he still lives.
 */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>

#include "clock.h"
#include "commons_internal.h"

#define NS_PER_MS 1000000u
/* Of the time between two looks at an owner no more than this counts: who looks may have been paused himself,
 * together with the other. */
#define LOOK_MS 2000u
/* The same as a part of the lease. */
#define LOOKS_LEAST 4u
/* Other threads of a process whose death is marked may run for a moment: until its kernel stops their processors. */
#define GRACE_MS 500u
/* Silence that is worth being told to other observers: healthy owners don't have so much. */
#define NOTABLE_MS 4000u

static uint64_t state_of(uint64_t word)
{
    return word & 0xff;
}

static bool is_free(uint64_t word)
{
    return state_of(word) < FERRY_ENTRY_CLAIMED;
}

/* ---- The own entry ---- */

_Atomic uint32_t *ferry_commons_own_mark(const struct ferry_commons *commons)
{
    return &ferry_commons_entry(commons)->mark[commons->generation % FERRY_COMMONS_MARKS];
}

bool ferry_commons_write(struct ferry_commons *commons, uint64_t state, _Atomic uint64_t *word,
                         uint64_t value)
{
    for (int i = 0; i < FERRY_COMMONS_TRIES; i++) {
        uint64_t old = ferry_word(word);

        if (!ferry_commons_is(commons, state))
            return false;
        if (ferry_word_swap(word, old, value))
            return true;
    }
    return false;
}

bool ferry_commons_write_mark(struct ferry_commons *commons, uint32_t value)
{
    for (int i = 0; i < FERRY_COMMONS_TRIES; i++) {
        uint32_t old = ferry_mark(ferry_commons_own_mark(commons));

        if (!ferry_commons_is(commons, commons->claimed))
            return false;
        if (ferry_mark_swap(ferry_commons_own_mark(commons), old, value))
            return true;
    }
    return false;
}

static bool fill_in(struct ferry_commons *commons)
{
    struct ferry_commons_entry *entry = ferry_commons_entry(commons);
    uint64_t state = commons->claimed;

    return ferry_commons_write(commons, state, &entry->nonce[0], commons->nonce[0]) &&
           ferry_commons_write(commons, state, &entry->nonce[1], commons->nonce[1]) &&
           ferry_commons_write(commons, state, &entry->lease,
                               ferry_lease_word(commons->generation, commons->lease_ms)) &&
           ferry_commons_write_mark(commons, 0);
}

static bool claim(struct ferry_commons *commons, uint32_t index)
{
    struct ferry_commons_entry *entry = &commons->entries[index];
    uint64_t word = ferry_word(&entry->state);
    uint64_t generation = ((word >> 8) + 1) & FERRY_GENERATION_MASK;

    if (!is_free(word))
        return false;
    commons->index = index;
    commons->generation = generation ? generation : 1;
    commons->claimed = ferry_entry_state(commons->generation, FERRY_ENTRY_CLAIMED);
    commons->lives = ferry_entry_state(commons->generation, FERRY_ENTRY_LIVES);
    commons->owns = ferry_word_swap(&entry->state, word, commons->claimed) && fill_in(commons);
    return commons->owns;
}

int ferry_commons_claim(struct ferry_commons *commons)
{
    uint32_t count = commons->layout.entries;
    /* From anywhere: those who come at the same time don't want the same one. */
    uint32_t start = (uint32_t) (commons->nonce[0] % count);

    for (uint32_t i = 0; i < count; i++)
        if (claim(commons, (start + i) % count))
            return 0;
    return -EUSERS;
}

int ferry_commons_begin(struct ferry_commons *commons)
{
    return ferry_word_swap(&ferry_commons_entry(commons)->state, commons->claimed, commons->lives)
               ? 0
               : -ESTALE;
}

void ferry_commons_end(struct ferry_commons *commons)
{
    struct ferry_commons_entry *entry = ferry_commons_entry(commons);
    uint64_t left = ferry_entry_state(commons->generation, FERRY_ENTRY_LEFT);

    if (commons->owns && !ferry_word_swap(&entry->state, commons->lives, left))
        ferry_word_swap(&entry->state, commons->claimed, left);
}

bool ferry_commons_beat(struct ferry_commons *commons)
{
    _Atomic uint64_t *beats = &ferry_commons_entry(commons)->beats;
    uint64_t old = ferry_word(beats);

    if (!ferry_commons_is(commons, commons->lives))
        return false;
    /* If this fails somebody else made it beat. */
    ferry_word_swap(beats, old, old + 1);
    return true;
}

/* ---- The others ---- */

bool ferry_commons_is_used(const struct ferry_commons *commons, uint64_t tag)
{
    uint32_t index = ferry_tag_index(tag);
    unsigned kind = ferry_tag_kind(tag);

    return (kind == FERRY_BLOCK_FIRST || kind == FERRY_BLOCK_REST) &&
           index < commons->layout.entries &&
           ferry_word(&commons->entries[index].state) ==
               ferry_entry_state(ferry_tag_generation(tag), FERRY_ENTRY_LIVES);
}

static bool is_marked(const struct ferry_commons_entry *entry, uint64_t state)
{
    return state_of(state) == FERRY_ENTRY_LIVES &&
           (ferry_mark(&entry->mark[(state >> 8) % FERRY_COMMONS_MARKS]) & FUTEX_OWNER_DIED);
}

/* How long an owner may be silent, ms. One that has not said so yet: as long as we may. */
static uint64_t lease_of(const struct ferry_commons *commons,
                         const struct ferry_commons_entry *entry, uint64_t state)
{
    uint64_t lease = commons->lease_ms;

    if (state_of(state) == FERRY_ENTRY_LIVES)
        lease = ferry_word(&entry->lease) & UINT32_MAX;
    return ferry_commons_lease(lease);
}

/* The silence that is written in the region, if it is that of the owner as he was seen. */
static uint64_t told_silence(uint64_t word, const struct ferry_commons_seen *seen)
{
    if ((word & ~FERRY_SILENCE_MASK) !=
        ferry_commons_silence(seen->state, seen->beats, seen->marked))
        return 0;
    return (word & FERRY_SILENCE_MASK) * FERRY_SILENCE_MS;
}

static uint64_t clock_of(uint64_t now_ns)
{
    return now_ns ? now_ns : ferry_now_ns();
}

/* The silence of an owner, ms, as far as observers saw it: at least so long nothing moved. Each adds what it saw
 * itself to what was told when it began to look, and the greatest sum is told; so those who look at the same
 * time don't count twice, and many who look for a short time, one after another, come to an end. */
static uint64_t sum_up(struct ferry_commons_entry *entry, struct ferry_commons_seen *seen,
                       uint64_t now_ns)
{
    uint64_t word = ferry_word(&entry->silence);
    uint64_t told = told_silence(word, seen);
    uint64_t sum = seen->before_ms + seen->silent_ns / NS_PER_MS;
    uint64_t units = sum / FERRY_SILENCE_MS;

    if (told > sum) {
        seen->before_ms = told;
        seen->silent_ns = 0;
        seen->looked_ns = clock_of(now_ns);
        return told;
    }
    if (units > FERRY_SILENCE_MASK)
        units = FERRY_SILENCE_MASK;
    if (units * FERRY_SILENCE_MS > told && (seen->marked || sum >= NOTABLE_MS))
        ferry_word_swap(&entry->silence, word,
                        ferry_commons_silence(seen->state, seen->beats, seen->marked) | units);
    return sum;
}

/* The clock is read after what was told when a count begins, and before the beats later: so no pause between the
 * two counts as silence, or twice. */
static void judge(struct ferry_commons *commons, struct ferry_commons_entry *entry,
                  struct ferry_commons_seen *seen, uint64_t now_ns)
{
    uint64_t state = ferry_word(&entry->state), beats, lease, part, before, passed, sum;
    bool marked;

    if (is_free(state)) {
        seen->state = 0;
        return;
    }
    before = clock_of(now_ns);
    beats = ferry_word(&entry->beats);
    marked = is_marked(entry, state);
    if (state != seen->state || beats != seen->beats || marked != seen->marked) {
        *seen = (struct ferry_commons_seen){.state = state, .beats = beats, .marked = marked};
        seen->before_ms = told_silence(ferry_word(&entry->silence), seen);
        seen->looked_ns = clock_of(now_ns);
        return;
    }
    lease = lease_of(commons, entry, state);
    part = lease / LOOKS_LEAST < LOOK_MS ? lease / LOOKS_LEAST : LOOK_MS;
    passed = before > seen->looked_ns ? before - seen->looked_ns : 0;
    seen->looked_ns = before;
    seen->silent_ns += passed < part * NS_PER_MS ? passed : part * NS_PER_MS;
    sum = sum_up(entry, seen, now_ns);
    if (sum < (marked ? GRACE_MS : lease) || ferry_word(&entry->beats) != beats)
        return;
    ferry_word_swap(&entry->state, state,
                    ferry_entry_state(state >> 8, marked ? FERRY_ENTRY_DIED : FERRY_ENTRY_SILENT));
}

void ferry_commons_judge(struct ferry_commons *commons, uint64_t now_ns)
{
    for (uint32_t i = 0; i < commons->layout.entries; i++)
        if (i != commons->index)
            judge(commons, &commons->entries[i], &commons->seen[i], now_ns);
}

static enum ferry_commons_state how_ended(uint64_t state)
{
    switch (state_of(state)) {
    case FERRY_ENTRY_LEFT:
        return FERRY_COMMONS_LEFT;
    case FERRY_ENTRY_DIED:
        return FERRY_COMMONS_DIED;
    case FERRY_ENTRY_SILENT:
        return FERRY_COMMONS_SILENT;
    default:
        return FERRY_COMMONS_STRANGE;
    }
}

enum ferry_commons_state ferry_commons_state(struct ferry_commons *commons,
                                             const struct ferry_commons_owner *owner)
{
    uint64_t generation = ferry_tag_generation(owner->tag), nonce[2], state;
    uint32_t index = ferry_tag_index(owner->tag);
    struct ferry_commons_entry *entry;

    if (index >= commons->layout.entries || !generation)
        return FERRY_COMMONS_STRANGE;
    entry = &commons->entries[index];
    state = ferry_word(&entry->state);
    if (state >> 8 != generation)
        return state >> 8 > generation ? FERRY_COMMONS_GONE : FERRY_COMMONS_STRANGE;
    nonce[0] = ferry_word(&entry->nonce[0]);
    nonce[1] = ferry_word(&entry->nonce[1]);
    if (memcmp(nonce, owner->nonce, sizeof(nonce)) != 0)
        return ferry_word(&entry->state) >> 8 > generation ? FERRY_COMMONS_GONE
                                                           : FERRY_COMMONS_STRANGE;
    if (state_of(state) != FERRY_ENTRY_LIVES)
        return how_ended(state);
    return is_marked(entry, state) ? FERRY_COMMONS_DIED : FERRY_COMMONS_LIVES;
}
