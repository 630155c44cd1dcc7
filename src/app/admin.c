/* admin.c - what the admin listener answers. Its handlers run on the main thread and read other
 * threads' counters and accounts, never their loops. */
#include "app/allocator.h"
#include "app/server.h"
#include "ops/report.h"
#include "ops/top.h"
#include <weft/weft.h>

/* Figures of 256 workers (32 KiB for their accounts), rows of 256 routes (40 KiB); the longest text
 * that is built whole. The admin's arenas are a MiB (app/plan.c). */
#define ADMIN_MEMORY_BYTES ((size_t)128 << 10)
#define ADMIN_JSON_BYTES   ((size_t)512 << 10)
#define PAGE_TYPE          WEFT_S("text/plain; charset=utf-8")

/* ---- who asks for memory ---- */

struct top_figures {
    struct weft_top_source source;
    struct weft_top top;
    struct weft_top_name names[WEFT_USAGE_ROUTES_MAX];
    struct weft_top_row rows[WEFT_TOP_ROWS_MAX];
    const struct weft_usage *workers[]; /* one per worker; not the admin's own */
};

static struct top_figures *top_source(weft_req *rq)
{
    const struct weft_server *server = weft_user(rq);
    size_t workers = server->plan->workers;
    struct top_figures *f = weft_alloc(rq, sizeof(*f) + workers * sizeof(void *));
    if (f == NULL)
        return NULL;
    for (size_t i = 0; i < workers; i++)
        f->workers[i] = &server->workers[i].service.usage;
    size_t count = 0;
    for (const struct weft_app_route *r = server->app->routes; r != NULL; r = r->next) {
        if (r->route.index >= WEFT_USAGE_ROUTES_MAX)
            continue;
        f->names[r->route.index] = (struct weft_top_name){r->route.method, r->route.pattern};
        count++;
    }
    f->source = (struct weft_top_source){f->workers, workers, f->names, count};
    return f;
}

struct figures {
    struct weft_server *server;
    struct weft_metrics_source source;
    struct weft_reality reality;
    struct weft_metrics_term terms[WEFT_PLAN_TERMS_MAX];
    struct weft_owner owners[WEFT_OWNERS_MAX + 3];
    const struct weft_upstream *upstreams[1];
    const struct weft_loop **loops; /* room for one per worker, and the admin's */
    size_t *held;                   /* room for one per account */
};

/* A loop's mappings may be looked at once it is open; those that are stay so while this loop runs.
 */
static size_t open_loops(const struct weft_server *server, const struct weft_loop **loops)
{
    size_t count = 0;
    for (uint32_t i = 0; i < server->plan->workers; i++)
        if (atomic_load(&server->workers[i].state) == WEFT_WORKER_RUNNING)
            loops[count++] = &server->workers[i].loop;
    loops[count++] = &server->admin.loop;
    return count;
}

static size_t upstreams_of(const struct weft_server *server, const struct weft_upstream **out)
{
    size_t count = 0;
    if (server->redis != NULL)
        out[count++] = weft_redis_upstream(server->redis);
    return count;
}

static size_t terms_of(const struct weft_plan *plan, struct weft_metrics_term *out)
{
    for (uint32_t i = 0; i < plan->term_count; i++)
        out[i] = (struct weft_metrics_term){plan->terms[i].name_z, plan->terms[i].formula,
                                            plan->terms[i].bytes, plan->terms[i].elastic};
    return plan->term_count;
}

