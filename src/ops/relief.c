/* relief.c - see relief.h. */
#include "ops/relief.h"

#define LEAVE_BELOW_PERMILLE 50 /* a level is left so far below the mark that it is entered at */

/* Where a level begins. Time stood still says nothing about idle connections. */
static const struct mark {
    uint32_t fill_permille;
    uint32_t stall_permille;
} marks[] = {
    [WEFT_RELIEF_TRIM] = {850, 100},
    [WEFT_RELIEF_SHED] = {950, 300},
    [WEFT_RELIEF_CLOSE] = {980, 1001},
};

static uint32_t permille(size_t part, size_t whole)
{
    return whole == 0 ? 0 : (uint32_t)WEFT_MIN((double)part / (double)whole * 1000.0, 100000.0);
}

static uint32_t stalled(const struct weft_relief_state *state,
                        const struct weft_relief_sample *sample)
{
    uint64_t ms = sample->now_ms - state->last.now_ms;
    if (state->last.now_ms == 0 || ms == 0 || sample->stall_us_total < state->last.stall_us_total)
        return 0;
    return (uint32_t)WEFT_MIN((sample->stall_us_total - state->last.stall_us_total) / ms,
                              (uint64_t)1000);
}

static bool reaches(const struct weft_relief_state *state, enum weft_relief level, uint32_t below)
{
    return state->fill_permille + below >= marks[level].fill_permille ||
           state->stall_permille + below >= marks[level].stall_permille;
}

enum weft_relief weft_relief_step(struct weft_relief_state *state,
                                  const struct weft_relief_sample *sample)
{
    state->stall_permille = stalled(state, sample);
    state->fill_permille = WEFT_MAX(permille(sample->resident, sample->limit),
                                    permille(sample->working_set, sample->cgroup_limit));
    state->last = *sample;
    enum weft_relief asked = WEFT_RELIEF_NONE;
    for (enum weft_relief level = WEFT_RELIEF_TRIM; level <= WEFT_RELIEF_CLOSE; level++)
        if (reaches(state, level, 0))
            asked = level;
    if (asked > state->level)
        state->level = asked;
    else if (state->level > WEFT_RELIEF_NONE && !reaches(state, state->level, LEAVE_BELOW_PERMILLE))
        state->level--;
    if (state->level >= WEFT_RELIEF_SHED && !sample->busy)
        state->level = WEFT_RELIEF_TRIM; /* refusing frees nothing any more */
    return state->level;
}
