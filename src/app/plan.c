/* plan.c - see plan.h. Each term is its module's own function of the same options that the module
 * is started with: the plan cannot drift from what runs. */
#include "app/plan.h"
#include "app/allocator.h"
#include "app/shared_cache.h"
#include "http/cookie_keys.h"
#include "http/middleware.h"
#include "mem/history.h"
#include <inttypes.h>
#include "io/sockmem.h"
#include "serve/cache/cache_pmem.h"
#include "serve/events/channel.h"

/* Program, libraries and the heap of the start: 2.6 MB were resident under load, with jemalloc
 * below (its own program, its tables, thread caches) 5.1 MB. */
#define PROCESS_BYTES  ((size_t)13 << 18)
#define JEMALLOC_BYTES ((size_t)3 << 20)
/* zlib, brotli and zstd, as far as their pages are touched. */
#define CODER_LIBRARIES_BYTES ((size_t)1280 << 10)
/* What a control group is charged for rings, threads and page tables: 130 KB, and 216 KB per
 * worker. */
#define KERNEL_LOOP_BYTES ((size_t)256 << 10)
/* For a file that is open: inode, directory entry, the descriptor's file, and the ear for changes.
 */
#define KERNEL_FILE_BYTES  ((size_t)2 << 10)
#define THREAD_STACK_BYTES ((size_t)64 << 10) /* touched of a worker's own stack, at most */
#define FD_RESERVE         300                /* descriptors for everything but connections */
#define FD_RESERVE_MIN     48 /* where a quarter of them is less than the process has open itself */
#define KERNEL_ENTRY_BYTES ((size_t)9) /* of a ring's table: a pointer, and a bit */
#define FD_PER_WORKER      4           /* ring, waker, listener, reserve */
#define INSTALLS_MAX       256         /* descriptors lent to direct connections, per worker */
#define ELASTIC_MIN_BYTES  ((size_t)1 << 20)
#define ADMIN_BYTES        ((size_t)1 << 20) /* arenas: eight of its answers at once */
#define ADMIN_ROUTES_MAX   32

static size_t count_fixed(struct weft_plan *plan);

static struct weft_plan_term *add_term(struct weft_plan *plan, const char *name_z, size_t bytes)
{
    weft_assert(plan->term_count < WEFT_PLAN_TERMS_MAX);
    struct weft_plan_term *term = &plan->terms[plan->term_count++];
    *term = (struct weft_plan_term){.name_z = name_z, .bytes = bytes};
    return term;
}

static void add_loop_terms(struct weft_plan *plan, const struct weft_loop_options *options,
                           uint32_t workers)
{
    struct weft_term terms[WEFT_LOOP_TERMS];
    size_t count = weft_loop_terms(options, terms);
    for (size_t i = 0; i < count; i++) {
        struct weft_plan_term *term = add_term(plan, terms[i].name_z, workers * terms[i].bytes);
        term->elastic = strcmp(terms[i].name_z, "arenas") == 0;
        if (terms[i].count > 0)
            snprintf(term->formula, sizeof(term->formula), "%u workers x %zu x %zu", workers,
                     terms[i].count, terms[i].each);
        else
            snprintf(term->formula, sizeof(term->formula), "%u workers x %zu", workers,
                     terms[i].bytes);
    }
}

static void add_admin_terms(struct weft_plan *plan)
{
    struct weft_term terms[WEFT_LOOP_TERMS];
    size_t count = weft_loop_terms(&plan->admin, terms), bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += terms[i].bytes;
    bytes += weft_usage_bytes(ADMIN_ROUTES_MAX);
    struct weft_plan_term *term = add_term(plan, "admin", bytes);
    snprintf(term->formula, sizeof(term->formula), "the same parts for %zu connections",
             plan->admin.connections);
}

