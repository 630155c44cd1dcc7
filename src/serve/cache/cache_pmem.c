/* cache_pmem.c - see cache_pmem.h. Times are milliseconds of the wall clock: they outlive the
 * process. */
#include "serve/cache/cache_pmem.h"
#include <time.h>
#include "base/clock.h"

#define BYTES_PER_RECORD                                                                           \
    1024 /* of the file, for the index: smaller ones fill it before the file                       \
          */
#define ROOM_FIRST ((size_t)1024) /* for a value whose length is not known yet */
#define READS_MAX  3              /* a value may grow between two looks */
#define DROPS_MAX  8              /* times that one put makes room */
#define DROP_PARTS 16             /* of all records, each time */

struct job {
    struct weft_cache_pmem *pmem;
    weft_str key;
    weft_str value; /* put: the value; get: its length, and as much of it as there is room for */
    char *room;
    size_t room_bytes;
    uint64_t ttl_ms;
    weft_rc rc;
};

static uint64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now); /* there is always one */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / WEFT_NS_PER_MS;
}

static uint32_t records_for(size_t file_bytes)
{
    return (uint32_t)WEFT_MAX(file_bytes / BYTES_PER_RECORD, (size_t)1);
}

/* ---- on the offload pool ---- */

static void run_get(void *arg)
{
    struct job *job = arg;
    struct weft_pmem_record record;
    pthread_mutex_lock(&job->pmem->lock);
    job->rc = WEFT_ENOTFOUND;
    if (weft_pmem_get(&job->pmem->store, job->key, wall_ms(), &record)) {
        job->rc = 0;
        job->value = (weft_str){job->room, record.value.len};
        if (record.value.len <= job->room_bytes)
            memcpy(job->room, record.value.ptr, record.value.len);
    }
    pthread_mutex_unlock(&job->pmem->lock);
}

static weft_rc put(struct weft_pmem *store, const struct job *job)
{
    uint64_t now = wall_ms();
    uint64_t expiry = job->ttl_ms >= UINT64_MAX - now ? 0 : now + job->ttl_ms;
    weft_rc rc = weft_pmem_put(store, job->key, job->value, expiry, now);
    for (int i = 0; i < DROPS_MAX && rc == WEFT_EFULL; i++) {
        uint32_t removed = 0;
        WEFT_TRY(weft_pmem_drop_oldest(store, store->record_count / DROP_PARTS + 1, &removed));
        if (removed == 0)
            break;
        rc = weft_pmem_put(store, job->key, job->value, expiry, now);
    }
    return rc;
}

static void run_put(void *arg)
{
    struct job *job = arg;
    pthread_mutex_lock(&job->pmem->lock);
    job->rc = put(&job->pmem->store, job);
    pthread_mutex_unlock(&job->pmem->lock);
}

static void run_remove(void *arg)
{
    struct job *job = arg;
    pthread_mutex_lock(&job->pmem->lock);
    job->rc = weft_pmem_delete(&job->pmem->store, job->key);
    pthread_mutex_unlock(&job->pmem->lock);
}

/* ---- the backend ---- */

static struct job job_of(struct weft_cache_backend *backend, weft_str key)
{
    struct weft_cache_pmem *pmem = WEFT_CONTAINER_OF(backend, struct weft_cache_pmem, backend);
    return (struct job){.pmem = pmem, .key = key, .rc = WEFT_ENOTFOUND};
}

static weft_rc pmem_get(struct weft_cache_backend *backend, weft_req *rq, weft_str space,
                        weft_str key, weft_str *out)
{
    (void)space; /* each cache has a file of its own */
    struct job job = job_of(backend, key);
    size_t room = ROOM_FIRST;
    for (int i = 0; i < READS_MAX; i++) {
        job.room = weft_alloc(rq, room);
        if (job.room == NULL)
            return WEFT_ENOMEM;
        job.room_bytes = room;
        WEFT_TRY(weft_offload(rq, run_get, &job));
        WEFT_TRY(job.rc);
        if (job.value.len <= room) {
            *out = job.value;
            return 0;
        }
        room = job.value.len;
    }
    return WEFT_EFULL;
}

static weft_rc pmem_put(struct weft_cache_backend *backend, weft_req *rq, weft_str space,
                        weft_str key, weft_str value, uint64_t ttl_ms)
{
    (void)space;
    struct job job = job_of(backend, key);
    job.value = value;
    job.ttl_ms = ttl_ms;
    WEFT_TRY(weft_offload(rq, run_put, &job));
    return job.rc;
}

static weft_rc pmem_remove(struct weft_cache_backend *backend, weft_req *rq, weft_str space,
                           weft_str key)
{
    (void)space;
    struct job job = job_of(backend, key);
    WEFT_TRY(weft_offload(rq, run_remove, &job));
    return job.rc == WEFT_ENOTFOUND ? 0 : job.rc;
}

static const struct weft_cache_backend_ops pmem_ops = {
    .name_z = "pmem", .get = pmem_get, .put = pmem_put, .remove = pmem_remove};

/* ---- opening and closing ---- */

size_t weft_cache_pmem_bytes(size_t file_bytes)
{
    return weft_pmem_bytes(records_for(file_bytes)) + file_bytes;
}

weft_rc weft_cache_pmem_open(struct weft_cache_pmem *pmem, struct weft_account *account,
                             const char *path_z, size_t file_bytes,
                             struct weft_pmem_problem *out_problem)
{
    *out_problem = (struct weft_pmem_problem){.trouble = WEFT_PMEM_SYSTEM, .path_z = path_z};
    out_problem->rc = weft_account_reserve(account, file_bytes);
    WEFT_TRY(out_problem->rc);
    struct weft_pmem_options options = {.path_z = path_z,
                                        .file_bytes = file_bytes,
                                        .record_count_max = records_for(file_bytes),
                                        .way = WEFT_PMEM_BEST};
    weft_rc rc = weft_pmem_open(&pmem->store, account, &options, out_problem);
    if (rc != 0) {
        weft_account_release(account, file_bytes);
        return rc;
    }
    pthread_mutex_init(&pmem->lock, NULL);
    pmem->backend.ops = &pmem_ops;
    pmem->account = account;
    pmem->file_bytes = file_bytes;
    pmem->open = true;
    return 0;
}

void weft_cache_pmem_close(struct weft_cache_pmem *pmem)
{
    if (!pmem->open)
        return;
    weft_pmem_close(&pmem->store);
    weft_account_release(pmem->account, pmem->file_bytes);
    pthread_mutex_destroy(&pmem->lock);
    pmem->open = false;
}
