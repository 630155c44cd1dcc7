/* cache_req.c - what requests do with a cache: look, make what is not there, wait for who makes it.
 *
 * An entry's value is what goes to a backend, too: a head of 16 bytes, the content type, the body.
 * The head has the time until which it is good, because a backend does not tell; in whole seconds
 * of the wall clock, rounded so that a value is never used after its time.
 */
#include "http/service.h"
#include "serve/cache/cache_priv.h"

#define ROUNDS_MAX 8 /* that a request looks and waits; then it makes the value by itself */
#define HEAD_MAGIC 0x31435757u /* "WWC1", in this machine's order: another's is a miss */

struct head {
    uint32_t magic;
    uint16_t status;
    uint8_t type_bytes;
    uint8_t zero;
    uint64_t until_ms; /* since 1970; UINT64_MAX: for ever */
};
_Static_assert(sizeof(struct head) == 16, "what backends hold");

/* A key of one request. */
struct want {
    weft_req *rq;
    struct weft_cache_part *part;
    struct weft_cache_parts *parts;
    const weft_cache *cache;
    weft_str key;
    uint64_t hash;
    struct weft_cache_flight *flight; /* this request leads it; NULL: none */
    bool alone;                       /* it makes the value, and nobody knows */
    uint64_t changes;                 /* of the part, when it was told to */
    struct weft_cache_write *write;   /* to write behind the cache; NULL: not, or not now */
    size_t copy_bytes_max;            /* bodies up to this are copied, not borrowed */
};

static uint64_t now_of(const struct want *want)
{
    return want->rq->loop->now_ms;
}

