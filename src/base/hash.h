/* hash.h - a keyed hash for tables whose keys come from clients.
 *
 * SipHash-1-3 (Aumasson, Bernstein 2012): who does not know the key cannot find texts that collide,
 * so a table stays as quick as it is however its keys are chosen. About 1 ns and 1 ns per 8 bytes.
 *
 * Lifetime: none.
 * Threads:  any: a pure function.
 * Memory:   none.
 */
#ifndef WEFT_BASE_HASH_H
#define WEFT_BASE_HASH_H

#include "base/base.h"

struct weft_hash_key {
    uint64_t a, b;
};

/** A key that nobody knows: the kernel's random bytes; without them the time and an address. */
void weft_hash_key_make(struct weft_hash_key *out);

uint64_t weft_hash(const struct weft_hash_key *key, weft_str text);

#endif
