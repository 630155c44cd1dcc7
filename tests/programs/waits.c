/* waits.c - a server for tests/e2e/offload_test.py and tests/mem/rehearsal_test.py: handlers that
 * block, an expression on a path, and answers by the book.
 */
#include <weft/weft.h>
#include <unistd.h>

static void block(void *arg)
{
    usleep(*(useconds_t *)arg * 1000);
}

static weft_rc blocking(weft_req *rq)
{
    useconds_t ms = (useconds_t)weft_query_u64(rq, WEFT_S("ms"), 100);
    WEFT_TRY(weft_offload(rq, block, &ms));
    return weft_text(rq, 200, WEFT_S("blocked"));
}

/* Against rule 8: when its answer has left, the worker stands still. */
static void stand_still(void *arg)
{
    usleep(*(useconds_t *)arg * 1000);
}

static weft_rc holding(weft_req *rq)
{
    static useconds_t ms = 600;
    WEFT_TRY(weft_defer(rq, stand_still, &ms));
    return weft_text(rq, 200, WEFT_S("held"));
}

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("hello"));
}

static weft_rc headers(weft_req *rq)
{
    WEFT_TRY(weft_set_header(rq, WEFT_S("X-One"), WEFT_S("1")));
    WEFT_TRY(weft_set_header(rq, WEFT_S("X-Two"), WEFT_S("two words")));
    return weft_reply(rq, 201, WEFT_S("application/x-test"), WEFT_S("made"));
}

static weft_rc missing(weft_req *rq)
{
    return weft_text(rq, 404, WEFT_S("File not found"));
}

static weft_rc begun(weft_req *rq)
{
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    WEFT_TRY(weft_write(rq, WEFT_S("one ")));
    WEFT_TRY(weft_printf(rq, "%s", "two"));
    return weft_end(rq);
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    if (app == NULL)
        return weft_main(NULL, argc, argv);
    weft_get(app, "/", hello);
    weft_get(app, "/block", blocking);
    weft_get(app, "/hold", holding);
    weft_get(app, "/headers", headers);
    weft_get(app, "/word/{word:^[a-z]+[0-9]?$}", hello);
    weft_get(app, "/missing", missing);
    weft_get(app, "/begun", begun);
    return weft_main(app, argc, argv);
}
