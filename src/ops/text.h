/* text.h - a long answer of unknown length, written piece by piece: it is never cut, and takes no
 * more memory than one piece.
 *
 * Lifetime: the caller's struct, for one answer.
 * Threads:  the caller's.
 * Memory:   sizeof(struct weft_text), about 1 KiB, on the caller's stack.
 */
#ifndef WEFT_OPS_TEXT_H
#define WEFT_OPS_TEXT_H

#include "base/fmt.h"
#include "base/str.h"

#define WEFT_TEXT_PIECE_BYTES 1024

/** Takes a piece, borrowed for the call; an error ends the answer. */
typedef weft_rc weft_text_put(void *ctx, weft_str piece);

struct weft_text {
    weft_text_put *put;
    void *ctx;
    weft_rc rc; /* the first error: nothing is written after it */
    size_t len;
    char room[WEFT_TEXT_PIECE_BYTES];
};

static inline void weft_text_init(struct weft_text *text, weft_text_put *put, void *ctx)
{
    text->put = put;
    text->ctx = ctx;
    text->rc = 0;
    text->len = 0;
}

/** Add what fits one piece (weft_fmt's format). */
void weft_text_add(struct weft_text *text, const char *format, ...) WEFT_PRINTF(2, 3);

/** Add any text as the inside of a JSON string. */
void weft_text_json(struct weft_text *text, weft_str s);

/** Add any text as the inside of a Prometheus label's value. */
void weft_text_label(struct weft_text *text, weft_str s);

/** Hand on what is left.
 *  returns  0, or the first error */
WEFT_CHECK weft_rc weft_text_end(struct weft_text *text);

#endif
