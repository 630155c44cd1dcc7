/* cache.c - what a cache finds, and what finding costs: the store and the parts of src/serve,
 * alone.
 *
 *   cache hits  ALPHA KEYS ENTRIES ONCE    hit rate of each policy over one trace: requests follow
 *                                          Zipf's law with ALPHA over KEYS; ONCE % of them are for
 *                                          keys that come once and never again (a scan)
 *   cache speed THREADS                    ns per found value (look, borrow, give back) and per
 * value put with another going, each thread on a CPU of its own
 *
 * One JSON object. The trace is the same for every policy (a fixed seed); the first half fills the
 * cache and is not counted.
 */
#include "bench.h"
#include <math.h>
#include <pthread.h>
#include "base/hash.h"
#include "serve/cache/cache.h"
#include "serve/cache/cache_priv.h"

#define REQUESTS    1000000u
#define VALUE_BYTES 64
#define SPEED_KEYS  1000u
#define SPEED_TURNS 2000000u
#define THREADS_MAX 8

static const char *const names[] = {"s3-fifo", "lru", "no-insert"};
static const enum weft_cache_policy policies[] = {WEFT_CACHE_S3_FIFO, WEFT_CACHE_LRU,
                                                  WEFT_CACHE_NO_INSERT};

WEFT_CACHE(tried);

