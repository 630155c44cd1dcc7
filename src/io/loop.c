/* loop.c - see loop.h. */
#include "io/loop.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#define OWN_WATCHES    2 /* the waker; changes of open files. The others are of tasks that wait */
#define FIRES_PER_TURN 1024 /* timers; the rest in the next turn, which then does not wait */

/* A token is an entry's index and its generation: a readiness that was on its way when the watch
 * was taken back finds another generation. */
struct watch_entry {
    struct weft_watch *watch;
    uint64_t generation;
};

/* ---- what it costs ---- */

static size_t counters_bytes(void)
{
    return WEFT_ALIGN_UP(sizeof(struct weft_counters), WEFT_PAGE_BYTES);
}

static struct weft_engine_size engine_size(const struct weft_loop_options *o)
{
    return (struct weft_engine_size){.slots = o->connections + WEFT_REFUSAL_SLOTS,
                                     .buffers = o->buffers,
                                     .queue = o->queue > 0 ? o->queue : WEFT_ENGINE_QUEUE,
                                     .direct = o->direct};
}

static struct weft_term term(const char *name_z, size_t bytes, size_t count, size_t each)
{
    return (struct weft_term){name_z, bytes, count, each};
}

size_t weft_loop_terms(const struct weft_loop_options *o, struct weft_term out[WEFT_LOOP_TERMS])
{
    size_t buffers = o->buffers + o->spare_buffers;
    struct weft_engine_size engine = engine_size(o);
    size_t slots = engine.slots;
    size_t blocks = WEFT_BLOCKS_PER_CONN * o->active;
    size_t n = 0;
    out[n++] = term("counters", counters_bytes(), 0, 0);
    out[n++] = term("engine", o->engine->bytes(&engine), 0, 0);
    out[n++] = term("connections", weft_slots_bytes(slots), slots, sizeof(struct weft_slot));
    out[n++] = term("active", weft_pool_bytes(o->protocol->conn_bytes, o->active), o->active,
                    o->protocol->conn_bytes);
    if (o->holder != NULL)
        out[n++] = term("subscribers", weft_pool_bytes(o->holder->bytes, o->held), o->held,
                        o->holder->bytes);
    out[n++] = term("blocks", weft_pool_bytes(WEFT_BLOCK_BYTES, blocks), blocks, WEFT_BLOCK_BYTES);
    out[n++] = term("buffers", weft_bufs_bytes(o->buffer_bytes, buffers), buffers, o->buffer_bytes);
    out[n++] = term("stacks", weft_tasks_bytes(o->stack_bytes, o->waiting), o->waiting + 1,
                    o->stack_bytes);
    out[n++] =
        term("watches", weft_pool_bytes(sizeof(struct watch_entry), o->waiting + OWN_WATCHES),
             o->waiting + OWN_WATCHES, sizeof(struct watch_entry));
    if (weft_file_sender_bytes(o->file_way) > 0)
        out[n++] = term("file sender", weft_file_sender_bytes(o->file_way), 0, 0);
    out[n++] = term("arenas", weft_chunks_bytes(o->elastic_bytes), 0, 0);
    weft_assert(n <= WEFT_LOOP_TERMS);
    return n;
}

/* ---- building ---- */

struct builder {
    struct weft_loop *loop;
    struct weft_ledger *ledger;
    const struct weft_loop_options *options;
    struct weft_account *account; /* of the part being built */
    const char *part_z;
};

static weft_rc part(struct builder *b, const char *name_z)
{
    b->part_z = name_z;
    return weft_account_open(b->ledger, name_z, b->options->worker, &b->account);
}

static weft_rc build_counters(struct builder *b)
{
    void *memory = NULL;
    WEFT_TRY(part(b, "counters"));
    WEFT_TRY(weft_account_map(b->account, counters_bytes(), &memory));
    weft_account_use(b->account, sizeof(struct weft_counters));
    weft_account_commit(b->account, (ptrdiff_t)counters_bytes());
    b->loop->counters = memory;
    b->loop->counters_account = b->account;
    return 0;
}

