/* message.h - a request and its response, whatever protocol carries them.
 *
 * The protocol fills the request part (spans into one buffer), the service finds route and handler,
 * the handler fills the response part, the protocol turns that into bytes. Nothing here knows
 * HTTP/1.
 *
 * Lifetime: request. Embedded in the protocol's own object, which comes from a pool.
 * Threads:  the owner worker only.
 * Memory:   sizeof(struct weft_req), part of the protocol's object; the arena besides.
 */
#ifndef WEFT_HTTP_MESSAGE_H
#define WEFT_HTTP_MESSAGE_H

#include <weft/stream.h>
#include "http/parse.h"
#include "http/router.h"
#include "http/usage.h"
#include "io/loop.h"
#include "mem/arena.h"

struct weft_service; /* http/service.h */
struct weft_route;   /* http/service.h */

#define WEFT_FIELDS_IN_PLACE   16 /* header lines that need no arena */
#define WEFT_OUT_FIELDS_INLINE 4  /* response headers that need no arena */
#define WEFT_OUT_FIELDS_MAX    32
#define WEFT_TRAILERS_MAX      4
#define WEFT_LENGTH_UNKNOWN    SIZE_MAX /* body.len of a stream that did not say */

enum weft_body_kind {
    WEFT_BODY_NONE,   /* nothing answered yet */
    WEFT_BODY_MEMORY, /* static, borrowed, arena or given: the bytes stay until the end */
    WEFT_BODY_FILE,
    WEFT_BODY_STREAM, /* weft_begin() was called */
    WEFT_BODY_SOURCE, /* pulled: weft_source() */
    WEFT_BODY_HELD,   /* a head alone: behind it the connection is the holder's */
    WEFT_BODY_RAW,    /* the protocol's own bytes, head included */
};

/* What is given back when a request ends, whatever was answered in the end. */
enum weft_due {
    WEFT_DUE_NOTHING,
    WEFT_DUE_SOURCE, /* its close() */
    WEFT_DUE_HELD,   /* the holder's object */
};

/* What a waiting request waits for: decides how it can be canceled. */
enum weft_wait {
    WEFT_WAIT_NONE,
    WEFT_WAIT_TIME,
    WEFT_WAIT_FD,
    WEFT_WAIT_JOB,  /* not interruptible */
    WEFT_WAIT_SEND, /* the protocol's: something points into the request's memory */
    WEFT_WAIT_RECV, /* the protocol's */
};

struct weft_out_field {
    weft_str name;
    weft_str value;
};

/* What a protocol does for a message. Called on the request's task. */
struct weft_exchange_ops {
    const char *name_z;
    bool raw;   /* takes ready-made bytes for an answer: weft_raw() */
    bool pulls; /* asks for a body's pieces by itself: weft_source() */
    bool holds; /* can hand its connection over behind a head: weft_req_hold() */
    /* Next piece of the request's body; empty: the end. May wait. */
    weft_rc (*read)(weft_req *rq, weft_str *out);
    /* A response was begun: queue its head. */
    weft_rc (*begin)(weft_req *rq);
    /* Room for at least min bytes of streamed body, to be filled and committed; may wait. NULL:
     * none so large. */
    weft_rc (*room)(weft_req *rq, size_t min, char **out, size_t *out_room);
    void (*commit)(weft_req *rq, size_t bytes);
    /* Bytes that are too many to be copied: sent from where they lie, then it returns. */
    weft_rc (*write)(weft_req *rq, weft_str bytes);
    /* The same with bytes of a file, from the page cache. */
    weft_rc (*write_file)(weft_req *rq, int fd, uint64_t offset, uint64_t len);
    weft_rc (*flush)(weft_req *rq);
    weft_rc (*end)(weft_req *rq);
    /* The task is about to wait: let what is queued leave, keep what it still needs. */
    weft_rc (*pause)(weft_req *rq);
    /* After a resume returned to the worker's stack: the task waits again, or is over. */
    void (*settle)(weft_req *rq);
    /* Cancel a wait of kind SEND or RECV, or an answer on its way that no task waits for. */
    void (*interrupt)(weft_req *rq);
    bool (*gone)(const weft_req *rq);
    size_t (*peer)(weft_req *rq, char *text, size_t room);
};

struct weft_defer_call {
    struct weft_defer_call *next;
    void (*fn)(void *arg);
    void *arg;
};

/* Places told apart in what one request holds; what further ones hold counts as "other". */
#define WEFT_REQ_SITES_MAX 6

struct weft_req {
    const struct weft_exchange_ops *exchange; /* borrowed: static */
    struct weft_service *service;             /* borrowed: the worker's */
    struct weft_loop *loop;                   /* borrowed: the worker's */
    void *stream;                             /* borrowed: the protocol's object */
    const struct weft_route *route;           /* NULL: none matched */

