/* caches.c - see caches.h. */
#include "app/caches.h"
#include <errno.h>
#include <stdio.h>
#include "base/log.h"
#include "serve/cache/cache.h"

#define RECLAIM_STEP_BYTES ((size_t)1 << 20) /* of a part and look: its lock is held meanwhile */

#define SHORT_ENTRIES 1024 /* that each part drops per look while memory is short */

/* The folder's name is at most 1,023 bytes, a cache's that of a C identifier. */
#define PATH_ROOM 1536

static weft_rc open_pmem(struct weft_caches *caches, uint32_t index, struct weft_ledger *ledger)
{
    const struct weft_config *config = &caches->app->config;
    const char *name_z = caches->app->caches[index]->name_z;
    char path_z[PATH_ROOM], why[PATH_ROOM + 512];
    int len = snprintf(path_z, sizeof(path_z), "%s/%s.pmem", config->cache_pmem_path, name_z);
    if (len < 0 || (size_t)len >= sizeof(path_z))
        return (weft_rc)-ENAMETOOLONG;
    struct weft_account *account = NULL;
    WEFT_TRY(weft_account_open(ledger, "cache files", WEFT_ACCOUNT_PROCESS, &account));
    struct weft_pmem_problem problem;
    weft_rc rc = weft_cache_pmem_open(&caches->pmem[index], account, path_z,
                                      config->cache_pmem_bytes & ~(WEFT_PAGE_BYTES - 1), &problem);
    if (rc != 0) {
        size_t used = weft_pmem_explain(&problem, why, sizeof(why));
        weft_log_error("cache.pmem_path: %.*s", (int)used, why);
    }
    return rc;
}

static weft_rc open_cache(struct weft_caches *caches, uint32_t index, struct weft_ledger *ledger,
                          uint32_t workers)
{
    const weft_app *app = caches->app;
    weft_cache *cache = app->caches[index];
    struct weft_cache_options options = {
        .ledger = ledger, .workers = workers, .prefault = app->config.memory_prefault};
    if (app->config.cache_pmem_path[0] != 0) {
        WEFT_TRY(open_pmem(caches, index, ledger));
        options.backends[options.backend_count++] = &caches->pmem[index].backend;
    }
    if (caches->last != NULL)
        options.backends[options.backend_count++] = caches->last;
    weft_rc rc = weft_cache_open(cache, &options);
    if (rc != 0)
        weft_log_error("the cache '%s': %s", cache->name_z, weft_rc_text(rc));
    return rc;
}

weft_rc weft_caches_open(struct weft_caches *caches, const weft_app *app,
                         struct weft_ledger *ledger, uint32_t workers,
                         struct weft_cache_backend *last)
{
    caches->app = app;
    caches->last = last;
    for (uint32_t i = 0; i < app->caches_count; i++)
        WEFT_TRY(open_cache(caches, i, ledger, workers));
    return 0;
}

void weft_caches_close(struct weft_caches *caches)
{
    for (uint32_t i = 0; caches->app != NULL && i < caches->app->caches_count; i++) {
        weft_cache_close(caches->app->caches[i]);
        weft_cache_pmem_close(&caches->pmem[i]);
    }
    caches->app = NULL;
}

bool weft_caches_reclaim(struct weft_caches *caches, uint64_t now_ms, bool is_short)
{
    bool more = false;
    for (uint32_t i = 0; caches->app != NULL && i < caches->app->caches_count; i++)
        more |= weft_cache_reclaim(caches->app->caches[i], now_ms, RECLAIM_STEP_BYTES,
                                   is_short ? SHORT_ENTRIES : 0);
    return more;
}
