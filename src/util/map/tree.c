/*
 * Hosts, guests and containers as a tree.
 */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

/* What is in parent with this box; made where it is not there yet. */
static struct ferry_map_node *child_for(struct ferry_map_node *parent,
                                        const struct ferry_map_box *box)
{
    struct ferry_map_node **at = &parent->first;

    for (; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->box->key, box->key) == 0)
            return *at;
    *at = calloc(1, sizeof(**at));
    if (*at != NULL) {
        (*at)->box = box;
        (*at)->parent = parent;
    }
    return *at;
}

static bool put_rank(struct ferry_map_node *node, uint32_t rank)
{
    uint32_t *ranks = node->ranks, count = node->rank_count;

    /* Room is doubled whenever the number is a power of two. */
    if ((count & (count - 1)) == 0) {
        ranks = realloc(ranks, (count == 0 ? 1 : (size_t) count * 2) * sizeof(*ranks));
        if (ranks == NULL)
            return false;
        node->ranks = ranks;
    }
    ranks[node->rank_count++] = rank;
    return true;
}

struct ferry_map_node *ferry_map_tree(const struct ferry_map *map)
{
    struct ferry_map_node *root = calloc(1, sizeof(*root));

    for (uint32_t rank = 0; root != NULL && rank < map->count; rank++) {
        struct ferry_map_node *node = root;

        for (unsigned i = 0; i < map->ranks[rank].box_count && node != NULL; i++)
            node = child_for(node, &map->ranks[rank].boxes[i]);
        if (node == NULL || !put_rank(node, rank)) {
            ferry_map_tree_free(root);
            return NULL;
        }
    }
    return root;
}

void ferry_map_tree_free(struct ferry_map_node *root)
{
    while (root != NULL && root->first != NULL) {
        struct ferry_map_node *child = root->first;

        root->first = child->next;
        ferry_map_tree_free(child);
    }
    if (root != NULL)
        free(root->ranks);
    free(root);
}
