/* json.h - JSON out and in: a writer over the request's memory or the stream's, and descriptors
 * that say once how a struct looks as JSON, for both ways.
 *
 *   struct user { weft_str name; int32_t age; };
 *   WEFT_JSON(user_json, struct user, WEFT_F_STR(name, 1, 64), WEFT_F_INT(age, 0, 150));
 *
 *   struct user user;
 *   WEFT_TRY(weft_json_read(rq, &user_json, &user));       400 with the field's path
 *   return weft_json_reply(rq, 201, &user_json, &user);
 *
 * Commas are the writer's; in an object each value follows its weft_json_key(). Levels: 32 at
 * most, in both directions. docs/json.md has it all with examples.
 *
 * Lifetime: a writer lives from its begin to weft_json_send() or weft_json_end(), on the handler's
 *           stack. What was read borrows the body: until the request ends (rule 2).
 * Threads:  the request's worker; descriptors are constants.
 * Memory:   the arena bytes that the writer is asked for, and lists that are read (rule 4). No
 * heap.
 */
#ifndef WEFT_JSON_PUBLIC_H
#define WEFT_JSON_PUBLIC_H

#include <weft/json_macros.h>
#include <weft/stream.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/* ---- the writer ---- */

/** A writer over a buffer; the fields are the writer's own. Calls after a mistake do nothing: the
 *  mistake is told once, at the end (rule 5). */
typedef struct weft_json {
    char *start, *at, *end;
    bool (*more)(struct weft_json *json, size_t bytes); /* NULL: the room is all there is */
    weft_req *rq;
    struct weft_alloc_site *site;
    uint64_t arrays; /* bit per open level: 1 = array */
    uint8_t depth;
    bool need_comma;
    bool have_key;
    weft_rc rc;
} weft_json;

/** Write into room bytes of the request's arena; it does not grow. A string takes 2 bytes and at
 *  most 6 per byte, a number at most 25.
 *  returns  0; WEFT_ENOMEM past the route's cap (rule 4) */
WEFT_CHECK weft_rc weft_json_begin(weft_req *rq, weft_json *json, size_t room);
WEFT_CHECK weft_rc weft_json_begin_at(weft_req *rq, weft_json *json, size_t room,
                                      struct weft_alloc_site *site);
#define weft_json_begin(rq, json, room) weft_json_begin_at((rq), (json), (room), WEFT_ALLOC_SITE())

/** The same with a guess for a room: when it is used up it doubles, in place where nothing was
 *  allocated since. What does not fit the route's cap is WEFT_ENOMEM at the end. */
WEFT_CHECK weft_rc weft_json_begin_growing(weft_req *rq, weft_json *json, size_t room);
WEFT_CHECK weft_rc weft_json_begin_growing_at(weft_req *rq, weft_json *json, size_t room,
                                              struct weft_alloc_site *site);
#define weft_json_begin_growing(rq, json, room)                                                    \
    weft_json_begin_growing_at((rq), (json), (room), WEFT_ALLOC_SITE())

/** Write a text of any length in constant memory: the answer begins now, and whenever the room is
 *  used up it is sent. The calls below then wait while the client is slow (rule 7); finish with
 *  weft_json_end().
 *  room     bytes of the arena, 64..1 MiB: 16 KiB makes few system calls
 *  returns  0; WEFT_ENOMEM (rule 4); as weft_begin() */
WEFT_CHECK weft_rc weft_json_stream(weft_req *rq, weft_json *json, int status, size_t room);
WEFT_CHECK weft_rc weft_json_stream_at(weft_req *rq, weft_json *json, int status, size_t room,
                                       struct weft_alloc_site *site);
#define weft_json_stream(rq, json, status, room)                                                   \
    weft_json_stream_at((rq), (json), (status), (room), WEFT_ALLOC_SITE())

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

/** What has gone wrong so far: ask in a long loop, so that it ends when the client has gone.
 *  returns  0; WEFT_ELIMIT, WEFT_ENOMEM, WEFT_ESTATE; of a stream also as weft_write() */
WEFT_CHECK weft_rc weft_json_error_of(const weft_json *json);

/** Answer with what was written, as application/json.
 *  returns  0; WEFT_ELIMIT (did not fit the room), WEFT_ENOMEM (could not grow), WEFT_ESTATE
 *           (unbalanced, too deep, a value without its key or a key without its value, nothing
 *           written, a stream, or answered already) */
WEFT_CHECK weft_rc weft_json_send(weft_req *rq, int status, weft_json *json);

