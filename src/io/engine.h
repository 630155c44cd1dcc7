/* engine.h - one interface to the kernel, completion-shaped: ask, wait, be told.
 *
 * Two backends, the same semantics: io_uring (completions as they are) and epoll (readiness turned
 * into completions). What happens is told through `events`, always from inside turn() and always on
 * the worker's own stack.
 *
 * Lifetime: worker.
 * Threads:  the owner worker only.
 * Memory:   its ops' bytes(): the rings or the ready list, mapped at open.
 */
#ifndef WEFT_IO_ENGINE_H
#define WEFT_IO_ENGINE_H

#include <sys/socket.h>
#include "base/counter.h"
#include "base/str.h"
#include "io/buf.h"

/* A connection at rest: all that an idle one costs a process. */
struct weft_slot {
    int32_t fd;       /* -1 while free; see weft_fd_direct() */
    uint32_t active;  /* index of its struct weft_conn, or WEFT_POOL_NONE; next free slot if free */
    uint32_t last_ds; /* when it last did something, in tenths of a second of the loop's clock */
    uint16_t generation; /* grows with every reuse: completions and handles carry it */
    uint8_t state;       /* enum weft_slot_state */
    uint8_t io;          /* the engine's bits */
};
_Static_assert(sizeof(struct weft_slot) == 16, "an idle connection is 16 bytes");

/* A connection may be an entry of the ring's own table instead of a descriptor of the process
 * (io_uring's direct descriptors): RLIMIT_NOFILE then bounds each worker, not the process. Its slot
 * holds the entry's index with this bit, and system calls on it go through the engine. */
#define WEFT_FD_DIRECT 0x40000000

static inline bool weft_fd_direct(int fd)
{
    return fd >= WEFT_FD_DIRECT;
}

static inline int weft_fd_index(int fd)
{
    return fd & (WEFT_FD_DIRECT - 1);
}

enum weft_recv_mode {
    WEFT_RECV_OFF,    /* leave what arrives in the kernel */
    WEFT_RECV_ONCE,   /* the next bytes, then off: while a body is read */
    WEFT_RECV_STREAM, /* bytes as they come: while idle or in a head */
};

/* Descriptor classes: what is ready together is told in this order, highest first. */
enum weft_io_class {
    WEFT_CLASS_DATA = 0,
    WEFT_CLASS_MANAGEMENT = 1,
};

struct weft_engine_events {
    /* The wait is over and things are about to be told: time to read the clock. */
    void (*awake)(void *ctx);
    /* A connection, or -errno with the listener paused (the caller resumes it). */
    void (*accepted)(void *ctx, uint32_t listener, int fd);
    /* bytes > 0: they lie in buffer `buf` (borrowed for the call: ref it to keep it). 0: the peer
     * has finished sending. < 0: -errno. After 0 or an error the mode is off. */
    void (*received)(void *ctx, uint32_t slot, int bytes, uint16_t buf);
    /* What weft_engine_send() left pending: bytes sent, 0 (writable again: try), or -errno. */
    void (*sent)(void *ctx, uint32_t slot, ssize_t bytes);
    /* What weft_engine_send() put off (-EALREADY) has found its socket full: it is pending. */
    void (*stalled)(void *ctx, uint32_t slot);
    /* After detach: the descriptor is closed, no completion of it will come. */
    void (*detached)(void *ctx, uint32_t slot);
    /* What weft_engine_install() asked for: a descriptor, now the listener's to close, or -errno.
     */
    void (*installed)(void *ctx, uint32_t slot, int fd);
    /* A watched descriptor is ready (poll(2) bits), or the watch failed (POLLNVAL). Once. */
    void (*watched)(void *ctx, uint64_t token, uint32_t revents);
};

struct weft_engine;

/* What the rings and tables of an engine are made for. */
struct weft_engine_size {
    size_t slots;
    size_t buffers; /* receive buffers lent to the kernel (io_uring), power of two */
    size_t queue;   /* entries of the submission queue (io_uring), power of two */
    bool direct;    /* connections are entries of the ring's own table (io_uring) */
};

