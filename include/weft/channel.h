/* channel.h - one event to many clients: server-sent events (the WHATWG HTML standard, 9.2).
 *
 * A channel keeps its newest events in a ring. Who subscribes gets what is published from then on,
 * and, after a broken connection, what it missed, as far as the ring goes back. A subscriber holds
 * no stack, no buffer and no request: 64 bytes, and what the kernel has of its connection.
 *
 *   WEFT_CHANNEL(news, .events = 64, .event_bytes = 1024);         at file level
 *   weft_app_channel(app, &news);                                  while setting up
 *
 *   static weft_rc events(weft_req *rq) { return weft_subscribe(rq, &news); }     GET /events
 *   weft_rc rc = weft_publish(&news, WEFT_EVENT(.data = text));    from any thread
 *
 * Lifetime: a channel: while the application runs. A subscriber: until its connection ends.
 * Threads:  publishing: any. Subscribing: the request's worker.
 * Memory:   a channel: its term of the plan, weft_channel_bytes(). Subscribers: their own term.
 */
#ifndef WEFT_CHANNEL_H
#define WEFT_CHANNEL_H

#include <weft/app.h>

#ifdef __cplusplus
extern "C" {
#endif
#pragma GCC visibility push(default)

/** What happens to a subscriber that takes less than is published, when what it should get next is
 *  no longer in the ring. Both are counted (subscribers_slow_total). One that has got a part of
 *  such an event is closed in either case. */
typedef enum weft_slow {
    WEFT_SLOW_CLOSE, /* it is closed: a browser comes back by itself, with the last id it got */
    WEFT_SLOW_SKIP,  /* it goes on with the oldest event that is there */
} weft_slow;

/** A channel, as declared by WEFT_CHANNEL. What may be given there, by name; 0: the default. */
typedef struct weft_channel {
    size_t size;           /* filled by the macro, as name_z */
    const char *name_z;    /* static: its name in the plan and in /memory */
    uint32_t events;       /* in the ring, 2..65,536 (64) */
    uint32_t event_bytes;  /* of the largest event as it is sent, 64..60,000 (1,024) */
    uint32_t heartbeat_ms; /* a comment goes out after so long, so that dead clients are found, and
                              proxies do not close (15,000); 10 at least */
    uint32_t retry_ms;     /* clients are told to come back after so long (they are not told) */
    weft_slow slow;
    struct weft_channel_store *store; /* Weft's own: set while the application runs */
} weft_channel;

/** Declare a channel at file level: WEFT_CHANNEL(news, .events = 256). */
#define WEFT_CHANNEL(name, ...)                                                                    \
    static weft_channel name = {.size = sizeof(weft_channel), .name_z = #name, __VA_ARGS__}

/** Give the channel to an application. One application at a time; 16 channels at most (rule 6). */
void weft_app_channel(weft_app *app, weft_channel *channel);

/** Answer with the channel's events, until the client goes or the server ends: 200,
 *  text/event-stream. The request ends as soon as the head has left: deferred calls run, its memory
 *  goes back, its deadline does not count any more (rule 7). What a client got so far it tells in
 *  Last-Event-ID: it goes on behind that event; where that is not in the ring (any more), with the
 *  oldest. To HEAD the head alone.
 *  returns  0; WEFT_EFULL (as many subscribers as may be: 503), WEFT_ESTATE (answered already, or
 *           the channel is no running application's), WEFT_ENOTSUP (this protocol, this listener),
 *           WEFT_ENOMEM */
WEFT_CHECK weft_rc weft_subscribe(weft_req *rq, weft_channel *channel);

/** An event, WEFT_EVENT(.data = text); copied by weft_publish(). */
typedef struct weft_event {
    size_t size;    /* filled by the macro */
    weft_str data;  /* UTF-8; lines end with CR, LF or CRLF, and arrive with LF */
    weft_str event; /* its type, one line; empty: "message" */
    weft_str id;    /* one line without NUL, at most 64 bytes; empty: a number, which grows, also
                       over restarts */
} weft_event;
#define WEFT_EVENT(...) (&(const weft_event){.size = sizeof(weft_event), __VA_ARGS__})

/** Send an event to all subscribers, and keep it in the ring. Copied; returns at once.
 *  returns  0; WEFT_EFULL: the oldest event in the ring is still on its way to subscribers (not to
 *           slow ones): try again in a millisecond; WEFT_ELIMIT: larger than event_bytes;
 *           WEFT_EINVAL: a type or an id of more than one line, or too long; WEFT_ESTATE: no
 *           application runs with this channel (yet, or any more: a thread may go on trying)
 *  cost     a copy under a lock, and a wake-up of each worker that has subscribers */
WEFT_CHECK weft_rc weft_publish(weft_channel *channel, const weft_event *event);

/** Its subscribers now, of all workers; any thread. */
uint32_t weft_subscribers(const weft_channel *channel);

/** Bytes at worst, exactly: the term of the plan. */
size_t weft_channel_bytes(const weft_channel *channel);

#pragma GCC visibility pop
#ifdef __cplusplus
}
#endif
#endif
