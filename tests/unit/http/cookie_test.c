/* cookie_test.c - cookies in and out, and signatures: known answers, and what is refused. */
#include "seam.h"
#include "base/str.h"
#include "http/cookie.h"
#include "http/cookie_keys.h"
#include "http/h1.h"
#include <stdio.h>
#include <stdlib.h>

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* ---- in ---- */

static const char *read_all(const char *header_z)
{
    static char text[256];
    size_t at = 0;
    weft_str rest = weft_str_z(header_z), name, value;
    text[0] = 0;
    while (weft_cookie_next(&rest, &name, &value))
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%.*s=%.*s|", (int)name.len, name.ptr,
                               (int)value.len, value.ptr);
    return text;
}

static void pairs(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"a=b", "a=b|"},
        {"a=b; c=d", "a=b|c=d|"},
        {"a=b;c=d;", "a=b|c=d|"},
        {" a = b ;\tc=d", "a=b|c=d|"},
        {"a=", "a=|"},
        {"a=b=c", "a=b=c|"},
        {"a=\"b\"", "a=\"b\"|"}, /* the quotes are the value's, 6265bis 4.1.1 */
        {"a", ""},
        {"=b", ""},
        {";;; ;", ""},
        {"", ""},
        {"a; b=c; d", "b=c|"},
        {"a=b; a=c", "a=b|a=c|"},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++)
        assert_string_equal(read_all(rows[i][0]), rows[i][1]);
}

/* ---- out ---- */

static weft_rc check(const char *name_z, const char *value_z, const weft_cookie_opts *opts)
{
    weft_str name = weft_str_z(name_z), value = weft_str_z(value_z);
    return weft_cookie_check(name, value, name.len + value.len, opts);
}

static void what_may_be_set(void **state)
{
    (void)state;
    static char long_text[5000];
    memset(long_text, 'x', sizeof(long_text) - 1);
    const weft_cookie_opts *none = WEFT_COOKIE_OPTS(.max_age_s = 0);
    assert_int_equal(check("id", "0123!#$%&'()*+-./:<=>?@[]^_`{|}~", none), 0);
    assert_int_equal(check("id", "", none), 0);
    static const char *const bad_values[] = {
        "a b", "a\"", "a,b", "a;b", "a\\b", "a\nb", "\x7f", "\xc3\xa4", "a\r\nSet-Cookie: b=c"};
    for (size_t i = 0; i < WEFT_COUNT_OF(bad_values); i++)
        assert_int_equal(check("id", bad_values[i], none), WEFT_EINVAL);
    static const char *const bad_names[] = {"", "a b", "a=b", "a;b", "\xc3\xa4", "a\r\n"};
    for (size_t i = 0; i < WEFT_COUNT_OF(bad_names); i++)
        assert_int_equal(check(bad_names[i], "x", none), WEFT_EINVAL);
    assert_int_equal(check("id", long_text, none), WEFT_ELIMIT);

    assert_int_equal(check("id", "x", WEFT_COOKIE_OPTS(.path = WEFT_S("/a;b"))), WEFT_EINVAL);
    assert_int_equal(check("id", "x", WEFT_COOKIE_OPTS(.path = WEFT_S("a"))), WEFT_EINVAL);
    assert_int_equal(check("id", "x", WEFT_COOKIE_OPTS(.domain = WEFT_S("a\n"))), WEFT_EINVAL);
    assert_int_equal(check("id", "x", WEFT_COOKIE_OPTS(.domain = weft_str_make(long_text, 1025))),
                     WEFT_ELIMIT);
    assert_int_equal(check("id", "x", WEFT_COOKIE_OPTS(.same_site = WEFT_SAME_SITE_NONE)),
                     WEFT_EINVAL);
    assert_int_equal(
        check("id", "x", WEFT_COOKIE_OPTS(.same_site = WEFT_SAME_SITE_NONE, .secure = true)), 0);
    assert_int_equal(check("id", "x", WEFT_COOKIE_OPTS(.partitioned = true)), WEFT_EINVAL);
    assert_int_equal(check("id", "x", WEFT_COOKIE_OPTS(.same_site = (weft_same_site)3)),
                     WEFT_EINVAL);
    assert_int_equal(check("__Secure-id", "x", none), WEFT_EINVAL);
    assert_int_equal(check("__Secure-id", "x", WEFT_COOKIE_OPTS(.secure = true)), 0);
    assert_int_equal(check("__Host-id", "x", WEFT_COOKIE_OPTS(.secure = true)), 0);
    assert_int_equal(check("__hOST-id", "x", none), WEFT_EINVAL);
    assert_int_equal(
        check("__Host-id", "x", WEFT_COOKIE_OPTS(.secure = true, .path = WEFT_S("/a"))),
        WEFT_EINVAL);
    assert_int_equal(
        check("__Host-id", "x", WEFT_COOKIE_OPTS(.secure = true, .domain = WEFT_S("x.example"))),
        WEFT_EINVAL);
    weft_cookie_opts other = {.size = sizeof(other) - 1};
    assert_int_equal(check("id", "x", &other), WEFT_EINVAL);
}

