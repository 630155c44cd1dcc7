/* coding.c - see coding.h. */
#include "http/coding.h"
#include "http/message.h"

static const struct {
    weft_str name;
    weft_str ending;
} texts[WEFT_CODING_COUNT] = {
    [WEFT_CODING_IDENTITY] = {WEFT_S("identity"), WEFT_S("")},
    [WEFT_CODING_GZIP] = {WEFT_S("gzip"), WEFT_S(".gz")},
    [WEFT_CODING_BR] = {WEFT_S("br"), WEFT_S(".br")},
    [WEFT_CODING_ZSTD] = {WEFT_S("zstd"), WEFT_S(".zst")},
};

weft_str weft_coding_name(enum weft_coding coding)
{
    weft_assert(coding < WEFT_CODING_COUNT);
    return texts[coding].name;
}

weft_str weft_coding_ending(enum weft_coding coding)
{
    weft_assert(coding < WEFT_CODING_COUNT);
    return texts[coding].ending;
}

enum weft_coding weft_coding_from(weft_str name)
{
    if (weft_str_ieq(name, WEFT_S("x-gzip"))) /* RFC 9110 8.4.1.3 */
        return WEFT_CODING_GZIP;
    for (enum weft_coding coding = WEFT_CODING_IDENTITY; coding < WEFT_CODING_COUNT; coding++)
        if (weft_str_ieq(name, texts[coding].name))
            return coding;
    return WEFT_CODING_NONE;
}

/* ---- the list ---- */

/* qvalue, RFC 9110 12.4.2: "0" or "1", up to three decimals, nothing above 1. -1: malformed. */
static int read_qvalue(weft_str text)
{
    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1'))
        return -1;
    int weight = (text.ptr[0] - '0') * WEFT_CODING_WEIGHT_MAX;
    if (text.len > 1 && text.ptr[1] != '.')
        return -1;
    int unit = WEFT_CODING_WEIGHT_MAX / 10;
    for (size_t i = 2; i < text.len; i++, unit /= 10) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return -1;
        weight += (text.ptr[i] - '0') * unit;
    }
    return weight <= WEFT_CODING_WEIGHT_MAX ? weight : -1;
}

/* Cuts what stands before the first `mark` off *rest; all of it where there is none. */
static weft_str cut(weft_str *rest, char mark)
{
    const char *at = rest->len > 0 ? memchr(rest->ptr, mark, rest->len) : NULL;
    size_t len = at != NULL ? (size_t)(at - rest->ptr) : rest->len;
    size_t skip = at != NULL ? len + 1 : len;
    weft_str head = weft_str_make(rest->ptr, len);
    *rest = weft_str_make(len < skip ? rest->ptr + skip : NULL, rest->len - skip);
    return weft_str_trim(head);
}

static void lower(int16_t *weight, int to)
{
    if (*weight < 0 || to < *weight)
        *weight = (int16_t)to;
}

/* codings [ OWS ";" OWS "q=" qvalue ] */
static void add_one(struct weft_codings *codings, weft_str rest)
{
    bool weighted = rest.len > 0 && memchr(rest.ptr, ';', rest.len) != NULL;
    weft_str name = cut(&rest, ';');
    weft_str q = weft_str_trim(rest);
    int weight = WEFT_CODING_WEIGHT_MAX;
    if (weighted) {
        if (q.len < 2 || (q.ptr[0] | 0x20) != 'q' || q.ptr[1] != '=')
            return;
        weight = read_qvalue(weft_str_make(q.ptr + 2, q.len - 2));
    }
    if (weight < 0)
        return;
    enum weft_coding coding = weft_coding_from(name);
    if (weft_str_eq(name, WEFT_S("*")))
        lower(&codings->others, weight);
    else if (coding != WEFT_CODING_NONE)
        lower(&codings->weight[coding], weight);
}

void weft_codings_init(struct weft_codings *codings)
{
    for (size_t i = 0; i < WEFT_CODING_COUNT; i++)
        codings->weight[i] = -1;
    codings->others = -1;
}

void weft_codings_add(struct weft_codings *codings, weft_str value)
{
    while (value.len > 0)
        add_one(codings, cut(&value, ','));
}

void weft_codings_of(struct weft_codings *codings, const weft_req *rq)
{
    weft_codings_init(codings);
    for (size_t i = 0; i < rq->head.field_count; i++)
        if (weft_str_ieq(weft_span_str(rq->base, rq->fields[i].name), WEFT_S("accept-encoding")))
            weft_codings_add(codings, weft_span_str(rq->base, rq->fields[i].value));
}

/* ---- the choice ---- */

uint32_t weft_codings_weight(const struct weft_codings *codings, enum weft_coding coding)
{
    weft_assert(coding < WEFT_CODING_COUNT);
    int weight = codings->weight[coding];
    if (weight < 0)
        weight = codings->others;
    if (weight < 0)
        weight = coding == WEFT_CODING_IDENTITY ? 1 : 0;
    return (uint32_t)weight;
}

/* Of equal weights: what is named, the densest first; identity; what only "*" allows, because not
 * all who say "*" can decode what they get then. */
static uint32_t rank(const struct weft_codings *codings, enum weft_coding coding)
{
    bool named = codings->weight[coding] >= 0 && coding != WEFT_CODING_IDENTITY;
    uint32_t order = coding == WEFT_CODING_IDENTITY ? WEFT_CODING_COUNT : coding;
    return weft_codings_weight(codings, coding) * 16 + order + (named ? WEFT_CODING_COUNT : 0);
}

enum weft_coding weft_codings_choose(const struct weft_codings *codings, uint32_t there)
{
    enum weft_coding best = WEFT_CODING_NONE;
    uint32_t most = 0;
    for (enum weft_coding coding = WEFT_CODING_IDENTITY; coding < WEFT_CODING_COUNT; coding++) {
        uint32_t here = rank(codings, coding);
        bool can = there & WEFT_CODING_BIT(coding) && weft_codings_weight(codings, coding) > 0;
        if (can && here > most) {
            best = coding;
            most = here;
        }
    }
    return best;
}
