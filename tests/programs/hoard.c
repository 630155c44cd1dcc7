/* hoard.c - a server for tests/e2e/pressure_test.py: a module that takes memory behind Weft's back.
 */
#include <weft/weft.h>
#include <stdatomic.h>
#include <sys/mman.h>

static void *_Atomic hoard;
static _Atomic size_t hoard_bytes;

/* /hoard?kb=N: N KiB, touched, instead of what it had before; the ledger knows nothing of it. */
static weft_rc hoarding(weft_req *rq)
{
    size_t bytes = weft_query_u64(rq, WEFT_S("kb"), 0) << 10;
    void *old = atomic_exchange(&hoard, NULL);
    if (old != NULL)
        munmap(old, hoard_bytes);
    if (bytes > 0) {
        void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED)
            return WEFT_ENOMEM;
        hoard_bytes = bytes;
        atomic_store(&hoard, memory);
    }
    return weft_text(rq, 200, WEFT_S("done"));
}

static weft_rc hello(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("hello"));
}

static weft_rc nap(weft_req *rq)
{
    WEFT_TRY(weft_sleep_ms(rq, weft_query_u64(rq, WEFT_S("ms"), 100)));
    return weft_text(rq, 200, WEFT_S("slept"));
}

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_route(app, "GET", "/hoard", hoarding, WEFT_ROUTE_OPTS(.vital = true));
    weft_route(app, "GET", "/health", hello, WEFT_ROUTE_OPTS(.vital = true));
    weft_get(app, "/", hello);
    weft_get(app, "/nap", nap);
    return weft_main(app, argc, argv);
}
