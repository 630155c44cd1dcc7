/* metrics.c - see metrics.h. */
#include "ops/metrics.h"
#include "io/loop.h"

size_t weft_owners_read(const struct weft_metrics_source *s)
{
    struct weft_owner *owners = s->owners;
    size_t count = 0;
    for (uint32_t i = 0; i < s->ledger->account_count; i++) {
        const struct weft_account *a = &s->ledger->accounts[i];
        size_t at = 0;
        while (at < count && strcmp(owners[at].name_z, a->name_z) != 0)
            at++;
        if (at == WEFT_OWNERS_MAX)
            continue;
        if (at == count)
            owners[count++] = (struct weft_owner){.name_z = a->name_z};
        owners[at].held += s->reality->held[i];
        owners[at].committed += atomic_load(&a->committed);
        owners[at].used += weft_account_used(a);
        owners[at].peak += atomic_load(&a->peak);
        owners[at].reserved += atomic_load(&a->reserved);
        owners[at].refused += atomic_load(&a->refused);
    }
    return count;
}

static void add_counters(struct weft_text *t, const struct weft_metrics_source *s)
{
    for (size_t id = 0; id < WEFT_COUNTER_COUNT; id++) {
        const struct weft_counter_info *info = &weft_counter_infos[id];
        weft_text_add(t, "# HELP weft_%s %s (%s)\n# TYPE weft_%s counter\n", info->name_z,
                      info->help_z, info->unit_z, info->name_z);
        for (uint32_t w = 0; w < s->worker_count; w++)
            weft_text_add(t, "weft_%s{worker=\"%s\"} %llu\n", info->name_z, s->workers[w].name_z,
                          (unsigned long long)weft_counter_read(s->workers[w].counters,
                                                                (enum weft_counter)id));
    }
}

static void add_gauge(struct weft_text *t, const char *name_z, const char *help_z, size_t value)
{
    weft_text_add(t, "# HELP weft_%s %s\n# TYPE weft_%s gauge\nweft_%s %zu\n", name_z, help_z,
                  name_z, name_z, value);
}

/* Slots out of an account: bytes in use over the size of one. */
static size_t slots_used(const struct weft_metrics_source *s, const char *owner_z)
{
    size_t used = 0;
    for (uint32_t i = 0; i < s->ledger->account_count; i++) {
        const struct weft_account *a = &s->ledger->accounts[i];
        if (strcmp(a->name_z, owner_z) == 0 && a->unit_bytes > 0 &&
            strcmp(weft_metrics_worker_name(s, a->worker), "admin") != 0)
            used += weft_account_used(a) / a->unit_bytes;
    }
    return used;
}

/* A figure of an account, as its index in the ledger finds it. */
static uint64_t reserved_of(const struct weft_metrics_source *s, uint32_t i)
{
    return atomic_load(&s->ledger->accounts[i].reserved);
}
static uint64_t committed_of(const struct weft_metrics_source *s, uint32_t i)
{
    return atomic_load(&s->ledger->accounts[i].committed);
}
static uint64_t resident_of(const struct weft_metrics_source *s, uint32_t i)
{
    return s->reality->held[i];
}
static uint64_t used_of(const struct weft_metrics_source *s, uint32_t i)
{
    return weft_account_used(&s->ledger->accounts[i]);
}
static uint64_t peak_of(const struct weft_metrics_source *s, uint32_t i)
{
    return atomic_load(&s->ledger->accounts[i].peak);
}
static uint64_t promised_of(const struct weft_metrics_source *s, uint32_t i)
{
    return atomic_load(&s->ledger->accounts[i].promised);
}
static uint64_t refused_of(const struct weft_metrics_source *s, uint32_t i)
{
    return atomic_load(&s->ledger->accounts[i].refused);
}
static uint64_t allocs_of(const struct weft_metrics_source *s, uint32_t i)
{
    return weft_account_takes(&s->ledger->accounts[i]);
}
static uint64_t frees_of(const struct weft_metrics_source *s, uint32_t i)
{
    return weft_account_puts(&s->ledger->accounts[i]);
}

