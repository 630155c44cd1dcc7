/* cache_pmem.h - behind a cache: records in a file, so that what it knew is there after a restart.
 *
 * The record store is mem/pmem.h's. Its calls may wait for the disk, so they are made by the
 * offload pool, one at a time. A full file drops what was put first.
 *
 * Lifetime: opened before the cache, closed after it. One process has a file at a time.
 * Threads:  opening and closing: the main thread. The backend's calls: as cache_backend.h.
 * Memory:   weft_cache_pmem_bytes(): the index, and the file's pages while they are mapped.
 */
#ifndef WEFT_SERVE_CACHE_CACHE_PMEM_H
#define WEFT_SERVE_CACHE_CACHE_PMEM_H

#include <pthread.h>
#include "mem/pmem.h"
#include "serve/cache/cache_backend.h"

struct weft_cache_pmem {
    struct weft_cache_backend backend;
    struct weft_pmem store;
    struct weft_account *account; /* borrowed */
    size_t file_bytes;
    pthread_mutex_t lock; /* of the store */
    bool open;
};

size_t weft_cache_pmem_bytes(size_t file_bytes);

/** path_z   made where it is not there; borrowed until out_problem was read
 *  account  books the index; the file's bytes are reserved on it
 *  returns  as weft_pmem_open(); WEFT_EBUDGET */
WEFT_CHECK weft_rc weft_cache_pmem_open(struct weft_cache_pmem *pmem, struct weft_account *account,
                                        const char *path_z, size_t file_bytes,
                                        struct weft_pmem_problem *out_problem);

/** A zeroed one is accepted. */
void weft_cache_pmem_close(struct weft_cache_pmem *pmem);

#endif
