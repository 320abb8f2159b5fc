#include "region_tree.h"

struct ferry_region_entry *ferry_region_tree_above(struct ferry_region_entry *root,
                                                   uintptr_t address)
{
    struct ferry_region_entry *best = NULL;

    while (root) {
        if (root->region.end > address) {
            best = root;
            root = root->left;
        } else {
            root = root->right;
        }
    }
    return best;
}

struct ferry_region_entry *ferry_region_tree_below(struct ferry_region_entry *root,
                                                   uintptr_t address)
{
    struct ferry_region_entry *best = NULL;

    while (root) {
        if (root->region.start < address) {
            best = root;
            root = root->right;
        } else {
            root = root->left;
        }
    }
    return best;
}

/* Of a fixed number, so that the tree's form needs no memory. */
static uint32_t rank(const struct ferry_region_entry *entry)
{
    return (uint32_t) (((uintptr_t) entry >> 6) * 0x9e3779b97f4a7c15u >> 32);
}

void ferry_region_tree_insert(struct ferry_region_entry **root, struct ferry_region_entry *entry)
{
    struct ferry_region_entry **lower = &entry->left, **higher = &entry->right, *rest;

    while (*root && rank(*root) >= rank(entry))
        root = entry->region.start < (*root)->region.start ? &(*root)->left : &(*root)->right;
    /* What hung here is split into what lies below the new one and what lies above. */
    rest = *root;
    *root = entry;
    while (rest) {
        if (rest->region.start < entry->region.start) {
            *lower = rest;
            lower = &rest->right;
            rest = rest->right;
        } else {
            *higher = rest;
            higher = &rest->left;
            rest = rest->left;
        }
    }
    *lower = *higher = NULL;
}

void ferry_region_tree_remove(struct ferry_region_entry **root, struct ferry_region_entry *entry)
{
    struct ferry_region_entry *left = entry->left, *right = entry->right;

    while (*root != entry)
        root = entry->region.start < (*root)->region.start ? &(*root)->left : &(*root)->right;
    while (left && right) {
        if (rank(left) > rank(right)) {
            *root = left;
            root = &left->right;
            left = left->right;
        } else {
            *root = right;
            root = &right->left;
            right = right->left;
        }
    }
    *root = left ? left : right;
}
