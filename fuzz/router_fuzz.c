/* router_fuzz.c - any set of routes against any path, compared with a matcher that is too simple to
 * be wrong: it tries every pattern by itself and lets the order of precedence decide.
 *
 * The input is text: lines "<method letter><pattern>", an empty line, lines "<method
 * letter><path>".
 */
#include "http/regex.h"
#include "http/router.h"
#include <stdlib.h>

#define ROUTES_MAX 48
#define PATHS_MAX  32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct known {
    weft_str text;
    enum weft_method method;
    struct weft_parts parts;
    struct weft_regex *regexes[WEFT_PARTS_MAX]; /* owned: one per part that is an expression */
};

struct set {
    struct known known[ROUTES_MAX];
    size_t count;
    struct weft_router *router;
    struct weft_router_scratch *router_scratch;
    struct weft_regex_scratch *scratch;
};

struct answer {
    const struct known *route;
    weft_str params[WEFT_PARAMS_MAX];
    uint32_t param_count;
};

static enum weft_method method_of(char letter)
{
    switch (letter) {
    case 'P':
        return WEFT_POST;
    case 'H':
        return WEFT_HEAD;
    case 'D':
        return WEFT_DELETE;
    case 'X':
        return WEFT_METHOD_OTHER;
    default:
        return WEFT_GET;
    }
}

static bool is_regex(const struct weft_part *part)
{
    return part->kind == WEFT_PART_REGEX || part->kind == WEFT_PART_REGEX_END;
}

/* ---- the plain matcher ---- */

/* Same bytes, or parameters that take the same. */
static bool same_part(const struct weft_part *a, const struct weft_part *b)
{
    if (a->kind != b->kind)
        return false;
    return (a->kind != WEFT_PART_TEXT && !is_regex(a)) || weft_str_eq(a->text, b->text);
}

/* Which of two routes first has this parameter here: for expressions, age decides. */
static size_t age_of(const struct set *s, const struct known *k, uint32_t part)
{
    for (size_t i = 0; i < s->count; i++) {
        bool same = s->known[i].parts.count > part;
        for (uint32_t p = 0; same && p <= part; p++)
            same = same_part(&s->known[i].parts.at[p], &k->parts.at[p]);
        if (same)
            return i;
    }
    abort();
}

/* < 0 when a is tried before b. Both match the same path. */
static int order(const struct set *s, const struct known *a, const struct known *b)
{
    for (uint32_t i = 0; i < a->parts.count && i < b->parts.count; i++) {
        const struct weft_part *x = &a->parts.at[i], *y = &b->parts.at[i];
        if (same_part(x, y))
            continue;
        if (x->kind == WEFT_PART_TEXT && y->kind == WEFT_PART_TEXT)
            return x->text.len > y->text.len ? -1
                                             : 1; /* one begins with the other: longer wins... */
        if (x->kind != y->kind)
            return x->kind < y->kind ? -1 : 1;
        return age_of(s, a, i) < age_of(s, b, i) ? -1 : 1;
    }
    return a->parts.count < b->parts.count ? -1 : 1; /* ... and where nothing is left, the end */
}

static bool takes(const struct set *s, const struct known *k, uint32_t i, weft_str text)
{
    uint64_t natural;
    int64_t integer;
    switch (k->parts.at[i].kind) {
    case WEFT_PART_U64:
        return weft_str_to_u64(text, &natural) == 0;
    case WEFT_PART_I64:
        return weft_str_to_i64(text, &integer) == 0;
    case WEFT_PART_SEGMENT:
    case WEFT_PART_REST_SOME:
        return text.len > 0;
    case WEFT_PART_REGEX:
        return text.len > 0 && weft_regex_match(k->regexes[i], s->scratch, text) == WEFT_REGEX_YES;
    case WEFT_PART_REGEX_END:
        return weft_regex_match(k->regexes[i], s->scratch, text) == WEFT_REGEX_YES;
    default:
        return true;
    }
}

static bool matches(const struct set *s, const struct known *k, weft_str path, struct answer *out)
{
    size_t at = 0;
    out->param_count = 0;
    for (uint32_t i = 0; i < k->parts.count; i++) {
        const struct weft_part *part = &k->parts.at[i];
        weft_str rest = weft_str_make(path.ptr + at, path.len - at);
        if (part->kind == WEFT_PART_TEXT) {
            if (!weft_str_starts(rest, part->text))
                return false;
            at += part->text.len;
            continue;
        }
        if (part->kind < WEFT_PART_REGEX_END) {
            const char *slash = rest.len > 0 ? memchr(rest.ptr, '/', rest.len) : NULL;
            rest.len = slash ? (size_t)(slash - rest.ptr) : rest.len;
        }
        if (!takes(s, k, i, rest))
            return false;
        out->params[out->param_count++] = rest;
        at += rest.len;
    }
    return at == path.len;
}

