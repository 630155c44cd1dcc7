/* alloc.c - what memory costs: pools, arenas and builders of weft, and malloc, whichever is loaded.
 *
 * usage: alloc CASE [batches [cpu...]]: one JSON object. alloc.py runs the cases in turns, the ones
 * that begin with "malloc" with other allocators preloaded too, and says what each case is.
 *
 * A batch is 64 operations between two readings of the clock; its time through 64 is one sample, in
 * which the clock's own 16 to 20 ns are left. Mean, P99 and the largest of these samples are what
 * is printed. A two-thread case gives each thread its own pool and its own CPU, and says how often
 * both together got as far as one alone, in the same process, seconds apart.
 */
#include "bench.h"
#include "http/message.h"
#include "http/service.h"
#include "mem/arena.h"
#include "mem/objects.h"
#include "mem/pool.h"
#include <pthread.h>
#include <weft/mem.h>

#define BATCH        64
#define SLOT_BYTES   256
#define LIVE         10000 /* objects held at once, in the cases "live" */
#define HEADER_BYTES 512   /* of an object there: room for header lines, and a body */
#define BODY_BYTES   4096
#define PIECES       200 /* of a text that is put together */
#define MIXED        4096
#define THREADS      2

/* ---- what is measured ---- */

struct bench {
    struct weft_ledger ledger;
    struct weft_pool pool;
    struct weft_chunks chunks;
    struct weft_arena arena;
    struct weft_loop loop;
    weft_req rq;
    struct weft_service service; /* for its books of who allocates */
    void *held[BATCH];
    uint32_t indexes[BATCH];
    void **live; /* LIVE objects or handles */
    weft_handle *handles;
    uint16_t sizes[MIXED];
    uint32_t next_size;
    uint64_t random;
    uint64_t failures;
};

struct object {
    size_t header_count, body_len;
    char headers[HEADER_BYTES];
    char body[BODY_BYTES];
};

struct buffer {
    size_t len;
    char bytes[BODY_BYTES];
};

static void reset_object(void *memory)
{
    struct object *object = memory;
    object->header_count = object->body_len = 0; /* its capacity is kept */
}

static void reset_buffer(void *memory)
{
    ((struct buffer *)memory)->len = 0;
}

struct small {
    char bytes[SLOT_BYTES];
};

WEFT_OBJECTS(own_small, struct small, BATCH, .per_worker = true, .reset = reset_buffer);
WEFT_OBJECTS(shared_small, struct small, BATCH, .reset = reset_buffer);
WEFT_OBJECTS(own_buffers, struct buffer, 4, .per_worker = true, .reset = reset_buffer);
WEFT_OBJECTS(live_objects, struct object, LIVE, .per_worker = true, .reset = reset_object);

/* The compiler must take it that somebody reads what lies there. */
static inline void touch(void *memory)
{
    *(volatile char *)memory = 1;
}

static inline uint64_t random_of(struct bench *b)
{
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

/* ---- one object at a time, and 64 at a time ---- */

static uint64_t pool_pairs(struct bench *b)
{
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        uint32_t index = weft_pool_take(&b->pool);
        failures += index == WEFT_POOL_NONE;
        touch(weft_pool_at(&b->pool, index));
        weft_pool_put(&b->pool, index);
    }
    return failures;
}

static uint64_t pool_sets(struct bench *b)
{
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        b->indexes[i] = weft_pool_take(&b->pool);
        failures += b->indexes[i] == WEFT_POOL_NONE;
        touch(weft_pool_at(&b->pool, b->indexes[i]));
    }
    for (int i = 0; i < BATCH; i++)
        weft_pool_put(&b->pool, b->indexes[i]);
    return failures;
}

static uint64_t malloc_pairs(struct bench *b)
{
    (void)b;
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        void *memory = malloc(SLOT_BYTES);
        failures += memory == NULL;
        touch(memory);
        free(memory);
    }
    return failures;
}

