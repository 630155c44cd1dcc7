/* report.c - see report.h. */
#include "ops/report.h"

/* ---- JSON ---- */

static void json_terms(struct weft_text *t, const struct weft_metrics_source *s)
{
    weft_text_add(t, " \"limit_source\":\"");
    weft_text_json(t, weft_str_z(s->limit_source_z));
    weft_text_add(t, "\",\n \"terms\":[");
    for (size_t i = 0; i < s->term_count; i++) {
        weft_text_add(t, "%s\n  {\"term\":\"%s\",\"bytes\":%zu,\"elastic\":%s,\"how\":\"",
                      i == 0 ? "" : ",", s->terms[i].name_z, s->terms[i].bytes,
                      s->terms[i].elastic ? "true" : "false");
        weft_text_json(t, weft_str_z(s->terms[i].formula_z));
        weft_text_add(t, "\"}");
    }
    weft_text_add(t, "\n ],\n");
}

static void json_process(struct weft_text *t, const struct weft_reality *r)
{
    const struct weft_process_memory *p = &r->process;
    weft_text_add(t,
                  " \"process\":{\"rss\":%zu,\"lazy_free\":%zu,\"rss_without_lazy_free\":%zu,"
                  "\"private\":%zu,\"page_tables\":%zu,\"peak_rss\":%zu,\"swap\":%zu,"
                  "\"threads\":%zu},\n",
                  p->rss, p->lazy_free, p->rss - WEFT_MIN(p->rss, p->lazy_free), p->private_bytes,
                  p->page_tables, p->peak_rss, p->swap, p->threads);
    if (r->in_cgroup)
        weft_text_add(t,
                      " \"cgroup\":{\"version\":%d,\"current\":%zu,\"inactive_file\":%zu,"
                      "\"working_set\":%zu},\n",
                      r->cgroup.version, r->cgroup.current, r->cgroup.inactive_file,
                      r->cgroup.working_set);
    else
        weft_text_add(t, " \"cgroup\":null,\n");
    weft_text_add(t,
                  " \"kernel\":{\"system_tcp\":%zu,\"system_udp\":%zu,\"system_fragments\":%zu,"
                  "\"connections\":%zu,\"sampled\":%zu,\"sampled_queued\":%zu,"
                  "\"queued_estimate\":%zu,\"objects_estimate\":%zu},\n",
                  r->sockets.tcp_bytes, r->sockets.udp_bytes, r->sockets.frag_bytes,
                  r->sample.connections, r->sample.asked, r->sample.queued_bytes,
                  weft_sample_queued(&r->sample), r->sample.connections * WEFT_KERNEL_CONN_BYTES);
}

static void json_own(struct weft_text *t, const struct weft_reality *r)
{
    const struct weft_heap_memory *h = &r->heap;
    weft_text_add(t,
                  " \"explained\":{\"counted\":%s,\"ledger\":%zu,\"ledger_booked\":%zu,"
                  "\"image\":%zu,\"heap\":%zu,\"thread_stacks\":%zu,\"own\":%zu,\"residual\":%lld,"
                  "\"percent\":%u.%u},\n",
                  r->counted ? "true" : "false", r->ledger, r->booked, r->image, h->present,
                  r->threads.present_bytes, r->own, (long long)r->residual, r->explained / 10,
                  r->explained % 10);
    weft_text_add(t,
                  " \"heap\":{\"allocator\":\"%s\",\"allocated\":%zu,\"active\":%zu,"
                  "\"resident\":%zu,\"retained\":%zu,\"thread_caches\":%zu},\n",
                  h->stats.allocator_z, h->stats.allocated, h->stats.active, h->stats.resident,
                  h->stats.retained, h->stats.thread_caches);
    weft_text_add(t,
                  " \"threads\":{\"ours\":%u,\"stack_address_space\":%zu,\"stack_pages\":%zu},\n",
                  r->threads.count, r->threads.stack_bytes, r->threads.present_bytes);
}

static void json_owners(struct weft_text *t, const struct weft_metrics_source *s)
{
    weft_text_add(t, " \"owners\":[");
    for (uint32_t i = 0; i < s->ledger->account_count; i++) {
        const struct weft_account *a = &s->ledger->accounts[i];
        weft_text_add(
            t,
            "%s\n  "
            "{\"owner\":\"%s\",\"worker\":\"%s\",\"unit\":%zu,\"reserved\":%zu,\"committed\":%zu,"
            "\"resident\":%zu,\"used\":%zu,\"peak\":%zu,\"promised\":%zu,\"refused\":%llu,"
            "\"allocs\":%llu,\"frees\":%llu}",
            i == 0 ? "" : ",", a->name_z, weft_metrics_worker_name(s, a->worker), a->unit_bytes,
            atomic_load(&a->reserved), atomic_load(&a->committed), s->reality->held[i],
            weft_account_used(a), atomic_load(&a->peak), atomic_load(&a->promised),
            (unsigned long long)atomic_load(&a->refused), (unsigned long long)weft_account_takes(a),
            (unsigned long long)weft_account_puts(a));
    }
    weft_text_add(t, "\n ]");
}

