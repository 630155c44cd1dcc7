/* uring.c - io_uring, as it is: requests go in, completions come out, one system call a turn.
 *
 * Idle connections hold one multishot receive in the kernel and nothing here; bytes arrive in
 * buffers lent to the kernel through a provided-buffer ring. Listeners are blocking sockets:
 * a non-blocking one would turn the wait for an accept into -EAGAIN. Connections are not, for
 * sendfile(); the ring's receives and sends wait for what is to come all the same.
 *
 * The ring runs with DEFER_TASKRUN: completions are made when we ask for them, on our own core, not
 * by interrupting us.
 */
#include "io/uring_priv.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CQ_PER_SQ         8 /* completions that fit, per submission that does */
#define RECV_PAUSE_MS     1
#define BUFFER_GROUP      0
#define WANTED_MIN        32 /* buffers lent however little comes */
#define CQES_MAX          32
#define UNASKED_TURNS_MAX 4       /* of so many completions each */
#define ACCEPT_DIRECT     0x8000u /* in an accept's tag: what comes are entries of the table */

static size_t buffer_ring_bytes(size_t ring_count)
{
    return WEFT_ALIGN_UP(ring_count * sizeof(struct io_uring_buf), WEFT_PAGE_BYTES);
}

/* Rings are the kernel's memory, mapped here: they are counted because they are ours to answer for.
 */
static size_t uring_bytes(const struct weft_engine_size *size)
{
    return WEFT_ALIGN_UP(sizeof(struct uring_backend), WEFT_PAGE_BYTES) +
           buffer_ring_bytes(size->buffers) +
           WEFT_ALIGN_UP(size->queue * sizeof(struct io_uring_sqe), WEFT_PAGE_BYTES) +
           WEFT_ALIGN_UP(size->queue * (4 + CQ_PER_SQ * sizeof(struct io_uring_cqe)),
                         WEFT_PAGE_BYTES) +
           WEFT_PAGE_BYTES;
}

static bool lend(void *ctx, uint16_t id)
{
    struct weft_engine *engine = ctx;
    struct uring_backend *b = engine->backend;
    if (b->lent >= b->wanted)
        return false;
    io_uring_buf_ring_add(b->buffers, weft_bufs_at(engine->bufs, id), engine->bufs->buffer_bytes,
                          id, (int)b->ring_mask, (int)b->ring_adds++);
    b->lent++;
    return true;
}

static uint32_t wanted_min(const struct weft_engine *engine)
{
    return WEFT_MIN(WANTED_MIN, (uint32_t)engine->size.buffers);
}

/* The ring is a queue: every buffer in it is used in turn, and stays in memory. So it gets what a
 * turn needs, and no more: half as many again when it ran dry, and less by uring_window(). The rest
 * is kept for it all the same. */
static void adapt_wanted(struct weft_engine *engine)
{
    struct uring_backend *b = engine->backend;
    b->filled_most = WEFT_MAX(b->filled_most, b->filled);
    b->filled = 0;
    if (b->ran_out)
        b->wanted = WEFT_MIN(b->wanted + b->wanted / 2, (uint32_t)engine->size.buffers);
    b->ran_out = false;
}

static void promise(struct weft_engine *engine)
{
    const struct uring_backend *b = engine->backend;
    engine->bufs->promised = (uint32_t)engine->size.buffers - WEFT_MAX(b->wanted, b->lent);
}

/* What lend() put behind the queue's end is the kernel's from here on. */
static void show_adds(struct uring_backend *b)
{
    io_uring_buf_ring_advance(b->buffers, (int)b->ring_adds);
    b->ring_adds = 0;
}

/* Whatever requests kept is replaced by spares, as long as there are any. */
static void lend_spares(struct weft_engine *engine)
{
    struct uring_backend *b = engine->backend;
    promise(engine);
    while (b->lent < b->wanted) {
        uint16_t id = weft_bufs_take(engine->bufs);
        if (id == WEFT_BUF_NONE || !lend(engine, id))
            break;
    }
    show_adds(b);
}

/* What was lent and is not wanted any more comes back: the newest in the queue, which are last in
 * turn. The kernel takes buffers only while this thread is in it, and tells each by a completion:
 * so with none outstanding the queue stands still, and its end may be moved. */
