/* demo_stream.c - a million lines in constant memory: pulled, which holds no stack while the client
 * is slow; or, with ?pause=MS, written one by one by a loop that waits for it.
 */
#include "demo.h"

#define LINES_PER_PAUSE 1000

static weft_rc loop(weft_req *rq)
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

/* What a loop has on its stack, a source keeps somewhere: here in a pool of its own. */
struct position {
    uint64_t next, end;
    bool rested; /* before this line */
    weft_handle handle;
};
WEFT_OBJECTS(positions, struct position, 4096);

static weft_rc pull(void *arg, char *to, size_t room, size_t *out_len)
{
    struct position *at = arg;
    weft_str text = {0};
    weft_builder builder;
    if (at->next % LINES_PER_PAUSE == 0 && at->next > 0 && !at->rested) {
        at->rested = true;
        return WEFT_EAGAIN; /* asked again after a millisecond */
    }
    at->rested = false;
    if (at->next == at->end)
        return 0;
    weft_builder_over(&builder, to, room);
    weft_builder_format(&builder, "Chunk %llu\n", (unsigned long long)at->next++);
    WEFT_TRY(weft_builder_text(&builder, &text));
    *out_len = text.len;
    return 0;
}

static void pulled_all(void *arg)
{
    struct position *at = arg;
    weft_ignore(weft_object_put(positions, at->handle)); /* it is out: taken below */
}

static const weft_source_ops lines = WEFT_SOURCE(.pull = pull, .close = pulled_all, .again_ms = 1);

static weft_rc stream(weft_req *rq)
{
    weft_handle handle;
    if (weft_query_param(rq, WEFT_S("pause")).len > 0)
        return loop(rq);
    struct position *at = weft_object_take(positions, &handle);
    if (at == NULL)
        return WEFT_EFULL;
    *at = (struct position){.end = weft_query_u64(rq, WEFT_S("n"), 1000000), .handle = handle};
    return weft_source(rq, 200, WEFT_S("text/plain"), WEFT_UNSIZED, &lines, at);
}

void weft_demo_stream(weft_app *app)
{
    weft_app_objects(app, positions);
    weft_get(app, "/stream", stream);
}