static uint64_t malloc_sets(struct bench *b)
{
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        b->held[i] = malloc(SLOT_BYTES);
        failures += b->held[i] == NULL;
        touch(b->held[i]);
    }
    for (int i = 0; i < BATCH; i++)
        free(b->held[i]);
    return failures;
}

#define OBJECT_PAIRS(pool)                                                                         \
    for (int i = 0; i < BATCH; i++) {                                                              \
        weft_handle handle = 0;                                                                    \
        void *object = weft_object_take(pool, &handle);                                            \
        failures += object == NULL;                                                                \
        touch(object);                                                                             \
        failures += weft_object_put(pool, handle) != WEFT_OK;                                      \
    }

static uint64_t objects_own(struct bench *b)
{
    (void)b;
    uint64_t failures = 0;
    OBJECT_PAIRS(own_small)
    return failures;
}

static uint64_t objects_shared(struct bench *b)
{
    (void)b;
    uint64_t failures = 0;
    OBJECT_PAIRS(shared_small)
    return failures;
}

/* ---- a request's worth: 64 pieces, then all of them go ---- */

static uint64_t arena_bump(struct bench *b)
{
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        void *memory = weft_arena_alloc(&b->arena, SLOT_BYTES);
        failures += memory == NULL;
        touch(memory);
    }
    weft_arena_reset(&b->arena);
    return failures;
}

static inline size_t mixed_size(struct bench *b)
{
    return b->sizes[b->next_size++ % MIXED];
}

static uint64_t arena_mixed(struct bench *b)
{
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        void *memory = weft_arena_alloc(&b->arena, mixed_size(b));
        failures += memory == NULL;
        touch(memory);
    }
    weft_arena_reset(&b->arena);
    return failures;
}

static uint64_t malloc_mixed(struct bench *b)
{
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        b->held[i] = malloc(mixed_size(b));
        failures += b->held[i] == NULL;
        touch(b->held[i]);
    }
    for (int i = 0; i < BATCH; i++)
        free(b->held[i]);
    return failures;
}

/* ---- 10,000 objects held: one of them ends, another begins ---- */

static void use(struct object *object)
{
    object->header_count = 1;
    touch(object->headers);
    touch(object->body);
}

static uint64_t pool_live(struct bench *b)
{
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        size_t victim = random_of(b) % LIVE;
        failures += weft_object_put(live_objects, b->handles[victim]) != WEFT_OK;
        struct object *object = weft_object_take(live_objects, &b->handles[victim]);
        failures += object == NULL;
        use(object);
    }
    return failures;
}

/* Made new each time, as without a pool: a zeroed map of headers and a zeroed body. */
struct pieces {
    size_t header_count;
    char *headers, *body;
};

static struct pieces *new_pieces(void)
{
    struct pieces *pieces = malloc(sizeof(*pieces));
    if (pieces == NULL)
        die("malloc");
    *pieces = (struct pieces){1, calloc(1, HEADER_BYTES), calloc(1, BODY_BYTES)};
    if (pieces->headers == NULL || pieces->body == NULL)
        die("calloc");
    touch(pieces->headers);
    touch(pieces->body);
    return pieces;
}

static uint64_t malloc_live(struct bench *b)
{
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        size_t victim = random_of(b) % LIVE;
        struct pieces *old = b->live[victim];
        free(old->headers);
        free(old->body);
        free(old);
        b->live[victim] = new_pieces();
    }
    return failures;
}

/* ---- temporary objects: text, and a buffer ---- */

static const weft_str piece = {"a piece of a text, ", 19};

static uint64_t builder_hint(struct bench *b)
{
    uint64_t failures = 0;
    weft_builder builder;
    weft_str text;
    weft_mark_point mark = weft_mark(&b->rq);
    failures += weft_builder_begin(&b->rq, &builder, PIECES * piece.len) != WEFT_OK;
    for (int i = 0; i < PIECES; i++)
        weft_builder_add(&builder, piece);
    failures += weft_builder_text(&builder, &text) != WEFT_OK;
    touch(builder.start);
    weft_rewind(&b->rq, mark);
    return failures;
}

