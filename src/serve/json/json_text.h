/* json_text.h - what strings are made of: runs of bytes that need no care, and UTF-8.
 *
 * Lifetime: nothing is kept.
 * Threads:  any: pure functions.
 * Memory:   none.
 */
#ifndef WEFT_SERVE_JSON_JSON_TEXT_H
#define WEFT_SERVE_JSON_JSON_TEXT_H

#include "base/base.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static inline bool weft_json_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/** How many bytes from the start mean themselves in a JSON string: ASCII, but for quote, backslash
 *  and control bytes. Sixteen at a time where the processor can. */
static inline size_t weft_json_plain(const char *text, size_t len)
{
    size_t i = 0;
#if defined(__SSE2__)
    for (; len - i >= 16; i += 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
        __m128i care = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)); /* signed: 0x80 and above too */
        care = _mm_or_si128(care, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
        care = _mm_or_si128(care, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
        unsigned mask = (unsigned)_mm_movemask_epi8(care);
        if (mask != 0)
            return i + (size_t)__builtin_ctz(mask);
    }
#endif
    while (i < len && weft_json_is_plain((unsigned char)text[i]))
        i++;
    return i;
}

/** One sequence of UTF-8 beyond ASCII (RFC 3629 4: no overlong forms, surrogates, or past
 * U+10FFFF). text     1 or more bytes returns  its bytes, 1..4; *out_good whether it is complete,
 * else what one U+FFFD would replace */
size_t weft_utf8_sequence(const char *text, size_t len, bool *out_good);

#endif