    /* the request */
    const char *base; /* what the spans of head and fields count from */
    struct weft_field *fields;
    struct weft_head head;
    weft_str path; /* decoded */
    uint64_t body_max;

    /* its life; as far as `arena` all is zero at first */
    uint64_t body_read;
    uint64_t answered_bytes; /* of a stream or a source */
    struct weft_task *task;  /* set while it waits */
    weft_rc canceled;        /* 0, or why */
    bool body_touched;       /* the handler began to read */
    uint8_t wait;            /* enum weft_wait */
    bool timed;              /* `deadline` is armed */
    uint8_t due;             /* enum weft_due: what else goes back at the end */
    size_t promised;         /* bytes reserved of the worker's elastic share */
    size_t copied;           /* bytes that Weft copied for it, for the receipt */
    uint64_t body_copied;    /* of them, of the answer's body, for its route */
    size_t held_peak;        /* most bytes of chunks */
    uint32_t body_held;      /* bytes of the piece of its body that the handler looks at */
    uint8_t site_count;
    bool waited;
    uint8_t uploads; /* under way: open, and neither kept nor dropped */
    struct weft_defer_call *defers;

    struct weft_arena arena;
    struct weft_timer deadline;
    struct weft_route_usage *usage;     /* borrowed: its route's row; never NULL */
    uint64_t sites[WEFT_REQ_SITES_MAX]; /* live bytes by place: id << 48 | bytes */
    /* Taken for it: object, chunks, blocks, buffers kept, stack it waited on. */
    uint32_t pool_slots;
    bool receipt;                       /* its head shows one: memory.receipt */
    struct weft_defer_call first_defer; /* most have one at most: it needs no arena */
    uint64_t started_ns;

    /* the response; as far as `file_offset` all is zero at first */
    uint8_t body_kind; /* enum weft_body_kind */
    bool ended;        /* the last byte of a stream is queued */
    bool borrowed;     /* answer points into memory of the request: keep it until sent */
    bool in_place;     /* the body is sent from where it lies, small as it may be */
    bool alone;        /* no other answer is known to leave with it: set by the protocol */
    bool uncoded;      /* weft_uncoded() was called */
    uint8_t coder;     /* which one its stream goes through, from 1 on; 0: none (filter.h) */
    uint8_t out_count;
    uint8_t trailer_count;
    int status;
    weft_str type;
    weft_str body; /* of a stream or source: its length, or WEFT_LENGTH_UNKNOWN */
    union {
        struct { /* WEFT_BODY_FILE */
            uint64_t file_offset;
            int file;
        };
        struct {                           /* WEFT_BODY_SOURCE */
            const weft_source_ops *source; /* borrowed: static */
            void *source_arg;
        };
        uint32_t held; /* WEFT_BODY_HELD: the holder's object */
    };
    struct weft_out_field *out_fields;
    struct weft_out_field out_inline[WEFT_OUT_FIELDS_INLINE];
    struct weft_out_field *trailers;

    struct weft_match match;
    struct weft_field fields_inline[WEFT_FIELDS_IN_PLACE];
    _Alignas(16) unsigned char slots[WEFT_SLOTS_BYTES_MAX];
};

/** Make a request ready for a new message; fields and head are the protocol's to fill. */
void weft_req_init(weft_req *rq, const struct weft_exchange_ops *exchange,
                   struct weft_service *service, void *stream);

/** The last byte has left, or never will: deferred calls run, arena and reservation go back. */
void weft_req_finish(weft_req *rq);

/** Must the request stay until its answer has been sent? (Its memory is on the way, or somebody
 * asked to be told of the end.) */
static inline bool weft_req_held(const weft_req *rq)
{
    return rq->borrowed | (rq->defers != NULL);
}

/** Is the answer's body copied behind its head, for one buffer to send? An answer alone goes as two
 *  pieces instead; what the handler wrote to the arena is moved all the same.
 *  most  bytes of a body that may be */
static inline bool weft_req_body_moves(const weft_req *rq, size_t most)
{
    if (rq->body.len > most || rq->in_place)
        return false;
    return !rq->alone || rq->body.len == 0 || weft_arena_holds(&rq->arena, rq->body.ptr);
}

/** Leave the task's stack until resumed. Checks and tells everything that a wait must.
 *  returns  what weft_req_resume() was given; WEFT_EFULL: not now; or why it is canceled */
WEFT_CHECK weft_rc weft_req_wait(weft_req *rq, enum weft_wait kind);

/** From the worker's stack: the wait is over. */
void weft_req_resume(weft_req *rq, weft_rc rc);

