/* demo_stream.c - a million lines, written one by one: the loop waits for a slow client by itself.
 */
#include "demo.h"

#define LINES_PER_PAUSE 1000

static weft_rc stream(weft_req *rq)
{
    uint64_t lines = weft_query_u64(rq, WEFT_S("n"), 1000000);
    uint64_t pause_ms = weft_query_u64(rq, WEFT_S("pause"), 1);
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    for (uint64_t i = 0; i < lines; i++) {
        WEFT_TRY(weft_printf(rq, "Chunk %llu\n", (unsigned long long)i));
        if (pause_ms > 0 && i % LINES_PER_PAUSE == LINES_PER_PAUSE - 1)
            WEFT_TRY(weft_sleep_ms(rq, pause_ms));
    }
    return weft_end(rq);
}

void weft_demo_stream(weft_app *app)
{
    weft_get(app, "/stream", stream);
}
