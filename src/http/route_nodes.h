/* route_nodes.h - routes in the form that is matched against: one cache line per step.
 *
 * Compiled, the tree is an array of nodes of 64 bytes. A step compares up to 16 bytes of text, held
 * in the node, in words of eight, then finds the child of the next byte among labels that the node
 * holds too. Children lie side by side, so a label's place is the child's index. (A node with more
 * children than labels has a table of 256 bytes instead.)
 *
 * Going back needs no stack, for two reasons. A parameter always ends where its segment or the path
 * ends, so on a given path each node has one place where it can begin. And where to go when a node
 * fails (`fail`) is a property of the tree: the parameters of its parent, then what comes after the
 * parent. The place to go on from is the end of the last parameter before that node plus a constant
 * (`offset`). So a match is a walk in a fixed order that comes by no node twice.
 *
 * Lifetime: process.
 * Threads:  immutable once made.
 * Memory:   weft_nodes_bytes() from the heap, while the server starts.
 */
#ifndef WEFT_HTTP_ROUTE_NODES_H
#define WEFT_HTTP_ROUTE_NODES_H

#include "http/route_tree.h"

#define WEFT_NODE_NONE   0u /* at[0] is not used */
#define WEFT_NODE_ROOT   1u
#define WEFT_NODE_TEXT   16u
#define WEFT_NODE_LABELS 16u
#define WEFT_NODE_WIDE   255u /* label_count of a node whose labels lie in a table */

struct weft_node {
    uint8_t kind;        /* enum weft_part_kind: what is taken before the text */
    uint8_t text_len;    /* 0..WEFT_NODE_TEXT */
    uint8_t label_count; /* 0..WEFT_NODE_LABELS, or WEFT_NODE_WIDE */
    uint8_t param_index; /* of a parameter: its place among the path's */
    uint32_t child;      /* the first static child */
    uint32_t then;       /* when the children fail: the first parameter below, or `fail` */
    uint32_t fail;       /* when this node fails: a parameter, or WEFT_NODE_NONE */
    uint32_t allow;      /* bit per method that has a route here */
    uint32_t route;      /* its first route: one for each bit of allow, in that order */
    uint32_t wide;       /* with WEFT_NODE_WIDE: which table */
    uint16_t regex;      /* of a regular expression: its number, from 1 */
    uint16_t offset;     /* of a parameter: bytes from the end of the one before to its begin */
    uint64_t text[WEFT_NODE_TEXT / 8];     /* little-endian words, zeros behind the text */
    uint64_t labels[WEFT_NODE_LABELS / 8]; /* next bytes, ascending, likewise */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct weft_node) == WEFT_CACHE_LINE, "one line per step"); /* shows RT-05 */

struct weft_node_route {
    void *route; /* borrowed: the caller's */
    const struct weft_pattern *pattern;
};

/* Which child a byte leads to, from 1; 0: none. */
struct weft_node_wide {
    uint8_t child[256];
};

struct weft_nodes {
    struct weft_node *at;           /* owned */
    struct weft_node_route *routes; /* owned */
    struct weft_node_wide *wides;   /* owned */
    uint32_t count, room;
    uint32_t route_count;
    uint32_t wide_count, wide_room;
};

/** Make them from a tree.
 *  returns  0, WEFT_ENOMEM (*out is to be given to fini then too) */
WEFT_CHECK weft_rc weft_nodes_init(struct weft_nodes *out, const struct weft_tree *tree);
void weft_nodes_fini(struct weft_nodes *nodes);

size_t weft_nodes_bytes(const struct weft_nodes *nodes);

#endif
