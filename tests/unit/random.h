/* random.h - numbers that are the same on every run. */
#ifndef WEFT_TESTS_RANDOM_H
#define WEFT_TESTS_RANDOM_H
#include <stdint.h>

/** The next of a sequence (xorshift64).  seed  not 0: where it stands */
static inline uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    return *seed ^= *seed << 17;
}

#endif
