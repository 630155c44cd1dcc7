/* router_test.c - which route a path finds, what is refused, and what a match may cost.
 *
 * That any set of routes is matched in the stated order is checked against a plain matcher by
 * fuzz/router_fuzz.c, whose corpus runs with these tests.
 */
#include "unit.h"
#include "http/router.h"
#include "mem/budget.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* shows RT-09: every call of the heap is counted here (the sanitizers bring a heap of their own) */
static size_t heap_calls;
#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN) && defined(__GLIBC__)
extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *ptr, size_t bytes);
void *malloc(size_t bytes)
{
    heap_calls++;
    return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes)
{
    heap_calls++;
    return __libc_calloc(count, bytes);
}
void *realloc(void *ptr, size_t bytes)
{
    heap_calls++;
    return __libc_realloc(ptr, bytes);
}
#endif

struct fixture {
    struct weft_router *router;
    struct weft_router_scratch *scratch;
    char error[256];
};

static weft_rc add(struct fixture *f, enum weft_method method, const char *pattern_z)
{
    /* the route is the text of its pattern: what a test wants to see */
    return weft_router_add(f->router, method, WEFT_S(""), weft_str_z(pattern_z),
                           (void *)(uintptr_t)pattern_z, f->error, sizeof(f->error));
}

static struct fixture make(const char *const *patterns, size_t count)
{
    struct fixture f = {0};
    assert_int_equal(weft_router_create(&f.router), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(add(&f, WEFT_GET, patterns[i]), 0);
    return f;
}

static void ready(struct fixture *f)
{
    assert_int_equal(weft_router_compile(f->router), 0);
    assert_int_equal(weft_router_scratch_create(f->router, &f->scratch), 0);
}

static void drop(struct fixture *f)
{
    weft_router_scratch_destroy(f->scratch);
    weft_router_destroy(f->router);
}

static enum weft_match_rc match(const struct fixture *f, enum weft_method method,
                                const char *path_z, struct weft_match *out)
{
    /* a copy of the exact size, so that reading past it is seen by ASan */
    static char *paths[8];
    static size_t turn;
    char **slot = &paths[turn++ % 8];
    free(*slot);
    size_t len = strlen(path_z);
    *slot = malloc(len > 0 ? len : 1);
    memcpy(*slot, path_z, len);
    return weft_router_match(f->router, f->scratch, method, WEFT_S(""), weft_str_make(*slot, len),
                             out);
}

/* route_z: the pattern that wins, NULL for 404; params: their values with '|' between them */
static void expect(const struct fixture *f, const char *path_z, const char *route_z,
                   const char *params_z)
{
    struct weft_match m;
    enum weft_match_rc rc = match(f, WEFT_GET, path_z, &m);
    if (!route_z) {
        assert_int_equal(rc, WEFT_MATCH_NOT_FOUND);
        return;
    }
    assert_int_equal(rc, WEFT_MATCH_OK);
    assert_string_equal((const char *)m.route, route_z);
    char seen[640] = "";
    for (uint32_t i = 0; i < m.param_count; i++) {
        size_t len = strlen(seen);
        (void)snprintf(seen + len, sizeof(seen) - len, "%s%.*s", i > 0 ? "|" : "",
                       (int)m.params[i].len, m.params[i].ptr);
    }
    assert_string_equal(seen, params_z);
}

/* shows RT-01 RT-02 */
static void static_wins_over_what_takes_the_rest(void **state)
{
    (void)state;
    const char *patterns[] = {
        "/", "/stream", "/efficient", "/file/{file:^.*$}", "/file/readme", "/{name}"};
    struct fixture f = make(patterns, WEFT_COUNT_OF(patterns));
    ready(&f);
    expect(&f, "/", "/", "");
    expect(&f, "/stream", "/stream", "");
    expect(&f, "/streams", "/{name}", "streams");
    expect(&f, "/strea", "/{name}", "strea");
    expect(&f, "/efficient", "/efficient", "");
    expect(&f, "/file/a/b c.bin", "/file/{file:^.*$}", "a/b c.bin");
    expect(&f, "/file/", "/file/{file:^.*$}", "");
    expect(&f, "/file/readme", "/file/readme", "");
    expect(&f, "/file/readme.txt", "/file/{file:^.*$}", "readme.txt");
    expect(&f, "/file", "/{name}", "file");
    expect(&f, "/stream/", NULL, NULL);
    expect(&f, "", NULL, NULL);
    expect(&f, "x", NULL, NULL);
    drop(&f);
}

/* shows RT-03 RT-04 */
static void both_spellings_of_a_name(void **state)
{
    (void)state;
    const char *patterns[] = {"/cache/{key}", "/file/:filename", "/a/:x/b/{y}", "/v{major:u64}/:z"};
    struct fixture f = make(patterns, WEFT_COUNT_OF(patterns));
    ready(&f);
    struct weft_match m;
    assert_int_equal(match(&f, WEFT_GET, "/cache/abc", &m), WEFT_MATCH_OK);
    assert_true(weft_str_eq(weft_match_param(&m, WEFT_S("key")), WEFT_S("abc")));
    assert_int_equal(weft_match_param(&m, WEFT_S("kex")).len, 0);
    assert_int_equal(match(&f, WEFT_GET, "/file/x.txt", &m), WEFT_MATCH_OK);
    assert_true(weft_str_eq(weft_match_param(&m, WEFT_S("filename")), WEFT_S("x.txt")));
    assert_int_equal(match(&f, WEFT_GET, "/a/1/b/22", &m), WEFT_MATCH_OK);
    assert_true(weft_str_eq(weft_match_param(&m, WEFT_S("y")), WEFT_S("22")));
    expect(&f, "/v12/tail", "/v{major:u64}/:z", "12|tail");
    expect(&f, "/vx/tail", NULL, NULL);
    expect(&f, "/cache/", NULL, NULL); /* a name takes one byte at least */
    expect(&f, "/cache/a/b", NULL, NULL);
    drop(&f);
}

static void levels_are_tried_in_order(void **state)
{
    (void)state;
    const char *patterns[] = {"/p/*",        "/p/{r:[a-z]+(/[a-z]+)?}",
                              "/p/{s}",      "/p/{i:i64}",
                              "/p/{u:u64}",  "/p/77",
                              "/q/{any:.+}", "/q/{d:[0-9]+}"};
    struct fixture f = make(patterns, WEFT_COUNT_OF(patterns));
    ready(&f);
    expect(&f, "/p/77", "/p/77", "");
    expect(&f, "/p/7", "/p/{u:u64}", "7");
    expect(&f, "/p/777", "/p/{u:u64}", "777");
    expect(&f, "/p/-7", "/p/{i:i64}", "-7");
    expect(&f, "/p/18446744073709551615", "/p/{u:u64}", "18446744073709551615");
    expect(&f, "/p/18446744073709551616", "/p/{s}", "18446744073709551616");
    expect(&f, "/p/abc", "/p/{s}", "abc");
    expect(&f, "/p/abc/def", "/p/{r:[a-z]+(/[a-z]+)?}", "abc/def");
    expect(&f, "/p/abc/d3f", "/p/*", "abc/d3f");
    expect(&f, "/p/", "/p/*", "");
    expect(&f, "/p", NULL, NULL);
    expect(&f, "/q/12", "/q/{d:[0-9]+}", "12"); /* what takes anything comes last */
    expect(&f, "/q/1x", "/q/{any:.+}", "1x");
    expect(&f, "/q/", NULL, NULL);
    drop(&f);
}

/* shows RT-08 */
static void the_longest_prefix_wins(void **state)
{
    (void)state;
    const char *patterns[] = {"*", "/a/*", "/a/b/*rest", "/a/{x}/c/*", "/a/b/c/d"};
    struct fixture f = make(patterns, WEFT_COUNT_OF(patterns));
    ready(&f);
    expect(&f, "/a/b/c/d", "/a/b/c/d", "");
    expect(&f, "/a/b/c/e", "/a/b/*rest", "c/e");
    expect(&f, "/a/q/c/e", "/a/{x}/c/*", "q|e");
    expect(&f, "/a/q/d/e", "/a/*", "q/d/e");
    expect(&f, "/b", "*", "b");
    expect(&f, "/", "*", "");
    drop(&f);
}

static void going_back_restores_params(void **state)
{
    (void)state;
    const char *patterns[] = {"/{a}/x/{b}/y/{c}/z", "/{a}/x/{b}/{d}/{e}/w",
                              "/{a}/{f}/{g}/y/{h:u64}/v", "/{a}/{f}/*"};
    struct fixture f = make(patterns, WEFT_COUNT_OF(patterns));
    ready(&f);
    expect(&f, "/1/x/3/y/5/z", "/{a}/x/{b}/y/{c}/z", "1|3|5");
    expect(&f, "/1/x/3/y/5/w", "/{a}/x/{b}/{d}/{e}/w", "1|3|y|5");
    expect(&f, "/1/x/3/y/5/v", "/{a}/{f}/{g}/y/{h:u64}/v", "1|x|3|5");
    expect(&f, "/1/x/3/y/q/v", "/{a}/{f}/*", "1|x|3/y/q/v");
    expect(&f, "/1/x", NULL, NULL);
    drop(&f);
}

static void texts_of_every_length(void **state)
{
    (void)state;
    char patterns[64][80];
    const char *list[64];
    for (size_t i = 0; i < 64; i++) { /* "/a", "/ab/c", ...: each its own branch, 1 to 64 bytes */
        patterns[i][0] = '/';
        for (size_t j = 1; j <= i + 1; j++)
            patterns[i][j] = (char)('a' + (i * 7 + j) % 26);
        patterns[i][i + 2] = 0;
        list[i] = patterns[i];
    }
    struct fixture f = make(list, 64);
    ready(&f);
    for (size_t i = 0; i < 64; i++) {
        expect(&f, patterns[i], patterns[i], "");
        char other[80];
        memcpy(other, patterns[i], sizeof(other));
        other[i + 1] = '~'; /* the last byte */
        expect(&f, other, NULL, NULL);
    }
    drop(&f);
}

/* Both forms of the routes, at the edges of words, blocks and tables (route_segs.h). */
static void segments_of_every_length(void **state)
{
    (void)state;
    const char *patterns[] = {"/{a}/word", "/{a}/{b}", "/{a}/{b}/t",
                              "/long-word-of-23-bytes-/{n:u64}", "/long-word-of-23-bytes-"};
    struct fixture f = make(patterns, WEFT_COUNT_OF(patterns));
    ready(&f);
    for (int len = 1; len < 510; len += len < 140 ? 1 : 51) {
        char path[640], params[640];
        memset(path, 'x', sizeof(path));
        path[0] = '/';
        (void)snprintf(params, sizeof(params), "%.*s", len, path + 1);
        (void)snprintf(path + len + 1, 8, "/word");
        expect(&f, path, "/{a}/word", params);
        (void)snprintf(path + len + 1, 8, "/wore");
        (void)snprintf(params + len, 8, "|wore");
        expect(&f, path, "/{a}/{b}", params);
        (void)snprintf(path + len + 1, 8, "/wore/t");
        expect(&f, path, "/{a}/{b}/t", params);
        (void)snprintf(path + len + 1, 8, "//t");
        expect(&f, path, NULL, NULL);
        (void)snprintf(path + len + 1, 8, "/");
        expect(&f, path, NULL, NULL);
    }
    expect(&f, "/long-word-of-23-bytes-", "/long-word-of-23-bytes-", "");
    expect(&f, "/long-word-of-23-bytes-/7", "/long-word-of-23-bytes-/{n:u64}", "7");
    expect(&f, "/long-word-of-23-bytes-/x", "/{a}/{b}", "long-word-of-23-bytes-|x");
    expect(&f, "/long-word-0f-23-bytes-/7", "/{a}/{b}", "long-word-0f-23-bytes-|7");
    drop(&f);
}

static void words_without_number(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static char patterns[COUNT][32];
    struct fixture f = make(NULL, 0);
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(patterns[i], sizeof(patterns[i]), "/%s/word%d", i % 5 == 0 ? "few" : "many",
                       i);
        assert_int_equal(add(&f, WEFT_GET, patterns[i]), 0);
    }
    assert_int_equal(add(&f, WEFT_GET, "/many/{x}"), 0);
    assert_int_equal(add(&f, WEFT_GET, "/few/{x}"), 0);
    ready(&f);
    for (int i = 0; i < COUNT; i++)
        expect(&f, patterns[i], patterns[i], "");
    expect(&f, "/many/word1000", "/many/{x}", "word1000");
    expect(&f, "/few/word1", "/few/{x}", "word1");
    drop(&f);
}

