#include "match.h"

/* Fibonacci hashing: the high bits of a product with 2^64 / golden ratio (Knuth, vol. 3, 6.4). */
static inline unsigned bin_of(const struct ferry_match *table, uint64_t match)
{
    return (unsigned) (((match & ~table->carried) * 0x9e3779b97f4a7c15u) >> 56);
}

void ferry_match_init(struct ferry_match *table, uint64_t carried)
{
    table->carried = carried;
    table->order = 0;
    ferry_link_init(&table->wild);
    ferry_link_init(&table->all);
    for (unsigned i = 0; i < FERRY_MATCH_BINS; i++) {
        ferry_link_init(&table->posted[i]);
        ferry_link_init(&table->unexpected[i]);
    }
}

static inline struct ferry_link *list_of(struct ferry_match *table,
                                         const struct ferry_posted *posted)
{
    return posted->ignore == table->carried ? &table->posted[bin_of(table, posted->match)]
                                            : &table->wild;
}

void ferry_match_post(struct ferry_match *table, struct ferry_posted *posted)
{
    posted->ignore |= table->carried;
    posted->order = table->order++;
    ferry_link_append(list_of(table, posted), &posted->link);
}

void ferry_match_give_back(struct ferry_match *table, struct ferry_posted *posted)
{
    struct ferry_link *list = list_of(table, posted), *next = list->next;

    while (next != list && ferry_container(next, struct ferry_posted, link)->order < posted->order)
        next = next->next;
    ferry_link_append(next, &posted->link);
}

void ferry_match_add(struct ferry_match *table, struct ferry_unexpected *message)
{
    ferry_link_append(&table->unexpected[bin_of(table, message->match)], &message->bin);
    ferry_link_append(&table->all, &message->all);
}

static inline struct ferry_posted *first_posted(const struct ferry_link *list, uint64_t match)
{
    for (struct ferry_link *link = list->next; link != list; link = link->next) {
        struct ferry_posted *posted = ferry_container(link, struct ferry_posted, link);

        if (((posted->match ^ match) & ~posted->ignore) == 0)
            return posted;
    }
    return NULL;
}

bool ferry_match_is_awaited(struct ferry_match *table, uint64_t match)
{
    return first_posted(&table->posted[bin_of(table, match)], match) ||
           first_posted(&table->wild, match);
}

struct ferry_posted *ferry_match_take(struct ferry_match *table, uint64_t match)
{
    struct ferry_posted *posted = first_posted(&table->posted[bin_of(table, match)], match);

    if (__builtin_expect(!ferry_link_empty(&table->wild), 0)) {
        struct ferry_posted *wild = first_posted(&table->wild, match);

        if (wild && (!posted || wild->order < posted->order))
            posted = wild;
    }
    if (posted)
        ferry_link_remove(&posted->link);
    return posted;
}

struct ferry_unexpected *ferry_match_find(struct ferry_match *table, uint64_t match,
                                          uint64_t ignore)
{
    struct ferry_link *list;

    if (ferry_link_empty(&table->all))
        return NULL;
    ignore |= table->carried;
    if (ignore == table->carried) {
        list = &table->unexpected[bin_of(table, match)];
        for (struct ferry_link *link = list->next; link != list; link = link->next) {
            struct ferry_unexpected *message = ferry_container(link, struct ferry_unexpected, bin);

            if (((message->match ^ match) & ~ignore) == 0)
                return message;
        }
        return NULL;
    }
    list = &table->all;
    for (struct ferry_link *link = list->next; link != list; link = link->next) {
        struct ferry_unexpected *message = ferry_container(link, struct ferry_unexpected, all);

        if (((message->match ^ match) & ~ignore) == 0)
            return message;
    }
    return NULL;
}
