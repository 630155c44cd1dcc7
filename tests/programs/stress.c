/* stress.c - a server for tests/mem/plan_test.py and bench/stress.py: a handler that takes of each
 * part as much as a request may; and what bodies bring: a cache, a channel, files, coders, a pool.
 */
#include <weft/weft.h>
#include <string.h>

#define PIECE_BYTES 4000
#define SEND_BYTES                                                                                 \
    (1 << 20) /* more than a client takes that reads nothing and has a small window */

/* Most of its stack of 16 KiB, all of its arena, then an answer that is not taken: a block, and the
 * buffer or the block that its head lies in. */
static weft_rc all(weft_req *rq)
{
    volatile char stack[12 << 10];
    for (size_t i = 0; i < sizeof(stack); i += 1024)
        stack[i] = 'x';
    char *piece, *last = NULL;
    while ((piece = weft_alloc(rq, PIECE_BYTES)) != NULL)
        last = memset(piece, stack[0], PIECE_BYTES);
    if (last == NULL)
        return WEFT_ENOMEM;
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    for (size_t sent = 0; sent < SEND_BYTES; sent += PIECE_BYTES)
        WEFT_TRY(weft_write(rq, (weft_str){last, PIECE_BYTES}));
    return weft_end(rq);
}

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("Hello, World!"));
}

static void deep(void *arg)
{
    volatile char stack[40 << 10];
    for (size_t i = 0; i < sizeof(stack); i += 1024)
        stack[i] = *(char *)arg;
    *(char *)arg = stack[0];
}

/* On a thread's own stack, most of what the plan counts for it. */
static weft_rc threads(weft_req *rq)
{
    char byte = 0;
    WEFT_TRY(weft_offload(rq, deep, &byte));
    return weft_text(rq, 200, WEFT_S("done"));
}

/* ---- what bodies take ---- */

#define VALUE_BYTES 4000
#define EVENT_BYTES 4000

struct thing {
    char bytes[16 << 10];
};

WEFT_OBJECTS(things, struct thing, 64);
WEFT_CACHE(values, .entries_max = 512, .bytes_max = 2 << 20, .policy = WEFT_CACHE_LRU);
WEFT_CHANNEL(news, .events = 256, .event_bytes = 4096);

/* One more that is never given back. */
static weft_rc take(weft_req *rq)
{
    weft_handle handle;
    struct thing *thing = weft_object_take(things, &handle);
    if (thing == NULL)
        return WEFT_EFULL;
    memset(thing, 'x', sizeof(*thing));
    return weft_text(rq, 200, WEFT_S("taken"));
}

static weft_rc make(weft_req *rq, weft_str key, void *arg, weft_cache_value *out)
{
    (void)key;
    (void)arg;
    char *value = weft_alloc(rq, VALUE_BYTES);
    if (value == NULL)
        return WEFT_ENOMEM;
    out->body = (weft_str){memset(value, 'v', VALUE_BYTES), VALUE_BYTES};
    return WEFT_OK;
}

static weft_rc cached(weft_req *rq)
{
    return weft_cache_reply(rq, &values, weft_param(rq, "key"), make, NULL);
}

static weft_rc listen(weft_req *rq)
{
    return weft_subscribe(rq, &news);
}

static weft_rc publish(weft_req *rq)
{
    char text[EVENT_BYTES];
    memset(text, 'e', sizeof(text));
    WEFT_TRY(weft_publish(&news, WEFT_EVENT(.data = {text, sizeof(text)})));
    return weft_text(rq, 200, WEFT_S("told"));
}

/* Text that takes a coder's tables, more than a client takes that does not read. */
static weft_rc coded(weft_req *rq)
{
    uint32_t seed = 1;
    WEFT_TRY(weft_begin(rq, 200, WEFT_S("text/plain")));
    for (size_t sent = 0; sent < 16 * (size_t)SEND_BYTES; sent += PIECE_BYTES) {
        char text[PIECE_BYTES];
        for (size_t i = 0; i < sizeof(text); i++) {
            seed = seed * 1103515245 + 12345;
            text[i] = (char)('a' + (seed >> 16) % 26);
        }
        WEFT_TRY(weft_write(rq, (weft_str){text, sizeof(text)}));
    }
    return weft_end(rq);
}

static void add_bodies(weft_app *app)
{
    weft_app_objects(app, things);
    weft_app_cache(app, values);
    weft_app_channel(app, &news);
    weft_get(app, "/take", take);
    weft_get(app, "/cache/{key}", cached);
    weft_get(app, "/events", listen);
    weft_get(app, "/publish", publish);
    weft_get(app, "/coded", coded);
    weft_static(app, "/static/", "", WEFT_STATIC_OPTS(.listing = false));
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", hello);
    weft_get(app, "/all", all);
    weft_get(app, "/threads", threads);
    add_bodies(app);
    return weft_main(app, argc, argv);
}
