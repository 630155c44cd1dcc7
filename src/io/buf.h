/* buf.h - a worker's receive buffers: shared by all its connections, held by none that is idle.
 *
 * A buffer is free, lent to the kernel (io_uring's provided ring), or counted by the requests whose
 * bytes lie in it (pipelined neighbours share one). What a request keeps is replaced by a spare.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only.
 * Memory:   weft_bufs_bytes(buffer_bytes, count), reserved from the account at init.
 */
#ifndef WEFT_IO_BUF_H
#define WEFT_IO_BUF_H

#include "mem/pagemap.h"
#include "mem/pool.h"

#define WEFT_BUF_NONE UINT16_MAX
#define WEFT_BUFS_MAX 32768 /* ids fit io_uring's 16 bits */

/* Beside each buffer: who counts on it, and its place in a connection's queue of unread input. */
struct weft_buf_info {
    uint16_t refs;
    uint16_t next;     /* WEFT_BUF_NONE: last */
    uint16_t off, len; /* bytes not yet read */
};

struct weft_bufs {
    struct weft_pool pool;
    struct weft_buf_info *infos; /* owned: one per buffer, a mapping of its own */
    uint32_t buffer_bytes;
    uint32_t infos_booked; /* of them lie on pages that are booked */
    uint32_t promised;     /* of the free ones: the engine's, who has no need of them now */
    struct weft_account *account;
    /* Handed down by an engine that lends buffers to the kernel: a buffer has come free. It returns
     * true when it took the buffer, false to leave it in the pool. NULL: none. */
    bool (*lend)(void *ctx, uint16_t id);
    void *lend_ctx;
};

size_t weft_bufs_bytes(size_t buffer_bytes, size_t count);

/** returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_bufs_init(struct weft_bufs *bufs, struct weft_account *account,
                                  size_t buffer_bytes, size_t count);
void weft_bufs_fini(struct weft_bufs *bufs);

void weft_bufs_ranges(const struct weft_bufs *bufs, weft_range_fn *tell, void *arg);

/** Have every buffer in memory from now on. Before the first take.
 *  returns  0; WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_bufs_prefault(struct weft_bufs *bufs);

/** Take a free buffer with one reference. WEFT_BUF_NONE when every one is out, or promised. */
WEFT_CHECK uint16_t weft_bufs_take(struct weft_bufs *bufs);

static inline char *weft_bufs_at(const struct weft_bufs *bufs, uint16_t id)
{
    return weft_pool_at(&bufs->pool, id);
}

static inline void weft_bufs_ref(struct weft_bufs *bufs, uint16_t id)
{
    bufs->infos[id].refs++;
}

/** Buffers that nobody has taken; those lent or promised to the engine count as taken. */
static inline uint32_t weft_bufs_free(const struct weft_bufs *bufs)
{
    uint32_t left = bufs->pool.free.count + (bufs->pool.free.limit - bufs->pool.free.fresh);
    return left > bufs->promised ? left - bufs->promised : 0;
}

/** Is a buffer left for a request that wants to keep the one its head lies in? */
static inline bool weft_bufs_spare(const struct weft_bufs *bufs)
{
    return weft_bufs_free(bufs) > 0;
}

/* A buffer without references goes back, to the kernel first if it wants one. */
void weft_bufs_put(struct weft_bufs *bufs, uint16_t id);

/** Drop a reference; the last one hands the buffer back. */
static inline void weft_bufs_unref(struct weft_bufs *bufs, uint16_t id)
{
    weft_assert(bufs->infos[id].refs > 0);
    if (--bufs->infos[id].refs == 0)
        weft_bufs_put(bufs, id);
}

#endif
