/* epoll.c - readiness turned into completions.
 *
 * Every connection is registered once, edge-triggered, for both directions. What an edge said is
 * kept in the slot's bits until the bytes are wanted, so pausing and resuming cost no system call.
 * A read that does not fill the buffer has drained the socket, except after a hang-up, where the
 * end still has to be read.
 *
 * What is ready is served in batches: read a few sockets, tell what came, then send what that made.
 * Going to and fro per connection would run our code with the kernel's in the caches each time: a
 * batch costs 50 ns less per pipelined request.
 */
#include "io/engine.h"
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    IO_STREAM = 1,    /* mode: bytes as they come */
    IO_ONCE = 2,      /* mode: the next bytes */
    IO_READABLE = 4,  /* an edge said so, and the socket was not drained since */
    IO_HANGUP = 8,    /* the peer is done or gone: the end is yet to be read */
    IO_WRITE = 16,    /* a send waits for the next writable edge */
    IO_QUEUED = 32,   /* in the ready list */
    IO_DETACHED = 64, /* detach was called: told at the start of the next turn */
    IO_SOON = 128,    /* writable, but others first: told with the ready list */
};

#define EVENTS_MAX     256
#define BATCH          32 /* connections: their buffers and answers fit the second-level cache */
#define DEPARTURES_MAX 64 /* sends put off to the end of a batch; more are made at once */
#define STARVED_MS     1  /* pause before trying again without a free buffer */
#define AT_ONCE_BYTES  (64u << 10) /* of a turn, for who reads without waiting: then it waits */

/* What epoll_data says: a slot with its generation, a listener, or a watch. */
#define KIND_SLOT     0ull
#define KIND_LISTENER 1ull
#define KIND_WATCH    2ull
#define KIND_URGENT   3ull /* a watch of the management class */
#define KIND_SHIFT    62
#define PAYLOAD       ((1ull << KIND_SHIFT) - 1)

/* Something read and not yet told. */
struct arrival {
    uint32_t slot;
    uint16_t generation;
    uint16_t buf; /* WEFT_BUF_NONE: the end, or an error */
    int bytes;
};

/* Something to send at the end of the batch. */
struct departure {
    struct msghdr *message; /* the caller's until told */
    uint32_t slot;
    int flags;
};

struct epoll_backend {
    int fd;
    bool starved;     /* a read found no free buffer */
    uint32_t at_once; /* bytes of this turn that were read without waiting */
    uint32_t arrival_count, departure_count;
    struct arrival arrivals[BATCH];
    struct departure departures[DEPARTURES_MAX];
    uint32_t ready_head, ready_count; /* ready list: a ring of slot_count entries */
    uint32_t *ready;
    size_t
        booked; /* bytes of this mapping that are committed: the list is touched as it goes round */
    int listener_fds[16];
    struct epoll_event events[EVENTS_MAX];
};

static size_t backend_bytes(size_t slot_count)
{
    return WEFT_ALIGN_UP(sizeof(struct epoll_backend) + slot_count * sizeof(uint32_t),
                         WEFT_PAGE_BYTES);
}

static size_t epoll_bytes(const struct weft_engine_size *size)
{
    return backend_bytes(size->slots);
}

static WEFT_COLD void book(struct weft_engine *engine, size_t bytes)
{
    struct epoll_backend *b = engine->backend;
    size_t booked = WEFT_ALIGN_UP(bytes, WEFT_PAGE_BYTES);
    weft_account_commit(engine->account, (ptrdiff_t)(booked - b->booked));
    b->booked = booked;
}

static weft_rc epoll_open(struct weft_engine *engine)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);
    if (fd < 0)
        return (weft_rc)-errno;
    void *memory = NULL;
    weft_rc rc = weft_account_map(engine->account, backend_bytes(engine->size.slots), &memory);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    struct epoll_backend *b = memory;
    b->fd = fd;
    b->ready = (uint32_t *)(void *)(b + 1);
    for (size_t i = 0; i < WEFT_COUNT_OF(b->listener_fds); i++)
        b->listener_fds[i] = -1;
    engine->backend = b;
    book(engine, sizeof(*b));
    engine->listeners_block = false;
    return 0;
}

