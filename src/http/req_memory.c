/* req_memory.c - the memory that a request holds: its arena, what it charged, and whose books it is
 * in.
 *
 * A row per route and one per place that allocates, of this worker (usage.h): brought up to date as
 * it happens, because what a request holds must be seen while it holds it.
 */
#include "base/fmt.h"
#include "base/rehearsal.h"
#include "http/message.h"
#include "http/service.h"

/* What was charged is what the arena's cap lacks of the promise. */
static size_t charged(const weft_req *rq)
{
    return rq->promised - rq->arena.cap;
}

/* ---- who holds what ---- */

/* A request tells a few places apart; the last entry is for what further ones hold: "other". */
static uint32_t live_slot(weft_req *rq, uint32_t id)
{
    for (uint32_t i = 0; i < rq->site_count; i++)
        if (weft_usage_live_id(rq->sites[i]) == id)
            return i;
    if (rq->site_count == WEFT_REQ_SITES_MAX)
        return WEFT_REQ_SITES_MAX - 1;
    bool last = rq->site_count == WEFT_REQ_SITES_MAX - 1;
    rq->sites[rq->site_count] = weft_usage_live_entry(last ? 0 : id);
    return rq->site_count++;
}

/* The newest arena bytes, in the books of route and place. `held_before`: chunks before it. */
static void note_alloc(weft_req *rq, size_t held_before, size_t bytes, struct weft_alloc_site *site,
                       uint64_t calls)
{
    uint32_t id = weft_usage_site_id(site);
    struct weft_site_usage *place = &rq->service->usage.sites[id];
    weft_usage_add(&rq->usage->allocs, calls);
    weft_usage_add(&rq->usage->alloc_bytes, bytes);
    weft_usage_add(&place->allocs, calls);
    weft_usage_add(&place->alloc_bytes, bytes);
    size_t grown = rq->arena.held - held_before;
    if (WEFT_UNLIKELY(grown > 0)) {
        weft_usage_hold(&rq->usage->arena, grown);
        rq->held_peak = WEFT_MAX(rq->held_peak, rq->arena.held);
        rq->pool_slots++;
    }
    uint32_t i = live_slot(rq, id);
    rq->sites[i] += bytes;
    weft_usage_live(&rq->service->usage, rq->sites[i], bytes);
}

/* Everything goes at once, so what a place holds is known only by the request's end. */
static void drop_sites(weft_req *rq)
{
    for (uint32_t i = 0; i < rq->site_count; i++)
        weft_usage_unlive(&rq->service->usage, rq->sites[i]);
    rq->site_count = 0;
}

void weft_req_hold_piece(weft_req *rq, size_t bytes)
{
    weft_usage_drop(&rq->usage->body, rq->body_held);
    rq->body_held = (uint32_t)bytes;
    weft_usage_hold(&rq->usage->body, bytes);
}

size_t weft_req_held_bytes(const weft_req *rq)
{
    const struct weft_loop *loop = rq->loop;
    const char *top = (const char *)(loop->tasks.current + 1);
    size_t stack = (size_t)(top - (const char *)__builtin_frame_address(0));
    return loop->protocol->conn_bytes + loop->bufs.buffer_bytes + rq->arena.held + rq->body_held +
           WEFT_ALIGN_UP(stack, WEFT_PAGE_BYTES);
}

void weft_req_release(weft_req *rq)
{
    if (rq->body_held > 0)
        weft_req_hold_piece(rq, 0);
    weft_usage_add(&rq->usage->slots, rq->pool_slots);
    if (rq->head.method != WEFT_HEAD)
        weft_usage_add(&rq->usage->answer_bytes, weft_req_answered_bytes(rq));
    if (rq->body_copied > 0)
        weft_usage_add(&rq->usage->copied_bytes, rq->body_copied);
    if (rq->site_count > 0)
        drop_sites(rq);
    if (rq->arena.chunk != NULL) {
        weft_usage_drop(&rq->usage->arena, rq->arena.held);
        weft_arena_reset(&rq->arena);
    }
    if (WEFT_UNLIKELY(charged(rq) > 0))
        weft_refund(rq, charged(rq));
    weft_chunks_unreserve(&rq->loop->chunks, rq->promised, rq->promised - rq->arena.firm);
    rq->promised = rq->arena.cap = rq->arena.firm = 0;
}

