/* churn.c - a server for tests/mem/churn_test.py: requests hold pieces of 16 bytes to 64 KiB, each
 * size as likely as its double, for random times.
 */
#include <weft/weft.h>
#include <stdatomic.h>
#include <string.h>

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

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_route(app, "GET", "/churn", churn, WEFT_ROUTE_OPTS(.memory = 512 << 10));
    weft_get(app, "/live", tell_live);
    return weft_main(app, argc, argv);
}
