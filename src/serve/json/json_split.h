/* json_split.h - the objects of an array, found in pieces of text as they come: pure.
 *
 * It looks for where an object begins and ends and no closer: reading one says whether it is JSON.
 *
 * Lifetime: a split lives on its user's stack; spans lie in the piece given.
 * Threads:  any; one at a time per split.
 * Memory:   sizeof(struct weft_json_split).
 */
#ifndef WEFT_SERVE_JSON_JSON_SPLIT_H
#define WEFT_SERVE_JSON_JSON_SPLIT_H

#include "base/base.h"

enum weft_json_split_state {
    WEFT_SPLIT_START,  /* before the array */
    WEFT_SPLIT_FIRST,  /* behind its bracket */
    WEFT_SPLIT_OBJECT, /* within an object */
    WEFT_SPLIT_BEHIND, /* behind one */
    WEFT_SPLIT_COMMA,  /* behind a comma */
    WEFT_SPLIT_END,    /* behind the array */
};

/** All zero at the beginning. */
struct weft_json_split {
    uint8_t state;       /* enum weft_json_split_state */
    bool in_string;      /* within an object */
    bool escaped;        /* behind a backslash in a string */
    uint32_t depth;      /* brackets open, those of the object included */
    uint64_t count;      /* objects begun */
    uint64_t offset;     /* bytes passed, over all pieces */
    const char *error_z; /* why WEFT_ESYNTAX or WEFT_ERANGE */
};

enum weft_json_split_found {
    WEFT_SPLIT_MORE = 0, /* the piece is used up */
    WEFT_SPLIT_PART = 1, /* *out is of an object, whose end is in a later piece */
    WEFT_SPLIT_LAST = 2, /* *out is an object, or the last part of one */
};

/** Look at a piece, or at what the last call left of it.
 *  used     bytes to go on behind; all of them where the piece is used up
 *  returns  enum weft_json_split_found; WEFT_ESYNTAX: no such array; WEFT_ERANGE: an array of
 *           something else, or no array: `offset` is where */
WEFT_CHECK int weft_json_split_next(struct weft_json_split *split, weft_str piece, size_t *used,
                                    weft_str *out);

/** May the text end here? returns  0; WEFT_ESYNTAX */
WEFT_CHECK weft_rc weft_json_split_end(struct weft_json_split *split);

#endif
