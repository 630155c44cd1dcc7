/* coder_pool.h - a worker's coders: so many and no more, each in memory of its own.
 *
 * A coder is the same whatever coding it is used for: its memory is what the largest of them takes.
 * Free ones keep what they are, because starting anew costs more than starting again, until they
 * lay still for a window: then their pages go back to the system.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only; the account may be read from anywhere.
 * Memory:   weft_coder_pool_bytes(): address space at first, pages as they are touched.
 */
#ifndef WEFT_SERVE_CODING_CODER_POOL_H
#define WEFT_SERVE_CODING_CODER_POOL_H

#include "io/loop.h"
#include "serve/coding/coder.h"

#define WEFT_CODERS_MAX        64
#define WEFT_CODER_STAGE_BYTES ((size_t)16 << 10)
#define WEFT_CODER_NONE        UINT32_MAX

struct weft_coder_slot {
    struct weft_coder *coder; /* owned: in the pool's memory */
    char *stage;              /* owned: WEFT_CODER_STAGE_BYTES that wait to be coded */
    uint32_t staged;          /* of them, bytes that do */
    bool taken;
    bool dirty;       /* something went in since the last flush */
    uint64_t idle_ms; /* since when it is free */
    size_t committed; /* bytes that it touched */
};

struct weft_coder_pool {
    struct weft_loop *loop;       /* borrowed */
    struct weft_account *account; /* borrowed: outlives the pool */
    char *memory;                 /* owned: a mapping */
    size_t coder_bytes;           /* of one */
    enum weft_effort effort;
    uint32_t count;
    uint32_t window_ms; /* 0: pages stay */
    struct weft_timer tick;
    struct weft_coder_slot slots[WEFT_CODERS_MAX];
};

/** What `count` coders for these codings (bits) may touch. */
size_t weft_coder_pool_bytes(uint32_t codings, enum weft_effort effort, uint32_t count);

/** The libraries are loaded.
 *  count    1..WEFT_CODERS_MAX
 *  returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_coder_pool_init(struct weft_coder_pool *pool, struct weft_loop *loop,
                                        struct weft_account *account, uint32_t codings,
                                        enum weft_effort effort, uint32_t count,
                                        uint32_t window_ms);

/** Have all of its pages in memory from now on; they stay.
 *  returns  0; WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_coder_pool_prefault(struct weft_coder_pool *pool);

/** Every coder has been put. A zeroed pool is accepted. */
void weft_coder_pool_fini(struct weft_coder_pool *pool);

/** Take one and begin a stream on it.
 *  size     as weft_coder_start()
 *  returns  its index, until put; WEFT_CODER_NONE: all are in use (counted: account, `refused`), or
 *           its library refused */
WEFT_CHECK uint32_t weft_coder_pool_take(struct weft_coder_pool *pool, enum weft_coding coding,
                                         uint64_t size);
void weft_coder_pool_put(struct weft_coder_pool *pool, uint32_t index);

/** weft_coder_run() on the worker's own stack. */
WEFT_CHECK weft_rc weft_coder_pool_run(struct weft_coder_pool *pool, uint32_t index,
                                       enum weft_coder_op op, struct weft_coder_io *io);

#endif
