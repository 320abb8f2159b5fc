/*
 * The blocks of a commons: taking and giving back segments, and finding those of others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "auth.h"
#include "commons_internal.h"

/* How often another may take, just before us, what was found free, until there is said to be nothing. */
#define CONFLICTS_MAX 1000
/* How often a segment may be spoiled while it is filled with zeros. */
#define FILLS_MAX 4

static uint64_t own_tag(const struct ferry_commons *commons)
{
    return ferry_commons_tag(commons->generation, commons->index);
}

static uint64_t tag_of(uint64_t owner, uint32_t i)
{
    return owner | (i ? FERRY_BLOCK_REST : FERRY_BLOCK_FIRST);
}

static char *memory_of(const struct ferry_commons *commons, uint32_t block)
{
    return commons->memory + commons->layout.memory_at + (uint64_t) block * commons->layout.block;
}

static void describe(const struct ferry_commons *commons, uint32_t first, uint32_t count,
                     uint64_t owner, uint64_t seal, struct ferry_commons_segment *segment)
{
    const struct ferry_commons_layout *layout = &commons->layout;

    *segment = (struct ferry_commons_segment){
        .name = {.offset = layout->memory_at + (uint64_t) first * layout->block,
                 .length = (uint64_t) count * layout->block,
                 .tag = owner,
                 .seal = seal},
        .memory = memory_of(commons, first),
        .seal_at = &commons->blocks[first].seal,
        .entry_at = &commons->entries[ferry_tag_index(owner)].state,
        .entry = ferry_entry_state(ferry_tag_generation(owner), FERRY_ENTRY_LIVES)};
}

/* The blocks that a name means. False: there are no such blocks. */
static bool place_of(const struct ferry_commons *commons, const struct ferry_commons_name *name,
                     uint32_t *first, uint32_t *count)
{
    const struct ferry_commons_layout *layout = &commons->layout;
    uint64_t offset = name->offset - layout->memory_at;

    if (name->offset < layout->memory_at || offset % layout->block || name->length == 0 ||
        name->length % layout->block || offset / layout->block >= layout->blocks ||
        name->length / layout->block > layout->blocks - offset / layout->block)
        return false;
    *first = (uint32_t) (offset / layout->block);
    *count = (uint32_t) (name->length / layout->block);
    return true;
}

/* ---- Looking for free blocks ---- */

/* Remembers what became of the owner of the last block: neighbours are mostly the same one's. Who was
 * dead stays so; who lived counts as living a moment longer. */
struct verdict {
    uint64_t owner;
    bool used;
};

static bool is_used(const struct ferry_commons *commons, uint32_t block, struct verdict *verdict)
{
    uint64_t tag = ferry_word(&commons->blocks[block].tag);

    if (ferry_tag_kind(tag) != FERRY_BLOCK_FIRST && ferry_tag_kind(tag) != FERRY_BLOCK_REST)
        return false;
    if (verdict->owner != ferry_tag_owner(tag)) {
        verdict->owner = ferry_tag_owner(tag);
        verdict->used = ferry_commons_is_used(commons, tag);
    }
    return verdict->used;
}

/* The first run of count free blocks at or after `from`. False: there is none. */
static bool find_run(const struct ferry_commons *commons, uint32_t from, uint32_t count,
                     uint32_t *first)
{
    struct verdict verdict = {0};
    uint32_t run = 0;

    for (uint32_t block = from; block < commons->layout.blocks; block++) {
        run = is_used(commons, block, &verdict) ? 0 : run + 1;
        if (run == count) {
            *first = block + 1 - count;
            return true;
        }
    }
    return false;
}

/* ---- Taking ---- */

static bool claim_block(struct ferry_commons *commons, uint32_t block, uint64_t tag)
{
    _Atomic uint64_t *word = &commons->blocks[block].tag;
    uint64_t old = ferry_word(word);

    return !ferry_commons_is_used(commons, old) && ferry_word_swap(word, old, tag);
}

