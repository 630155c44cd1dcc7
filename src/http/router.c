/* router.c - see router.h for the order of choices, route_nodes.h for the form and its reasons.
 *
 * Text is read eight bytes at a time and never past the path: near its end the last eight bytes are
 * read and shifted, and a path shorter than that is copied first. Bytes behind the end read as
 * zero, which no pattern holds, so comparing needs no check of lengths.
 */
#include "http/router.h"
#include "http/regex.h"
#include "mem/leash.h"
#include "http/route_segs.h"
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>

#define REGEXES_MAX 65535u /* weft_node.regex */
#define LOW_BITS    0x0101010101010101u
#define HIGH_BITS   0x8080808080808080u

struct regex {
    weft_str text; /* borrowed from a pattern */
    struct weft_regex *code;
};

struct weft_router {
    struct weft_nodes nodes; /* owned, like all that follows */
    struct weft_segs segs;   /* the quick way, tried first */
    uint32_t slash;          /* the node where the path "/" ends, or WEFT_NODE_NONE */
    uint32_t regex_count, regex_room;
    struct regex *regexes; /* number i is at [i - 1] */
    uint32_t custom_count;
    weft_str customs[WEFT_METHODS_CUSTOM_MAX]; /* names of methods, one block each */
    struct weft_pattern **patterns;
    uint32_t pattern_count, pattern_room;
    bool compiled;
    struct weft_tree tree;   /* until compile */
    struct weft_leash leash; /* PCRE2's */
};

struct weft_router_scratch {
    struct weft_regex_scratch *regex; /* owned; NULL without regular expressions */
};

weft_rc weft_router_create(struct weft_router **out)
{
    struct weft_router *router = calloc(1, sizeof(*router));
    if (!router)
        return WEFT_ENOMEM;
    weft_rc rc = weft_tree_init(&router->tree);
    if (rc < 0) {
        free(router);
        return rc;
    }
    weft_leash_init(&router->leash, "pcre2", NULL, 0);
    *out = router;
    return 0;
}

void weft_router_destroy(struct weft_router *router)
{
    if (!router)
        return;
    for (uint32_t i = 0; i < router->regex_count; i++)
        weft_regex_destroy(router->regexes[i].code);
    for (uint32_t i = 0; i < router->custom_count; i++)
        free((char *)(uintptr_t)router->customs[i].ptr); /* ours: add_custom() made it */
    for (uint32_t i = 0; i < router->pattern_count; i++)
        free(router->patterns[i]);
    free(router->regexes);
    free(router->patterns);
    weft_tree_fini(&router->tree);
    weft_nodes_fini(&router->nodes);
    weft_segs_fini(&router->segs);
    if (weft_leash_used(&router->leash) ==
        0) /* a server that was cut off leaves scratches behind */
        weft_leash_fini(&router->leash);
    free(router);
}

static weft_rc grow(void **array, uint32_t count, uint32_t *room, size_t element_bytes)
{
    if (count < *room)
        return 0;
    uint32_t more = WEFT_MAX(*room * 2, 16u);
    void *bigger = realloc(*array, (size_t)more * element_bytes);
    if (!bigger)
        return WEFT_ENOMEM;
    *array = bigger;
    *room = more;
    return 0;
}

/* The bit of a method, 0 for a name that no route has. */
static uint32_t method_bit(const struct weft_router *router, enum weft_method method, weft_str name)
{
    if (WEFT_LIKELY(method < WEFT_METHOD_OTHER))
        return 1u << method;
    for (uint32_t i = 0; i < router->custom_count; i++)
        if (weft_str_eq(router->customs[i], name))
            return 1u << (WEFT_METHOD_OTHER + i);
    return 0;
}

/* tchar, RFC 9110 5.6.2 */
static bool is_token(weft_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char b = s.ptr[i];
        bool alnum = (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z');
        if (!alnum && (b == 0 || !strchr("!#$%&'*+-.^_`|~", b)))
            return false;
    }
    return s.len > 0;
}

