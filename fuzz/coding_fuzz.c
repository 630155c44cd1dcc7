/* coding_fuzz.c - any bytes as an Accept-Encoding value: weights stay in range, the choice is one
 * of those that there are and the heaviest, and a list cut in two lines says the same. */
#include "http/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ALL ((1u << WEFT_CODING_COUNT) - 1)

static void check(const struct weft_codings *codings, uint32_t there)
{
    uint32_t most = 0;
    for (enum weft_coding coding = WEFT_CODING_IDENTITY; coding < WEFT_CODING_COUNT; coding++) {
        uint32_t weight = weft_codings_weight(codings, coding);
        weft_assert(weight <= WEFT_CODING_WEIGHT_MAX);
        if (there & WEFT_CODING_BIT(coding))
            most = WEFT_MAX(most, weight);
    }
    enum weft_coding best = weft_codings_choose(codings, there);
    weft_assert((best == WEFT_CODING_NONE) == (most == 0));
    if (best == WEFT_CODING_NONE)
        return;
    weft_assert(there & WEFT_CODING_BIT(best));
    weft_assert(weft_codings_weight(codings, best) == most);
}

/* Each element by itself, as a line of its own. */
static void in_lines(struct weft_codings *codings, weft_str value)
{
    weft_codings_init(codings);
    while (value.len > 0) {
        const char *comma = memchr(value.ptr, ',', value.len);
        size_t len = comma != NULL ? (size_t)(comma - value.ptr) : value.len;
        size_t skip = comma != NULL ? len + 1 : len;
        weft_codings_add(codings, weft_str_make(value.ptr, len));
        value = weft_str_make(value.ptr + skip, value.len - skip);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weft_str value = weft_str_make((const char *)data, size);
    struct weft_codings whole, lines;
    weft_codings_init(&whole);
    weft_codings_add(&whole, value);
    in_lines(&lines, value);
    weft_assert(memcmp(&whole, &lines, sizeof(whole)) == 0);
    for (uint32_t there = 0; there <= ALL; there++)
        check(&whole, there);
    return 0;
}