/* From the last to the first, so that who takes upwards meets us once. */
static void release_run(struct ferry_commons *commons, uint32_t first, uint32_t count,
                        uint64_t owner)
{
    while (count-- > 0)
        ferry_word_swap(&commons->blocks[first + count].tag, tag_of(owner, count), 0);
}

/* Takes a run. Returns how many blocks of it could be had; unless that is all, they are given back. All take
 * upwards, so of those who meet the one that is farthest goes on. */
static uint32_t claim_run(struct ferry_commons *commons, uint32_t first, uint32_t count)
{
    uint64_t owner = own_tag(commons);

    for (uint32_t i = 0; i < count; i++)
        if (!claim_block(commons, first + i, tag_of(owner, i))) {
            release_run(commons, first, i, owner);
            return i;
        }
    return count;
}

static int take_run(struct ferry_commons *commons, uint32_t count, uint32_t *first)
{
    uint32_t from = 0;
    bool met = false;

    for (int conflicts = 0; conflicts < CONFLICTS_MAX; conflicts++) {
        uint32_t got;

        if (!find_run(commons, from, count, first)) {
            if (!met)
                return -ENOSPC;
            /* Who was in the way may have given way as well. */
            met = false;
            from = 0;
            continue;
        }
        got = claim_run(commons, *first, count);
        if (got == count)
            return 0;
        if (!ferry_commons_is(commons, commons->lives))
            return -ESTALE;
        met = true;
        from = *first + got + 1;
    }
    return -ENOSPC;
}

/* Seals a segment and fills it with zeros. */
static int prepare(struct ferry_commons *commons, uint32_t first, uint32_t count,
                   struct ferry_commons_segment *segment)
{
    uint64_t seal;

    for (int i = 0; i < FILLS_MAX; i++) {
        do
            ferry_random(&seal, sizeof(seal));
        while (!seal);
        if (!ferry_commons_write(commons, commons->lives, &commons->blocks[first].seal, seal))
            return ferry_commons_is(commons, commons->lives) ? -EPROTO : -ESTALE;
        /* Seal, then zeros; he who wrote late: his bytes, then what breaks the seal. If ours is last he was
         * before the zeros. */
        atomic_thread_fence(memory_order_seq_cst);
        describe(commons, first, count, own_tag(commons), seal, segment);
        FERRY_COMMONS_STEP();
        memset(segment->memory, 0, segment->name.length);
        atomic_thread_fence(memory_order_seq_cst);
        FERRY_COMMONS_STEP();
        if (ferry_commons_holds(segment))
            return 0;
        /* The zeros may have come too late. */
        ferry_commons_confess(commons, segment);
        if (!ferry_commons_is(commons, commons->lives))
            return -ESTALE;
    }
    return -EPROTO;
}

/* Remembers an own segment. */
static int keep(struct ferry_commons *commons, const struct ferry_commons_segment *segment)
{
    struct ferry_commons_own *own = malloc(sizeof(*own));

    if (!own)
        return -ENOMEM;
    own->segment = *segment;
    pthread_mutex_lock(&commons->lock);
    own->next = commons->own;
    commons->own = own;
    pthread_mutex_unlock(&commons->lock);
    return 0;
}

static bool drop(struct ferry_commons *commons, const struct ferry_commons_segment *segment)
{
    struct ferry_commons_own **link, *own;

    pthread_mutex_lock(&commons->lock);
    for (link = &commons->own; (own = *link); link = &own->next)
        if (own->segment.name.seal == segment->name.seal &&
            own->segment.name.offset == segment->name.offset) {
            *link = own->next;
            break;
        }
    pthread_mutex_unlock(&commons->lock);
    free(own);
    return own != NULL;
}

static void give_back(struct ferry_commons *commons, const struct ferry_commons_segment *segment)
{
    uint32_t first, count;

    if (!place_of(commons, &segment->name, &first, &count))
        return;
    ferry_word_swap(&commons->blocks[first].seal, segment->name.seal, 0);
    release_run(commons, first, count, own_tag(commons));
}

int ferry_commons_alloc(struct ferry_commons *commons, size_t length,
                        struct ferry_commons_segment *segment)
{
    const struct ferry_commons_layout *layout = &commons->layout;
    uint32_t count, first;
    int error;

