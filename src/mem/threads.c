/* threads.c - see threads.h.
 *
 * glibc puts a thread's descriptor, which pthread_self() points at, into the last page of the
 * mapping that is its stack; so the mapping's end is known without asking, which would allocate.
 */
#include "mem/threads.h"
#include "mem/textfile.h"
#include <pthread.h>

struct entry {
    _Atomic uintptr_t end; /* of the mapping; 0: free */
    _Atomic size_t bytes;
};

static struct entry entries[WEFT_THREADS_MAX];
static _Thread_local struct entry *own;

void weft_thread_enter(size_t stack_bytes)
{
    uintptr_t end = WEFT_ALIGN_UP((uintptr_t)pthread_self() + 1, (uintptr_t)WEFT_PAGE_BYTES);
    for (size_t i = 0; i < WEFT_THREADS_MAX && own == NULL; i++) {
        uintptr_t none = 0;
        if (!atomic_compare_exchange_strong(&entries[i].end, &none, end))
            continue;
        atomic_store(&entries[i].bytes, stack_bytes);
        own = &entries[i];
    }
}

void weft_thread_leave(void)
{
    if (own == NULL)
        return;
    atomic_store(&own->bytes, 0);
    atomic_store(&own->end, 0);
    own = NULL;
}

/* Where the environment ends: just below the end of the main thread's stack. */
static uintptr_t main_stack_end(void)
{
    return WEFT_ALIGN_UP((uintptr_t)weft_textfile_stat(WEFT_STAT_ENV_END),
                         (uintptr_t)WEFT_PAGE_BYTES);
}

/* Below the kernel's gap under the stack nothing is mapped for 128 MiB at least (mmap_base). */
#define MAIN_STACK_BYTES ((size_t)8 << 20)

void weft_threads_read(const struct weft_pagemap *map, struct weft_threads_figures *out)
{
    *out = (struct weft_threads_figures){0};
    uintptr_t end = main_stack_end();
    if (end > MAIN_STACK_BYTES)
        out->present_bytes =
            weft_pagemap_present(map, (const void *)(end - MAIN_STACK_BYTES), MAIN_STACK_BYTES);
    for (size_t i = 0; i < WEFT_THREADS_MAX; i++) {
        end = atomic_load(&entries[i].end);
        size_t bytes = atomic_load(&entries[i].bytes);
        if (end == 0 || bytes == 0)
            continue;
        out->count++;
        out->stack_bytes += bytes;
        out->present_bytes += weft_pagemap_present(map, (const void *)(end - bytes), bytes);
    }
}
