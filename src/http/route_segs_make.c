/* route_segs_make.c - from routes to rows of slots, while the server starts; see route_segs.h.
 *
 * All arrays are as large as the number of slashes in all patterns allows, so that none has to
 * grow, but that of the slots: how tight rows can be packed shows itself on the way.
 */
#include "http/route_segs.h"
#include <endian.h>
#include <stdlib.h>

#define NONE           UINT32_MAX
#define HASHES_TRIED   64u
#define PARTS_MAX      8192u /* more than that do not stay in the cache: the nodes are quicker then */
#define TRIES_MAX      512u /* places tried for a row before it goes to the end */
#define SLOTS_PER_PART 16u  /* more slots than that per place: there is no quick way */
#define SLOT_BYTES     ((uint32_t)sizeof(struct weft_seg_slot))
#define SYMBOL_BYTES   ((uint32_t)sizeof(struct weft_seg_symbol))
#define FIRST_FACTOR   0xd6e8feb86659fd93u

/* A place in the tree of segments. */
struct place {
    uint32_t symbol; /* index of the text that leads here, or NONE: a parameter */
    uint32_t children, next;
    uint32_t child_count;
    uint32_t param;  /* place, or NONE */
    uint32_t routes; /* linked by maker.route_next, ordered by method; or NONE */
    uint32_t state;
    bool no_param; /* something goes before {x} that is not here */
};

struct maker {
    struct weft_segs *segs;
    const struct weft_tree *tree;
    struct place *places;
    struct weft_seg_symbol *symbols;  /* [0, symbol_count), in the order in which they were met */
    uint32_t *symbol_map, *child_map; /* by hash: index + 1, or 0 */
    uint32_t *route_next;
    uint32_t *order; /* places, those with most children first */
    uint32_t place_count, symbol_count;
    uint32_t map_mask;
    uint32_t room; /* slots */
    uint32_t used; /* slots from here on are free */
};

/* What comes between two slashes of a pattern. */
enum seg_kind {
    SEG_TEXT,
    SEG_PARAM,
    SEG_BEFORE, /* not here, and might go before {x} */
    SEG_AFTER,  /* not here, goes after {x} */
    SEG_END,
};

struct cursor {
    const struct weft_parts *parts;
    uint32_t part;
    size_t at; /* in the text of the part */
};

static enum seg_kind kind_of_param(enum weft_part_kind kind, size_t text_len)
{
    if (text_len > 0 || kind < WEFT_PART_SEGMENT)
        return SEG_BEFORE;
    return kind == WEFT_PART_SEGMENT ? SEG_PARAM : SEG_AFTER;
}

/* From a slash to the next one, both left out. */
static enum seg_kind next_segment(struct cursor *c, weft_str *out)
{
    if (c->part == c->parts->count)
        return SEG_END;
    const struct weft_part *part = &c->parts->at[c->part];
    if (part->kind != WEFT_PART_TEXT || part->text.ptr[c->at] != '/')
        return SEG_BEFORE; /* the pattern "*" */
    const char *begin = part->text.ptr + c->at + 1;
    size_t left = part->text.len - c->at - 1;
    const char *slash = left > 0 ? memchr(begin, '/', left) : NULL;
    *out = weft_str_make(begin, slash ? (size_t)(slash - begin) : left);
    c->at += 1 + out->len;
    if (!slash) {
        c->part++;
        c->at = 0;
        if (c->part < c->parts->count)
            return kind_of_param(c->parts->at[c->part++].kind, out->len);
    }
    return out->len <= WEFT_SEG_TEXT_MAX ? SEG_TEXT : SEG_BEFORE;
}

static uint64_t word_of(const char *bytes, size_t len)
{
    uint64_t word = 0;
    if (len > 0)
        memcpy(&word, bytes, len);
    return le64toh(word);
}

