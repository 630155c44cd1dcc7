/* buf.c - see buf.h. */
#include "io/buf.h"
#include <sys/mman.h>

#define INFOS_PER_PAGE (WEFT_PAGE_BYTES / sizeof(struct weft_buf_info))

static size_t infos_bytes(size_t count)
{
    return WEFT_ALIGN_UP(count * sizeof(struct weft_buf_info), WEFT_PAGE_BYTES);
}

size_t weft_bufs_bytes(size_t buffer_bytes, size_t count)
{
    return weft_pool_bytes(buffer_bytes, count) + infos_bytes(count);
}

weft_rc weft_bufs_init(struct weft_bufs *bufs, struct weft_account *account, size_t buffer_bytes,
                       size_t count)
{
    weft_assert(count <= WEFT_BUFS_MAX);
    *bufs = (struct weft_bufs){.buffer_bytes = (uint32_t)buffer_bytes, .account = account};
    void *infos = NULL;
    WEFT_TRY(weft_account_map(account, infos_bytes(count), &infos));
    bufs->infos = infos;
    weft_rc rc = weft_pool_init(&bufs->pool, account, buffer_bytes, count);
    if (rc != 0) {
        weft_account_unmap(account, infos, infos_bytes(count));
        *bufs = (struct weft_bufs){0};
    }
    return rc;
}

void weft_bufs_fini(struct weft_bufs *bufs)
{
    if (bufs->infos == NULL)
        return;
    weft_account_commit(bufs->account,
                        -(ptrdiff_t)(bufs->infos_booked / INFOS_PER_PAGE * WEFT_PAGE_BYTES));
    weft_account_unmap(bufs->account, bufs->infos, infos_bytes(bufs->pool.free.limit));
    weft_pool_fini(&bufs->pool);
    *bufs = (struct weft_bufs){0};
}

void weft_bufs_ranges(const struct weft_bufs *bufs, weft_range_fn *tell, void *arg)
{
    const struct weft_pool *pool = &bufs->pool;
    tell(arg, bufs->account, bufs->infos, infos_bytes(pool->free.limit));
    tell(arg, bufs->account, pool->slots, weft_pool_bytes(pool->slot_bytes, pool->free.limit));
}

static WEFT_COLD void book_infos(struct weft_bufs *bufs)
{
    bufs->infos_booked += INFOS_PER_PAGE;
    weft_account_commit(bufs->account, (ptrdiff_t)WEFT_PAGE_BYTES);
}

weft_rc weft_bufs_prefault(struct weft_bufs *bufs)
{
    WEFT_TRY(weft_map_touch(bufs->infos, infos_bytes(bufs->pool.free.limit)));
    while (bufs->infos_booked < bufs->pool.free.limit)
        book_infos(bufs);
    return weft_pool_prefault(&bufs->pool, SIZE_MAX);
}

uint16_t weft_bufs_take(struct weft_bufs *bufs)
{
    if (bufs->promised > 0 && weft_bufs_free(bufs) == 0)
        return WEFT_BUF_NONE;
    uint32_t id = weft_pool_take(&bufs->pool);
    if (id == WEFT_POOL_NONE)
        return WEFT_BUF_NONE;
    if (WEFT_UNLIKELY(id >= bufs->infos_booked)) /* ids are first taken in order */
        book_infos(bufs);
    bufs->infos[id].refs = 1;
    return (uint16_t)id;
}

void weft_bufs_put(struct weft_bufs *bufs, uint16_t id)
{
    if (bufs->lend != NULL && bufs->lend(bufs->lend_ctx, id)) {
        bufs->infos[id].refs = 1; /* the kernel's */
        return;
    }
    weft_pool_put(&bufs->pool, id);
}
