/* uring_direct.c - connections that are entries of the ring's own table, not descriptors.
 *
 * A process may have RLIMIT_NOFILE descriptors, a ring's table as many entries: with a ring per
 * worker the limit is one per worker. What has no descriptor cannot be named in a system call, so
 * those few go through the ring as well: shutdown(2) runs on a thread of the kernel, the peer's
 * address is asked for and waited for on the spot, and sendfile(2) is given a descriptor for as
 * long as it takes.
 */
#include "io/uring_priv.h"
#include <errno.h>
#include <netinet/in.h>
#include <unistd.h>

/* Nobody waits for it, and a success says nothing. */
static void leave(struct io_uring_sqe *sqe)
{
    sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, tag(KIND_IGNORE, 0));
}

/* Submits, and finds the completion of a request that never waits for anything: it is there when
 * the call returns. In its place one that means nothing stays behind, others are not touched.
 * -EAGAIN when the queue had no room for it: then it comes later, and is dropped. */
static int ask_now(struct io_uring *ring, uint64_t data)
{
    (void)io_uring_submit(ring); /* what it did not take finds no completion */
    unsigned head = *ring->cq.khead, tail = io_uring_smp_load_acquire(ring->cq.ktail);
    for (; tail != head; tail--) {
        struct io_uring_cqe *cqe = &ring->cq.cqes[(tail - 1) & ring->cq.ring_mask];
        if (cqe->user_data != data)
            continue;
        cqe->user_data = tag(KIND_IGNORE, 0);
        return cqe->res;
    }
    return -EAGAIN;
}

static void prep_getsockopt(struct io_uring_sqe *sqe, int name, void *out, uint32_t len)
{
    io_uring_prep_rw(IORING_OP_URING_CMD, sqe, -1, NULL, 0, 0);
    sqe->cmd_op = WEFT_URING_SOCKET_GETSOCKOPT;
    sqe->addr = (uint64_t)(uint32_t)name << 32 | (uint32_t)SOL_SOCKET;
    sqe->file_index = len;
    sqe->addr3 = (uint64_t)(uintptr_t)out;
}

static void prep_install(struct io_uring_sqe *sqe)
{
    io_uring_prep_rw(WEFT_URING_OP_FIXED_FD_INSTALL, sqe, -1, NULL, 0, 0);
}

int weft_uring_table(struct weft_engine *engine, struct io_uring *ring)
{
    unsigned threads[2] = {1, 1}; /* for shutdown(2): one is enough, and bounded */
    (void)io_uring_register_iowq_max_workers(ring, threads); /* else the kernel's own bound */
    return io_uring_register_files_sparse(ring, (unsigned)engine->size.slots);
}

