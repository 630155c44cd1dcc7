/* settle.c - see settle.h. */
#include "ops/settle.h"

bool weft_settle_step(struct weft_settle *settle, uint64_t now_ms, uint64_t active,
                      uint64_t requests)
{
    bool at_work = active > 0 || requests != settle->requests;
    settle->requests = requests;
    if (at_work || !settle->quiet) {
        settle->quiet = !at_work;
        settle->quiet_ms = now_ms;
        settle->judged = settle->missed = false;
        return false;
    }
    return weft_settle_pending(settle) && now_ms - settle->quiet_ms >= settle->return_ms;
}

static void add(_Atomic uint64_t *count)
{
    atomic_store(count, atomic_load(count) + 1); /* one writer */
}

enum weft_settle_verdict weft_settle_judge(struct weft_settle *settle, uint64_t now_ms,
                                           size_t bytes)
{
    size_t baseline = atomic_load(&settle->baseline);
    atomic_store(&settle->figure, bytes);
    bool back = baseline == 0 || bytes <= baseline + WEFT_SETTLE_SLACK_BYTES;
    if (!settle->missed)
        add(&settle->checks);
    if (!back) {
        bool again = settle->missed;
        settle->missed = true;
        if (!again)
            add(&settle->misses);
        return again ? WEFT_SETTLE_STILL : WEFT_SETTLE_MISSED;
    }
    settle->judged = true;
    atomic_store(&settle->took_ms, now_ms - settle->quiet_ms);
    if (baseline == 0) {
        atomic_store(&settle->baseline, bytes);
        return WEFT_SETTLE_FIRST;
    }
    return settle->missed ? WEFT_SETTLE_LATE : WEFT_SETTLE_BACK;
}
