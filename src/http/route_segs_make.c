/* route_segs_make.c - how the form of route_segs.h is made: cut the patterns into segments, link
 * these into a trie, and find for each state the bits of the hash that tell its words apart.
 *
 * Runs while the server starts: plain before fast, but nothing is quadratic in the routes.
 */
#include "http/route_segs.h"
#include <endian.h>
#include <stdlib.h>

#define SHIFT_MIN       16u   /* the low bits of a product depend on few bits of the word */
#define STATE_WORDS_MAX 256u  /* a state with more words is left to the nodes, */
#define TABLE_WORDS_MAX 2048u /* and one whose table would have to be larger */
#define NONE            UINT32_MAX

enum kind {
    KIND_U64,
    KIND_I64,
    KIND_NAME,
    KINDS,
    KIND_WORD,
    KIND_OTHER,   /* left to the nodes, which try it after all the others */
    KIND_BLOCKING /* text, then a parameter: goes before a parameter alone */
};

/* ---- segments of a pattern ---- */

struct segment {
    enum kind kind;
    weft_str word;
};

struct cutter {
    struct weft_parts parts;
    uint32_t part;
    weft_str rest; /* of the text that it is in */
    bool done;
};

static void cutter_init(struct cutter *c, const struct weft_pattern *pattern)
{
    char error[1];
    weft_rc rc = weft_pattern_parse(pattern->text, &c->parts, error, sizeof(error));
    weft_assert(rc == 0); /* it was added */
    c->part = 0;
    c->done = false;
    c->rest = weft_str_make(c->parts.at[0].text.ptr + 1, c->parts.at[0].text.len - 1);
}

static enum kind kind_of(const struct weft_part *part)
{
    switch (part->kind) {
    case WEFT_PART_U64:
        return KIND_U64;
    case WEFT_PART_I64:
        return KIND_I64;
    case WEFT_PART_SEGMENT:
        return KIND_NAME;
    default:
        return KIND_OTHER;
    }
}

static bool next_segment(struct cutter *c, struct segment *out)
{
    if (c->done)
        return false;
    const char *slash = c->rest.len > 0 ? memchr(c->rest.ptr, '/', c->rest.len) : NULL;
    *out = (struct segment){.kind = KIND_WORD, .word = c->rest};
    if (slash) {
        out->word.len = (size_t)(slash - c->rest.ptr);
        out->kind = out->word.len > 0 ? KIND_WORD : KIND_OTHER;
        c->rest = weft_str_make(slash + 1, c->rest.len - out->word.len - 1);
        return true;
    }
    if (++c->part < c->parts.count) { /* a parameter, and it ends its segment */
        out->kind = out->word.len > 0 ? KIND_BLOCKING : kind_of(&c->parts.at[c->part]);
        c->part++;
    } else if (out->word.len == 0) {
        out->kind = KIND_OTHER;
    }
    c->done = c->part >= c->parts.count;
    if (!c->done)
        c->rest =
            weft_str_make(c->parts.at[c->part].text.ptr + 1, c->parts.at[c->part].text.len - 1);
    return true;
}

/* ---- the trie ---- */

struct state {
    uint32_t params[KINDS];     /* state behind a parameter of that kind; 0: none */
    bool blocked;               /* what is no word here is left to the nodes */
    uint32_t words, word_count; /* linked through edges[].next */
    uint32_t routes;            /* of the tree, linked through next_route[] */
    uint32_t table, table_bits; /* in segs->words[] */
    uint8_t shift;
    uint8_t u64s, i64s, param_count;
};

struct edge {
    weft_str word;
    uint32_t from, to, next;
};

struct maker {
    const struct weft_tree *tree;
    struct weft_segs *segs;
    uint32_t segment_count; /* of all patterns: no more edges or states than that */
    struct state *states;
    uint32_t state_count;
    struct edge *edges;
    uint32_t edge_count;
    uint32_t *edge_slots; /* open addressing: place in edges[] plus one */
    uint32_t edge_mask;
    uint32_t *next_route;
    uint32_t word_room;
};

static uint32_t new_state(struct maker *m, struct state before, enum kind kind)
{
    struct state *state = &m->states[m->state_count];
    *state = (struct state){.routes = NONE, .words = NONE};
    state->u64s = before.u64s;
    state->i64s = before.i64s;
    state->param_count = before.param_count;
    if (kind < KINDS) {
        uint8_t bit = (uint8_t)(1u << state->param_count++);
        state->u64s |= kind == KIND_U64 ? bit : 0;
        state->i64s |= kind == KIND_I64 ? bit : 0;
    }
    return m->state_count++;
}

static uint32_t edge_hash(uint32_t from, weft_str word)
{
    uint64_t hash = from;
    for (size_t i = 0; i < word.len; i++)
        hash = (hash ^ (unsigned char)word.ptr[i]) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(hash >> 32);
}