static const struct column {
    const char *name_z;
    const char *kind_z;
    const char *help_z;
    uint64_t (*read)(const struct weft_metrics_source *s, uint32_t account);
} columns[] = {
    {"reserved_bytes", "gauge", "bytes that this owner may take at worst", reserved_of},
    {"committed_bytes", "gauge", "bytes booked as touched and not given back", committed_of},
    {"resident_bytes", "gauge", "bytes of this owner's pages in memory", resident_of},
    {"used_bytes", "gauge", "bytes in use now", used_of},
    {"peak_bytes", "gauge", "most bytes in use so far", peak_of},
    {"promised_bytes", "gauge", "bytes promised to requests that run now", promised_of},
    {"refused_total", "counter", "requests for memory that were refused", refused_of},
    {"allocs_total", "counter", "times that something was taken", allocs_of},
    {"frees_total", "counter", "times that something was given back", frees_of},
};

static void add_accounts(struct weft_text *t, const struct weft_metrics_source *s)
{
    for (size_t c = 0; c < WEFT_COUNT_OF(columns); c++) {
        weft_text_add(t, "# HELP weft_memory_%s %s\n# TYPE weft_memory_%s %s\n", columns[c].name_z,
                      columns[c].help_z, columns[c].name_z, columns[c].kind_z);
        for (uint32_t i = 0; i < s->ledger->account_count; i++) {
            const struct weft_account *a = &s->ledger->accounts[i];
            weft_text_add(t, "weft_memory_%s{owner=\"%s\",worker=\"%s\"} %llu\n", columns[c].name_z,
                          a->name_z, weft_metrics_worker_name(s, a->worker),
                          (unsigned long long)columns[c].read(s, i));
        }
    }
}

/* Pages in memory over bytes in use, for what has something in use: 1 is without waste. */
static void add_fragmentation(struct weft_text *t, const struct weft_metrics_source *s)
{
    const struct weft_owner *owners = s->owners;
    size_t count = weft_owners_read(s);
    weft_text_add(t, "# HELP weft_memory_fragmentation_ratio pages in memory over bytes in use\n"
                     "# TYPE weft_memory_fragmentation_ratio gauge\n");
    for (size_t i = 0; i < count; i++) {
        size_t permille =
            owners[i].used == 0
                ? 1000
                : (size_t)((double)owners[i].held * 1000 / (double)owners[i].used + 0.5);
        weft_text_add(t, "weft_memory_fragmentation_ratio{owner=\"%s\"} %zu.%03zu\n",
                      owners[i].name_z, permille / 1000, permille % 1000);
    }
}

static void add_process(struct weft_text *t, const struct weft_reality *r)
{
    const struct weft_process_memory *p = &r->process;
    add_gauge(t, "process_rss_bytes", "resident set, LazyFree included", p->rss);
    add_gauge(t, "process_lazy_free_bytes", "given back, not yet taken by the kernel",
              p->lazy_free);
    add_gauge(t, "process_private_bytes", "private pages", p->private_bytes);
    add_gauge(t, "process_page_table_bytes", "page tables", p->page_tables);
    add_gauge(t, "process_peak_rss_bytes", "highest resident set so far", p->peak_rss);
    add_gauge(t, "process_swap_bytes", "pages in swap", p->swap);
    add_gauge(t, "process_threads", "threads of the process", p->threads);
}

/* Own rows, and how much of the resident set they are. */
static void add_own(struct weft_text *t, const struct weft_reality *r)
{
    add_gauge(t, "memory_ledger_bytes", "pages in memory that accounts hold", r->ledger);
    add_gauge(t, "memory_image_bytes", "pages of the program and its libraries", r->image);
    add_gauge(t, "memory_heap_bytes", "pages of malloc's heap", r->heap.present);
    add_gauge(t, "memory_heap_used_bytes", "bytes that callers of malloc hold",
              r->heap.stats.allocated);
    add_gauge(t, "memory_heap_thread_cache_bytes", "freed, kept by threads for themselves",
              r->heap.stats.thread_caches);
    add_gauge(t, "memory_thread_stack_bytes", "pages of threads' own stacks",
              r->threads.present_bytes);
    weft_text_add(t,
                  "# HELP weft_memory_explained_ratio own rows over the resident set\n"
                  "# TYPE weft_memory_explained_ratio gauge\n"
                  "weft_memory_explained_ratio %u.%03u\n"
                  "# HELP weft_memory_residual_bytes resident and nobody's\n"
                  "# TYPE weft_memory_residual_bytes gauge\nweft_memory_residual_bytes %lld\n",
                  r->explained / 1000, r->explained % 1000, (long long)r->residual);
}