static void take_back(struct weft_engine *engine)
{
    struct uring_backend *b = engine->backend;
    show_adds(b);
    bool still = io_uring_cq_ready(&b->ring) == 0 && !io_uring_cq_has_overflow(&b->ring);
    if (b->lent <= b->wanted || !still)
        return;
    uint32_t surplus = b->lent - b->wanted;
    io_uring_buf_ring_advance(b->buffers, -(int)surplus);
    b->lent -= surplus;
    for (uint32_t i = 0; i < surplus; i++)
        weft_bufs_unref(engine->bufs, b->buffers->bufs[(b->buffers->tail + i) & b->ring_mask].bid);
    promise(engine);
}

/* A window of reclaim ends: half as many again as came in its busiest turn will do. */
static void uring_window(struct weft_engine *engine)
{
    struct uring_backend *b = engine->backend;
    uint32_t enough = wanted_min(engine);
    while (enough < b->filled_most + b->filled_most / 2 && enough < b->wanted)
        enough += enough / 2;
    b->wanted = WEFT_MIN(b->wanted, enough);
    b->filled_most = 0;
    take_back(engine);
}

int weft_uring_setup(struct io_uring *ring, size_t entries)
{
    struct io_uring_params params = {0};
    params.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE |
                   IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP;
    params.cq_entries = (uint32_t)(entries * CQ_PER_SQ);
    return io_uring_queue_init_params((unsigned)entries, ring, &params);
}

static int register_buffers(struct weft_engine *engine, struct uring_backend *b)
{
    size_t bytes = buffer_ring_bytes(engine->size.buffers);
    void *ring = weft_map(bytes);
    if (ring == NULL)
        return -ENOMEM;
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)ring,
                                   .ring_entries = (uint32_t)engine->size.buffers,
                                   .bgid = BUFFER_GROUP};
    int rc = io_uring_register_buf_ring(&b->ring, &reg, 0);
    if (rc != 0) {
        munmap(ring, bytes);
        return rc;
    }
    b->buffers = ring;
    b->ring_mask = (uint32_t)engine->size.buffers - 1;
    io_uring_buf_ring_init(b->buffers);
    return 0;
}

/* Everything that lives in the kernel; on error nothing is left there. */
static int open_ring(struct weft_engine *engine, struct uring_backend *b)
{
    int rc = weft_uring_setup(&b->ring, engine->size.queue);
    if (rc < 0)
        return rc;
    if (engine->size.direct)
        rc = weft_uring_table(engine, &b->ring);
    if (rc == 0)
        rc = register_buffers(engine, b);
    if (rc < 0)
        io_uring_queue_exit(&b->ring);
    else
        (void)io_uring_register_ring_fd(&b->ring); /* saves a look-up a turn; works without */
    return rc;
}

static weft_rc uring_open(struct weft_engine *engine)
{
    weft_assert((engine->size.buffers & (engine->size.buffers - 1)) == 0);
    size_t bytes = uring_bytes(&engine->size);
    WEFT_TRY(weft_account_reserve(engine->account, bytes));
    struct uring_backend *b = weft_map(sizeof(*b));
    int rc = b == NULL ? -ENOMEM : open_ring(engine, b);
    if (rc < 0) {
        if (b != NULL)
            munmap(b, sizeof(*b));
        weft_account_release(engine->account, bytes);
        return (weft_rc)rc;
    }
    engine->backend = b;
    engine->listeners_block = true;
    engine->bufs->lend = lend;
    engine->bufs->lend_ctx = engine;
    b->wanted = wanted_min(engine);
    weft_account_commit(engine->account, (ptrdiff_t)bytes);
    lend_spares(engine);
    return 0;
}

static void uring_ranges(const struct weft_engine *engine, weft_range_fn *tell, void *arg)
{
    const struct uring_backend *b = engine->backend;
    tell(arg, engine->account, b, sizeof(*b));
    tell(arg, engine->account, b->buffers, buffer_ring_bytes(engine->size.buffers));
    tell(arg, engine->account, b->ring.sq.sqes, b->ring.sq.ring_entries * sizeof(*b->ring.sq.sqes));
    tell(arg, engine->account, b->ring.sq.ring_ptr, b->ring.sq.ring_sz);
    if (b->ring.cq.ring_ptr != b->ring.sq.ring_ptr)
        tell(arg, engine->account, b->ring.cq.ring_ptr, b->ring.cq.ring_sz);
}