static void add_objects_terms(struct weft_plan *plan, const struct weft_plan_app *app)
{
    for (uint32_t i = 0; i < app->objects_count; i++) {
        const weft_objects *objects = app->objects[i];
        struct weft_plan_term *term =
            add_term(plan, objects->name_z, weft_objects_bytes(objects, plan->workers));
        char workers[32] = "";
        if (objects->per_worker)
            snprintf(workers, sizeof(workers), "%u workers x ", plan->workers);
        snprintf(term->formula, sizeof(term->formula), "%s%u x %zu, the program's objects", workers,
                 objects->capacity, objects->object_bytes);
    }
}

static void add_channels_terms(struct weft_plan *plan, const struct weft_plan_app *app)
{
    for (uint32_t i = 0; i < app->channels_count; i++) {
        const weft_channel *channel = app->channels[i];
        struct weft_plan_term *term = add_term(plan, channel->name_z, weft_channel_bytes(channel));
        snprintf(term->formula, sizeof(term->formula), "the program's channel, its newest events");
    }
}

static void add_caches_terms(struct weft_plan *plan, const struct weft_config *config,
                             const struct weft_plan_app *app)
{
    for (uint32_t i = 0; i < app->caches_count; i++) {
        const weft_cache *cache = app->caches[i];
        struct weft_plan_term *term =
            add_term(plan, cache->name_z, weft_cache_bytes(cache, plan->workers));
        snprintf(term->formula, sizeof(term->formula), "the program's cache: entries and tables");
    }
    if (config->cache_pmem_path[0] == 0 || app->caches_count == 0)
        return;
    size_t each = weft_cache_pmem_bytes(config->cache_pmem_bytes & ~(WEFT_PAGE_BYTES - 1));
    struct weft_plan_term *term = add_term(plan, "cache files", app->caches_count * each);
    snprintf(term->formula, sizeof(term->formula), "%u caches x %zu, while they are mapped",
             app->caches_count, each);
}

/* What the kernel itself holds for us, apart from what is queued in sockets. */
static void add_kernel_term(struct weft_plan *plan)
{
    size_t loops = (size_t)plan->workers + 1, files = (size_t)plan->workers * plan->files.entries;
    struct weft_plan_term *term =
        add_term(plan, "kernel",
                 plan->connections_max * WEFT_KERNEL_CONN_BYTES + loops * KERNEL_LOOP_BYTES +
                     files * KERNEL_FILE_BYTES);
    int len =
        snprintf(term->formula, sizeof(term->formula), "%u connections x %zu + %zu loops x %zu",
                 plan->connections_max, WEFT_KERNEL_CONN_BYTES, loops, KERNEL_LOOP_BYTES);
    if (files > 0)
        len += snprintf(term->formula + len, sizeof(term->formula) - (size_t)len,
                        " + %zu files x %zu", files, KERNEL_FILE_BYTES);
    snprintf(term->formula + len, sizeof(term->formula) - (size_t)len, ", the kernel's own");
    if (!plan->worker.direct)
        return;
    size_t entries = plan->worker.connections + WEFT_REFUSAL_SLOTS;
    term = add_term(plan, "tables", plan->workers * entries * KERNEL_ENTRY_BYTES);
    snprintf(term->formula, sizeof(term->formula), "%u workers x %zu x %zu, the kernel's",
             plan->workers, entries, KERNEL_ENTRY_BYTES);
}

static void add_compress_term(struct weft_plan *plan)
{
    size_t worker = weft_compress_bytes(&plan->compress);
    struct weft_plan_term *term =
        add_term(plan, "compress", plan->workers * worker + CODER_LIBRARIES_BYTES);
    snprintf(term->formula, sizeof(term->formula),
             "%u workers x %u coders x %zu + %zu for the libraries", plan->workers,
             plan->compress.coders, worker / plan->compress.coders, CODER_LIBRARIES_BYTES);
}

