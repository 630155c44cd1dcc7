/* json_text.c - see json_text.h. */
#include "serve/json/json_text.h"

static bool is_between(unsigned char c, unsigned char low, unsigned char high)
{
    return c >= low && c <= high;
}

size_t weft_utf8_sequence(const char *text, size_t len, bool *out_good)
{
    const unsigned char *at = (const unsigned char *)text;
    unsigned char low = 0x80; /* bounds of the second byte */
    unsigned char high = 0xbf;
    size_t want = 0;
    *out_good = false;
    if (is_between(at[0], 0xc2, 0xdf)) {
        want = 2;
    } else if (is_between(at[0], 0xe0, 0xef)) {
        want = 3;
        low = at[0] == 0xe0 ? 0xa0 : low;
        high = at[0] == 0xed ? 0x9f : high;
    } else if (is_between(at[0], 0xf0, 0xf4)) {
        want = 4;
        low = at[0] == 0xf0 ? 0x90 : low;
        high = at[0] == 0xf4 ? 0x8f : high;
    } else {
        return 1;
    }
    size_t got = 1;
    while (got < want && got < len && is_between(at[got], low, high)) {
        got++;
        low = 0x80;
        high = 0xbf;
    }
    *out_good = got == want;
    return got;
}
