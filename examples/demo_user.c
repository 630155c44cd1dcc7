/* demo_user.c - a typed path parameter: what is no u64 never reaches the handler. */
#include "demo.h"

static weft_rc user(weft_req *rq)
{
    weft_json out;
    WEFT_TRY(weft_json_begin(rq, &out, 48));
    weft_json_object(&out);
    weft_json_key(&out, WEFT_S("id"));
    weft_json_u64(&out, weft_param_u64(rq, "id"));
    weft_json_end_object(&out);
    return weft_json_send(rq, 200, &out);
}

void weft_demo_user(weft_app *app)
{
    weft_get(app, "/user/{id:u64}", user);
}
