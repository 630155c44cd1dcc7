/* history.c - see history.h.
 *
 * Which first chunk? A large one is held by every request, a small one costs those that outgrow it
 * an allocation and the chunks it leaves behind. So the expected bytes held are worked out for each
 * class from the whole histogram, growing is charged like GROWN_BYTES more, and the cheapest class
 * wins. A quantile alone would give all requests of a route the 256 KiB that every fiftieth needs.
 */
#include "mem/history.h"
#include "base/fmt.h"
#include "mem/textfile.h"
#include <sys/mman.h>

#define LEAST_BYTES   64 /* of the second bucket */
#define SUB_BITS      5
#define SUB_COUNT     (1u << SUB_BITS)
#define GROWN_BYTES   65536 /* fewer outgrow, for little: bench/history with 32 to 128 KiB */
#define PREDICT_EVERY 1024u

_Static_assert(3 + 20 * SUB_COUNT == WEFT_HISTORY_BUCKETS, "20 powers of two");
_Static_assert(2 * WEFT_HISTORY_WINDOW <= UINT16_MAX, "a bucket holds a window");

/* Bytes to the bucket whose upper end is the first that holds them. */
static uint32_t bucket_of(uint64_t bytes)
{
    if (bytes <= LEAST_BYTES)
        return bytes > 0;
    uint64_t x = bytes - 1;
    uint32_t power = 63 - (uint32_t)__builtin_clzll(x);
    uint32_t sub = (uint32_t)(x >> (power - SUB_BITS)) & (SUB_COUNT - 1);
    return WEFT_MIN(2 + (power - 6) * SUB_COUNT + sub, (uint32_t)WEFT_HISTORY_BUCKETS - 1);
}

/* The most bytes that a bucket holds. */
static uint64_t bucket_end(uint32_t bucket)
{
    if (bucket < 2)
        return bucket * LEAST_BYTES;
    uint32_t power = (bucket - 2) / SUB_COUNT, sub = (bucket - 2) % SUB_COUNT;
    return (uint64_t)(SUB_COUNT + sub + 1) << (power + 6 - SUB_BITS);
}

static void store16(_Atomic uint16_t *to, uint32_t value)
{
    atomic_store_explicit(to, (uint16_t)value, memory_order_relaxed);
}

