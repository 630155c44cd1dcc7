/* json_each.c - a body that is an array, object by object: what lies in one piece is read where it
 * lies, what does not is put together in a buffer of one object's size. */
#include "base/fmt.h"
#include "base/str.h"
#include "http/message.h"
#include "serve/json/json_bind.h"
#include "serve/json/json_split.h"

struct each {
    weft_req *rq;
    const weft_json_desc *desc;
    void *object;
    weft_json_item_fn fn;
    void *arg;
    struct weft_alloc_site *site;
    struct weft_json_split split;
    char *buffer; /* of the arena, NULL until an object comes in parts */
    size_t room;
    size_t len; /* of the object so far */
};

/* ---- what was wrong ---- */

/* The path within the object, or none, becomes one within the array. */
static void put_index(weft_json_error *error, uint64_t index)
{
    char path[sizeof(error->path_z)];
    size_t room = sizeof(path) - 1;
    size_t len = weft_fmt(path, room, "[%llu]%s%s", (unsigned long long)index,
                          error->path_z[0] != 0 ? "." : "", error->path_z);
    path[WEFT_MIN(len, room)] = 0;
    memcpy(error->path_z, path, sizeof(path));
}

/* Of the array, or with an index of one of its objects. */
static weft_rc refuse(struct each *each, weft_rc rc, const char *text_z, bool of_object)
{
    weft_json_error error = {.rc = rc, .offset = (size_t)each->split.offset};
    size_t room = sizeof(error.text_z) - 1;
    error.text_z[WEFT_MIN(weft_fmt(error.text_z, room, "%s", text_z), room)] = 0;
    if (of_object)
        put_index(&error, each->split.count - 1);
    return weft_json_refuse(each->rq, &error);
}

/* ---- objects ---- */

/* A whole object. What it and the program's function take of the arena is forgotten behind it;
 * behind one that ended the reading it stays: its answer may lie there. */
static weft_rc one_object(struct each *each, char *text, size_t len)
{
    weft_json_error error;
    weft_mark_point mark = weft_mark(each->rq);
    uint64_t index = each->split.count - 1;
    weft_rc rc =
        weft_json_parse_in(each->rq, text, len, each->desc, each->object, &error, each->site);
    if (rc != 0) {
        error.offset += (size_t)each->split.offset - len;
        put_index(&error, index);
        return weft_json_refuse(each->rq, &error);
    }
    rc = each->fn(each->rq, index, each->object, each->arg);
    if (rc == 0)
        weft_rewind(each->rq, mark);
    return rc;
}

static weft_rc gather(struct each *each, weft_str part)
{
    if (each->buffer == NULL)
        each->buffer = weft_alloc_at(each->rq, each->room, each->site);
    if (each->buffer == NULL)
        return WEFT_ENOMEM;
    if (part.len > each->room - each->len)
        return refuse(each, WEFT_ELIMIT, "is too long", true);
    memcpy(each->buffer + each->len, part.ptr, part.len);
    each->len += part.len;
    each->rq->copied += part.len;
    return 0;
}

static weft_rc object_part(struct each *each, weft_str part, bool last)
{
    bool whole = last && each->len == 0;
    if (whole && part.len > each->room)
        return refuse(each, WEFT_ELIMIT, "is too long", true);
    if (whole) /* the body is this request's own: it may be written */
        return one_object(each, (char *)(uintptr_t)part.ptr, part.len);
    WEFT_TRY(gather(each, part));
    if (!last)
        return 0;
    size_t len = each->len;
    each->len = 0;
    return one_object(each, each->buffer, len);
}

static weft_rc pass_piece(struct each *each, weft_str piece)
{
    while (piece.len > 0) {
        size_t used = 0;
        weft_str part = {0};
        int found = weft_json_split_next(&each->split, piece, &used, &part);
        if (found < 0)
            return refuse(each, (weft_rc)found, each->split.error_z,
                          each->split.state == WEFT_SPLIT_FIRST ||
                              each->split.state == WEFT_SPLIT_COMMA);
        if (found != WEFT_SPLIT_MORE)
            WEFT_TRY(object_part(each, part, found == WEFT_SPLIT_LAST));
        piece = weft_str_make(piece.ptr + used, piece.len - used);
    }
    return 0;
}

weft_rc(weft_json_each)(weft_req *rq, const weft_json_desc *desc, void *object,
                        size_t item_bytes_max, weft_json_item_fn fn, void *arg)
{
    return weft_json_each(rq, desc, object, item_bytes_max, fn, arg);
}

weft_rc weft_json_each_at(weft_req *rq, const weft_json_desc *desc, void *object,
                          size_t item_bytes_max, weft_json_item_fn fn, void *arg,
                          struct weft_alloc_site *site)
{
    struct each each = {.rq = rq, .desc = desc, .object = object, .fn = fn, .arg = arg};
    each.site = site;
    each.room = item_bytes_max;
    WEFT_TRY(weft_json_expect(rq));
    for (;;) {
        weft_str piece = {0};
        WEFT_TRY(weft_read_body(rq, &piece));
        if (piece.len == 0)
            break;
        WEFT_TRY(pass_piece(&each, piece));
    }
    weft_rc rc = weft_json_split_end(&each.split);
    return rc == 0 ? 0 : refuse(&each, rc, each.split.error_z, false);
}
