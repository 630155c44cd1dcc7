/* json_scan.h - JSON's words, read one by one: strict (RFC 8259), pure, no memory but the text's
 * own.
 *
 * The text lies in memory that may be written: a string with escapes is decoded where it lies,
 * because no escape is shorter than what it stands for.
 *
 * Lifetime: a scan lives on its user's stack; what it returns lies in the text.
 * Threads:  any; one at a time per scan.
 * Memory:   sizeof(struct weft_json_scan).
 */
#ifndef WEFT_SERVE_JSON_JSON_SCAN_H
#define WEFT_SERVE_JSON_JSON_SCAN_H

#include "base/base.h"
#include "serve/json/json.h"
#include "serve/json/json_text.h"

/** What can be wrong with a text, in words; NULL: nothing. All of them are static. */
struct weft_json_scan {
    const char *start;
    const char *at;
    const char *end;
    const char *error_z; /* set by the first call that returns false */
    weft_rc rc;          /* with it: WEFT_ESYNTAX, WEFT_ELIMIT (levels), WEFT_ERANGE */
};

static inline bool weft_json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/** The next byte that is no white space; 0 at the end (and for a NUL, which is nothing's start). */
static inline char weft_json_peek(struct weft_json_scan *scan)
{
    const char *at = scan->at, *end = scan->end;
    if (WEFT_LIKELY(at < end && (unsigned char)*at > ' '))
        return *at;
    while (at < end && weft_json_is_space(*at))
        at++;
    scan->at = at;
    return at < end ? *at : 0;
}

/** Notes the first mistake. returns  false */
bool weft_json_wrong(struct weft_json_scan *scan, weft_rc rc, const char *error_z);

/** Of a string what is behind its first plain bytes: weft_json_scan_string(). */
WEFT_CHECK bool weft_json_scan_string_rest(struct weft_json_scan *scan, const char *start,
                                           weft_str *out);

/** A string, decoded: `at` stands on its quote, and behind the other one afterwards. */
WEFT_CHECK static inline bool weft_json_scan_string(struct weft_json_scan *scan, weft_str *out)
{
    const char *start = scan->at + 1;
    size_t run = weft_json_plain(start, (size_t)(scan->end - start));
    scan->at = start + run;
    if (WEFT_UNLIKELY(scan->at == scan->end || *scan->at != '"'))
        return weft_json_scan_string_rest(scan, start, out);
    scan->at++;
    out->ptr = start;
    out->len = run;
    return true;
}

/** A number by the grammar: its text.
 *  out_whole  whether it has neither point nor exponent */
WEFT_CHECK bool weft_json_scan_number(struct weft_json_scan *scan, weft_str *out, bool *out_whole);

/** true, false or null. */
WEFT_CHECK bool weft_json_scan_word(struct weft_json_scan *scan, weft_str word);

/** Any value, checked and passed by; strings stay as they are.
 *  levels   so many within each other at most, 0..32 */
WEFT_CHECK bool weft_json_skip(struct weft_json_scan *scan, uint32_t levels);

/** How many items are left of a list whose next one begins at `at`, which stays. A guess where the
 *  text is no JSON, or where the items are more than most: then more than most. */
uint64_t weft_json_count(const struct weft_json_scan *scan, uint64_t most);

#endif