static void uring_close(struct weft_engine *engine)
{
    struct uring_backend *b = engine->backend;
    if (b == NULL)
        return;
    io_uring_queue_exit(&b->ring);
    munmap(b->buffers, buffer_ring_bytes(engine->size.buffers));
    engine->bufs->lend = NULL;
    engine->bufs->promised = 0;
    /* The kernel's buffers are free again: hand each back to the pool. */
    uint32_t lent = b->lent;
    for (uint32_t id = 0; id < engine->bufs->pool.free.fresh && lent > 0; id++) {
        if (engine->bufs->infos[id].refs == 1) {
            weft_bufs_unref(engine->bufs, (uint16_t)id);
            lent--;
        }
    }
    size_t bytes = uring_bytes(&engine->size);
    munmap(b, sizeof(*b));
    weft_account_commit(engine->account, -(ptrdiff_t)bytes);
    weft_account_release(engine->account, bytes);
    engine->backend = NULL;
}

bool weft_uring_usable(const char **out_why)
{
    struct io_uring ring;
    int rc = weft_uring_setup(&ring, 8);
    if (rc < 0) {
        *out_why =
            rc == -EPERM || rc == -ENOSYS
                ? "io_uring is not allowed here (a seccomp profile or kernel.io_uring_disabled)"
                : "io_uring lacks DEFER_TASKRUN (Linux 6.1 has it)";
        return false;
    }
    struct io_uring_probe *probe = io_uring_get_probe_ring(&ring);
    bool usable = probe != NULL && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);
    io_uring_free_probe(probe);
    io_uring_queue_exit(&ring);
    *out_why = usable ? NULL : "io_uring lacks multishot receive (Linux 6.0 has it)";
    return usable;
}

/* ---- receive ---- */

static void arm_recv(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    struct io_uring_sqe *sqe = entry(engine);
    if (slot->io & IO_STREAM)
        io_uring_prep_recv_multishot(sqe, slot->fd, NULL, 0, 0);
    else
        io_uring_prep_recv(sqe, slot->fd, NULL, 0, 0);
    aim(sqe, slot);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BUFFER_GROUP;
    io_uring_sqe_set_data64(sqe, slot_tag(engine, KIND_RECV, index));
    slot->io |= IO_ARMED;
}

/* While nothing is received, a reset has to be heard of all the same: a poll stays for it from the
 * first such time until bytes are received as they come again. A multishot one, which tells what
 * happens and not what is: a half-closed connection would be told again and again. */
static void watch_hangup(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    if (slot->io & IO_WATCHED)
        return;
    slot->io |= IO_WATCHED;
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_poll_multishot(sqe, slot->fd, 0); /* POLLERR and POLLHUP are always told */
    aim(sqe, slot);
    io_uring_sqe_set_data64(sqe, slot_tag(engine, KIND_HANGUP, index));
}

static void unwatch_hangup(struct weft_engine *engine, uint32_t index)
{
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_poll_remove(sqe, slot_tag(engine, KIND_HANGUP, index));
    io_uring_sqe_set_data64(sqe, tag(KIND_IGNORE, 0));
}

static void cancel_recv(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    if (slot->io & IO_CANCELED)
        return;
    slot->io |= IO_CANCELED;
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_cancel64(sqe, slot_tag(engine, KIND_RECV, index), 0);
    io_uring_sqe_set_data64(sqe, tag(KIND_IGNORE, 0));
}

static void uring_recv(struct weft_engine *engine, uint32_t index, enum weft_recv_mode mode)
{
    struct weft_slot *slot = &engine->slots[index];
    slot->io &= (uint8_t) ~(IO_STREAM | IO_ONCE);
    if (mode == WEFT_RECV_OFF) {
        if (slot->io & IO_ARMED)
            cancel_recv(engine, index);
        else
            watch_hangup(engine, index);
        return;
    }
    slot->io |= mode == WEFT_RECV_ONCE ? IO_ONCE : IO_STREAM;
    if (WEFT_UNLIKELY((slot->io & IO_WATCHED) && mode == WEFT_RECV_STREAM))
        unwatch_hangup(engine, index);
    if (!(slot->io & IO_ARMED))
        arm_recv(engine, index);
    /* Armed already: a multishot serves both modes; one being cancelled is armed anew when it ends.
     */
}

