/* pmem_crash_test.c - a machine that stops at any moment: 10,000 images of what a file may then
 * hold.
 *
 * shows MC-14. A recorder stands where the flushing is done and writes down every word stored,
 * every flush and every fence. A crash after any event of that log leaves what was fenced, and of
 * the rest a random part: per cache line the first so many stores, or any words whatever. Each such
 * image is opened and compared with what had been acknowledged. Lives follow each other on one of
 * the images of the life before, so recovery is crashed too.
 *
 * That the comparison sees anything is shown by losing some of the flushes on their way.
 */
#include "unit.h"
#include "base/str.h"
#include "mem/pmem.h"
#include <stdio.h>
#include <sys/mman.h>

#define FILE_BYTES   WEFT_PMEM_FILE_BYTES_MIN
#define LINES        (FILE_BYTES / 64)
#define KEYS         200
#define RECORDS_MAX  150
#define OPS          60 /* of a life */
#define IMAGES       20 /* of a life */
#define LIVES        500
#define EVENTS_MAX   400000
#define NO_OP        UINT32_MAX
#define DAYS_TO_LIVE 40

enum kind { STORE, FLUSH, FENCE, BEGIN, ACKNOWLEDGED };

struct event {
    enum kind kind;
    uint32_t at;    /* byte offset; of BEGIN and ACKNOWLEDGED the operation */
    uint64_t value; /* of a word; bytes of a flush */
};

/* What a key should hold: a value made from `seed`; 0 = nothing. */
struct held {
    uint32_t seed;
    uint32_t bytes;
    uint64_t expiry;
};

struct op {
    uint32_t key;
    struct held after;
};

/* Which flushes are lost on their way, to see that it is noticed. */
enum loss { LOSE_NOTHING, LOSE_BODIES, LOSE_WORDS, LOSE_FENCES };

struct world {
    _Alignas(64) char memory[FILE_BYTES]; /* what the running program sees */
    _Alignas(64) char start[FILE_BYTES];  /* at the first event of the log */
    _Alignas(64) char image[FILE_BYTES];
    struct event log[EVENTS_MAX];
    uint32_t events;
    uint32_t pending[EVENTS_MAX]; /* stores that are not durable at the crash */
    bool flushed[EVENTS_MAX];
    bool stopped[LINES];
    struct held first[KEYS]; /* at the start of a life */
    struct held now[KEYS];
    struct op ops[OPS];
    uint64_t random;
    uint64_t day; /* the present, in the unit of expiries */
    enum loss loss;
    uint64_t cleaned, refused, expired;
    struct weft_ledger ledger;
    struct weft_account *account;
};

static uint32_t pick(struct world *w, uint32_t below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((w->random >> 33) % below);
}

static void note(struct world *w, enum kind kind, uint32_t at, uint64_t value)
{
    assert_true(w->events < EVENTS_MAX);
    w->log[w->events++] = (struct event){kind, at, value};
}

/* ---- the recorder ---- */

static void record_store(void *context, void *to, const void *from, size_t bytes)
{
    struct world *w = context;
    uint32_t at = (uint32_t)((char *)to - w->memory);
    memcpy(to, from, bytes);
    for (uint32_t word = at & ~7u; word < at + bytes; word += 8) {
        uint64_t value;
        memcpy(&value, w->memory + word, sizeof(value));
        note(w, STORE, word, value);
    }
}

static void record_word(void *context, uint64_t *to, uint64_t value)
{
    record_store(context, to, &value, sizeof(value));
}

static weft_rc record_flush(void *context, const void *at, size_t bytes)
{
    struct world *w = context;
    if (w->loss != (bytes > 8 ? LOSE_BODIES : LOSE_WORDS))
        note(w, FLUSH, (uint32_t)((const char *)at - w->memory), bytes);
    return 0;
}

static weft_rc record_fence(void *context)
{
    struct world *w = context;
    if (w->loss != LOSE_FENCES)
        note(w, FENCE, 0, 0);
    return 0;
}

static const struct weft_pmem_ops recorder = {record_store, record_word, record_flush,
                                              record_fence};

