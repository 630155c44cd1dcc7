/* route_segs.h - the quick way to a route: one step per segment.
 *
 * The nodes (route_nodes.h) can do everything, but byte by byte, with jumps that no predictor can
 * foresee. Most routes are made of whole segments only: words, {x}, {x:u64} and {x:i64}. Of these a
 * second form is made, a trie of segments. All ends of segments are found first, by looking for
 * slashes in 16 bytes at a time. A state then finds a word in a table of its own, without
 * collisions, in one probe; what is no word of its is the parameter. The hash of a word does not
 * depend on the state, so the hashes of all segments do not wait for each other.
 *
 * It only ever takes the first choice of each place. If that ends at a route with the method, this
 * is the router's answer; if not, nothing is known and the nodes are asked: also for a number that
 * is none, for an empty segment, and behind a place where text may stand before a parameter.
 *
 * Lifetime: process.
 * Threads:  immutable once made.
 * Memory:   weft_segs_bytes() from the heap, while the server starts.
 */
#ifndef WEFT_HTTP_ROUTE_SEGS_H
#define WEFT_HTTP_ROUTE_SEGS_H

#include "http/method.h"
#include "http/route_nodes.h"

#define WEFT_SEGS_PATH_MAX 512u /* bytes; longer paths are left to the nodes */

struct weft_seg_state;

/* A word, little-endian: its last eight bytes, or all of it and zeros; and, of more than eight, the
 * first eight, else 0. Up to 16 bytes that is all of it. */
struct weft_seg_word {
    uint64_t key;
    uint64_t head;
    const struct weft_seg_state *next;
    uint32_t len;  /* 0 in a slot that holds no word */
    uint32_t text; /* of words above 16 bytes: where in texts[] */
};

struct weft_seg_state {
    const struct weft_seg_word *words;  /* borrowed: in the table; NULL: none here */
    const struct weft_seg_state *param; /* what is no word leads there; NULL: nowhere */
    uint32_t route;                     /* what ends here: its first route in routes[] */
    uint16_t mask;                      /* of slots in words[], less one */
    uint8_t shift;                      /* hash to slot, before the mask */
    uint8_t u64s;                       /* bit per parameter: {x:u64} */
    uint8_t i64s;                       /* bit per parameter: {x:i64} */
    uint8_t places[WEFT_METHOD_OTHER];  /* per method: from 1, its route behind `route`; 0: none */
};
_Static_assert(sizeof(struct weft_seg_state) <= WEFT_CACHE_LINE, "one line per state");

struct weft_segs {
    struct weft_seg_state *states;  /* owned; [0] is before the first segment */
    struct weft_seg_word *words;    /* owned: the tables of all states */
    struct weft_node_route *routes; /* owned */
    char *texts;                    /* owned */
    uint32_t state_count, word_count, route_count, text_bytes;
};

/** Make them from a tree.
 *  returns  0, WEFT_ENOMEM (*out is to be given to fini then too) */
WEFT_CHECK weft_rc weft_segs_init(struct weft_segs *out, const struct weft_tree *tree);
void weft_segs_fini(struct weft_segs *segs);
size_t weft_segs_bytes(const struct weft_segs *segs);

/** Find the route of a path, or say nothing.
 *  path     as weft_router_match() gets it
 *  params   room for WEFT_PARAMS_MAX; undefined where the answer is NULL
 *  returns  the route, borrowed; NULL: ask the nodes */
const struct weft_node_route *weft_segs_find(const struct weft_segs *segs, enum weft_method method,
                                             weft_str path, weft_str *params);

/** The hash of a word. All states have the same, so that it need not wait for the state, but each
 *  looks at other bits of it: at those that tell its own words apart. */
static inline uint64_t weft_seg_hash(uint64_t key, uint64_t head, uint64_t len)
{
    return ((key ^ (head << 29 | head >> 35)) + len) * 0x9e3779b97f4a7c15u;
}

#endif