static uint32_t behind_word(struct maker *m, uint32_t from, weft_str word)
{
    uint32_t slot = edge_hash(from, word) & m->edge_mask;
    for (; m->edge_slots[slot] != 0; slot = (slot + 1) & m->edge_mask) {
        const struct edge *edge = &m->edges[m->edge_slots[slot] - 1];
        if (edge->from == from && weft_str_eq(edge->word, word))
            return edge->to;
    }
    uint32_t to = new_state(m, m->states[from], KIND_WORD);
    m->edges[m->edge_count] = (struct edge){word, from, to, m->states[from].words};
    m->states[from].words = m->edge_count++;
    m->states[from].word_count++;
    m->edge_slots[slot] = m->edge_count;
    return to;
}

static void add_route(struct maker *m, uint32_t route)
{
    struct cutter c;
    struct segment segment;
    uint32_t at = 0;
    for (cutter_init(&c, m->tree->routes[route].pattern); next_segment(&c, &segment);) {
        if (segment.kind == KIND_WORD) {
            at = behind_word(m, at, segment.word);
        } else if (segment.kind < KINDS && m->states[at].param_count + 1 < WEFT_PARAMS_MAX) {
            if (m->states[at].params[segment.kind] == 0)
                m->states[at].params[segment.kind] = new_state(m, m->states[at], segment.kind);
            at = m->states[at].params[segment.kind];
        } else { /* also the last parameter of eight: a look-up writes one ahead */
            m->states[at].blocked |= segment.kind != KIND_OTHER;
            return;
        }
    }
    m->next_route[route] = m->states[at].routes;
    m->states[at].routes = route;
}

static uint32_t bits_for(uint32_t n)
{
    uint32_t bits = 1;
    while (bits < 31 && (uint32_t)1 << bits < n)
        bits++;
    return bits;
}

static weft_rc make_trie(struct maker *m)
{
    struct cutter c;
    struct segment segment;
    for (uint32_t i = 0; i < m->tree->route_count; i++)
        for (cutter_init(&c, m->tree->routes[i].pattern); next_segment(&c, &segment);)
            m->segment_count++;
    m->edge_mask = (1u << bits_for(m->segment_count * 2)) - 1;
    m->states = calloc(m->segment_count + 1u, sizeof(*m->states));
    m->edges = calloc(m->segment_count + 1u, sizeof(*m->edges));
    m->edge_slots = calloc((size_t)m->edge_mask + 1, sizeof(*m->edge_slots));
    m->next_route = calloc(m->tree->route_count + 1u, sizeof(*m->next_route));
    if (!m->states || !m->edges || !m->edge_slots || !m->next_route)
        return WEFT_ENOMEM;
    (void)new_state(m, (struct state){0}, KIND_WORD); /* state 0: before the first segment */
    for (uint32_t i = 0; i < m->tree->route_count; i++)
        add_route(m, i);
    return 0;
}

/* ---- the tables of words ---- */

static uint64_t little_endian(const char *bytes, size_t len)
{
    uint64_t word = 0;
    memcpy(&word, bytes, len);
    return le64toh(word);
}

static struct weft_seg_word word_of(weft_str text)
{
    struct weft_seg_word word = {.len = (uint32_t)text.len};
    size_t key_bytes = WEFT_MIN(text.len, sizeof(uint64_t));
    word.key = little_endian(text.ptr + text.len - key_bytes, key_bytes);
    if (text.len > sizeof(uint64_t))
        word.head = little_endian(text.ptr, sizeof(uint64_t));
    return word;
}

static uint32_t slot_of(const struct state *s, const struct weft_seg_word *word)
{
    uint64_t hash = weft_seg_hash(word->key, word->head, word->len);
    return (uint32_t)(hash >> s->shift) & ((1u << s->table_bits) - 1);
}

/* Fills the state's table, or says that two words meet. */
static bool fill_table(struct maker *m, const struct state *s)
{
    struct weft_seg_word *table = m->segs->words + s->table;
    memset(table, 0, sizeof(*table) << s->table_bits);
    for (uint32_t at = s->words; at != NONE; at = m->edges[at].next) {
        struct weft_seg_word word = word_of(m->edges[at].word);
        struct weft_seg_word *slot = &table[slot_of(s, &word)];
        if (slot->len != 0)
            return false;
        *slot = word;
        slot->text = at; /* link_words() fills in the rest */
    }
    return true;
}

static weft_rc reserve_words(struct maker *m, uint32_t count)
{
    if (count <= m->word_room)
        return 0;
    uint32_t room = WEFT_MAX(count, m->word_room * 2);
    struct weft_seg_word *words = realloc(m->segs->words, room * sizeof(*words));
    if (!words)
        return WEFT_ENOMEM;
    m->segs->words = words;
    m->word_room = room;
    return 0;
}

/* The smallest table without collisions. A state for which there is none is blocked, words and all:
 * the tree does it. */