/* s = s + piece: a new string each time, as where strings do not change. */
static uint64_t malloc_concat(struct bench *b)
{
    (void)b;
    uint64_t failures = 0;
    char *text = NULL;
    size_t len = 0;
    for (int i = 0; i < PIECES; i++) {
        char *longer = malloc(len + piece.len);
        failures += longer == NULL;
        if (len > 0)
            memcpy(longer, text, len);
        memcpy(longer + len, piece.ptr, piece.len);
        free(text);
        text = longer;
        len += piece.len;
    }
    touch(text);
    free(text);
    return failures;
}

static uint64_t pool_buffer(struct bench *b)
{
    (void)b;
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        weft_handle handle = 0;
        struct buffer *buffer = weft_object_take(own_buffers, &handle);
        touch(buffer->bytes);
        failures += weft_object_put(own_buffers, handle) != WEFT_OK;
    }
    return failures;
}

static uint64_t malloc_buffer(struct bench *b)
{
    (void)b;
    uint64_t failures = 0;
    for (int i = 0; i < BATCH; i++) {
        struct buffer *buffer = calloc(1, sizeof(*buffer));
        failures += buffer == NULL;
        touch(buffer->bytes);
        free(buffer);
    }
    return failures;
}

static const struct {
    const char *name_z;
    uint64_t (*batch)(struct bench *b); /* returns what failed */
    uint32_t operations;                /* in a batch */
} cases[] = {
    {"pool-pairs", pool_pairs, BATCH},       {"pool-sets", pool_sets, BATCH},
    {"malloc-pairs", malloc_pairs, BATCH},   {"malloc-sets", malloc_sets, BATCH},
    {"objects-own", objects_own, BATCH},     {"objects-shared", objects_shared, BATCH},
    {"arena-bump", arena_bump, BATCH},       {"arena-mixed", arena_mixed, BATCH},
    {"malloc-mixed", malloc_mixed, BATCH},   {"pool-live", pool_live, BATCH},
    {"malloc-live", malloc_live, BATCH},     {"builder-hint", builder_hint, 1},
    {"malloc-concat", malloc_concat, 1},     {"pool-buffer", pool_buffer, BATCH},
    {"malloc-buffer", malloc_buffer, BATCH},
};

/* ---- setting up ---- */

static void must(weft_rc rc)
{
    if (rc != WEFT_OK) {
        fprintf(stderr, "alloc: %s\n", weft_rc_text(rc));
        exit(1);
    }
}

static void set_up(struct bench *b, const char *name_z)
{
    struct weft_account *account, *arenas;
    must(weft_ledger_init(&b->ledger, 0));
    must(weft_account_open(&b->ledger, "pool", 0, &account));
    must(weft_pool_init(&b->pool, account, SLOT_BYTES, BATCH));
    must(weft_account_open(&b->ledger, "arenas", 0, &arenas));
    must(weft_chunks_init(&b->chunks, arenas, 8 << 20));
    must(weft_usage_init(&b->service.usage, 0));
    b->rq.loop = &b->loop;
    b->rq.service = &b->service;
    b->rq.usage = b->service.usage.routes;
    weft_arena_init(&b->arena, &b->chunks, 4 << 20);
    weft_arena_init(&b->rq.arena, &b->chunks, 4 << 20);
    b->random = 88172645463325252u;
    for (int i = 0; i < MIXED; i++) /* 16 bytes to 2 KiB, small ones more often */
        b->sizes[i] = (uint16_t)((16u << random_of(b) % 8) + random_of(b) % 16);
    if (strstr(name_z, "live") == NULL)
        return;
    b->live = calloc(LIVE, sizeof(*b->live));
    b->handles = calloc(LIVE, sizeof(*b->handles));
    for (int i = 0; i < LIVE; i++) {
        if (name_z[0] == 'm')
            b->live[i] = new_pieces();
        else
            use(weft_object_take(live_objects, &b->handles[i]));
    }
}

