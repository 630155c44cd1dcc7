/* json.h - the JSON writer under include/weft/json.h: over any bytes, without a request.
 *
 * Lifetime: a writer lives on its user's stack; the bytes outlive it.
 * Threads:  any; one at a time per writer.
 * Memory:   sizeof(struct weft_json) and the caller's bytes; nothing else.
 */
#ifndef WEFT_SERVE_JSON_JSON_H
#define WEFT_SERVE_JSON_JSON_H

#include "base/base.h"
#include <weft/json.h>

/** Objects and arrays in each other, at most. */
#define WEFT_JSON_DEPTH_MAX 32

/** Least room of a stream: what fits no room goes through it in parts. */
#define WEFT_JSON_STREAM_ROOM_MIN 64

/** Write into room bytes; never past them, and never zero-terminated. */
void weft_json_init(struct weft_json *json, char *to, size_t room);

/** What was written; the writer is done with.
 *  out      the text, in the bytes that init was given
 *  returns  0; the first mistake otherwise: WEFT_ELIMIT (did not fit the room), WEFT_ESTATE (a
 * value without its key, a key without its value, a key outside of an object, unbalanced ends,
 *           nothing or two values at the top, deeper than WEFT_JSON_DEPTH_MAX): *out untouched */
WEFT_CHECK weft_rc weft_json_finish(struct weft_json *json, weft_str *out);

#endif
