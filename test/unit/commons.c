/*
 * The commons as processes use it that mean well, and what else may be in a region.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "commons_layout.h"
#include "commons_region.h"

#define SIZE (4 * MIB)
#define LEASE 60000

static char *region;

static int setup(void **state)
{
    region = region_new(16 * MIB);
    return 0;
}

static int teardown(void **state)
{
    return munmap(region, 16 * MIB);
}

/* An owner whose heart and eyes are the test's. */
static struct ferry_commons *enter(void)
{
    struct ferry_commons *commons = region_open(region, SIZE, LEASE, false);

    assert_non_null(commons);
    return commons;
}

static struct ferry_commons_segment take(struct ferry_commons *commons, size_t length)
{
    struct ferry_commons_segment segment;

    assert_int_equal(ferry_commons_alloc(commons, length, &segment), 0);
    return segment;
}

static int look(size_t size, const char *word)
{
    char why[256];
    int result = ferry_commons_look(region, size, why, sizeof(why));

    if (word && !strstr(why, word))
        fail_msg("\"%s\" does not name %s", why, word);
    return result;
}

static int try(size_t size)
{
    uint8_t nonce[16] = {1};
    struct ferry_commons_params params = {
        .memory = region, .size = size, .nonce = nonce, .lease_ms = LEASE, .without_thread = true};
    struct ferry_commons *commons;
    char why[256];
    int error = ferry_commons_open(&params, &commons, why, sizeof(why));

    if (error)
        assert_string_not_equal(why, "");
    else
        ferry_commons_close(commons);
    return error;
}

/* ---- What is in a region ---- */

static void an_empty_region(void **state)
{
    static const size_t sizes[] = {256 << 10, 300 << 10, MIB, 4 * MIB, 16 * MIB};

    assert_int_equal(look(FERRY_COMMONS_LEAST - 1, "too few"), -ENOSPC);
    assert_int_equal(try(FERRY_COMMONS_LEAST - 1), -ENOSPC);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct ferry_commons_usage usage;
        struct ferry_commons *commons;
        uint8_t id[2][16];

        memset(region, 0, 16 * MIB);
        assert_int_equal(look(sizes[i], "nothing"), -ENODATA);
        for (size_t k = 0; k < 16 * MIB; k++)
            if (region[k])
                fail_msg("looking has written");
        commons = region_open(region, sizes[i], LEASE, false);
        assert_non_null(commons);
        assert_int_equal(look(sizes[i], ""), 0);
        ferry_commons_usage(commons, &usage);
        assert_true(usage.free == usage.total && usage.largest == usage.total);
        assert_true(usage.total > sizes[i] - sizes[i] / 20 && usage.total < sizes[i]);
        assert_int_equal(usage.owners, 1);
        assert_int_equal(usage.block, 4096);
        ferry_commons_id(commons, id[0]);
        ferry_commons_close(commons);
        /* It stays what it is. */
        commons = region_open(region, sizes[i], LEASE, false);
        assert_non_null(commons);
        ferry_commons_id(commons, id[1]);
        assert_memory_equal(id[0], id[1], 16);
        ferry_commons_close(commons);
    }
}

static void all_sizes_fit(void **state)
{
    for (uint64_t size = FERRY_COMMONS_LEAST; size < (uint64_t) 1 << 46; size += size / 7 + 1) {
        struct ferry_commons_layout layout;

        ferry_commons_lay_out(size, &layout);
        assert_true(layout.blocks > 0 && layout.blocks <= 65536 && layout.entries <= 65536);
        assert_true(layout.blocks_at >= layout.entries_at + layout.entries * 128ull);
        assert_true(layout.memory_at >= layout.blocks_at + layout.blocks * 16ull);
        assert_true(layout.memory_at + (uint64_t) layout.blocks * layout.block <= size);
        assert_true(layout.memory_at % 4096 == 0);
        /* Little is lost. */
        assert_true((uint64_t) layout.blocks * layout.block > size - size / 16);
    }
}