static void attributes(void **state)
{
    (void)state;
    static const struct {
        weft_cookie_opts opts;
        bool drop;
        const char *text_z;
    } rows[] = {
        {{0}, false, "; Path=/; HttpOnly; SameSite=Lax"},
        {{.max_age_s = 3600, .secure = true, .same_site = WEFT_SAME_SITE_STRICT},
         false,
         "; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict"},
        {{.path = {"/a", 2}, .domain = {"x.example", 9}, .for_scripts = true},
         false,
         "; Path=/a; Domain=x.example; SameSite=Lax"},
        {{.max_age_s = UINT32_MAX,
          .secure = true,
          .partitioned = true,
          .same_site = WEFT_SAME_SITE_NONE},
         false,
         "; Path=/; Max-Age=4294967295; Secure; HttpOnly; SameSite=None; Partitioned"},
        {{.max_age_s = 3600, .secure = true, .partitioned = true},
         true,
         "; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; "
         "SameSite=Lax; Partitioned"},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(rows); i++) {
        char text[512];
        size_t len = weft_cookie_attributes(text, &rows[i].opts, rows[i].drop);
        assert_int_equal(len, strlen(rows[i].text_z));
        assert_memory_equal(text, rows[i].text_z, len);
        assert_true(len <= weft_cookie_attribute_bytes(&rows[i].opts));
    }
}

/* ---- signatures ---- */

static struct weft_cookie_keys keys_a, keys_b, keys_both;

static void load(struct weft_cookie_keys *keys, const char *text_z)
{
    char why[128] = "";
    weft_rc rc = weft_cookie_keys_parse(keys, weft_str_z(text_z), why, sizeof(why));
    if (rc != 0)
        fail_msg("%s", why);
}

static int load_keys(void **state)
{
    (void)state;
    load(&keys_a, KEY_A "\n");
    load(&keys_b, KEY_B);
    load(&keys_both, "\n" KEY_B "\r\n" KEY_A "\n\n");
    assert_int_equal(keys_both.count, 2);
    return 0;
}

static void assert_mac(weft_str key_bytes, weft_str data, const char *hex_z)
{
    struct weft_cookie_key key;
    unsigned char mac[32];
    char hex[65];
    assert_true(weft_cookie_key_make(&key, key_bytes));
    weft_cookie_keys_mac(&key, &data, 1, mac);
    for (size_t i = 0; i < sizeof(mac); i++)
        snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    assert_string_equal(hex, hex_z);
}

