/* top.c - see top.h. */
#include "ops/top.h"

_Static_assert(WEFT_TOP_ROWS_MAX > WEFT_USAGE_SITES_MAX, "rows for places too");

static void add_held(struct weft_top_held *to, const struct weft_usage_held *held)
{
    to->now += atomic_load_explicit(&held->now, memory_order_relaxed);
    to->peak += atomic_load_explicit(&held->peak, memory_order_relaxed);
}

static uint64_t value(const _Atomic uint64_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

static void add_route(struct weft_top_row *row, const struct weft_route_usage *usage)
{
    row->requests += value(&usage->requests);
    row->allocs += value(&usage->allocs);
    row->alloc_bytes += value(&usage->alloc_bytes);
    row->body_bytes += value(&usage->body_bytes);
    row->answer_bytes += value(&usage->answer_bytes);
    row->copied_bytes += value(&usage->copied_bytes);
    row->waits += value(&usage->waits);
    row->slots += value(&usage->slots);
    add_held(&row->arena, &usage->arena);
    add_held(&row->stack, &usage->stack);
    add_held(&row->body, &usage->body);
    add_held(&row->heap, &usage->heap);
}

static void add_site(struct weft_top_row *row, const struct weft_site_usage *usage)
{
    row->allocs += value(&usage->allocs);
    row->alloc_bytes += value(&usage->alloc_bytes);
    row->arena.now += atomic_load_explicit(&usage->live, memory_order_relaxed);
}

static bool before(const struct weft_top_row *a, const struct weft_top_row *b)
{
    if (a->alloc_bytes != b->alloc_bytes)
        return a->alloc_bytes > b->alloc_bytes;
    if (a->requests != b->requests)
        return a->requests > b->requests;
    return a->id < b->id;
}

/* By selection: at most 258 rows, and libc's qsort() would ask malloc for room. */
static void sort(struct weft_top *top)
{
    for (size_t i = 0; i < top->count; i++) {
        size_t first = i;
        for (size_t j = i + 1; j < top->count; j++)
            if (before(&top->rows[j], &top->rows[first]))
                first = j;
        struct weft_top_row row = top->rows[i];
        top->rows[i] = top->rows[first];
        top->rows[first] = row;
    }
}

void weft_top_read(struct weft_top *top, const struct weft_top_source *source, enum weft_top_by by,
                   struct weft_top_row *rows)
{
    uint32_t all = by == WEFT_TOP_SITE         ? WEFT_USAGE_SITES_MAX + 1
                   : source->worker_count == 0 ? 0
                                               : source->workers[0]->route_count;
    *top = (struct weft_top){.by = by, .rows = rows};
    for (uint32_t id = 0; id < all; id++) {
        struct weft_top_row *row = &rows[top->count];
        *row = (struct weft_top_row){.id = id};
        for (size_t w = 0; w < source->worker_count; w++) {
            if (by == WEFT_TOP_ROUTE)
                add_route(row, &source->workers[w]->routes[id]);
            else
                add_site(row, &source->workers[w]->sites[id]);
        }
        if (row->requests > 0 || row->allocs > 0)
            top->count++;
    }
    sort(top);
}

/* ---- names ---- */

static weft_str last_part(const char *path_z)
{
    const char *slash = path_z == NULL ? NULL : strrchr(path_z, '/');
    return weft_str_z(slash == NULL ? path_z : slash + 1);
}

void weft_top_route_name(struct weft_text *t, const struct weft_top_source *source, uint32_t id,
                         void (*add)(struct weft_text *text, weft_str piece))
{
    if (id == 0 || id > source->name_count) {
        add(t, id == 0 ? WEFT_S("(none)") : WEFT_S("(other)"));
        return;
    }
    add(t, source->names[id - 1].method);
    add(t, WEFT_S(" "));
    add(t, source->names[id - 1].pattern);
}

static void route_name(struct weft_text *t, const struct weft_top_source *source, uint32_t id)
{
    weft_top_route_name(t, source, id, weft_text_json);
}

/* ---- JSON ---- */

static void json_held(struct weft_text *t, const char *name_z, const struct weft_top_held *held)
{
    weft_text_add(t, ",\"%s\":{\"now\":%zu,\"peak\":%zu}", name_z, held->now, held->peak);
}

static void json_route(struct weft_text *t, const struct weft_top_source *source,
                       const struct weft_top_row *row)
{
    weft_text_add(t, "\"route\":\"");
    route_name(t, source, row->id);
    weft_text_add(t,
                  "\",\"requests\":%llu,\"allocs\":%llu,\"alloc_bytes\":%llu,\"body_bytes\":%llu,"
                  "\"answer_bytes\":%llu,\"copied_bytes\":%llu,\"waits\":%llu,"
                  "\"pool_slots\":%llu",
                  (unsigned long long)row->requests, (unsigned long long)row->allocs,
                  (unsigned long long)row->alloc_bytes, (unsigned long long)row->body_bytes,
                  (unsigned long long)row->answer_bytes, (unsigned long long)row->copied_bytes,
                  (unsigned long long)row->waits, (unsigned long long)row->slots);
    json_held(t, "arena", &row->arena);
    json_held(t, "stack", &row->stack);
    json_held(t, "body", &row->body);
    json_held(t, "heap", &row->heap);
}

static void json_site(struct weft_text *t, const struct weft_top_row *row)
{
    const struct weft_alloc_site *site = weft_usage_site(row->id);
    if (site == NULL) {
        weft_text_add(t, "\"file\":\"(other)\",\"line\":0,\"function\":\"(other)\"");
    } else {
        weft_text_add(t, "\"file\":\"");
        weft_text_json(t, last_part(site->file_z));
        weft_text_add(t, "\",\"line\":%u,\"function\":\"", site->line);
        weft_text_json(t, weft_str_z(site->function_z));
        weft_text_add(t, "\"");
    }
    weft_text_add(t, ",\"allocs\":%llu,\"alloc_bytes\":%llu,\"live\":%zu",
                  (unsigned long long)row->allocs, (unsigned long long)row->alloc_bytes,
                  row->arena.now);
}

weft_rc weft_top_json(const struct weft_top *top, const struct weft_top_source *source, size_t n,
                      weft_text_put *put, void *ctx)
{
    struct weft_text text, *t = &text;
    weft_text_init(t, put, ctx);
    weft_text_add(t, "{\"by\":\"%s\",\"rows\":%zu,\"top\":[",
                  top->by == WEFT_TOP_ROUTE ? "route" : "site", top->count);
    for (size_t i = 0; i < top->count && i < n; i++) {
        weft_text_add(t, "%s\n {", i == 0 ? "" : ",");
        if (top->by == WEFT_TOP_ROUTE)
            json_route(t, source, &top->rows[i]);
        else
            json_site(t, &top->rows[i]);
        weft_text_add(t, "}");
    }
    weft_text_add(t, "\n]}\n");
    return weft_text_end(t);
}

/* ---- a page ---- */

static void page_route(struct weft_text *t, const struct weft_top_source *source,
                       const struct weft_top_row *row)
{
    weft_text_add(t, "%15llu%13llu%12llu%12zu%12zu%12zu%12zu  ",
                  (unsigned long long)row->alloc_bytes, (unsigned long long)row->allocs,
                  (unsigned long long)row->requests, row->arena.now, row->arena.peak,
                  row->stack.now, row->body.now + row->heap.now);
    route_name(t, source, row->id);
    weft_text_add(t, "\n");
}

static void page_site(struct weft_text *t, const struct weft_top_row *row)
{
    const struct weft_alloc_site *site = weft_usage_site(row->id);
    weft_text_add(t, "%15llu%13llu%12zu  ", (unsigned long long)row->alloc_bytes,
                  (unsigned long long)row->allocs, row->arena.now);
    if (site == NULL) {
        weft_text_add(t, "(other)\n");
        return;
    }
    weft_text_json(t, last_part(site->file_z));
    weft_text_add(t, ":%u ", site->line);
    weft_text_json(t, weft_str_z(site->function_z));
    weft_text_add(t, "\n");
}

weft_rc weft_top_page(const struct weft_top *top, const struct weft_top_source *source, size_t n,
                      weft_text_put *put, void *ctx)
{
    struct weft_text text, *t = &text;
    weft_text_init(t, put, ctx);
    if (top->by == WEFT_TOP_ROUTE)
        weft_text_add(t, "%15s%13s%12s%12s%12s%12s%12s  route\n", "bytes in all", "calls",
                      "requests", "arena now", "arena peak", "stacks now", "other now");
    else
        weft_text_add(t, "%15s%13s%12s  place\n", "bytes in all", "calls", "alive now");
    for (size_t i = 0; i < top->count && i < n; i++) {
        if (top->by == WEFT_TOP_ROUTE)
            page_route(t, source, &top->rows[i]);
        else
            page_site(t, &top->rows[i]);
    }
    return weft_text_end(t);
}