/* What others put there is named, where it is known, and not a byte of it is changed. */
static void something_else(void **state)
{
    static const struct {
        size_t at;
        const char *bytes, *name;
    } others[] = {
        {0x438, "\x53\xef", "ext4"},   {0, "XFSB", "XFS"},         {0x10040, "_BHRfS_M", "btrfs"},
        {0xff6, "SWAPSPACE2", "swap"}, {0x1fe, "\x55\xaa", "FAT"}, {0, "\x01", "not Ferry"},
        {8, "\x02", "not Ferry"}, /* the version's place, without the magic */
        {100, "x", "not Ferry"},       {4096, "x", "not Ferry"},   {MIB - 1, "x", "not Ferry"},
        {SIZE - 1, "x", "not Ferry"},
    };
    char *before = malloc(SIZE);

    for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        memset(region, 0, SIZE);
        memcpy(region + others[i].at, others[i].bytes, strlen(others[i].bytes));
        memcpy(before, region, SIZE);
        assert_int_equal(look(SIZE, others[i].name), -EBUSY);
        assert_int_equal(try(SIZE), -EBUSY);
        assert_memory_equal(before, region, SIZE);
    }
    ferry_random(region, SIZE);
    memcpy(before, region, SIZE);
    assert_int_equal(try(SIZE), -EBUSY);
    assert_memory_equal(before, region, SIZE);
    free(before);
}

static void other_versions(void **state)
{
    static const struct {
        uint64_t version;
        const char *name;
    } others[] = {{0, "version 0 "}, {2, "version 2 "}, {1000, "version 1000 "}};
    struct ferry_commons_head *head = (void *) region;

    assert_int_equal(try(SIZE), 0);
    for (int i = 0; i < 3; i++) {
        head->version = others[i].version;
        assert_int_equal(look(SIZE, others[i].name), -EPROTONOSUPPORT);
        assert_int_equal(look(SIZE, "this is version 1"), -EPROTONOSUPPORT);
        assert_int_equal(try(SIZE), -EPROTONOSUPPORT);
    }
    head->version = FERRY_COMMONS_VERSION;
    assert_int_equal(try(SIZE), 0);
}

static void a_damaged_head(void **state)
{
    struct ferry_commons_head *head = (void *) region;
    uint64_t size, shape;

    assert_int_equal(try(SIZE), 0);
    size = head->size;
    shape = head->shape;
    for (int bit = 0; bit < 64; bit++) {
        head->size = size ^ (uint64_t) 1 << bit;
        assert_int_equal(try(SIZE), -EPROTO);
        head->size = size;
        head->shape = shape ^ (uint64_t) 1 << bit;
        assert_int_equal(try(SIZE), -EPROTO);
        head->shape = shape;
    }
    /* Mapped longer it is as good; shorter it can't be used. */
    assert_int_equal(try(SIZE + MIB), 0);
    assert_int_equal(try(SIZE - 4096), -EPROTO);
}

/* Whoever made it died at any point of it, or is still about to go on. */
static void a_head_half_written(void **state)
{
    struct ferry_commons_head *head = (void *) region, whole;

    assert_int_equal(try(SIZE), 0);
    memcpy(&whole, head, sizeof(whole));
    for (int words = 0; words < 5; words++) {
        memset(region, 0, SIZE);
        if (words > 0)
            head->version = whole.version;
        if (words > 1)
            head->id[0] = whole.id[0];
        if (words > 2)
            head->size = whole.size;
        if (words > 3)
            head->shape = whole.shape;
        assert_int_equal(look(SIZE, NULL), -ENODATA);
        assert_int_equal(try(SIZE), 0);
        assert_true(head->magic == FERRY_COMMONS_MAGIC && head->shape == whole.shape);
        assert_true(words < 2 || head->id[0] == whole.id[0]);
    }
}

static _Atomic int *gate;

static void one_of_many(void)
{
    struct ferry_commons *commons;
    struct ferry_commons_segment segment;
    uint8_t id[16];

    while (!*gate)
        ;
    commons = region_open(region, SIZE, LEASE, true);
    check(commons);
    check(ferry_commons_alloc(commons, 4096, &segment) == 0);
    memset(segment.memory, 0xff, 4096);
    ferry_commons_id(commons, id);
    ferry_commons_close(commons);
}