/** The client is gone, the deadline passed or the server is ending: the next wait returns rc, and
 *  the present one, if it can be interrupted, now. From the worker's stack. */
void weft_req_cancel(weft_req *rq, weft_rc rc);

/** Fill in an error answer for rc unless something was answered already. */
void weft_req_fail(weft_req *rq, weft_rc rc);

/** More was promised to it, before it took any: bytes of its worker's share, of which so many may
 * be malloc's (`heap`, of all that it was promised). */
static inline void weft_req_promised(weft_req *rq, size_t more, size_t heap)
{
    rq->promised += more;
    rq->arena.cap = rq->promised;
    rq->arena.firm = rq->promised - heap;
}

/** Everything that it holds goes back, and out of the books. */
void weft_req_release(weft_req *rq);

/** The piece of its body that the handler looks at is so long now. */
void weft_req_hold_piece(weft_req *rq, size_t bytes);

/** Bytes that it holds if it waits now: its object, the buffer that its head lies in, arena, the
 *  pages of its stack, the piece of its body. Called on its task. */
size_t weft_req_held_bytes(const weft_req *rq);

/** Its route is known: from now on that row counts what it holds. */
static inline void weft_req_use(weft_req *rq, struct weft_route_usage *usage)
{
    if (WEFT_UNLIKELY(rq->arena.held > 0)) { /* a long path, many headers */
        weft_usage_drop(&rq->usage->arena, rq->arena.held);
        weft_usage_hold(&usage->arena, rq->arena.held);
    }
    rq->usage = usage;
    weft_usage_add(&usage->requests, 1);
}

/** Arena bytes for a place of the program; NULL: no more, and nothing is counted as refused. */
void *weft_req_try_alloc(weft_req *rq, size_t bytes, struct weft_alloc_site *site);
/** The newest allocation of a place has grown where it lies. */
void weft_req_extended(weft_req *rq, size_t bytes, struct weft_alloc_site *site);

/** Answer with a head, behind which the connection becomes the loop's holder's.
 *  held     its object, of loop->held; cancelled when it does not come to that, on errors too
 *  returns  0; WEFT_ESTATE: answered already; WEFT_ENOTSUP: the protocol cannot; WEFT_EINVAL */
WEFT_CHECK weft_rc weft_req_hold(weft_req *rq, int status, weft_str type, uint32_t held);

/** The first answer of a request begins: status, type and kind are noted.
 *  returns  0; WEFT_ESTATE: answered already; WEFT_EINVAL: the status, or a type that could end its
 *           line */
WEFT_CHECK weft_rc weft_req_answer(weft_req *rq, int status, weft_str type,
                                   enum weft_body_kind kind);

/** May that be a field of an answer? returns  0; WEFT_EINVAL */
WEFT_CHECK weft_rc weft_req_check_field(weft_str name, weft_str value);

/** Who takes a stream's bytes: a coder on the way, or the protocol. */
const struct weft_exchange_ops *weft_req_sink(const weft_req *rq);

static inline void weft_source_close(const weft_source_ops *source, void *arg)
{
    if (source->close != NULL)
        source->close(arg);
}

/** Forget an answer that has not left: another takes its place. */
void weft_req_unanswer(weft_req *rq);

/** weft_answered_bytes(), without a call. */
static inline uint64_t weft_req_answered_bytes(const weft_req *rq)
{
    bool whole = rq->body_kind != WEFT_BODY_STREAM && rq->body_kind != WEFT_BODY_SOURCE;
    return whole ? rq->body.len : rq->answered_bytes;
}

static inline bool weft_req_answered(const weft_req *rq)
{
    return rq->body_kind != WEFT_BODY_NONE;
}

/** As weft_set_header(), also once a stream was begun and before its head is queued. */
WEFT_CHECK weft_rc weft_req_add_field(weft_req *rq, weft_str name, weft_str value);

/** The same for a name and a value of our own making, which are known to be good. */
WEFT_CHECK weft_rc weft_req_put_field(weft_req *rq, weft_str name, weft_str value);

/** Forget all fields but the first `count`: what was said of an answer that did not come about. */
void weft_req_drop_fields(weft_req *rq, uint8_t count);

/** May this request leave its stack now, and soon again? Tells the protocol, which lets queued
 *  answers leave.
 *  returns  0; WEFT_EFULL, or why it is canceled */
WEFT_CHECK weft_rc weft_req_may_wait(weft_req *rq);

/** Reason phrase of a status; "" for unknown ones. Static. */
weft_str weft_status_reason(int status);

/** Bytes of typed slots registered by the program. */
size_t weft_slots_registered(void);

#endif