static void add_terms(struct weft_plan *plan, const struct weft_config *config,
                      const struct weft_plan_app *app)
{
    plan->term_count = 0;
    bool jemalloc = weft_allocator_profile(config) != WEFT_PROFILE_SYSTEM;
    struct weft_plan_term *term =
        add_term(plan, "process", PROCESS_BYTES + (jemalloc ? JEMALLOC_BYTES : 0));
    snprintf(term->formula, sizeof(term->formula), "program, libraries, start-up heap%s",
             jemalloc ? ", jemalloc" : "");
    if (config->cookies_key_path[0] != 0) {
        term = add_term(plan, "libcrypto", WEFT_LIBCRYPTO_BYTES);
        snprintf(term->formula, sizeof(term->formula), "the library, for signed cookies");
    }
    if (weft_shared_cache_wanted(config)) {
        struct weft_redis_options redis = weft_shared_cache_options(config);
        term = add_term(plan, "redis", WEFT_HIREDIS_BYTES + weft_redis_bytes(&redis));
        snprintf(term->formula, sizeof(term->formula), "%u connections x %zu + the library",
                 redis.connections, weft_redis_conn_bytes(&redis));
    }
    term = add_term(plan, "routes", app->router_bytes + plan->workers * app->scratch_bytes);
    snprintf(term->formula, sizeof(term->formula), "%zu + %u workers x %zu", app->router_bytes,
             plan->workers, app->scratch_bytes);
    if (app->mime_bytes > 0) {
        term = add_term(plan, "media types", app->mime_bytes);
        snprintf(term->formula, sizeof(term->formula), "files.mime_types and the built-in ones");
    }
    size_t history = weft_histories_bytes(app->route_count);
    term = add_term(plan, "history", plan->workers * history);
    snprintf(term->formula, sizeof(term->formula), "%u workers x %zu, what routes needed",
             plan->workers, history);
    term = add_term(plan, "threads",
                    (plan->workers + 1 + config->offload_threads) * THREAD_STACK_BYTES);
    snprintf(term->formula, sizeof(term->formula), "(%u workers + admin + %u offload) x %zu",
             plan->workers, config->offload_threads, THREAD_STACK_BYTES);
    size_t usage = weft_usage_bytes(app->route_count);
    term = add_term(plan, "route books", plan->workers * usage);
    snprintf(term->formula, sizeof(term->formula), "%u workers x %zu, who holds what by route",
             plan->workers, usage);
    if (config->log_access != WEFT_CONFIG_ACCESS_OFF) {
        term = add_term(plan, "access log", plan->workers * WEFT_ACCESS_LOG_BYTES);
        snprintf(term->formula, sizeof(term->formula), "%u workers x %zu", plan->workers,
                 WEFT_ACCESS_LOG_BYTES);
    }
    if (plan->files.entries > 0) {
        size_t files = weft_file_table_bytes(&plan->files);
        term = add_term(plan, "open files", plan->workers * files);
        snprintf(term->formula, sizeof(term->formula), "%u workers x (%u files + %zu of copies)",
                 plan->workers, plan->files.entries,
                 plan->files.hot_file_bytes == 0 ? 0 : plan->files.hot_bytes);
    }
    if (plan->compress.codings != 0)
        add_compress_term(plan);
    add_admin_terms(plan); /* without a listener too: its loop is the main thread's */
    add_loop_terms(plan, &plan->worker, plan->workers);
    add_objects_terms(plan, app);
    add_channels_terms(plan, app);
    add_caches_terms(plan, config, app);
    add_kernel_term(plan);
}

static size_t count_fixed(struct weft_plan *plan)
{
    size_t fixed = 0;
    for (uint32_t i = 0; i < plan->term_count; i++)
        if (!plan->terms[i].elastic)
            fixed += plan->terms[i].bytes;
    return fixed;
}

/* ---- the settings, made whole with what the machine has ---- */

static uint32_t ds_of(uint32_t ms)
{
    return ms == 0 ? 0 : WEFT_MAX((ms + 99) / 100, 1u);
}

