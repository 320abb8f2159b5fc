/*
 * The head of a commons: whether there is one, something else, or nothing yet.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "commons_internal.h"

/* So much at the begin and at the end must be zero where a commons is made: what others put on a device shows there
 * (the superblock of btrfs is at 64 KiB; copies of partition tables and of RAID's are at the end). */
#define BEGIN_LENGTH ((uint64_t) 1 << 20)
#define END_LENGTH ((uint64_t) 128 << 10)

/* Everybody's alternative. */
#define TO_GIVE_IT "if nobody needs what is there, fill it with zeros to give it to Ferry"

/* What is known by a few bytes at a place (see the magic file of file(1)). */
static const struct {
    uint32_t at, length;
    const char *bytes, *name;
} known[] = {
    {0x438, 2, "\x53\xef", "an ext2, ext3 or ext4 file system"},
    {0, 4, "XFSB", "an XFS file system"},
    {0x10040, 8, "_BHRfS_M", "a btrfs file system"},
    {0, 4, "hsqs", "a squashfs file system"},
    {0, 6, "LUKS\xba\xbe", "a LUKS volume"},
    {0x218, 8, "LVM2 001", "a volume of LVM"},
    {0xff6, 10, "SWAPSPACE2", "swap space"},
    {0x200, 8, "EFI PART", "a partition table"},
    {0x1000, 16, "NVDIMM_PFN_INFO", "a namespace of persistent memory (fsdax)"},
    {0x1000, 16, "NVDIMM_DAX_INFO", "a namespace of persistent memory (devdax)"},
    {0x1fe, 2, "\x55\xaa", "a boot sector or a FAT file system"},
};

static const char *name_of(const char *memory, size_t size)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].at + known[i].length <= size &&
            memcmp(memory + known[i].at, known[i].bytes, known[i].length) == 0)
            return known[i].name;
    return "something that is not Ferry's";
}

static bool is_zero(const char *memory, uint64_t from, uint64_t to)
{
    const _Atomic uint64_t *words = (const _Atomic uint64_t *) (const void *) memory;

    for (uint64_t i = from / sizeof(*words); i < to / sizeof(*words); i++)
        if (atomic_load_explicit(&words[i], memory_order_relaxed))
            return false;
    return true;
}

/* Whether all is zero but a head that somebody is writing just now, or was when he died. */
static bool is_new(const char *memory, size_t size)
{
    const struct ferry_commons_head *head = (const void *) memory;
    struct ferry_commons_layout layout;
    uint64_t version = ferry_word(&head->version), begin;

    ferry_commons_lay_out(size, &layout);
    begin = layout.memory_at > BEGIN_LENGTH ? layout.memory_at : BEGIN_LENGTH;
    if (begin > layout.size)
        begin = layout.size;
    return (version == 0 || version == FERRY_COMMONS_VERSION) && ferry_word(&head->magic) == 0 &&
           is_zero(memory, sizeof(*head), begin) &&
           is_zero(memory, layout.size - END_LENGTH, layout.size);
}

/* What the head says. The magic is there. */
static int read_head(const struct ferry_commons_head *head, size_t mapped,
                     struct ferry_commons_layout *layout, char *why, size_t room)
{
    uint64_t version = ferry_word(&head->version);
    uint64_t size = ferry_word(&head->size);
    uint64_t shape = ferry_word(&head->shape);

    if (version != FERRY_COMMONS_VERSION) {
        snprintf(why, room,
                 "version %" PRIu64 " of Ferry's layout is there, this is version %d: use the same "
                 "version of Ferry on all sides; if nobody uses it any more, fill it with zeros",
                 version, FERRY_COMMONS_VERSION);
        return -EPROTONOSUPPORT;
    }
    if (size < FERRY_COMMONS_LEAST || size > mapped) {
        snprintf(why, room,
                 "Ferry's layout is there for %" PRIu64 " bytes, but there are %zu: give all sides "
                 "the same size, or fill it with zeros if nobody uses it",
                 size, mapped);
        return -EPROTO;
    }
    ferry_commons_lay_out(size, layout);
    if (size != layout->size || shape != ferry_commons_shape(layout)) {
        snprintf(why, room,
                 "Ferry's layout is there, but damaged: fill it with zeros if nobody uses it");
        return -EPROTO;
    }
    return 0;
}

/* As ferry_commons_look(), with the layout where there is one. */
static int look(const char *memory, size_t size, struct ferry_commons_layout *layout, char *why,
                size_t room)
{
    const struct ferry_commons_head *head = (const void *) memory;

    why[0] = 0;
    if (size < FERRY_COMMONS_LEAST) {
        snprintf(why, room, "%zu bytes are too few: %zu are needed at least", size,
                 FERRY_COMMONS_LEAST);
        return -ENOSPC;
    }
    if (ferry_word(&head->magic) != FERRY_COMMONS_MAGIC) {
        if (is_new(memory, size)) {
            snprintf(why, room, "nothing is there yet");
            return -ENODATA;
        }
        /* Not zero perhaps because somebody made it meanwhile. */
        if (ferry_word(&head->magic) != FERRY_COMMONS_MAGIC) {
            snprintf(why, room, "%s is there, which is left alone; " TO_GIVE_IT,
                     name_of(memory, size));
            return -EBUSY;
        }
    }
    return read_head(head, size, layout, why, room);
}

int ferry_commons_look(const void *memory, size_t size, char *why, size_t room)
{
    struct ferry_commons_layout layout;

    return look(memory, size, &layout, why, room);
}

/* Each word is written by whoever comes first, and what he wrote is gone on with: one who dies at it, or is paused
 * for long, matters to nobody. */
static void format(char *memory, size_t size)
{
    struct ferry_commons_head *head = (void *) memory;
    struct ferry_commons_layout layout;
    uint64_t id[2];

    ferry_random(id, sizeof(id));
    ferry_word_swap(&head->version, 0, FERRY_COMMONS_VERSION);
    ferry_word_swap(&head->id[0], 0, id[0] | 1);
    ferry_word_swap(&head->id[1], 0, id[1] | 1);
    ferry_word_swap(&head->size, 0, size / 4096 * 4096);
    ferry_commons_lay_out(ferry_word(&head->size), &layout);
    ferry_word_swap(&head->shape, 0, ferry_commons_shape(&layout));
    ferry_word_swap(&head->magic, 0, FERRY_COMMONS_MAGIC);
}

int ferry_commons_found(void *memory, size_t size, struct ferry_commons_layout *layout, char *why,
                        size_t room)
{
    int error = look(memory, size, layout, why, room);

    if (error != -ENODATA)
        return error;
    format(memory, size);
    error = look(memory, size, layout, why, room);
    if (error == -ENODATA) {
        snprintf(why, room, "what is written there does not stay: the device was taken away");
        error = -EPROTO;
    }
    return error;
}
