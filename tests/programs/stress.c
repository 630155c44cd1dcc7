/* stress.c - a server for tests/mem/plan_test.py, churn_test.py and bench/stress.py: a handler that
 * takes of each part as much as a request may, and one that takes pieces of all sizes.
 */
#include <weft/weft.h>
#include <stdatomic.h>
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

/* ---- churn: pieces of 16 bytes to 64 KiB, each size as likely as its double ---- */

static _Atomic size_t live; /* bytes asked for by those who hold them now */
static _Atomic uint64_t seed = 1;

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static size_t churn_bytes(uint64_t *state)
{
    size_t least = (size_t)16 << next_random(state) % 12;
    return least + next_random(state) % least;
}

static weft_rc churn(weft_req *rq)
{
    uint64_t state = atomic_fetch_add(&seed, 1) * 7919;
    uint64_t most = weft_query_u64(rq, WEFT_S("ms"), 100);
    size_t held = 0, target = churn_bytes(&state) * 4;
    while (held < target) {
        size_t bytes = churn_bytes(&state);
        char *piece = weft_alloc(rq, bytes);
        if (piece == NULL)
            break;
        memset(piece, 'x', bytes);
        held += bytes;
    }
    atomic_fetch_add(&live, held);
    weft_rc rc = weft_sleep_ms(rq, most / 4 + next_random(&state) % (most + 1));
    atomic_fetch_sub(&live, held);
    WEFT_TRY(rc);
    return weft_text(rq, 200, WEFT_S("churned"));
}

static weft_rc tell_live(weft_req *rq)
{
    weft_str text = weft_format(rq, "%zu", (size_t)live);
    return text.ptr == NULL ? WEFT_ENOMEM : weft_text(rq, 200, text);
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

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", hello);
    weft_get(app, "/all", all);
    weft_get(app, "/threads", threads);
    weft_route(app, "GET", "/churn", churn, WEFT_ROUTE_OPTS(.memory = 512 << 10));
    weft_get(app, "/live", tell_live);
    return weft_main(app, argc, argv);
}
