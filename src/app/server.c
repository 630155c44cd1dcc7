/* server.c - see server.h. */
#include "app/server.h"
#include "app/mounts.h"
#include "app/params.h"
#include "base/log.h"
#include "http/h1.h"
#include "serve/events/channel.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FALLBACK_MEMORY_BYTES ((size_t)4096) /* of a request without a route: one chunk */

/* ---- what may be answered ---- */

static struct weft_service_limits limits_from(const struct weft_config *config)
{
    return (struct weft_service_limits){
        .head = {.head_bytes_max = (uint32_t)weft_config_head_bytes_max(config),
                 .target_bytes_max = (uint32_t)config->request_target_bytes_max,
                 .field_count_max = (uint16_t)config->request_header_count_max},
        .chunked = {.line_bytes_max = 256,
                    .ext_total_bytes_max = 16384,
                    .trailer_bytes_max = 8192,
                    .trailer_count_max = 32},
        .body_bytes_max =
            config->request_body_bytes_max != 0 ? config->request_body_bytes_max : UINT64_MAX,
        .inline_body_bytes = config->http_inline_body_bytes,
        .discard_bytes_max = 65536,
        .header_ms = config->timeouts_header_ms,
        .body_grace_ms = config->timeouts_body_grace_ms,
        .body_rate_min = config->body_rate_min_bytes_s,
        .write_ms = config->timeouts_write_ms,
    };
}

static weft_str setting_of(const struct weft_site *site, const char *name_z)
{
    const struct weft_param *param = weft_param_find(weft_str_z(name_z), WEFT_PARAM_SPELL_KEY);
    if (param == NULL ||
        (param->type != WEFT_PARAM_TYPE_PATH && param->type != WEFT_PARAM_TYPE_TEXT &&
         param->type != WEFT_PARAM_TYPE_HOST))
        return (weft_str){0};
    return weft_str_z((const char *)site->config + param->offset);
}

static void make_site(struct weft_site *site, weft_app *app, const struct weft_config *config,
                      struct weft_offload *offload)
{
    *site = (struct weft_site){
        .router = app->router,
        .route_count = app->route_count,
        .limits = limits_from(config),
        .server = weft_str_z(config->server_header),
        .cors_origin = weft_str_z(config->cors_origin),
        .access = (enum weft_access_format)config->log_access,
        .receipt = config->memory_receipt,
        .mime = app->mime,
        .root_fd = -1,
        .upload_fd = -1,
        .offload = offload,
        .user = app->user,
        .setting = setting_of,
        .config = config,
    };
    site->fallback = (struct weft_route){
        .chain = app->chain,
        .memory_bytes = FALLBACK_MEMORY_BYTES,
        .body_bytes_max = site->limits.body_bytes_max,
        .deadline_ms = config->timeouts_request_ms,
        .pattern = WEFT_S("(none)"),
        .index = UINT32_MAX,
    };
}

/* ---- starting ---- */

static void cannot_listen(const char *why_z, bool admin)
{
    const char *of_z = admin ? "admin." : "";
    weft_log_error("%s (settings %shost and %sport; port auto takes a free one)", why_z, of_z,
                   of_z);
}

static weft_rc open_listener(struct weft_server *server, struct weft_worker *worker,
                             const char *host_z, uint16_t port, bool share)
{
    const struct weft_config *config = &server->app->config;
    char why[256] = "";
    struct weft_listen_options options = {
        .host_z = host_z,
        .port = port,
        .backlog = (int)config->tcp_backlog,
        .nodelay = config->tcp_nodelay,
        .linger_s = config->tcp_linger_ms == 0 ? -1 : (int)((config->tcp_linger_ms + 999) / 1000),
        .share = share,
    };
    weft_rc rc = weft_listener_open(&worker->loop.listeners[0], &options, why, sizeof(why));
    if (rc != 0)
        cannot_listen(why, worker == &server->admin);
    else
        worker->loop.listener_count = 1;
    return rc;
}

