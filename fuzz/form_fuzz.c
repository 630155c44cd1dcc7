/* form_fuzz.c - any bytes as a urlencoded body: what is decoded in place is what decoding each part
 * by itself gives, and encoded again it reads the same. */
#include "base/str.h"
#include "http/urlencoded.h"
#include "serve/input/form.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SIZE_MAX_HERE 4096

static size_t encode(char *to, weft_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        to[at++] = '%';
        to[at++] = digits[c >> 4];
        to[at++] = digits[c & 15];
    }
    return at;
}

static void check_again(const weft_form_field *fields, size_t count)
{
    static char text[4 * SIZE_MAX_HERE + 2 * SIZE_MAX_HERE];
    static weft_form_field again[SIZE_MAX_HERE + 1];
    size_t len = 0, again_count = 0;
    for (size_t i = 0; i < count; i++) {
        len += encode(text + len, fields[i].name);
        text[len++] = '=';
        len += encode(text + len, fields[i].value);
        text[len++] = '&';
    }
    weft_assert(weft_form_decode(text, len, again, &again_count) == 0);
    weft_assert(again_count == count);
    for (size_t i = 0; i < count; i++) {
        weft_assert(weft_str_eq(again[i].name, fields[i].name));
        weft_assert(weft_str_eq(again[i].value, fields[i].value));
    }
}

/* One by one, from bytes that nobody has changed. */
static weft_rc check_each(weft_str body, const weft_form_field *fields, bool compare)
{
    static char text[SIZE_MAX_HERE];
    weft_str name, value;
    for (size_t i = 0; weft_urlencoded_next(&body, &name, &value); i++) {
        size_t name_len = 0, value_len = 0;
        WEFT_TRY(weft_urlencoded_decode(text, name, &name_len));
        if (compare)
            weft_assert(weft_str_eq(weft_str_make(text, name_len), fields[i].name));
        WEFT_TRY(weft_urlencoded_decode(text, value, &value_len));
        if (compare)
            weft_assert(weft_str_eq(weft_str_make(text, value_len), fields[i].value));
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static weft_form_field fields[SIZE_MAX_HERE + 1];
    weft_str body = {(const char *)data, WEFT_MIN(size, (size_t)SIZE_MAX_HERE)};
    char *text = malloc(body.len + 1);
    size_t count = 0;
    if (text == NULL)
        abort();
    memcpy(text, body.ptr, body.len);
    weft_rc rc = weft_form_decode(text, body.len, fields, &count);
    weft_assert(count <= weft_form_fields_at_most(body));
    weft_assert(check_each(body, fields, rc == 0) == rc);
    if (rc == 0)
        check_again(fields, count);
    free(text);
    return 0;
}
