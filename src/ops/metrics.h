/* metrics.h - what the process says of itself, in the Prometheus text format. (The memory ledger as
 * JSON and as a page to read: report.h.)
 *
 * Lifetime: sources are borrowed for the call.
 * Threads:  any: counters and accounts may be read from anywhere.
 * Memory:   one piece of text at a time.
 */
#ifndef WEFT_OPS_METRICS_H
#define WEFT_OPS_METRICS_H

#include "base/counter.h"
#include "base/limits.h"
#include "io/upstream.h"
#include "mem/budget.h"
#include "ops/reality.h"
#include "mem/purge.h"
#include "ops/settle.h"
#include "ops/text.h"
#include "ops/top.h"

struct weft_loop; /* io/loop.h */

struct weft_metrics_worker {
    const struct weft_counters *counters;
    const struct weft_loop *loop; /* figures only: those that may be read from anywhere */
    const char *name_z;           /* "0", "1", ... or "admin" */
};

/* A line of the plan. */
struct weft_metrics_term {
    const char *name_z;
    const char *formula_z;
    size_t bytes;
    bool elastic;
};

struct weft_owner;

struct weft_metrics_source {
    const struct weft_metrics_worker *workers;
    uint32_t worker_count;
    const struct weft_ledger *ledger;
    const struct weft_reality *reality; /* read a moment ago */
    struct weft_owner *owners; /* borrowed: room for WEFT_OWNERS_MAX and 3 rows, to write to */
    const char *engine_z;
    const struct weft_metrics_term
        *terms; /* the worst case that was printed, and what it adds to */
    size_t term_count;
    size_t plan_bytes;
    const char *limit_source_z;
    size_t stack_high_water; /* deepest task stack so far, bytes */
    uint32_t connections_max;
    bool ready;
    const struct weft_top *routes; /* rows by route, and their names */
    const struct weft_top_source *names;
    const struct weft_upstream *const *upstreams; /* borrowed: servers that requests wait on */
    size_t upstream_count;
    const struct weft_settle *settle; /* borrowed, like the level: the process's */
    const struct weft_limits *limits;
    const struct weft_purge *purge; /* borrowed: likewise */
};

static inline const char *weft_metrics_worker_name(const struct weft_metrics_source *source,
                                                   uint32_t worker)
{
    return worker < source->worker_count ? source->workers[worker].name_z : "process";
}

/* Names of accounts: Weft's own (some 40), and pools, channels and caches of the program (48).
 * Later ones would be left out of the sums. */
#define WEFT_OWNERS_MAX 96

/* An owner with its accounts on all workers together. */
struct weft_owner {
    const char *name_z;
    size_t held, committed, used, peak, reserved;
    uint64_t refused;
};

/** Into source->owners.
 *  returns  how many, at most WEFT_OWNERS_MAX */
size_t weft_owners_read(const struct weft_metrics_source *source);

/** All counters and gauges, version 0.0.4 of the format.
 *  returns  0, or put's error */
WEFT_CHECK weft_rc weft_metrics_text(const struct weft_metrics_source *source, weft_text_put *put,
                                     void *ctx);

#endif