static uint32_t connections_max(const struct weft_config *config,
                                const struct weft_machine *machine)
{
    if (config->connections_max != 0)
        return config->connections_max;
    uint64_t files = machine->nofile_hard;
    uint64_t least = WEFT_MIN(files / 2, (uint64_t)FD_RESERVE_MIN);
    uint64_t reserve = WEFT_MIN((uint64_t)FD_RESERVE, WEFT_MAX(files / 4, least));
    uint64_t redis = weft_shared_cache_wanted(config) ? config->cache_redis_connections : 0;
    reserve += WEFT_MIN(redis, files / 4);
    return (uint32_t)WEFT_MIN(files - reserve, (uint64_t)16777216);
}

/* What was not needed for a whole window goes at its end: two windows at most, and some time for
 * the pass itself. */
static uint32_t reclaim_window_ms(const struct weft_config *config)
{
    return config->memory_prefault ? 0 : config->memory_return_ms * 3 / 10;
}

/* ---- more connections than descriptors ---- */

static bool wants_direct(const struct weft_config *config, const struct weft_machine *machine,
                         uint32_t connections)
{
    if (config->descriptors == WEFT_CONFIG_DESCRIPTORS_AUTO)
        return connections > machine->nofile_hard;
    return config->descriptors == WEFT_CONFIG_DESCRIPTORS_DIRECT;
}

static size_t root_of(size_t n)
{
    size_t root = 0;
    while ((root + 1) * (root + 1) <= n)
        root++;
    return root;
}

/* What falls to one of so many workers: SO_REUSEPORT deals connections out by a hash, which spreads
 * them like coins; six standard deviations are never seen. */
static size_t worker_share(size_t connections, size_t workers)
{
    size_t mean = (connections + workers - 1) / workers;
    return WEFT_MIN(connections, mean + 6 * root_of(mean) + 16);
}

/* A worker's table has RLIMIT_NOFILE entries at most. */
static weft_rc deal_out(struct weft_plan *plan, const struct weft_config *config,
                        const struct weft_machine *machine, struct weft_config_errors *errors)
{
    enum { WORKERS_MAX = 256 };
    size_t table = (size_t)WEFT_MIN(machine->nofile_hard, (uint64_t)WEFT_URING_TABLE_MAX);
    size_t most = table > WEFT_REFUSAL_SLOTS ? table - WEFT_REFUSAL_SLOTS : 0;
    uint32_t needed = 1;
    while (needed < WORKERS_MAX && worker_share(plan->connections_max, needed) > most)
        needed++;
    if (config->workers == 0)
        plan->workers = WEFT_MAX(plan->workers, needed);
    plan->worker.connections = WEFT_MIN(worker_share(plan->connections_max, plan->workers), most);
    if (plan->worker.connections * plan->workers >= plan->connections_max)
        return 0;
    char more[64] = "raise the limit or make it smaller";
    if (worker_share(plan->connections_max, needed) <= most)
        snprintf(more, sizeof(more), "it takes %u", needed);
    weft_config_error(errors,
                      "connections.max: %u direct descriptors do not fit: a worker's table holds "
                      "RLIMIT_NOFILE (%" PRIu64 ") of them, and there are %u workers: %s",
                      plan->connections_max, machine->nofile_hard, plan->workers, more);
    return WEFT_ECONFIG;
}

/* What is left of the descriptors is for files under way: one for the file, one lent to the
 * connection that has none. */
static size_t installs_of(const struct weft_plan *plan, const struct weft_machine *machine)
{
    uint64_t taken = (uint64_t)FD_RESERVE_MIN + plan->workers * (uint64_t)FD_PER_WORKER;
    if (machine->nofile_hard <= taken)
        return 1;
    uint64_t each = (machine->nofile_hard - taken) / (2 * plan->workers);
    return (size_t)WEFT_MIN(WEFT_MAX(each, (uint64_t)1), (uint64_t)INSTALLS_MAX);
}