struct weft_engine_ops {
    const char *name_z;
    size_t (*bytes)(const struct weft_engine_size *size);
    weft_rc (*open)(struct weft_engine *engine);
    void (*close)(struct weft_engine *engine);
    /* Its mappings, while it is open; from any thread. */
    void (*ranges)(const struct weft_engine *engine, weft_range_fn *tell, void *arg);
    weft_rc (*turn)(struct weft_engine *engine, int64_t wait_ms);
    weft_rc (*listen)(struct weft_engine *engine, uint32_t listener, int fd);
    void (*unlisten)(struct weft_engine *engine, uint32_t listener, int fd);
    weft_rc (*attach)(struct weft_engine *engine, uint32_t slot);
    void (*detach)(struct weft_engine *engine, uint32_t slot);
    void (*recv)(struct weft_engine *engine, uint32_t slot, enum weft_recv_mode mode);
    ssize_t (*recv_now)(struct weft_engine *engine, uint32_t slot, uint16_t *out_buf);
    ssize_t (*send)(struct weft_engine *engine, uint32_t slot, struct msghdr *message, int flags);
    void (*want_write)(struct weft_engine *engine, uint32_t slot, bool soon);
    ssize_t (*try_send)(struct weft_engine *engine, uint32_t slot, weft_str bytes);
    void (*submit)(struct weft_engine *engine); /* NULL: nothing is ever put off */
    weft_rc (*watch)(struct weft_engine *engine, int fd, uint32_t events, uint64_t token,
                     enum weft_io_class class);
    void (*unwatch)(struct weft_engine *engine, int fd, uint64_t token);
    /* Memory of its own that it could give back right now, and doing so; NULL: never any. */
    size_t (*idle_bytes)(const struct weft_engine *engine);
    void (*trim)(struct weft_engine *engine);
    /* A window of reclaim ends: what was not needed in it goes back to its pools. NULL: nothing. */
    void (*window)(struct weft_engine *engine);
    /* Connections without a descriptor; NULL where there are none (epoll). See below. */
    void (*say)(struct weft_engine *engine, uint32_t slot, weft_str text);
    weft_rc (*shutdown)(struct weft_engine *engine, uint32_t slot, int how);
    weft_rc (*peer)(struct weft_engine *engine, uint32_t slot, struct sockaddr_storage *out);
    void (*install)(struct weft_engine *engine, uint32_t slot);
    void (*close_fd)(struct weft_engine *engine, int fd);
};

struct weft_engine {
    const struct weft_engine_ops *ops;
    const struct weft_engine_events *events; /* borrowed: static */
    void *ctx;                               /* handed to every event */
    struct weft_slot *slots;                 /* borrowed: the connection table */
    struct weft_engine_size size;
    struct weft_bufs *bufs;         /* borrowed */
    struct weft_counters *counters; /* borrowed */
    struct weft_account *account;   /* borrowed */
    void *backend;                  /* owned: the backend's state */
    bool accept_plain; /* size.direct: with descriptors nevertheless, from the next listen() on */
    bool listeners_block; /* io_uring waits for accepts by itself, if they are not told not to */
};

extern const struct weft_engine_ops weft_uring_ops;
extern const struct weft_engine_ops weft_epoll_ops;

/** The backend by name: "uring", "epoll", or "auto": io_uring where the kernel lets us.
 *  out_why  one line when auto fell back or the wish cannot be met; static
 *  returns  NULL when the wish cannot be met */
const struct weft_engine_ops *weft_engine_pick(const char *name_z, const char **out_why);

/** Can this process use io_uring with all that uring.c needs?
 *  out_why  the missing part; static; NULL when it can */
bool weft_uring_usable(const char **out_why);

#define WEFT_URING_TABLE_MAX ((size_t)1 << 20) /* the kernel's bound on a ring's table */

/** Can connections do without descriptors here? Tried on sockets of its own, not assumed: a kernel
 *  must also really close them when told to (before Linux 6.13 it waits for others' receives).
 *  out_why  the missing part; static; NULL when they can */
bool weft_uring_direct_usable(const char **out_why);

