/* admin.c - what the admin listener answers. Its handlers run on the main thread and read other
 * threads' counters and accounts, never their loops. */
#include "app/server.h"
#include <weft/weft.h>

#define ADMIN_MEMORY_BYTES ((size_t)1 << 20)

static struct weft_metrics_source source_of(struct weft_server *server)
{
    struct weft_metrics_source source = {
        .workers = server->metrics,
        .worker_count = server->plan->workers + 1,
        .ledger = &server->ledger,
        .engine_z = server->plan->engine->name_z,
        .plan_bytes = server->plan->total,
        .connections_max = server->share.max,
        .settle = &server->warden.settle,
        .limits = &server->warden.limits,
        .ready = !server->draining && weft_warden_ready(&server->warden),
    };
    for (uint32_t i = 0; i < server->plan->workers; i++)
        source.stack_high_water = WEFT_MAX(source.stack_high_water,
                                           weft_tasks_high_water(&server->workers[i].loop.tasks));
    return source;
}

/* Measured, then written: the figures may grow by a digit in between. */
static weft_rc answer(weft_req *rq, weft_str type,
                      size_t (*write)(const struct weft_metrics_source *, char *, size_t))
{
    struct weft_metrics_source source = source_of(weft_user(rq));
    size_t room = write(&source, NULL, 0) + 4096;
    char *text = weft_alloc(rq, room);
    if (text == NULL)
        return WEFT_ENOMEM;
    size_t len = write(&source, text, room);
    return weft_reply(rq, 200, type, weft_str_make(text, WEFT_MIN(len, room)));
}

static weft_rc metrics(weft_req *rq)
{
    return answer(rq, WEFT_S("text/plain; version=0.0.4"), weft_metrics_text);
}

static weft_rc memory(weft_req *rq)
{
    return answer(rq, WEFT_S("application/json"), weft_metrics_memory);
}

static weft_rc healthz(weft_req *rq)
{
    return weft_text(rq, 200, WEFT_S("ok\n"));
}

static weft_rc readyz(weft_req *rq)
{
    const struct weft_server *server = weft_user(rq);
    if (server->draining)
        return weft_text(rq, 503, WEFT_S("draining\n"));
    if (!weft_warden_ready(&server->warden))
        return weft_text(rq, 503, WEFT_S("short of memory\n"));
    return weft_text(rq, 200, WEFT_S("ready\n"));
}

weft_app *weft_admin_app(struct weft_server *server)
{
    weft_app *app = weft_app_new();
    if (app == NULL)
        return NULL;
    weft_app_user(app, server);
    weft_route(app, "GET", "/metrics", metrics, WEFT_ROUTE_OPTS(.memory = ADMIN_MEMORY_BYTES));
    weft_route(app, "GET", "/memory", memory, WEFT_ROUTE_OPTS(.memory = ADMIN_MEMORY_BYTES));
    weft_get(app, "/healthz", healthz);
    weft_get(app, "/readyz", readyz);
    return app;
}