static uint64_t hash_of(const struct weft_segs *segs, const struct weft_seg_symbol *s)
{
    return weft_seg_hash(segs, s->low, s->high, s->len);
}

static uint32_t add_symbol(struct maker *m, weft_str text)
{
    struct weft_seg_symbol s = {.len = (uint32_t)text.len};
    s.low = word_of(text.ptr, WEFT_MIN(text.len, 8u));
    s.high = text.len > 8 ? word_of(text.ptr + 8, text.len - 8) : 0;
    uint32_t at = (uint32_t)(hash_of(m->segs, &s) >> 32) & m->map_mask;
    for (; m->symbol_map[at] != 0; at = (at + 1) & m->map_mask) {
        const struct weft_seg_symbol *known = &m->symbols[m->symbol_map[at] - 1];
        if (known->low == s.low && known->high == s.high && known->len == s.len)
            return m->symbol_map[at] - 1;
    }
    m->symbol_map[at] = m->symbol_count + 1;
    m->symbols[m->symbol_count] = s; /* its id comes when all are known */
    return m->symbol_count++;
}

static uint32_t add_place(struct maker *m, uint32_t symbol)
{
    m->places[m->place_count] = (struct place){
        .symbol = symbol, .children = NONE, .next = NONE, .param = NONE, .routes = NONE};
    return m->place_count++;
}

static uint32_t add_child(struct maker *m, uint32_t parent, uint32_t symbol)
{
    uint64_t hash = ((uint64_t)parent << 32 | symbol) * FIRST_FACTOR;
    uint32_t at = (uint32_t)((hash ^ hash >> 29) >> 8) & m->map_mask;
    for (; m->child_map[at] != 0; at = (at + 1) & m->map_mask) {
        uint32_t known = m->child_map[at] - 1;
        if (m->places[known].symbol == symbol && m->places[known].state == parent)
            return known;
    }
    uint32_t child = add_place(m, symbol);
    m->places[child].state = parent; /* until states are given out */
    m->places[child].next = m->places[parent].children;
    m->places[parent].children = child;
    m->places[parent].child_count++;
    m->child_map[at] = child + 1;
    return child;
}

static void add_end(struct maker *m, uint32_t place, uint32_t route)
{
    uint32_t *link = &m->places[place].routes;
    while (*link != NONE && m->tree->routes[*link].method < m->tree->routes[route].method)
        link = &m->route_next[*link];
    m->route_next[route] = *link;
    *link = route;
}

static void add_route(struct maker *m, uint32_t route)
{
    char error[128];
    struct weft_parts parts;
    weft_str text = m->tree->routes[route].pattern->text, segment = {0};
    weft_rc rc = weft_pattern_parse(text, &parts, error, sizeof(error));
    weft_assert(rc == 0); /* it was parsed when it was added */
    struct cursor c = {.parts = &parts};
    uint32_t at = 0, params = 0;
    for (;;) {
        struct place *place = &m->places[at];
        switch (next_segment(&c, &segment)) {
        case SEG_TEXT:
            at = add_child(m, at, add_symbol(m, segment));
            break;
        case SEG_PARAM:
            if (params++ == WEFT_SEG_PARAM_MAX) {
                place->no_param = true;
                return;
            }
            if (place->param == NONE)
                place->param = add_place(m, NONE);
            at = place->param;
            break;
        case SEG_BEFORE:
            place->no_param = true;
            return;
        case SEG_AFTER:
            return;
        case SEG_END:
            add_end(m, at, route);
            return;
        }
    }
}

/* Places by their number of children, most first: what is large goes in while there is room. */
static void sort_places(struct maker *m)
{
    uint32_t at = 0, largest = 0;
    for (uint32_t i = 0; i < m->place_count; i++)
        largest = WEFT_MAX(largest, m->places[i].child_count);
    for (uint32_t count = largest, next; at < m->place_count; count = next) {
        next = 0;
        for (uint32_t i = 0; i < m->place_count; i++) {
            if (m->places[i].child_count == count)
                m->order[at++] = i;
            else if (m->places[i].child_count < count)
                next = WEFT_MAX(next, m->places[i].child_count);
        }
    }
}