    if (!length)
        return -EINVAL;
    if (length > (uint64_t) layout->blocks * layout->block)
        return -ENOSPC;
    if (!ferry_commons_is(commons, commons->lives))
        return -ESTALE;
    count = (uint32_t) ((length + layout->block - 1) / layout->block);
    error = take_run(commons, count, &first);
    if (error == -ENOSPC) {
        /* Perhaps somebody died meanwhile. */
        pthread_mutex_lock(&commons->lock);
        ferry_commons_judge(commons, 0);
        pthread_mutex_unlock(&commons->lock);
        error = take_run(commons, count, &first);
    }
    if (error)
        return error;
    error = prepare(commons, first, count, segment);
    if (!error)
        error = keep(commons, segment);
    if (error)
        release_run(commons, first, count, own_tag(commons));
    return error;
}

void ferry_commons_free(struct ferry_commons *commons, const struct ferry_commons_segment *segment)
{
    if (drop(commons, segment))
        give_back(commons, segment);
}

/* ---- Segments of others ---- */

int ferry_commons_attach(struct ferry_commons *commons, const struct ferry_commons_name *name,
                         struct ferry_commons_segment *segment)
{
    uint32_t first, count;

    if (!place_of(commons, name, &first, &count) || !name->seal || ferry_tag_kind(name->tag) ||
        ferry_tag_index(name->tag) >= commons->layout.entries || !ferry_tag_generation(name->tag))
        return -EPROTO;
    describe(commons, first, count, name->tag, name->seal, segment);
    for (uint32_t i = 0; i < count; i++)
        if (ferry_word(&commons->blocks[first + i].tag) != tag_of(name->tag, i))
            return -ESTALE;
    return ferry_commons_holds(segment) ? 0 : -ESTALE;
}

/* The begin of the segment that a block is in. */
static uint32_t first_of(const struct ferry_commons *commons, uint32_t block, uint64_t tag)
{
    while (block > 0 && ferry_tag_kind(tag) == FERRY_BLOCK_REST) {
        uint64_t before = ferry_word(&commons->blocks[block - 1].tag);

        if (ferry_tag_owner(before) != ferry_tag_owner(tag))
            break;
        tag = before;
        block--;
    }
    return block;
}

void ferry_commons_confess(struct ferry_commons *commons,
                           const struct ferry_commons_segment *segment)
{
    uint32_t first, count;

    /* What was written comes before what is looked for: see prepare(). */
    atomic_thread_fence(memory_order_seq_cst);
    if (ferry_commons_holds(segment) || !place_of(commons, &segment->name, &first, &count))
        return;
    for (uint32_t i = first; i < first + count; i++) {
        uint64_t tag = ferry_word(&commons->blocks[i].tag), seal;
        _Atomic uint64_t *at = &commons->blocks[i].seal;

        if (i == first)
            at = &commons->blocks[first_of(commons, i, tag)].seal;
        else if (ferry_tag_kind(tag) != FERRY_BLOCK_FIRST)
            continue;
        seal = ferry_word(at);
        if (seal)
            ferry_word_swap(at, seal, 0);
    }
}

/* ---- How much there is ---- */

void ferry_commons_usage(struct ferry_commons *commons, struct ferry_commons_usage *usage)
{
    const struct ferry_commons_layout *layout = &commons->layout;
    struct verdict verdict = {0};
    uint64_t run = 0;

    *usage = (struct ferry_commons_usage){.total = (uint64_t) layout->blocks * layout->block,
                                          .block = layout->block,
                                          .owners_max = layout->entries};
    for (uint32_t i = 0; i < layout->blocks; i++) {
        if (is_used(commons, i, &verdict)) {
            run = 0;
            continue;
        }
        usage->free += layout->block;
        run += layout->block;
        if (run > usage->largest)
            usage->largest = run;
    }
    for (uint32_t i = 0; i < layout->entries; i++)
        if ((ferry_word(&commons->entries[i].state) & 0xff) == FERRY_ENTRY_LIVES)
            usage->owners++;
}
