/* metrics.c - see metrics.h. */
#include "ops/metrics.h"
#include "base/fmt.h"
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct text {
    char *to;
    size_t room, len;
};

static void add(struct text *t, const char *format, ...) WEFT_PRINTF(2, 3);
static void add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t left = t->len < t->room ? t->room - t->len : 0;
    t->len += weft_vfmt(left > 0 ? t->to + t->len : NULL, left, format, args);
    va_end(args);
}

/* ---- the process, as the kernel sees it ---- */

static size_t kilobytes_after(const char *text_z, const char *key_z)
{
    const char *at = strstr(text_z, key_z);
    return at == NULL ? 0 : (size_t)strtoull(at + strlen(key_z), NULL, 10) << 10;
}

static void read_file(const char *path_z, char *to, size_t room)
{
    int fd = open(path_z, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, to, room - 1);
    to[n > 0 ? n : 0] = 0;
    if (fd >= 0)
        close(fd);
}

void weft_process_memory_read(struct weft_process_memory *out)
{
    char text[4096];
    read_file("/proc/self/smaps_rollup", text, sizeof(text));
    out->rss = kilobytes_after(text, "Rss:");
    out->lazy_free = kilobytes_after(text, "LazyFree:");
    out->private_bytes =
        kilobytes_after(text, "Private_Clean:") + kilobytes_after(text, "Private_Dirty:");
    read_file("/proc/self/status", text, sizeof(text));
    out->page_tables = kilobytes_after(text, "VmPTE:");
    out->peak_rss = kilobytes_after(text, "VmHWM:");
}

/* ---- Prometheus ---- */

static void add_counters(struct text *t, const struct weft_metrics_source *s)
{
    for (size_t id = 0; id < WEFT_COUNTER_COUNT; id++) {
        const struct weft_counter_info *info = &weft_counter_infos[id];
        add(t, "# HELP weft_%s %s (%s)\n# TYPE weft_%s counter\n", info->name_z, info->help_z,
            info->unit_z, info->name_z);
        for (uint32_t w = 0; w < s->worker_count; w++)
            add(t, "weft_%s{worker=\"%s\"} %llu\n", info->name_z, s->workers[w].name_z,
                (unsigned long long)weft_counter_read(s->workers[w].counters,
                                                      (enum weft_counter)id));
    }
}

static void add_gauge(struct text *t, const char *name_z, const char *help_z, size_t value)
{
    add(t, "# HELP weft_%s %s\n# TYPE weft_%s gauge\nweft_%s %zu\n", name_z, help_z, name_z, name_z,
        value);
}

static const char *worker_name(const struct weft_metrics_source *s, uint32_t worker)
{
    return worker < s->worker_count ? s->workers[worker].name_z : "process";
}

/* Slots out of an account: bytes in use over the size of one. */
static size_t slots_used(const struct weft_metrics_source *s, const char *owner_z)
{
    size_t used = 0;
    for (uint32_t i = 0; i < s->ledger->account_count; i++) {
        const struct weft_account *a = &s->ledger->accounts[i];
        if (strcmp(a->name_z, owner_z) == 0 && a->unit_bytes > 0 &&
            strcmp(worker_name(s, a->worker), "admin") != 0)
            used += atomic_load(&a->used) / a->unit_bytes;
    }
    return used;
}

struct column {
    const char *name_z;
    const char *help_z;
    size_t offset; /* of an _Atomic size_t in struct weft_account */
};

static const struct column columns[] = {
    {"reserved", "bytes that this owner may take at worst",
     offsetof(struct weft_account, reserved)},
    {"committed", "bytes touched and not given back", offsetof(struct weft_account, committed)},
    {"used", "bytes in use now", offsetof(struct weft_account, used)},
    {"peak", "most bytes in use so far", offsetof(struct weft_account, peak)},
};

static void add_accounts(struct text *t, const struct weft_metrics_source *s)
{
    for (size_t c = 0; c < WEFT_COUNT_OF(columns); c++) {
        add(t, "# HELP weft_memory_%s_bytes %s\n# TYPE weft_memory_%s_bytes gauge\n",
            columns[c].name_z, columns[c].help_z, columns[c].name_z);
        for (uint32_t i = 0; i < s->ledger->account_count; i++) {
            const struct weft_account *a = &s->ledger->accounts[i];
            const _Atomic size_t *value = (const void *)((const char *)a + columns[c].offset);
            add(t, "weft_memory_%s_bytes{owner=\"%s\",worker=\"%s\"} %zu\n", columns[c].name_z,
                a->name_z, worker_name(s, a->worker), atomic_load(value));
        }
    }
    add(t, "# HELP weft_memory_refused_total requests for memory that were refused\n"
           "# TYPE weft_memory_refused_total counter\n");
    for (uint32_t i = 0; i < s->ledger->account_count; i++) {
        const struct weft_account *a = &s->ledger->accounts[i];
        add(t, "weft_memory_refused_total{owner=\"%s\",worker=\"%s\"} %llu\n", a->name_z,
            worker_name(s, a->worker), (unsigned long long)atomic_load(&a->refused));
    }
}