/* Numbers the symbols so that those of one place lie close together, and its row is short. */
static void number_symbols(const struct maker *m)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->place_count; i++)
        for (uint32_t c = m->places[m->order[i]].children; c != NONE; c = m->places[c].next)
            if (m->symbols[m->places[c].symbol].id == 0)
                m->symbols[m->places[c].symbol].id = ++count * SLOT_BYTES;
}

/* ---- symbols: hash and displace ---- */

static uint32_t bucket_of(const struct weft_segs *segs, const struct weft_seg_symbol *s)
{
    return (uint32_t)hash_of(segs, s) & segs->shift_mask;
}

static struct weft_seg_symbol *symbol_at(const struct weft_segs *segs,
                                         const struct weft_seg_symbol *s, uint32_t shift)
{
    uint32_t byte = ((uint32_t)(hash_of(segs, s) >> 32) ^ shift) & segs->symbol_mask;
    return &segs->symbols[byte / SYMBOL_BYTES];
}

/* Puts the symbols of a bucket where there is room for all of them. */
static bool settle(const struct maker *m, const uint32_t *next, uint32_t first, uint32_t *out_shift)
{
    struct weft_segs *segs = m->segs;
    for (uint32_t shift = 0; shift <= segs->symbol_mask; shift += SYMBOL_BYTES) {
        uint32_t i = first;
        for (; i != NONE && symbol_at(segs, &m->symbols[i], shift)->id == 0; i = next[i])
            *symbol_at(segs, &m->symbols[i], shift) = m->symbols[i];
        *out_shift = shift;
        if (i == NONE)
            return true;
        for (uint32_t j = first; j != i; j = next[j]) /* take them back */
            *symbol_at(segs, &m->symbols[j], shift) = (struct weft_seg_symbol){0};
    }
    return false;
}

/* All symbols with one pair of mixers, full buckets first.
 *  buckets  room for the first symbol of each; sizes: and how many it has; next: per symbol */
static bool settle_all(const struct maker *m, uint32_t *buckets, uint32_t *sizes, uint32_t *next)
{
    struct weft_segs *segs = m->segs;
    memset(segs->symbols, 0, (size_t)segs->symbol_mask + SYMBOL_BYTES);
    memset(buckets, 0xff, ((size_t)segs->shift_mask + 1) * sizeof(*buckets));
    memset(sizes, 0, ((size_t)segs->shift_mask + 1) * sizeof(*sizes));
    uint32_t largest = 0;
    for (uint32_t i = 0; i < m->symbol_count; i++) {
        uint32_t b = bucket_of(segs, &m->symbols[i]);
        next[i] = buckets[b];
        buckets[b] = i;
        sizes[b]++;
        largest = WEFT_MAX(largest, sizes[b]);
    }
    for (; largest > 0; largest--)
        for (uint32_t b = 0; b <= segs->shift_mask; b++)
            if (sizes[b] == largest && !settle(m, next, buckets[b], &segs->shifts[b]))
                return false;
    return true;
}

static uint32_t power_above(uint32_t n)
{
    uint32_t power = 1;
    while (power <= n)
        power *= 2;
    return power;
}

static void next_mix(struct weft_segs *segs)
{
    segs->low_mix = segs->high_mix * 6364136223846793005u | 1u;
    segs->high_mix = (segs->low_mix ^ segs->low_mix >> 31) * FIRST_FACTOR | 1u;
}