/* Workers share their port with SO_REUSEPORT, which would let a second server join in unseen and
 * take half of the clients: somebody who has the port already is found out first. */
static weft_rc port_is_free(const struct weft_config *config)
{
    struct weft_listener probe;
    char why[256] = "";
    struct weft_listen_options options = {
        .host_z = config->host, .port = (uint16_t)config->port, .backlog = 1, .linger_s = -1};
    weft_rc rc = weft_listener_open(&probe, &options, why, sizeof(why));
    if (rc != 0)
        cannot_listen(why, false);
    else
        weft_listener_close(&probe);
    return rc;
}

static void worker_done(struct weft_post *post);

static weft_rc open_histories(struct weft_server *server, struct weft_worker *worker)
{
    struct weft_account *account = NULL;
    WEFT_TRY(weft_account_open(&server->ledger, "history", worker->index, &account));
    struct weft_histories *histories = &worker->service.histories;
    WEFT_TRY(weft_histories_init(histories, account, server->app->route_count));
    if (server->app->config.memory_prefault)
        weft_histories_prefault(histories);
    return 0;
}

static weft_rc open_files(struct weft_server *server, struct weft_worker *worker)
{
    struct weft_account *account = NULL;
    WEFT_TRY(weft_account_open(&server->ledger, "open files", worker->index, &account));
    WEFT_TRY(weft_files_init(&worker->files, &server->plan->files, account, &worker->loop));
    worker->service.files = &worker->files;
    if (!server->app->config.memory_prefault)
        return 0;
    return weft_file_table_prefault(&worker->files.table);
}

static weft_rc open_compress(struct weft_server *server, struct weft_worker *worker)
{
    struct weft_account *account = NULL;
    WEFT_TRY(weft_account_open(&server->ledger, "compress", worker->index, &account));
    WEFT_TRY(
        weft_compress_init(&worker->compress, &worker->loop, account, &server->plan->compress));
    worker->service.filter = &worker->compress.filter;
    if (!server->app->config.memory_prefault)
        return 0;
    return weft_coder_pool_prefault(&worker->compress.pool);
}

/* Small tables that are touched soon and stay: booked whole. */
static weft_rc book_mapped(struct weft_server *server, const char *name_z, uint32_t worker,
                           size_t bytes)
{
    struct weft_account *account = NULL;
    WEFT_TRY(weft_account_open(&server->ledger, name_z, worker, &account));
    WEFT_TRY(weft_account_reserve(account, bytes));
    weft_account_use(account, bytes);
    weft_account_commit(account, (ptrdiff_t)bytes);
    return 0;
}

static weft_rc build_worker(struct weft_server *server, struct weft_worker *worker, uint32_t index,
                            const struct weft_loop_options *options, const struct weft_site *site)
{
    const char *part_z = "";
    struct weft_loop_options own = *options;
    own.worker = index;
    own.offload = server->offload;
    own.purge = &server->purger.purge;
    own.share = site == &server->site ? &server->share : &server->admin_share;
    own.limits = site == &server->site ? &server->warden.limits : NULL; /* it is never shed */
    weft_rc rc = weft_loop_init(&worker->loop, &server->ledger, &own, &part_z);
    if (rc != 0) {
        weft_log_error("cannot build worker %u: %s: %s", index, part_z, weft_rc_text(rc));
        return rc;
    }
    worker->index = index;
    worker->cpu = -1;
    worker->loop.owner = &worker->service;
    worker->done.run = worker_done;
    WEFT_TRY(weft_service_init(&worker->service, site, &worker->loop));
    if (site == &server->site)
        WEFT_TRY(open_histories(server, worker));
    if (site == &server->site && server->plan->files.entries > 0)
        WEFT_TRY(open_files(server, worker));
    if (site == &server->site && server->plan->compress.codings != 0)
        WEFT_TRY(open_compress(server, worker));
    WEFT_TRY(book_mapped(server, "route books", index, weft_usage_bytes(site->route_count)));
    if (site->access == WEFT_ACCESS_OFF)
        return 0;
    struct weft_account *account = NULL;
    WEFT_TRY(weft_account_open(&server->ledger, "access log", index, &account));
    return weft_access_log_init(&worker->service.access_log, account, &worker->loop);
}

