/* json_reply.c - the JSON writer on a request's memory. */
#include "serve/json.h"

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

weft_rc weft_json_send(weft_req *rq, int status, weft_json *json)
{
    weft_str text = {0};
    WEFT_TRY(weft_json_finish(json, &text));
    return weft_reply(rq, status, WEFT_S("application/json"), text);
}