static weft_rc build_pools(struct builder *b)
{
    struct weft_loop *loop = b->loop;
    const struct weft_loop_options *o = b->options;
    WEFT_TRY(part(b, "active"));
    WEFT_TRY(weft_pool_init(&loop->conns, b->account, o->protocol->conn_bytes, o->active));
    if (o->holder != NULL) {
        WEFT_TRY(part(b, "subscribers"));
        WEFT_TRY(weft_pool_init(&loop->held, b->account, o->holder->bytes, o->held));
    }
    WEFT_TRY(part(b, "blocks"));
    WEFT_TRY(weft_pool_init(&loop->blocks, b->account, WEFT_BLOCK_BYTES,
                            WEFT_BLOCKS_PER_CONN * o->active));
    WEFT_TRY(part(b, "buffers"));
    WEFT_TRY(
        weft_bufs_init(&loop->bufs, b->account, o->buffer_bytes, o->buffers + o->spare_buffers));
    WEFT_TRY(part(b, "stacks"));
    WEFT_TRY(weft_tasks_init(&loop->tasks, b->account, o->stack_bytes, o->waiting));
    WEFT_TRY(part(b, "watches"));
    WEFT_TRY(weft_pool_init(&loop->watches, b->account, sizeof(struct watch_entry),
                            o->waiting + OWN_WATCHES));
    WEFT_TRY(part(b, "arenas"));
    WEFT_TRY(weft_chunks_init(&loop->chunks, b->account, o->elastic_bytes));
    WEFT_TRY(part(b, "heap")); /* reserves nothing: it comes out of the arenas' promises */
    loop->chunks.heap_account = b->account;
    loop->chunks.purge = o->purge;
    return 0;
}

/* What a worker may need, but for the arenas: of them a first chunk for every request. */
static weft_rc prefault(struct builder *b)
{
    struct weft_loop *loop = b->loop;
    b->part_z = "prefault";
    struct weft_pool *pools[] = {&loop->conns, &loop->blocks, &loop->watches, &loop->held};
    for (size_t i = 0; i < WEFT_COUNT_OF(pools) - (loop->holder == NULL); i++)
        WEFT_TRY(weft_pool_prefault(pools[i], SIZE_MAX));
    WEFT_TRY(weft_bufs_prefault(&loop->bufs));
    WEFT_TRY(weft_tasks_prefault(&loop->tasks));
    return weft_pool_prefault(&loop->chunks.pools[0], b->options->active);
}

static weft_rc build_connections(struct builder *b)
{
    struct weft_loop *loop = b->loop;
    const struct weft_loop_options *o = b->options;
    WEFT_TRY(part(b, "connections"));
    WEFT_TRY(weft_slots_init(&loop->slots, b->account, o->connections + WEFT_REFUSAL_SLOTS));
    loop->slots.share = o->share;
    loop->installs_max = o->installs;
    weft_slots_limit(&loop->slots, o->slot_limits);
    WEFT_TRY(part(b, "engine"));
    loop->engine = (struct weft_engine){
        .ops = o->engine,
        .events = &weft_conn_events,
        .ctx = loop,
        .slots = loop->slots.table,
        .size = engine_size(o),
        .bufs = &loop->bufs,
        .counters = loop->counters,
        .account = b->account,
    };
    return 0;
}

#define TOKEN_GENERATION_BITS 24

static struct watch_entry *entry_at(struct weft_loop *loop, uint32_t index)
{
    return weft_pool_at(&loop->watches, index);
}

static uint64_t token_of(struct weft_loop *loop, uint32_t index)
{
    uint64_t generation = entry_at(loop, index)->generation & ((1u << TOKEN_GENERATION_BITS) - 1);
    return generation << 32 | index;
}

static weft_rc watch_take(struct weft_loop *loop, struct weft_watch *watch, int fd)
{
    watch->fd = fd;
    watch->index = weft_pool_take(&loop->watches);
    if (watch->index == WEFT_POOL_NONE)
        return WEFT_EFULL;
    entry_at(loop, watch->index)->watch = watch;
    return 0;
}

static void watch_put(struct weft_loop *loop, struct weft_watch *watch)
{
    struct watch_entry *entry = entry_at(loop, watch->index);
    entry->watch = NULL;
    entry->generation++;
    weft_pool_put(&loop->watches, watch->index);
}

static void run_posts(struct weft_watch *watch, uint32_t revents);

