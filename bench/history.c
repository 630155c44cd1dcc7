/* history.c - a trace of requests replayed through the real chunk store, with first chunks of one
 * size for all, of each route's cap, and as learned.
 *
 *     history TRACE POLICY      POLICY: 4096 .. 1048576 | cap | learned | frozen
 *     history TRACE predict
 *     history cost
 *
 * The first half of a trace is training; figures are of the second. Pages of chunks that were free
 * for a window of 300 ms go back, as in a server. A request takes what it asks for in pieces of at
 * most 2 KiB when it starts and gives it all back when it ends. `learned` goes on learning in the
 * second half, as a server does; `frozen` does not.
 *
 * Prints `name value` lines; history.py makes tables of them.
 */
#include "mem/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUTES_MAX    64
#define PIECE_BYTES   ((size_t)2048)
#define ELASTIC_BYTES ((size_t)16 << 30)
#define WINDOW_US     300000u /* that of memory.return_ms 1 s */
#define BLOCKS        10      /* of the second half: a prediction is held against what comes next */

struct route {
    char name[64];
    size_t cap;
};

struct request {
    uint64_t start_us, end_us;
    uint32_t route;
    uint32_t bytes;
};

/* A request that runs; ends are a heap by end_us. */
struct running {
    uint64_t end_us;
    uint32_t route;
    struct weft_arena arena;
};

static struct route routes[ROUTES_MAX];
static uint32_t route_count;
static struct request *requests;
static size_t request_count;

static struct weft_ledger ledger;
static struct weft_account *account, *history_account;
static struct weft_chunks chunks;
static struct weft_histories histories;

static void fail(const char *text_z)
{
    fprintf(stderr, "history: %s\n", text_z);
    exit(1);
}

/* ---- the trace ---- */

static void read_request(const char *line)
{
    static size_t room;
    unsigned long long start = 0, takes = 0;
    unsigned route = 0, bytes = 0;
    if (sscanf(line, "%llu %llu %u %u", &start, &takes, &route, &bytes) != 4 ||
        route >= route_count)
        fail("not a trace");
    if (request_count == room) {
        room = room == 0 ? 65536 : room * 2;
        requests = realloc(requests, room * sizeof(*requests));
        if (requests == NULL)
            fail("out of memory");
    }
    requests[request_count++] = (struct request){start, start + takes, route, bytes};
}

static void read_trace(const char *path_z)
{
    char line[256];
    FILE *from = fopen(path_z, "r");
    if (from == NULL)
        fail("cannot open the trace");
    while (fgets(line, sizeof(line), from) != NULL) {
        struct route *route = &routes[route_count];
        if (strncmp(line, "route ", 6) != 0)
            read_request(line);
        else if (route_count == ROUTES_MAX ||
                 sscanf(line, "route %63s %zu", route->name, &route->cap) != 2)
            fail("not a route");
        else
            route_count++;
    }
    fclose(from);
    if (request_count < 1000)
        fail("too few requests");
}

/* ---- what a request does ---- */

static void open_store(void)
{
    if (weft_ledger_init(&ledger, 0) != 0 ||
        weft_account_open(&ledger, "arenas", 0, &account) != 0 ||
        weft_account_open(&ledger, "history", 0, &history_account) != 0 ||
        weft_chunks_init(&chunks, account, ELASTIC_BYTES) != 0 ||
        weft_histories_init(&histories, history_account, ROUTES_MAX) != 0)
        fail("no store");
}

static void fill(struct weft_arena *arena, size_t bytes)
{
    while (bytes > 0) {
        size_t piece = WEFT_MIN(bytes, PIECE_BYTES);
        char *memory = weft_arena_alloc(arena, piece);
        if (memory == NULL)
            fail("the arena refuses");
        bytes -= piece;
    }
}

static uint32_t class_for(size_t bytes)
{
    uint32_t class = 0;
    while (class + 1 < WEFT_CHUNK_CLASSES && weft_chunk_bytes(class) < bytes)
        class ++;
    return class;
}

/* ---- the replay ---- */

static struct running *heap;
static size_t heap_count;

