/* timer.h - deadlines of one worker: a hierarchical wheel of intrusive timers.
 *
 * A server arms and moves timers all the time and hardly ever lets one fire, so arming, moving and
 * disarming are O(1) and touch nothing but the timer and its neighbours. A timer that is moved to a
 * later time stays where it is and is sorted again when its old time comes: a deadline put off on
 * every request costs one store.
 *
 * Time is cut into ticks of precision_ms; a timer fires at the first tick at or after its time,
 * never early, and as late as one precision plus what the loop takes (MAP.md HC-12).
 *
 * Lifetime: worker. A timer lives in its owner's struct and is disarmed before that goes.
 * Threads:  the owner worker only.
 * Memory:   sizeof(struct weft_wheel) per worker (3.7 KiB), sizeof(struct weft_timer) per timer (32
 *           bytes), no heap.
 */
#ifndef WEFT_IO_TIMER_H
#define WEFT_IO_TIMER_H

#include "base/base.h"
#include "base/counter.h"

#define WEFT_WHEEL_LEVELS    7 /* 64^7 ticks: 139 years of 1 ms */
#define WEFT_WHEEL_SLOT_BITS 6
#define WEFT_WHEEL_SLOTS     64

/** All zero is a timer that is not armed; set fire before it is armed. */
struct weft_timer {
    struct weft_timer *next;
    struct weft_timer *
        *link;      /* what points at us: a slot, or our neighbour's next; NULL: not armed */
    uint64_t at_ms; /* when to fire */

    /** Called by weft_wheel_advance(); the timer is disarmed by then. May arm and disarm any timer,
     *  this one included, and may free what holds it. */
    void (*fire)(struct weft_timer *timer);
};

struct weft_wheel {
    uint64_t base_ms;      /* the time of tick 0 */
    uint64_t now_tick;     /* every tick before this one is done with */
    uint64_t floor_tick;   /* no timer is put before this one */
    uint32_t precision_ms; /* length of a tick */
    uint32_t armed;        /* timers in the wheel */

    struct weft_counters *counters; /* borrowed: where calls that leave work are counted; or NULL */

    /* Timers taken from a slot whose turn has come, not looked at yet. */
    struct weft_timer *taken;
    uint64_t used[WEFT_WHEEL_LEVELS]; /* bit s: slots[level][s] is not empty */

    /* Level 0 holds one tick a slot, level 1 64 ticks, level 2 4096... */
    struct weft_timer *slots[WEFT_WHEEL_LEVELS][WEFT_WHEEL_SLOTS];
};

/** An empty wheel.
 *  now_ms        the clock's present; any time given later counts on the same clock
 *  precision_ms  > 0: 1, or 10 for fewer wake-ups */
void weft_wheel_init(struct weft_wheel *wheel, uint64_t now_ms, uint32_t precision_ms);

/** Fire at at_ms, instead of what it was armed for before. O(1). A time that has passed fires on
 *  the next advance; from within a fire, on the next tick, so that a timer which arms itself again
 *  cannot hold the loop. */
void weft_timer_arm(struct weft_wheel *wheel, struct weft_timer *timer, uint64_t at_ms);

static inline bool weft_timer_armed(const struct weft_timer *timer)
{
    return timer->link != NULL;
}

/* Out of the wheel: one that is armed. */
void weft_timer_remove(struct weft_wheel *wheel, struct weft_timer *timer);

/** Not to fire; good for a timer that is not armed as well. O(1). */
static inline void weft_timer_disarm(struct weft_wheel *wheel, struct weft_timer *timer)
{
    if (weft_timer_armed(timer))
        weft_timer_remove(wheel, timer);
}

/** Fire what is due at now_ms, in the order of its ticks.
 *  now_ms     a time before the last call's counts as that
 *  max_steps  > 0; timers looked at, fired or sorted again, before we return with work left
 *  returns    whether more may be due: call again soon */
bool weft_wheel_advance(struct weft_wheel *wheel, uint64_t now_ms, uint32_t max_steps);

/** When to advance next: never later than the first timer fires, perhaps sooner (its slot's turn to
 *  be sorted); UINT64_MAX when none is armed. O(1). */
uint64_t weft_wheel_next_ms(const struct weft_wheel *wheel);

#endif