static weft_rc build_workers(struct weft_server *server, const struct weft_machine *machine)
{
    const struct weft_config *config = &server->app->config;
    uint16_t port = (uint16_t)config->port;
    WEFT_TRY(port_is_free(config));
    for (uint32_t i = 0; i < server->plan->workers; i++) {
        struct weft_worker *worker = &server->workers[i];
        WEFT_TRY(build_worker(server, worker, i, &server->plan->worker, &server->site));
        worker->cpu = machine->cpus[i % machine->cpu_count];
        worker->numa = &server->numa;
        worker->objects = server->app->objects;
        worker->objects_count = server->app->objects_count;
        worker->boss = &server->admin.loop;
        WEFT_TRY(open_listener(server, worker, config->host, port, true));
        port = worker->loop.listeners[0].port; /* "any free one" is the same one for all */
    }
    return 0;
}

static weft_rc build_admin(struct weft_server *server)
{
    const struct weft_config *config = &server->app->config;
    server->admin_app = weft_admin_app(server);
    if (server->admin_app == NULL || weft_app_error(server->admin_app) != NULL)
        return WEFT_ENOMEM;
    server->admin_app->config = *config;
    server->admin_app->config.log_access = WEFT_CONFIG_ACCESS_OFF;
    server->admin_app->config.memory_receipt = false;
    server->admin_app->config.cors_origin[0] = 0;
    server->admin_app->config.root[0] = 0;
    server->admin_app->config.mount_count = 0;
    weft_app_apply_config(server->admin_app);
    WEFT_TRY(weft_router_compile(server->admin_app->router));
    make_site(&server->admin_site, server->admin_app, &server->admin_app->config, server->offload);
    WEFT_TRY(build_worker(server, &server->admin, server->plan->workers, &server->plan->admin,
                          &server->admin_site));
    if (!config->admin_enabled)
        return 0;
    return open_listener(server, &server->admin, config->admin_host, (uint16_t)config->admin_port,
                         false);
}

static weft_rc build_metrics(struct weft_server *server)
{
    uint32_t count = server->plan->workers + 1;
    server->metrics = calloc(count, sizeof(*server->metrics));
    server->names = calloc(count, sizeof(*server->names));
    if (server->metrics == NULL || server->names == NULL)
        return WEFT_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        bool admin = i == count - 1;
        snprintf(server->names[i], sizeof(server->names[i]), admin ? "admin" : "%u", i);
        struct weft_worker *worker = admin ? &server->admin : &server->workers[i];
        server->metrics[i] =
            (struct weft_metrics_worker){worker->loop.counters, &worker->loop, server->names[i]};
    }
    return 0;
}

static weft_rc open_root(struct weft_server *server)
{
    const char *root_z = server->app->config.root;
    if (root_z[0] == 0)
        return 0;
    server->root_fd = open(root_z, O_PATH | O_DIRECTORY | O_CLOEXEC);
    server->site.root_fd = server->root_fd;
    if (server->root_fd >= 0)
        return 0;
    weft_rc rc = (weft_rc)-errno;
    weft_log_error("root: cannot open %s: %s", root_z, weft_rc_text(rc));
    return rc;
}

/* A file without a name, as uploads begin: can it be had there? */
static weft_rc probe_unnamed(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return (weft_rc)-errno;
    close(fd);
    return 0;
}

