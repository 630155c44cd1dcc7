/* request.h - what a handler knows of its request, and how it waits.
 *
 * Rules are numbered as in docs/api.md.
 *
 * Lifetime: a weft_req lives until its request ends (rule 1): the last byte of its answer has
 *           left, its deferred calls have run, its arena is gone. Slices from it live as long
 *           (rule 2).
 * Threads:  only the worker that called the handler.
 * Memory:   the request sits in a pool; weft_alloc() draws on the route's cap (rule 4).
 */
#ifndef WEFT_REQUEST_H
#define WEFT_REQUEST_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** A request, from its head to the last byte of its answer. Never freed by you (rule 1). */
typedef struct weft_req weft_req;

/** A handler or a middleware's "before".
 *  returns  WEFT_OK: answered; WEFT_NEXT (a "before" only): go on; an error: where nothing was
 *           answered, weft_rc_status() is. A handler that answers nothing is a 500 (rule 5) */
typedef weft_rc (*weft_handler_fn)(weft_req *rq);

/** A middleware's "after": runs once its request was answered, before the head is written; a
 *  stream's head was written by weft_begin(). May set headers; may not answer, and should not
 *  wait. */
typedef void (*weft_after_fn)(weft_req *rq);

/** The method's name as it was sent (rule 2). */
weft_str weft_method(const weft_req *rq);

/** The path, percent-decoded once, starts with '/'; "*" for OPTIONS * (rule 2). */
weft_str weft_path(const weft_req *rq);

/** What follows the '?', as it was sent, not decoded; empty without one (rule 2). */
weft_str weft_query(const weft_req *rq);

/** A query parameter, decoded ('+' is a space), in the arena where decoding changes it (rule 2);
 *  the first of several.
 *  name     as it stands in the query, case matters
 *  returns  empty when it is absent (only then is ptr NULL), empty, malformed, or when the arena
 *           is full */
weft_str weft_query_param(weft_req *rq, weft_str name);

/** The same as a decimal number; `otherwise` when it is absent or no u64. */
uint64_t weft_query_u64(weft_req *rq, weft_str name, uint64_t otherwise);

/** A header's value without the spaces around it; the last one's when it was sent more than once;
 *  empty when absent (rule 2).
 *  name_z   zero-terminated, case does not matter */
weft_str weft_header(const weft_req *rq, const char *name_z);

/** Header lines, and each of them in the order sent: index 0..count-1, else it asserts (rule 2).
 */
size_t weft_header_count(const weft_req *rq);
void weft_header_at(const weft_req *rq, size_t index, weft_str *out_name, weft_str *out_value);

/** The authority of an absolute target, else of Host, port included; may be empty (rule 2). */
weft_str weft_host(const weft_req *rq);

/** The peer's address as text, without port, asked of the socket (a system call), in the arena
 *  (rule 2); empty when it is gone or the arena is full. */
weft_str weft_peer(weft_req *rq);

/** A path parameter by its name in the route's pattern, decoded; empty when there is none (rule
 *  2).
 *  name_z   zero-terminated, case matters */
weft_str weft_param(const weft_req *rq, const char *name_z);

/** A typed parameter ("{id:u64}"); 0 when there is none of that name. What is no u64 did not
 *  match. */
uint64_t weft_param_u64(const weft_req *rq, const char *name_z);

/** Is the body of this media type, and in no content coding? Parameters ("; charset=...") aside.
 *  type     "application/json"; case does not matter; borrowed for the call
 *  returns  0; WEFT_EMEDIA (415, counted): another type, none, or a coding (RFC 9110 8.4) */
WEFT_CHECK weft_rc weft_expect_media(weft_req *rq, weft_str type);

/** The next piece of the body, where it lies, chunks decoded: borrowed until the next call (rule
 *  2). Waits (rule 7).
 *  out      1 or more bytes; empty at the end
 *  returns  0; WEFT_ELIMIT (longer than the route allows), WEFT_ESYNTAX (bad chunks), WEFT_EFIELDS
 *           (too many trailers), WEFT_EEOF (the client stopped in the middle), WEFT_ESLOW,
 *           WEFT_ECANCELED, WEFT_EDEADLINE, WEFT_EFULL (no stack to wait on, or no spare buffer).
 *           After an error the connection closes behind the answer */