/* ---- crashes ---- */

static void apply(struct world *w, uint32_t event)
{
    memcpy(w->image + w->log[event].at, &w->log[event].value, 8);
}

/* Of what was not fenced, what happened to be written back: nothing, all, or some. */
static void apply_some(struct world *w, uint32_t count)
{
    uint32_t way = pick(w, 4), odds = 2 + pick(w, 6);
    memset(w->stopped, 0, sizeof(w->stopped));
    for (uint32_t i = 0; i < count && way != 0; i++) {
        bool *stopped = &w->stopped[w->log[w->pending[i]].at / 64];
        bool drop = way != 1 && pick(w, odds) == 0;
        if (way == 2) /* a line holds the first so many of its stores */
            drop = *stopped = *stopped || drop;
        if (!drop)
            apply(w, w->pending[i]);
    }
}

static uint32_t keep_unfenced(struct world *w, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (w->flushed[i]) {
            apply(w, w->pending[i]);
            continue;
        }
        w->flushed[kept] = false;
        w->pending[kept++] = w->pending[i];
    }
    return kept;
}

/* The image of a crash right before event `end`. */
static void make_image(struct world *w, uint32_t end)
{
    uint32_t count = 0;
    memcpy(w->image, w->start, FILE_BYTES);
    for (uint32_t i = 0; i < end; i++) {
        const struct event *event = &w->log[i];
        if (event->kind == STORE) {
            w->flushed[count] = false;
            w->pending[count++] = i;
        } else if (event->kind == FLUSH) {
            uint64_t from = event->at / 64, to = (event->at + event->value - 1) / 64;
            for (uint32_t j = 0; j < count; j++) {
                uint32_t line = w->log[w->pending[j]].at / 64;
                w->flushed[j] = w->flushed[j] || (line >= from && line <= to);
            }
        } else if (event->kind == FENCE) {
            count = keep_unfenced(w, count);
        }
    }
    apply_some(w, count);
}

/* What had been acknowledged before event `end`, and which operation was under way. */
static uint32_t state_at(const struct world *w, uint32_t end, struct held out[KEYS])
{
    uint32_t under_way = NO_OP;
    memcpy(out, w->first, sizeof(w->first));
    for (uint32_t i = 0; i < end; i++) {
        if (w->log[i].kind == BEGIN) {
            under_way = w->log[i].at;
        } else if (w->log[i].kind == ACKNOWLEDGED) {
            const struct op *op = &w->ops[w->log[i].at];
            out[op->key] = op->after;
            under_way = NO_OP;
        }
    }
    return under_way;
}

/* ---- records ---- */

static weft_str key_of(uint32_t key, char to[16])
{
    return weft_str_make(to, (size_t)snprintf(to, 16, "key-%u", key));
}

static weft_str value_of(const struct held *held, char to[1024])
{
    uint64_t state = held->seed;
    for (uint32_t i = 0; i < held->bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        to[i] = (char)(state >> 56);
    }
    return weft_str_make(to, held->bytes);
}

static bool holds(const struct weft_pmem *store, uint32_t key, const struct held *held)
{
    char name[16], bytes[1024];
    struct weft_pmem_record found;
    if (!weft_pmem_get(store, key_of(key, name), 0, &found))
        return held->seed == 0;
    return held->seed != 0 && found.expiry == held->expiry &&
           weft_equal(found.value, value_of(held, bytes));
}

static bool attach(struct world *w, struct weft_pmem *store, char *memory, bool recorded)
{
    struct weft_pmem_problem problem;
    return weft_pmem_attach(store, w->account, memory, FILE_BYTES, RECORDS_MAX,
                            recorded ? &recorder : NULL, w, &problem) == 0;
}

/* An image after recovery: all that was acknowledged, nothing else, nothing torn. *state becomes
 * what it holds. Expired records may be dropped by making room: the caller's state says "may". */