static void many_format_at_once(void **state)
{
    pid_t child[6];

    gate = (void *) region_new(4096);
    for (int round = 0; round < 20; round++) {
        memset(region, 0, SIZE);
        *gate = 0;
        for (int i = 0; i < 6; i++)
            child[i] = child_start(one_of_many);
        *gate = 1;
        for (int i = 0; i < 6; i++)
            assert_int_equal(child_end(child[i]), 0);
    }
    munmap((void *) gate, 4096);
}

/* ---- Segments ---- */

static bool overlap(const struct ferry_commons_segment *a, const struct ferry_commons_segment *b)
{
    return a->name.offset < b->name.offset + b->name.length &&
           b->name.offset < a->name.offset + a->name.length;
}

static void segments(void **state)
{
    struct ferry_commons *a = enter(), *b = enter();
    struct ferry_commons_segment all[8];
    struct ferry_commons_usage usage;
    uint64_t total = region_free(a), used = 0;

    memset(region + SIZE - total, 0xaa, total);
    for (unsigned i = 0; i < 8; i++) {
        all[i] = take(i % 2 ? b : a, i * 10000 + 1);
        assert_true(all[i].name.length >= i * 10000 + 1 && all[i].name.length < i * 10000 + 4097);
        assert_true(all[i].name.offset % 4096 == 0);
        assert_true(all[i].name.offset + all[i].name.length <= SIZE);
        assert_ptr_equal(all[i].memory, region + all[i].name.offset);
        for (size_t k = 0; k < all[i].name.length; k++)
            assert_int_equal(((char *) all[i].memory)[k], 0);
        for (unsigned k = 0; k < i; k++)
            assert_false(overlap(&all[i], &all[k]));
        assert_true(ferry_commons_holds(&all[i]));
        used += all[i].name.length;
    }
    ferry_commons_usage(b, &usage);
    assert_true(usage.free == total - used && usage.total == total && usage.owners == 2);
    for (unsigned i = 0; i < 4; i++) {
        ferry_commons_free(i % 2 ? b : a, &all[i]);
        assert_false(ferry_commons_holds(&all[i]));
        /* Twice is as good as once. */
        ferry_commons_free(i % 2 ? b : a, &all[i]);
        used -= all[i].name.length;
        assert_true(region_free(a) == total - used);
    }
    /* Whoever leaves gives back all. */
    ferry_commons_close(a);
    assert_false(ferry_commons_holds(&all[4]));
    assert_true(ferry_commons_holds(&all[5]));
    ferry_commons_close(b);
    a = enter();
    assert_true(region_is_empty(a));
    ferry_commons_close(a);
}

static void no_more_room(void **state)
{
    struct ferry_commons *a = enter(), *b = enter();
    struct ferry_commons_segment segment, most;
    struct ferry_commons_usage usage;
    uint64_t total = region_free(a);

    assert_int_equal(ferry_commons_alloc(a, 0, &segment), -EINVAL);
    assert_int_equal(ferry_commons_alloc(a, total + 1, &segment), -ENOSPC);
    assert_int_equal(ferry_commons_alloc(a, SIZE_MAX, &segment), -ENOSPC);
    most = take(a, total);
    assert_int_equal(ferry_commons_alloc(b, 1, &segment), -ENOSPC);
    ferry_commons_free(a, &most);
    most = take(b, total - 4096);
    segment = take(a, 4096);
    assert_int_equal(region_free(a), 0);
    ferry_commons_free(b, &most);
    ferry_commons_usage(a, &usage);
    assert_true(usage.free == total - 4096 && usage.largest == total - 4096);
    ferry_commons_close(a);
    ferry_commons_close(b);
}

static void too_many_owners(void **state)
{
    struct ferry_commons *owners[4096];
    struct ferry_commons_usage usage;
    uint32_t count = 0;

    while (count < 4096 && (owners[count] = region_open(region, SIZE, LEASE, false)))
        count++;
    assert_int_equal(try(SIZE), -EUSERS);
    ferry_commons_usage(owners[0], &usage);
    assert_true(usage.owners == count && usage.owners_max == count && count >= 64);
    /* The one that was turned away did no harm. */
    for (uint32_t i = 0; i < count; i++)
        assert_true(ferry_commons_tend(owners[i], ferry_now_ns()));
    ferry_commons_close(owners[--count]);
    assert_int_equal(try(SIZE), 0);
    while (count > 0)
        ferry_commons_close(owners[--count]);
}

