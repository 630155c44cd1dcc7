/* loop.h - one worker's world: engine, clock, timers, pools, connections; and its turn.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only, except weft_loop_post().
 * Memory:   weft_loop_terms(): each part by name, so that the plan shows them one by one.
 */
#ifndef WEFT_IO_LOOP_H
#define WEFT_IO_LOOP_H

#include "base/clock.h"
#include "base/limits.h"
#include "io/buf.h"
#include "io/cold.h"
#include "io/conn.h"
#include "io/engine.h"
#include "io/file_send.h"
#include "io/listener.h"
#include "io/post.h"
#include "io/reclaim.h"
#include "io/task.h"
#include "io/timer.h"
#include "mem/arena.h"

#define WEFT_BLOCK_BYTES     ((size_t)4096) /* what answers are built in */
#define WEFT_BLOCKS_PER_CONN ((size_t)2)    /* at most: a head in pieces, and its answer */
#define WEFT_LISTENERS_MAX   4
#define WEFT_LOOP_TERMS      12

struct weft_loop_options {
    const struct weft_engine_ops *engine;
    uint32_t worker;               /* index, for the ledger */
    size_t connections;            /* slots: as many as may fall to this worker */
    struct weft_conn_share *share; /* borrowed: the process's count of connections */
    bool direct;                   /* connections are entries of the ring's table: engine.h */
    size_t installs;               /* descriptors that such ones may have at once, for files */
    size_t queue;                  /* entries of the submission queue, power of two; 0: the usual */
    const struct weft_holder *holder; /* of connections that are held; NULL: none ever is */
    size_t held;                      /* so many at once */
    size_t active;                    /* connections with something going on at once */
    size_t waiting;                   /* tasks that wait at once */
    size_t stack_bytes;
    size_t buffer_bytes;
    size_t buffers;       /* lent to the kernel or ready for it; power of two */
    size_t spare_buffers; /* for requests that keep theirs */
    size_t elastic_bytes; /* arenas */
    uint32_t timer_precision_ms;
    struct weft_slot_limits slot_limits;
    const struct weft_protocol *protocol;
    enum weft_file_way file_way;  /* how bytes of files leave */
    struct weft_offload *offload; /* borrowed: fetches what is not in memory; NULL: nobody does */
    struct weft_purge *purge;     /* borrowed: has malloc give back (mem/arena.h); NULL: nobody */
    bool prefault;                /* every page that is not elastic is touched at start */
    uint32_t reclaim_window_ms;   /* io/reclaim.h; 0: nothing is handed back */
    const struct weft_clock_source *clock; /* NULL: the real one */
    const struct weft_limits *limits;      /* borrowed: the process's; NULL: none */
};

/* A descriptor that a task or a component waits for; intrusive, told once. */
struct weft_watch {
    void (*ready)(struct weft_watch *watch, uint32_t revents);
    uint32_t index; /* in the loop's table */
    int fd;
};

struct weft_loop {
    struct weft_engine engine;
    struct weft_clock clock;
    uint64_t now_ms;
    struct weft_wheel wheel;
    struct weft_counters *counters; /* owned: mapped */
    struct weft_account *counters_account;
    struct weft_bufs bufs;
    struct weft_tasks tasks;
    struct weft_chunks chunks;
    struct weft_pool conns;  /* objects of connections with something going on */
    struct weft_pool blocks; /* WEFT_BLOCK_BYTES each */
    struct weft_pool held;   /* objects of connections that are held; all 0: none ever is */
    const struct weft_holder *holder; /* borrowed: static; may be NULL */
    uint32_t worker;                  /* index */
    struct weft_slots slots;
    const struct weft_protocol *protocol;
    struct weft_listener listeners[WEFT_LISTENERS_MAX];
    uint32_t listener_count;
    bool draining;
    struct weft_reclaim reclaim;
    const struct weft_limits *limits; /* borrowed; may be NULL */
    size_t installs_max, installs;    /* descriptors for connections without one: at most, now */
    struct weft_file_sender sender;
    struct weft_cold cold;
    struct weft_pool watches; /* struct weft_watch *, by token */
    _Atomic(struct weft_post *) posts;
    struct weft_watch waker;
    int wake_fd;
    void *owner; /* borrowed: the worker, for the layers above */
};

/* A term of the plan: what one part of a worker costs at worst. */
struct weft_term {
    const char *name_z;
    size_t bytes;
    size_t count; /* of what, where a count times a size is the formula; 0 else */
    size_t each;
};

/** The terms of one loop, in the order of struct weft_loop_options; returns how many. */
size_t weft_loop_terms(const struct weft_loop_options *options,
                       struct weft_term out[WEFT_LOOP_TERMS]);

/** Build everything; nothing is touched yet but a few pages.
 *  out_part  name of the part that failed; static
 *  returns   0, WEFT_EBUDGET, WEFT_ENOMEM, WEFT_EFULL or the kernel's -errno */
WEFT_CHECK weft_rc weft_loop_init(struct weft_loop *loop, struct weft_ledger *ledger,
                                  const struct weft_loop_options *options, const char **out_part);

/** The engine must be opened by the thread that turns it (io_uring: single issuer). */
WEFT_CHECK weft_rc weft_loop_open(struct weft_loop *loop);
void weft_loop_fini(struct weft_loop *loop);

/** Every mapping of the loop, account by account; NULL: none, its pages are somebody else's. From
 *  any thread while it is open. */
void weft_loop_ranges(const struct weft_loop *loop, weft_range_fn *tell, void *arg);

/** One turn: submit, wait at most wait_ms (-1: until something happens), tell, fire timers. */
WEFT_CHECK weft_rc weft_loop_turn(struct weft_loop *loop, int64_t wait_ms);

/** The turn's wait when nothing else limits it: until the next timer, -1 without one. */
int64_t weft_loop_wait_ms(struct weft_loop *loop);

/** Run post->run(post) on the loop's thread soon. From any thread. Never fails. */
void weft_loop_post(struct weft_loop *loop, struct weft_post *post);

/** Watch a descriptor once (poll(2) bits).
 *  returns  0, WEFT_EFULL (as many watches as tasks may wait, and one), or -errno */
WEFT_CHECK weft_rc weft_loop_watch(struct weft_loop *loop, struct weft_watch *watch, int fd,
                                   uint32_t events);
void weft_loop_unwatch(struct weft_loop *loop, struct weft_watch *watch);
/** The same in a class: what is told before anything else of its turn, or with the rest. One of the
 *  first kind is not taken back but forgotten: when the loop is turned no more. */
WEFT_CHECK weft_rc weft_loop_watch_class(struct weft_loop *loop, struct weft_watch *watch, int fd,
                                         uint32_t events, enum weft_io_class class);
void weft_loop_forget(struct weft_loop *loop, struct weft_watch *watch);

/** For the engine's events: a watched descriptor is ready. */
void weft_loop_watched(struct weft_loop *loop, uint64_t token, uint32_t revents);

/** A 4 KiB block; NULL when every one is out. */
static inline char *weft_block_take(struct weft_loop *loop)
{
    uint32_t index = weft_pool_take(&loop->blocks);
    return index == WEFT_POOL_NONE ? NULL : weft_pool_at(&loop->blocks, index);
}

static inline void weft_block_put(struct weft_loop *loop, char *block)
{
    size_t index = (size_t)(block - loop->blocks.slots) / WEFT_BLOCK_BYTES; /* without a division */
    weft_pool_put(&loop->blocks, (uint32_t)index);
}

static inline void weft_loop_count(struct weft_loop *loop, enum weft_counter id)
{
    weft_count(loop->counters, id);
}

#endif
