/* redis_reader.h - what Redis answers, read by hiredis: one reply at a time, for a GET, SET, DEL,
 * AUTH or SELECT. Anything else that comes is garbage.
 *
 * hiredis is loaded when it is first needed. Of it only the protocol's reader is used, with our own
 * functions for what it makes: so a value is copied once, to where its user wants it, and the heap
 * sees the reader and its buffer. Version 0.14 has no hooks for an allocator: its table of imported
 * functions is changed instead (mem/imports.h), and each heap call is in the books of a leash.
 *
 * Lifetime: library and its leash: process, from the first load. A reader: of its connection.
 * Threads:  loading: at start. A reader: one thread at a time.
 * Memory:   weft_redis_reader_bytes(), of the heap.
 */
#ifndef WEFT_SERVE_CACHE_REDIS_READER_H
#define WEFT_SERVE_CACHE_REDIS_READER_H

#include "base/base.h"
#include "mem/leash.h"

struct weft_redis_reader; /* hiredis' */

enum weft_redis_type {
    WEFT_REDIS_NIL,
    WEFT_REDIS_VALUE, /* text: where make_room() said */
    WEFT_REDIS_OK,    /* a status that begins so: "OK" */
    WEFT_REDIS_OTHER, /* another status */
    WEFT_REDIS_INTEGER,
    WEFT_REDIS_ERROR, /* text: the words, borrowed until the reader is called again */
};

struct weft_redis_reply {
    enum weft_redis_type type;
    weft_str text;
    int64_t integer;
    bool no_room; /* a value came whole, but make_room() had none: text is empty */

    /** Where a value goes; NULL: it is too large. */
    char *(*make_room)(void *arg, size_t len);
    void *arg;

    size_t bytes, bytes_max; /* fed for it so far, and at most */
};

/** Load hiredis and lead its heap calls to weft_redis_heap(). Once; kept.
 *  out_why   static: what is wrong
 *  returns   0; WEFT_ENOTSUP: it is not there, or another version than 0.14 */
WEFT_CHECK weft_rc weft_redis_load(const char **out_why);

/** What hiredis has of the heap; never NULL. */
struct weft_leash *weft_redis_heap(void);

/** Bytes of a reader whose replies are at most so long, its buffer growing by doubling. */
size_t weft_redis_reader_bytes(size_t reply_bytes_max);

/** After weft_redis_load().
 *  returns  NULL: no memory */
struct weft_redis_reader *weft_redis_reader_create(void);
void weft_redis_reader_destroy(struct weft_redis_reader *reader);

/** Bytes that came.
 *  reply    with make_room, arg, bytes_max set and the rest 0 when its first ones come; it stays
 *           where it is until it is complete
 *  returns  0: it is complete, and these bytes end with it. WEFT_NEXT: there is more to come.
 *           WEFT_ESYNTAX: this is no reply to what we ask, or more than one. WEFT_ELIMIT: longer
 *           than bytes_max. WEFT_ENOMEM. After an error: destroy it */
WEFT_CHECK weft_rc weft_redis_reader_feed(struct weft_redis_reader *reader, weft_str bytes,
                                          struct weft_redis_reply *reply);

#endif