static bool is_right(struct world *w, const struct weft_pmem *store, struct held state[KEYS],
                     uint32_t under_way)
{
    uint32_t count = 0;
    if (store->damaged != 0)
        return false;
    for (uint32_t key = 0; key < KEYS; key++) {
        struct held *held = &state[key];
        bool same = holds(store, key, held);
        if (!same && held->expiry != 0 && held->expiry <= w->day) {
            const struct held gone = {0};
            same = holds(store, key, &gone);
            *held = gone;
        }
        if (!same && under_way != NO_OP && w->ops[under_way].key == key) {
            *held = w->ops[under_way].after;
            same = holds(store, key, held);
        }
        if (!same)
            return false;
        count += held->seed != 0;
    }
    return count == store->record_count;
}

static bool is_usable(struct world *w, struct weft_pmem *store)
{
    struct weft_pmem_record found;
    weft_rc rc = weft_pmem_delete(store, WEFT_S("key-0"));
    if (rc != 0 && rc != WEFT_ENOTFOUND)
        return false;
    if (store->record_count == RECORDS_MAX)
        return true;
    rc = weft_pmem_put(store, WEFT_S("key-0"), WEFT_S("after the crash"), 0, 0);
    if (rc != 0)
        return rc == WEFT_EFULL && store->live + 64 > store->live_max;
    weft_pmem_close(store);
    if (!attach(w, store, w->image, false))
        return false;
    return weft_pmem_get(store, WEFT_S("key-0"), 0, &found) &&
           weft_equal(found.value, WEFT_S("after the crash"));
}

static bool image_is_good(struct world *w, uint32_t end)
{
    struct held state[KEYS];
    struct weft_pmem store;
    make_image(w, end);
    uint32_t under_way = state_at(w, end, state);
    if (!attach(w, &store, w->image, false))
        return false;
    bool good = is_right(w, &store, state, under_way);
    good = good && is_usable(w, &store);
    weft_pmem_close(&store);
    return good;
}

/* ---- lives ---- */

/* Some lives are spent on few keys: what follows at once on the same key is the hardest. */
static struct op make_op(struct world *w, uint32_t keys)
{
    struct op op = {.key = pick(w, keys)};
    if (pick(w, 5) > 0) {
        op.after.seed = 1 + pick(w, 1u << 30);
        op.after.bytes = pick(w, 4) == 0 ? 0 : pick(w, 900);
        if (pick(w, 3) == 0)
            op.after.expiry = w->day + 1 + pick(w, DAYS_TO_LIVE);
    }
    return op;
}

static void run_op(struct world *w, struct weft_pmem *store, uint32_t index)
{
    char name[16], bytes[1024];
    struct op *op = &w->ops[index];
    weft_str key = key_of(op->key, name);
    weft_rc rc;
    note(w, BEGIN, index, 0);
    if (op->after.seed == 0) {
        rc = weft_pmem_delete(store, key);
        assert_true(rc == 0 || rc == WEFT_ENOTFOUND);
    } else {
        rc = weft_pmem_put(store, key, value_of(&op->after, bytes), op->after.expiry, w->day);
        assert_true(rc == 0 || rc == WEFT_EFULL);
        w->refused += rc == WEFT_EFULL;
    }
    if (rc == WEFT_EFULL)
        op->after = w->now[op->key];
    w->now[op->key] = op->after;
    note(w, ACKNOWLEDGED, index, 0);
}

static void live(struct world *w)
{
    struct weft_pmem store;
    w->events = 0;
    memcpy(w->start, w->memory, FILE_BYTES);
    memcpy(w->now, w->first, sizeof(w->now));
    w->day++;
    assert_true(attach(w, &store, w->memory, true));
    uint32_t keys = pick(w, 4) == 0 ? 1 + pick(w, 3) : KEYS;
    for (uint32_t i = 0; i < OPS; i++) {
        w->ops[i] = make_op(w, keys);
        run_op(w, &store, i);
    }
    if (pick(w, 4) == 0) {
        uint32_t removed = 0;
        assert_int_equal(weft_pmem_sweep(&store, w->day, store.slot_count, &removed), 0);
        w->expired += removed;
    }
    assert_true(is_right(w, &store, w->now, NO_OP));
    w->cleaned += store.cleaned;
    weft_pmem_close(&store);
}

