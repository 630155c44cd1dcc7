/* history.h - what a route's requests needed, so that the next one starts with the right chunk.
 *
 * Per route and worker a histogram of bytes over the last 4,096 to 8,192 requests. Buckets grow by
 * a 32nd of a power of two (3.1 % at most), so a quantile is at most that much above the true one
 * and never below it. Why not an online estimator such as P2: it follows one quantile, forgets
 * nothing, cannot be merged over workers, and errs by an unknown amount where two kinds of requests
 * share a route. Here the error is a property of the table, and two windows take turns: what is
 * older than both is gone, so a load that shifts is followed within 8,192 requests.
 *
 * Lifetime: worker. A sum is whoever asks's.
 * Threads:  histories: written by the owner worker only; weft_history_sum_add() from any.
 * Memory:   weft_histories_bytes(routes): 2,608 bytes per route, touched when it is first asked
 * for.
 */
#ifndef WEFT_MEM_HISTORY_H
#define WEFT_MEM_HISTORY_H

#include "base/str.h"
#include "mem/arena.h"

#define WEFT_HISTORY_ROUTES_MAX  256u /* routes beyond these have none */
#define WEFT_HISTORY_BUCKETS     643 /* none; up to 64 bytes; 20 powers of two up to 64 MiB; more */
#define WEFT_HISTORY_WINDOW      4096u
#define WEFT_HISTORY_SEEN_MIN    64u    /* fewer requests predict nothing */
#define WEFT_HISTORY_STACK_BYTES 1024u  /* what a handler may well keep on its stack */
#define WEFT_HISTORY_LINE_BYTES  16384u /* longest line of text of a history */

struct weft_history {
    _Atomic uint64_t seen;        /* requests, ever */
    _Atomic uint64_t peak;        /* the most that one needed, ever */
    _Atomic uint32_t first_class; /* of a request's first chunk, as predicted last */
    uint32_t left;                /* requests until the window turns */
    uint32_t until_predict;       /* requests until the next prediction */
    uint32_t now;                 /* which of the two windows is being filled */
    _Atomic uint16_t counts[2][WEFT_HISTORY_BUCKETS];
};

/* Histories of several workers, or of a file, together. */
struct weft_history_sum {
    uint64_t seen;
    uint64_t peak;
    uint64_t total; /* requests in the windows */
    uint32_t counts[WEFT_HISTORY_BUCKETS];
};

/* How a route's memory is best had. */
enum weft_history_strategy {
    WEFT_HISTORY_UNKNOWN, /* too few requests: 4 KiB, then it grows */
    WEFT_HISTORY_STACK,   /* P99 is at most 1,024 bytes: no chunk is worth taking beforehand */
    WEFT_HISTORY_POOL,    /* one chunk, of the first class, holds the P99 */
    WEFT_HISTORY_ARENA,   /* a chain: most need little, some much */
    WEFT_HISTORY_MAPPING, /* beyond the largest class: runs of 1 MiB, straight from the mapping */
};

struct weft_history_prediction {
    enum weft_history_strategy strategy;
    uint32_t first_class; /* of the first chunk */
    uint64_t p50, p99, p999;
};

/* A worker's histories, by route. */
struct weft_histories {
    struct weft_history *of; /* owned: mapped, `count` of them */
    uint32_t count;
    size_t touched;                   /* of them, as booked */
    struct weft_account *account;     /* borrowed */
    struct weft_history_sum *scratch; /* behind them, for predictions */
};

/** Bytes for so many routes, at most WEFT_HISTORY_ROUTES_MAX of which are kept; 0 for none. */
size_t weft_histories_bytes(uint32_t routes);

/** returns  0, WEFT_EBUDGET, WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_histories_init(struct weft_histories *histories,
                                       struct weft_account *account, uint32_t routes);
/** Touch all of it now, before the first request. */
void weft_histories_prefault(struct weft_histories *histories);
void weft_histories_fini(struct weft_histories *histories);

/** A request of that route is over.
 *  route  one that has no history is ignored
 *  bytes  what it needed: weft_arena_peak()
 *  cost   7 ns, what every 1,024th (at first every 64th) costs included: 2 us (bench/history) */
void weft_histories_add(struct weft_histories *histories, uint32_t route, size_t bytes);

/** The class of a request's first chunk; 0 for a route without history. */
static inline uint32_t weft_histories_first_class(const struct weft_histories *histories,
                                                  uint32_t route)
{
    if (route >= histories->count)
        return 0;
    return atomic_load_explicit(&histories->of[route].first_class, memory_order_relaxed);
}

/** Begin with what is known of a route, before its first request: it counts as the older window.
 *  part, parts  the sum is shared out among so many workers; the prediction is that of all of it */
void weft_histories_seed(struct weft_histories *histories, uint32_t route,
                         const struct weft_history_sum *sum, uint32_t part, uint32_t parts);

void weft_history_sum_add(struct weft_history_sum *sum, const struct weft_history *history);

/** The number that a share of all is at most, 0 < share <= 1: at most 3.2 % too high; 0 when there
 * is nothing. Above 64 MiB: the peak. */
uint64_t weft_history_quantile(const struct weft_history_sum *sum, double share);

/** What to do with the next request. */
void weft_history_predict(const struct weft_history_sum *sum, struct weft_history_prediction *out);

const char *weft_history_strategy_name(enum weft_history_strategy strategy);

/** A cap for a route: what holds its P99.9 and a quarter more, in whole chunks. 0: not known. */
size_t weft_history_propose(const struct weft_history_sum *sum);

/** As text, without a newline: "seen peak bucket:count,bucket:count,...", a bucket as the most
 *  bytes that it holds.
 *  returns  bytes written; 0: no room */
size_t weft_history_format(const struct weft_history_sum *sum, char *to, size_t room);

/** Read it back.
 *  returns  0; WEFT_ESYNTAX, with *out_why a static text: *out is then as it comes */
WEFT_CHECK weft_rc weft_history_parse(struct weft_history_sum *out, weft_str text,
                                      const char **out_why);

#endif
