/*
 * Opening and closing a commons, and its housekeeping.
 */
#include "commons.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commons_internal.h"

static struct ferry_commons *new_commons(const struct ferry_commons_params *params,
                                         const struct ferry_commons_layout *layout)
{
    struct ferry_commons *commons = calloc(1, sizeof(*commons));

    if (!commons)
        return NULL;
    commons->layout = *layout;
    commons->memory = params->memory;
    commons->entries = (void *) (commons->memory + layout->entries_at);
    commons->blocks = (void *) (commons->memory + layout->blocks_at);
    commons->pid = getpid();
    memcpy(commons->nonce, params->nonce, sizeof(commons->nonce));
    commons->lease_ms = ferry_commons_lease(params->lease_ms);
    pthread_mutex_init(&commons->lock, NULL);
    commons->seen = calloc(layout->entries, sizeof(*commons->seen));
    if (!commons->seen) {
        free(commons);
        return NULL;
    }
    return commons;
}

static void free_commons(struct ferry_commons *commons)
{
    struct ferry_commons_own *own = commons->own, *next;

    for (; own; own = next) {
        next = own->next;
        free(own);
    }
    free(commons->seen);
    free(commons);
}

static void look_around(struct ferry_commons *commons)
{
    pthread_mutex_lock(&commons->lock);
    ferry_commons_judge(commons, 0);
    pthread_mutex_unlock(&commons->lock);
}

/* Becomes an owner. */
static int enter(struct ferry_commons *commons, bool without_thread, char *why, size_t room)
{
    bool works = true;
    int error = ferry_commons_claim(commons);

    if (error) {
        snprintf(why, room, "all %u entries are taken: that many processes use it already",
                 commons->layout.entries);
        return error;
    }
    if (!without_thread)
        error = ferry_commons_mark_start(commons, &works);
    if (!error)
        error = ferry_commons_begin(commons);
    if (error) {
        snprintf(why, room, "can't become an owner of a part of it: %s", strerror(-error));
        return error;
    }
    if (!works)
        snprintf(why, room,
                 "this kernel does not tell that a process died; so what one takes that is killed "
                 "stays taken for %llu s",
                 (unsigned long long) commons->lease_ms / 1000);
    return 0;
}

int ferry_commons_open(const struct ferry_commons_params *params, struct ferry_commons **out,
                       char *why, size_t room)
{
    struct ferry_commons_layout layout;
    struct ferry_commons *commons;
    int error = ferry_commons_found(params->memory, params->size, &layout, why, room);

    if (error)
        return error;
    commons = new_commons(params, &layout);
    if (!commons)
        return -ENOMEM;
    error = enter(commons, params->without_thread, why, room);
    if (error) {
        ferry_commons_close(commons);
        return error;
    }
    look_around(commons);
    *out = commons;
    return 0;
}

void ferry_commons_close(struct ferry_commons *commons)
{
    if (!commons)
        return;
    if (commons->pid != getpid()) {
        if (commons->mark)
            ferry_commons_mark_forget(commons->mark);
        free_commons(commons);
        return;
    }
    /* Even who uses the region for a moment only helps to find out who is gone. */
    look_around(commons);
    pthread_mutex_lock(&commons->lock);
    commons->closing = true;
    pthread_mutex_unlock(&commons->lock);
    ferry_commons_end(commons);
    if (commons->mark)
        ferry_commons_mark_stop(commons->mark);
    pthread_mutex_destroy(&commons->lock);
    free_commons(commons);
}

void ferry_commons_id(const struct ferry_commons *commons, uint8_t id[16])
{
    const struct ferry_commons_head *head = (const void *) commons->memory;
    uint64_t words[2] = {ferry_word(&head->id[0]), ferry_word(&head->id[1])};

    memcpy(id, words, sizeof(words));
}

void ferry_commons_self(const struct ferry_commons *commons, struct ferry_commons_owner *self)
{
    self->tag = ferry_commons_tag(commons->generation, commons->index);
    memcpy(self->nonce, commons->nonce, sizeof(self->nonce));
}

bool ferry_commons_tend(struct ferry_commons *commons, uint64_t now_ns)
{
    bool lives;

    pthread_mutex_lock(&commons->lock);
    lives = commons->closing || ferry_commons_beat(commons);
    if (!lives && !commons->lost) {
        commons->lost = true;
        /* Another thread may have written until now. */
        for (struct ferry_commons_own *own = commons->own; own; own = own->next)
            ferry_commons_confess(commons, &own->segment);
    }
    if (!commons->closing)
        ferry_commons_judge(commons, now_ns);
    pthread_mutex_unlock(&commons->lock);
    return lives;
}