static weft_rc open_upload_root(struct weft_server *server)
{
    const char *path_z = server->app->config.upload_root;
    if (path_z[0] == 0)
        return 0;
    server->upload_fd = open(path_z, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    weft_rc rc = server->upload_fd < 0 ? (weft_rc)-errno : probe_unnamed(server->upload_fd);
    server->site.upload_fd = server->upload_fd;
    if (rc == (weft_rc)-EOPNOTSUPP || rc == (weft_rc)-EISDIR)
        weft_log_error("upload.root: the file system of %s has no unnamed files (O_TMPFILE): name "
                       "a directory on another one",
                       path_z);
    else if (rc != 0)
        weft_log_error("upload.root: cannot make files in %s: %s", path_z, weft_rc_text(rc));
    return rc;
}

static weft_rc load_cookie_keys(struct weft_server *server)
{
    char why[128] = "";
    const char *path_z = server->app->config.cookies_key_path;
    if (path_z[0] == 0)
        return 0;
    weft_rc rc = weft_cookie_keys_load(&server->cookie_keys, path_z, why, sizeof(why));
    if (rc != 0)
        weft_log_error("cookies.key_path: %s: %s", path_z, why);
    else
        server->site.cookie_keys = &server->cookie_keys;
    return rc;
}

static weft_rc open_objects(struct weft_server *server)
{
    const weft_app *app = server->app;
    for (uint32_t i = 0; i < app->objects_count; i++) {
        weft_rc rc = weft_objects_open(app->objects[i], &server->ledger, server->plan->workers);
        if (rc != 0) {
            weft_log_error("the pool of objects '%s': %s", app->objects[i]->name_z,
                           weft_rc_text(rc));
            return rc;
        }
        if (app->config.memory_prefault)
            WEFT_TRY(weft_objects_prefault(app->objects[i]));
    }
    server->warden.objects = app->objects;
    server->warden.objects_count = app->objects_count;
    server->warden.window_ms = server->plan->worker.reclaim_window_ms;
    return 0;
}

static weft_rc open_channels(struct weft_server *server)
{
    const weft_app *app = server->app;
    for (uint32_t i = 0; i < app->channels_count; i++) {
        weft_rc rc = weft_channel_open(app->channels[i], &server->ledger, server->plan->workers);
        if (rc != 0) {
            weft_log_error("the channel '%s': %s", app->channels[i]->name_z, weft_rc_text(rc));
            return rc;
        }
    }
    return 0;
}

static weft_rc load_coders(const struct weft_plan *plan)
{
    char why[160] = "";
    weft_rc rc = weft_coders_load(plan->compress.codings, plan->compress.effort, why, sizeof(why));
    if (rc != 0)
        weft_log_error("compress.codings: %s", why);
    return rc;
}

static weft_rc build(struct weft_server *server, const struct weft_machine *machine)
{
    const struct weft_config *config = &server->app->config;
    const struct weft_plan *plan = server->plan;
    server->share.max = plan->connections_max;
    server->admin_share.max = (uint32_t)plan->admin.connections;
    server->workers = weft_map(plan->workers * sizeof(*server->workers));
    if (server->workers == NULL)
        return WEFT_ENOMEM;
    WEFT_TRY(weft_ledger_init(&server->ledger, plan->limit));
    weft_numa_init(&server->numa, &weft_numa_system, NULL, machine->cpus, machine->cpu_count,
                   plan->workers);
    server->ledger.numa = &server->numa;
    WEFT_TRY(weft_router_attach(server->app->router, &server->ledger, plan->workers));
    weft_warden_init(&server->warden, "", plan->limit, plan->total,
                     config->memory_prefault ? 0 : config->memory_return_ms);
    WEFT_TRY(weft_offload_create(config->offload_threads, config->offload_queue, &server->offload));
    weft_purger_init(&server->purger, server->offload, weft_profile_purge);
    make_site(&server->site, server->app, config, server->offload);
    WEFT_TRY(open_root(server));
    WEFT_TRY(weft_mounts_open(server->app, server->root_fd));
    WEFT_TRY(open_upload_root(server));
    WEFT_TRY(load_cookie_keys(server));
    WEFT_TRY(open_objects(server));
    WEFT_TRY(weft_shared_cache_open(config, &server->ledger, &server->redis));
    WEFT_TRY(open_channels(server));
    WEFT_TRY(weft_caches_open(&server->caches, server->app, &server->ledger, plan->workers,
                              server->redis == NULL ? NULL : weft_redis_backend(server->redis)));
    server->warden.caches = &server->caches;
    if (plan->compress.codings != 0)
        WEFT_TRY(load_coders(plan));
    WEFT_TRY(build_workers(server, machine));
    weft_learned_init(&server->learned, server->app, server->workers, plan->workers);
    WEFT_TRY(build_admin(server));
    WEFT_TRY(build_metrics(server));
    size_t tables = plan->workers * sizeof(*server->workers) +
                    (server->ledger.account_count + 1) * sizeof(struct weft_account);
    return book_mapped(server, "worker tables", WEFT_ACCOUNT_PROCESS,
                       WEFT_ALIGN_UP(tables, WEFT_PAGE_BYTES));
}

/* ---- signals and the end ---- */

static void begin_drain(struct weft_server *server)
{
    if (server->draining)
        return;
    server->draining = true;
    for (uint32_t i = 0; i < server->plan->workers; i++)
        weft_worker_drain(&server->workers[i]);
    uint64_t ms = server->app->config.timeouts_drain_ms;
    weft_timer_arm(&server->admin.loop.wheel, &server->deadline, server->admin.loop.now_ms + ms);
}

static void cut(struct weft_server *server)
{
    if (server->cut)
        return;
    server->cut = true;
    for (uint32_t i = 0; i < server->plan->workers; i++)
        weft_worker_cut(&server->workers[i]);
}

static void deadline(struct weft_timer *timer)
{
    cut(WEFT_CONTAINER_OF(timer, struct weft_server, deadline));
}

static void stop(struct weft_post *post)
{
    begin_drain(WEFT_CONTAINER_OF(post, struct weft_server, stop));
}

void weft_server_stop(struct weft_server *server)
{
    if (!atomic_exchange(&server->stop_asked, true)) /* a post is in the list once */
        weft_loop_post(&server->admin.loop, &server->stop);
}

static void worker_done(struct weft_post *post)
{
    struct weft_worker *worker = WEFT_CONTAINER_OF(post, struct weft_worker, done);
    struct weft_server *server = WEFT_CONTAINER_OF(worker->boss, struct weft_server, admin.loop);
    server->done_count++;
    if (atomic_load(&worker->state) == WEFT_WORKER_FAILED && !server->draining)
        begin_drain(server); /* one that cannot go on must not leave a deaf port behind */
    if (server->done_count < server->plan->workers)
        return;
    struct weft_loop *loop = &server->admin.loop;
    for (uint32_t i = 0; i < loop->listener_count; i++)
        weft_listener_close(&loop->listeners[i]);
    weft_conns_drain(loop);
    (void)weft_conns_abort(loop); /* an admin request under way does not hold up the end */
    weft_warden_stop(&server->warden);
    weft_learned_stop(&server->learned);
    server->admin.stopping = true;
}

static void signaled(struct weft_watch *watch, uint32_t revents)
{
    (void)revents;
    struct weft_server *server = WEFT_CONTAINER_OF(watch, struct weft_server, signals);
    struct signalfd_siginfo info;
    while (read(server->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (server->draining)
            cut(server); /* asked twice: now */
        else
            begin_drain(server);
    }
    weft_ignore(
        weft_loop_watch(&server->admin.loop, watch, server->signal_fd, POLLIN)); /* as before */
}

/* Blocked in every thread; heard by the admin loop. */
static weft_rc watch_signals(struct weft_server *server)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    server->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return server->signal_fd < 0 ? (weft_rc)-errno : 0;
}

static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP); /* the terminal has gone; under nohup it never comes */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* ---- running ---- */

