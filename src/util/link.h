/*
 * Doubly linked lists whose links lie inside the members.
 */
#ifndef FERRY_LINK_H
#define FERRY_LINK_H

#include <stdbool.h>
#include <stddef.h>

struct ferry_link {
    struct ferry_link *next, *previous;
};

#define ferry_container(pointer, type, member) \
    ((type *) (void *) ((char *) (pointer) -offsetof(type, member)))

static inline void ferry_link_init(struct ferry_link *head)
{
    head->next = head->previous = head;
}

static inline bool ferry_link_empty(const struct ferry_link *head)
{
    return head->next == head;
}

static inline void ferry_link_append(struct ferry_link *head, struct ferry_link *link)
{
    link->next = head;
    link->previous = head->previous;
    head->previous->next = link;
    head->previous = link;
}

static inline void ferry_link_remove(struct ferry_link *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
}

#endif
