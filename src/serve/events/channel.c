/* channel.c - see weft/channel.h and serve/events/channel.h: the ring, and publishing into it. */
#include "serve/events/channel.h"
#include "base/fmt.h"
#include "base/mutex.h"
#include "serve/events/sse.h"
#include <sched.h>
#include <stdlib.h>

#define EVENTS       64
#define EVENT_BYTES  1024
#define HEARTBEAT_MS 15000
#define TAIL         2  /* "\r\n" */
#define ID_AT        4  /* in an event's text, behind "id: " */
#define ORIGIN_SHIFT 20 /* seconds, and a million events in each */

/* Threads inside of weft_publish() and weft_subscribers(): they may come at any time, and closing
 * waits until those that saw the channel open are out again. */
static _Atomic uint32_t inside;

static struct weft_channel_store *enter(const weft_channel *channel)
{
    atomic_fetch_add(&inside, 1);
    return __atomic_load_n(&channel->store, __ATOMIC_SEQ_CST);
}

static void leave(void)
{
    atomic_fetch_sub(&inside, 1);
}

static const char hex_digits[] = "0123456789abcdef";

static uint32_t or_else(uint32_t value, uint32_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static size_t place_bytes(const weft_channel *channel)
{
    size_t text = or_else(channel->event_bytes, EVENT_BYTES);
    return WEFT_ALIGN_UP(sizeof(struct weft_channel_event) + WEFT_CHANNEL_LEAD + text + TAIL,
                         (size_t)8);
}

size_t weft_channel_bytes(const weft_channel *channel)
{
    return WEFT_ALIGN_UP(or_else(channel->events, EVENTS) * place_bytes(channel), WEFT_PAGE_BYTES);
}

const char *weft_channel_wrong(const weft_channel *channel)
{
    uint32_t events = or_else(channel->events, EVENTS);
    uint32_t bytes = or_else(channel->event_bytes, EVENT_BYTES);
    if (channel->size != sizeof(*channel))
        return "is of another version of weft (use WEFT_CHANNEL)";
    if (events < 2 || events > WEFT_CHANNEL_EVENTS_MAX)
        return "has fewer than 2 events, or more than 4,096";
    if (bytes < 64 || bytes > WEFT_CHANNEL_BYTES_MAX)
        return "has events of less than 64 bytes, or of more than 60,000";
    return or_else(channel->heartbeat_ms, HEARTBEAT_MS) < 10 ? "has a heartbeat below 10 ms" : NULL;
}

/* ---- opening and closing ---- */

/* The size in four digits, whatever it is: the text lies at the same place in each. */
static void frame(char *at, size_t bytes)
{
    char *tail = at + WEFT_CHANNEL_LEAD + bytes;
    for (int i = 3; i >= 0; i--, bytes >>= 4)
        at[i] = hex_digits[bytes & 15];
    at[4] = tail[0] = '\r';
    at[5] = tail[1] = '\n';
}

static void set_text(struct weft_channel_store *store, enum weft_channel_text which,
                     uint32_t retry_ms)
{
    char *to = store->texts[which].text + WEFT_CHANNEL_LEAD;
    size_t room = sizeof(store->texts[which].text) - WEFT_CHANNEL_LEAD - TAIL;
    size_t len =
        retry_ms > 0 ? weft_fmt(to, room, "retry: %u\n\n", retry_ms) : weft_fmt(to, room, ":\n\n");
    frame(store->texts[which].text, len);
    store->texts[which].bytes = WEFT_CHANNEL_LEAD + len + TAIL;
}

static void set_up(struct weft_channel_store *store, const weft_channel *channel, uint32_t workers)
{
    uint64_t now_ns, wall_s;
    weft_clock_system.read(&weft_clock_system, &now_ns, &wall_s);
    store->channel = channel;
    store->place_bytes = place_bytes(channel);
    store->events = or_else(channel->events, EVENTS);
    store->heartbeat_ms = or_else(channel->heartbeat_ms, HEARTBEAT_MS);
    store->origin = store->first = wall_s << ORIGIN_SHIFT;
    atomic_store(&store->next, store->first);
    set_text(store, WEFT_CHANNEL_HELLO, channel->retry_ms);
    set_text(store, WEFT_CHANNEL_BEAT, 0);
    store->part_count = workers;
    for (uint32_t i = 0; i < workers; i++) {
        store->parts[i].store = store;
        store->parts[i].first = store->parts[i].cursor = WEFT_POOL_NONE;
        store->parts[i].post.run = weft_subscribers_post;
    }
}

weft_rc weft_channel_open(weft_channel *channel, struct weft_ledger *ledger, uint32_t workers)
{
    if (channel->store != NULL)
        return WEFT_ESTATE;
    size_t bytes = WEFT_ALIGN_UP(sizeof(struct weft_channel_store) +
                                     workers * sizeof(struct weft_channel_part),
                                 (size_t)WEFT_CACHE_LINE);
    struct weft_channel_store *store = aligned_alloc(WEFT_CACHE_LINE, bytes);
    if (store == NULL)
        return WEFT_ENOMEM;
    memset(store, 0, bytes);
    void *ring = NULL;
    weft_rc rc = weft_account_open(ledger, channel->name_z, WEFT_ACCOUNT_PROCESS, &store->account);
    if (rc == 0)
        rc = weft_account_map(store->account, weft_channel_bytes(channel), &ring);
    if (rc == 0 && pthread_mutex_init(&store->lock, NULL) != 0) {
        weft_account_unmap(store->account, ring, weft_channel_bytes(channel));
        rc = WEFT_ENOMEM;
    }
    if (rc != 0) {
        free(store);
        return rc;
    }
    store->ring = ring;
    set_up(store, channel, workers);
    __atomic_store_n(&channel->store, store, __ATOMIC_SEQ_CST);
    return 0;
}

/* Bytes of the ring that are used once so many events were published. */
static size_t used_after(const struct weft_channel_store *store, uint64_t events)
{
    return (size_t)WEFT_MIN(events, (uint64_t)store->events) * store->place_bytes;
}

void weft_channel_close(weft_channel *channel)
{
    struct weft_channel_store *store = channel->store;
    if (store == NULL)
        return;
    __atomic_store_n(&channel->store, NULL, __ATOMIC_SEQ_CST);
    while (atomic_load(&inside) > 0)
        sched_yield();
    size_t used = used_after(store, atomic_load(&store->next) - store->origin);
    weft_account_unuse(store->account, used);
    weft_account_commit(store->account, -(ptrdiff_t)WEFT_ALIGN_UP(used, WEFT_PAGE_BYTES));
    weft_account_unmap(store->account, store->ring, weft_channel_bytes(channel));
    pthread_mutex_destroy(&store->lock);
    free(store);
}

/* ---- the ring ---- */

static struct weft_channel_event *event_at(const struct weft_channel_store *store, uint64_t number)
{
    char *place = store->ring + (number - store->origin) % store->events * store->place_bytes;
    return (struct weft_channel_event *)(void *)place;
}

weft_str weft_channel_bytes_of(const struct weft_channel_store *store, uint64_t number,
                               bool chunked)
{
    const struct weft_channel_event *event = event_at(store, number);
    if (chunked)
        return weft_str_make(event->text, event->bytes);
    return weft_str_make(event->text + WEFT_CHANNEL_LEAD, event->bytes - WEFT_CHANNEL_LEAD - TAIL);
}

static bool has_id(const struct weft_channel_store *store, uint64_t number, weft_str id)
{
    const struct weft_channel_event *event = event_at(store, number);
    return weft_str_eq(weft_str_make(event->text + WEFT_CHANNEL_LEAD + ID_AT, event->id_bytes), id);
}

/* Newest first: who lost a connection was up to date a moment ago. */
static uint64_t find(const struct weft_channel_store *store, uint64_t next, weft_str id)
{
    uint64_t number = 0;
    bool is_number = weft_str_to_u64(id, &number) == 0;
    if (is_number && number >= store->first && number < next && has_id(store, number, id))
        return number + 1;
    for (number = next; number > store->first; number--)
        if (has_id(store, number - 1, id))
            return number;
    return store->first;
}

uint64_t weft_channel_find(struct weft_channel_store *store, weft_str id)
{
    weft_mutex_lock(&store->lock);
    uint64_t next = atomic_load_explicit(&store->next, memory_order_relaxed);
    uint64_t found = id.len == 0 ? next : find(store, next, id);
    weft_mutex_unlock(&store->lock);
    return found;
}

/* ---- publishing ---- */

void weft_channel_wake(struct weft_channel_part *part)
{
    if (!atomic_exchange(&part->posted, true)) /* a post is in the list once */
        weft_loop_post(part->loop, &part->post);
}

static bool listens(const struct weft_channel_part *part)
{
    return atomic_load_explicit(&part->count, memory_order_relaxed) > 0;
}

/* Is the oldest event's place still read by a worker that passes it on? */
static bool is_full(const struct weft_channel_store *store, uint64_t next)
{
    if (next - store->first < store->events)
        return false;
    for (uint32_t i = 0; i < store->part_count; i++)
        if (listens(&store->parts[i]) &&
            atomic_load_explicit(&store->parts[i].turn, memory_order_acquire) <= store->first)
            return true;
    return false;
}

static void book(struct weft_channel_store *store, uint64_t next)
{
    size_t before = used_after(store, next - store->origin);
    size_t after = used_after(store, next + 1 - store->origin);
    if (after == before)
        return;
    weft_account_use(store->account, after - before);
    weft_account_commit(store->account, (ptrdiff_t)(WEFT_ALIGN_UP(after, WEFT_PAGE_BYTES) -
                                                    WEFT_ALIGN_UP(before, WEFT_PAGE_BYTES)));
}

static weft_rc put(struct weft_channel_store *store, const weft_event *event)
{
    char digits[WEFT_U64_TEXT_BYTES];
    uint64_t next = atomic_load_explicit(&store->next, memory_order_relaxed);
    weft_str id = event->id;
    if (id.len == 0)
        id = weft_str_make(digits, weft_u64_to_text(digits, next));
    size_t bytes = weft_sse_bytes(event, id);
    if (bytes > or_else(store->channel->event_bytes, EVENT_BYTES))
        return WEFT_ELIMIT;
    if (is_full(store, next)) {
        weft_account_refuse(store->account);
        return WEFT_EFULL;
    }
    struct weft_channel_event *place = event_at(store, next);
    store->first += next - store->first == store->events;
    book(store, next);
    (void)weft_sse_write(event, id, place->text + WEFT_CHANNEL_LEAD);
    frame(place->text, bytes);
    place->bytes = (uint32_t)(WEFT_CHANNEL_LEAD + bytes + TAIL);
    place->id_bytes = (uint32_t)id.len;
    atomic_store_explicit(&store->next, next + 1, memory_order_release);
    return 0;
}

static weft_rc publish(struct weft_channel_store *store, const weft_event *event)
{
    if (store == NULL)
        return WEFT_ESTATE;
    WEFT_TRY(weft_sse_check(event));
    weft_mutex_lock(&store->lock);
    weft_rc rc = put(store, event);
    for (uint32_t i = 0; rc == 0 && i < store->part_count; i++)
        if (listens(&store->parts[i]))
            weft_channel_wake(&store->parts[i]);
    weft_mutex_unlock(&store->lock);
    return rc;
}

weft_rc weft_publish(weft_channel *channel, const weft_event *event)
{
    weft_rc rc = publish(enter(channel), event);
    leave();
    return rc;
}

uint32_t weft_subscribers(const weft_channel *channel)
{
    const struct weft_channel_store *store = enter(channel);
    uint32_t count = 0;
    for (uint32_t i = 0; store != NULL && i < store->part_count; i++)
        count += atomic_load_explicit(&store->parts[i].count, memory_order_relaxed);
    leave();
    return count;
}
