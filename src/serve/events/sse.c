/* sse.c - see sse.h. */
#include "serve/events/sse.h"

static bool one_line(weft_str text)
{
    return text.len == 0 ||
           (memchr(text.ptr, '\n', text.len) == NULL && memchr(text.ptr, '\r', text.len) == NULL);
}

weft_rc weft_sse_check(const weft_event *event)
{
    if (!one_line(event->event) || !one_line(event->id))
        return WEFT_EINVAL;
    if (event->id.len > WEFT_SSE_ID_BYTES_MAX)
        return WEFT_EINVAL;
    /* A client ignores an id with a NUL: it would tell an older one when it comes back. */
    return event->id.len > 0 && memchr(event->id.ptr, 0, event->id.len) != NULL ? WEFT_EINVAL : 0;
}

/* The next line of data: up to CR, LF or CRLF, which is taken off; false behind the last. Data that
 * ends with a line's end has an empty line behind it: a client puts one LF between lines. */
static bool next_line(weft_str *data, bool *more, weft_str *out)
{
    if (!*more)
        return false;
    size_t len = 0;
    while (len < data->len && data->ptr[len] != '\n' && data->ptr[len] != '\r')
        len++;
    *out = weft_str_make(data->ptr, len);
    *more = len < data->len;
    if (!*more)
        return true;
    len += data->ptr[len] == '\r' && len + 1 < data->len && data->ptr[len + 1] == '\n' ? 2 : 1;
    *data = weft_str_make(data->ptr + len, data->len - len);
    return true;
}

#define ID    WEFT_S("id: ")
#define EVENT WEFT_S("event: ")
#define DATA  WEFT_S("data: ")

static size_t field_bytes(weft_str name, weft_str value)
{
    return name.len + value.len + 1;
}

size_t weft_sse_bytes(const weft_event *event, weft_str id)
{
    size_t bytes = field_bytes(ID, id) + 1;
    if (event->event.len > 0)
        bytes += field_bytes(EVENT, event->event);
    weft_str data = event->data, line;
    for (bool more = true; next_line(&data, &more, &line);)
        bytes += field_bytes(DATA, line);
    return bytes;
}

static char *put(char *to, weft_str text)
{
    if (text.len > 0)
        memcpy(to, text.ptr, text.len);
    return to + text.len;
}

static char *put_field(char *to, weft_str name, weft_str value)
{
    to = put(put(to, name), value);
    *to++ = '\n';
    return to;
}

char *weft_sse_write(const weft_event *event, weft_str id, char *to)
{
    to = put_field(to, ID, id);
    if (event->event.len > 0)
        to = put_field(to, EVENT, event->event);
    weft_str data = event->data, line;
    for (bool more = true; next_line(&data, &more, &line);)
        to = put_field(to, DATA, line);
    *to++ = '\n';
    return to;
}
