/* cookie_fuzz.c - any bytes as the value of a Cookie header: each pair lies within, in order, and
 * nothing that a signed one must be is taken for good. */
#include "base/str.h"
#include "http/cookie.h"
#include "http/cookie_keys.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct weft_cookie_keys *keys(void)
{
    static struct weft_cookie_keys made;
    char why[128];
    if (made.count == 0 && weft_cookie_keys_parse(&made, WEFT_S("0123456789abcdef0123456789abcdef"),
                                                  why, sizeof(why)) != 0)
        abort();
    return &made;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data, *at = bytes;
    weft_str rest = {bytes, size}, name, value;
    while (weft_cookie_next(&rest, &name, &value)) {
        weft_assert(name.len > 0);
        weft_assert(name.ptr >= at);
        weft_assert(value.ptr > name.ptr + name.len - 1);
        weft_assert(value.ptr + value.len <= bytes + size);
        weft_assert(memchr(name.ptr, ';', name.len) == NULL);
        weft_assert(value.len == 0 || memchr(value.ptr, ';', value.len) == NULL);
        weft_assert(rest.ptr <= bytes + size);
        at = value.ptr + value.len;
        weft_str plain;
        weft_assert(weft_cookie_keys_open(keys(), name, value, 0, &plain) == WEFT_ESYNTAX);
    }
    weft_assert(rest.len == 0);
    return 0;
}
