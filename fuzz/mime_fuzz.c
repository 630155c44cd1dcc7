/* mime_fuzz.c - any bytes as a mime.types, and as the path that is looked up in it: every type is
 * one that can stand in a header line. */
#include "base/str.h"
#include "serve/files/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void good(weft_str type)
{
    weft_assert(type.len > 2 && memchr(type.ptr, '/', type.len) != NULL);
    for (size_t i = 0; i < type.len; i++)
        weft_assert(type.ptr[i] >= 0x20 && type.ptr[i] < 0x7f);
}

struct check {
    struct weft_mime *mime;
    size_t pairs;
};

static bool pair(void *arg, weft_str ending, weft_str type)
{
    struct check *check = arg;
    char name[2 + WEFT_MIME_ENDING_MAX] = "x.";
    weft_assert(ending.len > 0 && ending.len <= WEFT_MIME_ENDING_MAX);
    memcpy(name + 2, ending.ptr, ending.len);
    good(type);
    good(weft_mime_type(check->mime, weft_str_make(name, 2 + ending.len)));
    (void)weft_mime_is_compressed(type);
    return ++check->pairs < 100;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    weft_str text = weft_str_make((const char *)data, size);
    struct check check = {NULL, 0};
    weft_rc rc = weft_mime_create(text, WEFT_S("utf-8"), &check.mime);
    weft_assert(rc == 0);
    weft_assert(weft_mime_bytes(check.mime) <= WEFT_MIME_BYTES_MAX);
    weft_mime_read(text, pair, &check);
    good(weft_mime_type(check.mime, text));
    good(weft_mime_type(NULL, text));
    weft_mime_destroy(check.mime);
    return 0;
}