static uint32_t load16(const _Atomic uint16_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

/* ---- sums ---- */

void weft_history_sum_add(struct weft_history_sum *sum, const struct weft_history *history)
{
    uint64_t peak = atomic_load_explicit(&history->peak, memory_order_relaxed);
    sum->seen += atomic_load_explicit(&history->seen, memory_order_relaxed);
    sum->peak = WEFT_MAX(sum->peak, peak);
    for (size_t i = 0; i < WEFT_HISTORY_BUCKETS; i++) {
        uint32_t count = load16(&history->counts[0][i]) + load16(&history->counts[1][i]);
        sum->counts[i] += count;
        sum->total += count;
    }
}

uint64_t weft_history_quantile(const struct weft_history_sum *sum, double share)
{
    double rank = share * (double)sum->total;
    uint64_t run = 0;
    for (uint32_t i = 0; i < WEFT_HISTORY_BUCKETS; i++) {
        run += sum->counts[i];
        if (sum->counts[i] > 0 && (double)run >= rank)
            return i == WEFT_HISTORY_BUCKETS - 1 ? sum->peak : WEFT_MIN(bucket_end(i), sum->peak);
    }
    return 0;
}

/* What a request holds whose first chunk is of one class, and what growing is worth besides. */
struct chain {
    size_t held;
    size_t cost;
    uint64_t sum; /* of the costs of all requests */
};

static void extend(struct chain *chain, uint32_t class, uint64_t bytes)
{
    while (chain->held < bytes) {
        size_t more = weft_chunk_bytes(weft_arena_next_class(class, chain->held));
        chain->cost += more + (chain->held > 0 ? GROWN_BYTES : 0);
        chain->held += more;
    }
}

/* From bucket to bucket chains only get longer: one pass for all classes. */
static uint32_t cheapest_class(const struct weft_history_sum *sum)
{
    struct chain chains[WEFT_CHUNK_CLASSES] = {0};
    uint32_t best = 0;
    for (uint32_t i = 1; i < WEFT_HISTORY_BUCKETS; i++) {
        if (sum->counts[i] == 0)
            continue;
        for (uint32_t class = 0; class < WEFT_CHUNK_CLASSES; class ++) {
            extend(&chains[class], class, bucket_end(i));
            chains[class].sum += sum->counts[i] * (uint64_t)chains[class].cost;
        }
    }
    for (uint32_t class = 1; class < WEFT_CHUNK_CLASSES; class ++)
        if (chains[class].sum < chains[best].sum)
            best = class;
    return best;
}

static uint32_t first_class(const struct weft_history_sum *sum)
{
    return sum->total < WEFT_HISTORY_SEEN_MIN ? 0 : cheapest_class(sum);
}

void weft_history_predict(const struct weft_history_sum *sum, struct weft_history_prediction *out)
{
    *out = (struct weft_history_prediction){
        .p50 = weft_history_quantile(sum, 0.5),
        .p99 = weft_history_quantile(sum, 0.99),
        .p999 = weft_history_quantile(sum, 0.999),
    };
    if (sum->total < WEFT_HISTORY_SEEN_MIN)
        return;
    out->first_class = first_class(sum);
    if (out->p99 <= WEFT_HISTORY_STACK_BYTES)
        out->strategy = WEFT_HISTORY_STACK;
    else if (out->p99 > weft_chunk_bytes(WEFT_CHUNK_CLASSES - 1))
        out->strategy = WEFT_HISTORY_MAPPING;
    else if (out->p99 <= weft_chunk_bytes(out->first_class))
        out->strategy = WEFT_HISTORY_POOL;
    else
        out->strategy = WEFT_HISTORY_ARENA;
}

const char *weft_history_strategy_name(enum weft_history_strategy strategy)
{
    static const char *const names[] = {"unknown", "stack", "pool", "arena", "mapping"};
    return names[strategy];
}

size_t weft_history_propose(const struct weft_history_sum *sum)
{
    struct weft_history_prediction prediction;
    size_t held = 0;
    weft_history_predict(sum, &prediction);
    if (prediction.strategy == WEFT_HISTORY_UNKNOWN)
        return 0;
    do
        held += weft_chunk_bytes(weft_arena_next_class(prediction.first_class, held));
    while (held < prediction.p999 + prediction.p999 / 4);
    return held;
}

/* ---- a worker's histories ---- */

static size_t kept_bytes(uint32_t count)
{
    return WEFT_ALIGN_UP(count * sizeof(struct weft_history), WEFT_CACHE_LINE);
}

size_t weft_histories_bytes(uint32_t routes)
{
    if (routes == 0)
        return 0;
    size_t bytes = kept_bytes(WEFT_MIN(routes, WEFT_HISTORY_ROUTES_MAX));
    return WEFT_ALIGN_UP(bytes + sizeof(struct weft_history_sum), WEFT_PAGE_BYTES);
}

weft_rc weft_histories_init(struct weft_histories *histories, struct weft_account *account,
                            uint32_t routes)
{
    void *memory = NULL;
    *histories = (struct weft_histories){0};
    if (routes == 0)
        return 0;
    WEFT_TRY(weft_account_map(account, weft_histories_bytes(routes), &memory));
    histories->of = memory;
    histories->count = WEFT_MIN(routes, WEFT_HISTORY_ROUTES_MAX);
    histories->scratch = (void *)((char *)memory + kept_bytes(histories->count));
    histories->account = account;
    return 0;
}

/* Mapped memory costs nothing until a route is first asked for, and the scratch with the first. */
static WEFT_COLD void book(struct weft_histories *histories, size_t bytes)
{
    if (histories->touched == 0)
        bytes += sizeof(struct weft_history_sum);
    bytes = WEFT_MIN(bytes, weft_histories_bytes(histories->count) - histories->touched);
    histories->touched += bytes;
    weft_account_commit(histories->account, (ptrdiff_t)bytes);
    weft_account_use(histories->account, bytes);
}

void weft_histories_prefault(struct weft_histories *histories)
{
    size_t bytes = weft_histories_bytes(histories->count);
    if (bytes == 0)
        return;
    memset(histories->of, 0, bytes);
    book(histories, bytes);
}

void weft_histories_fini(struct weft_histories *histories)
{
    if (histories->of != NULL) {
        weft_account_commit(histories->account, -(ptrdiff_t)histories->touched);
        weft_account_unuse(histories->account, histories->touched);
        weft_account_unmap(histories->account, histories->of,
                           weft_histories_bytes(histories->count));
    }
    *histories = (struct weft_histories){0};
}

/* The older window is forgotten and filled anew. */
static WEFT_COLD void turn_window(struct weft_history *history)
{
    history->now ^= 1;
    for (size_t i = 0; i < WEFT_HISTORY_BUCKETS; i++)
        store16(&history->counts[history->now][i], 0);
    history->left = WEFT_HISTORY_WINDOW;
}

static WEFT_COLD void predict_again(struct weft_histories *histories, struct weft_history *history)
{
    *histories->scratch = (struct weft_history_sum){0};
    weft_history_sum_add(histories->scratch, history);
    atomic_store_explicit(&history->first_class, first_class(histories->scratch),
                          memory_order_relaxed);
    history->until_predict = histories->scratch->total < PREDICT_EVERY ? 64 : PREDICT_EVERY;
}

void weft_histories_add(struct weft_histories *histories, uint32_t route, size_t bytes)
{
    if (WEFT_UNLIKELY(route >= histories->count))
        return;
    struct weft_history *history = &histories->of[route];
    if (WEFT_UNLIKELY(history->left == 0)) {
        if (history->until_predict == 0) /* neither seeded nor asked for before */
            book(histories, sizeof(*history));
        turn_window(history);
    }
    if (WEFT_UNLIKELY(bytes > atomic_load_explicit(&history->peak, memory_order_relaxed)))
        atomic_store_explicit(&history->peak, bytes, memory_order_relaxed);
    _Atomic uint16_t *at = &history->counts[history->now][bucket_of(bytes)];
    store16(at, load16(at) + 1);
    weft_account_tick(&history->seen);
    history->left--;
    if (WEFT_UNLIKELY(history->until_predict <= 1))
        predict_again(histories, history);
    else
        history->until_predict--;
}

static uint64_t part_of(uint64_t whole, uint32_t part, uint32_t parts)
{
    return whole / parts + (part < whole % parts);
}

/* Scaled down by running totals, so that quantiles stay. */
void weft_histories_seed(struct weft_histories *histories, uint32_t route,
                         const struct weft_history_sum *sum, uint32_t part, uint32_t parts)
{
    if (route >= histories->count || sum->total == 0)
        return;
    struct weft_history *history = &histories->of[route];
    uint64_t most = WEFT_MIN(sum->total, (uint64_t)WEFT_HISTORY_WINDOW * parts);
    uint64_t mine = part_of(most, part, parts), run = 0, given = 0;
    book(histories, sizeof(*history));
    turn_window(history);
    for (uint32_t i = 0; i < WEFT_HISTORY_BUCKETS; i++) {
        run += sum->counts[i];
        uint64_t until = (run * mine + sum->total / 2) / sum->total;
        store16(&history->counts[history->now ^ 1][i], (uint32_t)(until - given));
        given = until;
    }
    atomic_store_explicit(&history->first_class, first_class(sum), memory_order_relaxed);
    atomic_store_explicit(&history->seen, part_of(sum->seen, part, parts), memory_order_relaxed);
    atomic_store_explicit(&history->peak, sum->peak, memory_order_relaxed);
    history->until_predict = PREDICT_EVERY;
}

/* ---- text ---- */

size_t weft_history_format(const struct weft_history_sum *sum, char *to, size_t room)
{
    size_t len = weft_fmt(to, room, "%llu %llu ", (unsigned long long)sum->seen,
                          (unsigned long long)sum->peak);
    const char *comma_z = "";
    for (uint32_t i = 0; i < WEFT_HISTORY_BUCKETS && len < room; i++) {
        if (sum->counts[i] == 0)
            continue;
        len += weft_fmt(to + len, room - len, "%s%llu:%u", comma_z,
                        (unsigned long long)bucket_end(i), sum->counts[i]);
        comma_z = ",";
    }
    return len < room ? len : 0;
}

static weft_rc wrong(const char **out_why, const char *why_z)
{
    *out_why = why_z;
    return WEFT_ESYNTAX;
}

weft_rc weft_history_parse(struct weft_history_sum *out, weft_str text, const char **out_why)
{
    *out = (struct weft_history_sum){0};
    if (weft_str_to_u64(weft_str_cut(&text, ' '), &out->seen) != 0)
        return wrong(out_why, "the count of requests is not a number");
    if (weft_str_to_u64(weft_str_cut(&text, ' '), &out->peak) != 0)
        return wrong(out_why, "the peak is not a number");
    while (text.len > 0) {
        weft_str pair = weft_str_cut(&text, ',');
        uint64_t end = 0, count = 0;
        if (weft_str_to_u64(weft_str_cut(&pair, ':'), &end) != 0 ||
            weft_str_to_u64(pair, &count) != 0)
            return wrong(out_why, "not a pair of numbers bytes:count");
        uint32_t bucket = bucket_of(end);
        if (bucket_end(bucket) != end)
            return wrong(out_why, "no bucket ends at so many bytes");
        if (count == 0 || count > UINT32_MAX || out->counts[bucket] != 0)
            return wrong(out_why, "a count that cannot be");
        out->counts[bucket] = (uint32_t)count;
        out->total += count;
    }
    if (out->total > out->seen)
        return wrong(out_why, "more requests in the buckets than were seen");
    return 0;
}
