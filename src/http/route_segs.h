/* route_segs.h - the quick way to a route: one step per segment, without a branch per step.
 *
 * Most routes are made of whole segments only: texts of 16 bytes at most, and {x}. Of these a
 * second form is made. All texts that occur as a segment are numbered (symbols; a perfect hash). A
 * state per place in the tree of segments has a row in one array of slots; row and symbol added up
 * give the slot to look at, and its owner tells whether it is of that row (rows lie between each
 * other, a "double array"). The look-ups of symbols do not wait for each other, the steps between
 * states are two loads and a comparison each, and which way a step goes is data and not a jump:
 * what costs most in a walk down a tree is that the processor cannot guess where it goes.
 *
 * It only ever takes the first choice of each place. If that ends at a route, this route is the
 * router's answer; if not, nothing is known and the nodes (route_nodes.h) are asked. For that, a
 * place where something may go before {x} that has no row entry of its own (numbers, text before a
 * parameter, long text) has no way for parameters here.
 *
 * Lifetime: process.
 * Threads:  immutable once made.
 * Memory:   weft_segs_bytes() from the heap, while the server starts.
 */
#ifndef WEFT_HTTP_ROUTE_SEGS_H
#define WEFT_HTTP_ROUTE_SEGS_H

#include "http/route_nodes.h"

#define WEFT_SEG_TEXT_MAX  16u                    /* bytes of a symbol's text */
#define WEFT_SEG_PARAM_MAX (WEFT_PARAMS_MAX - 1u) /* so that a step may always write one more */
#define WEFT_SEG_DEAD      0u                     /* the state that nothing leads out of */

/* At a state's own place: where a parameter leads, and what ends here. Behind it, by symbol: where
 * that text leads. States and symbols are counted in bytes of slots, so that they just add up. */
struct weft_seg_slot {
    uint32_t owner; /* state; plus WEFT_SEG_OWN at its own place; 0: not used */
    uint32_t next;  /* state */
    uint32_t allow; /* as in weft_node */
    uint32_t route;
};
#define WEFT_SEG_OWN 1u /* what has no symbol looks there, and is not to find a text's way */

struct weft_seg_symbol {
    uint64_t low, high; /* little-endian words, zeros behind the text */
    uint32_t len;
    uint32_t id;     /* in bytes of slots; 0: no symbol here */
    uint64_t unused; /* a size that is a power of two: 32 */
};

struct weft_segs {
    struct weft_seg_slot *slots; /* owned; NULL: there is no quick way with these routes */
    struct weft_seg_symbol *symbols;
    uint32_t *shifts; /* per bucket: makes the hash perfect; in bytes of symbols */
    struct weft_node_route *routes;
    uint64_t low_mix, high_mix;
    uint32_t root; /* state */
    uint32_t shift_mask;
    uint32_t symbol_mask; /* in bytes */
    uint32_t slot_count, route_count;
};

/** The hash of a segment: all bits of it depend on all bytes. */
static inline uint64_t weft_seg_hash(const struct weft_segs *segs, uint64_t low, uint64_t high,
                                     uint64_t len)
{
    uint64_t a = low ^ segs->low_mix, b = (high + len) ^ segs->high_mix;
    return (uint64_t)((unsigned __int128)a * b >> 64) ^ (a * b);
}

/** Make them from a tree; routes that do not suit are left out, and so is the whole where it would
 *  take too much memory.
 *  returns  0, WEFT_ENOMEM (*out is to be given to fini then too) */
WEFT_CHECK weft_rc weft_segs_init(struct weft_segs *out, const struct weft_tree *tree);
void weft_segs_fini(struct weft_segs *segs);

size_t weft_segs_bytes(const struct weft_segs *segs);

/** Where the first choices lead.
 *  params   room for WEFT_PARAMS_MAX; written: slices of the path
 *  returns  the state's slot, borrowed from segs; NULL: ask the nodes */
const struct weft_seg_slot *weft_segs_find(const struct weft_segs *segs, weft_str path,
                                           weft_str *params);

#endif
