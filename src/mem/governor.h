/* governor.h - when a pass that gives free pages back to the system starts, and how much of it may
 * be done at once.
 *
 * A pass starts when the free share of a worker's elastic memory falls below a threshold that
 * moves:
 *
 *     base * (1 + 0.2 * clamp(ratio - 1, -1, 0.5)) * (1 - 0.3 * max(0, load - 0.8))
 *     ratio = predicted pause / target * (0.45 pause + 0.30 promotion + 0.25 I/O wait)
 *
 * The pause is that of a pass which gave everything back at once, predicted from what steps have
 * cost so far: shorter than the target, it can wait (down to -20 %); longer, it starts earlier (up
 * to +10 %) and is split into steps below the target. Each of the three weighted inputs is 1 where
 * it is as usual, 0 where there is nothing of it, 2 at most. A busy worker waits longer. Two more
 * inputs multiply the result: memory that fills quickly starts a pass earlier (and one that drains
 * later), and so does throughput that falls.
 *
 * A pure policy: no I/O, no heap, no clock. A driver looks like this, on every turn:
 *
 *     if (weft_governor_due(g, now, free_share)) {
 *         size_t bytes = give_back(weft_governor_step_bytes(g));   // measured: pause_ns
 *         weft_governor_step(g, now, pause_ns, bytes);             // 0 bytes: nothing left
 *     }
 * and calls weft_governor_sample() a few times a second.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only, but weft_governor_figure(): any.
 * Memory:   sizeof(struct weft_governor), about 4 KiB, fixed.
 */
#ifndef WEFT_MEM_GOVERNOR_H
#define WEFT_MEM_GOVERNOR_H

#include "base/window.h"

struct weft_governor_options {
    double base;         /* share kept free */
    uint64_t target_ns;  /* of a step */
    double pause_factor; /* 0.2 */
    double pause_excess; /* 0.5: ratio - 1 counts up to here; down to -1 */
    double load_factor;  /* 0.3 */
    double load_free;    /* 0.8: load below this changes nothing */
    double pause_weight; /* 0.45, 0.30, 0.25: together 1 */
    double promotion_weight;
    double io_weight;
    double promotion_usual;      /* share of the whole that requests grow by in a second: 1/30 */
    double io_usual;             /* share of wall time: 0.5 */
    double fill_horizon_s;       /* 2: how far ahead the fill slope is followed */
    double fill_bound;           /* 0.2: by how much it moves the threshold at most, either way */
    double decay_factor;         /* 0.2: of the throughput's decay */
    uint64_t decay_requests_min; /* fewer in 60 s say nothing */
    double hysteresis;           /* 0.05: a pass goes on until so much more is free */
    uint64_t gap_ns;             /* between the starts of two passes: at most 3 in a second */
    size_t step_bytes_min;       /* a page: less cannot be given back */
    size_t step_bytes_max;
    double prior_fixed_ns; /* cost of a step as long as none was measured */
    double prior_byte_ns;
};

/** The formula's constants. */
extern const struct weft_governor_options weft_governor_defaults;

/* What the worker has seen since it started (cumulated: _total) and how it stands now. */
struct weft_governor_sample {
    uint64_t promoted_bytes_total; /* arena bytes beyond a request's first chunk */
    uint64_t io_wait_ns_total;     /* waited for I/O */
    uint64_t busy_ns_total;        /* not waiting for events */
    uint64_t wall_ns_total;
    uint64_t requests_total;
    size_t used_bytes;      /* held by requests */
    size_t committed_bytes; /* touched: used, and what a pass could give back */
    size_t elastic_bytes;   /* the worker's share */
};

enum weft_governor_figure {
#define X(name, kind, help) WEFT_GOVERNOR_##name,
#include "mem/governor.def"
#undef X
    WEFT_GOVERNOR_FIGURES
};

struct weft_governor_figure_info {
    const char *name_z;
    const char *help_z;
    bool counter; /* else a gauge */
};
extern const struct weft_governor_figure_info weft_governor_figures[WEFT_GOVERNOR_FIGURES];

struct weft_governor {
    struct weft_governor_options options;
    struct weft_governor_sample last;
    bool sampled;
    bool running;          /* a pass is under way */
    uint64_t pass_ns_next; /* no pass starts before */
    struct weft_window pauses, promotion, io_wait, fill, requests_short, requests_long;
    struct weft_window busy, wall;
    struct weft_cost { /* what a step costs: a line through the steps, older ones count less */
        double n, x, y, xx, xy; /* x = bytes, y = ns */
        double fixed_ns, byte_ns;
    } cost;
    double threshold;
    double enough; /* free share at which the pass under way ends */
    _Atomic double figures[WEFT_GOVERNOR_FIGURES];
};

/** options  NULL: weft_governor_defaults; copied */
void weft_governor_init(struct weft_governor *governor, const struct weft_governor_options *options,
                        uint64_t now_ns);

/** The figures of now; differences to the call before are counted. The first one is the zero. */
void weft_governor_sample(struct weft_governor *governor, uint64_t now_ns,
                          const struct weft_governor_sample *sample);

/** Shall a step be done now? Starts a pass, goes on with it, and ends it where enough is free.
 *  free_share  of the elastic memory: what is not committed, 0..1 */
bool weft_governor_due(struct weft_governor *governor, uint64_t now_ns, double free_share);

/** A step is done. Steps of a pass that somebody else started may be told too.
 *  bytes  given back; less than a page: it was only looked; 0: nothing was left, the pass is over
 */
void weft_governor_step(struct weft_governor *governor, uint64_t now_ns, uint64_t pause_ns,
                        size_t bytes);

/** What a step may give back: its predicted length is at most 0.8 of the target, unless a single
 *  page takes longer. */
size_t weft_governor_step_bytes(const struct weft_governor *governor);

/** How long giving back so many bytes in one step would take. */
uint64_t weft_governor_predict_ns(const struct weft_governor *governor, size_t bytes);

/** The present threshold, 0.05..0.9. */
static inline double weft_governor_threshold(const struct weft_governor *governor)
{
    return governor->threshold;
}

/** The formula alone.  ratio  pause of the target, >= 0;  load  0..1 */
double weft_governor_formula(const struct weft_governor_options *options, double ratio,
                             double load);

static inline double weft_governor_figure(const struct weft_governor *governor,
                                          enum weft_governor_figure figure)
{
    return atomic_load_explicit(&governor->figures[figure], memory_order_relaxed);
}

#endif