WEFT_CHECK weft_rc weft_read_body(weft_req *rq, weft_str *out);

/** The whole body in one piece, until the request ends (rule 2): where it lies when it came in one,
 *  else in the arena. Yours to write on, but not longer. Waits (rule 7).
 *  returns  as weft_read_body(); WEFT_ELIMIT (413) also for a body that the arena cannot hold: the
 *           route's cap, or 1 MiB, the most that one allocation may be */
WEFT_CHECK weft_rc weft_body(weft_req *rq, weft_str *out);

/** Bytes from the request's arena, 16-byte aligned, not zeroed, until the request ends (rule 4).
 *  bytes    just below 1 MiB at most
 *  returns  NULL past the route's cap, or within its .heap while malloc keeps that from earlier
 *           requests (it is asked to give back): return WEFT_ENOMEM then (503)
 *  cost     a few ns; a chunk of 4 KiB to 1 MiB is taken when the last one is used up */
void *weft_alloc(weft_req *rq, size_t bytes);

/** A copy in the arena (rule 4); {NULL, 0} past the cap. */
weft_str weft_dup(weft_req *rq, weft_str text);

/** Text by printf's rules, as far as weft_printf() goes, in the arena (rule 4); {NULL, 0} past
 *  the cap. */
weft_str weft_format(weft_req *rq, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Who asked for memory is told by place: GET /memory/top on the admin port. So the calls that take
 * arena bytes are macros, each with a record of its own line; (weft_alloc)(rq, n), in brackets, is
 * the plain function, as other languages call it. 256 places are told apart, the rest is "other".
 * Cost: a few ns a call. */
struct weft_alloc_site {
    const char *file_z;
    const char *function_z;
    uint32_t line;
    uint32_t id; /* Weft's own: given at the first call */
};
void *weft_alloc_at(weft_req *rq, size_t bytes, struct weft_alloc_site *site);
weft_str weft_dup_at(weft_req *rq, weft_str text, struct weft_alloc_site *site);
weft_str weft_format_at(weft_req *rq, struct weft_alloc_site *site, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
WEFT_CHECK weft_rc weft_body_at(weft_req *rq, weft_str *out, struct weft_alloc_site *site);

#define WEFT_ALLOC_SITE()                                                                          \
    (__extension__({                                                                               \
        static struct weft_alloc_site weft_site_here = {__FILE__, __func__, __LINE__, 0};          \
        &weft_site_here;                                                                           \
    }))
#define weft_alloc(rq, bytes) weft_alloc_at((rq), (bytes), WEFT_ALLOC_SITE())
#define weft_dup(rq, ...)     weft_dup_at((rq), (__VA_ARGS__), WEFT_ALLOC_SITE())
#define weft_format(rq, ...)  weft_format_at((rq), WEFT_ALLOC_SITE(), __VA_ARGS__)
#define weft_body(rq, out)    weft_body_at((rq), (out), WEFT_ALLOC_SITE())

/** Say that the handler takes bytes from malloc, or from a library that does: they come out of the
 *  request's cap, as if the arena held them, so that the plan stays true. Call it before they are
 *  taken, and before the arena is used, which may begin with a large chunk; what is charged is
 *  given back when the request ends, after its deferred calls.
 *  bytes    what the allocator takes for them: with its headers and rounding
 *  returns  0; WEFT_ENOMEM (503): past the route's .heap, past what the arena left of .memory, or
 *           malloc is giving back to the system what it keeps, which arenas want: others that are
 *           in malloc or free while glibc does so may have to wait for it, tenths of a second */
WEFT_CHECK weft_rc weft_charge(weft_req *rq, size_t bytes);
/** Give back earlier what was charged and is freed; asserts beyond what was charged. */
void weft_refund(weft_req *rq, size_t bytes);

/** Forget what was allocated since the mark: for loops (rule 4). Calls that allocate for the
 *  request itself (weft_defer, weft_reply_give, weft_set_header, weft_trailer, and what borrows
 *  from the arena for the answer) belong before the mark or behind the rewind. So do those that
 *  defer a call of their own: files, uploads, values of a cache. A call that was deferred since the
 *  mark, and would be made from what is forgotten, asserts. */
typedef struct weft_mark_point {
    void *chunk;
    void *at;
    void *defers; /* the newest call that was deferred by then */
} weft_mark_point;
weft_mark_point weft_mark(const weft_req *rq);
void weft_rewind(weft_req *rq, weft_mark_point mark);

/** Call fn(arg) once when the request ends: answered to the last byte, failed or canceled. Newest
 *  first, on the worker's own stack or the task's: fn may not wait.
 *  arg      borrowed until then
 *  returns  0; WEFT_ENOMEM past the route's cap: fn will not be called
 *  cost     32 bytes of the arena; the next pipelined request waits until this answer has left */
WEFT_CHECK weft_rc weft_defer(weft_req *rq, void (*fn)(void *arg), void *arg);

/** Wait (rule 7); everything else goes on meanwhile, and what was written leaves first.
 *  ms       from the worker's cached now; never shorter, later by timer.precision_ms and a turn
 *  returns  0; WEFT_ECANCELED (client gone, server ending), WEFT_EDEADLINE (the request's),
 *           WEFT_EFULL (as many tasks wait as may, or no spare buffer for the head: nothing
 *           waited) */
WEFT_CHECK weft_rc weft_sleep_ms(weft_req *rq, uint64_t ms);

/** Wait until a descriptor is ready: any non-blocking library fits with this (rule 8).
 *  fd           stays yours; one waiter per descriptor; open until this returns
 *  events       POLLIN, POLLOUT
 *  ms           at most so long; 0 = as long as the request may last
 *  out_revents  what poll(2) would say; written on 0 only
 *  returns      as weft_sleep_ms(); WEFT_EDEADLINE also when ms have passed; or -errno */
WEFT_CHECK weft_rc weft_wait_fd(weft_req *rq, int fd, uint32_t events, uint64_t ms,
                                uint32_t *out_revents);

/** Run fn(arg) on a thread of the offload pool and wait for it: for what must block (rule 8). It
 *  is not interrupted: when the request is canceled meanwhile, the error comes after fn has
 *  returned, so arg may lie on the handler's stack. fn may not call anything that takes a request.
 *  returns  0: fn has run; WEFT_ECANCELED, WEFT_EDEADLINE: maybe; WEFT_EFULL (the pool's queue,
 *           or the tasks that may wait), WEFT_ENOMEM (no thread could be started): it has not */
WEFT_CHECK weft_rc weft_offload(weft_req *rq, void (*fn)(void *arg), void *arg);

/** Seconds since 1970, as of this turn of the worker's loop: no system call. */
uint64_t weft_now_s(const weft_req *rq);

/** Is the client gone, or the request canceled, as far as the worker has heard? It hears while the
 *  handler waits. */
bool weft_closed(const weft_req *rq);

/* Typed slots: values that middleware leaves for handlers. Zero at the start of every request.
 *
 *   WEFT_SLOT(user_id, uint64_t);        at file level
 *   *weft_slot(rq, user_id) = 123;       in a middleware
 *
 * All slots of a program together: at most WEFT_SLOTS_BYTES_MAX, aligned to 8 at most; a program
 * with more asserts when it is loaded (rule 6). */
#define WEFT_SLOTS_BYTES_MAX 64

struct weft_slot_def {
    uint16_t bytes;
    uint16_t offset; /* given by weft_slot_register() */
};
/** For WEFT_SLOT, at load time: gives the slot its place. Asserts when all are taken. */
void weft_slot_register(struct weft_slot_def *def);
/** For weft_slot(): never NULL; until the request ends. */
void *weft_slot_at(weft_req *rq, const struct weft_slot_def *def);

#define WEFT_SLOT(name, type)                                                                      \
    typedef type weft_slot_type_##name;                                                            \
    static struct weft_slot_def weft_slot_##name = {sizeof(type), 0};                              \
    __attribute__((constructor)) static void weft_slot_register_##name(void)                       \
    {                                                                                              \
        weft_slot_register(&weft_slot_##name);                                                     \
    }
#define weft_slot(rq, name) ((weft_slot_type_##name *)weft_slot_at((rq), &weft_slot_##name))

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