/* ---- its arena ---- */

void *weft_req_try_alloc(weft_req *rq, size_t bytes, struct weft_alloc_site *site)
{
    size_t held = rq->arena.held;
    void *memory = weft_arena_alloc(&rq->arena, bytes);
    if (WEFT_LIKELY(memory != NULL))
        note_alloc(rq, held, bytes, site, 1);
    return memory;
}

void weft_req_extended(weft_req *rq, size_t bytes, struct weft_alloc_site *site)
{
    note_alloc(rq, rq->arena.held, bytes, site, 0);
}

void *weft_alloc_at(weft_req *rq, size_t bytes, struct weft_alloc_site *site)
{
    void *memory = weft_req_try_alloc(rq, bytes, site);
    if (memory == NULL)
        weft_loop_count(rq->loop, WEFT_COUNTER_ARENA_REFUSED);
    return memory;
}

weft_str weft_dup_at(weft_req *rq, weft_str text, struct weft_alloc_site *site)
{
    char *copy = weft_alloc_at(rq, text.len, site);
    if (copy == NULL)
        return (weft_str){0};
    if (text.len > 0)
        memcpy(copy, text.ptr, text.len);
    rq->copied += text.len;
    return weft_str_make(copy, text.len);
}

static weft_str format_at(weft_req *rq, struct weft_alloc_site *site, const char *format,
                          va_list args)
{
    va_list again;
    va_copy(again, args);
    size_t len = weft_vfmt(NULL, 0, format, args);
    char *text = weft_alloc_at(rq, len, site);
    if (text != NULL)
        (void)weft_vfmt(text, len, format, again); /* measured above */
    va_end(again);
    return weft_str_make(text, text == NULL ? 0 : len);
}

weft_str weft_format_at(weft_req *rq, struct weft_alloc_site *site, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    weft_str text = format_at(rq, site, format, args);
    va_end(args);
    return text;
}

/* The plain functions, for who cannot use macros: all of their callers are one place. */

void *(weft_alloc)(weft_req *rq, size_t bytes)
{
    return weft_alloc(rq, bytes);
}

weft_str(weft_dup)(weft_req *rq, weft_str text)
{
    return weft_dup(rq, text);
}

weft_str(weft_format)(weft_req *rq, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    weft_str text = format_at(rq, WEFT_ALLOC_SITE(), format, args);
    va_end(args);
    return text;
}

/* Whoever would malloc now might hold the worker until malloc has given back (mem/purge.h). */
static bool giving_back(const weft_req *rq)
{
    const struct weft_purge *purge = rq->loop->chunks.purge;
    return purge != NULL && WEFT_UNLIKELY(weft_purge_running(purge));
}

weft_rc weft_charge(weft_req *rq, size_t bytes)
{
    size_t most = rq->route == NULL ? 0 : rq->route->heap_bytes;
    bool within =
        bytes <= most - WEFT_MIN(charged(rq), most) && bytes <= rq->arena.cap - rq->arena.held;
    if (!within || giving_back(rq) || weft_fail_point("charge")) {
        weft_loop_count(rq->loop, WEFT_COUNTER_ARENA_REFUSED);
        return WEFT_ENOMEM;
    }
    rq->arena.cap -= bytes;
    weft_usage_hold(&rq->usage->heap, bytes);
    weft_chunks_charge(&rq->loop->chunks, bytes);
    return 0;
}

void weft_refund(weft_req *rq, size_t bytes)
{
    weft_assert(bytes <= charged(rq));
    rq->arena.cap += bytes;
    weft_usage_drop(&rq->usage->heap, bytes);
    weft_chunks_refund(&rq->loop->chunks, bytes);
}

weft_mark_point weft_mark(const weft_req *rq)
{
    struct weft_arena_mark mark = weft_arena_mark(&rq->arena);
    return (weft_mark_point){mark.chunk, mark.at, rq->defers};
}

void weft_rewind(weft_req *rq, weft_mark_point mark)
{
    size_t held = rq->arena.held;
    weft_assert(rq->defers == mark.defers); /* it, or what it is for, lies in what is forgotten */
    weft_arena_rewind(&rq->arena, (struct weft_arena_mark){mark.chunk, mark.at});
    weft_usage_drop(&rq->usage->arena, held - rq->arena.held);
}
