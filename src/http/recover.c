/* recover.c - errors in one shape, whoever made them: the handler, the router, or Weft itself. */
#include "http/middleware.h"

void weft_recover_json_after(weft_req *rq)
{
    bool ours = rq->body_kind == WEFT_BODY_MEMORY && rq->status >= 400 &&
                weft_str_eq(rq->type, WEFT_S("text/plain"));
    if (!ours)
        return;
    weft_str reason = weft_status_reason(rq->status);
    weft_str body = weft_format(rq, "{\"status\":%d,\"error\":\"%.*s\"}", rq->status,
                                (int)reason.len, reason.ptr);
    if (body.ptr == NULL)
        return; /* past the route's cap: the plain text stays */
    rq->body = body;
    rq->type = WEFT_S("application/json");
}