static void epoll_close(struct weft_engine *engine)
{
    struct epoll_backend *b = engine->backend;
    if (b == NULL)
        return;
    close(b->fd);
    weft_account_commit(engine->account, -(ptrdiff_t)b->booked);
    weft_account_unmap(engine->account, b, backend_bytes(engine->size.slots));
    engine->backend = NULL;
}

static void epoll_ranges(const struct weft_engine *engine, weft_range_fn *tell, void *arg)
{
    tell(arg, engine->account, engine->backend, backend_bytes(engine->size.slots));
}

static void make_ready(struct weft_engine *engine, uint32_t slot)
{
    struct epoll_backend *b = engine->backend;
    if (engine->slots[slot].io & IO_QUEUED)
        return;
    engine->slots[slot].io |= IO_QUEUED;
    size_t at = (b->ready_head + b->ready_count) % engine->size.slots;
    size_t end = sizeof(*b) + (at + 1) * sizeof(*b->ready);
    if (WEFT_UNLIKELY(end > b->booked))
        book(engine, end);
    b->ready[at] = slot;
    b->ready_count++; /* never above slot_count: each slot is in it once */
}

/* libc's recv() and send() may be canceled: in a process with threads each says so before and
 * after, which is 50 instructions. Nobody cancels our threads. */
static ssize_t plain_recv(int fd, void *to, size_t room)
{
    return syscall(SYS_recvfrom, fd, to, room, 0, NULL, NULL);
}

static ssize_t plain_send(int fd, const struct iovec *bytes, int flags)
{
    return syscall(SYS_sendto, fd, bytes->iov_base, bytes->iov_len, flags, NULL, 0);
}

static ssize_t read_once(struct weft_engine *engine, struct weft_slot *slot, uint16_t buf)
{
    ssize_t n;
    do
        n = plain_recv(slot->fd, weft_bufs_at(engine->bufs, buf), engine->bufs->buffer_bytes);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        n = -errno;
    bool drained = n < (ssize_t)engine->bufs->buffer_bytes;
    if (n == -EAGAIN || (drained && !(slot->io & IO_HANGUP)))
        slot->io &= (uint8_t)~IO_READABLE;
    if (n > 0)
        weft_count_add(engine->counters, WEFT_COUNTER_BYTES_IN, (uint64_t)n);
    return n;
}

/* Reads once, if that is wanted; told with the batch. */
static void collect(struct weft_engine *engine, uint32_t index)
{
    struct epoll_backend *b = engine->backend;
    struct weft_slot *slot = &engine->slots[index];
    if (!(slot->io & (IO_STREAM | IO_ONCE)) || !(slot->io & IO_READABLE))
        return;
    uint16_t buf = weft_bufs_take(engine->bufs);
    if (buf == WEFT_BUF_NONE) {
        weft_count(engine->counters, WEFT_COUNTER_RECV_NOBUFS);
        b->starved = true; /* a request that ends will free one */
        make_ready(engine, index);
        return;
    }
    ssize_t n = read_once(engine, slot, buf);
    if (n <= 0) {
        weft_bufs_unref(engine->bufs, buf);
        buf = WEFT_BUF_NONE;
    }
    if (n == -EAGAIN)
        return;
    slot->io &= (uint8_t)(n <= 0 ? ~(IO_STREAM | IO_ONCE | IO_READABLE) : ~IO_ONCE);
    weft_assert(b->arrival_count < BATCH);
    b->arrivals[b->arrival_count++] = (struct arrival){index, slot->generation, buf, (int)n};
}

static void tell_arrivals(struct weft_engine *engine)
{
    struct epoll_backend *b = engine->backend;
    uint32_t count = b->arrival_count; /* telling does not read: none is added meanwhile */
    for (uint32_t i = 0; i < count; i++) {
        const struct arrival *arrival = &b->arrivals[i];
        struct weft_slot *slot = &engine->slots[arrival->slot];
        if (slot->generation == arrival->generation && !(slot->io & IO_DETACHED))
            engine->events->received(engine->ctx, arrival->slot, arrival->bytes, arrival->buf);
        if (arrival->buf != WEFT_BUF_NONE)
            weft_bufs_unref(engine->bufs, arrival->buf);
        if (slot->generation == arrival->generation && (slot->io & (IO_STREAM | IO_ONCE)) &&
            (slot->io & IO_READABLE))
            make_ready(engine, arrival->slot);
    }
    b->arrival_count = 0;
}

