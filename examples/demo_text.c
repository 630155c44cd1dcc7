/* demo_text.c - constant answers: bytes of the program, never copied into a request's memory. */
#include "demo.h"

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("Hello, World!"));
}

/* Only what is needed is copied, into a buffer on the stack; the answer is as long as the message.
 */
static weft_rc efficient(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("Hello from memory-efficient handler!"));
}

static weft_rc health(weft_req *rq)
{
    return weft_status(rq, 200);
}

void weft_demo_text(weft_app *app)
{
    weft_get(app, "/", hello);
    weft_get(app, "/efficient", efficient);
    weft_route(app, "GET", "/health", health, WEFT_ROUTE_OPTS(.vital = true));
}
