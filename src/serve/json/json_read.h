/* json_read.h - JSON text into a struct, as its descriptor says: pure.
 *
 * Levels are kept in a table, not on the stack: what a client sends makes no calls deeper.
 *
 * Lifetime: of a read nothing stays but *out, which borrows the text and what `alloc` gave.
 * Threads:  any.
 * Memory:   2 KiB of stack; lists come from the caller's `alloc`.
 */
#ifndef WEFT_SERVE_JSON_JSON_READ_H
#define WEFT_SERVE_JSON_JSON_READ_H

#include "base/base.h"
#include "serve/json/json.h"

/** Where lists lie. */
struct weft_json_memory {
    void *(*alloc)(void *arg, size_t bytes); /* 16-byte aligned; NULL: no more */
    void *arg;
};

/** text     at most UINT32_MAX bytes, changed where strings have escapes
 *  out      desc->object_bytes, zeroed first; half filled after an error
 *  error    filled on failure only
 *  returns  0; WEFT_ESYNTAX (no JSON), WEFT_ERANGE (not what the descriptor says), WEFT_ELIMIT
 * (more than WEFT_JSON_DEPTH_MAX levels, or no memory for a list) */
WEFT_CHECK weft_rc weft_json_parse(char *text, size_t len, const weft_json_desc *desc, void *out,
                                   const struct weft_json_memory *memory, weft_json_error *error);

#endif
