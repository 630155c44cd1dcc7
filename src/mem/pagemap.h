/* pagemap.h - which pages of a range are in memory, mapped by this process.
 *
 * Counted page by page in /proc/self/pagemap over ranges that we know to be ours: the program
 * image, a stack, a pool's mapping. So a figure made of such ranges can be held against the
 * process's RSS; what nobody knows of stays out of it.
 *
 * Lifetime: open while a report is written.
 * Threads:  any, for reports: a system call per 2 MiB (before Linux 6.7), or per hole.
 * Memory:   4 KiB of stack.
 */
#ifndef WEFT_MEM_PAGEMAP_H
#define WEFT_MEM_PAGEMAP_H

#include "base/base.h"

struct weft_account; /* mem/budget.h */

/** How an owner names its mappings: bytes of address space from base on that belong to an account.
 */
typedef void weft_range_fn(void *arg, const struct weft_account *account, const void *base,
                           size_t bytes);

struct weft_pagemap {
    int fd;     /* -1: the kernel does not let us look */
    bool scans; /* PAGEMAP_SCAN is there: holes cost nothing */
};

/** returns  false: it cannot be read (not mounted, or the process may not be looked at); the map
 *           may be asked all the same, and answers 0 */
bool weft_pagemap_open(struct weft_pagemap *map);
void weft_pagemap_close(struct weft_pagemap *map);

/** Bytes of whole pages that touch [base, base + bytes) and are present. The shared page of zeros,
 *  which costs nothing, is left out where the kernel tells (6.7). */
size_t weft_pagemap_present(const struct weft_pagemap *map, const void *base, size_t bytes);

#endif