static bool host_is_v6(const char *host_z)
{
    return strchr(host_z, ':') != NULL;
}

/* On standard error, like all that is said: standard output is the access log's alone. */
static void say_where(const struct weft_server *server)
{
    const struct weft_config *config = &server->app->config;
    const struct weft_plan *plan = server->plan;
    if (plan->engine_note != NULL)
        weft_log_warn("engine epoll instead of io_uring: %s", plan->engine_note);
    fprintf(stderr,
            "weft: memory plan: %.1f MiB fixed, %.1f MiB for requests, limit %.1f MiB (%s)\n",
            (double)plan->fixed / (1 << 20), (double)(plan->total - plan->fixed) / (1 << 20),
            (double)plan->limit / (1 << 20), plan->limit_source);
    const char *open = host_is_v6(config->host) ? "[" : "", *shut = *open ? "]" : "";
    fprintf(stderr, "weft: listening on http://%s%s%s:%u (engine %s, %u workers)\n", open,
            config->host, shut, server->workers[0].loop.listeners[0].port, plan->engine->name_z,
            plan->workers);
    if (config->admin_enabled) {
        open = host_is_v6(config->admin_host) ? "[" : "", shut = *open ? "]" : "";
        fprintf(stderr, "weft: admin on http://%s%s%s:%u (/ lists its pages)\n", open,
                config->admin_host, shut, server->admin.loop.listeners[0].port);
    }
}

