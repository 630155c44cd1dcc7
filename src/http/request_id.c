/* request_id.c - a name for each request, to join logs by. New ones are a counter from a random
 * start: unique per process, which is all that joining needs, and free. */
#include "http/middleware.h"
#include <sys/random.h>

#define ID_BYTES_MAX 128

static bool usable(weft_str id)
{
    for (size_t i = 0; i < id.len; i++)
        if (id.ptr[i] <= ' ' || id.ptr[i] >= 0x7f)
            return false;
    return id.len > 0 && id.len <= ID_BYTES_MAX;
}

static weft_str make_id(weft_req *rq)
{
    struct weft_service *service = rq->service;
    if (service->request_ids == 0 &&
        getrandom(&service->request_ids, sizeof(service->request_ids), 0) < 0)
        service->request_ids = service->loop->clock.now_ns;
    service->request_ids++;
    return weft_format(rq, "%016llx", (unsigned long long)service->request_ids);
}

weft_rc weft_request_id_before(weft_req *rq)
{
    weft_str id = weft_header(rq, "x-request-id");
    if (!usable(id))
        id = make_id(rq);
    if (id.ptr == NULL)
        return WEFT_ENOMEM;
    WEFT_TRY(weft_set_header(rq, WEFT_S("X-Request-ID"), id));
    return WEFT_NEXT;
}