static weft_rc add_custom(struct weft_router *router, weft_str name, char *error,
                          size_t error_bytes)
{
    int shown = (int)WEFT_MIN(name.len, 60u);
    if (!is_token(name) || weft_method_from(name) != WEFT_METHOD_OTHER) {
        (void)snprintf(error, error_bytes, "'%.*s' is not the name of a custom method", shown,
                       name.ptr);
        return WEFT_ESYNTAX;
    }
    if (router->custom_count == WEFT_METHODS_CUSTOM_MAX) {
        (void)snprintf(error, error_bytes, "method '%.*s': more than %d custom methods", shown,
                       name.ptr, WEFT_METHODS_CUSTOM_MAX);
        return WEFT_EFULL;
    }
    char *copy = malloc(name.len);
    if (!copy)
        return WEFT_ENOMEM;
    memcpy(copy, name.ptr, name.len);
    router->customs[router->custom_count++] = weft_str_make(copy, name.len);
    return 0;
}

/* The number of an expression, compiled when it is met for the first time. */
static weft_rc add_regex(struct weft_router *router, weft_str pattern, struct weft_part *part,
                         char *error, size_t error_bytes)
{
    for (uint32_t i = 0; i < router->regex_count; i++) {
        if (weft_str_eq(router->regexes[i].text, part->text)) {
            part->regex = i + 1;
            return 0;
        }
    }
    if (router->regex_count == REGEXES_MAX)
        return WEFT_EFULL;
    void *regexes = router->regexes;
    WEFT_TRY(grow(&regexes, router->regex_count, &router->regex_room, sizeof(struct regex)));
    router->regexes = (struct regex *)regexes;

    char why[120] = "";
    size_t at = 0;
    struct regex *added = &router->regexes[router->regex_count];
    weft_rc rc = weft_regex_create(part->text, &router->leash, why, sizeof(why), &at, &added->code);
    if (rc == WEFT_ESYNTAX)
        (void)snprintf(error, error_bytes, "route '%.*s', byte %zu: %s",
                       (int)WEFT_MIN(pattern.len, 200u), pattern.ptr,
                       (size_t)(part->text.ptr - pattern.ptr) + at + 1, why);
    if (rc < 0)
        return rc;
    added->text = part->text;
    part->regex = ++router->regex_count;
    return 0;
}

/* Keeps a copy of the pattern for as long as the router: its text is what the tree borrows. */
static weft_rc add_pattern(struct weft_router *router, weft_str text, struct weft_parts *parts,
                           struct weft_pattern **out)
{
    void *patterns = router->patterns;
    WEFT_TRY(grow(&patterns, router->pattern_count, &router->pattern_room,
                  sizeof(struct weft_pattern *)));
    router->patterns = (struct weft_pattern **)patterns;
    struct weft_pattern *pattern = malloc(weft_pattern_bytes(text));
    if (!pattern)
        return WEFT_ENOMEM;
    weft_pattern_init(pattern, text, parts);
    router->patterns[router->pattern_count++] = pattern;
    *out = pattern;
    return 0;
}

static weft_rc add_parts(struct weft_router *router, uint32_t bit, struct weft_pattern *pattern,
                         struct weft_parts *parts, void *route, char *error, size_t error_bytes)
{
    for (uint32_t i = 0; i < parts->count; i++) {
        struct weft_part *part = &parts->at[i];
        if (part->kind == WEFT_PART_REGEX || part->kind == WEFT_PART_REGEX_END)
            WEFT_TRY(add_regex(router, pattern->text, part, error, error_bytes));
    }
    uint32_t index = (uint32_t)__builtin_ctz(bit);
    const struct weft_pattern *old = NULL;
    weft_rc rc = weft_tree_add(&router->tree, parts, index, pattern, route, &old);
    if (rc == WEFT_EEXIST) {
        weft_str name = weft_router_method_name(router, index);
        (void)snprintf(error, error_bytes, "route '%.*s': %.*s is taken already by '%.*s'",
                       (int)WEFT_MIN(pattern->text.len, 200u), pattern->text.ptr, (int)name.len,
                       name.ptr, (int)WEFT_MIN(old->text.len, 200u), old->text.ptr);
        free(router->patterns[--router->pattern_count]); /* it made no node: nothing borrows it */
    }
    return rc;
}