static weft_rc go_direct(struct weft_plan *plan, const struct weft_config *config,
                         const struct weft_machine *machine, struct weft_config_errors *errors)
{
    const char *why = "the engine is epoll";
    if (plan->engine != &weft_uring_ops || !weft_uring_direct_usable(&why)) {
        if (config->descriptors == WEFT_CONFIG_DESCRIPTORS_DIRECT)
            weft_config_error(errors, "descriptors: direct ones cannot be had: %s", why);
        else
            weft_config_error(errors,
                              "connections.max: %u is more than RLIMIT_NOFILE (%" PRIu64
                              "), which takes io_uring's direct descriptors, and they cannot be "
                              "had: %s; raise the limit (ulimit -n, LimitNOFILE=) or make "
                              "connections.max smaller",
                              plan->connections_max, machine->nofile_hard, why);
        return WEFT_ECONFIG;
    }
    WEFT_TRY(deal_out(plan, config, machine, errors));
    plan->worker.direct = true;
    plan->worker.installs = installs_of(plan, machine);
    return 0;
}

/* A quarter of the descriptors at most is for files. */
static void file_options(struct weft_plan *plan, const struct weft_config *config,
                         const struct weft_machine *machine, const struct weft_plan_app *app)
{
    if (!app->serves_files)
        return;
    uint64_t most = machine->nofile_hard / 4 / plan->workers;
    bool copies = config->files_send == WEFT_CONFIG_FILES_AUTO;
    plan->files = (struct weft_file_options){
        .entries = (uint32_t)WEFT_MIN((uint64_t)config->files_open_max, most),
        .hot_bytes = config->files_hot_bytes,
        .hot_file_bytes = copies ? config->files_hot_file_bytes_max : 0,
        .valid_ms = config->files_valid_ms,
        .idle_ms = 2 * reclaim_window_ms(config),
    };
}

/* Connections have what files leave, where nobody said how many they are to be. */
static void spare_for_files(struct weft_plan *plan, const struct weft_config *config)
{
    uint32_t files = plan->files.entries * plan->workers;
    if (config->connections_max == 0)
        plan->connections_max = WEFT_MAX(plan->connections_max, files + 1) - files;
}

/* Every connection may be a subscriber's, unless it was said how many. */
static void set_held(struct weft_plan *plan, const struct weft_config *config,
                     const struct weft_plan_app *app)
{
    plan->worker.holder = app->channels_count > 0 ? &weft_subscribers_holder : NULL;
    plan->worker.held = config->subscribers_max != 0
                            ? WEFT_MIN((size_t)config->subscribers_max, plan->worker.connections)
                            : plan->worker.connections;
}

static enum weft_file_way file_way(const struct weft_config *config)
{
    static const enum weft_file_way ways[] = {WEFT_FILE_SENDFILE, WEFT_FILE_READ, WEFT_FILE_MMAP,
                                              WEFT_FILE_SENDFILE, WEFT_FILE_SPLICE};
    return ways[config->files_send];
}

