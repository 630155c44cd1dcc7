/* json_reply.c - the JSON writer on a request's memory: a room of a fixed size, one that grows, one
 * that is sent whenever it is full. */
#include "http/message.h"
#include "serve/json/json.h"
#include <weft/mem.h>

#define TYPE WEFT_S("application/json")

weft_rc(weft_json_begin)(weft_req *rq, weft_json *json, size_t room)
{
    return weft_json_begin(rq, json, room);
}

weft_rc weft_json_begin_at(weft_req *rq, weft_json *json, size_t room, struct weft_alloc_site *site)
{
    char *memory = weft_alloc_at(rq, room, site);
    if (memory == NULL)
        return WEFT_ENOMEM;
    weft_json_init(json, memory, room);
    return 0;
}

/* ---- growing ---- */

/* A builder does it: in place while the chunk has it. */
static bool grow(weft_json *json, size_t bytes)
{
    weft_builder builder = {.start = json->start, .at = json->at, .end = json->end};
    builder.rq = json->rq;
    builder.site = json->site;
    if (!weft_builder_grow(&builder, bytes)) {
        json->rc = builder.rc;
        return false;
    }
    json->start = builder.start;
    json->at = builder.at;
    json->end = builder.end;
    return true;
}

weft_rc(weft_json_begin_growing)(weft_req *rq, weft_json *json, size_t room)
{
    return weft_json_begin_growing(rq, json, room);
}

weft_rc weft_json_begin_growing_at(weft_req *rq, weft_json *json, size_t room,
                                   struct weft_alloc_site *site)
{
    WEFT_TRY(weft_json_begin_at(rq, json, room, site));
    json->more = grow;
    json->rq = rq;
    json->site = site;
    return 0;
}

weft_rc weft_json_send(weft_req *rq, int status, weft_json *json)
{
    weft_str text = {0};
    WEFT_TRY(weft_json_finish(json, &text));
    return weft_reply(rq, status, TYPE, text);
}

/* ---- a stream ---- */

static bool spill(weft_json *json, size_t bytes)
{
    (void)bytes; /* what is larger than the room goes through it in parts */
    weft_str text = weft_str_make(json->start, (size_t)(json->at - json->start));
    weft_rc rc = weft_write(json->rq, text);
    json->at = json->start;
    if (rc < 0)
        json->rc = rc;
    return rc >= 0;
}

weft_rc weft_json_text(weft_json *json, weft_str *out)
{
    return json->more == spill ? WEFT_ESTATE : weft_json_finish(json, out);
}

weft_rc(weft_json_stream)(weft_req *rq, weft_json *json, int status, size_t room)
{
    return weft_json_stream(rq, json, status, room);
}

weft_rc weft_json_stream_at(weft_req *rq, weft_json *json, int status, size_t room,
                            struct weft_alloc_site *site)
{
    if (room < WEFT_JSON_STREAM_ROOM_MIN)
        return WEFT_EINVAL;
    WEFT_TRY(weft_json_begin_at(rq, json, room, site));
    json->more = spill;
    json->rq = rq;
    return weft_begin(rq, status, TYPE);
}

weft_rc weft_json_error_of(const weft_json *json)
{
    return json->rc;
}

weft_rc weft_json_flush(weft_json *json)
{
    if (json->rc == 0 && json->more != spill)
        return WEFT_ESTATE;
    if (json->rc == 0 && spill(json, 0))
        json->rc = weft_flush(json->rq);
    return json->rc;
}

weft_rc weft_json_end(weft_json *json)
{
    weft_str rest = {0};
    if (json->rc == 0 && json->more != spill)
        return WEFT_ESTATE;
    WEFT_TRY(weft_json_finish(json, &rest));
    WEFT_TRY(weft_write(json->rq, rest));
    return weft_end(json->rq);
}