/** The submission queue's entries when there is no reason for fewer. */
#define WEFT_ENGINE_QUEUE ((size_t)512)

/** A last word to a peer, best effort: what its socket takes at once of static memory. */
void weft_engine_say(struct weft_engine *engine, uint32_t slot, weft_str text);

/** shutdown(2). Under way only, when it returns, where the connection has no descriptor.
 *  returns  0 or -errno */
weft_rc weft_engine_shutdown(struct weft_engine *engine, uint32_t slot, int how);

/** getpeername(2).
 *  returns  0 or -errno */
WEFT_CHECK weft_rc weft_engine_peer(struct weft_engine *engine, uint32_t slot,
                                    struct sockaddr_storage *out);

/** Close a connection by what its slot calls it. */
void weft_engine_close_fd(struct weft_engine *engine, int fd);

/** Ask for a descriptor of a connection that has none: `installed` tells it. One at a time, and
 *  nothing to be sent meanwhile. */
static inline void weft_engine_install(struct weft_engine *engine, uint32_t slot)
{
    engine->ops->install(engine, slot);
}

/** For reclaim: is there memory of the engine's own to give back? And doing so; returns bytes. */
static inline bool weft_engine_still(const struct weft_engine *engine)
{
    return engine->ops->idle_bytes != NULL && engine->ops->idle_bytes(engine) > 0;
}
size_t weft_engine_trim(struct weft_engine *engine);

/** Submit what was asked, wait for something to happen (at most wait_ms; -1: for ever; 0: do not
 *  wait), tell the events.
 *  returns  0 or the kernel's -errno */
static inline weft_rc weft_engine_turn(struct weft_engine *engine, int64_t wait_ms)
{
    return engine->ops->turn(engine, wait_ms);
}

/** Start receiving in a mode, or stop. What was in flight when it stops may still be told. */
static inline void weft_engine_recv(struct weft_engine *engine, uint32_t slot,
                                    enum weft_recv_mode mode)
{
    engine->ops->recv(engine, slot, mode);
}

/** Bytes that are there now, without asking for more (mode off).
 *  out_buf  a reference for the caller
 *  returns  bytes > 0; 0 at the end; -EAGAIN (nothing here, enough for this turn, or this backend
 *           only completes): ask for more */
static inline ssize_t weft_engine_recv_now(struct weft_engine *engine, uint32_t slot,
                                           uint16_t *out_buf)
{
    return engine->ops->recv_now(engine, slot, out_buf);
}

/** Send. message, its iovec and the bytes stay untouched until told when pending.
 *  flags    MSG_MORE or 0
 *  returns  bytes sent (> 0, maybe not all); -EINPROGRESS: it is pending, `sent` will tell;
 *           -EALREADY: it is made soon, before the loop waits again: `sent` will tell, or first
 *           `stalled` that it is pending; another -errno */
static inline ssize_t weft_engine_send(struct weft_engine *engine, uint32_t slot,
                                       struct msghdr *message, int flags)
{
    return engine->ops->send(engine, slot, message, flags);
}

/** Send what the socket takes at once: nothing waits in the kernel that points at the bytes, which
 *  are read before weft_engine_submit(), or the next turn's wait, returns.
 *  returns  bytes sent (> 0, maybe not all); -EINPROGRESS: `sent` will tell, in the next turn;
 *           -EAGAIN, from either: it takes none now, see weft_engine_want_write(); another -errno
 */
static inline ssize_t weft_engine_try_send(struct weft_engine *engine, uint32_t slot,
                                           weft_str bytes)
{
    return engine->ops->try_send(engine, slot, bytes);
}

static inline void weft_engine_submit(struct weft_engine *engine)
{
    if (engine->ops->submit != NULL)
        engine->ops->submit(engine);
}

/** Tell `sent` with 0 once the socket takes bytes again.
 *  soon  it does already: after the others have had their turn */
static inline void weft_engine_want_write(struct weft_engine *engine, uint32_t slot, bool soon)
{
    engine->ops->want_write(engine, slot, soon);
}

#endif