static weft_rc make_table(struct maker *m, struct state *s)
{
    if (s->word_count == 0)
        return 0;
    if (s->word_count <= STATE_WORDS_MAX) {
        s->table = m->segs->word_count;
        WEFT_TRY(reserve_words(m, s->table + TABLE_WORDS_MAX));
        for (uint32_t bits = bits_for(s->word_count); 1u << bits <= TABLE_WORDS_MAX; bits++) {
            s->table_bits = bits;
            for (uint32_t shift = 64 - bits; shift >= SHIFT_MIN; shift--) {
                s->shift = (uint8_t)shift;
                if (fill_table(m, s)) {
                    m->segs->word_count += 1u << bits;
                    return 0;
                }
            }
        }
    }
    s->table_bits = 0;
    s->blocked = true;
    return 0;
}

static weft_rc make_tables(struct maker *m)
{
    for (uint32_t i = 0; i < m->state_count; i++)
        WEFT_TRY(make_table(m, &m->states[i]));
    uint32_t count = m->segs->word_count;
    struct weft_seg_word *less = realloc(m->segs->words, WEFT_MAX(count, 1u) * sizeof(*less));
    m->segs->words = less ? less : m->segs->words;
    return 0;
}

/* ---- the form that is matched against ---- */

static uint32_t method_route(const struct maker *m, const struct state *s, uint32_t method)
{
    for (uint32_t at = s->routes; at != NONE; at = m->next_route[at])
        if (m->tree->routes[at].method == method)
            return at;
    return NONE;
}

static void link_routes(struct maker *m, const struct state *s, struct weft_seg_state *out)
{
    out->route = m->segs->route_count;
    uint8_t place = 0;
    for (uint32_t method = 0; s->routes != NONE && method < WEFT_METHOD_OTHER; method++) {
        uint32_t at = method_route(m, s, method);
        if (at == NONE)
            continue;
        m->segs->routes[m->segs->route_count++] =
            (struct weft_node_route){m->tree->routes[at].route, m->tree->routes[at].pattern};
        out->places[method] = ++place;
    }
    if (out->places[WEFT_HEAD] == 0) /* RFC 9110 9.3.2: HEAD is GET without the content */
        out->places[WEFT_HEAD] = out->places[WEFT_GET];
}

static void link_words(struct maker *m, const struct state *s)
{
    for (uint32_t i = 0; i < 1u << s->table_bits; i++) {
        struct weft_seg_word *word = &m->segs->words[s->table + i];
        if (word->len == 0)
            continue;
        const struct edge *edge = &m->edges[word->text];
        word->next = &m->segs->states[edge->to];
        word->text = m->segs->text_bytes;
        if (word->len > 2 * sizeof(uint64_t)) {
            memcpy(m->segs->texts + word->text, edge->word.ptr, word->len);
            m->segs->text_bytes += word->len;
        }
    }
}

static void link_state(struct maker *m, uint32_t i)
{
    const struct state *s = &m->states[i];
    struct weft_seg_state *out = &m->segs->states[i];
    *out = (struct weft_seg_state){.u64s = s->u64s, .i64s = s->i64s};
    for (uint32_t kind = 0; kind < KINDS && !out->param && !s->blocked; kind++)
        if (s->params[kind] != 0)
            out->param = &m->segs->states[s->params[kind]];
    if (s->table_bits != 0) {
        out->words = m->segs->words + s->table;
        out->mask = (uint16_t)((1u << s->table_bits) - 1);
        out->shift = s->shift;
        link_words(m, s);
    }
    link_routes(m, s, out);
}

static weft_rc make_states(struct maker *m)
{
    struct weft_segs *segs = m->segs;
    size_t text_bytes = 1;
    for (uint32_t i = 0; i < m->edge_count; i++)
        text_bytes += m->edges[i].word.len > 2 * sizeof(uint64_t) ? m->edges[i].word.len : 0;
    segs->states = aligned_alloc(
        WEFT_CACHE_LINE, WEFT_ALIGN_UP(m->state_count * sizeof(*segs->states), WEFT_CACHE_LINE));
    segs->routes = calloc(m->tree->route_count + 1u, sizeof(*segs->routes));
    segs->texts = malloc(text_bytes);
    if (!segs->states || !segs->routes || !segs->texts)
        return WEFT_ENOMEM;
    segs->state_count = m->state_count;
    for (uint32_t i = 0; i < m->state_count; i++)
        link_state(m, i);
    return 0;
}

weft_rc weft_segs_init(struct weft_segs *out, const struct weft_tree *tree)
{
    *out = (struct weft_segs){0};
    struct maker m = {.tree = tree, .segs = out};
    weft_rc rc = make_trie(&m);
    if (rc == 0)
        rc = make_tables(&m);
    if (rc == 0)
        rc = make_states(&m);
    free(m.states);
    free(m.edges);
    free(m.edge_slots);
    free(m.next_route);
    return rc;
}

void weft_segs_fini(struct weft_segs *segs)
{
    free(segs->states);
    free(segs->words);
    free(segs->routes);
    free(segs->texts);
    *segs = (struct weft_segs){0};
}

size_t weft_segs_bytes(const struct weft_segs *segs)
{
    return segs->state_count * sizeof(*segs->states) + segs->word_count * sizeof(*segs->words) +
           segs->route_count * sizeof(*segs->routes) + segs->text_bytes;
}
