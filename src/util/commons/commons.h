/*
 * The commons: a region of memory that processes of several kernels share (the BAR of an ivshmem device, a DAX
 * device, a file), from which several jobs, users and guests take segments at once. Nothing but loads, stores and
 * atomics on the region itself reaches from one kernel to another.
 *
 * Each process that opens a region is an owner in it. Its space returns when it closes the region; within
 * seconds when it ends in any other way while its kernel lives (the kernel marks a word in the region, as it does
 * for robust futexes); else when its heartbeat, which a thread of its own makes once a second, was still for the
 * length of its lease, by the clocks of those who look. See doc/commons.md.
 *
 * What is in the region may be written by anybody at any time: whatever is there, no function here crashes, runs
 * without a bound, or touches anything outside of the region. All functions may be called from any thread.
 * Strings `why` are sentences for people, without a newline, "" where there is nothing to say.
 */
#ifndef FERRY_COMMONS_H
#define FERRY_COMMONS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ferry_commons;

/* Of the layout. Another version is refused. */
#define FERRY_COMMONS_VERSION 1
/* A region can't be smaller, bytes. */
#define FERRY_COMMONS_LEAST ((size_t) 256 << 10)
/* A lease is taken to be within these, ms. */
#define FERRY_COMMONS_LEASE_LEAST 100u
#define FERRY_COMMONS_LEASE_MAX 86400000u

/* ---- The region ---- */

/* Only looks, and writes nothing. memory: the region, mapped whole, page-aligned; size: what is mapped, bytes.
 * 0: a commons of this version. Errors, each with a sentence in why:
 * -ENODATA         all zero where it was looked at: the first to open it will format it
 * -EBUSY           something else is there (named where it is known), which is to be left alone
 * -EPROTONOSUPPORT a commons of another version
 * -EPROTO          a commons whose header makes no sense, or that is larger than what is mapped
 * -ENOSPC          smaller than FERRY_COMMONS_LEAST */
int ferry_commons_look(const void *memory, size_t size, char *why, size_t room);

struct ferry_commons_params {
    void *
        memory; /* as above, writable; stays mapped, and the caller's, until ferry_commons_close() */
    size_t size;
    const uint8_t *nonce; /* 16 random bytes that name this process; copied */
    uint32_t lease_ms;    /* how long this process may be silent until its space is given away */
    /* No thread: the caller calls ferry_commons_tend() once a second, and when the process dies its space comes
     * back by lease only. For tests. */
    bool without_thread;
};

/* Opens a region, formats it where it is all zero (several may do that at once), and becomes an owner. In *out a
 * handle, to be used by this process only (not by a child after fork). why may be set on success, too: that the space
 * of a killed process will return by lease only, because this kernel doesn't mark the word.
 * Errors as for ferry_commons_look() but -ENODATA, and -EUSERS too many owners, -ENOMEM, -EAGAIN no thread to be had;
 * nothing is kept then. */
int ferry_commons_open(const struct ferry_commons_params *params, struct ferry_commons **out,
                       char *why, size_t room);

/* Gives back all segments and the entry of the owner, and ends the thread. In a child after fork: frees the
 * handle only. The memory is not unmapped. NULL: does nothing. */
void ferry_commons_close(struct ferry_commons *commons);

/* 16 random bytes that name the region, the same for all who share it: to be shown to people. No proof of
 * anything, for others may have written it. */
void ferry_commons_id(const struct ferry_commons *commons, uint8_t id[16]);

struct ferry_commons_usage {
    uint64_t total;   /* bytes that segments can have in all */
    uint64_t free;    /* of it, not in use; equal to total: no segment is there */
    uint64_t largest; /* the longest segment that would fit now */
    uint32_t block;   /* granularity */
    uint32_t owners;  /* entries in use, this process's included */
    uint32_t owners_max;
};

/* How the region is used. Takes a microsecond or so for each MiB, up to some hundred. */
void ferry_commons_usage(struct ferry_commons *commons, struct ferry_commons_usage *usage);