/* returns 0, WEFT_ENOMEM, WEFT_EFULL (no mixers were good enough) */
static weft_rc make_symbols(const struct maker *m)
{
    struct weft_segs *segs = m->segs;
    uint32_t room = power_above(2 * m->symbol_count);
    segs->symbol_mask = (room - 1) * SYMBOL_BYTES;
    segs->shift_mask = power_above(m->symbol_count / 2) - 1;
    segs->symbols = calloc(room, SYMBOL_BYTES);
    segs->shifts = calloc((size_t)segs->shift_mask + 1, sizeof(*segs->shifts));
    uint32_t *buckets = calloc((size_t)segs->shift_mask + 1, sizeof(*buckets));
    uint32_t *sizes = calloc((size_t)segs->shift_mask + 1, sizeof(*sizes));
    uint32_t *next = calloc((size_t)m->symbol_count + 1, sizeof(*next));
    weft_rc rc = WEFT_ENOMEM;
    if (segs->symbols && segs->shifts && buckets && sizes && next) {
        rc = WEFT_EFULL;
        for (uint32_t i = 0; rc != 0 && i < HASHES_TRIED; i++) {
            next_mix(segs);
            rc = settle_all(m, buckets, sizes, next) ? 0 : WEFT_EFULL;
        }
    }
    free(buckets);
    free(sizes);
    free(next);
    return rc;
}

/* ---- states: rows between rows ---- */

/* Slots up to `end` exist, and behind them one for each symbol: a row may be looked at anywhere. */
static weft_rc need_slots(struct maker *m, uint32_t end)
{
    uint64_t want = (uint64_t)end + m->symbol_count + 1;
    if (want <= m->room)
        return 0;
    if (end > 64 + SLOTS_PER_PART * (m->place_count + m->symbol_count))
        return WEFT_EFULL;
    want += want / 2;
    struct weft_seg_slot *slots = realloc(m->segs->slots, want * sizeof(*slots));
    if (!slots)
        return WEFT_ENOMEM;
    memset(slots + m->room, 0, (want - m->room) * sizeof(*slots));
    m->segs->slots = slots;
    m->room = (uint32_t)want;
    return 0;
}

/* Of the text that leads to a place, in slots. */
static uint32_t id_of(const struct maker *m, uint32_t place)
{
    return m->symbols[m->places[place].symbol].id / SLOT_BYTES;
}

static bool row_fits(const struct maker *m, const struct place *place, uint32_t state)
{
    const struct weft_seg_slot *slots = m->segs->slots;
    if (slots[state].owner != 0)
        return false;
    for (uint32_t c = place->children; c != NONE; c = m->places[c].next)
        if (slots[state + id_of(m, c)].owner != 0)
            return false;
    return true;
}

/* Where a row goes: in the first gap from *hint on, or at the end. */
static weft_rc place_row(struct maker *m, struct place *place, uint32_t *hint)
{
    while (*hint < m->used && m->segs->slots[*hint].owner != 0)
        ++*hint;
    uint32_t state = *hint;
    for (uint32_t tries = 0; state < m->used && tries < TRIES_MAX; tries++, state++)
        if (row_fits(m, place, state))
            break;
    if (state < m->used && !row_fits(m, place, state))
        state = m->used;
    uint32_t last = state;
    for (uint32_t c = place->children; c != NONE; c = m->places[c].next)
        last = WEFT_MAX(last, state + id_of(m, c));
    WEFT_TRY(need_slots(m, last + 1));
    struct weft_seg_slot *slots = m->segs->slots;
    slots[state].owner = state * SLOT_BYTES + WEFT_SEG_OWN;
    for (uint32_t c = place->children; c != NONE; c = m->places[c].next)
        slots[state + id_of(m, c)].owner = state * SLOT_BYTES;
    place->state = state;
    m->used = WEFT_MAX(m->used, last + 1);
    return 0;
}

