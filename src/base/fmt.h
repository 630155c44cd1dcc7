/* fmt.h - text from a printf format, into the caller's bytes.
 *
 * Our own, because handlers run on 16 KiB stacks where libc's printf takes 2 to 5 KiB, because a
 * program's setlocale() must not turn a point into a comma, and because libc's may allocate.
 *
 * Lifetime: nothing is kept.
 * Threads:  any: pure functions, usable in a signal handler.
 * Memory:   none; 0.5 KiB of stack at most, calls included, 1 KiB where a double is printed.
 */
#ifndef WEFT_BASE_FMT_H
#define WEFT_BASE_FMT_H

#include "base/base.h"
#include <stdarg.h>

/** As snprintf, but never zero-terminated.
 *  to       room bytes; the text is cut where they end; may be NULL when room is 0
 *  format   zero-terminated. Flags - 0 + space #, width, precision, '*', lengths hh h l ll z j t.
 *           d i u x X o c s p %: as in C. %s of NULL is (null).
 *           f F: 0 to 9 digits (a larger precision counts as 9), exact, ties to even; from 1e18 on
 *           as %g below. e g a (and E G A): the shortest text that reads back as the same double,
 *           precision ignored; inf and nan as in C.
 *           Anything else (%n, %ls, %lc) ends the conversions: the rest is copied as it stands.
 *  returns  bytes that the whole text takes, which may be more than room */
size_t weft_vfmt(char *to, size_t room, const char *format, va_list args) WEFT_PRINTF(3, 0);
size_t weft_fmt(char *to, size_t room, const char *format, ...) WEFT_PRINTF(3, 4);

#endif
