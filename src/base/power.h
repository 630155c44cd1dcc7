/* power.h - powers of ten with 128 bits of precision, by nine multiplications at most.
 *
 * Lifetime: nothing is kept.
 * Threads:  any: pure functions.
 * Memory:   none; 18 constants.
 */
#ifndef WEFT_BASE_POWER_H
#define WEFT_BASE_POWER_H

#include "base/base.h"

/** (hi * 2^64 + lo) * 2^e with the top bit of hi set, truncated. */
struct weft_power {
    uint64_t hi;
    uint64_t lo;
    int e;
};

/** The product, truncated: it may be less than the true one by 4 units of lo. */
struct weft_power weft_power_times(struct weft_power a, struct weft_power b);

/** 10^k, k in -511..511: it may be less than the true one by 128 units of lo. */
struct weft_power weft_power_of_ten(int k);

#endif