static void fill_row(struct maker *m, const struct place *place)
{
    struct weft_segs *segs = m->segs;
    struct weft_seg_slot *own = &segs->slots[place->state];
    if (place->param != NONE && !place->no_param)
        own->next = m->places[place->param].state * SLOT_BYTES;
    for (uint32_t c = place->children; c != NONE; c = m->places[c].next)
        own[id_of(m, c)].next = m->places[c].state * SLOT_BYTES;
    own->route = segs->route_count;
    for (uint32_t at = place->routes; at != NONE; at = m->route_next[at]) {
        const struct weft_tree_route *route = &m->tree->routes[at];
        own->allow |= 1u << route->method;
        segs->routes[segs->route_count++] = (struct weft_node_route){route->route, route->pattern};
    }
}

/* returns 0, WEFT_ENOMEM, WEFT_EFULL (too many slots) */
static weft_rc make_rows(struct maker *m)
{
    m->used = 1; /* slot 0 is WEFT_SEG_DEAD's */
    WEFT_TRY(need_slots(m, m->used));
    uint32_t hint = 1;
    for (uint32_t i = 0; i < m->place_count; i++)
        WEFT_TRY(place_row(m, &m->places[m->order[i]], &hint));
    for (uint32_t i = 0; i < m->place_count; i++)
        fill_row(m, &m->places[i]);
    m->segs->root = m->places[0].state * SLOT_BYTES;
    m->segs->slot_count = m->room;
    return 0;
}

static weft_rc make(struct maker *m)
{
    const struct weft_tree *tree = m->tree;
    size_t slashes = 0;
    for (uint32_t i = 0; i < tree->route_count; i++)
        for (size_t b = 0; b < tree->routes[i].pattern->text.len; b++)
            slashes += tree->routes[i].pattern->text.ptr[b] == '/';
    if (slashes > PARTS_MAX)
        return WEFT_EFULL;
    m->map_mask = power_above(2 * (uint32_t)slashes) - 1;
    m->places = calloc(slashes + 1, sizeof(*m->places));
    m->order = calloc(slashes + 1, sizeof(*m->order));
    m->symbols = calloc(slashes + 1, sizeof(*m->symbols));
    m->symbol_map = calloc((size_t)m->map_mask + 1, sizeof(*m->symbol_map));
    m->child_map = calloc((size_t)m->map_mask + 1, sizeof(*m->child_map));
    m->route_next = calloc((size_t)tree->route_count + 1, sizeof(*m->route_next));
    m->segs->routes = calloc((size_t)tree->route_count + 1, sizeof(*m->segs->routes));
    if (!m->places || !m->order || !m->symbols || !m->symbol_map || !m->child_map ||
        !m->route_next || !m->segs->routes)
        return WEFT_ENOMEM;
    next_mix(m->segs);
    (void)add_place(m, NONE); /* the root */
    for (uint32_t i = 0; i < tree->route_count; i++)
        add_route(m, i);
    sort_places(m);
    number_symbols(m);
    WEFT_TRY(make_symbols(m));
    return make_rows(m);
}

weft_rc weft_segs_init(struct weft_segs *out, const struct weft_tree *tree)
{
    *out = (struct weft_segs){0};
    struct maker m = {.segs = out, .tree = tree};
    weft_rc rc = make(&m);
    if (rc == WEFT_EFULL) {
        weft_segs_fini(out);
        rc = 0;
    }
    free(m.places);
    free(m.order);
    free(m.symbols);
    free(m.symbol_map);
    free(m.child_map);
    free(m.route_next);
    return rc;
}

void weft_segs_fini(struct weft_segs *segs)
{
    free(segs->slots);
    free(segs->symbols);
    free(segs->shifts);
    free(segs->routes);
    *segs = (struct weft_segs){0};
}

size_t weft_segs_bytes(const struct weft_segs *segs)
{
    if (!segs->slots)
        return 0;
    return segs->slot_count * sizeof(*segs->slots) + (size_t)segs->symbol_mask + SYMBOL_BYTES +
           ((size_t)segs->shift_mask + 1) * sizeof(*segs->shifts) +
           segs->route_count * sizeof(*segs->routes);
}