static void segments_of_others(void **state)
{
    struct ferry_commons *a = enter(), *b = enter();
    struct ferry_commons_segment mine = take(a, 20000), seen, other;
    struct ferry_commons_name name;

    assert_int_equal(ferry_commons_attach(b, &mine.name, &seen), 0);
    assert_ptr_equal(seen.memory, mine.memory);
    assert_true(ferry_commons_holds(&seen));
    /* Names that are nearly right. */
    for (unsigned field = 0; field < 4; field++)
        for (unsigned bit = 0; bit < 64; bit++) {
            name = mine.name;
            (&name.offset)[field] ^= (uint64_t) 1 << bit;
            /* A part of it, from the begin, is right. */
            if (name.length < mine.name.length && name.length % 4096 == 0)
                continue;
            assert_true(ferry_commons_attach(b, &name, &other) < 0);
        }
    name = mine.name;
    name.offset = SIZE - 4096;
    assert_int_equal(ferry_commons_attach(b, &name, &other), -EPROTO);
    name.offset = 0;
    assert_int_equal(ferry_commons_attach(b, &name, &other), -EPROTO);
    name = mine.name;
    name.length -= 4096;
    assert_int_equal(ferry_commons_attach(b, &name, &other), 0);
    /* The next segment at the same place is another one. */
    ferry_commons_free(a, &mine);
    assert_false(ferry_commons_holds(&seen));
    other = take(a, 20000);
    assert_int_equal(other.name.offset, mine.name.offset);
    assert_false(ferry_commons_holds(&seen));
    assert_int_equal(ferry_commons_attach(b, &mine.name, &seen), -ESTALE);
    ferry_commons_close(a);
    ferry_commons_close(b);
}

/* ---- Owners ---- */

static void owners(void **state)
{
    struct ferry_commons *a = enter(), *b = enter(), *more[200];
    struct ferry_commons_owner owner, other;
    enum ferry_commons_state last = FERRY_COMMONS_LEFT;

    ferry_commons_self(a, &owner);
    assert_int_equal(ferry_commons_state(b, &owner), FERRY_COMMONS_LIVES);
    assert_int_equal(ferry_commons_state(a, &owner), FERRY_COMMONS_LIVES);
    other = owner;
    other.nonce[7] ^= 1;
    assert_int_equal(ferry_commons_state(b, &other), FERRY_COMMONS_STRANGE);
    for (int bit = 0; bit < 64; bit++) {
        other = owner;
        other.tag ^= (uint64_t) 1 << bit;
        if (bit >= 8)
            assert_int_not_equal(ferry_commons_state(b, &other), FERRY_COMMONS_LIVES);
    }
    ferry_commons_close(a);
    assert_int_equal(ferry_commons_state(b, &owner), FERRY_COMMONS_LEFT);
    for (int i = 0; i < 200; i++) {
        more[i] = region_open(region, SIZE, LEASE, false);
        if (ferry_commons_state(b, &owner) != FERRY_COMMONS_LEFT)
            last = ferry_commons_state(b, &owner);
    }
    /* All entries are taken by now. */
    assert_int_equal(last, FERRY_COMMONS_GONE);
    for (int i = 0; i < 200; i++)
        ferry_commons_close(more[i]);
    ferry_commons_close(b);
}

/* ---- Leases, by a clock of the test's ---- */

static uint64_t clock_ns;

/* Lets time pass for one who looks, in steps. */
static void watch(struct ferry_commons *commons, uint64_t ms, uint64_t step_ms)
{
    for (uint64_t passed = 0; passed < ms; passed += step_ms) {
        clock_ns += step_ms * MS;
        ferry_commons_tend(commons, clock_ns);
    }
}

/* The look that was taken when it was opened, by the real clock, makes a step of 2 s at most. */
#define FIRST 2000