weft_rc weft_router_add(struct weft_router *router, enum weft_method method, weft_str method_name,
                        weft_str pattern, void *route, char *error, size_t error_bytes)
{
    weft_assert(route != NULL);
    (void)snprintf(error, error_bytes, "route '%.*s': no room", (int)WEFT_MIN(pattern.len, 200u),
                   pattern.ptr);
    if (router->compiled)
        return WEFT_ESTATE;
    if (router->tree.route_count == WEFT_ROUTES_MAX)
        return WEFT_EFULL;
    struct weft_parts parts;
    WEFT_TRY(weft_pattern_parse(pattern, &parts, error, error_bytes));
    uint32_t bit = method_bit(router, method, method_name);
    if (bit == 0) {
        WEFT_TRY(add_custom(router, method_name, error, error_bytes));
        bit = method_bit(router, method, method_name);
    }
    struct weft_pattern *kept;
    WEFT_TRY(add_pattern(router, pattern, &parts, &kept));
    return add_parts(router, bit, kept, &parts, route, error, error_bytes);
}

weft_rc weft_router_compile(struct weft_router *router)
{
    if (router->compiled)
        return WEFT_ESTATE;
    weft_rc rc = weft_nodes_init(&router->nodes, &router->tree);
    if (rc == 0)
        rc = weft_segs_init(&router->segs, &router->tree);
    if (rc < 0) {
        weft_nodes_fini(&router->nodes);
        weft_segs_fini(&router->segs);
        return rc;
    }
    weft_tree_fini(&router->tree);
    router->compiled = true;
    const struct weft_node *root = &router->nodes.at[WEFT_NODE_ROOT];
    if (root->text_len == 1 && root->text[0] == '/' && root->allow != 0)
        router->slash = WEFT_NODE_ROOT;
    return 0;
}

size_t weft_router_bytes(const struct weft_router *router)
{
    size_t sum = sizeof(*router) + weft_nodes_bytes(&router->nodes) +
                 weft_segs_bytes(&router->segs) + router->regex_room * sizeof(*router->regexes) +
                 router->pattern_room * sizeof(struct weft_pattern *);
    for (uint32_t i = 0; i < router->regex_count; i++)
        sum += weft_regex_bytes(router->regexes[i].code);
    for (uint32_t i = 0; i < router->custom_count; i++)
        sum += router->customs[i].len;
    for (uint32_t i = 0; i < router->pattern_count; i++)
        sum += weft_pattern_bytes(router->patterns[i]->text);
    return sum;
}

weft_rc weft_router_scratch_create(struct weft_router *router, struct weft_router_scratch **out)
{
    struct weft_router_scratch *scratch = calloc(1, sizeof(*scratch));
    if (!scratch)
        return WEFT_ENOMEM;
    weft_rc rc =
        router->regex_count > 0 ? weft_regex_scratch_create(&router->leash, &scratch->regex) : 0;
    if (rc < 0) {
        free(scratch);
        return rc;
    }
    *out = scratch;
    return 0;
}

void weft_router_scratch_destroy(struct weft_router_scratch *scratch)
{
    if (!scratch)
        return;
    weft_regex_scratch_destroy(scratch->regex);
    free(scratch);
}

size_t weft_router_scratch_bytes(const struct weft_router *router)
{
    return sizeof(struct weft_router_scratch) +
           (router->regex_count > 0 ? weft_regex_scratch_bytes() : 0);
}

weft_rc weft_router_attach(struct weft_router *router, struct weft_ledger *ledger,
                           uint32_t scratch_count)
{
    if (router->regex_count == 0)
        return 0;
    return weft_leash_attach(&router->leash, ledger,
                             weft_leash_used(&router->leash) +
                                 scratch_count * weft_regex_scratch_leash_bytes());
}

void weft_router_detach(struct weft_router *router)
{
    weft_leash_detach(&router->leash);
}

/* A match under way. */
struct walk {
    const char *text;  /* the path, or its copy when it is shorter than a word */
    size_t text_bytes; /* readable at text: 8 at least */
    weft_str path;
    size_t at; /* how far it got */
};

/* The eight bytes from `at` as a little-endian word, zeros behind the end. */
static inline uint64_t word_at(const struct walk *w, size_t at)
{
    size_t end = at + sizeof(uint64_t);
    size_t over = end > w->text_bytes ? end - w->text_bytes : 0; /* 0..8 */
    uint64_t word;
    memcpy(&word, w->text + at - over, sizeof(word));
    word = le64toh(word);
    return word >> (4 * over) >> (4 * over); /* in two: a shift by 64 is undefined */
}

/* Ones for the first n (0..8) bytes of a word. */
static inline uint64_t first_bytes(size_t n)
{
    return ((uint64_t)1 << (4 * n) << (4 * n)) - 1;
}