/** What was written, for a cache or an answer of your own; until the request ends (rule 2).
 *  returns  0; as weft_json_send() otherwise: *out is untouched */
WEFT_CHECK weft_rc weft_json_text(weft_json *json, weft_str *out);

/** Send what a stream has written so far; returns when it has left.
 *  returns  as weft_json_error_of() */
WEFT_CHECK weft_rc weft_json_flush(weft_json *json);

/** Finish a stream.
 *  returns  0; as weft_json_send() or weft_end(): return it, and the connection is cut so that the
 *           client can tell */
WEFT_CHECK weft_rc weft_json_end(weft_json *json);

/* ---- descriptors ---- */

enum weft_json_kind {
    WEFT_JSON_STR,
    WEFT_JSON_I64,
    WEFT_JSON_U64,
    WEFT_JSON_F64,
    WEFT_JSON_BOOL,
    WEFT_JSON_RAW,
    WEFT_JSON_OBJECT,
    WEFT_JSON_LIST,
};

typedef union weft_json_bound {
    int64_t i64;
    uint64_t u64; /* of a number, bytes of a text, items of a list */
    double f64;
} weft_json_bound;

/** A member of a struct, as the macros below describe it. */
typedef struct weft_json_field {
    const char *name_z;  /* as JSON has it; static */
    uint32_t offset;     /* of the member */
    uint32_t has;        /* 1 + offset of the bool that tells whether it was there; 0: none */
    uint16_t name_len;   /* */
    bool optional;       /* may be absent or null */
    bool named;          /* by WEFT_F_NAMED: its name may need escapes */
    uint8_t kind;        /* enum weft_json_kind */
    uint8_t bytes;       /* of the member where it is a whole number: 1, 2, 4, 8 */
    uint32_t item_bytes; /* of an object; of an item of a list */
    weft_json_bound min, max;
    const struct weft_json_field *item;  /* of a list: what its items are, at offset 0 */
    const struct weft_json_desc *object; /* of an object */
} weft_json_field;

/** A list of items in the arena: struct { type *at; size_t count; }. */
#define WEFT_LIST(type)                                                                            \
    struct {                                                                                       \
        type *at;                                                                                  \
        size_t count;                                                                              \
    }

typedef struct weft_json_desc {
    size_t size;         /* of this struct */
    size_t object_bytes; /* of the struct described */
    const weft_json_field *fields;
    uint32_t field_count; /* 1..64 */
    bool closed;          /* members that no field names are refused */
} weft_json_desc;

/** Describe a struct at file level: WEFT_JSON(name, type, fields...), 64 fields at most. Members of
 *  JSON text that no field names are checked and skipped.
 *  WEFT_JSON_CLOSED: they are refused, with their path. */
#define WEFT_JSON(name, type, ...)        WEFT_JSON_DESC_(name, type, false, __VA_ARGS__)
#define WEFT_JSON_CLOSED(name, type, ...) WEFT_JSON_DESC_(name, type, true, __VA_ARGS__)

/* Fields: the struct's member, and the least and the most that it may be. What does not fit is 400;
 * writing does not check.
 *
 *   WEFT_F_STR(name, 1, 64)      weft_str: UTF-8 text, bytes without escapes
 *   WEFT_F_INT(age, 0, 150)      any signed integer;   text such as 1.0 or 1e3 is none
 *   WEFT_F_UINT(id, 1, 1000000)  any unsigned integer
 *   WEFT_F_REAL(price, 0, 1e6)   double
 *   WEFT_F_BOOL(active)          bool
 *   WEFT_F_RAW(extra, 1000)      weft_str: any JSON value as its text, at most so many bytes
 *   WEFT_F_OBJECT(home, address_json)              a struct within the struct
 *   WEFT_F_LIST(tags, WEFT_E_STR(1, 32), 0, 16)    WEFT_LIST(weft_str): 0 to 16 items
 *
 * Items are WEFT_E_STR, _INT, _UINT, _REAL, _BOOL, _RAW, _OBJECT, _LIST with the same limits.
 *
 *   WEFT_F_OPT(field)            may be absent or null; then it is zero, a text and a list {NULL,
 * 0}. Texts and lists that are {NULL, 0} are not written WEFT_F_MAYBE(has, field)     the same;
 * bool has tells, and decides whether it is written WEFT_F_NAMED("first-name", field) another name
 * than the member's */