weft_rc weft_report_json(const struct weft_metrics_source *s, weft_text_put *put, void *ctx)
{
    struct weft_text text, *t = &text;
    weft_text_init(t, put, ctx);
    weft_text_add(t, "{\"limit\":%zu,\"plan\":%zu,\"reserved\":%zu,\"stack_high_water\":%zu,\n",
                  s->ledger->limit, s->plan_bytes, atomic_load(&s->ledger->reserved),
                  s->stack_high_water);
    json_terms(t, s);
    json_process(t, s->reality);
    json_own(t, s->reality);
    json_owners(t, s);
    weft_text_add(t, "}\n");
    return weft_text_end(t);
}

/* ---- the page ---- */

#define SIZE_TEXT_BYTES 24

/* "12,051.9 MiB": at most four digits before the point are not grouped. */
static const char *size_text(char to[SIZE_TEXT_BYTES], size_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0, tenths = bytes * 10;
    if (bytes > SIZE_MAX / 10)
        tenths = SIZE_MAX;
    while (tenths >= 102400 && unit + 1 < WEFT_COUNT_OF(units)) {
        tenths = (tenths + 512) / 1024;
        unit++;
    }
    size_t len = unit == 0 ? weft_fmt(to, SIZE_TEXT_BYTES - 1, "%zu B  ", bytes)
                           : weft_fmt(to, SIZE_TEXT_BYTES - 1, "%zu.%zu %s", tenths / 10,
                                      tenths % 10, units[unit]);
    to[WEFT_MIN(len, (size_t)SIZE_TEXT_BYTES - 1)] = 0;
    return to;
}

static void line(struct weft_text *t, size_t bytes, const char *words_z)
{
    char size[SIZE_TEXT_BYTES];
    weft_text_add(t, "%14s  %s\n", size_text(size, bytes), words_z);
}

static void page_plan(struct weft_text *t, const struct weft_metrics_source *s)
{
    char size[SIZE_TEXT_BYTES];
    weft_text_add(t, "HOW MUCH CAN IT TAKE AT MOST?\n");
    for (size_t i = 0; i < s->term_count; i++)
        weft_text_add(t, "%14s  %-16s %s%s\n", size_text(size, s->terms[i].bytes),
                      s->terms[i].name_z, s->terms[i].formula_z,
                      s->terms[i].elastic ? "; elastic: what the limit leaves" : "");
    line(t, s->plan_bytes, "all together, and never more");
    weft_text_add(t, "%14s  limit (%s)\n\n", size_text(size, s->ledger->limit), s->limit_source_z);
}

/* Rows that are no accounts stand among those that are. */
static size_t all_owners(const struct weft_metrics_source *s)
{
    const struct weft_reality *r = s->reality;
    struct weft_owner *owners = s->owners;
    size_t count = weft_owners_read(s);
    for (size_t i = 0; i < count; i++)
        if (strcmp(owners[i].name_z, "heap") == 0)
            owners[i].name_z = "heap, as charged by handlers (part of malloc's)";
    owners[count++] = (struct weft_owner){.name_z = "program, libraries", .held = r->image};
    owners[count++] = (struct weft_owner){
        .name_z = "malloc's heap", .held = r->heap.present, .used = r->heap.stats.allocated};
    owners[count++] =
        (struct weft_owner){.name_z = "thread stacks", .held = r->threads.present_bytes};
    for (size_t i = 1; i < count; i++) /* few: by insertion */
        for (size_t j = i; j > 0 && owners[j].held > owners[j - 1].held; j--) {
            struct weft_owner larger = owners[j];
            owners[j] = owners[j - 1];
            owners[j - 1] = larger;
        }
    return count;
}

static const char *known(char to[SIZE_TEXT_BYTES], size_t bytes, bool is_known)
{
    return is_known ? size_text(to, bytes) : "-   ";
}

