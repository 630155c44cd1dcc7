/* cache_writes.h - what is behind a cache hears of one key one thing at a time.
 *
 * A value that is on its way there and the deletion of its key travel over two connections, and the
 * later one may arrive first: then the value is back. So whoever writes a key there takes a turn
 * first, and waits while another one has it. Turns of one key come in the order in which they were
 * asked for, whatever their workers. Keys are told apart by their hash: two that share it wait for
 * each other without need.
 *
 * Lifetime: the table: its cache's parts'. A write: the call it lies in the stack of.
 * Threads:  any worker, on a request's task.
 * Memory:   sizeof(struct weft_cache_writes), half a KiB of a cache; as many writes as handlers
 * wait.
 */
#ifndef WEFT_SERVE_CACHE_CACHE_WRITES_H
#define WEFT_SERVE_CACHE_CACHE_WRITES_H

#include <pthread.h>
#include "http/message.h"

#define WEFT_CACHE_WRITE_LISTS 64

struct weft_cache_write {
    struct weft_cache_write *next; /* of its list: one that came later */
    struct weft_post post;
    weft_req *rq;
    uint64_t hash;
    bool has; /* it is this one's turn */
};

struct weft_cache_writes {
    pthread_mutex_t lock;
    struct weft_cache_write
        *lists[WEFT_CACHE_WRITE_LISTS]; /* oldest first; by the hash's low bits */
};

void weft_cache_writes_init(struct weft_cache_writes *writes);
void weft_cache_writes_fini(struct weft_cache_writes *writes);

/** Wait until nobody else writes this key.
 *  write    borrowed: until weft_cache_write_end()
 *  returns  0; WEFT_EFULL, WEFT_ESTATE: the request may not wait; why it is canceled. On an error
 *           there is nothing to end */
WEFT_CHECK weft_rc weft_cache_write_begin(struct weft_cache_writes *writes, weft_req *rq,
                                          uint64_t hash, struct weft_cache_write *write);

/** The next one's turn. */
void weft_cache_write_end(struct weft_cache_writes *writes, struct weft_cache_write *write);

#endif
