/* range.c - see range.h. */
#include "serve/files/range.h"
#include "base/str.h"

struct reader {
    weft_str left; /* of the header's value */
    uint64_t size; /* of the file */
    struct weft_ranges ranges;
    uint32_t crumbs;
    bool merged; /* two lay on top of each other */
    bool some;   /* at least one was named, be it behind the end */
    bool all;    /* the last bytes of an empty file are all of it (14.1.3) */
};

/* Digits from the front; a number too large counts as the largest. False: none. */
static bool take_number(weft_str *text, uint64_t *out)
{
    size_t i = 0;
    uint64_t value = 0;
    for (; i < text->len && text->ptr[i] >= '0' && text->ptr[i] <= '9'; i++) {
        uint64_t digit = (uint64_t)(text->ptr[i] - '0');
        bool fits = value <= (UINT64_MAX - digit) / 10;
        value = fits ? value * 10 + digit : UINT64_MAX;
    }
    *text = weft_str_make(text->ptr + i, text->len - i);
    *out = value;
    return i > 0;
}

/* One range-spec: "first-", "first-last" or "-suffix".
 *  returns  false: it does not read. *out->len is 0 where it lies behind the end */
static bool read_spec(weft_str text, uint64_t size, struct weft_range *out)
{
    uint64_t first = 0, last = UINT64_MAX;
    bool has_first = take_number(&text, &first);
    if (text.len == 0 || text.ptr[0] != '-')
        return false;
    text = weft_str_make(text.ptr + 1, text.len - 1);
    bool has_last = take_number(&text, &last);
    if (text.len > 0 || (!has_first && !has_last))
        return false;
    if (!has_first) {
        uint64_t suffix = WEFT_MIN(last, size);
        *out = (struct weft_range){size - suffix, suffix};
        return true;
    }
    if (!has_last)
        last = UINT64_MAX;
    if (last < first)
        return false;
    *out = (struct weft_range){first, first < size ? WEFT_MIN(last, size - 1) - first + 1 : 0};
    return true;
}

static bool overlap(const struct weft_range *a, const struct weft_range *b)
{
    return a->first < b->first + b->len && b->first < a->first + a->len;
}

/* Both as one, in a's place. */
static void merge(struct weft_range *a, const struct weft_range *b)
{
    uint64_t end = WEFT_MAX(a->first + a->len, b->first + b->len);
    a->first = WEFT_MIN(a->first, b->first);
    a->len = end - a->first;
}

/* Add a piece that is not empty; false: one too many, of whichever kind. */
static bool add(struct reader *reader, struct weft_range range)
{
    struct weft_ranges *ranges = &reader->ranges;
    struct weft_range *under = NULL;
    reader->crumbs += range.len < WEFT_RANGE_CRUMB;
    if (reader->crumbs > WEFT_RANGE_CRUMBS_MAX)
        return false;
    for (uint32_t i = 0; i < ranges->count; i++) {
        if (!overlap(&ranges->at[i], &range))
            continue;
        if (reader->merged)
            return false;
        reader->merged = true;
        under = &ranges->at[i];
    }
    if (under != NULL)
        merge(under, &range);
    else if (ranges->count < WEFT_RANGES_MAX)
        ranges->at[ranges->count++] = range;
    else
        return false;
    return true;
}

static weft_str next_element(weft_str *left)
{
    const char *comma = memchr(left->ptr, ',', left->len);
    size_t len = comma == NULL ? left->len : (size_t)(comma - left->ptr);
    weft_str element = weft_str_make(left->ptr, len);
    size_t used = len + (comma != NULL);
    *left = weft_str_make(left->ptr + used, left->len - used);
    return weft_str_trim(element);
}

static enum weft_ranges_verdict read_set(struct reader *reader)
{
    while (reader->left.len > 0) {
        struct weft_range range = {0, 0};
        weft_str element = next_element(&reader->left);
        if (element.len == 0)
            continue; /* RFC 9110 5.6.1.2: an empty element is none */
        if (!read_spec(element, reader->size, &range))
            return WEFT_RANGES_WHOLE;
        reader->some = true;
        reader->all |=
            reader->size == 0 && element.ptr[0] == '-' && !weft_str_eq(element, WEFT_S("-0"));
        if (range.len > 0 && !add(reader, range))
            return WEFT_RANGES_REFUSED;
    }
    if (!reader->some || reader->all)
        return WEFT_RANGES_WHOLE;
    return reader->ranges.count > 0 ? WEFT_RANGES_PARTS : WEFT_RANGES_NONE;
}

enum weft_ranges_verdict weft_ranges_read(weft_str value, uint64_t size, struct weft_ranges *out)
{
    weft_str unit = WEFT_S("bytes=");
    if (value.len < unit.len || !weft_str_ieq(weft_str_make(value.ptr, unit.len), unit))
        return WEFT_RANGES_WHOLE;
    struct reader reader = {.left = weft_str_make(value.ptr + unit.len, value.len - unit.len),
                            .size = size};
    enum weft_ranges_verdict verdict = read_set(&reader);
    if (verdict == WEFT_RANGES_PARTS)
        *out = reader.ranges;
    return verdict;
}