static size_t page_owners(struct weft_text *t, const struct weft_metrics_source *s)
{
    char held[SIZE_TEXT_BYTES], used[SIZE_TEXT_BYTES], peak[SIZE_TEXT_BYTES];
    char most[SIZE_TEXT_BYTES];
    size_t count = all_owners(s), kept = 0;
    weft_text_add(t, "WHO HOLDS WHAT RIGHT NOW?\n%14s%14s%14s%14s  owner\n", "in memory", "in use",
                  "peak use", "at most");
    for (size_t i = 0; i < count; i++) {
        const struct weft_owner *o = &s->owners[i];
        bool account = o->reserved > 0;
        if (account)
            kept += o->held - WEFT_MIN(o->held, o->used);
        weft_text_add(t, "%14s%14s%14s%14s  %s\n", size_text(held, o->held),
                      known(used, o->used, account || o->used > 0), known(peak, o->peak, account),
                      known(most, o->reserved, account), o->name_z);
    }
    weft_text_add(t, "\n");
    return kept;
}

/* What was free for a while goes back by itself; how well that went last time. */
static void page_return(struct weft_text *t, const struct weft_metrics_source *s, size_t kept)
{
    const struct weft_settle *settle = s->settle;
    char size[SIZE_TEXT_BYTES];
    size_t baseline = atomic_load(&settle->baseline);
    if (settle->return_ms == 0) {
        line(t, kept, "of the rows above is not in use now, and kept (memory.return_ms is off)");
        return;
    }
    weft_text_add(
        t,
        "%14s  of the rows above is not in use now: what no request needs goes back "
        "within %u ms\n%16s(memory.return_ms); the rest lies on pages with something in use\n",
        size_text(size, kept), settle->return_ms, "");
    if (baseline == 0)
        return;
    weft_text_add(t, "%14s  was the baseline, after the first load\n", size_text(size, baseline));
    weft_text_add(t,
                  "%14s  when it was last quiet: after %llu ms (%llu times of %llu it was not back "
                  "in time)\n",
                  size_text(size, atomic_load(&settle->figure)),
                  (unsigned long long)atomic_load(&settle->took_ms),
                  (unsigned long long)atomic_load(&settle->misses),
                  (unsigned long long)atomic_load(&settle->checks));
}

static void page_less(struct weft_text *t, const struct weft_metrics_source *s, size_t kept)
{
    const struct weft_reality *r = s->reality;
    char size[SIZE_TEXT_BYTES];
    weft_text_add(t, "WHY IS IT NOT LESS?\n");
    line(t, r->process.rss, "resident (RSS), of which");
    weft_text_add(t, "%14s  are the rows above: %u.%u %%\n", size_text(size, r->own),
                  r->explained / 10, r->explained % 10);
    if (r->residual >= 0)
        line(t, (size_t)r->residual, "are nobody's: mappings that a library or a handler made");
    else
        line(t, (size_t)-r->residual, "less than the rows above: some are booked, not counted");
    page_return(t, s, kept);
    line(t, r->heap.present - WEFT_MIN(r->heap.present, r->heap.stats.allocated),
         "of malloc's heap is not in use now: malloc's to give back (memory.profile)");
    line(t, r->process.lazy_free, "is given back lazily: counted until the kernel takes it");
    line(t, r->process.peak_rss, "was the highest resident set so far");
}

static void page_beside(struct weft_text *t, const struct weft_reality *r)
{
    char size[SIZE_TEXT_BYTES];
    size_t objects = r->sample.connections * WEFT_KERNEL_CONN_BYTES;
    weft_text_add(t, "\nBESIDE IT (not in RSS)\n");
    line(t, r->process.page_tables, "page tables");
    weft_text_add(t,
                  "%14s  the kernel's for %zu connections, estimated: %zu bytes each, and what is "
                  "queued\n%16s(%zu of them were asked)\n",
                  size_text(size, objects + weft_sample_queued(&r->sample)), r->sample.connections,
                  WEFT_KERNEL_CONN_BYTES, "", r->sample.asked);
    line(t, r->sockets.tcp_bytes, "TCP buffers of the whole system");
    if (r->in_cgroup)
        weft_text_add(t, "%14s  working set of the cgroup (version %d), all of its processes\n",
                      size_text(size, r->cgroup.working_set), r->cgroup.version);
    weft_text_add(
        t, "\nBy route and by place in the program: /memory/top?by=route|site&format=text\n");
}

weft_rc weft_report_page(const struct weft_metrics_source *s, weft_text_put *put, void *ctx)
{
    struct weft_text text, *t = &text;
    weft_text_init(t, put, ctx);
    page_plan(t, s);
    page_less(t, s, page_owners(t, s));
    page_beside(t, s->reality);
    return weft_text_end(t);
}
