/* textfile.h - the small text files in which the kernel says things: /proc, /sys.
 *
 * Lifetime: slices borrow from the caller's room.
 * Threads:  any.
 * Memory:   the caller's room.
 */
#ifndef WEFT_MEM_TEXTFILE_H
#define WEFT_MEM_TEXTFILE_H

#include "base/str.h"

/** The first bytes of a file, as many as fit; empty when there is none. */
weft_str weft_textfile_read(const char *path_z, char *to, size_t room);

/** The part before `mark`, which is cut off together with it; all of it when there is no mark. */
weft_str weft_str_cut(weft_str *rest, char mark);

/** The number on the line that begins with `key` ("Rss:", "inactive_file"); what stands between is
 *  spaces. False when there is no such line or no number on it. */
bool weft_textfile_number(weft_str text, weft_str key, uint64_t *out);

/** A value of /proc/self/stat by its number in proc(5), from 3 on; 0 when it cannot be read. */
uint64_t weft_textfile_stat(int field);
#define WEFT_STAT_START_BRK 47 /* where the heap of brk(2) begins */
#define WEFT_STAT_ENV_END   51

#endif
