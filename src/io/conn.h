/* conn.h - connections: 16 bytes at rest, an object from a pool while something is going on.
 *
 * A slot in the table is a connection; the transport moves its bytes, the protocol above makes
 * sense of them. When bytes arrive at an idle slot the protocol is given a struct weft_conn (the
 * head of its own object); when it has nothing more to do it releases it, and the slot is 16 bytes
 * again.
 *
 *   protocol  (HTTP/1, tests: several requests on one connection)
 *      | weft_conn_send, _recv, _close, _release        ^ bytes, ended, sent, expired
 *   transport (TCP over the engine; tests: memory)
 *
 * A connection on which things are said now and then, and nothing is heard, is held: its object
 * goes back and a holder's takes its place, a few dozen bytes from a pool of their own.
 *
 * Lifetime: table: worker. struct weft_conn: from the first byte of something to
 * weft_conn_release() or weft_conn_close().
 * Threads:  the owner worker only.
 * Memory:   the table is io/slots.h's, the pool of objects the loop's.
 */
#ifndef WEFT_IO_CONN_H
#define WEFT_IO_CONN_H

#include <sys/socket.h>
#include <sys/uio.h>
#include "io/slots.h"

struct weft_loop; /* io/loop.h */
struct weft_conn;

/* A send, a file or a wait that is under way: the protocol is told when it is over. */
#define WEFT_PENDING ((weft_rc)-115 /* -EINPROGRESS */)
/* A send that is made with others, before the loop waits again. It may then be pending: `stalled`.
 */
#define WEFT_SOON ((weft_rc)-114 /* -EALREADY */)

#define WEFT_OUT_IOV_MAX 4

/* Bytes that arrived: in a receive buffer, from off on. */
struct weft_input {
    char *ptr;
    uint32_t len;
    uint16_t buf; /* WEFT_BUF_NONE: the bytes are not in a receive buffer */
};

enum weft_close {
    WEFT_CLOSE_CLEAN,  /* all was said on both sides */
    WEFT_CLOSE_LINGER, /* the peer may still be sending: let it read our answer before a reset */
    WEFT_CLOSE_ABORT,  /* it is gone, or to be gone at once */
};

struct weft_transport {
    const char *name_z;
    weft_rc (*send)(struct weft_conn *conn);
    void (*recv)(struct weft_conn *conn, enum weft_recv_mode mode);
    weft_rc (*recv_now)(struct weft_conn *conn, struct weft_input *out);
    void (*release)(struct weft_conn *conn);
    /* As release, but the connection is the loop's holder's from now on; NULL: cannot be. */
    void (*hold)(struct weft_conn *conn, uint32_t held, bool chunked);
    void (*close)(struct weft_conn *conn, enum weft_close how);
    /* Ends what is in flight so that `sent` and `bytes` come back soon; the object stays. */
    void (*abort)(struct weft_conn *conn);
    size_t (*peer)(struct weft_conn *conn, char *text, size_t room);
};

struct weft_protocol {
    size_t conn_bytes; /* size of its object, struct weft_conn first */
    weft_str refusal;  /* what a peer is told when there is no object or no slot for it; static */
    /* The object is new (all but the conn part is undefined): get ready for bytes. */
    void (*start)(struct weft_conn *conn);
    /* Bytes arrived; borrowed for the call: weft_bufs_ref() keeps the buffer. May release or close.
     */
    void (*bytes)(struct weft_conn *conn, struct weft_input input);
    /* The peer will send no more (rc 0: it may still read), or is gone (rc < 0). */
    void (*ended)(struct weft_conn *conn, weft_rc rc);
    /* A weft_conn_send() that was pending, or to be made soon, is over: 0, or why not. */
    void (*sent)(struct weft_conn *conn, weft_rc rc);
    /* One that was to be made soon is pending: from now on it is the peer who takes his time. */
    void (*stalled)(struct weft_conn *conn);
    /* The conn's timer is due. */
    void (*expired)(struct weft_conn *conn);
    /* The server drains: close now if nothing is going on, else as soon as that is over. */
    void (*drain)(struct weft_conn *conn);
};

/* Who takes over a connection that is held, and whose object in loop->held it is. All but start()
 * and cancel() tell what happens to a connection of its own. */
struct weft_holder {
    size_t bytes; /* size of its object */
    /* The answer's head has left: the connection is yours. chunked: how its body is framed. */
    void (*start)(struct weft_loop *loop, uint32_t held, uint32_t slot, bool chunked);
    /* It never will be: the object goes back. */
    void (*cancel)(struct weft_loop *loop, uint32_t held);
    /* What weft_engine_try_send() left open, or 0: writable again. */
    void (*sent)(struct weft_loop *loop, uint32_t held, ssize_t bytes);
    /* The peer has ended, or is gone, or is to go at once (WEFT_ECANCELED). */
    void (*ended)(struct weft_loop *loop, uint32_t held, weft_rc rc);
    void (*drain)(struct weft_loop *loop, uint32_t held);
};

