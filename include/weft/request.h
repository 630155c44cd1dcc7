/* request.h - what a handler knows of its request, and how it waits.
 *
 * Lifetime: a weft_req lives until its request ends (rule 1): then its deferred calls have run and
 * its arena is gone. Slices that come from it are valid as long (rule 2). Threads:  only the worker
 * that called the handler; other threads use weft_token. Memory:   the request sits in a pool;
 * weft_alloc() draws on the route's cap (rule 4).
 */
#ifndef WEFT_REQUEST_H
#define WEFT_REQUEST_H

#include <weft/base.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct weft_req weft_req;

/** A handler or a middleware's "before": WEFT_OK: answered; WEFT_NEXT (middleware): go on; an
 * error: answered with the status that weft_rc_status() gives. Answering nothing is a 500 (rule 5).
 */
typedef weft_rc (*weft_handler_fn)(weft_req *rq);

/** A middleware's "after": runs once its request was answered, before the bytes leave. */
typedef void (*weft_after_fn)(weft_req *rq);

/** The method's name as it was sent. */
weft_str weft_method(const weft_req *rq);

/** The path, percent-decoded, starts with '/'. */
weft_str weft_path(const weft_req *rq);

/** What follows the '?', as it was sent; empty without one. */
weft_str weft_query(const weft_req *rq);

/** A query parameter, decoded ('+' is a space) into the arena where it must be; empty when absent,
 *  malformed, or when the arena is full. The first of several. */
weft_str weft_query_param(weft_req *rq, weft_str name);

/** The same as a number; `otherwise` when it is absent or no number. */
uint64_t weft_query_u64(weft_req *rq, weft_str name, uint64_t otherwise);

/** A header's value; the last one's when it was sent more than once; empty when absent. The name's
 *  case does not matter. Use WEFT_S("name") or a string. */
weft_str weft_header(const weft_req *rq, const char *name_z);

/** Header lines, and each of them in the order sent. */
size_t weft_header_count(const weft_req *rq);
void weft_header_at(const weft_req *rq, size_t index, weft_str *out_name, weft_str *out_value);

/** The Host (or the authority of an absolute target). */
weft_str weft_host(const weft_req *rq);

/** The peer's address as text, asked of the socket, in the arena. */
weft_str weft_peer(weft_req *rq);

/** A path parameter by its name in the route's pattern; empty when there is none. */
weft_str weft_param(const weft_req *rq, const char *name_z);

/** A typed parameter ("{id:u64}"); 0 when there is none of that name. */
uint64_t weft_param_u64(const weft_req *rq, const char *name_z);

/** The next piece of the body, where it lies: borrowed until the next call. Waits.
 *  out      empty at the end
 *  returns  0; WEFT_ELIMIT (longer than the route allows), WEFT_ESYNTAX (bad chunks), WEFT_EFIELDS
 *           (too much in the trailers), WEFT_EEOF (the client stopped in the middle), WEFT_ESLOW,
 *           WEFT_ECANCELED, WEFT_EFULL */
WEFT_CHECK weft_rc weft_read_body(weft_req *rq, weft_str *out);

/** The whole body, in the arena, until the request ends. Waits.
 *  returns  as weft_read_body(), and WEFT_ENOMEM when the route's cap is too small */
WEFT_CHECK weft_rc weft_body(weft_req *rq, weft_str *out);

/** Bytes from the request's arena, 16-byte aligned, until the request ends; NULL past the route's
 *  cap (return WEFT_ENOMEM then: 503). */
void *weft_alloc(weft_req *rq, size_t bytes);

/** A copy in the arena; {NULL, 0} past the cap. */
weft_str weft_dup(weft_req *rq, weft_str text);

/** Text by printf's rules (weft_printf's subset), in the arena; {NULL, 0} past the cap. */
weft_str weft_format(weft_req *rq, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Forget what was allocated since the mark: for loops. */
typedef struct weft_mark_point {
    void *chunk;
    void *at;
} weft_mark_point;
weft_mark_point weft_mark(const weft_req *rq);
void weft_rewind(weft_req *rq, weft_mark_point mark);

/** Call fn(arg) once when the request ends: answered to the last byte, failed or canceled. Newest
 *  first.
 *  returns  0; WEFT_ENOMEM past the route's cap: fn will not be called */
WEFT_CHECK weft_rc weft_defer(weft_req *rq, void (*fn)(void *arg), void *arg);

/** Wait. Everything else goes on meanwhile.
 *  returns  0; WEFT_ECANCELED (client gone, server draining), WEFT_EDEADLINE (the request's),
 * WEFT_EFULL (as many tasks wait as may) */
WEFT_CHECK weft_rc weft_sleep_ms(weft_req *rq, uint64_t ms);

/** Wait until a descriptor is ready: any non-blocking library fits with this.
 *  events       POLLIN, POLLOUT
 *  ms           at most so long; 0 = as long as the request may last
 *  out_revents  what poll(2) would say
 *  returns      as weft_sleep_ms(); WEFT_EDEADLINE also when ms have passed; or -errno */
WEFT_CHECK weft_rc weft_wait_fd(weft_req *rq, int fd, uint32_t events, uint64_t ms,
                                uint32_t *out_revents);

/** Run fn(arg) on a thread of the offload pool and wait for it: for what must block. It is not
 *  interrupted: when the request is canceled meanwhile, WEFT_ECANCELED comes after fn has returned.
 *  returns  0; WEFT_EFULL (the pool's queue, or the tasks that may wait), WEFT_ECANCELED */
WEFT_CHECK weft_rc weft_offload(weft_req *rq, void (*fn)(void *arg), void *arg);

/** Seconds since 1970, as of this turn of the worker's loop: no system call. */
uint64_t weft_now_s(const weft_req *rq);

/** Is the client gone, or the request canceled? A handler that computes for long may ask. */
bool weft_closed(const weft_req *rq);

/* Typed slots: values that middleware leaves for handlers. Zero at the start of every request.
 *
 *   WEFT_SLOT(user_id, uint64_t);        at file level
 *   *weft_slot(rq, user_id) = 123;       in a middleware
 *
 * All slots of a program together: at most WEFT_SLOTS_BYTES_MAX. */
#define WEFT_SLOTS_BYTES_MAX 64

struct weft_slot_def {
    uint16_t bytes;
    uint16_t offset; /* given by weft_slot_register() */
};
void weft_slot_register(struct weft_slot_def *def);
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