static void more_children_than_labels(void **state)
{
    (void)state;
    char patterns[90][16];
    const char *list[90];
    size_t count = 0;
    for (int b = '!'; b < 0x7f; b++) {
        if (strchr("*:{}/", b))
            continue;
        (void)snprintf(patterns[count], sizeof(patterns[count]), "/n/%ctail", b);
        list[count] = patterns[count];
        count++;
    }
    struct fixture f = make(list, count);
    ready(&f);
    for (size_t i = 0; i < count; i++)
        expect(&f, patterns[i], patterns[i], "");
    expect(&f,
           "/n/\xff"
           "tail",
           NULL, NULL);
    expect(&f, "/n//tail", NULL, NULL);
    struct weft_match m;
    weft_str zero = weft_str_make("/n/\0tail", 8);
    assert_int_equal(weft_router_match(f.router, f.scratch, WEFT_GET, WEFT_S(""), zero, &m),
                     WEFT_MATCH_NOT_FOUND);
    drop(&f);
}

/* shows RT-10 */
static void methods(void **state)
{
    (void)state;
    struct fixture f = make(NULL, 0);
    assert_int_equal(add(&f, WEFT_GET, "/r"), 0);
    assert_int_equal(add(&f, WEFT_POST, "/r"), 0);
    assert_int_equal(add(&f, WEFT_POST, "/p"), 0);
    assert_int_equal(add(&f, WEFT_HEAD, "/h"), 0);
    assert_int_equal(add(&f, WEFT_GET, "/h/{x}"), 0);
    assert_int_equal(add(&f, WEFT_DELETE, "/u/{name}"), 0);
    assert_int_equal(add(&f, WEFT_GET, "/u/{id:u64}"), 0);
    char purge[] = "purge", r_post[] = "custom";
    assert_int_equal(weft_router_add(f.router, WEFT_METHOD_OTHER, WEFT_S("PURGE"), WEFT_S("/r"),
                                     purge, f.error, sizeof(f.error)),
                     0);
    assert_int_equal(weft_router_add(f.router, WEFT_METHOD_OTHER, WEFT_S("QUERY"), WEFT_S("/q"),
                                     r_post, f.error, sizeof(f.error)),
                     0);
    ready(&f);

    struct weft_match m;
    assert_int_equal(match(&f, WEFT_HEAD, "/r", &m), WEFT_MATCH_OK); /* by GET */
    assert_string_equal((const char *)m.route, "/r");
    assert_int_equal(match(&f, WEFT_HEAD, "/p", &m), WEFT_MATCH_METHOD);
    assert_int_equal(m.allow, 1u << WEFT_POST);
    assert_int_equal(match(&f, WEFT_GET, "/h", &m), WEFT_MATCH_METHOD);
    assert_int_equal(m.allow, 1u << WEFT_HEAD);
    assert_int_equal(match(&f, WEFT_OPTIONS, "/r", &m), WEFT_MATCH_METHOD);
    assert_int_equal(m.allow,
                     1u << WEFT_GET | 1u << WEFT_HEAD | 1u << WEFT_POST | 1u << WEFT_METHOD_OTHER);
    assert_true(weft_str_eq(weft_router_method_name(f.router, WEFT_METHOD_OTHER), WEFT_S("PURGE")));
    assert_true(weft_str_eq(weft_router_method_name(f.router, WEFT_POST), WEFT_S("POST")));
    assert_int_equal(weft_router_method_name(f.router, 31).len, 0);

    weft_str path = WEFT_S("/r");
    assert_int_equal(
        weft_router_match(f.router, NULL, WEFT_METHOD_OTHER, WEFT_S("PURGE"), path, &m),
        WEFT_MATCH_OK);
    assert_ptr_equal(m.route, purge);
    assert_int_equal(
        weft_router_match(f.router, NULL, WEFT_METHOD_OTHER, WEFT_S("QUERY"), path, &m),
        WEFT_MATCH_METHOD);
    assert_int_equal(
        weft_router_match(f.router, NULL, WEFT_METHOD_OTHER, WEFT_S("purge"), path, &m),
        WEFT_MATCH_METHOD);

    /* a place that has other methods only is passed by; what is allowed is what all places have */
    assert_int_equal(match(&f, WEFT_DELETE, "/u/7", &m), WEFT_MATCH_OK);
    assert_string_equal((const char *)m.route, "/u/{name}");
    assert_int_equal(match(&f, WEFT_PUT, "/u/7", &m), WEFT_MATCH_METHOD);
    assert_int_equal(m.allow, 1u << WEFT_GET | 1u << WEFT_HEAD | 1u << WEFT_DELETE);
    assert_int_equal(match(&f, WEFT_GET, "/u/x", &m), WEFT_MATCH_METHOD);
    assert_int_equal(m.allow, 1u << WEFT_DELETE);
    assert_int_equal(match(&f, WEFT_GET, "/nothing", &m), WEFT_MATCH_NOT_FOUND);
    assert_int_equal(m.allow, 0);
    drop(&f);
}