static weft_rc build_sender(struct builder *b)
{
    enum weft_file_way way = b->options->file_way;
    b->part_z = "file sender";
    if (weft_file_sender_bytes(way) > 0)
        WEFT_TRY(part(b, "file sender"));
    return weft_file_sender_init(&b->loop->sender, way, b->account);
}

/* Made before the loop's thread is: others may post from the first moment on. */
static weft_rc build_waker(struct builder *b)
{
    struct weft_loop *loop = b->loop;
    b->part_z = "waker";
    loop->waker.ready = run_posts;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return (weft_rc)-errno;
    weft_rc rc = watch_take(loop, &loop->waker, fd);
    if (rc == 0)
        loop->wake_fd = fd;
    else
        close(fd);
    return rc;
}

weft_rc weft_loop_init(struct weft_loop *loop, struct weft_ledger *ledger,
                       const struct weft_loop_options *options, const char **out_part)
{
    *loop = (struct weft_loop){.protocol = options->protocol,
                               .holder = options->holder,
                               .worker = options->worker,
                               .limits = options->limits,
                               .cold = {.offload = options->offload},
                               .wake_fd = -1};
    struct builder b = {.loop = loop, .ledger = ledger, .options = options};
    weft_clock_init(&loop->clock, options->clock != NULL ? options->clock : &weft_clock_system);
    loop->now_ms = weft_clock_ms(&loop->clock);
    weft_wheel_init(&loop->wheel, loop->now_ms, options->timer_precision_ms);
    weft_reclaim_init(&loop->reclaim, options->reclaim_window_ms, loop->clock.now_ns);
    weft_rc rc = build_counters(&b);
    loop->wheel.counters = loop->counters;
    if (rc == 0)
        rc = build_pools(&b);
    if (rc == 0 && options->prefault)
        rc = prefault(&b);
    if (rc == 0)
        rc = build_connections(&b);
    if (rc == 0)
        rc = build_sender(&b);
    if (rc == 0)
        rc = build_waker(&b);
    if (rc != 0) {
        *out_part = b.part_z;
        weft_loop_fini(loop);
    }
    return rc;
}

static weft_rc arm_waker(struct weft_loop *loop)
{
    return loop->engine.ops->watch(&loop->engine, loop->wake_fd, POLLIN,
                                   token_of(loop, loop->waker.index), WEFT_CLASS_MANAGEMENT);
}

static void run_posts(struct weft_watch *watch, uint32_t revents)
{
    (void)revents;
    struct weft_loop *loop = WEFT_CONTAINER_OF(watch, struct weft_loop, waker);
    uint64_t count;
    (void)!read(loop->wake_fd, &count, sizeof(count)); /* non-blocking: only resets it */
    struct weft_post *list = atomic_exchange(&loop->posts, NULL);
    struct weft_post *first = NULL;
    while (list != NULL) { /* newest first: turn it round */
        struct weft_post *next = list->next;
        list->next = first;
        first = list;
        list = next;
    }
    while (first != NULL) {
        struct weft_post *post = first;
        first = post->next;
        post->run(post);
    }
    (void)arm_waker(loop); /* it was watched before: only the kernel's memory could refuse */
}

weft_rc weft_loop_open(struct weft_loop *loop)
{
    WEFT_TRY(loop->engine.ops->open(&loop->engine));
    return arm_waker(loop);
}

void weft_loop_fini(struct weft_loop *loop)
{
    if (loop->engine.ops != NULL)
        loop->engine.ops->close(&loop->engine);
    if (loop->wake_fd >= 0) {
        close(loop->wake_fd);
        watch_put(loop, &loop->waker);
    }
    weft_file_sender_fini(&loop->sender);
    weft_slots_fini(&loop->slots);
    weft_chunks_fini(&loop->chunks);
    weft_pool_fini(&loop->watches);
    weft_tasks_fini(&loop->tasks);
    weft_bufs_fini(&loop->bufs);
    weft_pool_fini(&loop->blocks);
    weft_pool_fini(&loop->held);
    weft_pool_fini(&loop->conns);
    if (loop->counters != NULL) {
        weft_account_unuse(loop->counters_account, sizeof(struct weft_counters));
        weft_account_commit(loop->counters_account, -(ptrdiff_t)counters_bytes());
        weft_account_unmap(loop->counters_account, loop->counters, counters_bytes());
    }
    *loop = (struct weft_loop){.wake_fd = -1};
}

