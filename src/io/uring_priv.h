/* uring_priv.h - what the parts of the io_uring backend share: its state, tags, submission entries.
 *
 *   uring.c         the engine: receive, send, accept, the turn
 *   uring_direct.c  connections that are entries of the ring's own table, not descriptors
 *
 * Lifetime: worker.
 * Threads:  the owner worker only.
 * Memory:   the ring, counted by uring.c.
 */
#ifndef WEFT_IO_URING_PRIV_H
#define WEFT_IO_URING_PRIV_H

#include <liburing.h>
#include "io/engine.h"
#include "io/uring_abi.h"

enum {
    IO_STREAM = 1,      /* mode: bytes as they come */
    IO_ONCE = 2,        /* mode: the next bytes */
    IO_ARMED = 4,       /* a receive is in the kernel */
    IO_SENDING = 8,     /* a send, a writable poll or an installation is in the kernel */
    IO_CANCELED = 16,   /* its cancellation was asked for */
    IO_DETACHED = 32,   /* closes when nothing is in the kernel any more */
    IO_WATCHED = 64,    /* a poll for a hang-up is in the kernel */
    IO_CANCELING = 128, /* the cancellation's own completion is outstanding */
};

/* user_data: kind in the top byte, generation below, slot (or listener, or token) in the low part.
 */
enum weft_uring_kind {
    KIND_RECV = 1,
    KIND_SEND,
    KIND_ACCEPT,
    KIND_WATCH,
    KIND_URGENT, /* a watch of the management class: told before all others */
    KIND_CANCEL,
    KIND_INSTALL,
    KIND_HANGUP,
    KIND_IGNORE,
};

#define KIND_SHIFT 56
#define PAYLOAD    ((1ull << KIND_SHIFT) - 1)

struct uring_backend {
    struct io_uring ring;
    struct io_uring_buf_ring *buffers;
    uint32_t lent;        /* buffers in the kernel's hands */
    uint32_t wanted;      /* so many should be, WANTED_MIN .. size.buffers */
    uint32_t filled;      /* came back with bytes in this turn */
    uint32_t filled_most; /* in a turn of this window of reclaim */
    bool ran_out;         /* the kernel found none: more are wanted */
    uint32_t ring_mask;
    uint32_t ring_adds;           /* added since the last advance */
    uint32_t unasked;             /* turns in which no further completions were asked for */
    uint64_t asked;               /* questions put to the kernel at once: each has its own tag */
    struct sockaddr_storage peer; /* an answer's place: not on a stack, it might come late */
};

static inline uint64_t tag(enum weft_uring_kind kind, uint64_t payload)
{
    return (uint64_t)kind << KIND_SHIFT | payload;
}

static inline uint64_t slot_tag(const struct weft_engine *engine, enum weft_uring_kind kind,
                                uint32_t slot)
{
    return tag(kind, (uint64_t)engine->slots[slot].generation << 32 | slot);
}

/** One submission entry; when the queue is full, what is in it goes to the kernel first. */
static inline struct io_uring_sqe *entry(struct weft_engine *engine)
{
    struct uring_backend *b = engine->backend;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&b->ring);
    while (sqe == NULL) {
        (void)io_uring_submit(&b->ring); /* -EBUSY, -EAGAIN: try again, entries do not get lost */
        sqe = io_uring_get_sqe(&b->ring);
    }
    return sqe;
}

/** Point an entry at a connection, however the slot names it: after io_uring_prep_*(). */
static inline void aim(struct io_uring_sqe *sqe, const struct weft_slot *slot)
{
    sqe->fd = weft_fd_index(slot->fd);
    if (weft_fd_direct(slot->fd))
        sqe->flags |= IOSQE_FIXED_FILE;
}

/** A ring of that many entries, as every worker has it; 0 or -errno. */
int weft_uring_setup(struct io_uring *ring, size_t entries);

/* The engine's operations on connections without a descriptor, see engine.h. */
void weft_uring_say(struct weft_engine *engine, uint32_t slot, weft_str text);
weft_rc weft_uring_shutdown(struct weft_engine *engine, uint32_t slot, int how);
weft_rc weft_uring_peer(struct weft_engine *engine, uint32_t slot, struct sockaddr_storage *out);
void weft_uring_install(struct weft_engine *engine, uint32_t slot);
void weft_uring_close_fd(struct weft_engine *engine, int fd);

/** The table, with an entry for each slot; 0 or -errno. */
int weft_uring_table(struct weft_engine *engine, struct io_uring *ring);

#endif
