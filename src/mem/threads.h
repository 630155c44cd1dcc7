/* threads.h - the threads that Weft runs, and what their stacks hold.
 *
 * Lifetime: process: a static table. A thread is in it from enter to leave.
 * Threads:  any.
 * Memory:   static, 16 bytes for each of WEFT_THREADS_MAX.
 */
#ifndef WEFT_MEM_THREADS_H
#define WEFT_MEM_THREADS_H

#include "mem/pagemap.h"

#define WEFT_THREADS_MAX 1024 /* later ones run all the same, and are not counted */

/** For a thread's first function: what pthread_create() mapped for it (stack, thread-local data).
 *  stack_bytes  as in its attributes */
void weft_thread_enter(size_t stack_bytes);
/** For the end of that function. */
void weft_thread_leave(void);

struct weft_threads_figures {
    uint32_t count;       /* those in the table, the main thread besides */
    size_t stack_bytes;   /* address space of their stacks */
    size_t present_bytes; /* pages of them in memory, the main thread's included */
};

void weft_threads_read(const struct weft_pagemap *map, struct weft_threads_figures *out);

#endif
