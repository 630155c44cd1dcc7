/* demo_burst.c - a peak on demand: /burst?mb=16&hold=500&via=malloc builds a list of small objects,
 * holds it for a while, and answers. How much of a peak goes back to the system afterwards, and how
 * soon, is what differs between an arena and an allocator, and between one allocator and another.
 */
#include "demo.h"
#include <stdlib.h>
#include <string.h>

#define MB              ((size_t)1 << 20)
#define BURST_MB_MAX    16
#define HOLD_MS_MAX     60000
#define OBJECT_MIN_LOG2 6 /* objects of 64, 128, 256, 512, 1,024 bytes in turn */
#define OBJECT_SIZES    5

/* What a MB takes beyond itself: of malloc 16 bytes a piece, which is 4 %; of an arena the ends of
 * chunks, and this request's own few hundred bytes. */
#define HEAP_OVERHEAD_BYTES  ((size_t)47 << 10)
#define ARENA_OVERHEAD_BYTES ((size_t)52 << 10)

struct object {
    struct object *next;
    char payload[];
};

struct burst {
    weft_req *rq;
    bool heap;
    struct object *objects;
    size_t count;
    size_t bytes;
};

static void free_all(void *arg)
{
    struct burst *burst = arg;
    while (burst->objects != NULL) {
        struct object *next = burst->objects->next;
        free(burst->objects);
        burst->objects = next;
    }
}

/* Others have their turn after each MB: a worker that is busy for long hears nobody. */
static weft_rc build(struct burst *burst, size_t total)
{
    for (size_t turn = MB; burst->bytes < total;) {
        if (burst->bytes >= turn) {
            turn += MB;
            WEFT_TRY(weft_sleep_ms(burst->rq, 0));
        }
        size_t bytes = (size_t)1 << (OBJECT_MIN_LOG2 + burst->count % OBJECT_SIZES);
        struct object *object = burst->heap ? malloc(bytes) : weft_alloc(burst->rq, bytes);
        if (object == NULL)
            return WEFT_ENOMEM;
        memset(object->payload, (int)burst->count, bytes - sizeof(*object));
        object->next = burst->objects;
        burst->objects = object;
        burst->count++;
        burst->bytes += bytes;
    }
    return WEFT_OK;
}

static weft_rc run(weft_req *rq, size_t total, uint64_t hold_ms, bool heap)
{
    if (heap) /* is said beforehand, so that the arena is what is left */
        WEFT_TRY(weft_charge(rq, total / MB * (MB + HEAP_OVERHEAD_BYTES)));
    struct burst *burst = weft_alloc(rq, sizeof(*burst));
    if (burst == NULL)
        return WEFT_ENOMEM;
    *burst = (struct burst){.rq = rq, .heap = heap};
    if (heap)
        WEFT_TRY(weft_defer(rq, free_all, burst)); /* whatever becomes of the request */
    WEFT_TRY(build(burst, total));
    WEFT_TRY(weft_sleep_ms(rq, hold_ms));
    if (heap)
        free_all(burst); /* what is still there after the answer is the allocator's, not ours */
    weft_str text = weft_format(rq, "%zu bytes in %zu objects, %s\n", burst->bytes, burst->count,
                                heap ? "malloc" : "arena");
    return text.ptr == NULL ? WEFT_ENOMEM : weft_text(rq, 200, text);
}

/* A number of the query; stays what it is when absent. */
static bool number(weft_req *rq, weft_str name, uint64_t low, uint64_t high, uint64_t *value)
{
    if (weft_query_param(rq, name).ptr == NULL)
        return true;
    *value = weft_query_u64(rq, name, UINT64_MAX);
    return *value >= low && *value <= high;
}

static weft_rc burst(weft_req *rq)
{
    uint64_t mb = 1, hold_ms = 500;
    weft_str via = weft_query_param(rq, WEFT_S("via"));
    bool heap = weft_equal(via, WEFT_S("malloc"));
    if (!number(rq, WEFT_S("mb"), 1, BURST_MB_MAX, &mb))
        return weft_fail(rq, 400, WEFT_S("mb: not a number from 1 to 16\n"));
    if (!number(rq, WEFT_S("hold"), 0, HOLD_MS_MAX, &hold_ms))
        return weft_fail(rq, 400, WEFT_S("hold: not a number of milliseconds, 60000 at most\n"));
    if (via.ptr != NULL && !heap && !weft_equal(via, WEFT_S("arena")))
        return weft_fail(rq, 400, WEFT_S("via: neither arena nor malloc\n"));
    return run(rq, mb * MB, hold_ms, heap);
}

void weft_demo_burst(weft_app *app)
{
    weft_route(app, "GET", "/burst", burst,
               WEFT_ROUTE_OPTS(.memory = BURST_MB_MAX * (MB + ARENA_OVERHEAD_BYTES),
                               .heap = BURST_MB_MAX * (MB + HEAP_OVERHEAD_BYTES)));
}