/* RFC 4231 4: test cases 1, 2, 3, 6 and 7. */
static void known_answers(void **state)
{
    (void)state;
    char bytes[131], data[50];
    memset(bytes, 0x0b, 20);
    assert_mac(weft_str_make(bytes, 20), WEFT_S("Hi There"),
               "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_mac(WEFT_S("Jefe"), WEFT_S("what do ya want for nothing?"),
               "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(bytes, 0xaa, sizeof(bytes));
    memset(data, 0xdd, sizeof(data));
    assert_mac(weft_str_make(bytes, 20), weft_str_make(data, sizeof(data)),
               "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    assert_mac(weft_str_make(bytes, sizeof(bytes)),
               WEFT_S("Test Using Larger Than Block-Size Key - Hash Key First"),
               "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_mac(weft_str_make(bytes, sizeof(bytes)),
               WEFT_S("This is a test using a larger than block-size key and a larger than "
                      "block-size data. The key needs to be hashed before being used by the HMAC "
                      "algorithm."),
               "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static size_t make(char *to, const struct weft_cookie_keys *keys, const char *name_z,
                   const char *value_z, const char *until_z)
{
    int n = sprintf(to, "%s.%s.", value_z, until_z);
    weft_cookie_keys_sign(keys, weft_str_z(name_z), weft_str_z(value_z), weft_str_z(until_z),
                          to + n);
    return (size_t)n + WEFT_COOKIE_MAC_BYTES;
}

static bool opens(const struct weft_cookie_keys *keys, const char *name_z, const char *text,
                  size_t len, uint64_t now_s)
{
    weft_str value = {"untouched", 9};
    weft_rc rc =
        weft_cookie_keys_open(keys, weft_str_z(name_z), weft_str_make(text, len), now_s, &value);
    if (rc != 0)
        assert_true(weft_str_eq(value, WEFT_S("untouched")));
    return rc == 0;
}

static void good_ones_open(void **state)
{
    (void)state;
    char text[256];
    weft_str value = {0};
    size_t len = make(text, &keys_a, "id", "alice.smith", "0");
    assert_int_equal(
        weft_cookie_keys_open(&keys_a, WEFT_S("id"), weft_str_make(text, len), 1000, &value), 0);
    assert_true(weft_str_eq(value, WEFT_S("alice.smith")));
    assert_true(opens(&keys_both, "id", text, len, 1000)); /* an older key */
    assert_false(opens(&keys_b, "id", text, len, 1000));
    assert_false(opens(&keys_a, "ID", text, len, 1000)); /* the value of another cookie */
    len = make(text, &keys_a, "id", "", "2000");
    assert_true(opens(&keys_a, "id", text, len, 1999));
    assert_false(opens(&keys_a, "id", text, len, 2000));
}

/* Each byte changed, and each byte left out: never good. */
static void changed_ones_do_not(void **state)
{
    (void)state;
    char text[256], other[256];
    size_t len = make(text, &keys_a, "id", "alice", "4102444800");
    assert_true(opens(&keys_a, "id", text, len, 1000));
    for (size_t i = 0; i < len; i++) {
        memcpy(other, text, len);
        other[i] ^= 1;
        assert_false(opens(&keys_a, "id", other, len, 1000));
        memmove(other + i, text + i + 1, len - i - 1);
        assert_false(opens(&keys_a, "id", other, len - 1, 1000));
        assert_false(opens(&keys_a, "id", text, i, 1000));
    }
    len = make(text, &keys_a, "id", "alice", "x"); /* signed, and no time */
    assert_false(opens(&keys_a, "id", text, len, 1000));
    assert_false(opens(&keys_a, "id", "", 0, 1000));
    assert_false(opens(&keys_a, "id", ".", 1, 1000));
    assert_false(opens(&keys_a, "id", "..", 2, 1000));
}

static void bad_key_files(void **state)
{
    (void)state;
    struct weft_cookie_keys keys;
    char why[128] = "", path[] = "/tmp/weft-keys-XXXXXX";
    assert_int_equal(weft_cookie_keys_parse(&keys, WEFT_S("\n\n"), why, sizeof(why)), WEFT_ECONFIG);
    assert_int_equal(weft_cookie_keys_parse(&keys, WEFT_S(KEY_A "\nshort"), why, sizeof(why)),
                     WEFT_ECONFIG);
    assert_string_equal(why, "line 2: a key has 32 to 256 bytes");
    assert_int_equal(
        weft_cookie_keys_parse(&keys, WEFT_S(KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A),
                               why, sizeof(why)),
        WEFT_ECONFIG);
    assert_string_equal(why, "line 5: more than 4 keys");
    assert_int_equal(weft_cookie_keys_load(&keys, "/nonexistent", why, sizeof(why)), WEFT_ECONFIG);

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, KEY_A "\n" KEY_B "\n", 2 * sizeof(KEY_A)), 2 * sizeof(KEY_A));
    close(fd);
    weft_rc rc = weft_cookie_keys_load(&keys, path, why, sizeof(why));
    unlink(path);
    assert_int_equal(rc, 0);
    assert_memory_equal(&keys.keys[1], &keys_b.keys[0], sizeof(keys.keys[1]));
}

/* ---- in a handler ---- */

static weft_rc login(weft_req *rq)
{
    weft_str user = weft_query_param(rq, WEFT_S("user"));
    WEFT_TRY(weft_set_cookie(rq, WEFT_S("user"), user,
                             WEFT_COOKIE_OPTS(.max_age_s = 100, .sign = true)));
    WEFT_TRY(weft_set_cookie(rq, WEFT_S("theme"), WEFT_S("dark"), NULL));
    return weft_text(rq, 200, WEFT_S("in"));
}

static weft_rc whoami(weft_req *rq)
{
    weft_str user = weft_signed_cookie(rq, WEFT_S("user"));
    weft_str theme = weft_cookie(rq, WEFT_S("theme"));
    if (user.ptr == NULL)
        return weft_fail(rq, 401, WEFT_S("nobody"));
    weft_str text =
        weft_format(rq, "%.*s %.*s", (int)user.len, user.ptr, (int)theme.len, theme.ptr);
    return weft_text(rq, 200, text);
}