static void worker_options(struct weft_plan *plan, const struct weft_config *config,
                           const struct weft_plan_app *app)
{
    plan->worker = (struct weft_loop_options){
        .engine = plan->engine,
        .connections = plan->worker.connections,
        .direct = plan->worker.direct,
        .installs = plan->worker.installs,
        .active = config->requests_max,
        .waiting = config->tasks_max,
        .stack_bytes = WEFT_MAX(config->task_stack_bytes, app->route_stack_max),
        .buffer_bytes = config->http_buffer_bytes,
        .buffers = config->buffers_count,
        .spare_buffers = config->buffers_spare,
        .elastic_bytes = ELASTIC_MIN_BYTES,
        .timer_precision_ms = config->timer_precision_ms,
        .prefault = config->memory_prefault,
        .reclaim_window_ms = reclaim_window_ms(config),
        .slot_limits = {.fresh_ds = ds_of(config->timeouts_header_ms),
                        .idle_ds = ds_of(config->timeouts_idle_ms),
                        .linger_ds = 20},
        .protocol = app->protocol,
        .file_way = file_way(config),
    };
    plan->admin = plan->worker;
    set_held(plan, config, app);
    plan->admin.prefault = false;
    plan->admin.engine = &weft_epoll_ops;
    plan->admin.file_way = WEFT_FILE_SENDFILE;
    plan->admin.connections = 64;
    plan->admin.direct = false;
    plan->admin.installs = 0;
    plan->admin.active = 32;
    plan->admin.waiting = 8;
    plan->admin.buffers = 8;
    plan->admin.spare_buffers = 8;
    plan->admin.buffer_bytes = WEFT_MIN(config->http_buffer_bytes, (size_t)8192);
    plan->admin.elastic_bytes = ADMIN_BYTES;
}

/* The settings were checked. */
static weft_rc compress_options(struct weft_plan *plan, const struct weft_config *config)
{
    plan->compress = (struct weft_compress_options){
        .effort = (enum weft_effort)config->compress_effort,
        .coders = config->compress_coders,
        .body_bytes_min = config->compress_body_bytes_min,
        .file_bytes_max = config->compress_file_bytes_max,
        .window_ms = reclaim_window_ms(config),
    };
    return weft_compress_codings(weft_str_z(config->compress_codings), &plan->compress.codings);
}

static bool is_default(const struct weft_config *config, enum weft_param_id id)
{
    return config->sources[id].origin == WEFT_CONFIG_FROM_DEFAULT;
}

static size_t route_cap(const struct weft_config *config, const struct weft_plan_app *app)
{
    return WEFT_MAX(app->route_memory_max, config->route_memory_bytes);
}

/* A worker's share with which it can serve each route at least once. */
static size_t share_min(const struct weft_config *config, const struct weft_plan_app *app)
{
    return WEFT_ALIGN_UP(route_cap(config, app) + WEFT_PAGE_BYTES, WEFT_PAGE_BYTES);
}

/* What that takes, with the tables beside the chunks. */
static size_t elastic_min(const struct weft_plan *plan, const struct weft_config *config,
                          const struct weft_plan_app *app)
{
    return weft_chunks_bytes(WEFT_MAX(share_min(config, app), ELASTIC_MIN_BYTES)) * plan->workers;
}

static size_t shared(size_t count, size_t among, size_t least)
{
    return WEFT_MAX(count / among, least);
}

/* More workers than CPUs are there for their tables alone: what has not been set is for all those
 * of a CPU together. */
static void share_defaults(struct weft_plan *plan, const struct weft_config *config, size_t among)
{
    struct weft_loop_options *w = &plan->worker;
    size_t twice = 1;
    while (twice * 2 <= among)
        twice *= 2; /* for what is a power of two */
    if (is_default(config, WEFT_PARAM_requests_max))
        w->active = shared(w->active, among, 64);
    if (is_default(config, WEFT_PARAM_tasks_max))
        w->waiting = shared(w->waiting, among, 32);
    if (is_default(config, WEFT_PARAM_buffers_spare))
        w->spare_buffers = shared(w->spare_buffers, among, 32);
    if (is_default(config, WEFT_PARAM_buffers_count))
        w->buffers = shared(w->buffers, twice, 8);
    w->queue = shared(WEFT_ENGINE_QUEUE, twice, 64);
}

/* Halves what the user has not set, until the sum leaves a quarter of the limit to the arenas, and
 * what the largest route needs. */