static ssize_t uring_recv_now(struct weft_engine *engine, uint32_t index, uint16_t *out_buf)
{
    (void)engine, (void)index, (void)out_buf;
    return -EAGAIN;
}

static void finish_detach(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    if (slot->io & (IO_ARMED | IO_SENDING | IO_CANCELING | IO_WATCHED))
        return;
    weft_engine_close_fd(engine, slot->fd);
    slot->fd = -1;
    slot->io = 0;
    engine->events->detached(engine->ctx, index);
}

/* No buffer is free (or a kernel minds that the socket is non-blocking): trying again at once would
 * spin. A timer stands in for the receive, which is armed anew when it ends. */
static void pause_recv(struct weft_engine *engine, uint32_t index)
{
    static const struct __kernel_timespec pause = {.tv_nsec = RECV_PAUSE_MS * 1000000};
    struct weft_slot *slot = &engine->slots[index];
    if ((slot->io & IO_ARMED) || !(slot->io & (IO_STREAM | IO_ONCE)))
        return;
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_timeout(sqe, (struct __kernel_timespec *)(uintptr_t)&pause, 0, 0);
    io_uring_sqe_set_data64(sqe, slot_tag(engine, KIND_RECV, index));
    slot->io |= IO_ARMED;
}

static void on_recv(struct weft_engine *engine, uint32_t index, int res, uint32_t flags)
{
    struct uring_backend *b = engine->backend;
    struct weft_slot *slot = &engine->slots[index];
    uint16_t buf = WEFT_BUF_NONE;
    if (flags & IORING_CQE_F_BUFFER) {
        buf = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT);
        b->lent--; /* now ours, with the one reference it was lent with */
        b->filled++;
    }
    if (!(flags & IORING_CQE_F_MORE))
        slot->io &= (uint8_t) ~(IO_ARMED | IO_CANCELED);
    if (slot->io & IO_DETACHED) {
        finish_detach(engine, index);
    } else if (res > 0) {
        slot->io &= (uint8_t)~IO_ONCE;
        weft_count_add(engine->counters, WEFT_COUNTER_BYTES_IN, (uint64_t)res);
        uint16_t generation = slot->generation;
        engine->events->received(engine->ctx, index, res, buf);
        if (slot->generation != generation)
            slot = NULL;
    } else if (res == -ENOBUFS && b->wanted < engine->size.buffers) {
        b->ran_out = true; /* armed anew below, with more buffers behind it */
    } else if (res == -ENOBUFS || res == -EAGAIN) {
        weft_count_add(engine->counters, WEFT_COUNTER_RECV_NOBUFS, res == -ENOBUFS);
        pause_recv(engine, index);
    } else if (res != -ECANCELED && res != -ETIME) {
        slot->io &= (uint8_t) ~(IO_STREAM | IO_ONCE);
        engine->events->received(engine->ctx, index, res, WEFT_BUF_NONE);
        slot = NULL; /* over: nothing to arm */
    }
    if (buf != WEFT_BUF_NONE)
        weft_bufs_unref(engine->bufs, buf);
    if (slot == NULL || slot->fd < 0 || (slot->io & (IO_ARMED | IO_DETACHED)))
        return;
    if (slot->io & (IO_STREAM | IO_ONCE))
        arm_recv(engine, index);
    else
        watch_hangup(engine, index);
}

static void on_hangup(struct weft_engine *engine, uint32_t index, int res, uint32_t flags)
{
    struct weft_slot *slot = &engine->slots[index];
    bool off = !(slot->io & (IO_STREAM | IO_ONCE | IO_ARMED | IO_DETACHED));
    if (!(flags & IORING_CQE_F_MORE))
        slot->io &= (uint8_t)~IO_WATCHED;
    if (slot->io & IO_DETACHED)
        finish_detach(engine, index);
    else if (off && res == -ECANCELED)
        watch_hangup(engine, index); /* called off, and wanted again meanwhile */
    else if (off && res > 0 && (res & (POLLERR | POLLHUP)))
        engine->events->received(engine->ctx, index, -ECONNRESET, WEFT_BUF_NONE);
}