#define WEFT_F_STR(member, least, most)  WEFT_J_MEMBER_(member, WEFT_J_STR_, least, most)
#define WEFT_F_INT(member, least, most)  WEFT_J_MEMBER_(member, WEFT_J_INT_, least, most)
#define WEFT_F_UINT(member, least, most) WEFT_J_MEMBER_(member, WEFT_J_UINT_, least, most)
#define WEFT_F_REAL(member, least, most) WEFT_J_MEMBER_(member, WEFT_J_REAL_, least, most)
#define WEFT_F_BOOL(member)              WEFT_J_MEMBER_(member, WEFT_J_BOOL_, 0, 0)
#define WEFT_F_RAW(member, most)         WEFT_J_MEMBER_(member, WEFT_J_RAW_, 0, most)
#define WEFT_F_OBJECT(member, desc)      WEFT_J_MEMBER_(member, WEFT_J_OBJECT_, desc, 0)
#define WEFT_F_LIST(member, item, least, most)                                                     \
    WEFT_J_MEMBER_(member, WEFT_J_LIST_, item, (least, most))

#define WEFT_E_STR(least, most)        (WEFT_J_STR_, least, most)
#define WEFT_E_INT(least, most)        (WEFT_J_INT_, least, most)
#define WEFT_E_UINT(least, most)       (WEFT_J_UINT_, least, most)
#define WEFT_E_REAL(least, most)       (WEFT_J_REAL_, least, most)
#define WEFT_E_BOOL()                  (WEFT_J_BOOL_, 0, 0)
#define WEFT_E_RAW(most)               (WEFT_J_RAW_, 0, most)
#define WEFT_E_OBJECT(desc)            (WEFT_J_OBJECT_, desc, 0)
#define WEFT_E_LIST(item, least, most) (WEFT_J_LIST2_, item, (least, most))

#define WEFT_F_OPT(field)           WEFT_J_OPT_ field
#define WEFT_F_MAYBE(has, field)    WEFT_J_APPLY_(WEFT_J_MAYBE_, has, WEFT_J_ARGS_ field)
#define WEFT_F_NAMED(name_z, field) WEFT_J_APPLY_(WEFT_J_NAMED_, name_z, WEFT_J_ARGS_ field)

/* ---- reading ---- */

/** What was wrong with a text, and where. */
typedef struct weft_json_error {
    weft_rc rc;       /* as weft_json_read_text() returned */
    size_t offset;    /* into the text, where it was noticed */
    char text_z[80];  /* such as "must be 0 to 150" */
    char path_z[128]; /* such as "users[3].name"; empty: the text itself. Cut with "..." at its end
                       */
} weft_json_error;

/** Read the request's body into a struct. What is no JSON, or not what the descriptor says, is
 *  answered for you: 400 with what is wrong and the field's path as application/problem+json (RFC
 *  9457); 413 with the same where it has too many levels, or lists beyond the route's memory. Waits
 *  (rule 7).
 *
 *  Strict: RFC 8259 and nothing beyond, valid UTF-8, no lone surrogates. A field that is given
 *  twice is refused; of members that no field names that is not looked at. *out is zeroed first.
 *
 *  out      texts lie in the body, which is changed where they have escapes; lists lie in the
 *           arena: both until the request ends (rule 2). Half filled after an error
 *  returns  0; WEFT_ESYNTAX (no JSON), WEFT_ERANGE (JSON, but not what the descriptor says),
 *           WEFT_ELIMIT (more than 32 levels, or lists too long): answered, return the code;
 *           WEFT_EMEDIA (Content-Type is neither application/json nor something+json); as
 *           weft_body()
 *  cost     1 to 2 ns a byte; nothing is copied where the body came in one piece; no heap */
WEFT_CHECK weft_rc weft_json_read(weft_req *rq, const weft_json_desc *desc, void *out);
WEFT_CHECK weft_rc weft_json_read_at(weft_req *rq, const weft_json_desc *desc, void *out,
                                     struct weft_alloc_site *site);
#define weft_json_read(rq, desc, out) weft_json_read_at((rq), (desc), (out), WEFT_ALLOC_SITE())

/** The same from bytes that are at hand; nothing is answered.
 *  text     below 4 GiB; changed where texts have escapes; *out borrows it
 *  error    filled on failure
 *  returns  0; WEFT_ESYNTAX, WEFT_ERANGE, WEFT_ELIMIT (too deep, or its lists do not fit the
 *           route's cap) */
WEFT_CHECK weft_rc weft_json_read_text(weft_req *rq, char *text, size_t len,
                                       const weft_json_desc *desc, void *out,
                                       weft_json_error *error);