/* ---- measuring ---- */

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print(const char *name_z, uint32_t *ns, size_t count, double operations,
                  uint64_t failures)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += ns[i];
    qsort(ns, count, sizeof(*ns), by_size);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"case\": \"%s\", \"mean_ns\": %.2f, \"p50_ns\": %.2f, \"p99_ns\": %.2f, "
           "\"max_ns\": %.1f, \"failures\": %llu, \"preempted\": %ld}\n",
           name_z, sum / (double)count / operations, ns[count / 2] / operations,
           ns[count * 99 / 100] / operations, ns[count - 1] / operations,
           (unsigned long long)failures, usage.ru_nivcsw);
}

static void run_case(size_t which, size_t batches)
{
    static struct bench bench;
    struct weft_ledger ledger;
    must(weft_ledger_init(&ledger, 0));
    must(weft_objects_open(&own_small, &ledger, 1));
    must(weft_objects_open(&shared_small, &ledger, 1));
    must(weft_objects_open(&own_buffers, &ledger, 1));
    must(weft_objects_open(&live_objects, &ledger, 1));
    weft_objects_enter(0);
    set_up(&bench, cases[which].name_z);
    uint32_t *ns = malloc(batches * sizeof(*ns));
    if (ns == NULL)
        die("malloc");
    memset(ns, 0, batches * sizeof(*ns));
    for (size_t i = 0; i < batches / 10 + 1; i++)
        (void)cases[which].batch(&bench); /* warm up */
    for (size_t i = 0; i < batches; i++) {
        uint64_t before = now_ns();
        uint64_t failures = cases[which].batch(&bench);
        ns[i] = (uint32_t)(now_ns() - before);
        bench.failures += failures;
    }
    print(cases[which].name_z, ns, batches, cases[which].operations, bench.failures);
}

/* ---- two threads ---- */

struct runner {
    pthread_t thread;
    size_t which, batches;
    int cpu;
    pthread_barrier_t *start;
    struct bench bench;
    double ns_per_op;
};

static void *run_thread(void *arg)
{
    struct runner *r = arg;
    pin_to(r->cpu);
    for (size_t i = 0; i < r->batches / 10; i++)
        (void)cases[r->which].batch(&r->bench); /* warm up */
    pthread_barrier_wait(r->start);
    uint64_t before = now_ns();
    for (size_t i = 0; i < r->batches; i++)
        r->bench.failures += cases[r->which].batch(&r->bench);
    r->ns_per_op = (double)(now_ns() - before) / (double)(r->batches * BATCH);
    return NULL;
}

/* Operations per ns of so many threads together. */
static double speed_of(struct runner *runners, int threads)
{
    pthread_barrier_t start;
    double speed = 0;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        runners[i].start = &start;
        if (pthread_create(&runners[i].thread, NULL, run_thread, &runners[i]) != 0)
            die("pthread_create");
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(runners[i].thread, NULL);
        speed += 1 / runners[i].ns_per_op;
    }
    pthread_barrier_destroy(&start);
    return speed;
}

static void run_two(size_t which, size_t batches)
{
    static struct runner runners[THREADS];
    for (int i = 0; i < THREADS; i++) {
        runners[i].which = which;
        runners[i].batches = batches;
        runners[i].cpu = i;
        set_up(&runners[i].bench, cases[which].name_z);
    }
    double one = speed_of(runners, 1), two = speed_of(runners, THREADS);
    printf("{\"case\": \"%s\", \"one_ns\": %.2f, \"two_ns\": %.2f, \"ratio\": %.3f, "
           "\"failures\": %llu}\n",
           cases[which].name_z, 1 / one, THREADS / two, two / one,
           (unsigned long long)(runners[0].bench.failures + runners[1].bench.failures));
}

int main(int argc, char **argv)
{
    const char *text = "alloc CASE [batches [two]]";
    if (argc < 2)
        usage(text);
    size_t batches = argc > 2 ? (size_t)number(argv[2], 100, 10000000) : 100000;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(cases[i].name_z, argv[1]) == 0) {
            if (argc > 3)
                run_two(i, batches);
            else
                run_case(i, batches);
            return 0;
        }
    usage(text);
}