/* The heartbeat, and a look at the other owners: those that are dead or silent for too long lose their space. The
 * thread calls it. now_ns: 0; or, in tests, what the clock (ferry_now_ns()) is taken to show. Of the time between two calls no more
 * than 2 s count as seen (a quarter of the other's lease at most), so that one who was paused himself blames nobody.
 * Returns false once this process has lost its own entry: all its segments are gone. */
bool ferry_commons_tend(struct ferry_commons *commons, uint64_t now_ns);

/* ---- Owners ---- */

/* Names an owner to other processes; plain data, which may travel to another machine. */
struct ferry_commons_owner {
    uint64_t tag; /* entry and generation; never 0 */
    uint8_t nonce[16];
};

void ferry_commons_self(const struct ferry_commons *commons, struct ferry_commons_owner *self);

enum ferry_commons_state {
    FERRY_COMMONS_LIVES,
    FERRY_COMMONS_LEFT, /* closed the region */
    FERRY_COMMONS_DIED, /* ended without that */
    FERRY_COMMONS_SILENT, /* its lease ran out: guest killed, rebooted, moved away or paused for long */
    FERRY_COMMONS_GONE, /* one of these; its entry has another owner by now */
    FERRY_COMMONS_STRANGE /* no such owner: this is not the region that it means, or somebody scribbled */
};

/* What has become of an owner. LIVES proves that both share the region: the nonce was found. Cheap: some
 * loads. */
enum ferry_commons_state ferry_commons_state(struct ferry_commons *commons,
                                             const struct ferry_commons_owner *owner);

/* ---- Segments ---- */

/* Names a segment to other processes; plain data. */
struct ferry_commons_name {
    uint64_t offset; /* of its memory in the region, bytes, a multiple of 4096 */
    uint64_t length; /* bytes, a multiple of the block */
    uint64_t tag;    /* the owner's */
    uint64_t seal;   /* random, never 0, another one for each segment that ever was */
};

/* A segment as its owner or another process uses it: plain data, owns nothing. */
struct ferry_commons_segment {
    struct ferry_commons_name name;
    void *memory;
    const _Atomic uint64_t *seal_at; /* in the region */
    const _Atomic uint64_t *entry_at;
    uint64_t entry; /* what is at entry_at while the owner is the same */
};

/* Takes length bytes (rounded up to blocks), filled with zeros. Errors: -EINVAL length is 0; -ENOSPC no such
 * piece is free (of those who want the last one at the same time each may get this); -ESTALE this process has lost
 * its entry; -EPROTO the region makes no sense. */
int ferry_commons_alloc(struct ferry_commons *commons, size_t length,
                        struct ferry_commons_segment *segment);

/* Gives a segment of this process's own back. What was lost meanwhile stays who has it now's. */
void ferry_commons_free(struct ferry_commons *commons, const struct ferry_commons_segment *segment);

/* Finds a segment of another process (or of the own) by name. No need to give it back.
 * Errors: -EPROTO nonsense, or not within the region; -ESTALE it is gone. */
int ferry_commons_attach(struct ferry_commons *commons, const struct ferry_commons_name *name,
                         struct ferry_commons_segment *segment);

/* Whether a segment is still what it was: its owner has it, nobody said that he spoiled it, the device is there.
 * To be asked, of the own as of another's segment,
 * - before each write: a process that was paused past its lease must not write on;
 * - after each copy out of it, before what was copied is believed (an unplugged device reads as zeros).
 * False is for ever: call ferry_commons_confess() if this process ever wrote to the segment, end the connection, and
 * use the segment no more. Two loads of lines that rarely change. */
static inline bool ferry_commons_holds(const struct ferry_commons_segment *segment)
{
    /* What was copied was loaded before this. */
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(segment->seal_at, memory_order_relaxed) == segment->name.seal &&
           atomic_load_explicit(segment->entry_at, memory_order_acquire) == segment->entry;
}

/* A segment is no longer held, and the last write to it may have come too late: whoever has that space now is told,
 * so that ferry_commons_holds() is false for him and all that use it. Harmless where the segment is still held
 * or nothing was written. (The thread does this for own segments, too.) */
void ferry_commons_confess(struct ferry_commons *commons,
                           const struct ferry_commons_segment *segment);

#endif
