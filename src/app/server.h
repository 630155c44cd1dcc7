/* server.h - an application running: plan, ledger, workers, the admin loop, signals, drain.
 *
 * The main thread is the admin thread: its loop serves /metrics, /memory, /healthz and /readyz,
 * hears signals, and waits for the workers.
 *
 * Lifetime: weft_server_run() from start to end.
 * Threads:  the main thread, except weft_server_stop().
 * Memory:   what the plan says.
 */
#ifndef WEFT_APP_SERVER_H
#define WEFT_APP_SERVER_H

#include "app/app.h"
#include "app/caches.h"
#include "app/learned.h"
#include "app/machine.h"
#include "app/plan.h"
#include "app/shared_cache.h"
#include "app/warden.h"
#include "app/worker.h"
#include "http/cookie_keys.h"
#include "io/purger.h"
#include "mem/numa.h"
#include "ops/metrics.h"

enum weft_exit {
    WEFT_EXIT_GOOD = 0,
    WEFT_EXIT_FAILED = 1,
    WEFT_EXIT_CONFIG = 2, /* settings, or the memory plan */
    WEFT_EXIT_CUT = 3,    /* the drain's deadline cut requests off */
};

struct weft_server {
    weft_app *app;
    const struct weft_plan *plan;
    struct weft_numa numa;
    struct weft_ledger ledger;
    struct weft_conn_share share, admin_share;
    struct weft_offload *offload;
    struct weft_purger purger;
    struct weft_warden warden;
    struct weft_learned learned;
    struct weft_caches caches;
    struct weft_site site, admin_site;
    weft_app *admin_app;
    struct weft_worker *workers; /* owned: mapped, plan->workers */
    struct weft_worker admin;
    uint32_t done_count;
    bool draining;
    bool cut;
    struct weft_watch signals;
    int signal_fd;
    int root_fd;              /* owned; -1: none */
    struct weft_redis *redis; /* owned; NULL: none is wanted */
    int upload_fd;            /* owned; -1: none */
    struct weft_cookie_keys cookie_keys;
    struct weft_timer deadline;
    struct weft_post stop;
    _Atomic bool stop_asked;             /* `stop` was posted */
    struct weft_metrics_worker *metrics; /* owned: workers and admin */
    char (*names)[12];
};

/** Everything that the plan must know of an application whose settings are in place; compiles its
 *  routes.
 *  returns  0, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_server_describe(weft_app *app, struct weft_plan_app *out);

/** Serve until stopped. Returns an enum weft_exit. */
int weft_server_run(weft_app *app, const struct weft_machine *machine,
                    const struct weft_plan *plan);

/** From any thread or a signal handler. */
void weft_server_stop(struct weft_server *server);

/** The admin listener's routes; weft_user() is the server. */
weft_app *weft_admin_app(struct weft_server *server);

#endif