static void add_kernel(struct weft_text *t, const struct weft_reality *r)
{
    add_gauge(t, "cgroup_current_bytes", "charged to the cgroup", r->cgroup.current);
    add_gauge(t, "cgroup_working_set_bytes", "charged, without inactive file pages",
              r->cgroup.working_set);
    add_gauge(t, "system_tcp_bytes", "TCP buffers of the whole system", r->sockets.tcp_bytes);
    add_gauge(t, "sockets_sampled", "connections asked for their kernel memory", r->sample.asked);
    add_gauge(t, "sockets_queued_bytes", "kernel bytes queued on our connections, by the sample",
              weft_sample_queued(&r->sample));
}

static void add_counter(struct weft_text *t, const char *name_z, const char *help_z, uint64_t value)
{
    weft_text_add(t, "# HELP weft_%s %s\n# TYPE weft_%s counter\nweft_%s %llu\n", name_z, help_z,
                  name_z, name_z, (unsigned long long)value);
}

/* The watch over memory.return_ms, and the level of relief. */
static void add_watch(struct weft_text *t, const struct weft_metrics_source *s)
{
    const struct weft_settle *settle = s->settle;
    add_gauge(t, "relief_level", "0: memory is not short, 1: trims, 2: sheds, 3: closes idle ones",
              weft_limits_relief(s->limits));
    add_gauge(t, "settle_baseline_bytes", "resident after the first load, LazyFree left out",
              atomic_load(&settle->baseline));
    add_gauge(t, "settle_bytes", "resident when it was last quiet for memory.return_ms",
              atomic_load(&settle->figure));
    weft_text_add(t,
                  "# HELP weft_settle_seconds from the last request until memory was found back\n"
                  "# TYPE weft_settle_seconds gauge\nweft_settle_seconds %g\n",
                  (double)atomic_load(&settle->took_ms) / 1000);
    add_counter(t, "settle_checks_total", "times that it was quiet for memory.return_ms",
                atomic_load(&settle->checks));
    add_counter(t, "settle_missed_total", "of those, with 2 MiB more than the baseline",
                atomic_load(&settle->misses));
    add_gauge(t, "memory_withheld_bytes",
              "of each worker's arenas, because the cgroup's limit fell below the plan",
              atomic_load(&s->limits->withheld));
    add_counter(t, "memory_limit_lowered_total", "times that it did",
                atomic_load(&s->limits->lowered));
    add_counter(t, "memory_purges_total",
                "times that malloc was had give back what it kept, because arenas wanted the room",
                atomic_load(&s->purge->ended));
}

/* ---- other servers ---- */

static uint64_t waiting_bytes(const struct weft_upstream *u)
{
    return atomic_load(&u->bytes_waiting);
}
static uint64_t waiting_requests(const struct weft_upstream *u)
{
    return atomic_load(&u->requests_waiting);
}
static uint64_t queued(const struct weft_upstream *u)
{
    return atomic_load(&u->queued);
}
static uint64_t in_use(const struct weft_upstream *u)
{
    return atomic_load(&u->out);
}
static uint64_t connections_max(const struct weft_upstream *u)
{
    return u->conn_count;
}
static uint64_t refused(const struct weft_upstream *u)
{
    return atomic_load(&u->refused);
}

static const struct upstream_column {
    const char *name_z;
    const char *kind_z;
    const char *help_z;
    uint64_t (*read)(const struct weft_upstream *upstream);
} upstream_columns[] = {
    {"bytes_waiting", "gauge", "bytes that requests hold while they wait on this server",
     waiting_bytes},
    {"upstream_requests_waiting", "gauge", "requests that wait on this server", waiting_requests},
    {"upstream_queued", "gauge", "of them, those without a connection yet", queued},
    {"upstream_connections_used", "gauge", "connections that requests have now", in_use},
    {"upstream_connections_max", "gauge", "connections at once, at most", connections_max},
    {"upstream_refused_total", "counter", "requests that found all in use, and the queue full",
     refused},
};