static void scale(struct weft_plan *plan, const struct weft_config *config,
                  const struct weft_plan_app *app)
{
    size_t need = elastic_min(plan, config, app);
    size_t room = WEFT_MIN(plan->limit / 4 * 3, plan->limit - WEFT_MIN(need, plan->limit));
    for (int i = 0; i < 6 && count_fixed(plan) > room; i++) {
        struct weft_loop_options *w = &plan->worker;
        if (is_default(config, WEFT_PARAM_requests_max))
            w->active /= 2;
        if (is_default(config, WEFT_PARAM_tasks_max))
            w->waiting /= 2;
        if (is_default(config, WEFT_PARAM_buffers_spare))
            w->spare_buffers /= 2;
        if (is_default(config, WEFT_PARAM_files_hot_bytes))
            plan->files.hot_bytes /= 2;
        if (is_default(config, WEFT_PARAM_compress_coders) && plan->compress.coders > 1)
            plan->compress.coders /= 2;
        if (is_default(config, WEFT_PARAM_connections_max) && plan->connections_max > 1024) {
            plan->connections_max /= 2;
            w->connections = plan->connections_max; /* not direct: those are never the default */
        }
        plan->scaled = true;
        set_held(plan, config, app);
        add_terms(plan, config, app);
    }
}

static void set_limit(struct weft_plan *plan, const struct weft_config *config,
                      const struct weft_machine *machine)
{
    size_t given = weft_machine_memory_limit(machine);
    bool cgroup = machine->cgroup_limit_bytes != WEFT_MACHINE_NO_LIMIT &&
                  machine->cgroup_limit_bytes < machine->memory_bytes;
    plan->limit = config->memory_limit_bytes != 0 ? config->memory_limit_bytes : given;
    if (cgroup && plan->limit >= machine->cgroup_limit_bytes) {
        plan->limit = machine->cgroup_limit_bytes;
        snprintf(plan->limit_source, sizeof(plan->limit_source), "the cgroup's, %s",
                 machine->cgroup_source);
    } else if (config->memory_limit_bytes != 0) {
        char source[128];
        snprintf(
            plan->limit_source, sizeof(plan->limit_source), "memory.limit_bytes, %s",
            weft_config_source_text(config, WEFT_PARAM_memory_limit_bytes, source, sizeof(source)));
    } else {
        snprintf(plan->limit_source, sizeof(plan->limit_source), "half of the machine's memory");
    }
}

static const struct weft_plan_term *largest(const struct weft_plan *plan)
{
    const struct weft_plan_term *found = &plan->terms[1]; /* the process itself is what it is */
    for (uint32_t i = 2; i < plan->term_count; i++)
        if (!plan->terms[i].elastic && plan->terms[i].bytes > found->bytes)
            found = &plan->terms[i];
    return found;
}

static void tell_what_does_not_fit(const struct weft_plan *plan, const struct weft_plan_app *app,
                                   size_t arenas, struct weft_config_errors *errors)
{
    struct weft_plan_term term = *largest(plan);
    if (arenas > term.bytes) {
        weft_str route = app->route_memory_largest;
        term = (struct weft_plan_term){.name_z = "arenas", .bytes = arenas};
        snprintf(term.formula, sizeof(term.formula), "%u workers, each with a request of %.*s",
                 plan->workers, route.len == 0 ? 18 : (int)WEFT_MIN(route.len, 50u),
                 route.len == 0 ? "route.memory_bytes" : route.ptr);
    }
    weft_config_error(
        errors,
        "the memory plan does not fit: fixed terms %zu + arenas %zu > limit %zu "
        "bytes (%s); the largest term is '%s' with %zu bytes (%s): make it smaller "
        "(docs/memory.md has each term's setting) or raise the limit to %zuK at least",
        plan->fixed, arenas, plan->limit, plan->limit_source, term.name_z, term.bytes, term.formula,
        (plan->fixed + arenas + 1023) / 1024);
}

/* The arenas' share is known: the sum of all terms. */
static void add_up(struct weft_plan *plan, const struct weft_config *config,
                   const struct weft_plan_app *app, size_t share)
{
    plan->worker.elastic_bytes = share;
    add_terms(plan, config, app);
    for (uint32_t i = 0; i < plan->term_count; i++)
        plan->total += plan->terms[i].bytes;
}