/* On the thread's own stack: reading files takes more of it than a handler has. */
static void read_figures(void *arg)
{
    struct figures *f = arg;
    struct weft_server *server = f->server;
    size_t loops = open_loops(server, f->loops);
    f->source = (struct weft_metrics_source){
        .workers = server->metrics,
        .worker_count = server->plan->workers + 1,
        .ledger = &server->ledger,
        .reality = &f->reality,
        .owners = f->owners,
        .engine_z = server->plan->engine->name_z,
        .terms = f->terms,
        .term_count = terms_of(server->plan, f->terms),
        .plan_bytes = server->plan->total,
        .limit_source_z = server->plan->limit_source,
        .connections_max = server->share.max,
        .upstreams = f->upstreams,
        .upstream_count = upstreams_of(server, f->upstreams),
        .settle = &server->warden.settle,
        .limits = &server->warden.limits,
        .purge = &server->purger.purge,
        .ready = !server->draining && weft_warden_ready(&server->warden),
    };
    for (uint32_t i = 0; i < server->plan->workers; i++)
        f->source.stack_high_water = WEFT_MAX(
            f->source.stack_high_water, weft_tasks_high_water(&server->workers[i].loop.tasks));
    weft_reality_read(&f->reality, "", &server->ledger, f->loops, loops, f->held);
}

static weft_rc put(void *rq, weft_str piece)
{
    return weft_write(rq, piece);
}

/* As a stream: it is as long as there are workers and routes, and never cut. */
static weft_rc answer(weft_req *rq, weft_str type,
                      weft_rc (*write)(const struct weft_metrics_source *, weft_text_put *, void *))
{
    struct weft_server *server = weft_user(rq);
    struct figures *f = weft_alloc(rq, sizeof(*f));
    const struct weft_loop **loops =
        weft_alloc(rq, (server->plan->workers + 1) * sizeof(const struct weft_loop *));
    size_t *held = weft_alloc(rq, server->ledger.account_count * sizeof(*held));
    struct top_figures *top = top_source(rq);
    if (f == NULL || loops == NULL || held == NULL || top == NULL)
        return WEFT_ENOMEM;
    f->server = server;
    f->loops = loops;
    f->held = held;
    weft_task_on_worker(&server->admin.loop.tasks, read_figures, f);
    weft_top_read(&top->top, &top->source, WEFT_TOP_ROUTE, top->rows);
    f->source.routes = &top->top;
    f->source.names = &top->source;
    WEFT_TRY(weft_begin(rq, 200, type));
    return write(&f->source, put, rq);
}

static weft_rc metrics(weft_req *rq)
{
    return answer(rq, WEFT_S("text/plain; version=0.0.4"), weft_metrics_text);
}

static weft_rc memory(weft_req *rq)
{
    weft_str format = weft_query_param(rq, WEFT_S("format"));
    if (weft_equal(format, WEFT_S("text")))
        return answer(rq, PAGE_TYPE, weft_report_page);
    if (format.len == 0 || weft_equal(format, WEFT_S("json")))
        return answer(rq, WEFT_S("application/json"), weft_report_json);
    return weft_fail(rq, 400, WEFT_S("format: json or text\n"));
}

static void learned_route(weft_json *json, const struct weft_route *route,
                          const struct weft_history_sum *sum)
{
    struct weft_history_prediction p;
    weft_history_predict(sum, &p);
    const struct {
        const char *name_z;
        uint64_t value;
    } figures[] = {{"cap", route->memory_bytes},
                   {"seen", sum->seen},
                   {"p50", p.p50},
                   {"p99", p.p99},
                   {"p999", p.p999},
                   {"peak", sum->peak},
                   {"first_chunk", weft_chunk_bytes(p.first_class)},
                   {"proposed", weft_history_propose(sum)}};
    weft_json_object(json);
    weft_json_key(json, WEFT_S("method"));
    weft_json_str(json, route->method);
    weft_json_key(json, WEFT_S("route"));
    weft_json_str(json, route->pattern);
    for (size_t i = 0; i < WEFT_COUNT_OF(figures); i++) {
        weft_json_key(json, weft_str_z(figures[i].name_z));
        weft_json_u64(json, figures[i].value);
    }
    weft_json_key(json, WEFT_S("strategy"));
    weft_json_str(json, weft_str_z(weft_history_strategy_name(p.strategy)));
    weft_json_end_object(json);
}