static void begin_to_watch(struct ferry_commons *commons)
{
    if (!clock_ns)
        clock_ns = ferry_now_ns() + 3600 * SECOND;
    ferry_commons_tend(commons, clock_ns);
}

static void one_falls_silent(void **state)
{
    struct ferry_commons *a = enter(), *b = enter();
    struct ferry_commons_segment segment = take(a, 100000), seen;
    struct ferry_commons_owner owner;

    ferry_commons_self(a, &owner);
    assert_int_equal(ferry_commons_attach(b, &segment.name, &seen), 0);
    begin_to_watch(b);
    watch(b, LEASE - FIRST - 1000, 1000);
    assert_int_equal(ferry_commons_state(b, &owner), FERRY_COMMONS_LIVES);
    /* One beat is enough to begin anew. */
    assert_true(ferry_commons_tend(a, clock_ns));
    watch(b, LEASE, 1000);
    assert_int_equal(ferry_commons_state(b, &owner), FERRY_COMMONS_LIVES);
    assert_true(ferry_commons_holds(&segment) && ferry_commons_holds(&seen));
    watch(b, 2000, 1000);
    assert_int_equal(ferry_commons_state(b, &owner), FERRY_COMMONS_SILENT);
    assert_false(ferry_commons_holds(&segment) || ferry_commons_holds(&seen));
    assert_true(region_is_empty(b));
    /* It comes back. */
    assert_false(ferry_commons_tend(a, clock_ns));
    assert_int_equal(ferry_commons_alloc(a, 4096, &segment), -ESTALE);
    ferry_commons_close(a);
    assert_int_equal(ferry_commons_state(b, &owner), FERRY_COMMONS_SILENT);
    ferry_commons_close(b);
}

/* Its own lease counts, not that of who looks. */
static void leases_differ(void **state)
{
    struct ferry_commons *a = region_open(region, SIZE, 10000, false), *b = enter();
    struct ferry_commons_owner owner[2];

    ferry_commons_self(a, &owner[0]);
    ferry_commons_self(b, &owner[1]);
    begin_to_watch(b);
    watch(b, 12000, 500);
    assert_int_equal(ferry_commons_state(b, &owner[0]), FERRY_COMMONS_SILENT);
    ferry_commons_close(a);
    a = region_open(region, SIZE, 10000, false);
    begin_to_watch(a);
    watch(a, 12000, 500);
    assert_int_equal(ferry_commons_state(a, &owner[1]), FERRY_COMMONS_LIVES);
    ferry_commons_close(a);
    ferry_commons_close(b);
}

/* Both were paused, and who looks comes back first: its clock says that much time has passed. */
static void who_looks_was_paused(void **state)
{
    struct ferry_commons *a = enter(), *b = enter();
    struct ferry_commons_owner owner;

    ferry_commons_self(a, &owner);
    begin_to_watch(b);
    for (int i = 0; i < 10; i++) {
        clock_ns += 100 * LEASE * MS;
        ferry_commons_tend(b, clock_ns);
    }
    assert_int_equal(ferry_commons_state(b, &owner), FERRY_COMMONS_LIVES);
    ferry_commons_close(a);
    ferry_commons_close(b);
}

/* Sixteen that look for 57 s at the same time have seen 57 s, not 912. */
static void many_look_at_once(void **state)
{
    struct ferry_commons *a = enter(), *b[16];
    struct ferry_commons_owner owner;

    ferry_commons_self(a, &owner);
    for (int i = 0; i < 16; i++) {
        b[i] = enter();
        begin_to_watch(b[i]);
    }
    for (int second = 0; second < (LEASE - FIRST) / 1000 - 1; second++) {
        clock_ns += SECOND;
        for (int i = 0; i < 16; i++)
            ferry_commons_tend(b[i], clock_ns);
        assert_int_equal(ferry_commons_state(b[0], &owner), FERRY_COMMONS_LIVES);
    }
    for (int i = 0; i < 16; i++)
        ferry_commons_close(b[i]);
    ferry_commons_close(a);
}

