/* service.c - see service.h. */
#include "http/service.h"
#include "base/log.h"
#include "http/hold.h"

weft_rc weft_service_init(struct weft_service *service, const struct weft_site *site,
                          struct weft_loop *loop)
{
    *service = (struct weft_service){.site = site, .loop = loop, .prefix_s = UINT64_MAX};
    WEFT_TRY(weft_usage_init(&service->usage, site->route_count));
    return weft_router_scratch_create(site->router, &service->scratch);
}

void weft_service_fini(struct weft_service *service)
{
    weft_router_scratch_destroy(service->scratch);
    service->scratch = NULL;
    weft_usage_fini(&service->usage);
}

static size_t put(char *to, size_t at, weft_str text)
{
    memcpy(to + at, text.ptr, text.len);
    return at + text.len;
}

static WEFT_COLD void make_prefix(struct weft_service *service)
{
    const struct weft_clock *clock = &service->loop->clock;
    weft_str server = service->site->server;
    weft_assert(server.len <= 64);
    size_t at = put(service->prefix, 0, WEFT_S("HTTP/1.1 200 OK\r\n"));
    service->prefix_status_len = (uint16_t)at;
    if (server.len > 0) {
        at = put(service->prefix, at, WEFT_S("Server: "));
        at = put(service->prefix, at, server);
        at = put(service->prefix, at, WEFT_S("\r\n"));
    }
    at = put(service->prefix, at, WEFT_S("Date: "));
    at = put(service->prefix, at, weft_str_z(clock->date));
    at = put(service->prefix, at, WEFT_S("\r\n"));
    weft_assert(at <= sizeof(service->prefix));
    service->prefix_len = (uint16_t)at;
    service->prefix_s = clock->wall_s;
}

weft_str weft_service_prefix(struct weft_service *service)
{
    if (WEFT_UNLIKELY(service->prefix_s != service->loop->clock.wall_s))
        make_prefix(service);
    return weft_str_make(service->prefix, service->prefix_len);
}

/* ---- routing ---- */

/* Decoded once; a path without '%' is used where it lies. */
static weft_rc decode_path(weft_req *rq)
{
    rq->path = weft_span_str(rq->base, rq->head.path);
    if (WEFT_LIKELY(!(rq->head.flags & WEFT_HEAD_PATH_ESCAPED)))
        return 0;
    char *decoded = weft_alloc(rq, rq->path.len);
    if (decoded == NULL)
        return WEFT_ENOMEM;
    size_t len = 0;
    if (weft_path_decode(decoded, rq->path, &len) != 0)
        return WEFT_ESYNTAX;
    rq->path = weft_str_make(decoded, len);
    return 0;
}

/* Allow: every method that the path has (RFC 9110 10.2.1); OPTIONS always, the server answers it.
 */
static weft_rc set_allow(weft_req *rq, uint32_t allow)
{
    char *text = weft_alloc(rq, 512);
    if (text == NULL)
        return WEFT_ENOMEM;
    size_t at = 0;
    allow |= 1u << WEFT_OPTIONS;
    for (uint32_t bit = 0; bit < 32; bit++) {
        weft_str name = weft_router_method_name(rq->service->site->router, bit);
        if (!(allow >> bit & 1) || name.len == 0 || at + name.len + 2 > 512)
            continue;
        if (at > 0)
            at = put(text, at, WEFT_S(", "));
        at = put(text, at, name);
    }
    return weft_set_header(rq, WEFT_S("Allow"), weft_str_make(text, at));
}

static weft_rc not_found(weft_req *rq)
{
    return weft_text(rq, 404, WEFT_S("Not Found"));
}

static weft_rc wrong_method(weft_req *rq)
{
    WEFT_TRY(set_allow(rq, rq->match.allow));
    if (rq->head.method == WEFT_OPTIONS)
        return weft_status(rq, 204);
    return weft_text(rq, 405, WEFT_S("Method Not Allowed"));
}

/* OPTIONS *: about the server as a whole (RFC 9110 9.3.7). */
static weft_rc options_server(weft_req *rq)
{
    WEFT_TRY(set_allow(rq, 1u << WEFT_GET | 1u << WEFT_HEAD | 1u << WEFT_POST | 1u << WEFT_PUT |
                               1u << WEFT_DELETE | 1u << WEFT_PATCH));
    return weft_status(rq, 204);
}

/* The handler, and the route whose rules apply. */
static weft_handler_fn find(weft_req *rq)
{
    const struct weft_site *site = rq->service->site;
    rq->route = &site->fallback;
    if (rq->head.flags & WEFT_HEAD_ASTERISK)
        return options_server;
    enum weft_match_rc rc =
        weft_router_match(site->router, rq->service->scratch, rq->head.method,
                          weft_span_str(rq->base, rq->head.method_name), rq->path, &rq->match);
    if (WEFT_LIKELY(rc == WEFT_MATCH_OK)) {
        rq->route = rq->match.route;
        return rq->route->handler;
    }
    if (rc == WEFT_MATCH_METHOD)
        return wrong_method;
    if (rc == WEFT_MATCH_LIMIT)
        weft_loop_count(rq->loop, WEFT_COUNTER_ROUTER_REGEX_LIMIT);
    return not_found;
}

/* ---- running ---- */

static void late(struct weft_timer *timer)
{
    weft_req *rq = WEFT_CONTAINER_OF(timer, weft_req, deadline);
    rq->timed = false;
    weft_loop_count(rq->loop, WEFT_COUNTER_TIMEOUTS_REQUEST);
    weft_req_cancel(rq, WEFT_EDEADLINE);
}

