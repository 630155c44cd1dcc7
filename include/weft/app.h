/* app.h - an application: routes, middleware, settings, and the loop around them.
 *
 * Setting up is a list of calls without results: the first mistake is kept and told when it is
 * started (rule 5). Texts that end in _z are zero-terminated, and copied. Rules: docs/api.md.
 *
 * Lifetime: from weft_app_new() to weft_app_free(); routes and middleware are fixed once it runs.
 * Threads:  set up on one thread; weft_app_dup() and weft_app_stop() from any. Handlers run on all
 *           workers at once.
 * Memory:   what weft plan prints (rule 6); set-up uses the heap, running does not.
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
    size_t memory;        /* what one request may hold, bytes (route.memory_bytes); rule 4 */
    size_t heap;          /* of it, what the handler may malloc: weft_charge(). 0: nothing. The rest
                             of .memory is the arena's in any case, this as long as malloc keeps
                             nothing of it */
    uint64_t body;        /* largest request body, bytes (request.body_bytes_max) */
    bool body_unlimited;  /* any size: for handlers that stream */
    uint32_t deadline_ms; /* total time of a request (timeouts.request_ms) */
    bool vital;           /* never refused because memory is short: for health checks. Keep small */
    uint32_t stack;       /* stack bytes that the handler needs: all get the largest (rule 6) */
    bool body_length;     /* it must say how long its body is: 411 for a chunked one */
} weft_route_opts;
#define WEFT_ROUTE_OPTS(...)                                                                       \
    (&(const weft_route_opts){.size = sizeof(weft_route_opts), __VA_ARGS__})

/** A new application.
 *  returns  NULL when out of memory. Every call takes that for an application: those that set up do
 *           nothing, and weft_main() and weft_run() say so and return 1 */
weft_app *weft_app_new(void);
/** Its routes and what weft_app_dup() copied go with it. NULL is good. weft_main() calls it
 *  itself. */
void weft_app_free(weft_app *app);

/** The first mistake made while setting up, zero-terminated, until weft_app_free(); NULL: none. No
 *  application at all is one. */
const char *weft_app_error(const weft_app *app);

/** Routes: "/users/{id:u64}", "/file/{path:^.*$}", "/x/:name", "/a/" and "*" at the end
 *  (docs/routing.md). Middleware that was added before applies. */
void weft_get(weft_app *app, const char *pattern_z, weft_handler_fn handler);
void weft_post(weft_app *app, const char *pattern_z, weft_handler_fn handler);
void weft_put(weft_app *app, const char *pattern_z, weft_handler_fn handler);
void weft_delete(weft_app *app, const char *pattern_z, weft_handler_fn handler);
void weft_patch(weft_app *app, const char *pattern_z, weft_handler_fn handler);

/** Any method, by its name (also of your own, 16 at most), with options: WEFT_ROUTE_OPTS(...),
 *  copied, or NULL. */
void weft_route(weft_app *app, const char *method_z, const char *pattern_z, weft_handler_fn handler,
                const weft_route_opts *opts);

/** Another spelling of a GET route. */
#define weft_app_route weft_get

/** Middleware for every route that is added after it: before(rq) in order, after(rq) in reverse;
 *  either may be NULL. 16 on one route, settings' own included. */
void weft_use(weft_app *app, weft_handler_fn before, weft_after_fn after);

/** Routes under a prefix with middleware of their own, on top of what the application has by now.
 *  The prefix and a route's pattern are joined as they are. 64 groups at most.
 *  returns  never NULL; borrowed: lives as long as the application */
weft_group *weft_app_group(weft_app *app, const char *prefix_z);
void weft_group_use(weft_group *group, weft_handler_fn before, weft_after_fn after);
void weft_group_route(weft_group *group, const char *method_z, const char *pattern_z,
                      weft_handler_fn handler, const weft_route_opts *opts);

/** Built-in middleware: X-Request-ID, the client's or a new one, on what handlers answer; errors
 *  that are text/plain become JSON, {"status":404,"error":"Not Found"}. Neither sees what is
 *  refused before its route's turn, and weft_fail() discards the header. (Access log and CORS are
 *  settings: log.access, cors.origin.) */
void weft_use_request_id(weft_app *app);
void weft_use_recover(weft_app *app);

/** A setting by its name ("port", "http.buffer_bytes"), as text (docs/settings.md); flags,
 *  environment and file still override it. 32 at most. */
void weft_app_set(weft_app *app, const char *name_z, const char *value_z);
/** host and port by themselves; port 0 is any free one, which is printed. */
void weft_app_host(weft_app *app, const char *host_z);
void weft_app_port(weft_app *app, uint16_t port);

/** A pointer for handlers: weft_user(rq). Borrowed: outlives the application (rule 2). */
void weft_app_user(weft_app *app, void *user);
void *weft_user(const weft_req *rq);

/** The value of a setting that is a text, a path or an address, for handlers ("root"); empty when
 *  it is unset or of another kind. Static while the application runs (rule 2). */
weft_str weft_setting(const weft_req *rq, const char *name_z);

/** Copy a slice to the application's lifetime (rule 2): the only way to keep one. Heap, freed
 *  with the application and not before; not in the plan. Any thread.
 *  returns  {NULL, 0} when out of memory */
weft_str weft_app_dup(weft_app *app, weft_str text);

/** The command line's main: serve (the default), plan, check, --help ... with this application's
 *  routes. Frees the application.
 *  returns  the exit status: 0 good, 1 failed, 2 settings or memory plan, 3 the drain cut
 *           requests */
int weft_main(weft_app *app, int argc, char **argv);

/** Serve with settings from weft_app_set() and the environment until weft_app_stop(), SIGTERM,
 *  SIGINT or SIGHUP, which it blocks in the calling thread. Does not free the application.
 *  returns  as weft_main() */
int weft_run(weft_app *app);
/** Drain and stop, from any thread or signal handler, while it runs; before and after that nothing
 *  happens. Returns at once: weft_run() tells the end. */
void weft_app_stop(weft_app *app);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