/* Each job lasts 10 s only: what they saw adds up. */
static void many_look_one_after_another(void **state)
{
    struct ferry_commons *a = enter(), *b;
    struct ferry_commons_owner owner;
    int jobs = 0;

    take(a, 4096);
    ferry_commons_self(a, &owner);
    for (;;) {
        bool empty;

        b = enter();
        begin_to_watch(b);
        watch(b, 10000, 1000);
        jobs++;
        empty = region_is_empty(b);
        if (!empty)
            assert_int_equal(ferry_commons_state(b, &owner), FERRY_COMMONS_LIVES);
        ferry_commons_close(b);
        if (empty)
            break;
        assert_true(jobs < 20);
    }
    assert_in_range(jobs, 5, 7);
    ferry_commons_close(a);
}

/* One that lost its space writes once more where another has taken it, and says so. */
static void late_writes(void **state)
{
    struct ferry_commons *a = enter(), *b = enter(), *c = enter();
    struct ferry_commons_segment old = take(a, 8 * 4096), new[3], seen, free_again;

    begin_to_watch(b);
    for (int i = 0; i < LEASE / 1000 + 1; i++) {
        watch(b, 1000, 1000);
        ferry_commons_tend(c, clock_ns);
    }
    assert_false(ferry_commons_holds(&old));
    new[0] = take(b, 6 * 4096);
    new[1] = take(c, 4 * 4096);
    new[2] = take(b, 4 * 4096);
    assert_true(overlap(&old, &new[0]) && overlap(&old, &new[1]) && !overlap(&old, &new[2]));
    assert_int_equal(ferry_commons_attach(c, &new[0].name, &seen), 0);
    ((char *) old.memory)[5000] = 'x';
    ferry_commons_confess(a, &old);
    assert_false(ferry_commons_holds(&new[0]) || ferry_commons_holds(&seen));
    assert_false(ferry_commons_holds(&new[1]));
    assert_true(ferry_commons_holds(&new[2]));
    /* Nothing of it is lost. */
    for (int i = 0; i < 3; i++)
        ferry_commons_free(i == 1 ? c : b, &new[i]);
    assert_true(region_is_empty(b));
    free_again = take(b, 8 * 4096);
    for (unsigned i = 0; i < 8 * 4096; i++)
        assert_int_equal(((char *) free_again.memory)[i], 0);
    /* Who has nothing to confess spoils nothing. */
    ferry_commons_confess(b, &free_again);
    assert_true(ferry_commons_holds(&free_again));
    ferry_commons_close(a);
    ferry_commons_close(b);
    ferry_commons_close(c);
}

/* As above, but the space was freed, and another process wrote into it late; and it is its owner's again. */
static void late_writes_of_others(void **state)
{
    struct ferry_commons *a = enter(), *b = enter();
    struct ferry_commons_segment old = take(a, 4 * 4096), new, seen;

    assert_int_equal(ferry_commons_attach(b, &old.name, &seen), 0);
    ferry_commons_confess(b, &seen);
    assert_true(ferry_commons_holds(&old));
    ferry_commons_free(a, &old);
    new = take(a, 4 * 4096);
    assert_true(overlap(&old, &new));
    ferry_commons_confess(b, &seen);
    assert_false(ferry_commons_holds(&new));
    ferry_commons_close(a);
    ferry_commons_close(b);
}

/* ---- Processes ---- */

static char *page;
static struct ferry_commons_owner *told;
static struct ferry_commons_name *told_name;

/* Takes all, and lives on; for a lease of told_lease. */
static uint32_t told_lease = LEASE;

static void one_with_all(void)
{
    struct ferry_commons *commons = region_open(region, SIZE, told_lease, true);
    struct ferry_commons_segment segment;

    check(commons);
    check(ferry_commons_alloc(commons, region_free(commons), &segment) == 0);
    ferry_commons_self(commons, told);
    *told_name = segment.name;
    *gate = 1;
    while (ferry_commons_holds(&segment)) {
        ((volatile char *) segment.memory)[5] = 1;
        usleep(1000);
    }
    ferry_commons_confess(commons, &segment);
    *gate = 2;
    while (*gate == 2)
        usleep(1000);
    ferry_commons_close(commons);
}