/* ---- send ---- */

static ssize_t uring_send(struct weft_engine *engine, uint32_t index, struct msghdr *message,
                          int flags)
{
    struct weft_slot *slot = &engine->slots[index];
    struct io_uring_sqe *sqe = entry(engine);
    unsigned send_flags = (unsigned)(MSG_NOSIGNAL | flags);
    if (message->msg_iovlen == 1)
        io_uring_prep_send(sqe, slot->fd, message->msg_iov->iov_base, message->msg_iov->iov_len,
                           (int)send_flags);
    else
        io_uring_prep_sendmsg(sqe, slot->fd, message, send_flags);
    aim(sqe, slot);
    io_uring_sqe_set_data64(sqe, slot_tag(engine, KIND_SEND, index));
    slot->io |= IO_SENDING;
    return -EINPROGRESS;
}

static ssize_t uring_try_send(struct weft_engine *engine, uint32_t index, weft_str bytes)
{
    struct uring_backend *b = engine->backend;
    struct weft_slot *slot = &engine->slots[index];
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_send(sqe, slot->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    aim(sqe, slot);
    io_uring_sqe_set_data64(sqe, slot_tag(engine, KIND_SEND, index));
    slot->io |= IO_SENDING;
    b->unasked = UNASKED_TURNS_MAX; /* thousands come behind it */
    return -EINPROGRESS;
}

static void uring_submit(struct weft_engine *engine)
{
    struct uring_backend *b = engine->backend;
    while (io_uring_sq_ready(&b->ring) > 0)
        (void)io_uring_submit(&b->ring); /* as in entry() */
}

static void uring_want_write(struct weft_engine *engine, uint32_t index, bool soon)
{
    (void)soon; /* a poll that is ready completes in the next turn */
    struct weft_slot *slot = &engine->slots[index];
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_poll_add(sqe, slot->fd, POLLOUT);
    aim(sqe, slot);
    io_uring_sqe_set_data64(sqe,
                            tag(KIND_SEND, 1ull << 48 | (uint64_t)slot->generation << 32 | index));
    slot->io |= IO_SENDING;
}

static void on_send(struct weft_engine *engine, uint32_t index, int res, bool polled)
{
    struct weft_slot *slot = &engine->slots[index];
    slot->io &= (uint8_t)~IO_SENDING;
    if (slot->io & IO_DETACHED)
        finish_detach(engine, index);
    else if (polled && res >= 0)
        engine->events->sent(engine->ctx, index, 0);
    else
        engine->events->sent(engine->ctx, index, res == 0 ? -EPIPE : res);
}

static void on_install(struct weft_engine *engine, uint32_t index, int res)
{
    struct weft_slot *slot = &engine->slots[index];
    slot->io &= (uint8_t)~IO_SENDING;
    if (!(slot->io & IO_DETACHED)) {
        engine->events->installed(engine->ctx, index, res);
        return;
    }
    if (res >= 0)
        close(res);
    finish_detach(engine, index);
}

/* ---- connections, listeners, watches ---- */

static weft_rc uring_attach(struct weft_engine *engine, uint32_t index)
{
    engine->slots[index].io = 0;
    return 0;
}

/* All that is in the kernel for a connection. The kernel looks for a descriptor's requests among
 * those of all, for one by its tag in a table: with thousands of idle ones to close that is
 * seconds. */
static void prep_cancel(struct io_uring_sqe *sqe, struct weft_engine *engine, uint32_t index)
{
    const struct weft_slot *slot = &engine->slots[index];
    unsigned fixed = weft_fd_direct(slot->fd) ? IORING_ASYNC_CANCEL_FD_FIXED : 0;
    if (slot->io & (IO_SENDING | IO_WATCHED))
        io_uring_prep_cancel_fd(sqe, weft_fd_index(slot->fd), IORING_ASYNC_CANCEL_ALL | fixed);
    else
        io_uring_prep_cancel64(sqe, slot_tag(engine, KIND_RECV, index), 0);
}

/* shutdown() first: it ends what is in the kernel with what has been sent kept on its way. */
static void uring_detach(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    slot->io = (uint8_t)((slot->io & ~(IO_STREAM | IO_ONCE)) | IO_DETACHED);
    if (slot->io & (IO_ARMED | IO_SENDING | IO_WATCHED)) {
        struct io_uring_sqe *sqe = entry(engine);
        prep_cancel(sqe, engine, index);
        io_uring_sqe_set_data64(sqe, slot_tag(engine, KIND_CANCEL, index));
        slot->io |= IO_CANCELING;
        return;
    }
    /* Nothing in flight: told by a completion all the same, the caller may be inside an event. */
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_nop(sqe);
    io_uring_sqe_set_data64(sqe, slot_tag(engine, KIND_CANCEL, index));
    slot->io |= IO_CANCELING;
}

static void on_cancel(struct weft_engine *engine, uint32_t index)
{
    engine->slots[index].io &= (uint8_t)~IO_CANCELING;
    finish_detach(engine, index);
}

static uint64_t accept_tag(const struct weft_engine *engine, uint32_t listener, int fd)
{
    uint32_t direct = engine->size.direct && !engine->accept_plain ? ACCEPT_DIRECT : 0;
    return tag(KIND_ACCEPT, (uint64_t)(uint32_t)fd << 16 | direct | listener);
}

static weft_rc uring_listen(struct weft_engine *engine, uint32_t listener, int fd)
{
    struct io_uring_sqe *sqe = entry(engine);
    uint64_t data = accept_tag(engine, listener, fd);
    if (data & ACCEPT_DIRECT)
        io_uring_prep_multishot_accept_direct(sqe, fd, NULL, NULL, SOCK_NONBLOCK);
    else
        io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, data);
    return 0;
}