static weft_rc start_workers(struct weft_server *server)
{
    for (uint32_t i = 0; i < server->plan->workers; i++)
        WEFT_TRY(weft_worker_start(&server->workers[i]));
    return 0;
}

/* The admin loop is opened before the workers start: they report to it. */
static weft_rc run(struct weft_server *server)
{
    struct weft_worker *admin = &server->admin;
    WEFT_TRY(watch_signals(server));
    server->signals.ready = signaled;
    server->deadline.fire = deadline;
    server->stop.run = stop;
    WEFT_TRY(weft_worker_open(admin));
    WEFT_TRY(weft_loop_watch(&admin->loop, &server->signals, server->signal_fd, POLLIN));
    weft_rc rc = start_workers(server);
    if (rc != 0) { /* those that run are waited for: they must hear that it is over */
        begin_drain(server);
        cut(server);
        weft_timer_disarm(&admin->loop.wheel, &server->deadline);
        weft_loop_unwatch(&admin->loop, &server->signals);
        return rc;
    }
    say_where(server);
    weft_warden_start(&server->warden, &admin->loop, server->workers, server->plan->workers);
    weft_learned_start(&server->learned, &admin->loop);
    weft_worker_turn(admin);
    weft_loop_unwatch(&admin->loop, &server->signals);
    return admin->failed;
}

static uint32_t join_workers(struct weft_server *server, weft_rc *failed)
{
    uint32_t cut_count = 0;
    for (uint32_t i = 0; i < server->plan->workers; i++) {
        struct weft_worker *worker = &server->workers[i];
        if (worker->joinable)
            pthread_join(worker->thread, NULL);
        cut_count += atomic_load(&worker->cut);
        if (worker->failed != 0)
            *failed = worker->failed;
    }
    return cut_count;
}

/* Does a handler that did not come back still have a stack, or an offloaded call that never ends?
 */
static bool left_behind(const struct weft_server *server)
{
    bool some = false;
    for (uint32_t i = 0; server->workers != NULL && i < server->plan->workers; i++)
        some |= server->workers[i].loop.slots.used > 0;
    return some;
}

