/* base.h - the words that every Weft function speaks: results and slices.
 *
 * Lifetime: none of its own; a slice borrows what it points at.
 * Threads:  any.
 * Memory:   none.
 */
#ifndef WEFT_BASE_PUBLIC_H
#define WEFT_BASE_PUBLIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default) /* in each public header: what libweft.so exports */

/** A result that may not be dropped: a wanted ignore is spelled weft_ignore(), with a reason. */
#define WEFT_CHECK __attribute__((warn_unused_result))

/** Result of almost every call: 0 is good, 1 (WEFT_NEXT) a middleware's "go on", -1..-4095 a
 *  negated errno, <= -5000 one of Weft's own. weft_rc_text() names each, weft_rc_status() maps each
 *  to the HTTP status that a handler returning it answers with. */
typedef enum weft_rc {
    WEFT_OK = 0,
    WEFT_NEXT = 1,
#define WEFT_ERROR(name, code, status, text) name = (code),
#include "errors.def"
#undef WEFT_ERROR
} weft_rc;

/** One line of English for a code; static, zero-terminated, never NULL. */
const char *weft_rc_text(weft_rc rc);

/** The HTTP status for a code (rule 5): 200 for WEFT_OK and WEFT_NEXT, 500 where nothing better
 *  is known. */
int weft_rc_status(weft_rc rc);

/** Bytes and their number. Borrowed (rule 2, docs/api.md): valid as long as its source says; not
 *  zero-terminated. Empty is len 0, whatever ptr is. */
typedef struct weft_str {
    const char *ptr;
    size_t len;
} weft_str;

/** A static slice from a string literal: never copied, valid for ever. */
#define WEFT_S(literal) ((weft_str){"" literal, sizeof(literal) - 1})

/** The same bytes; case matters. */
static inline bool weft_equal(weft_str a, weft_str b)
{
    return a.len == b.len && (a.len == 0 || __builtin_memcmp(a.ptr, b.ptr, a.len) == 0);
}

/** Drop a result on purpose; the reason stands beside it. */
static inline void weft_ignore(weft_rc rc)
{
    (void)rc;
}

/** Return early when a call failed. The only macro here that hides a return. */
#define WEFT_TRY(call)                                                                             \
    do {                                                                                           \
        weft_rc weft_try_rc_ = (call);                                                             \
        if (weft_try_rc_ < 0)                                                                      \
            return weft_try_rc_;                                                                   \
    } while (0)

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