static void add_counter(struct text *t, const char *name_z, const char *help_z, uint64_t value)
{
    add(t, "# HELP weft_%s %s\n# TYPE weft_%s counter\nweft_%s %llu\n", name_z, help_z, name_z,
        name_z, (unsigned long long)value);
}

/* The watch over memory.return_ms, and the level of relief. */
static void add_watch(struct text *t, const struct weft_metrics_source *s)
{
    const struct weft_settle *settle = s->settle;
    add_gauge(t, "relief_level", "0: memory is not short, 1: trims, 2: sheds, 3: closes idle ones",
              weft_limits_relief(s->limits));
    add_gauge(t, "settle_baseline_bytes", "resident after the first load, LazyFree left out",
              atomic_load(&settle->baseline));
    add_gauge(t, "settle_bytes", "resident when it was last quiet for memory.return_ms",
              atomic_load(&settle->figure));
    add_gauge(t, "settle_took_ms", "from the last request until memory was found back",
              (size_t)atomic_load(&settle->took_ms));
    add_counter(t, "settle_checks_total", "times that it was quiet for memory.return_ms",
                atomic_load(&settle->checks));
    add_counter(t, "settle_missed_total", "of those, with 2 MiB more than the baseline",
                atomic_load(&settle->misses));
}

size_t weft_metrics_text(const struct weft_metrics_source *s, char *to, size_t room)
{
    struct text t = {to, room, 0};
    struct weft_process_memory process;
    weft_process_memory_read(&process);
    add(&t,
        "# HELP weft_engine_info which engine serves\n# TYPE weft_engine_info gauge\n"
        "weft_engine_info{engine=\"%s\",version=\"%s\"} 1\n",
        s->engine_z, WEFT_VERSION);
    add_counters(&t, s);
    add_gauge(&t, "connections", "connections open now", slots_used(s, "connections"));
    add_gauge(&t, "connections_max", "connections that may be open", s->connections_max);
    add_gauge(&t, "active", "connections with something going on now", slots_used(s, "active"));
    add_gauge(&t, "tasks_waiting", "stacks in use by handlers that wait", slots_used(s, "stacks"));
    add_gauge(&t, "stack_high_water_bytes", "deepest use of a task's stack", s->stack_high_water);
    add_gauge(&t, "ready", "1 while new requests are welcome", s->ready);
    add_gauge(&t, "plan_bytes", "worst case from the settings", s->plan_bytes);
    add_gauge(&t, "memory_limit_bytes", "what the process may hold", s->ledger->limit);
    add_gauge(&t, "process_rss_bytes", "resident set, LazyFree included", process.rss);
    add_gauge(&t, "process_lazy_free_bytes", "given back, not yet taken by the kernel",
              process.lazy_free);
    add_gauge(&t, "process_private_bytes", "private pages", process.private_bytes);
    add_gauge(&t, "process_page_table_bytes", "page tables", process.page_tables);
    add_watch(&t, s);
    add_accounts(&t, s);
    return t.len;
}

/* ---- the ledger ---- */

size_t weft_metrics_memory(const struct weft_metrics_source *s, char *to, size_t room)
{
    struct text t = {to, room, 0};
    struct weft_process_memory process;
    weft_process_memory_read(&process);
    add(&t,
        "{\"limit\":%zu,\"plan\":%zu,\"reserved\":%zu,\n "
        "\"process\":{\"rss\":%zu,\"lazy_free\":%zu,"
        "\"private\":%zu,\"page_tables\":%zu,\"peak_rss\":%zu},\n \"stack_high_water\":%zu,\n"
        " \"owners\":[",
        s->ledger->limit, s->plan_bytes, atomic_load(&s->ledger->reserved), process.rss,
        process.lazy_free, process.private_bytes, process.page_tables, process.peak_rss,
        s->stack_high_water);
    for (uint32_t i = 0; i < s->ledger->account_count; i++) {
        const struct weft_account *a = &s->ledger->accounts[i];
        add(&t,
            "%s\n  "
            "{\"owner\":\"%s\",\"worker\":\"%s\",\"unit\":%zu,\"reserved\":%zu,\"committed\":%zu,"
            "\"used\":%zu,\"peak\":%zu,\"refused\":%llu}",
            i == 0 ? "" : ",", a->name_z, worker_name(s, a->worker), a->unit_bytes,
            atomic_load(&a->reserved), atomic_load(&a->committed), atomic_load(&a->used),
            atomic_load(&a->peak), (unsigned long long)atomic_load(&a->refused));
    }
    add(&t, "\n ]}\n");
    return t.len;
}
