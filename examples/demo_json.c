/* demo_json.c - a small JSON answer: who asked, when, and that all is well. */
#include "demo.h"

static weft_rc json(weft_req *rq)
{
    weft_str id = weft_header(rq, "x-request-id");
    weft_json out;
    WEFT_TRY(weft_json_begin(rq, &out, 80 + 6 * id.len)); /* an escaped byte takes six at most */
    weft_json_object(&out);
    weft_json_key(&out, WEFT_S("request_id"));
    weft_json_str(&out, id.len > 0 ? id : WEFT_S("unknown"));
    weft_json_key(&out, WEFT_S("timestamp"));
    weft_json_u64(&out, weft_now_s(rq));
    weft_json_key(&out, WEFT_S("status"));
    weft_json_str(&out, WEFT_S("ok"));
    weft_json_end_object(&out);
    return weft_json_send(rq, 200, &out);
}

void weft_demo_json(weft_app *app)
{
    weft_get(app, "/json", json);
}
