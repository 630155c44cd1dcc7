/* str.h - slices: compare, cut, and numbers to and from text.
 *
 * Lifetime: slices borrow; nothing here keeps one.
 * Threads:  any: pure functions.
 * Memory:   none.
 */
#ifndef WEFT_BASE_STR_H
#define WEFT_BASE_STR_H

#include "base/base.h"

/** Longest text of a u64 in decimal, in bytes. */
#define WEFT_U64_TEXT_BYTES 20

static inline weft_str weft_str_make(const char *ptr, size_t len)
{
    return (weft_str){ptr, len};
}

/** A slice over a zero-terminated string; {NULL, 0} for NULL. */
static inline weft_str weft_str_z(const char *text_z)
{
    return (weft_str){text_z, text_z ? strlen(text_z) : 0};
}

static inline bool weft_str_eq(weft_str a, weft_str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/** Equal but for the case of ASCII letters (header names, RFC 9110 5.1). */
bool weft_str_ieq(weft_str a, weft_str b);

static inline bool weft_str_starts(weft_str s, weft_str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool weft_str_ends(weft_str s, weft_str suffix);

/** Without the spaces and tabs at both ends (OWS, RFC 9110 5.6.3). */
weft_str weft_str_trim(weft_str s);

/** All of s as an unsigned decimal: digits only, no sign, no spaces.
 *  returns  0; WEFT_ESYNTAX (empty or a non-digit); WEFT_ERANGE (above UINT64_MAX);
 *           *out is written only on 0. */
WEFT_CHECK weft_rc weft_str_to_u64(weft_str s, uint64_t *out);

/** The same with an optional leading '-'. */
WEFT_CHECK weft_rc weft_str_to_i64(weft_str s, int64_t *out);

/** Decimal text of value at `to` (room for WEFT_U64_TEXT_BYTES), not zero-terminated.
 *  returns  bytes written, 1..20 */
size_t weft_u64_to_text(char *to, uint64_t value);

/** A size such as 8192, 64K, 1M, 2G (powers of 1024; case of the suffix ignored, trailing B
 * allowed). returns  0, WEFT_ESYNTAX, WEFT_ERANGE */
WEFT_CHECK weft_rc weft_str_to_bytes(weft_str s, uint64_t *out);

/** A time such as 500ms, 30s, 5m, 1h, in milliseconds; a bare number is milliseconds.
 *  returns  0, WEFT_ESYNTAX, WEFT_ERANGE */
WEFT_CHECK weft_rc weft_str_to_ms(weft_str s, uint64_t *out);

#endif