static void mistakes_are_named(void **state)
{
    (void)state;
    struct fixture f = make(NULL, 0);
    const struct {
        const char *pattern_z;
        const char *says_z;
    } cases[] = {
        {"", "starts with '/'"},
        {"a", "'a', byte 1: a route starts"},
        {"/a/{", "byte 4: this '{' is never closed"},
        {"/a/{}", "needs a name"},
        {"/a/:", "needs a name"},
        {"/a/}", "byte 4: this '}' was never opened"},
        {"/a/{x y}", "byte 6: not allowed in the name"},
        {"/a/{x:}", "a type or a regular expression"},
        {"/a/{x:u32}", "unknown type 'u32'"},
        {"/a/{x}b", "byte 7: a parameter ends its segment"},
        {"/a/:x{y}", "byte 6: a parameter ends its segment"},
        {"/{x}/{x}", "used twice"},
        {"/a/*/b", "byte 4: '*' takes the rest"},
        {"/a*b", "'*' takes the rest"},
        {"/a\n", "control byte 0x0a"},
        {"/a/{x:[0-9]+(}", "byte 14: missing closing parenthesis"},
        {"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", "more than 8 parameters"},
    };
    for (size_t i = 0; i < WEFT_COUNT_OF(cases); i++) {
        assert_int_equal(add(&f, WEFT_GET, cases[i].pattern_z), WEFT_ESYNTAX);
        if (!strstr(f.error, cases[i].says_z))
            fail_msg("%s: '%s' does not say '%s'", cases[i].pattern_z, f.error, cases[i].says_z);
        if (!strstr(f.error, cases[i].pattern_z))
            fail_msg("'%s' does not name '%s'", f.error, cases[i].pattern_z);
    }
    assert_int_equal(add(&f, WEFT_GET, "/u/{a:u64}/x"), 0);
    assert_int_equal(add(&f, WEFT_GET, "/u/{b:u64}/x"), WEFT_EEXIST);
    assert_non_null(strstr(f.error, "GET is taken already by '/u/{a:u64}/x'"));
    assert_int_equal(add(&f, WEFT_POST, "/u/{b:u64}/x"), 0);
    assert_int_equal(weft_router_add(f.router, WEFT_METHOD_OTHER, WEFT_S("GET"), WEFT_S("/z"),
                                     f.error, f.error, sizeof(f.error)),
                     WEFT_ESYNTAX);
    ready(&f);
    assert_int_equal(add(&f, WEFT_GET, "/late"), WEFT_ESTATE);
    expect(&f, "/u/5/x", "/u/{a:u64}/x", "5"); /* what was refused left nothing behind */
    expect(&f, "/a/b", NULL, NULL);
    drop(&f);
}

