/* metrics.h - what the process says of itself: Prometheus text, and the memory ledger as JSON.
 *
 * Lifetime: sources are borrowed for the call.
 * Threads:  any: counters and accounts may be read from anywhere.
 * Memory:   the caller's buffer.
 */
#ifndef WEFT_OPS_METRICS_H
#define WEFT_OPS_METRICS_H

#include "base/counter.h"
#include "base/limits.h"
#include "mem/budget.h"
#include "ops/settle.h"

struct weft_metrics_worker {
    const struct weft_counters *counters;
    const char *name_z; /* "0", "1", ... or "admin" */
};

struct weft_metrics_source {
    const struct weft_metrics_worker *workers;
    uint32_t worker_count;
    const struct weft_ledger *ledger;
    const char *engine_z;
    size_t plan_bytes;       /* the worst case that was printed */
    size_t stack_high_water; /* deepest task stack so far, bytes */
    uint32_t connections_max;
    bool ready;
    const struct weft_settle *settle; /* borrowed, like the level: the process's */
    const struct weft_limits *limits;
};

/** All counters and gauges in the Prometheus text format, version 0.0.4.
 *  returns  bytes that it takes; cut at room */
size_t weft_metrics_text(const struct weft_metrics_source *source, char *to, size_t room);

/** The ledger as JSON: limit, plan, the process as the kernel sees it, and every account.
 *  returns  bytes that it takes; cut at room */
size_t weft_metrics_memory(const struct weft_metrics_source *source, char *to, size_t room);

/** Rss, LazyFree and private bytes from smaps_rollup, page tables from status. */
struct weft_process_memory {
    size_t rss, lazy_free, private_bytes, page_tables, peak_rss;
};
void weft_process_memory_read(struct weft_process_memory *out);

#endif