static void add_upstreams(struct weft_text *t, const struct weft_metrics_source *s)
{
    for (size_t c = 0; s->upstream_count > 0 && c < WEFT_COUNT_OF(upstream_columns); c++) {
        const struct upstream_column *column = &upstream_columns[c];
        weft_text_add(t, "# HELP weft_%s %s\n# TYPE weft_%s %s\n", column->name_z, column->help_z,
                      column->name_z, column->kind_z);
        for (size_t i = 0; i < s->upstream_count; i++)
            weft_text_add(t, "weft_%s{upstream=\"%s\"} %llu\n", column->name_z,
                          s->upstreams[i]->name_z,
                          (unsigned long long)column->read(s->upstreams[i]));
    }
}

/* ---- passes that give pages back ---- */

static void add_per_worker(struct weft_text *t, const struct weft_metrics_source *s,
                           const char *name_z, const char *help_z,
                           const _Atomic uint64_t *(*figure)(const struct weft_reclaim *))
{
    weft_text_add(t, "# HELP weft_%s %s\n# TYPE weft_%s counter\n", name_z, help_z, name_z);
    for (uint32_t w = 0; w < s->worker_count; w++)
        weft_text_add(t, "weft_%s{worker=\"%s\"} %llu\n", name_z, s->workers[w].name_z,
                      (unsigned long long)atomic_load(figure(&s->workers[w].loop->reclaim)));
}

static const _Atomic uint64_t *passes_of(const struct weft_reclaim *reclaim)
{
    return &reclaim->passes;
}

static const _Atomic uint64_t *bytes_of(const struct weft_reclaim *reclaim)
{
    return &reclaim->bytes;
}

/* Steps of passes by their length: how long requests of the worker were held up. */
static void add_pauses(struct weft_text *t, const char *worker_z, const struct weft_reclaim *r)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < WEFT_PAUSE_BUCKETS; i++) {
        count += atomic_load(&r->pauses[i]);
        if (i + 1 < WEFT_PAUSE_BUCKETS)
            weft_text_add(t, "weft_reclaim_pause_seconds_bucket{worker=\"%s\",le=\"%.9f\"} %llu\n",
                          worker_z, (double)((uint64_t)WEFT_PAUSE_UNIT_NS << i) / 1e9,
                          (unsigned long long)count);
    }
    weft_text_add(t,
                  "weft_reclaim_pause_seconds_bucket{worker=\"%s\",le=\"+Inf\"} %llu\n"
                  "weft_reclaim_pause_seconds_sum{worker=\"%s\"} %.9f\n"
                  "weft_reclaim_pause_seconds_count{worker=\"%s\"} %llu\n",
                  worker_z, (unsigned long long)count, worker_z,
                  (double)atomic_load(&r->pause_ns) / 1e9, worker_z, (unsigned long long)count);
}

static void add_reclaim(struct weft_text *t, const struct weft_metrics_source *s)
{
    add_per_worker(t, s, "reclaim_passes_total", "passes that gave pages back to the system",
                   passes_of);
    add_per_worker(t, s, "reclaim_bytes_total", "bytes given back to the system", bytes_of);
    weft_text_add(t, "# HELP weft_reclaim_pause_seconds length of a pass's steps\n"
                     "# TYPE weft_reclaim_pause_seconds histogram\n");
    for (uint32_t w = 0; w < s->worker_count; w++)
        add_pauses(t, s->workers[w].name_z, &s->workers[w].loop->reclaim);
}

/* What decides when a pass starts: its inputs with their windows, and what comes out. */
static void add_governor(struct weft_text *t, const struct weft_metrics_source *s)
{
    for (uint32_t i = 0; i < WEFT_GOVERNOR_FIGURES; i++) {
        const struct weft_governor_figure_info *info = &weft_governor_figures[i];
        weft_text_add(t, "# HELP weft_governor_%s %s\n# TYPE weft_governor_%s %s\n", info->name_z,
                      info->help_z, info->name_z, info->counter ? "counter" : "gauge");
        for (uint32_t w = 0; w < s->worker_count; w++)
            weft_text_add(t, "weft_governor_%s{worker=\"%s\"} %g\n", info->name_z,
                          s->workers[w].name_z,
                          weft_governor_figure(&s->workers[w].loop->reclaim.governor,
                                               (enum weft_governor_figure)i));
    }
}

