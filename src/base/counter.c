/* counter.c - names and help of the counters, from counters.def. */
#include "base/counter.h"

const struct weft_counter_info weft_counter_infos[WEFT_COUNTER_COUNT] = {
#define WEFT_COUNTER(id, name, unit, help) [WEFT_COUNTER_##id] = {name, unit, help},
#include "base/counters.def"
#undef WEFT_COUNTER
};
