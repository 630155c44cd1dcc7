/* channel.h - channels (weft/channel.h) as the server opens them, and what publishing and
 * subscribers share.
 *
 * The ring has a place of fixed size for each event: framed as a chunk of HTTP/1.1, so that one
 * copy serves all subscribers of all workers. A worker passes on one event after the other; a place
 * is written anew when every worker is past its event. A subscriber that is behind its worker, a
 * slow one or one that came back, reads under the lock.
 *
 * Lifetime: opened while the server is built, closed when its workers have ended.
 * Threads:  the ring: under the lock, but for the event that a worker passes on. A part: its
 * worker. Memory:   weft_channel_bytes(), on an account of its own; the store itself is heap at
 * start.
 */
#ifndef WEFT_SERVE_EVENTS_CHANNEL_H
#define WEFT_SERVE_EVENTS_CHANNEL_H

#include <pthread.h>
#include <weft/channel.h>
#include "io/loop.h"

#define WEFT_CHANNEL_EVENTS_MAX 4096
#define WEFT_CHANNEL_BYTES_MAX  60000 /* of an event: its size is four hex digits */
#define WEFT_CHANNEL_LEAD       6     /* "0abc\r\n" before the text, "\r\n" behind it */

/* An event in the ring; its text follows. */
struct weft_channel_event {
    uint32_t bytes; /* framed */
    uint32_t id_bytes;
    char text[];
};

/* Texts that are no events, framed. */
enum weft_channel_text {
    WEFT_CHANNEL_HELLO, /* first of all: headers alone may stay in a proxy */
    WEFT_CHANNEL_BEAT,
    WEFT_CHANNEL_TEXTS,
};

enum weft_channel_pass {
    WEFT_CHANNEL_AT_REST,
    WEFT_CHANNEL_PASSING, /* event number `turn` goes to all who are not behind */
    WEFT_CHANNEL_BEATING,
};

/* A worker's part of a channel: its subscribers. */
struct weft_channel_part {
    _Alignas(WEFT_CACHE_LINE) struct weft_channel_store *store;
    struct weft_loop *loop; /* borrowed: set with the first subscriber */
    struct weft_post post;
    _Atomic bool posted;
    _Atomic uint32_t count; /* subscribers; changed under the lock */
    _Atomic uint64_t turn;  /* events before it went to all who were not behind */
    uint32_t first;         /* subscribers, a list by index in loop->held */
    uint32_t cursor;        /* who is next in the pass; WEFT_POOL_NONE: none */
    uint32_t flying;        /* sends under way that read event number `turn` */
    uint8_t pass;           /* enum weft_channel_pass */
    bool beat_due;
    bool has_beaten; /* the last pass was one of comments */
    struct weft_timer beat;
};

struct weft_channel_store {
    pthread_mutex_t lock;
    const weft_channel *channel; /* borrowed: static */
    struct weft_account *account;
    char *ring; /* owned */
    size_t place_bytes;
    uint32_t events;       /* places */
    uint32_t heartbeat_ms; /* as given, or the default */
    uint64_t first;        /* the oldest event in the ring */
    _Atomic uint64_t next; /* the number of the next one */
    uint64_t origin;       /* of the very first: beyond those before a restart */
    struct {
        char text[48];
        size_t bytes;
    } texts[WEFT_CHANNEL_TEXTS];
    uint32_t part_count;
    struct weft_channel_part parts[]; /* per worker */
};

/** What is wrong with a declaration; NULL: nothing. Static. */
const char *weft_channel_wrong(const weft_channel *channel);

/** Map and book a channel for so many workers.
 *  returns  0; WEFT_ESTATE (open already), WEFT_EBUDGET, WEFT_ENOMEM, WEFT_EFULL (accounts) */
WEFT_CHECK weft_rc weft_channel_open(weft_channel *channel, struct weft_ledger *ledger,
                                     uint32_t workers);
/** One that is not open is accepted. */
void weft_channel_close(weft_channel *channel);

/** Who comes back with that id goes on with this event; with none, with the next one. */
uint64_t weft_channel_find(struct weft_channel_store *store, weft_str id);

/** An event's bytes, framed or not. Under the lock, or while it is passed on. */
weft_str weft_channel_bytes_of(const struct weft_channel_store *store, uint64_t number,
                               bool chunked);

/** Have a part look what there is to do, soon; any thread. */
void weft_channel_wake(struct weft_channel_part *part);

/** subscribers.c: a part's post, and a connection's holder. */
void weft_subscribers_post(struct weft_post *post);
extern const struct weft_holder weft_subscribers_holder;

#endif