static void heap_push(const struct running *one)
{
    size_t at = heap_count++;
    while (at > 0 && heap[(at - 1) / 2].end_us > one->end_us) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = *one;
}

static struct running heap_pop(void)
{
    struct running top = heap[0], last = heap[--heap_count];
    size_t at = 0;
    for (size_t child = 1; child < heap_count; child = 2 * at + 1) {
        child += child + 1 < heap_count && heap[child + 1].end_us < heap[child].end_us;
        if (heap[child].end_us >= last.end_us)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = last;
    return top;
}

struct figures {
    size_t peak;      /* of committed bytes */
    double committed; /* as every request finds it, summed */
    double held;      /* bytes of chunks, summed over requests */
    uint64_t grown;   /* chunks after the first */
    uint64_t count;
};

static uint32_t chunks_out(void)
{
    uint32_t count = 0;
    for (size_t i = 0; i < WEFT_CHUNK_CLASSES; i++)
        count += weft_pool_used(&chunks.pools[i]);
    return count;
}

/* What a worker does at the end of a window: pages of chunks that were free all through it go. */
static void trim_until(uint64_t now_us)
{
    static uint64_t next_us = WINDOW_US;
    for (; next_us <= now_us; next_us += WINDOW_US)
        for (size_t i = 0; i < WEFT_CHUNK_CLASSES; i++) {
            while (weft_pool_still(&chunks.pools[i]))
                (void)weft_pool_trim(&chunks.pools[i], SIZE_MAX);
            weft_pool_age(&chunks.pools[i]);
        }
}

static void finish_until(uint64_t now_us, bool learn)
{
    while (heap_count > 0 && heap[0].end_us <= now_us) {
        struct running done = heap_pop();
        if (learn)
            weft_histories_add(&histories, done.route, weft_arena_peak(&done.arena));
        weft_arena_reset(&done.arena);
    }
}

static void begin(const struct request *request, uint32_t class, struct figures *figures)
{
    struct running one = {.end_us = request->end_us, .route = request->route};
    uint32_t before = chunks_out();
    weft_arena_init(&one.arena, &chunks, (size_t)64 << 20);
    weft_arena_expect(&one.arena, class);
    fill(&one.arena, request->bytes);
    uint32_t taken = chunks_out() - before;
    figures->held += (double)one.arena.held;
    figures->grown += taken > 1 ? taken - 1 : 0;
    figures->count++;
    figures->committed += (double)weft_chunks_committed(&chunks);
    figures->peak = WEFT_MAX(figures->peak, weft_chunks_committed(&chunks));
    heap_push(&one);
}

static void replay(const char *policy_z)
{
    bool learned = strcmp(policy_z, "learned") == 0, frozen = strcmp(policy_z, "frozen") == 0;
    bool cap = strcmp(policy_z, "cap") == 0;
    uint32_t fixed = class_for((size_t)strtoull(policy_z, NULL, 10));
    struct figures figures = {0};
    heap = calloc(request_count, sizeof(*heap));
    if (heap == NULL)
        fail("out of memory");
    for (size_t i = 0; i < request_count; i++) {
        const struct request *request = &requests[i];
        bool second = i >= request_count / 2;
        finish_until(request->start_us, learned || (frozen && !second));
        trim_until(request->start_us);
        if (i == request_count / 2)
            figures = (struct figures){0};
        uint32_t class = cap ? class_for(routes[request->route].cap) : fixed;
        if (learned || frozen)
            class = weft_histories_first_class(&histories, request->route);
        begin(request, class, &figures);
    }
    finish_until(UINT64_MAX, false);
    free(heap);
    printf("committed %.0f\npeak %zu\nheld %.1f\ngrown %llu\nrequests %llu\n",
           figures.committed / (double)figures.count, figures.peak,
           figures.held / (double)figures.count, (unsigned long long)figures.grown,
           (unsigned long long)figures.count);
}

/* ---- predictions against the sorted truth ---- */

/* What a request needs when one chunk is enough: its header, and pieces of whole 16 bytes. */
static uint64_t need_of(const struct request *request)
{
    return request->bytes == 0 ? 0 : 16 + WEFT_ALIGN_UP((uint64_t)request->bytes, 16u);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The true P99 of a route among requests [from, to); 0: fewer than 200 of them. */
static uint64_t true_p99(uint32_t route, size_t from, size_t to)
{
    uint64_t *needs = malloc((to - from) * sizeof(*needs));
    size_t count = 0;
    if (needs == NULL)
        fail("out of memory");
    for (size_t i = from; i < to; i++)
        if (requests[i].route == route)
            needs[count++] = need_of(&requests[i]);
    qsort(needs, count, sizeof(*needs), by_size);
    uint64_t p99 = count < 200 ? 0 : needs[(count * 99 + 99) / 100 - 1];
    free(needs);
    return p99;
}

static struct weft_history_prediction predict(uint32_t route)
{
    struct weft_history_sum sum = {0};
    struct weft_history_prediction prediction;
    weft_history_sum_add(&sum, &histories.of[route]);
    weft_history_predict(&sum, &prediction);
    return prediction;
}

/* One line per route: the prediction made at half time against the truth of all that follows. Then
 * one per route and block of the second half: the prediction made when it begins, which goes on
 * learning, against the truth of that block. */
static void predictions(void)
{
    size_t half = request_count / 2, block = (request_count - half) / BLOCKS;
    for (size_t i = 0; i < request_count; i++) {
        bool at_block = i >= half && (i - half) % block == 0 && i + block <= request_count;
        for (uint32_t r = 0; r < route_count && at_block; r++) {
            struct weft_history_prediction p = predict(r);
            if (i == half)
                printf("half %s %s %u %llu %llu\n", routes[r].name,
                       weft_history_strategy_name(p.strategy), p.first_class,
                       (unsigned long long)p.p99,
                       (unsigned long long)true_p99(r, half, request_count));
            printf("block %s %zu %llu %llu\n", routes[r].name, (i - half) / block,
                   (unsigned long long)p.p99, (unsigned long long)true_p99(r, i, i + block));
        }
        weft_histories_add(&histories, requests[i].route, need_of(&requests[i]));
    }
}

/* ---- what it costs ---- */

#define CALLS ((uint64_t)500000)
#define ROUNDS                                                                                     \
    60 /* the quickest counts: other programs slow a round down, nothing speeds it up              \
        */

static uint64_t checksum;

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A request's start and end, on one of 20 routes with sizes of a few hundred bytes to a few KiB. */
static void requests_round(bool adds)
{
    static uint64_t random = 88172645463325252u;
    for (uint64_t i = 0; i < CALLS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        uint32_t route = (uint32_t)random % 20;
        size_t bytes = 300 + (size_t)(random >> 32) % (500 + 300 * route);
        checksum += bytes;
        if (!adds)
            continue;
        checksum += weft_histories_first_class(&histories, route);
        weft_histories_add(&histories, route, bytes);
    }
}

static double quickest(void (*round)(bool), bool arg, uint64_t calls)
{
    double best = 1e18;
    for (int i = 0; i < ROUNDS; i++) {
        double start = cpu_ns();
        round(arg);
        best = WEFT_MIN(best, (cpu_ns() - start) / (double)calls);
    }
    return best;
}

static void predict_round(bool unused)
{
    (void)unused;
    for (uint32_t i = 0; i < 100; i++)
        checksum += predict(i % 20).p99;
}

static void cost(void)
{
    double empty = quickest(requests_round, false, CALLS);
    double each = quickest(requests_round, true, CALLS);
    double predict_ns = quickest(predict_round, false, 100);
    printf("request_ns %.2f\npredict_ns %.0f\nroute_bytes %zu\nchecksum %llu\n", each - empty,
           predict_ns, sizeof(struct weft_history), (unsigned long long)checksum);
}

int main(int argc, char **argv)
{
    open_store();
    if (argc == 2 && strcmp(argv[1], "cost") == 0) {
        cost();
        return 0;
    }
    if (argc != 3)
        fail("usage: history TRACE POLICY|predict, or history cost");
    read_trace(argv[1]);
    if (strcmp(argv[2], "predict") == 0)
        predictions();
    else
        replay(argv[2]);
    return 0;
}