static void uring_unlisten(struct weft_engine *engine, uint32_t listener, int fd)
{
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_cancel64(sqe, accept_tag(engine, listener, fd), IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(sqe, tag(KIND_IGNORE, 0));
}

static void on_accept(struct weft_engine *engine, uint64_t payload, int res, uint32_t flags)
{
    uint32_t listener = (uint32_t)(payload & (ACCEPT_DIRECT - 1));
    bool over = !(flags & IORING_CQE_F_MORE), direct = (payload & ACCEPT_DIRECT) != 0;
    if (res == -ENFILE && direct && engine->accept_plain) {
        /* The table filled up before we heard of it: one was dropped; others come the other way. */
        weft_count(engine->counters, WEFT_COUNTER_ACCEPT_ERRORS);
        return;
    }
    if (res >= 0 || (res != -ECANCELED && res != -EINTR && res != -ECONNABORTED))
        engine->events->accepted(engine->ctx, listener,
                                 res >= 0 && direct ? WEFT_FD_DIRECT | res : res);
    if (over && (res >= 0 || res == -EINTR || res == -ECONNABORTED))
        (void)uring_listen(engine, listener, (int)(payload >> 16)); /* cannot fail */
}

static weft_rc uring_watch(struct weft_engine *engine, int fd, uint32_t events, uint64_t token,
                           enum weft_io_class class)
{
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_poll_add(sqe, fd, events);
    enum weft_uring_kind kind = class == WEFT_CLASS_MANAGEMENT ? KIND_URGENT : KIND_WATCH;
    io_uring_sqe_set_data64(sqe, tag(kind, token & PAYLOAD));
    return 0;
}

static void uring_unwatch(struct weft_engine *engine, int fd, uint64_t token)
{
    (void)fd;
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_poll_remove(sqe, tag(KIND_WATCH, token & PAYLOAD));
    io_uring_sqe_set_data64(sqe, tag(KIND_IGNORE, 0));
}

/* ---- the turn ---- */

static void one_cqe(struct weft_engine *engine, uint64_t data, int res, uint32_t flags)
{
    uint64_t payload = data & PAYLOAD;
    uint32_t index = (uint32_t)payload;
    switch ((enum weft_uring_kind)(data >> KIND_SHIFT)) {
    case KIND_RECV:
        on_recv(engine, index, res, flags);
        break;
    case KIND_SEND:
        on_send(engine, index, res, (payload >> 48 & 1) != 0);
        break;
    case KIND_ACCEPT:
        on_accept(engine, payload, res, flags);
        break;
    case KIND_WATCH:
    case KIND_URGENT:
        if (res != -ECANCELED)
            engine->events->watched(engine->ctx, payload, res < 0 ? POLLNVAL : (uint32_t)res);
        break;
    case KIND_CANCEL:
        on_cancel(engine, index);
        break;
    case KIND_INSTALL:
        on_install(engine, index, res);
        break;
    case KIND_HANGUP:
        on_hangup(engine, index, res, flags);
        break;
    case KIND_IGNORE:
        break;
    }
}

/* Management first: in a batch of hundreds it must not stand at the end of the queue. */
static void tell_urgent(struct weft_engine *engine, struct io_uring_cqe **cqes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        if (cqes[i]->user_data >> KIND_SHIFT != KIND_URGENT)
            continue;
        one_cqe(engine, cqes[i]->user_data, cqes[i]->res, cqes[i]->flags);
        cqes[i]->user_data = tag(KIND_IGNORE, 0);
    }
}