/* Memory is short: what runs shall end, and nothing be added to it. */
static bool shed(const weft_req *rq)
{
    return weft_limits_relief(rq->loop->limits) >= WEFT_RELIEF_SHED && !rq->route->vital;
}

/* Does the head say how long the body is? One without either field has none (RFC 9112 6.3); methods
 * that are sent with a body say so even of an empty one (RFC 9110 8.6). */
static bool announces(const weft_req *rq)
{
    return (rq->head.flags & WEFT_HEAD_HAS_LENGTH) != 0;
}

/* The route's rules: memory is promised before anything runs, so that it cannot fail half-way. */
static weft_rc admit(weft_req *rq)
{
    const struct weft_route *route = rq->route;
    if (WEFT_UNLIKELY(shed(rq))) {
        weft_loop_count(rq->loop, WEFT_COUNTER_SHED_RELIEF);
        return WEFT_EBUDGET;
    }
    size_t more = route->memory_bytes > rq->promised ? route->memory_bytes - rq->promised : 0;
    if (WEFT_UNLIKELY(weft_chunks_reserve(&rq->loop->chunks, more, route->heap_bytes) != 0)) {
        weft_loop_count(rq->loop, WEFT_COUNTER_SHED_MEMORY);
        return WEFT_EBUDGET;
    }
    weft_req_promised(rq, more, route->heap_bytes);
    weft_arena_expect(&rq->arena,
                      weft_histories_first_class(&rq->service->histories, route->index));
    rq->body_max = route->body_bytes_max;
    if (WEFT_UNLIKELY(rq->head.content_length > rq->body_max)) {
        weft_loop_count(rq->loop, WEFT_COUNTER_BODY_TOO_LARGE);
        return WEFT_ELIMIT;
    }
    if (WEFT_UNLIKELY(route->body_length && !announces(rq))) {
        weft_loop_count(rq->loop, WEFT_COUNTER_LENGTH_MISSING);
        return WEFT_ELENGTH;
    }
    if (WEFT_UNLIKELY(route->deadline_ms != 0)) {
        rq->deadline = (struct weft_timer){.fire = late};
        rq->timed = true;
        weft_timer_arm(&rq->loop->wheel, &rq->deadline, rq->loop->now_ms + route->deadline_ms);
    }
    return 0;
}

/* The reason of a 500 stands in no answer: whoever wrote the handler looks for it here. */
static void tell(const weft_req *rq, const char *what_z)
{
    WEFT_LOG_LIMITED(10, WEFT_LOG_WARN, "route %.*s: %s: 500", (int)rq->route->pattern.len,
                     rq->route->pattern.ptr, what_z);
}

static void failed(weft_req *rq, weft_rc rc)
{
    bool gone = rc == WEFT_ECANCELED || rc == WEFT_ECLOSED;
    if (rc != WEFT_ECANCELED)
        weft_loop_count(rq->loop, WEFT_COUNTER_HANDLER_ERRORS);
    if (!gone && !weft_req_answered(rq) && weft_rc_status(rc) == 500)
        tell(rq, weft_rc_text(rc));
    weft_req_fail(rq, rc);
}

/* A small promise before the route is known, for a path to decode. */
static weft_rc reserve_first(weft_req *rq)
{
    size_t first = rq->service->site->fallback.memory_bytes;
    if (weft_chunks_reserve(&rq->loop->chunks, first, 0) != 0) {
        weft_loop_count(rq->loop, WEFT_COUNTER_SHED_MEMORY);
        return WEFT_EBUDGET;
    }
    weft_req_promised(rq, first, 0);
    return 0;
}

/* Path, route, promise: what must be right before a handler runs. */
static weft_rc prepare(weft_req *rq, weft_handler_fn *out_handler)
{
    if (WEFT_UNLIKELY(rq->head.flags & WEFT_HEAD_PATH_ESCAPED) && rq->promised == 0)
        WEFT_TRY(reserve_first(rq));
    WEFT_TRY(decode_path(rq));
    *out_handler = find(rq);
    weft_req_use(rq, weft_usage_of(&rq->service->usage, rq->route->index));
    return admit(rq);
}

weft_rc weft_service_handle(weft_req *rq)
{
    weft_handler_fn handler = NULL;
    weft_rc rc = prepare(rq, &handler);
    if (WEFT_UNLIKELY(rc != 0)) {
        weft_req_fail(rq, rc);
        return 0;
    }
    weft_hold_begin(rq);
    rc = weft_chain_run(&rq->route->chain, rq, handler, failed);
    weft_hold_end(rq);
    if (WEFT_UNLIKELY(!weft_req_answered(rq))) {
        weft_loop_count(rq->loop, WEFT_COUNTER_HANDLER_SILENT);
        tell(rq, "its handler answered nothing");
        weft_req_fail(rq, WEFT_ESTATE);
        return 0;
    }
    if (rq->body_kind == WEFT_BODY_STREAM && !rq->ended)
        return rc < 0 ? rc : weft_end(rq);
    if (WEFT_UNLIKELY(rq->service->filter != NULL))
        return rq->service->filter->whole(rq);
    return 0;
}

weft_str weft_setting(const weft_req *rq, const char *name_z)
{
    const struct weft_site *site = rq->service->site;
    return site->setting == NULL ? (weft_str){0} : site->setting(site, name_z);
}