struct weft_conn {
    const struct weft_transport *transport; /* borrowed: static */
    const struct weft_protocol *protocol;   /* borrowed: static */
    struct weft_loop *loop;                 /* borrowed: outlives it */
    uint32_t slot;
    uint32_t index;          /* in the loop's pool of objects */
    struct weft_timer timer; /* the one deadline that counts now */
    /* What is being sent: filled by the protocol, eaten by the transport. */
    struct iovec iov[WEFT_OUT_IOV_MAX];
    struct msghdr message;
    int file;   /* descriptor to send from after the iovec, -1: none; borrowed */
    int socket; /* descriptor while a file is sent on a connection without one; -1: none; owned */
    uint64_t file_offset;
    uint64_t file_left;
    uint64_t file_warm;          /* of the file up to here it is known to be in memory */
    struct weft_conn *cold_next; /* the next that waits for bytes of a file: cold.h */
    uint64_t copied;             /* bytes of files that went through user memory */
    uint64_t sent_bytes;         /* since the object was made */
    uint64_t progress_ms;        /* when the peer last took something */
    bool sending;                /* pending, or soon */
    bool corked;                 /* the socket waits for full packets */
    bool installs;               /* counted among those that may have a descriptor */
};

/** How long a connection may stay in which state; sets the pace of the sweep. */
void weft_slots_limit(struct weft_slots *slots, struct weft_slot_limits limits);

/** The events that the engine tells a loop; for struct weft_engine.events with the loop as ctx. */
extern const struct weft_engine_events weft_conn_events;
extern const struct weft_transport weft_tcp;

/** Take over a connected, non-blocking socket: an idle connection. When
 *  there is no room it is told so (protocol->refusal) and closed. */
void weft_conn_open(struct weft_loop *loop, int fd);

/** Give the protocol's object for a connection that has none; NULL when the pool is empty. */
struct weft_conn *weft_conn_wake(struct weft_loop *loop, const struct weft_transport *transport,
                                 const struct weft_protocol *protocol, uint32_t slot);

/** May a file be sent on this connection? One that has no descriptor needs one for it, of a bounded
 *  number; it is kept until the file has left.
 *  returns  0; WEFT_EFULL: none is left, counted; say so, or wait */
WEFT_CHECK weft_rc weft_conn_reserve_file(struct weft_conn *conn);

/** Put the object back: for transports, at the end of release and close. */
void weft_conn_drop(struct weft_conn *conn);

/** Close the idle connections that have been so longest: memory is short. Call again while it is.
 */
void weft_conns_close_oldest(struct weft_loop *loop);

/** Close idle connections, tell the others to finish; lingering ones are cut. */
void weft_conns_drain(struct weft_loop *loop);
/** Abort everything that is left. Returns how many connections were cut. */
uint32_t weft_conns_abort(struct weft_loop *loop);

/** Send conn->iov[0..iov_count) and then file_left bytes of conn->file. One at a time.
 *  returns  0: all has left; WEFT_PENDING: `sent` will tell; WEFT_SOON: likewise, perhaps after
 *           `stalled`; another < 0: the connection is broken */
static inline weft_rc weft_conn_send(struct weft_conn *conn, unsigned iov_count)
{
    conn->message.msg_iov = conn->iov;
    conn->message.msg_iovlen = iov_count;
    return conn->transport->send(conn);
}

static inline void weft_conn_recv(struct weft_conn *conn, enum weft_recv_mode mode)
{
    conn->transport->recv(conn, mode);
}

/** Bytes that are there already, with a reference to their buffer; len 0: the end.
 *  returns  0; -EAGAIN: none here, or enough in this turn: ask with weft_conn_recv(); another
 *           -errno: broken */
static inline weft_rc weft_conn_recv_now(struct weft_conn *conn, struct weft_input *out)
{
    return conn->transport->recv_now(conn, out);
}

/** Nothing is going on: the object goes back, the connection stays, idle. */
static inline void weft_conn_release(struct weft_conn *conn)
{
    conn->transport->release(conn);
}

/** The object goes back, and the loop's holder has the connection, with its object `held`.
 *  chunked  the body's bytes are to be framed */
static inline void weft_conn_hold(struct weft_conn *conn, uint32_t held, bool chunked)
{
    conn->transport->hold(conn, held, chunked);
}

/** For holders: close a connection that is held; its object has gone back by then. */
void weft_conn_close_held(struct weft_loop *loop, uint32_t slot);

/** The connection goes, and the object with it. Nothing may be pending but a receive. */
static inline void weft_conn_close(struct weft_conn *conn, enum weft_close how)
{
    conn->transport->close(conn, how);
}

#endif
