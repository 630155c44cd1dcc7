/* app.c - see app.h. Mistakes are kept and told once, when it is started: setting up is a list of
 * plain calls without a result to check. */
#include "app/app.h"
#include "app/mounts.h"
#include "serve/events/channel.h"
#include "app/params.h"
#include "base/fmt.h"
#include "http/middleware.h"
#include "serve/files/mime.h"
#include <stdlib.h>

void weft_app_mistake(weft_app *app, const char *format, ...)
{
    if (app->error[0] != 0)
        return; /* the first one is the one to mend */
    va_list args;
    va_start(args, format);
    size_t len = weft_vfmt(app->error, sizeof(app->error) - 1, format, args);
    app->error[WEFT_MIN(len, sizeof(app->error) - 1)] = 0;
    va_end(args);
}

/* Heap that lives as long as the application. */
static void *keep(weft_app *app, size_t bytes)
{
    struct weft_app_piece *piece = malloc(WEFT_ALIGN_UP(sizeof(*piece), (size_t)16) + bytes);
    if (piece == NULL)
        return NULL;
    piece->next = atomic_load(&app->pieces);
    while (!atomic_compare_exchange_weak(&app->pieces, &piece->next, piece))
        ;
    return (char *)piece + WEFT_ALIGN_UP(sizeof(*piece), (size_t)16);
}

const char *weft_app_keep_z(weft_app *app, const char *text_z)
{
    size_t bytes = strlen(text_z) + 1;
    char *copy = keep(app, bytes);
    return copy == NULL ? "" : memcpy(copy, text_z, bytes);
}

weft_str weft_app_dup(weft_app *app, weft_str text)
{
    char *copy = app == NULL ? NULL : keep(app, text.len);
    if (copy == NULL)
        return (weft_str){0};
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    return weft_str_make(copy, text.len);
}

weft_app *weft_app_new(void)
{
    weft_app *app = calloc(1, sizeof(*app));
    if (app == NULL)
        return NULL;
    if (weft_router_create(&app->router) != 0) {
        free(app);
        return NULL;
    }
    weft_config_defaults(&app->config);
    return app;
}

void weft_app_free(weft_app *app)
{
    if (app == NULL)
        return;
    weft_router_destroy(app->router);
    weft_mime_destroy(app->mime);
    struct weft_app_piece *piece = atomic_load(&app->pieces);
    while (piece != NULL) {
        struct weft_app_piece *next = piece->next;
        free(piece);
        piece = next;
    }
    free(app);
}

const char *weft_app_error(const weft_app *app)
{
    if (app == NULL)
        return "out of memory";
    return app->error[0] == 0 ? NULL : app->error;
}

/* ---- routes ---- */

static void set_opts(weft_app *app, struct weft_route *route, const weft_route_opts *opts)
{
    static const weft_route_opts none = {.size = sizeof(none)};
    if (opts == NULL)
        opts = &none;
    if (opts->size != sizeof(*opts)) {
        weft_app_mistake(app,
                         "route %.*s: options of another version of weft (use WEFT_ROUTE_OPTS)",
                         (int)route->pattern.len, route->pattern.ptr);
        return;
    }
    route->memory_bytes = opts->memory;
    route->heap_bytes = opts->heap;
    route->body_bytes_max = opts->body_unlimited ? UINT64_MAX : opts->body;
    route->deadline_ms = opts->deadline_ms;
    route->vital = opts->vital;
    route->body_length = opts->body_length;
    if (opts->heap > 0 && opts->heap > opts->memory)
        weft_app_mistake(app, "route %.*s: .heap is part of .memory, which must be as large",
                         (int)route->pattern.len, route->pattern.ptr);
    app->memory_max = WEFT_MAX(app->memory_max, opts->memory);
    app->heap_max = WEFT_MAX(app->heap_max, opts->heap);
    app->stack_max = WEFT_MAX(app->stack_max, (size_t)opts->stack);
}

static struct weft_route *add_route(weft_app *app, const struct weft_chain *chain,
                                    const char *method_z, weft_str pattern, weft_handler_fn handler,
                                    const weft_route_opts *opts)
{
    weft_assert(handler != NULL);
    struct weft_app_route *kept = keep(app, sizeof(*kept));
    if (kept == NULL) {
        weft_app_mistake(app, "out of memory at route %.*s", (int)pattern.len, pattern.ptr);
        return NULL;
    }
    kept->next = app->routes;
    app->routes = kept;
    struct weft_route *route = &kept->route;
    *route = (struct weft_route){.handler = handler, .chain = *chain, .pattern = pattern};
    route->method = weft_str_z(weft_app_keep_z(app, method_z));
    route->index = app->route_count++;
    app->route_bytes += sizeof(*kept) + pattern.len;
    set_opts(app, route, opts);
    char why[256] = "";
    enum weft_method method = weft_method_from(route->method);
    weft_rc rc = weft_router_add(app->router, method,
                                 method == WEFT_METHOD_OTHER ? route->method : (weft_str){0},
                                 pattern, route, why, sizeof(why));
    if (rc != 0)
        weft_app_mistake(app, "%s", why);
    return route;
}

