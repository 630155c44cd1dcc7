/* demo_memory.c - ten thousand small strings in the request's arena, joined: all of it is gone, at
 * once, when the answer has left. */
#include "demo.h"
#include <string.h>

#define STRINGS 10000

static weft_rc memory_test(weft_req *rq)
{
    weft_str *strings = weft_alloc(rq, STRINGS * sizeof(*strings));
    size_t bytes = 0;
    if (strings == NULL)
        return WEFT_ENOMEM;
    for (int i = 0; i < STRINGS; i++) {
        strings[i] = weft_format(rq, "Temporary string %d", i);
        if (strings[i].ptr == NULL)
            return WEFT_ENOMEM;
        bytes += strings[i].len + 1;
    }
    char *joined = weft_alloc(rq, bytes);
    if (joined == NULL)
        return WEFT_ENOMEM;
    char *at = joined;
    for (int i = 0; i < STRINGS; i++) {
        if (i > 0)
            *at++ = ',';
        memcpy(at, strings[i].ptr, strings[i].len);
        at += strings[i].len;
    }
    return weft_reply(rq, 200, WEFT_S("text/plain"), (weft_str){joined, bytes - 1});
}

void weft_demo_memory(weft_app *app)
{
    weft_route(app, "GET", "/memory-test", memory_test, WEFT_ROUTE_OPTS(.memory = 2 << 20));
}
