/* real.h - doubles to decimal text and back: shortest, nearest, and the same in every locale.
 *
 * Lifetime: nothing is kept.
 * Threads:  any: pure functions.
 * Memory:   none; about 0.6 KiB of stack, 1.3 KiB to read what lies halfway between two doubles.
 */
#ifndef WEFT_BASE_REAL_H
#define WEFT_BASE_REAL_H

#include "base/base.h"

/** Longest text of a finite double, in bytes: -0.0000012345678901234567. */
#define WEFT_F64_TEXT_BYTES 25

/** The shortest decimal text that reads back as exactly this double (a last digit more in the rare
 *  case that is too close to call), valid as a JSON number: 0.1, 1e+21, -5e-324, 100, -0.
 *  to       room for WEFT_F64_TEXT_BYTES, not zero-terminated
 *  value    finite
 *  returns  bytes written, 1..WEFT_F64_TEXT_BYTES */
size_t weft_f64_to_text(char *to, double value);

/** The double nearest to a decimal text, ties to even; what is too small for one is 0.
 *  text     a number by the grammar of JSON (RFC 8259 6), any length: checked by the caller
 *  returns  0; WEFT_ERANGE: beyond the largest double, *out untouched
 *  cost     some 20 ns; a few microseconds at most, but for the walk over its digits */
WEFT_CHECK weft_rc weft_f64_from_text(weft_str text, double *out);

/** The same from whole digits and a power of ten, where no rounding is needed but one: digits below
 *  2^53, e -22..22. Most numbers that people write are such.
 *  returns  false: not such a number, *out untouched */
WEFT_CHECK bool weft_f64_from_digits(uint64_t digits, int64_t e, double *out);

#endif
