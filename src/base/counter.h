/* counter.h - counters of one worker: a flat array, one writer, any number of readers.
 *
 * Lifetime: worker.
 * Threads:  written by the owner only (a relaxed load and store, no locked instruction); read from
 *           anywhere, each value by itself.
 * Memory:   sizeof(struct weft_counters) per worker.
 */
#ifndef WEFT_BASE_COUNTER_H
#define WEFT_BASE_COUNTER_H

#include "base/base.h"

enum weft_counter {
#define WEFT_COUNTER(id, name, unit, help) WEFT_COUNTER_##id,
#include "base/counters.def"
#undef WEFT_COUNTER
    WEFT_COUNTER_COUNT
};

struct weft_counters {
    _Alignas(64) _Atomic uint64_t values[WEFT_COUNTER_COUNT];
};

struct weft_counter_info {
    const char *name_z; /* Prometheus name without the weft_ prefix */
    const char *unit_z;
    const char *help_z;
};

/** One row per enum weft_counter, in its order. */
extern const struct weft_counter_info weft_counter_infos[WEFT_COUNTER_COUNT];

static inline void weft_count_add(struct weft_counters *counters, enum weft_counter id, uint64_t n)
{
    uint64_t now = atomic_load_explicit(&counters->values[id], memory_order_relaxed);
    atomic_store_explicit(&counters->values[id], now + n, memory_order_relaxed);
}

static inline void weft_count(struct weft_counters *counters, enum weft_counter id)
{
    weft_count_add(counters, id, 1);
}

static inline uint64_t weft_counter_read(const struct weft_counters *counters, enum weft_counter id)
{
    return atomic_load_explicit(&counters->values[id], memory_order_relaxed);
}

#endif
