/* listener.h - sockets that connections come from: open, accept, pause when descriptors run out.
 *
 * Lifetime: worker.
 * Threads:  open from anywhere; the rest on the owner worker.
 * Memory:   sizeof(struct weft_listener); one reserve descriptor each.
 */
#ifndef WEFT_IO_LISTENER_H
#define WEFT_IO_LISTENER_H

#include "io/engine.h"
#include "io/timer.h"

struct weft_loop; /* io/loop.h */

struct weft_listener {
    int fd;
    uint32_t id;   /* index in the loop */
    uint16_t port; /* bound one: also after asking for port 0 */
    bool paused;
    int reserve; /* a descriptor given up to refuse a client politely when none is left */
    struct weft_timer retry;
    struct weft_loop *loop;
};

struct weft_listen_options {
    const char *host_z; /* numeric IPv4 or IPv6 address, or "localhost"; borrowed for the call */
    uint16_t port;      /* 0 = any free one */
    int backlog;
    bool nodelay; /* TCP_NODELAY, inherited by every accepted socket */
    int linger_s; /* SO_LINGER seconds, -1 = off (the kernel's default) */
    bool share;   /* SO_REUSEPORT: each worker has its own */
};

/** Bind and listen.
 *  out_error  a line that names address and reason
 *  returns    0, WEFT_EINVAL (not an address) or the system's -errno */
WEFT_CHECK weft_rc weft_listener_open(struct weft_listener *listener,
                                      const struct weft_listen_options *options, char *out_error,
                                      size_t error_bytes);

/** Start accepting on a loop. */
WEFT_CHECK weft_rc weft_listener_start(struct weft_listener *listener, struct weft_loop *loop,
                                       uint32_t id);

/** What the engine says: a connection, or that accepting failed. */
void weft_listener_accepted(struct weft_listener *listener, int fd);

/** Accept no more until weft_listener_resume(); what the kernel has under way still comes. */
void weft_listener_stop(struct weft_listener *listener);

/** A connection was closed: a paused listener tries again. */
void weft_listener_resume(struct weft_listener *listener);

/** Accept what has queued up, then close: nobody who was connected is reset. */
void weft_listener_close(struct weft_listener *listener);

#endif