static ssize_t send_now(const struct weft_slot *slot, struct msghdr *message, int flags)
{
    ssize_t n;
    do
        n = message->msg_iovlen == 1 ? plain_send(slot->fd, message->msg_iov, MSG_NOSIGNAL | flags)
                                     : sendmsg(slot->fd, message, MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
    return n >= 0 ? n : -errno;
}

/* What being told leads to is sent with the next batch: one round, so that nobody is starved. */
static void send_departures(struct weft_engine *engine)
{
    struct epoll_backend *b = engine->backend;
    struct departure departures[DEPARTURES_MAX];
    uint32_t count = b->departure_count;
    memcpy(departures, b->departures, count * sizeof(departures[0]));
    b->departure_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct weft_slot *slot = &engine->slots[departures[i].slot];
        ssize_t n = send_now(slot, departures[i].message, departures[i].flags);
        if (n == -EAGAIN) {
            slot->io |= IO_WRITE;
            engine->events->stalled(engine->ctx, departures[i].slot);
        } else {
            engine->events->sent(engine->ctx, departures[i].slot, n);
        }
    }
}

static void finish_batch(struct weft_engine *engine)
{
    tell_arrivals(engine);
    send_departures(engine);
}

static void slot_event(struct weft_engine *engine, uint64_t data, uint32_t events)
{
    uint32_t index = (uint32_t)data;
    struct weft_slot *slot = &engine->slots[index];
    uint16_t generation = (uint16_t)(data >> 32);
    if (slot->generation != generation || slot->fd < 0)
        return; /* closed earlier in this very batch */
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        slot->io |= IO_READABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        slot->io |= IO_HANGUP;
    if ((slot->io & IO_WRITE) && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))) {
        slot->io &= (uint8_t)~IO_WRITE;
        engine->events->sent(engine->ctx, index, 0);
        if (slot->generation != generation || (slot->io & IO_DETACHED))
            return;
    }
    if ((events & (EPOLLHUP | EPOLLERR)) && !(slot->io & (IO_STREAM | IO_ONCE))) {
        /* Nobody reads, but a request that waits must hear that its client is gone. */
        int error = 0;
        socklen_t len = sizeof(error);
        (void)getsockopt(slot->fd, SOL_SOCKET, SO_ERROR, &error,
                         &len); /* 0 when it fails: a hang-up */
        engine->events->received(engine->ctx, index, error != 0 ? -error : -ECONNRESET,
                                 WEFT_BUF_NONE);
        return;
    }
    collect(engine, index);
}

