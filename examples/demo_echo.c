/* demo_echo.c - a body of any size sent back as it comes: constant memory, however long it is. */
#include "demo.h"

static weft_rc echo(weft_req *rq)
{
    weft_str type = weft_header(rq, "content-type");
    WEFT_TRY(weft_begin(rq, 200, type.len > 0 ? type : WEFT_S("application/octet-stream")));
    for (;;) {
        weft_str piece;
        WEFT_TRY(weft_read_body(rq, &piece));
        if (piece.len == 0)
            return weft_end(rq);
        WEFT_TRY(weft_write(rq, piece));
    }
}

void weft_demo_echo(weft_app *app)
{
    weft_route(app, "POST", "/echo", echo, WEFT_ROUTE_OPTS(.body_unlimited = true));
}
