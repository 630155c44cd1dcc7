/* real.h - doubles to decimal text: shortest, and the same in every locale.
 *
 * Lifetime: nothing is kept.
 * Threads:  any: pure functions.
 * Memory:   none; about 0.6 KiB of stack.
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

#endif
