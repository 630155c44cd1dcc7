/* cache_writes.c - see cache_writes.h. Who is told his turn is posted to his loop, and what is
 * posted lies on his stack: one who is canceled meanwhile waits for that post. */
#include "serve/cache/cache_writes.h"
#include "base/mutex.h"

static struct weft_cache_write **list_of(struct weft_cache_writes *writes, uint64_t hash)
{
    return &writes->lists[hash % WEFT_CACHE_WRITE_LISTS];
}

void weft_cache_writes_init(struct weft_cache_writes *writes)
{
    *writes = (struct weft_cache_writes){0};
    pthread_mutex_init(&writes->lock, NULL);
}

void weft_cache_writes_fini(struct weft_cache_writes *writes)
{
    for (size_t i = 0; i < WEFT_CACHE_WRITE_LISTS; i++)
        weft_assert(writes->lists[i] == NULL);
    pthread_mutex_destroy(&writes->lock);
}

static void come(struct weft_post *post)
{
    weft_req_resume(WEFT_CONTAINER_OF(post, struct weft_cache_write, post)->rq, 0);
}

/* Behind all of its list; it is its turn unless one of them has the same key. */
static bool stand_in_line(struct weft_cache_writes *writes, struct weft_cache_write *write)
{
    struct weft_cache_write **at = list_of(writes, write->hash);
    weft_mutex_lock(&writes->lock);
    write->has = true;
    for (; *at != NULL; at = &(*at)->next)
        write->has &= (*at)->hash != write->hash;
    *at = write;
    bool has = write->has;
    weft_mutex_unlock(&writes->lock);
    return has;
}

static void leave_line(struct weft_cache_writes *writes, const struct weft_cache_write *write)
{
    struct weft_cache_write **at = list_of(writes, write->hash);
    while (*at != write)
        at = &(*at)->next;
    *at = write->next;
}

void weft_cache_write_end(struct weft_cache_writes *writes, struct weft_cache_write *write)
{
    weft_mutex_lock(&writes->lock);
    weft_assert(write->has);
    leave_line(writes, write);
    struct weft_cache_write *next = *list_of(writes, write->hash);
    while (next != NULL && next->hash != write->hash)
        next = next->next;
    if (next != NULL)
        next->has = true;
    weft_mutex_unlock(&writes->lock);
    if (next != NULL)
        weft_loop_post(next->rq->loop, &next->post); /* it stays until that has run */
}

weft_rc weft_cache_write_begin(struct weft_cache_writes *writes, weft_req *rq, uint64_t hash,
                               struct weft_cache_write *write)
{
    WEFT_TRY(weft_req_may_wait(rq));
    *write = (struct weft_cache_write){.post = {.run = come}, .rq = rq, .hash = hash};
    if (stand_in_line(writes, write))
        return 0;
    weft_loop_count(rq->loop, WEFT_COUNTER_CACHE_WRITE_WAITS);
    weft_rc rc = weft_req_wait(rq, WEFT_WAIT_TIME);
    if (rc == 0)
        return 0;
    weft_mutex_lock(&writes->lock);
    bool told = write->has;
    if (!told)
        leave_line(writes, write);
    weft_mutex_unlock(&writes->lock);
    if (told) {
        weft_ignore(weft_req_wait(rq, WEFT_WAIT_JOB)); /* for the post; why it is over is known */
        weft_cache_write_end(writes, write);
    }
    return rc;
}
