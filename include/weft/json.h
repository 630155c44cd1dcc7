/* json.h - answering with JSON, written straight into the request's memory.
 *
 * Commas are the writer's; in an object each value follows its weft_json_key(). Levels: 32 at
 * most.
 *
 * Lifetime: a writer lives from weft_json_begin() to weft_json_send(), on the handler's stack.
 * Threads:  the request's worker.
 * Memory:   the arena bytes that weft_json_begin() is asked for (rule 4).
 */
#ifndef WEFT_JSON_PUBLIC_H
#define WEFT_JSON_PUBLIC_H

#include <weft/response.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** A writer over a buffer; the fields are the writer's own. Calls after a mistake do nothing: the
 *  mistake is told once, at the end (rule 5). */
typedef struct weft_json {
    char *start, *at, *end;
    uint64_t arrays; /* bit per open level: 1 = array */
    uint8_t depth;
    bool need_comma;
    bool have_key;
    weft_rc rc;
} weft_json;

/** Write into room bytes of the request's arena; it does not grow. A string takes 2 bytes and at
 *  most 6 per byte, a number at most 24.
 *  returns  0; WEFT_ENOMEM past the route's cap (rule 4) */
WEFT_CHECK weft_rc weft_json_begin(weft_req *rq, weft_json *json, size_t room);
WEFT_CHECK weft_rc weft_json_begin_at(weft_req *rq, weft_json *json, size_t room,
                                      struct weft_alloc_site *site);
#define weft_json_begin(rq, json, room) weft_json_begin_at((rq), (json), (room), WEFT_ALLOC_SITE())

void weft_json_object(weft_json *json);
void weft_json_end_object(weft_json *json);
void weft_json_array(weft_json *json);
void weft_json_end_array(weft_json *json);
/** A member's name, escaped like weft_json_str(). Borrowed for the call. */
void weft_json_key(weft_json *json, weft_str name);
/** Escaped; invalid UTF-8 becomes U+FFFD. Borrowed for the call. */
void weft_json_str(weft_json *json, weft_str value);
void weft_json_u64(weft_json *json, uint64_t value);
void weft_json_i64(weft_json *json, int64_t value);
/** The shortest text that reads back the same; NaN and infinities become null. */
void weft_json_f64(weft_json *json, double value);
void weft_json_bool(weft_json *json, bool value);
void weft_json_null(weft_json *json);
/** Text that is one JSON value already; not checked. Borrowed for the call. */
void weft_json_raw(weft_json *json, weft_str text);

/** Answer with what was written, as application/json.
 *  returns  0; WEFT_ELIMIT (did not fit the room), WEFT_ESTATE (unbalanced, too deep, a value
 *           without its key or a key without its value, nothing written, or answered already) */
WEFT_CHECK weft_rc weft_json_send(weft_req *rq, int status, weft_json *json);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