static void listener_event(struct weft_engine *engine, uint32_t listener)
{
    struct epoll_backend *b = engine->backend;
    for (int i = 0; i < 64 && b->listener_fds[listener] >= 0; i++) {
        int fd = accept4(b->listener_fds[listener], NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            engine->events->accepted(engine->ctx, listener, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != EINTR && errno != ECONNABORTED) {
            int error = errno;
            engine->ops->unlisten(engine, listener, b->listener_fds[listener]);
            engine->events->accepted(engine->ctx, listener, -error);
            return;
        }
    }
}

static void one_event(struct weft_engine *engine, const struct epoll_event *event)
{
    struct epoll_backend *b = engine->backend;
    uint64_t kind = event->data.u64 >> KIND_SHIFT;
    uint64_t payload = event->data.u64 & PAYLOAD;
    if (kind == KIND_SLOT)
        slot_event(engine, payload, event->events);
    else if (kind == KIND_LISTENER)
        listener_event(engine, (uint32_t)payload);
    else
        engine->events->watched(engine->ctx, payload, event->events);
    if (b->arrival_count == BATCH)
        finish_batch(engine);
}

static void visit_slot(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    uint16_t generation = slot->generation;
    if (slot->io & IO_SOON) {
        slot->io &= (uint8_t) ~(IO_SOON | IO_WRITE);
        engine->events->sent(engine->ctx, index, 0);
        if (slot->generation != generation || (slot->io & IO_DETACHED))
            return;
    }
    collect(engine, index);
}

static void visit_ready(struct weft_engine *engine)
{
    struct epoll_backend *b = engine->backend;
    for (uint32_t left = b->ready_count; left > 0; left--) {
        uint32_t index = b->ready[b->ready_head];
        b->ready_head = (b->ready_head + 1) % (uint32_t)engine->size.slots;
        b->ready_count--;
        struct weft_slot *slot = &engine->slots[index];
        slot->io &= (uint8_t)~IO_QUEUED;
        if (slot->io & IO_DETACHED)
            engine->events->detached(engine->ctx, index);
        else if (slot->fd >= 0)
            visit_slot(engine, index);
        if (b->arrival_count == BATCH)
            finish_batch(engine);
    }
    finish_batch(engine);
    if (b->ready_count == 0)
        b->ready_head = 0; /* the pages of its beginning serve again and again */
}

/* The pages of the ready list, but for the one that it begins on. */
static size_t epoll_idle_bytes(const struct weft_engine *engine)
{
    const struct epoll_backend *b = engine->backend;
    return b->ready_count > 0 ? 0 : b->booked - WEFT_ALIGN_UP(sizeof(*b), WEFT_PAGE_BYTES);
}

static void epoll_trim(struct weft_engine *engine)
{
    struct epoll_backend *b = engine->backend;
    size_t bytes = epoll_idle_bytes(engine), kept = b->booked - bytes;
    (void)madvise((char *)b + kept, bytes, MADV_DONTNEED); /* else they go the next time */
    book(engine, kept);
}

static int timeout_of(const struct epoll_backend *b, int64_t wait_ms)
{
    if (b->departure_count > 0 || (b->ready_count > 0 && !b->starved))
        return 0;
    if (b->starved && (wait_ms < 0 || wait_ms > STARVED_MS))
        return STARVED_MS;
    return (int)WEFT_MIN(wait_ms, (int64_t)INT32_MAX);
}

static weft_rc epoll_turn(struct weft_engine *engine, int64_t wait_ms)
{
    struct epoll_backend *b = engine->backend;
    /* Made by timers and posts since the last turn. Being told may arm timers that the wait given
     * to us knows nothing of: then this turn only looks. */
    bool told = b->departure_count > 0;
    b->at_once = 0;
    send_departures(engine);
    int timeout = told ? 0 : timeout_of(b, wait_ms);
    int count = epoll_wait(b->fd, b->events, EVENTS_MAX, timeout);
    b->starved = false;
    int error = 0;
    if (WEFT_UNLIKELY((unsigned)count >= EVENTS_MAX)) { /* -1 is, too */
        error = count < 0 ? errno : 0;
        if (error == 0)
            weft_count(engine->counters, WEFT_COUNTER_TURNS_FULL);
    }
    weft_count(engine->counters, WEFT_COUNTER_LOOP_TURNS);
    engine->events->awake(engine->ctx);
    if (error != 0)
        return error == EINTR ? 0 : (weft_rc)-error;
    for (int i = 0; i < count; i++)
        if (b->events[i].data.u64 >> KIND_SHIFT == KIND_URGENT)
            one_event(engine, &b->events[i]);
    for (int i = 0; i < count; i++)
        if (b->events[i].data.u64 >> KIND_SHIFT != KIND_URGENT)
            one_event(engine, &b->events[i]);
    finish_batch(engine);
    visit_ready(engine);
    return 0;
}

static weft_rc add(struct weft_engine *engine, int op, int fd, uint32_t events, uint64_t data)
{
    struct epoll_backend *b = engine->backend;
    struct epoll_event event = {.events = events, .data.u64 = data};
    return epoll_ctl(b->fd, op, fd, &event) == 0 ? 0 : (weft_rc)-errno;
}

static weft_rc epoll_listen(struct weft_engine *engine, uint32_t listener, int fd)
{
    struct epoll_backend *b = engine->backend;
    weft_assert(listener < WEFT_COUNT_OF(b->listener_fds));
    WEFT_TRY(add(engine, EPOLL_CTL_ADD, fd, EPOLLIN, KIND_LISTENER << KIND_SHIFT | listener));
    b->listener_fds[listener] = fd;
    return 0;
}

static void epoll_unlisten(struct weft_engine *engine, uint32_t listener, int fd)
{
    struct epoll_backend *b = engine->backend;
    if (b->listener_fds[listener] < 0)
        return;
    b->listener_fds[listener] = -1;
    (void)epoll_ctl(b->fd, EPOLL_CTL_DEL, fd, NULL); /* it was added above */
}

static weft_rc epoll_attach(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    slot->io = 0;
    return add(engine, EPOLL_CTL_ADD, slot->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
               KIND_SLOT << KIND_SHIFT | (uint64_t)slot->generation << 32 | index);
}

/* Told later, from the ready list: the caller is often deep inside one of the slot's own events. */
static void epoll_detach(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    uint8_t queued = slot->io & IO_QUEUED;
    close(slot->fd);
    slot->fd = -1;
    slot->io = (uint8_t)(IO_DETACHED | queued);
    make_ready(engine, index);
}

static void epoll_recv(struct weft_engine *engine, uint32_t index, enum weft_recv_mode mode)
{
    struct weft_slot *slot = &engine->slots[index];
    slot->io &= (uint8_t) ~(IO_STREAM | IO_ONCE);
    if (mode == WEFT_RECV_OFF)
        return;
    slot->io |= mode == WEFT_RECV_ONCE ? IO_ONCE : IO_STREAM;
    if (slot->io & IO_READABLE)
        make_ready(engine, index);
}

static ssize_t epoll_recv_now(struct weft_engine *engine, uint32_t index, uint16_t *out_buf)
{
    struct weft_slot *slot = &engine->slots[index];
    struct epoll_backend *b = engine->backend;
    if (!(slot->io & IO_READABLE) || b->at_once >= AT_ONCE_BYTES)
        return -EAGAIN;
    uint16_t buf = weft_bufs_take(engine->bufs);
    if (buf == WEFT_BUF_NONE)
        return -ENOBUFS;
    ssize_t n = read_once(engine, slot, buf);
    if (n > 0) {
        *out_buf = buf;
        b->at_once += (uint32_t)n;
    } else {
        weft_bufs_unref(engine->bufs, buf);
    }
    return n;
}

static ssize_t epoll_send(struct weft_engine *engine, uint32_t index, struct msghdr *message,
                          int flags)
{
    struct epoll_backend *b = engine->backend;
    struct weft_slot *slot = &engine->slots[index];
    if (b->departure_count < DEPARTURES_MAX) {
        b->departures[b->departure_count++] = (struct departure){message, index, flags};
        return -EALREADY;
    }
    ssize_t n = send_now(slot, message, flags);
    if (n != -EAGAIN)
        return n;
    slot->io |= IO_WRITE;
    return -EINPROGRESS;
}

static ssize_t epoll_try_send(struct weft_engine *engine, uint32_t index, weft_str bytes)
{
    struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    return send_now(&engine->slots[index], &message, 0);
}

static void epoll_want_write(struct weft_engine *engine, uint32_t index, bool soon)
{
    engine->slots[index].io |= soon ? IO_SOON : IO_WRITE;
    if (soon)
        make_ready(engine, index);
}

static weft_rc epoll_watch(struct weft_engine *engine, int fd, uint32_t events, uint64_t token,
                           enum weft_io_class class)
{
    uint64_t kind = class == WEFT_CLASS_MANAGEMENT ? KIND_URGENT : KIND_WATCH;
    uint64_t data = kind << KIND_SHIFT | (token & PAYLOAD);
    weft_rc rc = add(engine, EPOLL_CTL_ADD, fd, events | EPOLLONESHOT, data);
    if (rc == -EEXIST)
        rc = add(engine, EPOLL_CTL_MOD, fd, events | EPOLLONESHOT, data);
    return rc;
}

static void epoll_unwatch(struct weft_engine *engine, int fd, uint64_t token)
{
    struct epoll_backend *b = engine->backend;
    (void)token;
    (void)epoll_ctl(b->fd, EPOLL_CTL_DEL, fd, NULL); /* gone already when its owner closed it */
}

const struct weft_engine_ops weft_epoll_ops = {
    .name_z = "epoll",
    .bytes = epoll_bytes,
    .open = epoll_open,
    .close = epoll_close,
    .ranges = epoll_ranges,
    .turn = epoll_turn,
    .listen = epoll_listen,
    .unlisten = epoll_unlisten,
    .attach = epoll_attach,
    .detach = epoll_detach,
    .recv = epoll_recv,
    .recv_now = epoll_recv_now,
    .send = epoll_send,
    .want_write = epoll_want_write,
    .try_send = epoll_try_send,
    .watch = epoll_watch,
    .unwatch = epoll_unwatch,
    .idle_bytes = epoll_idle_bytes,
    .trim = epoll_trim,
};
