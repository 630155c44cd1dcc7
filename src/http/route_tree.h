/* route_tree.h - routes while they are added: a tree that is easy to change.
 *
 * A radix tree: nodes share common text. Below a node hang static children, one per first byte, and
 * parameters, in the order in which they are tried. router.c makes of it, once, the form that is
 * fast to walk.
 *
 * Lifetime: from weft_router_create() to weft_router_compile().
 * Threads:  one.
 * Memory:   heap, freed by fini; grows with the routes.
 */
#ifndef WEFT_HTTP_ROUTE_TREE_H
#define WEFT_HTTP_ROUTE_TREE_H

#include "http/pattern.h"

#define WEFT_TREE_NONE UINT32_MAX

struct weft_tree_node {
    enum weft_part_kind kind; /* WEFT_PART_TEXT, or what a parameter takes */
    weft_str text;            /* of static nodes: never empty but at the root. Borrowed: patterns */
    uint32_t regex;           /* of a regular expression: its number, from 1; else 0 */
    uint32_t children;        /* static ones, linked by `next`, ordered by first byte */
    uint32_t params;          /* parameters, linked by `next`, ordered by kind, then by age */
    uint32_t next;
    uint32_t routes; /* those that end here, linked by `next`, ordered by method */
};

struct weft_tree_route {
    uint32_t method; /* index of the method's bit */
    uint32_t next;
    void *route; /* borrowed: the caller's */
    const struct weft_pattern *pattern;
};

/* nodes[0] is the root. Indexes, not pointers: both arrays move when they grow. */
struct weft_tree {
    struct weft_tree_node *nodes;   /* owned */
    struct weft_tree_route *routes; /* owned */
    uint32_t node_count, node_room;
    uint32_t route_count, route_room;
};

/** returns 0, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_tree_init(struct weft_tree *tree);
void weft_tree_fini(struct weft_tree *tree);

/** Add a route where its parts lead.
 *  parts    borrowed from the pattern, which outlives the tree
 *  out_old  on WEFT_EEXIST: the pattern that has this method at this place already
 *  returns  0, WEFT_EEXIST, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_tree_add(struct weft_tree *tree, const struct weft_parts *parts,
                                 uint32_t method, const struct weft_pattern *pattern, void *route,
                                 const struct weft_pattern **out_old);

#endif
