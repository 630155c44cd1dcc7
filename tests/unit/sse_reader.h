/* sse_reader.h - a client's side of server-sent events, by the letter of the WHATWG HTML standard
 * 9.2.6: for the unit tests and the fuzz target.
 *
 * Lifetime: one event; its texts lie in the reader.
 * Threads:  any.
 * Memory:   a few KiB of its own.
 */
#ifndef WEFT_TESTS_SSE_READER_H
#define WEFT_TESTS_SSE_READER_H
#include "base/str.h"

#define SSE_READER_BYTES 65536

struct sse_reader {
    weft_str text; /* what is left of the stream */
    size_t data_len, type_len, id_len;
    char data[SSE_READER_BYTES], type[SSE_READER_BYTES], id[SSE_READER_BYTES];
};

static inline bool sse_line(weft_str *text, weft_str *out)
{
    size_t len = 0;
    while (len < text->len && text->ptr[len] != '\n' && text->ptr[len] != '\r')
        len++;
    if (len == text->len)
        return false; /* a line without its end is none */
    *out = weft_str_make(text->ptr, len);
    size_t end =
        text->ptr[len] == '\r' && len + 1 < text->len && text->ptr[len + 1] == '\n' ? 2 : 1;
    *text = weft_str_make(text->ptr + len + end, text->len - len - end);
    return true;
}

static inline void sse_set(char *to, size_t *len, weft_str value)
{
    weft_assert(*len + value.len <= SSE_READER_BYTES);
    if (value.len > 0)
        memcpy(to + *len, value.ptr, value.len);
    *len += value.len;
}

static inline void sse_field(struct sse_reader *r, weft_str name, weft_str value)
{
    if (weft_str_eq(name, WEFT_S("event"))) {
        r->type_len = 0;
        sse_set(r->type, &r->type_len, value);
    } else if (weft_str_eq(name, WEFT_S("data"))) {
        sse_set(r->data, &r->data_len, value);
        sse_set(r->data, &r->data_len, WEFT_S("\n"));
    } else if (weft_str_eq(name, WEFT_S("id")) &&
               (value.len == 0 || memchr(value.ptr, 0, value.len) == NULL)) {
        r->id_len = 0;
        sse_set(r->id, &r->id_len, value);
    }
}

/* The next event that a browser would dispatch; false: none is whole. */
static inline bool sse_next(struct sse_reader *r)
{
    weft_str line;
    r->data_len = r->type_len = 0;
    while (sse_line(&r->text, &line)) {
        if (line.len == 0) {
            if (r->data_len == 0) {
                r->type_len = 0;
                continue;
            }
            r->data_len--; /* the last LF */
            return true;
        }
        const char *colon = memchr(line.ptr, ':', line.len);
        size_t name = colon == NULL ? line.len : (size_t)(colon - line.ptr);
        size_t value = name + (colon != NULL);
        value += colon != NULL && value < line.len && line.ptr[value] == ' ';
        sse_field(r, weft_str_make(line.ptr, name),
                  weft_str_make(line.ptr + value, line.len - value));
    }
    return false;
}

/* Text with its lines' ends made LF, as a client gives it: at `to`, which has room for it. */
static inline size_t sse_with_lf(weft_str text, char *to)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n')
            i++;
        to[len++] = text.ptr[i] == '\r' ? '\n' : text.ptr[i];
    }
    return len;
}

#endif