/* ---- by route: all workers together, as there may be many of both ---- */

static uint64_t route_requests(const struct weft_top_row *row)
{
    return row->requests;
}
static uint64_t route_allocs(const struct weft_top_row *row)
{
    return row->allocs;
}
static uint64_t route_alloc_bytes(const struct weft_top_row *row)
{
    return row->alloc_bytes;
}
static uint64_t route_answer_bytes(const struct weft_top_row *row)
{
    return row->answer_bytes;
}
static uint64_t route_copied_bytes(const struct weft_top_row *row)
{
    return row->copied_bytes;
}
static uint64_t route_arena(const struct weft_top_row *row)
{
    return row->arena.now;
}
static uint64_t route_stacks(const struct weft_top_row *row)
{
    return row->stack.now;
}

static const struct route_column {
    const char *name_z;
    const char *kind_z;
    const char *help_z;
    uint64_t (*read)(const struct weft_top_row *row);
} route_columns[] = {
    {"requests_total", "counter", "requests of the route", route_requests},
    {"allocs_total", "counter", "times that they were given arena memory", route_allocs},
    {"alloc_bytes_total", "counter", "bytes that they asked for", route_alloc_bytes},
    {"answer_bytes_total", "counter", "bytes of bodies that they were answered with",
     route_answer_bytes},
    {"copied_bytes_total", "counter",
     "bytes of those bodies copied in user memory: over answer_bytes_total, copies per byte",
     route_copied_bytes},
    {"arena_bytes", "gauge", "bytes of chunks that they hold now", route_arena},
    {"stack_bytes", "gauge", "bytes of stack under those that wait now", route_stacks},
};

static void add_routes(struct weft_text *t, const struct weft_metrics_source *s)
{
    for (size_t c = 0; c < WEFT_COUNT_OF(route_columns); c++) {
        const struct route_column *column = &route_columns[c];
        weft_text_add(t, "# HELP weft_route_%s %s\n# TYPE weft_route_%s %s\n", column->name_z,
                      column->help_z, column->name_z, column->kind_z);
        for (size_t i = 0; i < s->routes->count; i++) {
            const struct weft_top_row *row = &s->routes->rows[i];
            weft_text_add(t, "weft_route_%s{route=\"", column->name_z);
            weft_top_route_name(t, s->names, row->id, weft_text_label);
            weft_text_add(t, "\"} %llu\n", (unsigned long long)column->read(row));
        }
    }
}

weft_rc weft_metrics_text(const struct weft_metrics_source *s, weft_text_put *put, void *ctx)
{
    struct weft_text text, *t = &text;
    weft_text_init(t, put, ctx);
    weft_text_add(t,
                  "# HELP weft_engine_info which engine serves\n"
                  "# TYPE weft_engine_info gauge\n"
                  "weft_engine_info{engine=\"%s\",version=\"%s\"} 1\n",
                  s->engine_z, WEFT_VERSION);
    add_counters(t, s);
    add_gauge(t, "connections", "connections open now", slots_used(s, "connections"));
    add_gauge(t, "connections_max", "connections that may be open", s->connections_max);
    add_gauge(t, "active", "connections with something going on now", slots_used(s, "active"));
    add_gauge(t, "subscribers", "connections held for a channel's events now",
              slots_used(s, "subscribers"));
    add_gauge(t, "tasks_waiting", "stacks in use by handlers that wait", slots_used(s, "stacks"));
    add_gauge(t, "stack_high_water_bytes", "deepest use of a task's stack", s->stack_high_water);
    add_gauge(t, "ready", "1 while new requests are welcome", s->ready);
    add_gauge(t, "plan_bytes", "worst case from the settings", s->plan_bytes);
    add_gauge(t, "memory_limit_bytes", "what the process may hold", s->ledger->limit);
    add_process(t, s->reality);
    add_own(t, s->reality);
    add_kernel(t, s->reality);
    add_watch(t, s);
    add_upstreams(t, s);
    add_accounts(t, s);
    add_fragmentation(t, s);
    add_reclaim(t, s);
    add_governor(t, s);
    add_routes(t, s);
    return weft_text_end(t);
}