struct weft_route *weft_app_add_route(weft_app *app, const char *method_z, weft_str pattern,
                                      weft_handler_fn handler, const weft_route_opts *opts)
{
    return add_route(app, &app->chain, method_z, pattern, handler, opts);
}

void weft_route(weft_app *app, const char *method_z, const char *pattern_z, weft_handler_fn handler,
                const weft_route_opts *opts)
{
    if (app == NULL)
        return;
    (void)add_route(app, &app->chain, method_z, weft_str_z(weft_app_keep_z(app, pattern_z)),
                    handler, opts);
}

void weft_get(weft_app *app, const char *pattern_z, weft_handler_fn handler)
{
    weft_route(app, "GET", pattern_z, handler, NULL);
}

void weft_post(weft_app *app, const char *pattern_z, weft_handler_fn handler)
{
    weft_route(app, "POST", pattern_z, handler, NULL);
}

void weft_put(weft_app *app, const char *pattern_z, weft_handler_fn handler)
{
    weft_route(app, "PUT", pattern_z, handler, NULL);
}

void weft_delete(weft_app *app, const char *pattern_z, weft_handler_fn handler)
{
    weft_route(app, "DELETE", pattern_z, handler, NULL);
}

void weft_patch(weft_app *app, const char *pattern_z, weft_handler_fn handler)
{
    weft_route(app, "PATCH", pattern_z, handler, NULL);
}

/* ---- middleware and groups ---- */

static void use(weft_app *app, struct weft_chain *chain, weft_handler_fn before,
                weft_after_fn after)
{
    if (weft_chain_add(chain, before, after) != 0)
        weft_app_mistake(app, "more than %d middlewares on one route", WEFT_CHAIN_MAX);
}

void weft_use(weft_app *app, weft_handler_fn before, weft_after_fn after)
{
    if (app == NULL)
        return;
    use(app, &app->chain, before, after);
}

void weft_use_request_id(weft_app *app)
{
    if (app == NULL)
        return;
    use(app, &app->chain, weft_request_id_before, NULL);
}

void weft_use_recover(weft_app *app)
{
    if (app == NULL)
        return;
    use(app, &app->chain, NULL, weft_recover_json_after);
}

weft_group *weft_app_group(weft_app *app, const char *prefix_z)
{
    if (app == NULL)
        return NULL;
    if (app->group_count == WEFT_APP_GROUPS_MAX) {
        weft_app_mistake(app, "more than %d route groups, at %s", WEFT_APP_GROUPS_MAX, prefix_z);
        return &app->groups[WEFT_APP_GROUPS_MAX - 1];
    }
    weft_group *group = &app->groups[app->group_count++];
    group->app = app;
    group->prefix = weft_str_z(weft_app_keep_z(app, prefix_z));
    group->chain = app->chain;
    return group;
}

void weft_group_use(weft_group *group, weft_handler_fn before, weft_after_fn after)
{
    if (group != NULL)
        use(group->app, &group->chain, before, after);
}

void weft_group_route(weft_group *group, const char *method_z, const char *pattern_z,
                      weft_handler_fn handler, const weft_route_opts *opts)
{
    if (group == NULL)
        return;
    weft_app *app = group->app;
    size_t len = group->prefix.len + strlen(pattern_z);
    char *pattern = keep(app, len);
    if (pattern == NULL) {
        weft_app_mistake(app, "out of memory at route %s", pattern_z);
        return;
    }
    memcpy(pattern, group->prefix.ptr, group->prefix.len);
    memcpy(pattern + group->prefix.len, pattern_z, len - group->prefix.len);
    (void)add_route(app, &group->chain, method_z, weft_str_make(pattern, len), handler, opts);
}

/* ---- pools of objects ---- */

static const char *wrong_with(const weft_app *app, const weft_objects *objects)
{
    if (objects->size != sizeof(*objects))
        return "is of another version of weft (use WEFT_OBJECTS)";
    if (objects->capacity == 0 || objects->capacity > WEFT_OBJECTS_MAX)
        return "has no objects, or too many";
    if (objects->object_bytes == 0 || objects->object_bytes > WEFT_OBJECT_BYTES_MAX)
        return "has objects of no bytes, or of more than 1 MiB";
    if (objects->init != NULL && objects->reset == NULL)
        return "has an init, but no reset";
    for (uint32_t i = 0; i < app->objects_count; i++)
        if (app->objects[i] == objects)
            return "is there already";
    return app->objects_count == WEFT_APP_OBJECTS_MAX ? "is one too many" : NULL;
}

void weft_app_add_objects(weft_app *app, weft_objects *objects)
{
    if (app == NULL)
        return;
    const char *wrong_z = wrong_with(app, objects);
    if (wrong_z != NULL)
        weft_app_mistake(app, "the pool of objects '%s' %s", objects->name_z, wrong_z);
    else
        app->objects[app->objects_count++] = objects;
}