/* The high bit of each zero byte; exact for the lowest one, which is all that is asked for. */
static inline uint64_t zero_bytes(uint64_t word)
{
    return (word - LOW_BITS) & ~word & HIGH_BITS;
}

static inline size_t segment_end(const struct walk *w)
{
    size_t at = w->at;
    while (at < w->path.len) {
        uint64_t slashes = zero_bytes(word_at(w, at) ^ (LOW_BITS * '/'));
        if (slashes != 0)
            return at + (size_t)__builtin_ctzll(slashes) / 8;
        at += sizeof(uint64_t);
    }
    return w->path.len;
}

static inline bool text_matches(const struct weft_node *node, const struct walk *w)
{
    size_t len = node->text_len;
    if (len <= sizeof(uint64_t))
        return ((word_at(w, w->at) ^ node->text[0]) & first_bytes(len)) == 0;
    return w->at + len <= w->path.len && word_at(w, w->at) == node->text[0] &&
           ((word_at(w, w->at + sizeof(uint64_t)) ^ node->text[1]) &
            first_bytes(len - sizeof(uint64_t))) == 0;
}

static inline uint32_t child_of(const struct weft_nodes *nodes, const struct weft_node *node,
                                unsigned char byte)
{
    if (WEFT_UNLIKELY(node->label_count == WEFT_NODE_WIDE)) {
        uint32_t place = nodes->wides[node->wide].child[byte];
        return place > 0 ? node->child + place - 1 : WEFT_NODE_NONE;
    }
    uint64_t low = zero_bytes(node->labels[0] ^ (LOW_BITS * byte));
    uint64_t high = zero_bytes(node->labels[1] ^ (LOW_BITS * byte));
    if ((low | high) == 0)
        return WEFT_NODE_NONE;
    uint32_t place = (uint32_t)__builtin_ctzll(low != 0 ? low : high) / 8 + (low != 0 ? 0 : 8);
    return place < node->label_count ? node->child + place : WEFT_NODE_NONE; /* byte 0: too far */
}

/* Takes what a parameter takes, from where it begins on this path. */
static inline enum weft_regex_rc take_param(const struct weft_router *router,
                                            struct weft_router_scratch *scratch,
                                            const struct weft_node *node, struct walk *w,
                                            struct weft_match *out)
{
    w->at = node->offset;
    if (node->param_index > 0) {
        const weft_str *before = &out->params[node->param_index - 1];
        w->at += (size_t)(before->ptr - w->path.ptr) + before->len;
    }
    size_t end = node->kind >= WEFT_PART_REGEX_END ? w->path.len : segment_end(w);
    weft_str text = weft_str_make(w->path.ptr + w->at, end - w->at);
    out->params[node->param_index] = text;
    w->at = end;

    uint64_t natural;
    int64_t integer;
    switch ((enum weft_part_kind)node->kind) {
    case WEFT_PART_SEGMENT:
    case WEFT_PART_REST_SOME:
        return text.len > 0 ? WEFT_REGEX_YES : WEFT_REGEX_NO;
    case WEFT_PART_U64:
        return weft_str_to_u64(text, &natural) == 0 ? WEFT_REGEX_YES : WEFT_REGEX_NO;
    case WEFT_PART_I64:
        return weft_str_to_i64(text, &integer) == 0 ? WEFT_REGEX_YES : WEFT_REGEX_NO;
    case WEFT_PART_REGEX:
        if (text.len == 0)
            return WEFT_REGEX_NO;
        return weft_regex_match(router->regexes[node->regex - 1].code, scratch->regex, text);
    case WEFT_PART_REGEX_END:
        return weft_regex_match(router->regexes[node->regex - 1].code, scratch->regex, text);
    case WEFT_PART_REST:
    case WEFT_PART_WILDCARD:
        return WEFT_REGEX_YES;
    case WEFT_PART_TEXT:
        break; /* `then` and `fail` lead to parameters only */
    }
    weft_assert(false);
    return WEFT_REGEX_NO;
}