/* The next life begins where this crash left the file. */
static void die(struct world *w, uint32_t end)
{
    struct held state[KEYS];
    struct weft_pmem store;
    make_image(w, end);
    uint32_t under_way = state_at(w, end, state);
    memcpy(w->memory, w->image, FILE_BYTES);
    assert_true(attach(w, &store, w->image, false));
    assert_true(is_right(w, &store, state, under_way));
    weft_pmem_close(&store);
    memcpy(w->first, state, sizeof(state));
}

static struct world *make_world(enum loss loss)
{
    struct world *w = weft_map(sizeof(*w));
    assert_non_null(w);
    w->random = 0x5eed;
    w->loss = loss;
    assert_int_equal(weft_ledger_init(&w->ledger, 0), 0);
    assert_int_equal(weft_account_open(&w->ledger, "pmem", 0, &w->account), 0);
    weft_pmem_format(w->memory, FILE_BYTES);
    return w;
}

static void drop_world(struct world *w)
{
    assert_int_equal(w->account->reserved, 0);
    assert_int_equal(w->account->used, 0);
    assert_int_equal(w->account->committed, 0);
    weft_ledger_fini(&w->ledger);
    munmap(w, sizeof(*w));
}

static void no_crash_loses_or_tears_anything(void **state)
{
    (void)state;
    struct world *w = make_world(LOSE_NOTHING);
    uint32_t images = 0;
    for (uint32_t i = 0; i < LIVES; i++) {
        live(w);
        for (uint32_t j = 0; j < IMAGES; j++, images++) {
            uint32_t end = pick(w, w->events + 1);
            if (!image_is_good(w, end))
                fail_msg("life %u, image %u: a crash before event %u of %u", i, j, end, w->events);
        }
        die(w, pick(w, w->events + 1));
    }
    assert_int_equal(images, 10000);
    assert_true(w->cleaned > LIVES / 2); /* else too little was written to show anything */
    assert_true(w->refused > 0);
    assert_true(w->expired > 0);
    print_message("%u images, %llu segments emptied, %llu puts refused, %llu expired\n", images,
                  (unsigned long long)w->cleaned, (unsigned long long)w->refused,
                  (unsigned long long)w->expired);
    drop_world(w);
}

/* The segment that is freed and written again in one go, with nothing in between. */
static void a_segment_may_be_used_again_at_once(void **state)
{
    (void)state;
    struct world *w = make_world(LOSE_NOTHING);
    struct weft_pmem store;
    char bytes[1024];
    const struct held held = {.seed = 7, .bytes = 700};
    assert_true(attach(w, &store, w->memory, true));
    while (store.segment_bytes - store.segments[0].used >= 800) /* fits as long as any */
        assert_int_equal(weft_pmem_put(&store, WEFT_S("key-1"), value_of(&held, bytes), 0, 0), 0);
    assert_int_equal(weft_pmem_delete(&store, WEFT_S("key-1")), 0);
    w->events = 0;
    memcpy(w->start, w->memory, FILE_BYTES);
    w->ops[0] = (struct op){1, {.seed = 8, .bytes = 800}};
    run_op(w, &store, 0);
    assert_int_equal(store.segments[0].records, 1);
    weft_pmem_close(&store);
    for (uint32_t end = 0; end <= w->events; end++)
        for (uint32_t i = 0; i < 20; i++)
            assert_true(image_is_good(w, end));
    drop_world(w);
}

static void lost_flushes_are_noticed(void **state)
{
    (void)state;
    for (enum loss loss = LOSE_BODIES; loss <= LOSE_FENCES; loss++) {
        struct world *w = make_world(loss);
        uint32_t bad = 0;
        live(w);
        for (uint32_t j = 0; j < 200; j++)
            bad += !image_is_good(w, pick(w, w->events + 1));
        assert_true(bad > 20);
        drop_world(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_crash_loses_or_tears_anything),
        cmocka_unit_test(a_segment_may_be_used_again_at_once),
        cmocka_unit_test(lost_flushes_are_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
