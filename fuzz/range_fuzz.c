/* range_fuzz.c - any bytes as a Range header's value and as lists of entity-tags; the first byte
 * chooses the file's size. What is given out lies in the file, and no byte in two pieces. */
#include "base/str.h"
#include "serve/files/conditional.h"
#include "serve/files/range.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pieces_hold(const struct weft_ranges *ranges, uint64_t size)
{
    weft_assert(ranges->count > 0 && ranges->count <= WEFT_RANGES_MAX);
    for (uint32_t i = 0; i < ranges->count; i++) {
        const struct weft_range *a = &ranges->at[i];
        weft_assert(a->len > 0 && a->first < size && a->len <= size - a->first);
        for (uint32_t j = 0; j < i; j++) {
            const struct weft_range *b = &ranges->at[j];
            weft_assert(a->first + a->len <= b->first || b->first + b->len <= a->first);
        }
    }
}

static void conditions_hold(weft_str text)
{
    struct weft_validators here = {WEFT_S("\"v\""), 1000000000, 1000000100};
    bool strong = weft_etag_listed(text, here.etag, false);
    weft_assert(!strong || weft_etag_listed(text, here.etag, true));
    struct weft_conditions asked = {text, text, text, text, text};
    weft_assert(strong == (weft_conditions_judge(&asked, &here) != WEFT_CONDITION_WRONG));
    (void)weft_if_range_holds(&asked, &here); /* returns, and reads no byte beyond */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t sizes[] = {0, 1, 100, 65536, UINT64_C(4) << 30, UINT64_MAX / 2};
    if (size == 0)
        return 0;
    weft_str text = weft_str_make((const char *)data + 1, size - 1);
    uint64_t file = sizes[data[0] % WEFT_COUNT_OF(sizes)];
    struct weft_ranges ranges = {0};
    if (weft_ranges_read(text, file, &ranges) == WEFT_RANGES_PARTS)
        pieces_hold(&ranges, file);
    conditions_hold(text);
    return 0;
}
