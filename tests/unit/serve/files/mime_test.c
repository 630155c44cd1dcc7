/* mime_test.c - the system's mime.types and the built-in one. */
#include "unit.h"
#include "base/fmt.h"
#include "base/str.h"
#include "serve/files/mime.h"
#include <stdlib.h>

static const char system_types[] = "# a comment\n"
                                   "application/x-own\t\town OWN2   # behind it too\n"
                                   "text/x-own  htm\n"
                                   "no-slash   bad1\n"
                                   "/x  bad2\n"
                                   "a/b/c  bad3\n"
                                   "a/b;c=d  bad4\n"
                                   "application/long  averyveryverylongending okay\n"
                                   "application/dots  tar.gz\n"
                                   "application/none\n"
                                   "application/last last";

static struct weft_mime *table(const char *text_z, const char *charset_z)
{
    struct weft_mime *mime = NULL;
    assert_int_equal(weft_mime_create(weft_str_z(text_z), weft_str_z(charset_z), &mime), 0);
    return mime;
}

static void check(const struct weft_mime *mime, const char *path_z, const char *type_z)
{
    weft_str type = weft_mime_type(mime, weft_str_z(path_z));
    if (!weft_str_eq(type, weft_str_z(type_z)))
        fail_msg("%s: %.*s, not %s", path_z, (int)type.len, type.ptr, type_z);
}

static void test_builtin(void **state)
{
    (void)state;
    struct weft_mime *mime = table("", "utf-8");
    check(mime, "a.html", "text/html; charset=utf-8");
    check(mime, "/x.y/a.b.CSS", "text/css; charset=utf-8");
    check(mime, "a.json", "application/json");
    check(mime, "a.svg", "image/svg+xml");
    check(mime, "a.bin", "application/octet-stream");
    check(mime, "a.", "application/octet-stream");
    check(mime, ".html", "application/octet-stream");
    check(mime, "x/.html", "application/octet-stream");
    check(mime, "html", "application/octet-stream");
    check(mime, "x.html/y", "application/octet-stream");
    check(mime, "", "application/octet-stream");
    check(mime, "a.htmlhtmlhtmlhtmlhtml", "application/octet-stream");
    check(mime, "..html", "text/html; charset=utf-8");
    weft_mime_destroy(mime);
    check(NULL, "a.HTML", "text/html");
    check(NULL, "a.tar.gz", "application/gzip");
    check(NULL, "a.none", "application/octet-stream");
}

static void test_system(void **state)
{
    (void)state;
    struct weft_mime *mime = table(system_types, "");
    check(mime, "a.own", "application/x-own");
    check(mime, "a.own2", "application/x-own");
    check(mime, "a.htm", "text/x-own"); /* the system's word outweighs ours */
    check(mime, "a.html", "text/html");
    check(mime, "a.okay", "application/long");
    check(mime, "a.last", "application/last");
    check(mime, "a.gz", "application/gzip");
    for (char n = '1'; n <= '4'; n++) {
        char name[] = {'a', '.', 'b', 'a', 'd', n, 0};
        check(mime, name, "application/octet-stream");
    }
    assert_true(weft_mime_bytes(mime) <= WEFT_MIME_BYTES_MAX);
    weft_mime_destroy(mime);
}

/* A file beyond every limit: the table stays below its own, the built-in types are still there. */
static void test_limits(void **state)
{
    (void)state;
    size_t room = WEFT_MIME_FILE_BYTES_MAX + 100000, at = 0;
    char *text = malloc(room);
    assert_non_null(text);
    for (unsigned i = 0; at + 64 < room; i++)
        at += weft_fmt(text + at, room - at, "text/x-%06u-and-so-on e%u\n", i, i);
    struct weft_mime *mime = NULL;
    assert_int_equal(weft_mime_create(weft_str_make(text, at), WEFT_S("utf-8"), &mime), 0);
    free(text);
    assert_true(weft_mime_bytes(mime) <= WEFT_MIME_BYTES_MAX);
    check(mime, "a.e7", "text/x-000007-and-so-on; charset=utf-8");
    check(mime, "a.e9000", "application/octet-stream");
    check(mime, "a.html", "text/html; charset=utf-8");
    check(mime, "a.mov", "video/quicktime"); /* the last */
    weft_mime_destroy(mime);
}

static void test_compressed(void **state)
{
    (void)state;
    static const char *const yes[] = {"image/png",  "video/mp4",      "application/zip",
                                      "font/woff2", "IMAGE/PNG; x=y", "audio/mpeg"};
    static const char *const no[] = {
        "text/html; charset=utf-8", "image/svg+xml", "application/json", "", "image/", "font/ttf"};
    for (size_t i = 0; i < WEFT_COUNT_OF(yes); i++)
        assert_true(weft_mime_is_compressed(weft_str_z(yes[i])));
    for (size_t i = 0; i < WEFT_COUNT_OF(no); i++)
        assert_false(weft_mime_is_compressed(weft_str_z(no[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_builtin),
                                       cmocka_unit_test(test_system), cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_compressed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