static void expressions_in_braces(void **state)
{
    (void)state;
    const char *patterns[] = {"/d/{y:[0-9]{4}}/{m:\\d{2}}", "/c/{x:[]}{]+}", "/e/{x:a\\}b|cd}",
                              "/m/{x:.*}/end", "/w/{x:(u32)}"};
    struct fixture f = make(patterns, WEFT_COUNT_OF(patterns));
    ready(&f);
    expect(&f, "/d/2024/07", patterns[0], "2024|07");
    expect(&f, "/d/2024/7", NULL, NULL);
    expect(&f, "/d/20245/07", NULL, NULL);
    expect(&f, "/d/2024/07\n", NULL, NULL); /* '$' and the end are the end, not before a newline */
    expect(&f, "/c/}{]", patterns[1], "}{]");
    expect(&f, "/e/a}b", patterns[2], "a}b");
    expect(&f, "/e/cd", patterns[2], "cd");
    expect(&f, "/e/cdx", NULL, NULL);
    expect(&f, "/m/seg/end", patterns[3], "seg"); /* in the middle it is one segment */
    expect(&f, "/m/s/eg/end", NULL, NULL);
    expect(&f, "/w/u32", patterns[4], "u32");
    drop(&f);
}

static void an_expression_cannot_hold_a_worker(void **state)
{
    (void)state;
    const char *patterns[] = {"/r/{x:(a+)+b}", "/r/*"};
    struct fixture f = make(patterns, WEFT_COUNT_OF(patterns));
    ready(&f);
    char path[64] = "/r/";
    memset(path + 3, 'a', 40);
    memcpy(path + 43, "bc", 3); /* two to the power of 40 ways to fail */
    struct weft_match m;
    assert_int_equal(match(&f, WEFT_GET, path, &m), WEFT_MATCH_LIMIT);
    path[44] = 0;
    expect(&f, path, patterns[0], path + 3);
    drop(&f);
}

