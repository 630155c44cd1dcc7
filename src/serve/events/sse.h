/* sse.h - the text of server-sent events (the WHATWG HTML standard, 9.2.5); pure.
 *
 * Lifetime: a call.
 * Threads:  any.
 * Memory:   none.
 */
#ifndef WEFT_SERVE_EVENTS_SSE_H
#define WEFT_SERVE_EVENTS_SSE_H

#include <weft/channel.h>
#include "base/str.h"

#define WEFT_SSE_ID_BYTES_MAX 64

/** May this be sent? The type and the id are one line each, the id has no NUL and is not too long.
 *  returns  0, WEFT_EINVAL */
WEFT_CHECK weft_rc weft_sse_check(const weft_event *event);

/** Bytes of the event's text with that id: "id: 7\nevent: x\ndata: a\ndata: b\n\n". */
size_t weft_sse_bytes(const weft_event *event, weft_str id);

/** Write it; `to` has room for weft_sse_bytes(). Returns the end. */
char *weft_sse_write(const weft_event *event, weft_str id, char *to);

#endif