/* Address space and descriptors; after a cut that left tasks behind the process just ends. */
static void tear_down(struct weft_server *server)
{
    free(server->metrics);
    free(server->names);
    weft_router_detach(server->app->router); /* the application outlives the ledger */
    if (left_behind(server))
        return; /* also the pool's threads: joining them would wait for the call, however long */
    uint32_t workers = server->workers != NULL ? server->plan->workers : 0;
    for (uint32_t i = 0; i <= workers; i++) {
        struct weft_worker *worker = i < workers ? &server->workers[i] : &server->admin;
        if (worker->loop.counters == NULL || worker->loop.slots.used > 0)
            continue;
        weft_access_log_fini(&worker->service.access_log);
        weft_histories_fini(&worker->service.histories);
        weft_files_fini(&worker->files);
        weft_compress_fini(&worker->compress);
        weft_service_fini(&worker->service);
        for (uint32_t l = 0; l < worker->loop.listener_count; l++)
            weft_listener_close(&worker->loop.listeners[l]);
        weft_loop_fini(&worker->loop);
    }
    weft_offload_destroy(server->offload);
    for (uint32_t i = 0; i < server->app->objects_count; i++)
        weft_objects_close(server->app->objects[i]);
    for (uint32_t i = 0; i < server->app->channels_count; i++)
        weft_channel_close(server->app->channels[i]);
    weft_caches_close(&server->caches);
    if (weft_redis_destroy(server->redis, 0) != 0) /* a handler that was cut off has one */
        weft_log_warn("redis: connections are still in use");
    weft_app_free(server->admin_app);
    if (server->signal_fd >= 0)
        close(server->signal_fd);
    weft_mounts_close(server->app);
    if (server->root_fd >= 0)
        close(server->root_fd);
    if (server->upload_fd >= 0)
        close(server->upload_fd);
    explicit_bzero(&server->cookie_keys, sizeof(server->cookie_keys));
    if (server->workers != NULL)
        munmap(server->workers, server->plan->workers * sizeof(*server->workers));
    weft_ledger_fini(&server->ledger);
}

int weft_server_run(weft_app *app, const struct weft_machine *machine, const struct weft_plan *plan)
{
    weft_profile_start();
    struct weft_server server = {
        .app = app, .plan = plan, .signal_fd = -1, .root_fd = -1, .upload_fd = -1};
    block_signals();
    weft_rc rc = build(&server, machine);
    uint32_t cut_count = 0;
    if (rc != 0)
        weft_log_error("cannot start: %s", weft_rc_text(rc));
    if (rc == 0) {
        atomic_store(&app->server, &server);
        rc = run(&server);
        if (rc != 0)
            weft_log_error("cannot run: %s", weft_rc_text(rc));
        atomic_store(&app->server, NULL);
        while (atomic_load(&app->stopping) > 0)
            sched_yield(); /* one who stops it as well still looks at it */
        cut_count = join_workers(&server, &rc);
        weft_learned_write(&server.learned, true);
    }
    if (cut_count > 0)
        weft_log_warn("drain: %u connections were cut off", cut_count);
    tear_down(&server);
    if (rc != 0)
        return rc == WEFT_EBUDGET || rc == WEFT_ECONFIG ? WEFT_EXIT_CONFIG : WEFT_EXIT_FAILED;
    return cut_count > 0 ? WEFT_EXIT_CUT : WEFT_EXIT_GOOD;
}

/* The pattern of the route that asks for the most; empty when that is the setting's. */
static weft_str largest_route(const weft_app *app)
{
    weft_str found = {0};
    for (const struct weft_app_route *at = app->routes; at != NULL; at = at->next)
        if (at->route.memory_bytes == app->memory_max)
            found = at->route.pattern;
    return app->memory_max > app->config.route_memory_bytes ? found : (weft_str){0};
}

weft_rc weft_server_describe(weft_app *app, struct weft_plan_app *out)
{
    WEFT_TRY(weft_router_compile(app->router));
    *out = (struct weft_plan_app){
        .route_memory_max = WEFT_MAX(app->memory_max, app->config.route_memory_bytes),
        .route_memory_largest = largest_route(app),
        .route_heap_max = app->heap_max,
        .route_stack_max = app->stack_max,
        .route_count = app->route_count,
        .router_bytes = weft_router_bytes(app->router) + app->route_bytes,
        .scratch_bytes = weft_router_scratch_bytes(app->router),
        .mime_bytes = weft_mounts_mime_bytes(app),
        .protocol = &weft_h1,
        .objects = app->objects,
        .objects_count = app->objects_count,
        .caches = app->caches,
        .caches_count = app->caches_count,
        .serves_files = app->config.root[0] != 0,
        .channels = app->channels,
        .channels_count = app->channels_count,
    };
    return 0;
}