static weft_rc want_init(struct want *want, weft_req *rq, const weft_cache *cache, weft_str key)
{
    if (key.len == 0 || key.len > WEFT_CACHE_KEY_BYTES_MAX)
        return WEFT_EINVAL;
    struct weft_cache_parts *parts = cache->parts;
    if (parts == NULL)
        return WEFT_ESTATE; /* it is of no application that runs */
    uint32_t worker = rq->loop->counters_account->worker;
    *want = (struct want){.rq = rq,
                          .parts = parts,
                          .part = &parts->parts[worker % parts->count],
                          .cache = cache,
                          .key = key,
                          .hash = weft_hash(&parts->key, key)};
    return 0;
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* ---- values ---- */

static bool value_is_good(const weft_cache_value *value)
{
    return value->type.len <= WEFT_CACHE_TYPE_BYTES_MAX &&
           (value->status == 0 || (value->status >= 200 && value->status <= 999));
}

static size_t packed_bytes(const weft_cache_value *value)
{
    return sizeof(struct head) + value->type.len + value->body.len;
}

static void pack(const struct want *want, const weft_cache_value *value, uint64_t ttl_ms, char *to)
{
    struct head head = {.magic = HEAD_MAGIC,
                        .status = (uint16_t)(value->status == 0 ? 200 : value->status),
                        .type_bytes = (uint8_t)value->type.len,
                        .until_ms = UINT64_MAX};
    uint64_t wall_ms = want->rq->loop->clock.wall_s * 1000;
    if (ttl_ms < UINT64_MAX - wall_ms)
        head.until_ms = wall_ms + ttl_ms;
    memcpy(to, &head, sizeof(head));
    if (value->type.len > 0)
        memcpy(to + sizeof(head), value->type.ptr, value->type.len);
    if (value->body.len > 0)
        memcpy(to + sizeof(head) + value->type.len, value->body.ptr, value->body.len);
}

/* returns  false: it is not one of ours. *out borrows `packed`. */
static bool unpack(weft_str packed, weft_cache_value *out, uint64_t *out_until_ms)
{
    struct head head;
    if (packed.len < sizeof(head))
        return false;
    memcpy(&head, packed.ptr, sizeof(head));
    if (head.magic != HEAD_MAGIC || packed.len - sizeof(head) < head.type_bytes)
        return false;
    if (head.status < 200 || head.status > 999)
        return false;
    const char *type = packed.ptr + sizeof(head), *body = type + head.type_bytes;
    out->status = head.status;
    out->type = (weft_str){type, head.type_bytes};
    out->body = (weft_str){body, packed.len - sizeof(head) - head.type_bytes};
    *out_until_ms = head.until_ms;
    return true;
}

static weft_str packed_of(struct weft_cache_entry *entry)
{
    return (weft_str){weft_cache_entry_value(entry), entry->value_bytes};
}

/* ---- borrowing ---- */

struct loan {
    struct weft_cache_part *part;
    struct weft_cache_entry *entry;
};

static void end_loan(void *arg)
{
    const struct loan *loan = arg;
    weft_cache_part_give_back(loan->part, loan->entry);
}

static weft_rc lend(const struct want *want, struct weft_cache_entry *entry)
{
    struct loan *loan = weft_alloc(want->rq, sizeof(*loan));
    if (loan == NULL)
        return WEFT_ENOMEM;
    *loan = (struct loan){want->part, entry};
    return weft_defer(want->rq, end_loan, loan);
}

/* The request has the value until it ends; on an error nobody has. A small one that is answered
 * with others is copied behind its head anyway: a copy of its own spares the deferred call, which
 * would end the burst of pipelined answers. */
static weft_rc borrow(const struct want *want, struct weft_cache_entry *entry,
                      weft_cache_value *out)
{
    uint64_t until_ms;
    weft_str packed = packed_of(entry);
    bool ours = unpack(packed, out, &until_ms);
    weft_assert(ours); /* it was packed or checked when it came in */
    weft_rc rc = 0;
    if (out->body.len > want->copy_bytes_max) {
        rc = lend(want, entry);
    } else {
        packed = weft_dup(want->rq, packed);
        want->rq->copied += out->body.len;
        want->rq->body_copied += out->body.len;
        rc = unpack(packed, out, &until_ms) ? 0 : WEFT_ENOMEM;
    }
    if (rc != 0 || out->body.len <= want->copy_bytes_max)
        weft_cache_part_give_back(want->part, entry);
    return rc;
}

/* ---- keeping ---- */

/* Was its key set or deleted meanwhile? Where nobody knew that it is made, any key counts. */
static bool is_stale(const struct want *want)
{
    if (want->flight != NULL)
        return want->flight->stale;
    return want->alone && want->changes != want->part->changes;
}

/* Found from now on, unless it is stale. */
static weft_rc publish(const struct want *want, struct weft_cache_entry *entry, uint64_t ttl_ms)
{
    weft_cache_part_write(want->part);
    weft_rc rc = WEFT_EFULL;
    if (!is_stale(want))
        rc = weft_cache_store_publish(&want->part->store, entry, ttl_ms, now_of(want));
    weft_cache_part_unlock(want->part);
    return rc;
}

static weft_rc reserve(const struct want *want, size_t bytes, struct weft_cache_entry **out)
{
    uint64_t evicted = 0;
    weft_rc rc = weft_cache_part_reserve(want->part, want->hash, want->key, bytes, now_of(want),
                                         &evicted, out);
    weft_count_add(want->rq->loop->counters, WEFT_COUNTER_CACHE_EVICTED, evicted);
    if (rc != 0)
        weft_loop_count(want->rq->loop, WEFT_COUNTER_CACHE_REFUSED);
    return rc;
}

/* out  the entry, still ours: for what is behind the cache. Written on 0 only */
static weft_rc keep(const struct want *want, const weft_cache_value *value, uint64_t ttl_ms,
                    struct weft_cache_entry **out)
{
    struct weft_cache_entry *entry = NULL;
    WEFT_TRY(reserve(want, packed_bytes(value), &entry));
    pack(want, value, ttl_ms, weft_cache_entry_value(entry));
    want->rq->copied += value->body.len;
    weft_rc rc = publish(want, entry, ttl_ms);
    if (rc == 0)
        *out = entry;
    else
        weft_cache_part_give_back(want->part, entry);
    return rc;
}

static uint64_t ttl_of(const struct want *want, const weft_cache_value *value)
{
    const weft_cache *cache = want->cache;
    if (cache->ttl == NULL)
        return cache->ttl_ms != 0 ? cache->ttl_ms : WEFT_CACHE_TTL_FOREVER;
    uint64_t last_ms = 0;
    weft_cache_part_write(want->part);
    if (want->part->memory != NULL)
        last_ms = weft_cache_store_last_ttl(&want->part->store, want->hash, want->key);
    weft_cache_part_unlock(want->part);
    weft_cache_about about = {
        .key = want->key, .value = value, .now_s = weft_now_s(want->rq), .last_ttl_ms = last_ms};
    uint64_t ttl_ms = cache->ttl(&about);
    bool negative = ttl_ms > INT64_MAX && ttl_ms != WEFT_CACHE_TTL_FOREVER;
    return negative ? 0 : ttl_ms; /* a time that is over was taken from one that is not */
}

/* ---- what is behind ---- */

static bool is_own_end(weft_rc rc)
{
    return rc == WEFT_ECANCELED || rc == WEFT_EDEADLINE;
}

static void count_errors(const struct want *want, uint32_t errors)
{
    weft_count_add(want->rq->loop->counters, WEFT_COUNTER_CACHE_BACKEND_ERRORS, errors);
}

/* From here to end_write() nobody else writes the key behind the cache. Who may not wait does not
 * write there either.
 *  returns  0; WEFT_ECANCELED, WEFT_EDEADLINE */
static weft_rc begin_write(struct want *want, struct weft_cache_write *write)
{
    if (want->parts->backend_count == 0)
        return 0;
    weft_rc rc = weft_cache_write_begin(&want->parts->writes, want->rq, want->hash, write);
    if (rc == 0)
        want->write = write;
    else if (!is_own_end(rc))
        count_errors(want, want->parts->backend_count);
    return is_own_end(rc) ? rc : 0;
}

static void end_write(struct want *want)
{
    if (want->write != NULL)
        weft_cache_write_end(&want->parts->writes, want->write);
    want->write = NULL;
}

/* Copied to the front, where it fits. returns  false: too old, or none of ours */
static bool take_over(const struct want *want, weft_str packed, weft_cache_value *out)
{
    uint64_t until_ms = 0;
    if (!unpack(packed, out, &until_ms)) {
        weft_loop_count(want->rq->loop, WEFT_COUNTER_CACHE_BACKEND_ERRORS);
        return false;
    }
    uint64_t ttl_ms = WEFT_CACHE_TTL_FOREVER;
    if (until_ms != UINT64_MAX) {
        uint64_t wall_ms = want->rq->loop->clock.wall_s * 1000 + 999;
        if (until_ms <= wall_ms)
            return false;
        ttl_ms = until_ms - wall_ms;
    }
    struct weft_cache_entry *entry = NULL;
    if (reserve(want, packed.len, &entry) == 0) {
        memcpy(weft_cache_entry_value(entry), packed.ptr, packed.len);
        want->rq->copied += out->body.len;
        want->rq->body_copied += out->body.len;
        weft_ignore(publish(want, entry, ttl_ms)); /* not kept: the next one asks behind again */
        weft_cache_part_give_back(want->part, entry);
    }
    return true;
}

/* returns  0; WEFT_ENOTFOUND: nobody has it; WEFT_ECANCELED, WEFT_EDEADLINE */
static weft_rc ask_behind(const struct want *want, weft_cache_value *out)
{
    for (uint32_t i = 0; i < want->parts->backend_count; i++) {
        struct weft_cache_backend *backend = want->parts->backends[i];
        weft_str packed = {0};
        weft_rc rc = backend->ops->get(backend, want->rq, weft_str_z(want->cache->name_z),
                                       want->key, &packed);
        if (rc == 0 && take_over(want, packed, out))
            return 0;
        if (is_own_end(rc))
            return rc;
        if (rc != 0 && rc != WEFT_ENOTFOUND)
            weft_loop_count(want->rq->loop, WEFT_COUNTER_CACHE_BACKEND_ERRORS);
    }
    return WEFT_ENOTFOUND;
}

static weft_rc put_behind(const struct want *want, weft_str packed, uint64_t ttl_ms)
{
    for (uint32_t i = 0; want->write != NULL && i < want->parts->backend_count; i++) {
        struct weft_cache_backend *backend = want->parts->backends[i];
        weft_rc rc = backend->ops->put(backend, want->rq, weft_str_z(want->cache->name_z),
                                       want->key, packed, ttl_ms);
        if (is_own_end(rc))
            return rc;
        count_errors(want, rc != 0);
    }
    return 0;
}

static weft_rc delete_behind(const struct want *want)
{
    for (uint32_t i = 0; want->write != NULL && i < want->parts->backend_count; i++) {
        struct weft_cache_backend *backend = want->parts->backends[i];
        weft_rc rc =
            backend->ops->remove(backend, want->rq, weft_str_z(want->cache->name_z), want->key);
        if (is_own_end(rc))
            return rc;
        count_errors(want, rc != 0);
    }
    return 0;
}

/* ---- one makes it ---- */

static void land(struct want *want, weft_rc rc)
{
    if (want->flight == NULL)
        return;
    weft_cache_part_write(want->part);
    struct weft_cache_waiter *waiters =
        weft_cache_flight_land(&want->part->flights, want->flight, rc);
    weft_cache_part_unlock(want->part);
    want->flight = NULL;
    weft_cache_flight_tell(waiters);
}

/* What those who waited hear: WEFT_NEXT: try yourself. */
static weft_rc told(weft_rc rc, weft_cache_fill_fn fill)
{
    bool own = is_own_end(rc) || (rc == WEFT_ENOTFOUND && fill == NULL);
    return own ? WEFT_NEXT : rc;
}

/* Who waited goes on before what is behind the cache hears of it. */
static weft_rc make(struct want *want, weft_cache_fill_fn fill, void *arg, weft_cache_value *out)
{
    weft_cache_value value = {0};
    weft_rc rc = fill(want->rq, want->key, arg, &value);
    if (rc == 0 && !value_is_good(&value))
        rc = WEFT_EINVAL;
    struct weft_cache_entry *kept = NULL;
    struct weft_cache_write write;
    uint64_t ttl_ms = rc == 0 ? ttl_of(want, &value) : 0;
    if (ttl_ms > 0)
        rc = begin_write(want, &write);
    if (ttl_ms > 0 && rc == 0)
        weft_ignore(keep(want, &value, ttl_ms, &kept)); /* not kept: it is answered all the same */
    land(want, told(rc, fill));
    if (kept != NULL) {
        want->rq->body_copied += value.body.len; /* on its way in; who finds it needs none */
        rc = put_behind(want, packed_of(kept), ttl_ms);
        weft_cache_part_give_back(want->part, kept);
    }
    end_write(want);
    if (rc == 0)
        *out = value;
    return rc;
}

static weft_rc lead(struct want *want, weft_cache_fill_fn fill, void *arg, weft_cache_value *out,
                    bool *out_hit)
{
    weft_rc rc = ask_behind(want, out);
    *out_hit = rc == 0;
    if (rc == WEFT_ENOTFOUND && fill != NULL)
        return make(want, fill, arg, out);
    land(want, told(rc, fill));
    return rc;
}

/* ---- the others wait ---- */

enum turn {
    TURN_FOUND,      /* it is there meanwhile */
    TURN_LEADS,      /* nobody makes it: this one does */
    TURN_ALONE,      /* as many are under way as may: this one makes it for itself */
    TURN_MUST_WAIT,  /* somebody makes it */
    TURN_HAS_JOINED, /* the same, and will tell */
};

static enum turn take_turn(struct want *want, struct weft_cache_waiter *waiter, bool may_wait,
                           struct weft_cache_entry **out)
{
    struct weft_cache_part *part = want->part;
    enum turn turn = TURN_FOUND;
    weft_cache_part_write(part);
    want->changes = part->changes;
    *out = part->memory == NULL
               ? NULL
               : weft_cache_store_find(&part->store, want->hash, want->key, now_of(want));
    struct weft_cache_flight *flight =
        *out != NULL ? NULL : weft_cache_flight_find(&part->flights, want->hash, want->key);
    if (flight != NULL && flight->leader == want->rq) {
        turn = TURN_ALONE; /* its fill asks for the same key */
    } else if (flight != NULL && may_wait) {
        weft_cache_flight_join(flight, waiter, want->rq);
        turn = TURN_HAS_JOINED;
    } else if (flight != NULL) {
        turn = TURN_MUST_WAIT;
    } else if (*out == NULL) {
        want->flight = weft_cache_flight_begin(&part->flights, want->hash, want->key, want->rq);
        turn = want->flight != NULL ? TURN_LEADS : TURN_ALONE;
    }
    weft_cache_part_unlock(part);
    return turn;
}

/* returns  what the leader said; or why this request is over */
static weft_rc wait_for(const struct want *want, struct weft_cache_waiter *waiter)
{
    weft_rc rc = weft_req_wait(want->rq, WEFT_WAIT_TIME);
    if (rc == 0) {
        weft_assert(waiter->arrived);
        return waiter->rc;
    }
    weft_cache_part_write(want->part);
    bool left = weft_cache_flight_leave(waiter);
    weft_cache_part_unlock(want->part);
    if (!left) { /* a post that points here is on its way */
        weft_ignore(weft_req_wait(want->rq, WEFT_WAIT_JOB)); /* why it is over is known */
        weft_assert(waiter->arrived);
    }
    return rc;
}

/* It was not there at once. */
static weft_rc come_by(struct want *want, weft_cache_fill_fn fill, void *arg, weft_cache_value *out,
                       bool *out_hit)
{
    struct weft_cache_waiter waiter;
    struct weft_cache_entry *entry = NULL;
    enum turn turn = TURN_ALONE;
    bool may_wait = false;
    *out_hit = true; /* unless this one makes it */
    for (int round = 0; round < ROUNDS_MAX; round++) {
        turn = take_turn(want, &waiter, may_wait, &entry);
        if (turn == TURN_FOUND)
            return borrow(want, entry, out);
        if (turn == TURN_LEADS || turn == TURN_ALONE)
            break;
        if (turn == TURN_MUST_WAIT) {
            WEFT_TRY(weft_req_may_wait(want->rq));
            may_wait = true;
            continue;
        }
        count(&want->part->joined);
        weft_loop_count(want->rq->loop, WEFT_COUNTER_CACHE_JOINED);
        weft_rc rc = wait_for(want, &waiter);
        if (rc < 0)
            return rc;
        if (rc == 0 && fill != NULL) { /* it was made; was there a place for it? */
            entry = weft_cache_part_find(want->part, want->hash, want->key, now_of(want));
            if (entry != NULL)
                return borrow(want, entry, out);
            break;
        }
        may_wait = false;
    }
    want->alone = want->flight == NULL;
    if (want->alone)
        weft_loop_count(want->rq->loop, WEFT_COUNTER_CACHE_ALONE);
    return lead(want, fill, arg, out, out_hit);
}

/* ---- what handlers call ---- */

/* As weft_cache_fetch(), of a want that is set up. */
static weft_rc fetch(struct want *want, weft_cache_fill_fn fill, void *arg, weft_cache_value *out,
                     bool *out_hit)
{
    weft_req *rq = want->rq;
    bool hit = false;
    weft_cache_value value = {0};
    struct weft_cache_entry *entry =
        weft_cache_part_find(want->part, want->hash, want->key, now_of(want));
    weft_rc rc = WEFT_ENOTFOUND;
    hit = entry != NULL;
    if (hit)
        rc = borrow(want, entry, &value);
    else if (fill != NULL || want->parts->backend_count > 0)
        rc = come_by(want, fill, arg, &value, &hit);
    count(hit ? &want->part->hits : &want->part->misses);
    weft_loop_count(rq->loop, hit ? WEFT_COUNTER_CACHE_HITS : WEFT_COUNTER_CACHE_MISSES);
    if (rc != 0)
        return rc;
    *out = value;
    *out_hit = hit;
    return 0;
}

weft_rc weft_cache_fetch(weft_req *rq, weft_cache *cache, weft_str key, weft_cache_fill_fn fill,
                         void *arg, weft_cache_value *out, bool *out_hit)
{
    struct want want;
    bool hit = false;
    WEFT_TRY(want_init(&want, rq, cache, key));
    WEFT_TRY(fetch(&want, fill, arg, out, &hit));
    if (out_hit != NULL)
        *out_hit = hit;
    return 0;
}

weft_rc weft_cache_get(weft_req *rq, weft_cache *cache, weft_str key, weft_cache_value *out)
{
    return weft_cache_fetch(rq, cache, key, NULL, NULL, out, NULL);
}

weft_rc weft_cache_reply(weft_req *rq, weft_cache *cache, weft_str key, weft_cache_fill_fn fill,
                         void *arg)
{
    struct want want;
    weft_cache_value value;
    bool hit = false;
    WEFT_TRY(want_init(&want, rq, cache, key));
    want.copy_bytes_max = rq->alone ? 0 : rq->service->site->limits.inline_body_bytes;
    WEFT_TRY(fetch(&want, fill, arg, &value, &hit));
    WEFT_TRY(weft_set_header(rq, WEFT_S("X-Cache"), hit ? WEFT_S("HIT") : WEFT_S("MISS")));
    int status = value.status == 0 ? 200 : value.status;
    return weft_reply(rq, status, value.type, value.body);
}

/* Who makes the key's value now makes an old one. */
static void outdate_part(const struct want *want, struct weft_cache_part *part, bool remove)
{
    weft_cache_part_write(part);
    part->changes++;
    if (remove && part->memory != NULL)
        (void)weft_cache_store_remove(&part->store, want->hash, want->key);
    struct weft_cache_flight *flight =
        weft_cache_flight_find(&part->flights, want->hash, want->key);
    if (flight != NULL)
        flight->stale = true;
    weft_cache_part_unlock(part);
}

/* remove   from this worker's part; the others have what is old in any case */
static void outdate(const struct want *want, bool remove)
{
    for (uint32_t i = 0; i < want->parts->count; i++) {
        struct weft_cache_part *part = &want->parts->parts[i];
        outdate_part(want, part, remove || part != want->part);
    }
}

/* Who asked there before it was gone has brought the old value back by now. */
static weft_rc forget_behind(const struct want *want)
{
    weft_rc rc = delete_behind(want);
    if (want->parts->backend_count > 0)
        outdate(want, true);
    return rc;
}

/* Its turn has come. */
static weft_rc set(const struct want *want, const weft_cache_value *value, uint64_t ttl_ms)
{
    struct weft_cache_entry *kept = NULL;
    weft_rc rc = ttl_ms == 0 ? WEFT_EFULL : keep(want, value, ttl_ms, &kept);
    if (rc != 0) {
        weft_rc behind = forget_behind(want); /* else the old value would come back */
        return behind != 0 ? behind : rc;
    }
    rc = put_behind(want, packed_of(kept), ttl_ms);
    weft_cache_part_give_back(want->part, kept);
    return rc;
}

weft_rc weft_cache_put(weft_req *rq, weft_cache *cache, weft_str key, const weft_cache_value *value)
{
    struct want want;
    struct weft_cache_write write;
    WEFT_TRY(want_init(&want, rq, cache, key));
    if (!value_is_good(value))
        return WEFT_EINVAL;
    uint64_t ttl_ms = ttl_of(&want, value);
    WEFT_TRY(begin_write(&want, &write));
    outdate(&want, ttl_ms == 0);
    weft_rc rc = set(&want, value, ttl_ms);
    end_write(&want);
    return rc;
}

weft_rc weft_cache_delete(weft_req *rq, weft_cache *cache, weft_str key)
{
    struct want want;
    struct weft_cache_write write;
    WEFT_TRY(want_init(&want, rq, cache, key));
    outdate(&want, true);
    WEFT_TRY(begin_write(&want, &write));
    weft_rc rc = forget_behind(&want);
    end_write(&want);
    return rc;
}
