/* pmem_priv.h - what pmem.c (records) and pmem_open.c (the file around them) share.
 *
 * Lifetime: as pmem.h.
 * Threads:  as pmem.h.
 * Memory:   as pmem.h.
 */
#ifndef WEFT_MEM_PMEM_PRIV_H
#define WEFT_MEM_PMEM_PRIV_H

#include "mem/pmem.h"

#define WEFT_PMEM_MAGIC             0x314d454d54464557u /* "WEFTMEM1" */
#define WEFT_PMEM_RECORD_HEAD_BYTES ((size_t)40)

/* Open addressing with linear probing, at most half full. */
struct weft_pmem_slot {
    uint32_t tag; /* of the key */
    uint32_t at;  /* of the record, in units of 8 bytes from the file's start; 0: empty */
};

/* Each step is a bijection of the state for a given word, and of the word for a given state: one
 * changed word always changes the sum, more of them escape one time in 2^64. */
static inline uint64_t weft_pmem_mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * 0x9e3779b97f4a7c15u;
    return state ^ (state >> 29);
}

uint64_t weft_pmem_sum_bytes(uint64_t state, const char *bytes, size_t len);

/** Find the records of a store that has its index, base, ops and sizes.
 *  returns  0; WEFT_EFULL: more than record_count_max; a negated errno */
WEFT_CHECK
weft_rc weft_pmem_recover(struct weft_pmem *store);

#endif