/* Every segment may be text or a parameter, and no path is found: the worst set for going back. */
static void going_back_is_bounded(void **state)
{
    (void)state;
    static char patterns[256][64];
    const char *list[256];
    for (unsigned i = 0; i < 256; i++) {
        char *to = patterns[i];
        for (unsigned level = 0; level < 8; level++)
            to += sprintf(to, (i >> level & 1) != 0 ? "/{p%u}" : "/a", level);
        (void)sprintf(to, "/%u", i);
        list[i] = patterns[i];
    }
    struct fixture f = make(list, 256);
    ready(&f);
    expect(&f, "/a/a/a/a/a/a/a/a/255", list[255], "a|a|a|a|a|a|a|a");
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (int i = 0; i < 100; i++)
        expect(&f, "/a/a/a/a/a/a/a/a/none", NULL, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    /* 511 places of some 10 ns each; a walk that came by places again would take many times that.
     * A second is far off both, so that a slow machine does not fail. */
    assert_true(to.tv_sec - from.tv_sec <= 1);
    drop(&f);
}

/* shows RT-05 RT-09 */
static void ten_thousand_routes(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    char(*patterns)[64] = malloc(COUNT * sizeof(*patterns));
    struct fixture f = make(NULL, 0);
    const char *const kinds[] = {"", "/{x}", "/{x:u64}/edit", "/{x:[a-f]+}", "/*"};
    for (int i = 0; i < COUNT; i++) {
        (void)snprintf(patterns[i], sizeof(patterns[i]), "/api/v%d/thing%d%s", i % 7, i / 5,
                       kinds[i % 5]);
        assert_int_equal(add(&f, WEFT_GET, patterns[i]), 0);
    }
    ready(&f);
    assert_in_range(weft_router_bytes(f.router), COUNT * 64, COUNT * 640);
    size_t calls = heap_calls;
    for (int i = 0; i < COUNT; i++) {
        char path[64];
        const char *const values[] = {"", "/value", "/5/edit", "/abc", "/rest/of/it"};
        (void)snprintf(path, sizeof(path), "/api/v%d/thing%d%s", i % 7, i / 5, values[i % 5]);
        struct weft_match m;
        enum weft_match_rc rc =
            weft_router_match(f.router, f.scratch, WEFT_GET, WEFT_S(""), weft_str_z(path), &m);
        assert_int_equal(rc, WEFT_MATCH_OK);
        assert_ptr_equal(m.route, patterns[i]);
    }
    assert_int_equal(heap_calls, calls);
    drop(&f);
    free(patterns);
}

static void *match_on_small_stack(void *arg)
{
    struct fixture *f = arg;
    struct weft_match m;
    enum weft_match_rc rc = match(f, WEFT_GET, "/r/abc/def", &m);
    return rc == WEFT_MATCH_OK ? f : NULL;
}

/* Handlers' stacks are 16 KiB, and a match runs on them (DESIGN.md: PCRE2 alone would take 34). */
static void a_small_stack_is_enough(void **state)
{
    (void)state;
    const char *patterns[] = {"/r/{x:([a-z]+/?)+}"};
    struct fixture f = make(patterns, 1);
    ready(&f);
    pthread_attr_t attr;
    pthread_t thread;
    void *result = NULL;
    pthread_attr_init(&attr);
#if !defined(WEFT_ASAN) && !defined(WEFT_TSAN)
    assert_int_equal(pthread_attr_setstacksize(&attr, 16 << 10), 0);
#endif
    assert_int_equal(pthread_create(&thread, &attr, match_on_small_stack, &f), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &f);
    pthread_attr_destroy(&attr);
    drop(&f);
}

static void sizes_are_told(void **state)
{
    (void)state;
    const char *plain[] = {"/a", "/file/{file:^.*$}", "/x/{r:.+}"};
    struct fixture f = make(plain, WEFT_COUNT_OF(plain));
    ready(&f);
    assert_in_range(weft_router_scratch_bytes(f.router), 1, 64); /* ^.*$ costs no expression */
    drop(&f);
    const char *regex[] = {"/a", "/x/{r:[ab]+}"};
    struct fixture g = make(regex, WEFT_COUNT_OF(regex));
    ready(&g);
    assert_in_range(weft_router_scratch_bytes(g.router), 64 << 10, 256 << 10);
    drop(&g);
    weft_router_destroy(NULL);
    weft_router_scratch_destroy(NULL);
}

/* What PCRE2 took is a row of the ledger: its budget covers every worker's scratch, and after the
 * end of the server it is 0. */
static void pcre2_is_on_a_leash(void **state)
{
    (void)state;
    struct weft_ledger ledger;
    assert_int_equal(weft_ledger_init(&ledger, 0), 0);
    const char *plain[] = {"/a"};
    struct fixture f = make(plain, 1);
    assert_int_equal(weft_router_compile(f.router), 0);
    assert_int_equal(weft_router_attach(f.router, &ledger, 1), 0);
    assert_int_equal(ledger.account_count, 0); /* no expression, no row */
    drop(&f);

    const char *regex[] = {"/x/{r:[ab]+}",
                           "/y/{r:(?:a(?C1)b|c)+}"}; /* a callout: still one leash */
    f = make(regex, WEFT_COUNT_OF(regex));
    assert_int_equal(weft_router_compile(f.router), 0);
    assert_int_equal(weft_router_attach(f.router, &ledger, 1), 0);
    struct weft_account *row = &ledger.accounts[0];
    assert_string_equal(row->name_z, "pcre2");
    size_t expressions = atomic_load(&row->used);
    assert_in_range(expressions, 100, atomic_load(&row->reserved));
    assert_in_range(expressions, 100, weft_router_bytes(f.router));
    assert_int_equal(weft_router_scratch_create(f.router, &f.scratch), 0);
    size_t most = expressions + weft_router_scratch_bytes(f.router);
    assert_in_range(atomic_load(&row->used), expressions + 1, most);
    for (size_t i = 0; i < 1000; i++) {
        struct weft_match m;
        assert_int_equal(weft_router_match(f.router, f.scratch, WEFT_GET, WEFT_S(""),
                                           i % 2 ? WEFT_S("/x/abab") : WEFT_S("/y/abc"), &m),
                         WEFT_MATCH_OK);
    }
    assert_in_range(atomic_load(&row->used), expressions + 1, most);
    assert_int_equal(atomic_load(&row->refused), 0);
    weft_router_scratch_destroy(f.scratch);
    f.scratch = NULL;
    assert_int_equal(atomic_load(&row->used), expressions);
    weft_router_detach(f.router);
    assert_int_equal(atomic_load(&row->used), 0);
    assert_int_equal(atomic_load(&ledger.reserved), 0);
    weft_ledger_fini(&ledger);
    drop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(static_wins_over_what_takes_the_rest),
        cmocka_unit_test(both_spellings_of_a_name),
        cmocka_unit_test(levels_are_tried_in_order),
        cmocka_unit_test(the_longest_prefix_wins),
        cmocka_unit_test(going_back_restores_params),
        cmocka_unit_test(texts_of_every_length),
        cmocka_unit_test(segments_of_every_length),
        cmocka_unit_test(words_without_number),
        cmocka_unit_test(more_children_than_labels),
        cmocka_unit_test(methods),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(expressions_in_braces),
        cmocka_unit_test(an_expression_cannot_hold_a_worker),
        cmocka_unit_test(going_back_is_bounded),
        cmocka_unit_test(ten_thousand_routes),
        cmocka_unit_test(a_small_stack_is_enough),
        cmocka_unit_test(sizes_are_told),
        cmocka_unit_test(pcre2_is_on_a_leash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