void weft_uring_say(struct weft_engine *engine, uint32_t slot, weft_str text)
{
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_send(sqe, 0, text.ptr, text.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    aim(sqe, &engine->slots[slot]);
    leave(sqe);
}

weft_rc weft_uring_shutdown(struct weft_engine *engine, uint32_t slot, int how)
{
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_shutdown(sqe, 0, how);
    aim(sqe, &engine->slots[slot]);
    leave(sqe);
    return 0;
}

static weft_rc peer_name(struct weft_engine *engine, uint32_t slot, socklen_t len)
{
    struct uring_backend *b = engine->backend;
    uint64_t data = tag(KIND_IGNORE, ++b->asked);
    struct io_uring_sqe *sqe = entry(engine);
    prep_getsockopt(sqe, SO_PEERNAME, &b->peer, len);
    aim(sqe, &engine->slots[slot]);
    io_uring_sqe_set_data64(sqe, data);
    int rc = ask_now(&b->ring, data);
    return rc < 0 ? (weft_rc)rc : 0;
}

/* The kernel wants to be asked for no more than the name has. */
weft_rc weft_uring_peer(struct weft_engine *engine, uint32_t slot, struct sockaddr_storage *out)
{
    struct uring_backend *b = engine->backend;
    WEFT_TRY(peer_name(engine, slot, sizeof(struct sockaddr_in)));
    if (b->peer.ss_family == AF_INET6)
        WEFT_TRY(peer_name(engine, slot, sizeof(struct sockaddr_in6)));
    *out = b->peer;
    return 0;
}

void weft_uring_install(struct weft_engine *engine, uint32_t index)
{
    struct weft_slot *slot = &engine->slots[index];
    struct io_uring_sqe *sqe = entry(engine);
    prep_install(sqe);
    aim(sqe, slot);
    io_uring_sqe_set_data64(sqe, slot_tag(engine, KIND_INSTALL, index));
    slot->io |= IO_SENDING;
}

/* Submitted before the next accept is: the entry is free again when the slot is. */
void weft_uring_close_fd(struct weft_engine *engine, int fd)
{
    struct io_uring_sqe *sqe = entry(engine);
    io_uring_prep_close_direct(sqe, (unsigned)weft_fd_index(fd));
    leave(sqe);
}

/* ---- does it work here? ---- */

enum { PROBE_WAITS, PROBE_CLOSES, PROBE_TCP, PROBE_ENTRIES };

static int probe_entry(struct io_uring *ring, struct io_uring_sqe *sqe, int index, uint64_t data)
{
    sqe->fd = index;
    sqe->flags |= IOSQE_FIXED_FILE;
    io_uring_sqe_set_data64(sqe, data);
    return ask_now(ring, data);
}

static const char *probe_calls(struct io_uring *ring)
{
    int type = 0;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    prep_install(sqe);
    int fd = probe_entry(ring, sqe, PROBE_CLOSES, 1);
    if (fd < 0)
        return "io_uring cannot lend a descriptor (Linux 6.8 can)";
    close(fd);
    sqe = io_uring_get_sqe(ring);
    prep_getsockopt(sqe, SO_TYPE, &type, sizeof(type));
    if (probe_entry(ring, sqe, PROBE_TCP, 2) < 0)
        return "io_uring has no getsockopt (Linux 6.7 has it)";
    return NULL;
}

/* One entry is closed while another waits for bytes: its peer must hear of it at once. */
static const char *probe_close(struct io_uring *ring, int peer)
{
    static char byte; /* nothing is ever sent: it stays as it is */
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    io_uring_prep_recv(sqe, 0, &byte, 1, 0);
    (void)probe_entry(ring, sqe, PROBE_WAITS, 3); /* stays in the kernel */
    sqe = io_uring_get_sqe(ring);
    io_uring_prep_close_direct(sqe, PROBE_CLOSES);
    io_uring_sqe_set_data64(sqe, 4);
    if (ask_now(ring, 4) == 0 && recv(peer, &byte, 1, MSG_DONTWAIT) == 0)
        return NULL;
    return "io_uring closes a connection late while others wait (Linux 6.13 does not)";
}

static const char *probe_sockets(struct io_uring *ring, const int waits[2], const int closes[2],
                                 int tcp)
{
    const int fds[PROBE_ENTRIES] = {waits[0], closes[0], tcp};
    bool registered = io_uring_register_files_sparse(ring, PROBE_ENTRIES) == 0 &&
                      io_uring_register_files_update(ring, 0, fds, PROBE_ENTRIES) == PROBE_ENTRIES;
    close(closes[0]); /* the table's entry is the last one that holds it */
    if (!registered)
        return "io_uring lacks sparse tables of files (Linux 6.0 has them)";
    const char *why = probe_calls(ring);
    return why != NULL ? why : probe_close(ring, closes[1]);
}

bool weft_uring_direct_usable(const char **out_why)
{
    static const char no_sockets[] = "no socket could be had to try it with";
    struct io_uring ring;
    int waits[2], closes[2];
    if (!weft_uring_usable(out_why))
        return false;
    *out_why = no_sockets;
    if (weft_uring_setup(&ring, 8) < 0)
        return false;
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (tcp >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, waits) == 0) {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, closes) == 0) {
            *out_why = probe_sockets(&ring, waits, closes, tcp);
            close(closes[1]);
        }
        close(waits[0]);
        close(waits[1]);
    }
    if (tcp >= 0)
        close(tcp);
    io_uring_queue_exit(&ring);
    return *out_why == NULL;
}