static weft_rc logout(weft_req *rq)
{
    WEFT_TRY(weft_drop_cookie(rq, WEFT_S("user"), NULL));
    return weft_status(rq, 204);
}

static const struct seam_route routes[] = {
    {.method_z = "GET", .pattern_z = "/login", .handler = login},
    {.method_z = "GET", .pattern_z = "/whoami", .handler = whoami},
    {.method_z = "GET", .pattern_z = "/logout", .handler = logout},
};

static int open_worker(void **state)
{
    (void)state;
    seam_open(&weft_h1, routes, WEFT_COUNT_OF(routes), 4);
    seam.site.cookie_keys = &keys_both;
    return 0;
}

static int close_worker(void **state)
{
    (void)state;
    hang_up(0);
    seam_close();
    return 0;
}

static void ask(const char *target_z, const char *fields_z)
{
    char text[2048];
    seam.wire.out_len = 0;
    snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", target_z, fields_z);
    feed_text(text);
    seam.wire.out[seam.wire.out_len] = 0;
}

static void a_signed_cookie_comes_back(void **state)
{
    (void)state;
    char cookie[512], fields[1024];
    ask("/login?user=alice", "");
    assert_true(output_has("\r\nSet-Cookie: theme=dark; Path=/; HttpOnly; SameSite=Lax\r\n"));
    char *at = strstr(seam.wire.out, "Set-Cookie: user=alice.1795234095.");
    assert_non_null(at);
    size_t len = strcspn(at + 12, ";");
    memcpy(cookie, at + 12, len);
    cookie[len] = 0;

    snprintf(fields, sizeof(fields), "Cookie: theme=dark; %s\r\n", cookie);
    ask("/whoami", fields);
    assert_true(output_has("\r\n\r\nalice dark"));
    /* One that was put in front of it, in a line of its own, does not hide it. */
    snprintf(fields, sizeof(fields), "Cookie: user=mallory.0.x; a=b\r\nX: y\r\nCookie: %s\r\n",
             cookie);
    ask("/whoami", fields);
    assert_true(output_has("\r\n\r\nalice "));
    assert_int_equal(counted(WEFT_COUNTER_COOKIE_BAD), 1);

    seam.loop.clock.wall_s += 100; /* too old now */
    ask("/whoami", fields);
    assert_true(output_begins("HTTP/1.1 401 "));
    assert_int_equal(counted(WEFT_COUNTER_RESPONSES_401), 1);
}

static void many_bad_ones_are_not_all_tried(void **state)
{
    (void)state;
    char fields[1024] = "Cookie: a=b";
    for (int i = 0; i < 30; i++)
        strcat(fields, "; user=mallory.0.x");
    strcat(fields, "\r\n");
    ask("/whoami", fields);
    assert_true(output_begins("HTTP/1.1 401 "));
    assert_int_equal(counted(WEFT_COUNTER_COOKIE_BAD), 8);
}

static void without_keys(void **state)
{
    (void)state;
    seam.site.cookie_keys = NULL;
    ask("/login?user=alice", "");
    assert_true(output_begins("HTTP/1.1 500 "));
    assert_false(output_has("Set-Cookie"));
    ask("/whoami", "Cookie: user=a.0.x\r\n");
    assert_true(output_begins("HTTP/1.1 401 "));
}

static void bytes_that_would_split_a_header(void **state)
{
    (void)state;
    ask("/login?user=a%0d%0aSet-Cookie:%20b=c", "");
    assert_true(output_begins("HTTP/1.1 500 "));
    assert_false(output_has("b=c"));
    ask("/logout", "");
    assert_true(output_has("\r\nSet-Cookie: user=; Path=/; Max-Age=0; "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs),
        cmocka_unit_test(what_may_be_set),
        cmocka_unit_test(attributes),
        cmocka_unit_test(known_answers),
        cmocka_unit_test(good_ones_open),
        cmocka_unit_test(changed_ones_do_not),
        cmocka_unit_test(bad_key_files),
        cmocka_unit_test_setup_teardown(a_signed_cookie_comes_back, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(many_bad_ones_are_not_all_tried, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(without_keys, open_worker, close_worker),
        cmocka_unit_test_setup_teardown(bytes_that_would_split_a_header, open_worker, close_worker),
    };
    return cmocka_run_group_tests(tests, load_keys, NULL);
}
