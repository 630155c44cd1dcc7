/* chunked_fuzz.c - any bytes as a chunked body: in one piece, byte by byte and in pieces of 7, the
 * body, the verdict and the bytes used are the same. */
#include "http/chunked.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct weft_chunked_limits limits = {.line_bytes_max = 64,
                                                  .ext_total_bytes_max = 128,
                                                  .trailer_bytes_max = 256,
                                                  .trailer_count_max = 8};

struct outcome {
    int result;
    size_t used;
    size_t body_bytes;
    uint64_t body_hash; /* FNV-1a: cheaper than keeping the body */
};

static void add_body(struct outcome *outcome, weft_str data)
{
    weft_assert(data.len > 0);
    outcome->body_bytes += data.len;
    for (size_t i = 0; i < data.len; i++)
        outcome->body_hash = (outcome->body_hash ^ (uint8_t)data.ptr[i]) * 0x100000001b3u;
}

static struct outcome decode(const char *bytes, size_t size, size_t piece)
{
    struct outcome outcome = {WEFT_CHUNKED_MORE, 0, 0, 0xcbf29ce484222325u};
    struct weft_chunked chunked;
    weft_chunked_init(&chunked);
    for (size_t at = 0; at < size && outcome.result == WEFT_CHUNKED_MORE; at += piece) {
        size_t len = WEFT_MIN(piece, size - at), used = 0;
        do {
            size_t consumed = 0;
            weft_str data = {NULL, 0};
            outcome.result = weft_chunked_next(&chunked, &limits, bytes + at + used, len - used,
                                               &consumed, &data);
            used += consumed;
            weft_assert(used <= len);
            if (outcome.result == WEFT_CHUNKED_DATA)
                add_body(&outcome, data);
        } while (outcome.result == WEFT_CHUNKED_DATA);
        weft_assert(outcome.result != WEFT_CHUNKED_MORE || used == len);
        outcome.used += used;
    }
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    struct outcome whole = decode(bytes, size, size > 0 ? size : 1);
    const size_t pieces[] = {1, 7};
    for (size_t i = 0; i < WEFT_COUNT_OF(pieces); i++) {
        struct outcome split = decode(bytes, size, pieces[i]);
        weft_assert(split.result == whole.result);
        weft_assert(split.used == whole.used);
        weft_assert(split.body_bytes == whole.body_bytes);
        weft_assert(split.body_hash == whole.body_hash);
    }
    return 0;
}