static void pool_range(const struct weft_pool *pool, weft_range_fn *tell, void *arg)
{
    tell(arg, pool->account, pool->slots, weft_pool_bytes(pool->slot_bytes, pool->free.limit));
}

void weft_loop_ranges(const struct weft_loop *loop, weft_range_fn *tell, void *arg)
{
    tell(arg, loop->counters_account, loop->counters, counters_bytes());
    pool_range(&loop->conns, tell, arg);
    if (loop->holder != NULL)
        pool_range(&loop->held, tell, arg);
    pool_range(&loop->blocks, tell, arg);
    weft_bufs_ranges(&loop->bufs, tell, arg);
    weft_tasks_ranges(&loop->tasks, tell, arg);
    pool_range(&loop->watches, tell, arg);
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES; i++)
        pool_range(&loop->chunks.pools[i], tell, arg);
    tell(arg, loop->chunks.heap_account, NULL, 0); /* its bytes are malloc's: not here */
    tell(arg, loop->slots.account, loop->slots.table, weft_slots_bytes(loop->slots.count));
    loop->engine.ops->ranges(&loop->engine, tell, arg);
}

/* ---- running ---- */

int64_t weft_loop_wait_ms(struct weft_loop *loop)
{
    uint64_t next = weft_wheel_next_ms(&loop->wheel);
    if (next == UINT64_MAX)
        return -1;
    return next <= loop->now_ms ? 0 : (int64_t)WEFT_MIN(next - loop->now_ms, (uint64_t)INT_MAX);
}

weft_rc weft_loop_turn(struct weft_loop *loop, int64_t wait_ms)
{
    int64_t timers = weft_loop_wait_ms(loop);
    if (timers >= 0 && (wait_ms < 0 || timers < wait_ms))
        wait_ms = timers;
    WEFT_TRY(weft_engine_turn(&loop->engine, loop->reclaim.running ? 0 : wait_ms));
    (void)weft_wheel_advance(&loop->wheel, loop->now_ms, FIRES_PER_TURN); /* more: next turn */
    weft_reclaim_turn(loop);
    return 0;
}

void weft_loop_post(struct weft_loop *loop, struct weft_post *post)
{
    struct weft_post *head = atomic_load_explicit(&loop->posts, memory_order_relaxed);
    do
        post->next = head;
    while (!atomic_compare_exchange_weak_explicit(&loop->posts, &head, post, memory_order_release,
                                                  memory_order_relaxed));
    uint64_t one = 1;
    (void)!write(loop->wake_fd, &one, sizeof(one)); /* full only when it is signalled already */
}

/* ---- watches ---- */

weft_rc weft_loop_watch_class(struct weft_loop *loop, struct weft_watch *watch, int fd,
                              uint32_t events, enum weft_io_class class)
{
    WEFT_TRY(watch_take(loop, watch, fd));
    weft_rc rc =
        loop->engine.ops->watch(&loop->engine, fd, events, token_of(loop, watch->index), class);
    if (rc != 0)
        watch_put(loop, watch);
    return rc;
}

weft_rc weft_loop_watch(struct weft_loop *loop, struct weft_watch *watch, int fd, uint32_t events)
{
    return weft_loop_watch_class(loop, watch, fd, events, WEFT_CLASS_DATA);
}

void weft_loop_forget(struct weft_loop *loop, struct weft_watch *watch)
{
    watch_put(loop, watch);
}

void weft_loop_unwatch(struct weft_loop *loop, struct weft_watch *watch)
{
    if (watch->index == WEFT_POOL_NONE)
        return; /* it was refused */
    loop->engine.ops->unwatch(&loop->engine, watch->fd, token_of(loop, watch->index));
    watch_put(loop, watch);
}

void weft_loop_watched(struct weft_loop *loop, uint64_t token, uint32_t revents)
{
    uint32_t index = (uint32_t)token;
    weft_assert(index < loop->watches.free.limit);
    struct weft_watch *watch = entry_at(loop, index)->watch;
    if (watch == NULL || token_of(loop, index) != token)
        return; /* taken back a moment ago */
    if (watch != &loop->waker)
        watch_put(loop, watch);
    watch->ready(watch, revents);
}
