/* top.h - who asks for memory: routes, or places in the program, the largest first.
 *
 * Lifetime: sources are borrowed for the call.
 * Threads:  any: rows have one writer each and may be read from anywhere.
 * Memory:   the caller's rows, WEFT_TOP_ROWS_MAX of them; one piece of text at a time.
 */
#ifndef WEFT_OPS_TOP_H
#define WEFT_OPS_TOP_H

#include "http/usage.h"
#include "ops/text.h"

#define WEFT_TOP_ROWS_MAX (WEFT_USAGE_ROUTES_MAX + 2)

struct weft_top_name {
    weft_str method, pattern; /* borrowed from the application */
};

struct weft_top_source {
    const struct weft_usage *const *workers; /* same routes in all of them */
    size_t worker_count;
    const struct weft_top_name *names; /* by index, as many as have a row of their own */
    size_t name_count;
};

/* A route or a place, all workers together; peaks are sums of the workers' peaks. */
struct weft_top_row {
    uint32_t id; /* row of the routes, or id of a place */
    uint64_t requests, allocs, alloc_bytes, body_bytes, waits, slots, answer_bytes, copied_bytes;
    struct weft_top_held {
        size_t now, peak;
    } arena, stack, body, heap; /* of a place: arena.now only */
};

enum weft_top_by {
    WEFT_TOP_ROUTE,
    WEFT_TOP_SITE,
};

struct weft_top {
    enum weft_top_by by;
    struct weft_top_row
        *rows; /* borrowed; sorted: most bytes asked for first, then most requests */
    size_t count;
};

/** Rows with nothing in them are left out.
 *  rows  room for WEFT_TOP_ROWS_MAX */
void weft_top_read(struct weft_top *top, const struct weft_top_source *source, enum weft_top_by by,
                   struct weft_top_row *rows);

/** "GET /users/{id}", "(none)" or "(other)", written by `add` piece by piece. */
void weft_top_route_name(struct weft_text *text, const struct weft_top_source *source, uint32_t id,
                         void (*add)(struct weft_text *text, weft_str piece));

/** At most n rows.
 *  returns  0, or put's error */
WEFT_CHECK weft_rc weft_top_json(const struct weft_top *top, const struct weft_top_source *source,
                                 size_t n, weft_text_put *put, void *ctx);
WEFT_CHECK weft_rc weft_top_page(const struct weft_top *top, const struct weft_top_source *source,
                                 size_t n, weft_text_put *put, void *ctx);

#endif
