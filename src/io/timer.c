/* timer.c - slots by the highest digit in which a tick differs from now.
 *
 * Ticks are numbers of seven digits in base 64. A timer sits at the level of the highest digit in
 * which its tick differs from now_tick, in the slot of that digit. So all of a level lies before
 * all of the level above, every used slot is ahead of now's digit, and the earliest slot is the
 * lowest bit of the lowest level that has one. When a slot's turn comes, now_tick becomes its first
 * tick, and its timers either fire or find their place on a lower level. A slot's list is taken
 * whole and worked off from `taken`, so that a long one can be left half done.
 */
#include "io/timer.h"

#define TICK_MAX ((UINT64_C(1) << (WEFT_WHEEL_LEVELS * WEFT_WHEEL_SLOT_BITS)) - 1)

void weft_wheel_init(struct weft_wheel *wheel, uint64_t now_ms, uint32_t precision_ms)
{
    weft_assert(precision_ms > 0);
    *wheel = (struct weft_wheel){.base_ms = now_ms, .precision_ms = precision_ms};
}

/* The first tick at or after a time; the last one for what lies past the wheel's years. */
static uint64_t tick_of(const struct weft_wheel *wheel, uint64_t at_ms)
{
    if (at_ms <= wheel->base_ms)
        return 0;
    uint64_t tick = at_ms - wheel->base_ms;
    if (wheel->precision_ms != 1) /* a division costs as much as all the rest */
        tick = (tick - 1) / wheel->precision_ms + 1;
    return WEFT_MIN(tick, TICK_MAX);
}

static void push(struct weft_timer **list, struct weft_timer *timer)
{
    timer->next = *list;
    timer->link = list;
    if (timer->next != NULL)
        timer->next->link = &timer->next;
    *list = timer;
}

static void place(struct weft_wheel *wheel, struct weft_timer *timer, uint64_t tick)
{
    unsigned high_bit = 63u - (unsigned)__builtin_clzll((tick ^ wheel->now_tick) | 1);
    unsigned level = high_bit / WEFT_WHEEL_SLOT_BITS;
    unsigned slot =
        (unsigned)(tick >> (level * WEFT_WHEEL_SLOT_BITS)) & (unsigned)(WEFT_WHEEL_SLOTS - 1);
    wheel->used[level] |= UINT64_C(1) << slot;
    push(&wheel->slots[level][slot], timer);
}

/* Out of its list; the slot's bit goes with the last one. */
static void unlink_timer(struct weft_wheel *wheel, struct weft_timer *timer)
{
    struct weft_timer **link = timer->link;
    *link = timer->next;
    timer->link = NULL;
    if (timer->next != NULL) {
        timer->next->link = link;
        return;
    }
    /* An address outside of the array gives an index past its end. */
    uintptr_t offset = (uintptr_t)link - (uintptr_t)&wheel->slots[0][0];
    if (offset < sizeof(wheel->slots)) {
        size_t index = offset / sizeof(struct weft_timer *);
        wheel->used[index / WEFT_WHEEL_SLOTS] &= ~(UINT64_C(1) << (index % WEFT_WHEEL_SLOTS));
    }
}

void weft_timer_arm(struct weft_wheel *wheel, struct weft_timer *timer, uint64_t at_ms)
{
    weft_debug_assert(timer->fire != NULL);
    if (timer->link != NULL) {
        if (at_ms >= timer->at_ms) { /* sorted again when its slot's turn comes */
            timer->at_ms = at_ms;
            return;
        }
        unlink_timer(wheel, timer);
    } else {
        wheel->armed++;
    }
    timer->at_ms = at_ms;
    place(wheel, timer, WEFT_MAX(tick_of(wheel, at_ms), wheel->floor_tick));
}

void weft_timer_remove(struct weft_wheel *wheel, struct weft_timer *timer)
{
    unlink_timer(wheel, timer);
    wheel->armed--;
}

/* The first tick of the earliest slot in use.
 *  returns  false when there is none */
static bool earliest(const struct weft_wheel *wheel, unsigned *out_level, unsigned *out_slot,
                     uint64_t *out_tick)
{
    for (unsigned level = 0; level < WEFT_WHEEL_LEVELS; level++) {
        if (wheel->used[level] == 0)
            continue;
        unsigned slot = (unsigned)__builtin_ctzll(wheel->used[level]);
        unsigned shift = level * WEFT_WHEEL_SLOT_BITS;
        uint64_t above = wheel->now_tick >> shift >> WEFT_WHEEL_SLOT_BITS;
        *out_level = level;
        *out_slot = slot;
        *out_tick = ((above << WEFT_WHEEL_SLOT_BITS) | slot) << shift;
        return true;
    }
    return false;
}

/* Takes the next slot that is due, if any, and moves now_tick there, else to target. */
static bool take_slot(struct weft_wheel *wheel, uint64_t target)
{
    unsigned level = 0;
    unsigned slot = 0;
    uint64_t tick = 0;
    if (!earliest(wheel, &level, &slot, &tick) || tick > target) {
        wheel->now_tick = target;
        return false;
    }
    wheel->now_tick = tick;
    wheel->used[level] &= ~(UINT64_C(1) << slot);
    wheel->taken = wheel->slots[level][slot];
    wheel->taken->link = &wheel->taken;
    wheel->slots[level][slot] = NULL;
    return true;
}

bool weft_wheel_advance(struct weft_wheel *wheel, uint64_t now_ms, uint32_t max_steps)
{
    uint64_t passed_ms = now_ms > wheel->base_ms ? now_ms - wheel->base_ms : 0;
    uint64_t target = WEFT_MIN(passed_ms / wheel->precision_ms, TICK_MAX - 1);
    target = WEFT_MAX(target, wheel->now_tick);
    wheel->floor_tick = target + 1; /* for what fires arm */
    while (wheel->taken != NULL || take_slot(wheel, target)) {
        if (max_steps-- == 0) {
            if (wheel->counters != NULL)
                weft_count(wheel->counters, WEFT_COUNTER_TIMERS_FULL);
            break;
        }
        struct weft_timer *timer = wheel->taken;
        unlink_timer(wheel, timer);
        uint64_t tick = tick_of(wheel, timer->at_ms);
        if (tick > wheel->now_tick) {
            place(wheel, timer, tick);
            continue;
        }
        wheel->armed--;
        timer->fire(timer);
    }
    wheel->floor_tick = wheel->now_tick;
    return wheel->taken != NULL;
}

uint64_t weft_wheel_next_ms(const struct weft_wheel *wheel)
{
    if (wheel->armed == 0)
        return UINT64_MAX;
    unsigned level;
    unsigned slot;
    uint64_t tick = wheel->now_tick;
    if (wheel->taken == NULL)
        (void)earliest(wheel, &level, &slot, &tick); /* armed > 0 and none taken: there is one */
    return wheel->base_ms + tick * wheel->precision_ms;
}
