/* reality.h - our own account of memory held against what the kernel says.
 *
 * One side is the kernel's: resident set, cgroup, sockets. The other is ours: the ledger's
 * accounts, the program and its libraries, the heap below libraries and users, the stacks of
 * threads. Each of ours is counted in its own ranges (mem/pagemap.h), never as "RSS less
 * something": so what nobody owns is what is left, and has a number of its own.
 *
 * Lifetime: plain values, of one moment each: under load the parts are read one after the other.
 * Threads:  any, for reports: some milliseconds. Needs 32 KiB of stack (weft_task_on_worker).
 * Memory:   the caller's; `held` is the caller's array.
 */
#ifndef WEFT_OPS_REALITY_H
#define WEFT_OPS_REALITY_H

#include "io/sockmem.h"
#include "mem/budget.h"
#include "mem/cgroup.h"
#include "mem/profile.h"
#include "mem/threads.h"

struct weft_loop; /* io/loop.h */

#define WEFT_SOCKETS_ASKED 64 /* of each worker, at most */

/* As the kernel sees the process: smaps_rollup and status. */
struct weft_process_memory {
    size_t rss, lazy_free, private_bytes, page_tables, peak_rss, swap;
    size_t threads;
};

/* malloc's, whichever it is. */
struct weft_heap_memory {
    struct weft_profile_stats stats;
    size_t present; /* pages in memory, as near as it can be told */
};

struct weft_reality {
    struct weft_process_memory process;
    struct weft_cgroup_usage cgroup;
    bool in_cgroup;
    struct weft_sockstat sockets;     /* the whole system's */
    struct weft_socket_sample sample; /* ours */

    /* our own rows */
    bool counted; /* pages could be counted: else accounts stand with what is booked */
    size_t *held; /* borrowed: per account, pages in memory; what is booked where it has no range */
    size_t ledger; /* sum of held */
    size_t
        booked; /* sum of what accounts have committed: at least ledger when the books are right */
    size_t image;         /* program and libraries */
    uint32_t image_count; /* how many of them */
    struct weft_heap_memory heap;
    struct weft_threads_figures threads;
    size_t own;         /* ledger, image, heap, threads */
    ptrdiff_t residual; /* RSS less own */
    uint32_t explained; /* own of RSS, in tenths of a percent */
};

/** Read it all.
 *  root_z  directory that /proc and /sys lie in for cgroup and sockets: "" or a fixture tree
 *  loops   open ones, whose ranges are counted; NULL entries are passed over
 *  held    room for ledger->account_count figures; the result borrows it */
void weft_reality_read(struct weft_reality *reality, const char *root_z,
                       const struct weft_ledger *ledger, const struct weft_loop *const *loops,
                       size_t loop_count, size_t *held);

void weft_process_memory_read(struct weft_process_memory *out);

#endif