/* What the routes' requests needed, and what follows from it. */
static weft_rc learned(weft_req *rq)
{
    const struct weft_server *server = weft_user(rq);
    struct weft_history_sum *sum = weft_alloc(rq, sizeof(*sum));
    weft_json json;
    if (sum == NULL)
        return WEFT_ENOMEM;
    WEFT_TRY(weft_json_begin(rq, &json, ADMIN_JSON_BYTES / 5));
    weft_json_array(&json);
    for (const struct weft_app_route *at = server->app->routes; at != NULL; at = at->next) {
        weft_learned_sum(&server->learned, &at->route, sum);
        if (sum->total > 0)
            learned_route(&json, &at->route, sum);
    }
    weft_json_end_array(&json);
    return weft_json_send(rq, 200, &json);
}

/* ---- /memory/top ---- */

static weft_rc memory_top(weft_req *rq)
{
    weft_str by = weft_query_param(rq, WEFT_S("by"));
    weft_str format = weft_query_param(rq, WEFT_S("format"));
    size_t n = (size_t)weft_query_u64(rq, WEFT_S("n"), 20);
    bool site = weft_equal(by, WEFT_S("site")), text = weft_equal(format, WEFT_S("text"));
    if (!site && by.len > 0 && !weft_equal(by, WEFT_S("route")))
        return weft_fail(rq, 400, WEFT_S("by: route or site\n"));
    if (!text && format.len > 0 && !weft_equal(format, WEFT_S("json")))
        return weft_fail(rq, 400, WEFT_S("format: json or text\n"));
    struct top_figures *f = top_source(rq);
    if (f == NULL)
        return WEFT_ENOMEM;
    weft_top_read(&f->top, &f->source, site ? WEFT_TOP_SITE : WEFT_TOP_ROUTE, f->rows);
    WEFT_TRY(weft_begin(rq, 200, text ? PAGE_TYPE : WEFT_S("application/json")));
    return (text ? weft_top_page : weft_top_json)(&f->top, &f->source, n, put, rq);
}

/* ---- what is there ---- */

static weft_rc contents(weft_req *rq)
{
    return weft_text(
        rq, 200,
        WEFT_S(
            "GET   /memory?format=text           the plan, who holds what, why it is not less\n"
            "GET   /memory                       the same as JSON\n"
            "GET   /memory/top?format=text       which routes ask for memory\n"
            "        &by=site  &n=20             which places in the program; how many rows\n"
            "GET   /memory/learned               what requests of each route needed, as JSON\n"
            "POST  /memory/decay?dirty_ms=N      how long jemalloc keeps free pages; muzzy_ms=N\n"
            "POST  /memory/purge                 malloc gives its free pages back now\n"
            "GET   /metrics                      counters and figures, for Prometheus\n"
            "GET   /healthz                      ok while this listener answers\n"
            "GET   /readyz                       ready; 503 while draining or short of memory\n"));
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
    if (atomic_load(&server->warden.limits.withheld) > 0)
        return weft_text(rq, 503, WEFT_S("the cgroup's limit is below the plan\n"));
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
    weft_get(app, "/", contents);
    weft_route(app, "GET", "/metrics", metrics, WEFT_ROUTE_OPTS(.memory = ADMIN_MEMORY_BYTES));
    weft_route(app, "GET", "/memory", memory, WEFT_ROUTE_OPTS(.memory = ADMIN_MEMORY_BYTES));
    weft_route(app, "GET", "/memory/top", memory_top,
               WEFT_ROUTE_OPTS(.memory = ADMIN_MEMORY_BYTES));
    weft_route(app, "GET", "/memory/learned", learned, WEFT_ROUTE_OPTS(.memory = ADMIN_JSON_BYTES));
    weft_get(app, "/healthz", healthz);
    weft_get(app, "/readyz", readyz);
    weft_allocator_routes(app);
    return app;
}