static void tell(struct weft_engine *engine)
{
    struct uring_backend *b = engine->backend;
    struct io_uring_cqe *cqes[CQES_MAX];
    unsigned count = io_uring_peek_batch_cqe(&b->ring, cqes, CQES_MAX);
    tell_urgent(engine, cqes, count);
    for (unsigned i = 0; i < count; i++)
        one_cqe(engine, cqes[i]->user_data, cqes[i]->res, cqes[i]->flags);
    io_uring_cq_advance(&b->ring, count);
}

static weft_rc uring_turn(struct weft_engine *engine, int64_t wait_ms)
{
    struct uring_backend *b = engine->backend;
    adapt_wanted(engine);
    lend_spares(engine);
    int rc = 0;
    /* Where completions are there already, liburing does not ask for others to be made: of sends
     * that are over at once there are always some left, and they would starve everybody else. To
     * ask in every such turn costs throughput. */
    if (io_uring_cq_ready(&b->ring) > 0) {
        weft_count(engine->counters, WEFT_COUNTER_TURNS_FULL);
        b->unasked++;
    } else {
        b->unasked = 0;
    }
    bool crowded = b->unasked >= UNASKED_TURNS_MAX;
    if (crowded)
        b->unasked = 0;
    if (wait_ms == 0 || crowded) {
        rc = io_uring_submit_and_get_events(&b->ring);
    } else if (wait_ms < 0) {
        rc = io_uring_submit_and_wait(&b->ring, 1);
    } else {
        struct io_uring_cqe *cqe = NULL;
        struct __kernel_timespec ts = {.tv_sec = wait_ms / 1000,
                                       .tv_nsec = wait_ms % 1000 * 1000000};
        rc = io_uring_submit_and_wait_timeout(&b->ring, &cqe, 1, &ts, NULL);
    }
    weft_count(engine->counters, WEFT_COUNTER_LOOP_TURNS);
    engine->events->awake(engine->ctx);
    if (rc < 0 && rc != -EINTR && rc != -ETIME && rc != -EAGAIN && rc != -EBUSY)
        return (weft_rc)rc;
    tell(engine);
    return 0;
}

const struct weft_engine_ops weft_uring_ops = {
    .name_z = "uring",
    .bytes = uring_bytes,
    .open = uring_open,
    .close = uring_close,
    .ranges = uring_ranges,
    .turn = uring_turn,
    .window = uring_window,
    .listen = uring_listen,
    .unlisten = uring_unlisten,
    .attach = uring_attach,
    .detach = uring_detach,
    .recv = uring_recv,
    .recv_now = uring_recv_now,
    .send = uring_send,
    .want_write = uring_want_write,
    .try_send = uring_try_send,
    .submit = uring_submit,
    .watch = uring_watch,
    .unwatch = uring_unwatch,
    .say = weft_uring_say,
    .shutdown = weft_uring_shutdown,
    .peer = weft_uring_peer,
    .install = weft_uring_install,
    .close_fd = weft_uring_close_fd,
};