static uint64_t roll(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* ---- the trace ---- */

static double *sums_of(double alpha, uint32_t keys)
{
    double *sums = malloc(keys * sizeof(*sums));
    if (sums == NULL)
        die("no memory");
    double sum = 0;
    for (uint32_t i = 0; i < keys; i++)
        sums[i] = sum += pow(i + 1, -alpha);
    return sums;
}

static uint32_t rank_of(const double *sums, uint32_t keys, double at)
{
    uint32_t low = 0, high = keys - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sums[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static uint32_t *trace_of(double alpha, uint32_t keys, uint32_t once_percent)
{
    double *sums = sums_of(alpha, keys);
    uint32_t *trace = malloc(REQUESTS * sizeof(*trace));
    if (trace == NULL)
        die("no memory");
    uint64_t seed = 88172645463325252u;
    uint32_t fresh = keys;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        double at = (double)(roll(&seed) >> 11) * 0x1p-53 * sums[keys - 1];
        trace[i] = roll(&seed) % 100 < once_percent ? fresh++ : rank_of(sums, keys, at);
    }
    free(sums);
    return trace;
}

/* ---- a part ---- */

static struct weft_ledger ledger;

static struct weft_cache_part *open_part(enum weft_cache_policy policy, uint32_t entries)
{
    tried.policy = policy;
    tried.entries_max = entries;
    tried.bytes_max = (size_t)entries * 256 + 4096; /* the entries are what binds */
    struct weft_cache_options options = {.ledger = &ledger, .workers = 1};
    if (weft_cache_open(&tried, &options) != 0)
        die("cannot open the cache");
    return &tried.parts->parts[0];
}

static bool find(struct weft_cache_part *part, uint64_t hash, weft_str key)
{
    struct weft_cache_entry *entry = weft_cache_part_find(part, hash, key, 1);
    if (entry == NULL)
        return false;
    weft_cache_part_give_back(part, entry);
    return true;
}

static void put(struct weft_cache_part *part, uint64_t hash, weft_str key)
{
    struct weft_cache_entry *entry = NULL;
    uint64_t evicted;
    if (weft_cache_part_reserve(part, hash, key, VALUE_BYTES, 1, &evicted, &entry) != 0)
        return;
    memset(weft_cache_entry_value(entry), 'v', VALUE_BYTES);
    weft_cache_part_write(part);
    weft_rc rc = weft_cache_store_publish(&part->store, entry, WEFT_CACHE_NEVER, 1);
    weft_cache_part_unlock(part);
    if (rc != 0 && rc != WEFT_EFULL)
        die("cannot put");
    weft_cache_part_give_back(part, entry);
}

static weft_str key_of(const uint32_t *number)
{
    return (weft_str){(const char *)number, sizeof(*number)};
}

/* ---- hits ---- */

static double hit_rate(const uint32_t *trace, enum weft_cache_policy policy, uint32_t entries)
{
    struct weft_cache_part *part = open_part(policy, entries);
    uint32_t hits = 0;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        uint64_t hash = weft_hash(&tried.parts->key, key_of(&trace[i]));
        bool hit = find(part, hash, key_of(&trace[i]));
        if (!hit)
            put(part, hash, key_of(&trace[i]));
        hits += hit && i >= REQUESTS / 2;
    }
    weft_cache_close(&tried);
    return (double)hits / (REQUESTS / 2.0);
}

static void run_hits(double alpha, uint32_t keys, uint32_t entries, uint32_t once_percent)
{
    uint32_t *trace = trace_of(alpha, keys, once_percent);
    printf("{");
    for (size_t p = 0; p < sizeof(policies) / sizeof(policies[0]); p++)
        printf("%s\"%s\": %.4f", p == 0 ? "" : ", ", names[p],
               hit_rate(trace, policies[p], entries));
    printf("}\n");
    free(trace);
}

/* ---- speed ---- */

struct runner {
    pthread_t thread;
    struct weft_cache_part *part;
    int cpu;
    uint64_t seed;
    double ns; /* of one turn */
    bool puts;
};

static void *run_one(void *arg)
{
    struct runner *runner = arg;
    pin_to(runner->cpu);
    uint32_t turns = runner->puts ? SPEED_TURNS / 4 : SPEED_TURNS;
    uint64_t start = now_ns();
    for (uint32_t i = 0; i < turns; i++) {
        uint32_t number = (uint32_t)(roll(&runner->seed) % SPEED_KEYS);
        if (runner->puts)
            number = (uint32_t)roll(&runner->seed);
        uint64_t hash = weft_hash(&tried.parts->key, key_of(&number));
        if (runner->puts)
            put(runner->part, hash, key_of(&number));
        else if (!find(runner->part, hash, key_of(&number)))
            die("it is not there");
    }
    runner->ns = (double)(now_ns() - start) / turns;
    return NULL;
}

static double speed(struct weft_cache_part *part, uint32_t threads, bool puts)
{
    struct runner runners[THREADS_MAX];
    double sum = 0;
    for (uint32_t i = 0; i < threads; i++) {
        runners[i] = (struct runner){
            .part = part, .cpu = (int)i, .seed = 88172645463325252u + i, .puts = puts};
        if (pthread_create(&runners[i].thread, NULL, run_one, &runners[i]) != 0)
            die("no thread");
    }
    for (uint32_t i = 0; i < threads; i++) {
        pthread_join(runners[i].thread, NULL);
        sum += runners[i].ns;
    }
    return sum / threads;
}

static void run_speed(uint32_t threads)
{
    printf("{");
    for (size_t p = 0; p < 2; p++) {
        struct weft_cache_part *part = open_part(policies[p], SPEED_KEYS);
        for (uint32_t number = 0; number < SPEED_KEYS; number++)
            put(part, weft_hash(&tried.parts->key, key_of(&number)), key_of(&number));
        double found = speed(part, threads, false), made = speed(part, threads, true);
        printf("%s\"%s\": {\"find_ns\": %.1f, \"put_ns\": %.1f}", p == 0 ? "" : ", ", names[p],
               found, made);
        weft_cache_close(&tried);
    }
    printf("}\n");
}

int main(int argc, char **argv)
{
    if (weft_ledger_init(&ledger, 0) != 0)
        die("no ledger");
    if (argc == 6 && strcmp(argv[1], "hits") == 0)
        run_hits(strtod(argv[2], NULL), (uint32_t)number(argv[3], 2, 1 << 24),
                 (uint32_t)number(argv[4], 1, 1 << 24), (uint32_t)number(argv[5], 0, 100));
    else if (argc == 3 && strcmp(argv[1], "speed") == 0)
        run_speed((uint32_t)number(argv[2], 1, THREADS_MAX));
    else
        usage("cache hits ALPHA KEYS ENTRIES ONCE | cache speed THREADS");
    weft_ledger_fini(&ledger);
    return 0;
}