static bool serves(const struct set *s, const struct known *k, enum weft_method method)
{
    if (k->method == method)
        return true;
    if (method != WEFT_HEAD || k->method != WEFT_GET)
        return false;
    for (size_t i = 0; i < s->count; i++) { /* a HEAD route at the very same place goes before */
        const struct known *other = &s->known[i];
        bool same = other->method == WEFT_HEAD && other->parts.count == k->parts.count;
        for (uint32_t p = 0; same && p < k->parts.count; p++)
            same = same_part(&other->parts.at[p], &k->parts.at[p]);
        if (same)
            return false;
    }
    return true;
}

static void find_plainly(const struct set *s, enum weft_method method, weft_str path,
                         struct answer *best, uint32_t *allow)
{
    *best = (struct answer){0};
    *allow = 0;
    for (size_t i = 0; i < s->count; i++) {
        struct answer one = {.route = &s->known[i]};
        if (!matches(s, one.route, path, &one))
            continue;
        *allow |= 1u << one.route->method;
        if (serves(s, one.route, method) && (!best->route || order(s, one.route, best->route) < 0))
            *best = one;
    }
    if ((*allow & (1u << WEFT_GET)) != 0)
        *allow |= 1u << WEFT_HEAD;
}

/* ---- the two side by side ---- */

static void must(bool good)
{
    if (!good)
        abort();
}

static void compare(const struct set *s, enum weft_method method, weft_str path)
{
    struct weft_match m;
    struct answer plain;
    uint32_t allow;
    enum weft_match_rc rc =
        weft_router_match(s->router, s->router_scratch, method, WEFT_S("X"), path, &m);
    if (rc == WEFT_MATCH_LIMIT)
        return;
    find_plainly(s, method, path, &plain, &allow);
    if (!plain.route) {
        must(rc == (allow != 0 ? WEFT_MATCH_METHOD : WEFT_MATCH_NOT_FOUND));
        must(m.allow == allow);
        return;
    }
    must(rc == WEFT_MATCH_OK);
    must(m.route == plain.route);
    must(m.param_count == plain.param_count);
    for (uint32_t i = 0; i < plain.param_count; i++) {
        must(m.params[i].ptr == plain.params[i].ptr);
        must(m.params[i].len == plain.params[i].len);
    }
}

static void add(struct set *s, weft_str line)
{
    if (line.len == 0 || s->count == ROUTES_MAX)
        return;
    char error[256];
    struct known *k = &s->known[s->count];
    *k = (struct known){.method = method_of(line.ptr[0])};
    k->text = weft_str_make(line.ptr + 1, line.len - 1);
    weft_rc rc =
        weft_router_add(s->router, k->method, WEFT_S("X"), k->text, k, error, sizeof(error));
    if (rc < 0)
        return;
    must(weft_pattern_parse(k->text, &k->parts, error, sizeof(error)) == 0);
    size_t at;
    for (uint32_t i = 0; i < k->parts.count; i++)
        if (is_regex(&k->parts.at[i]))
            must(weft_regex_create(k->parts.at[i].text, NULL, error, sizeof(error), &at,
                                   &k->regexes[i]) == 0);
    s->count++;
}

static weft_str next_line(weft_str *rest)
{
    const char *end = rest->len > 0 ? memchr(rest->ptr, '\n', rest->len) : NULL;
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    weft_str line = weft_str_make(rest->ptr, len);
    *rest = end ? weft_str_make(end + 1, rest->len - len - 1) : WEFT_S("");
    return line;
}

static void drop(struct set *s)
{
    for (size_t i = 0; i < s->count; i++)
        for (uint32_t p = 0; p < WEFT_PARTS_MAX; p++)
            weft_regex_destroy(s->known[i].regexes[p]);
    weft_regex_scratch_destroy(s->scratch);
    weft_router_scratch_destroy(s->router_scratch);
    weft_router_destroy(s->router);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct set set; /* 60 KB */
    set.count = 0;
    must(weft_router_create(&set.router) == 0);
    must(weft_regex_scratch_create(NULL, &set.scratch) == 0);
    weft_str rest = weft_str_make((const char *)data, len);
    for (weft_str line; (line = next_line(&rest)).len > 0;)
        add(&set, line);
    must(weft_router_compile(set.router) == 0);
    must(weft_router_scratch_create(set.router, &set.router_scratch) == 0);

    for (int i = 0; i < PATHS_MAX && rest.len > 0; i++) {
        weft_str line = next_line(&rest);
        if (line.len > 0)
            compare(&set, method_of(line.ptr[0]), weft_str_make(line.ptr + 1, line.len - 1));
    }
    drop(&set);
    return 0;
}
