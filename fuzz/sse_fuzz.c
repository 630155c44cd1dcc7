/* sse_fuzz.c - any bytes as an event, and as a stream: an event that is accepted is read back by a
 * client as it was, alone and behind one that came before it; a stream of any bytes is read to its
 * end. */
#include "../tests/unit/sse_reader.h"
#include "serve/events/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sse_reader reader;
static char text[3 * SSE_READER_BYTES + 512], expected[SSE_READER_BYTES];

/* "type NUL id NUL data" */
static weft_event event_of(weft_str bytes)
{
    weft_str parts[2] = {{0}};
    for (int i = 0; i < 2; i++) {
        const char *end = bytes.len > 0 ? memchr(bytes.ptr, 0, bytes.len) : NULL;
        size_t len = end != NULL ? (size_t)(end - bytes.ptr) : 0;
        parts[i] = weft_str_make(bytes.ptr, len);
        if (end != NULL)
            bytes = weft_str_make(end + 1, bytes.len - len - 1);
    }
    return (weft_event){.event = parts[0], .id = parts[1], .data = bytes};
}

static void assert_read(const weft_event *event, weft_str id)
{
    weft_assert(sse_next(&reader));
    weft_str lf = weft_str_make(expected, sse_with_lf(event->data, expected));
    weft_assert(weft_str_eq(weft_str_make(reader.data, reader.data_len), lf));
    weft_assert(weft_str_eq(weft_str_make(reader.type, reader.type_len), event->event));
    weft_assert(weft_str_eq(weft_str_make(reader.id, reader.id_len), id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size = WEFT_MIN(size, (size_t)16384);
    weft_str bytes = weft_str_make((const char *)data, size);
    reader.text = bytes;
    while (sse_next(&reader))
        ;
    weft_event event = event_of(bytes);
    if (weft_sse_check(&event) != 0)
        return 0;
    weft_str id = event.id.len > 0 ? event.id : WEFT_S("7");
    size_t len = weft_sse_bytes(&event, id);
    weft_assert(2 * len <= sizeof(text));
    weft_assert(weft_sse_write(&event, id, text) == text + len);
    weft_assert(weft_sse_write(&event, id, text + len) == text + 2 * len);
    reader.text = weft_str_make(text, 2 * len);
    assert_read(&event, id);
    assert_read(&event, id);
    weft_assert(!sse_next(&reader));
    return 0;
}