WEFT_CHECK weft_rc weft_json_read_text_at(weft_req *rq, char *text, size_t len,
                                          const weft_json_desc *desc, void *out,
                                          weft_json_error *error, struct weft_alloc_site *site);
#define weft_json_read_text(rq, text, len, desc, out, error)                                       \
    weft_json_read_text_at((rq), (text), (len), (desc), (out), (error), WEFT_ALLOC_SITE())

/** What is called with each item of an array.
 *  index    from 0
 *  item     as it was read; its texts and lists are borrowed for the call
 *  returns  0: go on; an error ends it */
typedef weft_rc (*weft_json_item_fn)(weft_req *rq, uint64_t index, void *item, void *arg);

/** Read a body that is an array of objects, one by one, however long it is, in constant memory:
 *  what came in one piece is read where it lies, any other is put together in item_bytes_max bytes
 *  of the arena. What fn takes of the arena is forgotten behind it, as by weft_rewind(), unless it
 *  returns an error: its answer may lie there. So fn may not defer a call, nor ask for what does: a
 *  file, an upload, a cache's value. Waits (rule 7).
 *  item            what each is read into, zeroed before
 *  item_bytes_max  longest text of one
 *  returns         0, nothing is answered yet; as weft_json_read(), the path begins with the
 *                  item's index ("[41].name"), 413 for one that is too long; what fn returned;
 *                  WEFT_ENOMEM: no room for one. Items before the mistake were passed to fn */
WEFT_CHECK weft_rc weft_json_each(weft_req *rq, const weft_json_desc *desc, void *item,
                                  size_t item_bytes_max, weft_json_item_fn fn, void *arg);
WEFT_CHECK weft_rc weft_json_each_at(weft_req *rq, const weft_json_desc *desc, void *item,
                                     size_t item_bytes_max, weft_json_item_fn fn, void *arg,
                                     struct weft_alloc_site *site);
#define weft_json_each(rq, desc, item, item_bytes_max, fn, arg)                                    \
    weft_json_each_at((rq), (desc), (item), (item_bytes_max), (fn), (arg), WEFT_ALLOC_SITE())

/** Is that one JSON value by RFC 8259, in valid UTF-8, 32 levels deep at most? Names that are given
 *  twice are allowed. Any thread.
 *  error    filled on failure, its path empty
 *  returns  0; WEFT_ESYNTAX, WEFT_ELIMIT (too deep) */
WEFT_CHECK weft_rc weft_json_check(weft_str text, weft_json_error *error);

/* ---- writing structs; pages and fields ---- */

/** Which fields of a descriptor: bit i is its field i. */
typedef uint64_t weft_json_fields;
#define WEFT_JSON_ALL UINT64_MAX

/** Write a struct as a value. `fields` chooses among its own, not of those within. */
void weft_json_put(weft_json *json, const weft_json_desc *desc, const void *object);
void weft_json_put_fields(weft_json *json, const weft_json_desc *desc, const void *object,
                          weft_json_fields fields);

/** Answer with a struct.
 *  object   borrowed for the call
 *  returns  0; WEFT_ENOMEM (rule 4), WEFT_ESTATE (more than 32 levels, or answered already) */
WEFT_CHECK weft_rc weft_json_reply(weft_req *rq, int status, const weft_json_desc *desc,
                                   const void *object);
WEFT_CHECK weft_rc weft_json_reply_at(weft_req *rq, int status, const weft_json_desc *desc,
                                      const void *object, struct weft_alloc_site *site);
#define weft_json_reply(rq, status, desc, object)                                                  \
    weft_json_reply_at((rq), (status), (desc), (object), WEFT_ALLOC_SITE())

/** The fields that the query asks for: ?fields=name,age; all where it does not say.
 *  returns  0; WEFT_ERANGE: one is unknown, 400 was answered with its name; WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_query_fields(weft_req *rq, const weft_json_desc *desc,
                                     weft_json_fields *out);

typedef struct weft_page {
    uint64_t number; /* from 1 */
    uint64_t first;  /* index of its first item, from 0 */
    uint32_t size;   /* items, at most */
} weft_page;

/** The page that the query asks for: ?page=2&size=50.
 *  size     where it does not say, 1..size_max
 *  returns  0; WEFT_ERANGE: no whole numbers from 1 on, a size above size_max, or a page beyond
 *           2^64 items: 400 was answered with the parameter's name; WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_query_page(weft_req *rq, uint32_t size, uint32_t size_max, weft_page *out);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