/* Set bits; x86-64 without extensions has no instruction for it. */
static inline uint32_t count_bits(uint32_t bits)
{
    bits -= bits >> 1 & 0x55555555u;
    bits = (bits & 0x33333333u) + (bits >> 2 & 0x33333333u);
    return ((bits + (bits >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}

static inline void take_found(const struct weft_node_route *found, struct weft_match *out)
{
    out->route = found->route;
    out->pattern = found->pattern;
    out->param_count = found->pattern->param_count;
}

/* The route of a node for the method, if it has one. */
static inline bool take_route(const struct weft_nodes *nodes, const struct weft_node *node,
                              uint32_t bit, struct weft_match *out)
{
    out->allow |= node->allow;
    if ((node->allow & bit) == 0) {
        if (bit != 1u << WEFT_HEAD || (node->allow & (1u << WEFT_GET)) == 0)
            return false;
        bit = 1u << WEFT_GET; /* RFC 9110 9.3.2: HEAD is GET without the content */
    }
    take_found(&nodes->routes[node->route + count_bits(node->allow & (bit - 1))], out);
    return true;
}

static enum weft_match_rc no_route(struct weft_match *out)
{
    if (out->allow == 0)
        return WEFT_MATCH_NOT_FOUND;
    if ((out->allow & (1u << WEFT_GET)) != 0)
        out->allow |= 1u << WEFT_HEAD;
    return WEFT_MATCH_METHOD;
}

static enum weft_match_rc walk(const struct weft_router *router,
                               struct weft_router_scratch *scratch, uint32_t bit, struct walk *w,
                               struct weft_match *out)
{
    const struct weft_nodes *nodes = &router->nodes;
    const struct weft_node *node = &nodes->at[WEFT_NODE_ROOT];
    for (;;) {
        uint32_t next = node->fail;
        if (text_matches(node, w)) {
            w->at += node->text_len;
            next = node->then;
            if (w->at < w->path.len) {
                uint32_t child = child_of(nodes, node, (unsigned char)w->path.ptr[w->at]);
                if (child != WEFT_NODE_NONE) {
                    w->at++;
                    node = &nodes->at[child];
                    continue;
                }
            } else if (take_route(nodes, node, bit, out)) {
                return WEFT_MATCH_OK;
            }
        }
        enum weft_regex_rc taken = WEFT_REGEX_NO;
        for (; next != WEFT_NODE_NONE && taken == WEFT_REGEX_NO; next = node->fail) {
            node = &nodes->at[next];
            taken = take_param(router, scratch, node, w, out);
        }
        if (taken != WEFT_REGEX_YES)
            return taken == WEFT_REGEX_LIMIT ? WEFT_MATCH_LIMIT : no_route(out);
    }
}

/* Apart, so that the quick way does not pay for it. */
__attribute__((noinline)) static enum weft_match_rc walk_nodes(const struct weft_router *router,
                                                               struct weft_router_scratch *scratch,
                                                               uint32_t bit, weft_str path,
                                                               struct weft_match *out)
{
    char copy[sizeof(uint64_t)] = {0};
    struct walk w = {.text = path.ptr, .text_bytes = path.len, .path = path};
    if (path.len < sizeof(copy)) {
        for (size_t i = 0; i < path.len; i++)
            copy[i] = path.ptr[i];
        w.text = copy;
        w.text_bytes = sizeof(copy);
    }
    return walk(router, scratch, bit, &w, out);
}

enum weft_match_rc weft_router_match(const struct weft_router *router,
                                     struct weft_router_scratch *scratch, enum weft_method method,
                                     weft_str method_name, weft_str path, struct weft_match *out)
{
    weft_debug_assert(router->compiled);
    out->allow = 0;
    out->param_count = 0;
    uint32_t bit = method_bit(router, method, method_name);
    if (path.len == 1 && router->slash != WEFT_NODE_NONE && path.ptr[0] == '/' &&
        take_route(&router->nodes, &router->nodes.at[router->slash], bit, out))
        return WEFT_MATCH_OK;
    const struct weft_node_route *found = weft_segs_find(&router->segs, method, path, out->params);
    if (found) {
        take_found(found, out);
        return WEFT_MATCH_OK;
    }
    return walk_nodes(router, scratch, bit, path, out);
}

weft_str weft_router_method_name(const struct weft_router *router, uint32_t bit_index)
{
    if (bit_index < WEFT_METHOD_OTHER)
        return weft_method_name((enum weft_method)bit_index);
    uint32_t custom = bit_index - WEFT_METHOD_OTHER;
    return custom < router->custom_count ? router->customs[custom] : WEFT_S("");
}

weft_str weft_match_param(const struct weft_match *match, weft_str name)
{
    int index = match->param_count > 0 ? weft_pattern_param(match->pattern, name) : -1;
    return index >= 0 ? match->params[index] : WEFT_S("");
}
