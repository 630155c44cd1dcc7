/* stress.c - a server for tests/mem/plan_test.py and bench/stress.py: a handler that takes of each
 * part as much as a request may.
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

int main(int argc, char **argv)
{
    weft_app *app = weft_app_new();
    weft_get(app, "/", hello);
    weft_get(app, "/all", all);
    weft_get(app, "/threads", threads);
    return weft_main(app, argc, argv);
}
