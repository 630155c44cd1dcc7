/* relief.h - how short of memory the process is, and what is to be done about it.
 *
 * Looks at three things: the resident set beside the limit, the cgroup's working set beside what
 * the cgroup may have (memory.high, memory.max), and the share of time that tasks of the cgroup
 * stood still for lack of memory (PSI). Each level of relief (base/limits.h) is entered at one mark
 * and left 5 % below it, one level per look. And it lets go: when no request runs and nothing is
 * left that a pass could hand back, refusing frees nothing, so it ends, whatever the figures say.
 *
 * A pure policy: the figures are handed in, the level comes out.
 *
 * Lifetime: process.
 * Threads:  one caller (the admin thread).
 * Memory:   sizeof(struct weft_relief_state).
 */
#ifndef WEFT_OPS_RELIEF_H
#define WEFT_OPS_RELIEF_H

#include "base/base.h"
#include "base/limits.h"

struct weft_relief_sample {
    uint64_t now_ms;
    size_t resident;         /* without what the kernel may take back */
    size_t limit;            /* the plan's; 0: none */
    size_t working_set;      /* the cgroup's, other processes of it included; 0: none */
    size_t cgroup_limit;     /* the lower one of its high and its maximum; 0: none */
    uint64_t stall_us_total; /* time that some task of the cgroup waited for memory, in all */
    bool busy;               /* a request runs, or something is left that a pass could hand back */
};

struct weft_relief_state {
    enum weft_relief level;
    struct weft_relief_sample last;
    uint32_t fill_permille;  /* of the last sample: the fullest of limit and cgroup */
    uint32_t stall_permille; /* of the time since the sample before */
};

/** The level that this sample asks for. A few times a second. */
enum weft_relief weft_relief_step(struct weft_relief_state *state,
                                  const struct weft_relief_sample *sample);

#endif
