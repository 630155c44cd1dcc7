/* regex.h - regular expressions with a bound: on time, on stack and on memory.
 *
 * PCRE2, compiled to machine code where the machine and the expression allow it. An expression
 * matches a text from end to end or not at all. What it may spend on one text is limited by
 * WEFT_REGEX_STEPS_MAX, so that no request can hold a worker with a text that makes it backtrack.
 *
 * Lifetime: expressions: process. Scratch: worker.
 * Threads:  an expression may be used by all; a scratch by its worker only.
 * Memory:   weft_regex_bytes() each and weft_regex_scratch_bytes() per worker, all taken by create.
 *           Only an expression without machine code takes more when it first runs (PCRE2's frames,
 *           WEFT_REGEX_FRAME_BYTES_MAX at most, kept): weft_regex_scratch_bytes() counts them.
 */
#ifndef WEFT_HTTP_REGEX_H
#define WEFT_HTTP_REGEX_H

#include "base/str.h"

#define WEFT_REGEX_STEPS_MAX       20000u /* PCRE2's match limit: some 100 us */
#define WEFT_REGEX_STACK_BYTES_MAX ((size_t)64 << 10)
#define WEFT_REGEX_FRAME_BYTES_MAX ((size_t)64 << 10)

struct weft_leash; /* mem/leash.h */
struct weft_regex;
struct weft_regex_scratch;

enum weft_regex_rc {
    WEFT_REGEX_NO,
    WEFT_REGEX_YES,
    WEFT_REGEX_LIMIT, /* gave up: a limit was reached; whether it matches is not known */
};

/** Compile an expression. '.' matches every byte, '$' only the end.
 *  leash      PCRE2's memory is charged there; borrowed: outlives the expression
 *  error      room for error_bytes: what is wrong, zero-terminated, on WEFT_ESYNTAX
 *  out_at     at which byte of text, on WEFT_ESYNTAX
 *  returns    0, WEFT_ESYNTAX, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_regex_create(weft_str text, struct weft_leash *leash, char *error,
                                     size_t error_bytes, size_t *out_at, struct weft_regex **out);
void weft_regex_destroy(struct weft_regex *regex);

/** Bytes that an expression holds, machine code included. */
size_t weft_regex_bytes(const struct weft_regex *regex);

/** leash as above.
 *  returns  0, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_regex_scratch_create(struct weft_leash *leash,
                                             struct weft_regex_scratch **out);
void weft_regex_scratch_destroy(struct weft_regex_scratch *scratch);

/** Bytes that a scratch costs at worst; of them those that a leash sees. */
size_t weft_regex_scratch_bytes(void);
size_t weft_regex_scratch_leash_bytes(void);

/** Does the whole text match? Takes no memory and, as machine code, a few hundred bytes of the
 *  caller's stack: it runs on the scratch's own (DESIGN.md: 34 KB otherwise). */
enum weft_regex_rc weft_regex_match(const struct weft_regex *regex,
                                    struct weft_regex_scratch *scratch, weft_str text);

#endif
