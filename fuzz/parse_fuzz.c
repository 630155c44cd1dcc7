/* parse_fuzz.c - any bytes as a request head. Vector and scalar code agree, spans lie in the head,
 * a prefix never gives another answer than the whole, and decoded paths hold no NUL. */
#include "http/parse.h"
#include <stdlib.h>

#define FIELD_ROOM 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct weft_parse_limits limits = {
    .head_bytes_max = 2048, .target_bytes_max = 256, .field_count_max = 32};

static void check_spans(const struct weft_head *head, const struct weft_field *fields)
{
    const struct weft_span parts[] = {head->method_name, head->target, head->path, head->query,
                                      head->authority};
    for (size_t i = 0; i < WEFT_COUNT_OF(parts); i++)
        weft_assert(parts[i].off + parts[i].len <= head->bytes);
    size_t behind = (size_t)head->target.off + head->target.len;
    for (size_t i = 0; i < head->field_count; i++) {
        weft_assert(fields[i].name.off > behind);
        weft_assert(fields[i].name.len > 0);
        weft_assert(fields[i].value.off > fields[i].name.off + fields[i].name.len);
        behind = (size_t)fields[i].value.off + fields[i].value.len;
    }
    weft_assert(behind < head->bytes);
}

static void check_path(const char *bytes, const struct weft_head *head)
{
    static char decoded[WEFT_PARSE_HEAD_BYTES_MAX];
    size_t len = 0;
    weft_str path = weft_span_str(bytes, head->path);
    weft_assert(path.ptr[0] == '/' || (head->flags & WEFT_HEAD_ASTERISK));
    int error = weft_path_decode(decoded, path, &len);
    weft_assert(error == 0);
    weft_assert(memchr(decoded, '\0', len) == NULL);
    weft_assert((len < path.len) == ((head->flags & WEFT_HEAD_PATH_ESCAPED) != 0));
}

static bool same_span(struct weft_span a, struct weft_span b)
{
    return a.off == b.off && a.len == b.len;
}

/** Member by member: the padding is nobody's. */
static bool same_heads(const struct weft_head *a, const struct weft_head *b)
{
    return a->method == b->method && a->version_minor == b->version_minor && a->flags == b->flags &&
           a->field_count == b->field_count && a->bytes == b->bytes &&
           a->content_length == b->content_length && same_span(a->method_name, b->method_name) &&
           same_span(a->target, b->target) && same_span(a->path, b->path) &&
           same_span(a->query, b->query) && same_span(a->authority, b->authority);
}

/** Parses an allocation of the exact size in both ways. returns the common result */
static int parse(const char *bytes, size_t len)
{
    static struct weft_head heads[2];
    static struct weft_field fields[2][FIELD_ROOM];
    char *copy = malloc(len > 0 ? len : 1);
    weft_assert(copy != NULL);
    memcpy(copy, bytes, len);
    int result = weft_parse_head(copy, len, &limits, &heads[0], fields[0], FIELD_ROOM);
    int scalar = weft_parse_head_scalar(copy, len, &limits, &heads[1], fields[1], FIELD_ROOM);
    weft_assert(result == scalar);
    if (result == 0) {
        weft_assert(same_heads(&heads[0], &heads[1]));
        weft_assert(memcmp(fields[0], fields[1], heads[0].field_count * sizeof(fields[0][0])) == 0);
        check_spans(&heads[0], fields[0]);
        check_path(copy, &heads[0]);
    }
    free(copy);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    int whole = parse(bytes, size);
    size_t step = size / 64 + 1, scanned = 0;
    for (size_t len = 0; len < size; len += step) {
        int result = parse(bytes, len);
        weft_assert(result == WEFT_PARSE_MORE || result == whole);
        if (weft_parse_head_complete(bytes, len, &scanned))
            weft_assert(result != WEFT_PARSE_MORE);
    }
    return 0;
}
