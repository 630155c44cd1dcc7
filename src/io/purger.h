/* purger.h - purges of malloc (mem/purge.h) as jobs of the offload pool.
 *
 * Lifetime: process; outlives the pool.
 * Threads:  any may ask; one purge runs at a time, whoever asked.
 * Memory:   sizeof(struct weft_purger).
 */
#ifndef WEFT_IO_PURGER_H
#define WEFT_IO_PURGER_H

#include "io/offload.h"
#include "mem/purge.h"

struct weft_purger {
    struct weft_purge purge;      /* what chunk stores are given */
    struct weft_offload *offload; /* borrowed */
    struct weft_offload_job job;
    weft_rc (*run)(void);   /* weft_profile_purge(), but for tests */
    _Atomic uint32_t state; /* of the job: idle, wanted or running */
};

/** offload  where purges run; borrowed
 *  run      gives all of malloc's free pages back; what it returns changes nothing: an allocator
 *           that cannot be asked is taken at its users' word */
void weft_purger_init(struct weft_purger *purger, struct weft_offload *offload,
                      weft_rc (*run)(void));

#endif
