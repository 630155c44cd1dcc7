/* app.h - an application: routes, middleware, settings, and the loop around them.
 *
 * Lifetime: from weft_app_new() to weft_app_free(); routes and middleware are fixed once it runs.
 * Threads:  set up on one thread; weft_app_stop() from any thread or signal handler.
 * Memory:   what weft plan prints; set-up uses the heap, running does not.
 */
#ifndef WEFT_APP_H
#define WEFT_APP_H

#include <weft/request.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

typedef struct weft_app weft_app;
typedef struct weft_group weft_group;

/** What a route may take; 0 = the setting's default. */
typedef struct weft_route_opts {
    size_t size;          /* filled by the macro */
    size_t memory;        /* arena cap of one request, bytes (route.memory_bytes) */
    uint64_t body;        /* largest request body, bytes (request.body_bytes_max) */
    bool body_unlimited;  /* any size: for handlers that stream */
    uint32_t deadline_ms; /* total time of a request (timeouts.request_ms) */
    uint32_t stack;       /* stack bytes that the handler needs (task.stack_bytes) */
} weft_route_opts;
#define WEFT_ROUTE_OPTS(...)                                                                       \
    (&(const weft_route_opts){.size = sizeof(weft_route_opts), __VA_ARGS__})

/** A new application; NULL when out of memory. Mistakes made while setting up (a bad pattern) are
 * kept and told by weft_main(), weft_run() or weft_app_error(). */
weft_app *weft_app_new(void);
void weft_app_free(weft_app *app);

/** The first mistake made while setting up; NULL: none. */
const char *weft_app_error(const weft_app *app);

/** Routes: "/users/{id:u64}", "/file/{path:^.*$}", "/x/:name", "/a/" and "*" at the end. */
void weft_get(weft_app *app, const char *pattern_z, weft_handler_fn handler);
void weft_post(weft_app *app, const char *pattern_z, weft_handler_fn handler);
void weft_put(weft_app *app, const char *pattern_z, weft_handler_fn handler);
void weft_delete(weft_app *app, const char *pattern_z, weft_handler_fn handler);

/** Any method, by its name (also of your own), with options (WEFT_ROUTE_OPTS(...) or NULL). */
void weft_route(weft_app *app, const char *method_z, const char *pattern_z, weft_handler_fn handler,
                const weft_route_opts *opts);

/** HC-02's spelling: a GET route. */
#define weft_app_route weft_get

/** Middleware for every route that is added after it: before(rq) in order, after(rq) in reverse;
 * either may be NULL. */
void weft_use(weft_app *app, weft_handler_fn before, weft_after_fn after);

/** Routes under a prefix with middleware of their own, on top of the application's. */
weft_group *weft_app_group(weft_app *app, const char *prefix_z);
void weft_group_use(weft_group *group, weft_handler_fn before, weft_after_fn after);
void weft_group_route(weft_group *group, const char *method_z, const char *pattern_z,
                      weft_handler_fn handler, const weft_route_opts *opts);

/** Built-in middleware: X-Request-ID on every answer; errors as JSON, {"status":404,"error":"Not
 *  Found"}. (Access log and CORS are settings: log.access, cors.origin.) */
void weft_use_request_id(weft_app *app);
void weft_use_recover(weft_app *app);

/** A setting by its name ("port", "http.buffer_bytes"), as text; flags, environment and file still
 *  override it. */
void weft_app_set(weft_app *app, const char *name_z, const char *value_z);
void weft_app_host(weft_app *app, const char *host_z);
void weft_app_port(weft_app *app, uint16_t port);

/** A pointer for handlers: weft_user(rq). Borrowed: outlives the application. */
void weft_app_user(weft_app *app, void *user);
void *weft_user(const weft_req *rq);

/** A setting's value, for handlers ("root"); empty when unset. Static while the application runs.
 */
weft_str weft_setting(const weft_req *rq, const char *name_z);

/** Copy a slice to the application's lifetime (rule 2): the only way to keep one. Heap; any thread.
 *  returns  {NULL, 0} when out of memory */
weft_str weft_app_dup(weft_app *app, weft_str text);

/** The command line's main: serve, plan, check, --help ... with this application's routes.
 *  returns  the exit status: 0 good, 1 failed, 2 configuration or memory plan, 3 drain cut requests
 */
int weft_main(weft_app *app, int argc, char **argv);

/** Serve with settings from weft_app_set() and the environment until weft_app_stop() or SIGTERM. */
int weft_run(weft_app *app);
void weft_app_stop(weft_app *app);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