static pid_t start_one_with_all(void)
{
    pid_t child;

    page = region_new(4096);
    gate = (void *) page;
    told = (void *) (page + 64);
    told_name = (void *) (page + 128);
    child = child_start(one_with_all);
    while (!*gate)
        usleep(1000);
    return child;
}

static void sleep_until_empty(struct ferry_commons *commons, unsigned most_ms)
{
    for (unsigned ms = 0; ms < most_ms && !region_is_empty(commons); ms += 10)
        usleep(10000);
    assert_true(region_is_empty(commons));
}

static void one_is_killed(void **state)
{
    struct ferry_commons *commons = region_open(region, SIZE, LEASE, true);
    struct ferry_commons_segment segment;
    pid_t child = start_one_with_all();

    assert_int_equal(ferry_commons_state(commons, told), FERRY_COMMONS_LIVES);
    assert_int_equal(ferry_commons_attach(commons, told_name, &segment), 0);
    assert_int_equal(region_free(commons), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(child_end(child), -SIGKILL);
    /* That is told at once; its space comes back a little later. */
    assert_int_equal(ferry_commons_state(commons, told), FERRY_COMMONS_DIED);
    sleep_until_empty(commons, 10000);
    assert_false(ferry_commons_holds(&segment));
    ferry_commons_close(commons);
    munmap(page, 4096);
}

/* Nobody was there when it was killed; who comes later stays for a moment only. */
static void one_was_killed_alone(void **state)
{
    pid_t child = start_one_with_all();
    bool empty = false;

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(child_end(child), -SIGKILL);
    for (int i = 0; i < 100 && !empty; i++) {
        struct ferry_commons *commons = region_open(region, SIZE, LEASE, true);

        assert_non_null(commons);
        empty = region_is_empty(commons);
        usleep(100000);
        ferry_commons_close(commons);
    }
    assert_true(empty);
    munmap(page, 4096);
}

/* As one that calls exit() in the middle, or exec. */
static void one_that_just_ends(void)
{
    check(region_open(region, SIZE, LEASE, true));
    exit(0);
}

static void one_that_becomes_another(void)
{
    check(region_open(region, SIZE, LEASE, true));
    execlp("true", "true", NULL);
    _exit(1);
}

static void others_end(void **state)
{
    struct ferry_commons *commons = region_open(region, SIZE, LEASE, true);
    struct ferry_commons_usage usage;

    assert_int_equal(child_run(one_that_just_ends), 0);
    assert_int_equal(child_run(one_that_becomes_another), 0);
    for (int i = 0; i < 1000; i++) {
        ferry_commons_usage(commons, &usage);
        if (usage.owners == 1)
            break;
        usleep(10000);
    }
    assert_int_equal(usage.owners, 1);
    ferry_commons_close(commons);
}

/* Paused for less than its lease, then for more. */
static void one_is_paused(void **state)
{
    struct ferry_commons *commons = region_open(region, SIZE, LEASE, true);
    struct ferry_commons_segment segment, mine;
    pid_t child;

    told_lease = 3000;
    child = start_one_with_all();
    told_lease = LEASE;
    assert_int_equal(kill(child, SIGSTOP), 0);
    usleep(1000000);
    assert_int_equal(kill(child, SIGCONT), 0);
    usleep(2500000);
    assert_int_equal(ferry_commons_state(commons, told), FERRY_COMMONS_LIVES);
    assert_int_equal(ferry_commons_attach(commons, told_name, &segment), 0);
    assert_int_equal(kill(child, SIGSTOP), 0);
    sleep_until_empty(commons, 20000);
    assert_int_equal(ferry_commons_state(commons, told), FERRY_COMMONS_SILENT);
    assert_false(ferry_commons_holds(&segment));
    assert_int_equal(ferry_commons_alloc(commons, region_free(commons), &mine), 0);
    assert_int_equal(kill(child, SIGCONT), 0);
    for (int i = 0; i < 1000 && *gate != 2; i++)
        usleep(10000);
    /* It noticed, and said so. */
    assert_int_equal(*gate, 2);
    assert_false(ferry_commons_holds(&mine));
    *gate = 3;
    assert_int_equal(child_end(child), 0);
    ferry_commons_free(commons, &mine);
    assert_true(region_is_empty(commons));
    ferry_commons_close(commons);
    munmap(page, 4096);
}

static struct ferry_commons *inherited;

static void one_with_an_inheritance(void)
{
    ferry_commons_close(inherited);
}

static void a_child_after_fork(void **state)
{
    struct ferry_commons_segment segment;

    inherited = region_open(region, SIZE, LEASE, true);
    segment = take(inherited, 4096);
    assert_int_equal(child_run(one_with_an_inheritance), 0);
    assert_true(ferry_commons_holds(&segment));
    assert_true(ferry_commons_tend(inherited, ferry_now_ns()));
    ferry_commons_close(inherited);
}

/* ---- Jobs ---- */

#define RANKS 4

/* What killed ranks had comes back some time after their end, and another job may be quicker. */
static int alloc_soon(struct ferry_commons *commons, size_t length,
                      struct ferry_commons_segment *segment)
{
    int error = -ENOSPC;

    for (int tries = 0; tries < 2000 && error == -ENOSPC; tries++) {
        error = ferry_commons_alloc(commons, length, segment);
        if (error)
            usleep(10000);
    }
    return error;
}

/* A rank: rings for each other one, a larger area for some, given back in part; every other job is killed. */
static void rank(int number, bool is_killed)
{
    struct ferry_commons *commons = region_open(region, 16 * MIB, LEASE, true);
    struct ferry_commons_segment segment[RANKS + 1];

    check(commons);
    for (int i = 0; i <= RANKS; i++) {
        size_t length = i < RANKS ? 36 << 10 : 300 << 10;

        check(alloc_soon(commons, length, &segment[i]) == 0);
        memset(segment[i].memory, number + 1, segment[i].name.length);
    }
    for (int i = 0; i <= RANKS; i++)
        for (size_t k = 0; k < segment[i].name.length; k++)
            check(((char *) segment[i].memory)[k] == number + 1);
    if (is_killed)
        raise(SIGKILL);
    ferry_commons_free(commons, &segment[1]);
    check(ferry_commons_holds(&segment[0]));
    ferry_commons_close(commons);
}

static int jobs_to_run;

static void job_after_job(void)
{
    for (int j = 0; j < jobs_to_run; j++) {
        pid_t ranks[RANKS];
        bool is_killed = j % 10 == 9;

        for (int i = 0; i < RANKS; i++) {
            ranks[i] = fork();
            if (ranks[i] == 0) {
                rank(i, is_killed);
                _exit(0);
            }
        }
        for (int i = 0; i < RANKS; i++)
            check(child_end(ranks[i]) == (is_killed ? -SIGKILL : 0));
    }
}

static void a_hundred_jobs(void **state)
{
    struct ferry_commons *last;
    pid_t at_once[4];

    jobs_to_run = 100;
    assert_int_equal(child_run(job_after_job), 0);
    last = region_open(region, 16 * MIB, LEASE, true);
    sleep_until_empty(last, 10000);
    ferry_commons_close(last);
    jobs_to_run = 10;
    for (int i = 0; i < 4; i++)
        at_once[i] = child_start(job_after_job);
    for (int i = 0; i < 4; i++)
        assert_int_equal(child_end(at_once[i]), 0);
    last = region_open(region, 16 * MIB, LEASE, true);
    sleep_until_empty(last, 10000);
    take(last, region_free(last));
    ferry_commons_close(last);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(an_empty_region),
        test(all_sizes_fit),
        test(something_else),
        test(other_versions),
        test(a_damaged_head),
        test(a_head_half_written),
        test(many_format_at_once),
        test(segments),
        test(no_more_room),
        test(too_many_owners),
        test(segments_of_others),
        test(owners),
        test(one_falls_silent),
        test(leases_differ),
        test(who_looks_was_paused),
        test(many_look_at_once),
        test(many_look_one_after_another),
        test(late_writes),
        test(late_writes_of_others),
        test(one_is_killed),
        test(one_was_killed_alone),
        test(others_end),
        test(one_is_paused),
        test(a_child_after_fork),
        test(a_hundred_jobs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