/* What is left is the arenas', up to what all requests together could ask for. */
static weft_rc fill_elastic(struct weft_plan *plan, const struct weft_config *config,
                            const struct weft_plan_app *app, struct weft_config_errors *errors)
{
    size_t need = elastic_min(plan, config, app);
    plan->fixed = count_fixed(plan);
    if (plan->fixed + need > plan->limit) {
        tell_what_does_not_fit(plan, app, need, errors);
        add_up(plan, config, app, WEFT_MAX(share_min(config, app), ELASTIC_MIN_BYTES));
        return WEFT_EBUDGET;
    }
    size_t left = (plan->limit - plan->fixed) / plan->workers;
    size_t most = plan->worker.active * (route_cap(config, app) + 4096);
    size_t share = WEFT_MIN(left, most);
    /* The chunk store's own tables come out of the share. */
    share -= weft_chunks_bytes(share) - share;
    share = WEFT_MAX(share & ~(size_t)4095, share_min(config, app));
    plan->heap = plan->workers * WEFT_MIN(plan->worker.active * app->route_heap_max, share);
    add_up(plan, config, app, share);
    return 0;
}

weft_rc weft_plan_make(struct weft_plan *plan, const struct weft_config *config,
                       const struct weft_machine *machine, const struct weft_plan_app *app,
                       struct weft_config_errors *errors)
{
    static const char *const engines[] = {"auto", "uring", "epoll"};
    *plan = (struct weft_plan){0};
    plan->engine = weft_engine_pick(engines[config->engine], &plan->engine_note);
    if (plan->engine == NULL) {
        weft_config_error(errors, "engine: %s cannot be used: %s", engines[config->engine],
                          plan->engine_note);
        return WEFT_ECONFIG;
    }
    plan->workers = config->workers != 0 ? config->workers : machine->cpu_count;
    plan->connections_max = connections_max(config, machine);
    file_options(plan, config, machine, app);
    spare_for_files(plan, config);
    plan->worker.connections = plan->connections_max;
    if (wants_direct(config, machine, plan->connections_max))
        WEFT_TRY(go_direct(plan, config, machine, errors));
    set_limit(plan, config, machine);
    WEFT_TRY(compress_options(plan, config));
    worker_options(plan, config, app);
    file_options(plan, config, machine, app);
    if (plan->workers > machine->cpu_count && plan->worker.direct)
        share_defaults(plan, config, plan->workers / machine->cpu_count);
    add_terms(plan, config, app);
    scale(plan, config, app);
    return fill_elastic(plan, config, app, errors);
}

void weft_plan_print(FILE *to, const struct weft_plan *plan)
{
    fprintf(to, "%-16s %14s  %s\n", "term", "bytes", "how");
    for (uint32_t i = 0; i < plan->term_count; i++)
        fprintf(to, "%-16s %14zu  %s%s\n", plan->terms[i].name_z, plan->terms[i].bytes,
                plan->terms[i].formula, plan->terms[i].elastic ? " (elastic)" : "");
    fprintf(to, "%-16s %14zu  %s, %.1f MiB\n", "total", plan->total,
            plan->total <= plan->limit ? "worst case" : "the least that it takes",
            (double)plan->total / (1 << 20));
    fprintf(to, "%-16s %14zu  %s, %.1f MiB\n", "limit", plan->limit, plan->limit_source,
            (double)plan->limit / (1 << 20));
    if (plan->heap > 0)
        fprintf(to,
                "note: heap: of the arenas' bytes up to %zu may be malloc'ed by handlers (.heap)\n",
                plan->heap);
    if (plan->scaled)
        fprintf(
            to,
            "note: requests, tasks, spare buffers and connections that were not set are smaller "
            "than usual, to fit the limit\n");
}
