/* coding.h - content codings, and which of them a client takes (Accept-Encoding, RFC 9110 12.5.3).
 *
 * A client names codings with a weight of 0 to 1 each; 0 is "not this one", "*" stands for all that
 * are not named. No such header means any coding by the letter, and identity in practice: who can
 * decode says so. What is malformed in a list is left out, the rest of it counts.
 *
 * Lifetime: none; names are static.
 * Threads:  any: pure functions.
 * Memory:   sizeof(struct weft_codings), the caller's.
 */
#ifndef WEFT_HTTP_CODING_H
#define WEFT_HTTP_CODING_H

#include <weft/request.h>
#include "base/str.h"

enum weft_coding {
    WEFT_CODING_IDENTITY,
    WEFT_CODING_GZIP, /* RFC 1952 */
    WEFT_CODING_BR,   /* RFC 7932 */
    WEFT_CODING_ZSTD, /* RFC 8878 */
    WEFT_CODING_COUNT,
    WEFT_CODING_NONE = WEFT_CODING_COUNT, /* nothing that there is will be taken: 406 */
};

/** A set of codings: a bit per coding. */
#define WEFT_CODING_BIT(coding) (1u << (coding))

#define WEFT_CODING_WEIGHT_MAX 1000 /* weights have three decimals at most */

struct weft_codings {
    int16_t weight[WEFT_CODING_COUNT]; /* thousandths; -1: not named */
    int16_t others;                    /* of "*"; -1: not named */
};

/** The name on the wire ("gzip"), and what such a file ends in (".gz"; identity: empty). Static. */
weft_str weft_coding_name(enum weft_coding coding);
weft_str weft_coding_ending(enum weft_coding coding);

/** The coding of a name, in either case; "x-gzip" is gzip. WEFT_CODING_NONE: unknown. */
enum weft_coding weft_coding_from(weft_str name);

/** Nothing named so far. */
void weft_codings_init(struct weft_codings *codings);

/** One line's value more. A coding named twice has the lower of its weights. */
void weft_codings_add(struct weft_codings *codings, weft_str value);

/** What a request takes: init, and all its Accept-Encoding lines. */
void weft_codings_of(struct weft_codings *codings, const weft_req *rq);

/** How much a coding is wanted: 1..1000; 0: not acceptable. Identity is acceptable, but behind all
 *  others, unless it or "*" is named. */
uint32_t weft_codings_weight(const struct weft_codings *codings, enum weft_coding coding);

/** The best of those that there are; of equal ones the densest that is named (zstd, br, gzip), then
 *  identity, then what only "*" allows.
 *  there    bits of codings that can be had
 *  returns  one of them; WEFT_CODING_NONE: none is acceptable */
enum weft_coding weft_codings_choose(const struct weft_codings *codings, uint32_t there);

#endif
