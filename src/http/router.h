/* router.h - from method and path to a route: a compiled tree of paths.
 *
 * Which route a path belongs to is decided from left to right; at each place, in this order: static
 * text, {x:u64}, {x:i64}, {x}, regular expressions in the order they were added, parameters that
 * take the rest, '*'. Where a choice leads nowhere, or to routes of other methods only, the next
 * one is tried: so the longest static prefix wins, /users/me before /users/{name} before everything
 * below a shorter prefix. HEAD is served by a GET route where no HEAD route stands at that place.
 *
 * Bound: a match looks at each segment once (route_segs.h); where that does not settle it, it
 * visits each node of the tree once at most, runs each regular expression once at
 * most, within its limits, and compares each byte of a pattern once at most.
 *
 * Lifetime: process. add until compile, match after it.
 * Threads:  immutable once compiled: shared by all workers. A scratch belongs to one worker.
 * Memory:   weft_router_bytes() from the heap, all of it taken while the server starts;
 *           weft_router_scratch_bytes() per worker. A match takes none, and less than 512 bytes of
 *           stack besides what PCRE2 uses (regex.h).
 */
#ifndef WEFT_HTTP_ROUTER_H
#define WEFT_HTTP_ROUTER_H

#include "http/method.h"
#include "http/pattern.h"

#define WEFT_ROUTES_MAX         1000000u
#define WEFT_METHODS_CUSTOM_MAX 16 /* different names among the routes with WEFT_METHOD_OTHER */

struct weft_ledger; /* mem/budget.h */
struct weft_router;
struct weft_router_scratch;

enum weft_match_rc {
    WEFT_MATCH_OK,
    WEFT_MATCH_NOT_FOUND, /* 404 */
    WEFT_MATCH_METHOD,    /* 405: `allow` tells the methods that would do */
    WEFT_MATCH_LIMIT, /* a regular expression reached its limit: the caller counts, answers 404 */
};

struct weft_match {
    void *route;    /* borrowed: as given to weft_router_add(); after WEFT_MATCH_OK */
    uint32_t allow; /* after WEFT_MATCH_METHOD: bit i is weft_router_method_name(router, i); the
                     * low bits are 1u << enum weft_method; HEAD is there where GET is */
    uint8_t param_count;
    weft_str params[WEFT_PARAMS_MAX];   /* [0, param_count): slices of the path */
    const struct weft_pattern *pattern; /* borrowed from the router: the names of params */
};

/** returns  0, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_router_create(struct weft_router **out);

/** Half-made ones and NULL too. */
void weft_router_destroy(struct weft_router *router);

/** Add a route; the order matters among regular expressions only.
 *  method_name  for WEFT_METHOD_OTHER: the name, any token but those of enum weft_method; else
 * empty pattern      see pattern.h; copied route        not NULL; borrowed: what a match hands back
 *  error        room for error_bytes (200 hold every message): on an error a zero-terminated line
 *               that names the pattern and the place
 *  returns      0; WEFT_ESYNTAX; WEFT_EEXIST (this method has a route at this place, maybe with
 *               other names); WEFT_EFULL (WEFT_METHODS_CUSTOM_MAX, WEFT_ROUTES_MAX); WEFT_ENOMEM;
 *               WEFT_ESTATE (compiled already) */
WEFT_CHECK weft_rc weft_router_add(struct weft_router *router, enum weft_method method,
                                   weft_str method_name, weft_str pattern, void *route, char *error,
                                   size_t error_bytes);

/** Make the form that is matched against and drop the other. Once.
 *  returns  0, WEFT_ENOMEM, WEFT_ESTATE (compiled already) */
WEFT_CHECK weft_rc weft_router_compile(struct weft_router *router);

/** Bytes that a compiled router holds, regular expressions included. */
size_t weft_router_bytes(const struct weft_router *router);

/** What a worker's matches need besides: nothing much without regular expressions. */
WEFT_CHECK weft_rc weft_router_scratch_create(struct weft_router *router,
                                              struct weft_router_scratch **out);
void weft_router_scratch_destroy(struct weft_router_scratch *scratch);
size_t weft_router_scratch_bytes(const struct weft_router *router);

/** Make what PCRE2 takes for this router a row of a ledger, "pcre2"; without regular expressions
 *  there is none. At start, compiled, before the first scratch. The budget from then on: what the
 *  expressions hold, and scratch_count scratches.
 *  returns  0; WEFT_EFULL, WEFT_EBUDGET: as weft_leash_attach() */
WEFT_CHECK weft_rc weft_router_attach(struct weft_router *router, struct weft_ledger *ledger,
                                      uint32_t scratch_count);
/** Before the ledger goes. */
void weft_router_detach(struct weft_router *router);

/** Find the route of a path.
 *  method_name  looked at for WEFT_METHOD_OTHER only
 *  path         percent-decoded, starts with '/'; the params of *out borrow from it
 *  out          allow, param_count and, after WEFT_MATCH_OK, the rest are written
 *  cost         about 5 ns for "/", 50 ns for a path of four segments among 227 routes, the
 *               next one unlike the last (bench/route; 2.5 to 3 GHz) */
enum weft_match_rc weft_router_match(const struct weft_router *router,
                                     struct weft_router_scratch *scratch, enum weft_method method,
                                     weft_str method_name, weft_str path, struct weft_match *out);

/** The name of bit `bit_index` of weft_match.allow; empty when there is none such. */
weft_str weft_router_method_name(const struct weft_router *router, uint32_t bit_index);

/** A parameter by its name; an empty slice when there is none such. */
weft_str weft_match_param(const struct weft_match *match, weft_str name);

#endif
