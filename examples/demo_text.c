/* demo_text.c - constant answers: bytes of the program, never copied into a request's memory. */
#include "demo.h"

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("Hello, World!"));
}

/* With ?name= the text is put together in a buffer on the stack, and written from there: only what
 * is needed is copied, and neither arena nor heap has a part in it. */
static weft_rc greet(weft_req *rq, weft_str name)
{
    char bytes[1024];
    weft_builder builder;
    weft_str text;
    weft_builder_over(&builder, bytes, sizeof(bytes));
    weft_builder_add(&builder, WEFT_S("Hello "));
    weft_builder_add(&builder, name);
    weft_builder_add(&builder, WEFT_S(" from memory-efficient handler!"));
    WEFT_TRY(weft_builder_text(&builder, &text)); /* 413 for more than the buffer holds */
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    WEFT_TRY(weft_write(rq, text));
    return weft_end(rq);
}

static weft_rc efficient(weft_req *rq)
{
    weft_str name = weft_query_param(rq, WEFT_S("name"));
    if (name.len > 0)
        return greet(rq, name);
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
