/* cors.c - who may read our answers from other sites' pages (Fetch standard, CORS protocol). */
#include "http/middleware.h"

static weft_rc preflight(weft_req *rq)
{
    weft_str headers = weft_header(rq, "access-control-request-headers");
    WEFT_TRY(weft_set_header(rq, WEFT_S("Access-Control-Allow-Methods"),
                             WEFT_S("GET, HEAD, POST, PUT, PATCH, DELETE")));
    if (headers.len > 0)
        WEFT_TRY(weft_set_header(rq, WEFT_S("Access-Control-Allow-Headers"), headers));
    WEFT_TRY(weft_set_header(rq, WEFT_S("Access-Control-Max-Age"), WEFT_S("600")));
    return weft_status(rq, 204);
}

weft_rc weft_cors_before(weft_req *rq)
{
    weft_str allowed = rq->service->site->cors_origin;
    weft_str origin = weft_header(rq, "origin");
    bool any = weft_str_eq(allowed, WEFT_S("*"));
    if (allowed.len == 0 || origin.len == 0)
        return WEFT_NEXT;
    if (!any)
        WEFT_TRY(weft_set_header(rq, WEFT_S("Vary"), WEFT_S("Origin")));
    if (!any && !weft_str_eq(origin, allowed))
        return WEFT_NEXT; /* answered without the header: the browser keeps it from the page */
    WEFT_TRY(weft_set_header(rq, WEFT_S("Access-Control-Allow-Origin"), allowed));
    if (rq->head.method == WEFT_OPTIONS && weft_header(rq, "access-control-request-method").len > 0)
        return preflight(rq);
    return WEFT_NEXT;
}
