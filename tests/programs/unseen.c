/* unseen.c - a server for tests/e2e/memory_test.py: handlers that hold memory which Weft is told
 * of, and memory which it is not. */
#include <weft/weft.h>
#include <string.h>
#include <sys/mman.h>

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("hello"));
}

/* What a library might do: a mapping of its own, touched, kept. */
static weft_rc unseen(weft_req *rq)
{
    size_t bytes = (size_t)weft_query_u64(rq, WEFT_S("mb"), 20) << 20;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return WEFT_ENOMEM;
    memset(memory, 1, bytes);
    return weft_text(rq, 200, WEFT_S("nobody knows"));
}

/* `n` allocations of `size` bytes at one place of the program, and as many of a few bytes at
 * another; then it waits `ms`. */
static weft_rc seen(weft_req *rq)
{
    uint64_t n = weft_query_u64(rq, WEFT_S("n"), 1);
    size_t size = (size_t)weft_query_u64(rq, WEFT_S("size"), 1000);
    for (uint64_t i = 0; i < n; i++) {
        char *one = weft_alloc(rq, size);
        weft_str two = weft_dup(rq, WEFT_S("0123456789"));
        if (one == NULL || two.ptr == NULL)
            return WEFT_ENOMEM;
        memset(one, 1, size);
    }
    uint64_t ms = weft_query_u64(rq, WEFT_S("ms"), 0);
    if (ms > 0)
        WEFT_TRY(weft_sleep_ms(rq, ms));
    return weft_text(rq, 200, WEFT_S("in the books"));
}

static weft_rc body(weft_req *rq)
{
    weft_str all;
    WEFT_TRY(weft_body(rq, &all));
    return weft_reply(rq, 200, WEFT_S("application/octet-stream"), all);
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", hello);
    weft_get(app, "/unseen", unseen);
    weft_route(app, "GET", "/seen/{name}", seen, WEFT_ROUTE_OPTS(.memory = (size_t)256 << 10));
    weft_route(app, "POST", "/body", body, WEFT_ROUTE_OPTS(.memory = (size_t)4 << 20));
    return weft_main(app, argc, argv);
}
