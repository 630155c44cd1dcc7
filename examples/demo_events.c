/* demo_events.c - one event to all who listen: server-sent events. Who listens holds no stack.
 *
 *   curl -N http://127.0.0.1:60000/events
 *   curl -d 'hello' 'http://127.0.0.1:60000/events?event=greeting'
 */
#include "demo.h"

WEFT_CHANNEL(demo_events, .events = 256, .event_bytes = 2048, .retry_ms = 1000);

/* Last-Event-ID, heartbeats and clients that go are the channel's business. */
static weft_rc listen(weft_req *rq)
{
    return weft_subscribe(rq, &demo_events);
}

static weft_rc answer(weft_req *rq)
{
    return weft_reply_copy(rq, 202, WEFT_S("text/plain"),
                           weft_format(rq, "%u subscribers\n", weft_subscribers(&demo_events)));
}

static weft_rc publish(weft_req *rq)
{
    weft_str data = {0};
    WEFT_TRY(weft_body(rq, &data));
    const weft_event *event =
        WEFT_EVENT(.data = data, .event = weft_query_param(rq, WEFT_S("event")),
                   .id = weft_query_param(rq, WEFT_S("id")));
    weft_rc rc = weft_publish(&demo_events, event);
    while (rc == WEFT_EFULL) { /* faster than the workers pass them on: a handler can wait */
        WEFT_TRY(weft_sleep_ms(rq, 1));
        rc = weft_publish(&demo_events, event);
    }
    if (rc == WEFT_EINVAL)
        return weft_fail(rq, 400, WEFT_S("a type and an id are one line each"));
    WEFT_TRY(rc);
    return answer(rq);
}

void weft_demo_events(weft_app *app)
{
    weft_app_channel(app, &demo_events);
    weft_get(app, "/events", listen);
    weft_post(app, "/events", publish);
}