/* ---- channels ---- */

static const char *wrong_with_channel(const weft_app *app, const weft_channel *channel)
{
    for (uint32_t i = 0; i < app->channels_count; i++)
        if (app->channels[i] == channel)
            return "is there already";
    if (app->channels_count == WEFT_APP_CHANNELS_MAX)
        return "is one too many";
    return weft_channel_wrong(channel);
}

void weft_app_channel(weft_app *app, weft_channel *channel)
{
    if (app == NULL)
        return;
    const char *wrong_z = wrong_with_channel(app, channel);
    if (wrong_z != NULL)
        weft_app_mistake(app, "the channel '%s' %s", channel->name_z, wrong_z);
    else
        app->channels[app->channels_count++] = channel;
}

/* ---- caches ---- */

static const char *wrong_with_cache(const weft_app *app, const weft_cache *cache)
{
    for (uint32_t i = 0; i < app->caches_count; i++)
        if (app->caches[i] == cache)
            return "is there already";
    if (app->caches_count == WEFT_APP_CACHES_MAX)
        return "is one too many";
    return weft_cache_wrong(cache);
}

void weft_app_add_cache(weft_app *app, weft_cache *cache)
{
    if (app == NULL)
        return;
    const char *wrong_z = wrong_with_cache(app, cache);
    if (wrong_z != NULL)
        weft_app_mistake(app, "the cache '%s' %s", cache->name_z, wrong_z);
    else
        app->caches[app->caches_count++] = cache;
}

static void set_caches(weft_app *app)
{
    const struct weft_config *config = &app->config;
    app->cache_settings = (struct weft_cache_settings){
        .entries_max = config->cache_entries_max,
        .bytes_max = config->cache_bytes_max,
        .policy = (int)config->cache_policy - WEFT_CONFIG_CACHE_POLICY_FIRST,
        .shared = (int)config->cache_shared - WEFT_CONFIG_CACHE_SHARED_OFF,
    };
    for (uint32_t i = 0; i < app->caches_count; i++)
        app->caches[i]->settings = &app->cache_settings;
}

/* ---- settings ---- */

/* What settings switch on stands before everything else: the log sees all, CORS answers preflights.
 */
static void wrap(weft_app *app, struct weft_chain *chain)
{
    bool log = app->config.log_access != WEFT_CONFIG_ACCESS_OFF;
    bool cors = app->config.cors_origin[0] != 0;
    struct weft_chain own = *chain;
    *chain = (struct weft_chain){0};
    if (log || cors)
        use(app, chain, cors ? weft_cors_before : NULL, log ? weft_access_log_after : NULL);
    for (uint32_t i = 0; i < own.count; i++)
        use(app, chain, own.links[i].before, own.links[i].after);
}

static void wrap_routes(weft_app *app)
{
    wrap(app, &app->chain);
    for (struct weft_app_route *at = app->routes; at != NULL; at = at->next)
        wrap(app, &at->route.chain);
}

void weft_app_apply_config(weft_app *app)
{
    const struct weft_config *config = &app->config;
    weft_mounts_apply(app);
    uint64_t body =
        config->request_body_bytes_max != 0 ? config->request_body_bytes_max : UINT64_MAX;
    for (struct weft_app_route *at = app->routes; at != NULL; at = at->next) {
        struct weft_route *route = &at->route;
        if (route->memory_bytes == 0)
            route->memory_bytes = config->route_memory_bytes;
        if (route->body_bytes_max == 0)
            route->body_bytes_max = body;
        if (route->deadline_ms == 0)
            route->deadline_ms = config->timeouts_request_ms;
    }
    set_caches(app);
    if (config->log_access != WEFT_CONFIG_ACCESS_OFF || config->cors_origin[0] != 0)
        wrap_routes(app);
}

void weft_app_set(weft_app *app, const char *name_z, const char *value_z)
{
    if (app == NULL)
        return;
    if (weft_param_find(weft_str_z(name_z), WEFT_PARAM_SPELL_KEY) == NULL) {
        weft_app_mistake(app, "weft_app_set: there is no setting '%s'", name_z);
        return;
    }
    if (app->setting_count == WEFT_APP_SETTINGS_MAX) {
        weft_app_mistake(app, "weft_app_set: more than %d settings", WEFT_APP_SETTINGS_MAX);
        return;
    }
    app->settings[app->setting_count++] =
        (struct weft_app_setting){weft_app_keep_z(app, name_z), weft_app_keep_z(app, value_z)};
}

void weft_app_host(weft_app *app, const char *host_z)
{
    weft_app_set(app, "host", host_z);
}

void weft_app_port(weft_app *app, uint16_t port)
{
    char text[WEFT_U64_TEXT_BYTES + 1] = {0};
    (void)weft_u64_to_text(text, port); /* zeroed: ends where it ends */
    weft_app_set(app, "port", port == 0 ? "auto" : text);
}

void weft_app_user(weft_app *app, void *user)
{
    if (app != NULL)
        app->user = user;
}
