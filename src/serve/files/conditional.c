/* conditional.c - see conditional.h. */
#include "serve/files/conditional.h"
#include "base/clock.h"
#include "base/str.h"

static bool is_weak(weft_str etag)
{
    return weft_str_starts(etag, WEFT_S("W/"));
}

static weft_str without_weak(weft_str etag)
{
    return is_weak(etag) ? weft_str_make(etag.ptr + 2, etag.len - 2) : etag;
}

static bool same_tag(weft_str a, weft_str b, bool weak)
{
    if (!weak && (is_weak(a) || is_weak(b)))
        return false;
    return weft_str_eq(without_weak(a), without_weak(b));
}

/* Bytes of the entity-tag that text begins with; 0: none (RFC 9110 8.8.3; a comma may be in it). */
static size_t tag_len(weft_str text)
{
    size_t at = is_weak(text) ? 2 : 0;
    if (at == text.len || text.ptr[at++] != '"')
        return 0;
    for (; at < text.len; at++) {
        unsigned char c = (unsigned char)text.ptr[at];
        if (c == '"')
            return at + 1;
        if (c <= 0x20 || c == 0x7f)
            return 0;
    }
    return 0;
}

/* Without the commas and spaces that stand between two elements. */
static weft_str skip_between(weft_str text)
{
    size_t at = 0;
    while (at < text.len && (text.ptr[at] == ',' || text.ptr[at] == ' ' || text.ptr[at] == '\t'))
        at++;
    return weft_str_make(text.ptr + at, text.len - at);
}

bool weft_etag_listed(weft_str list, weft_str etag, bool weak)
{
    if (weft_str_eq(list, WEFT_S("*")))
        return true;
    if (etag.len == 0)
        return false;
    for (list = skip_between(list); list.len > 0; list = skip_between(list)) {
        size_t len = tag_len(list);
        if (len == 0)
            return false;
        if (same_tag(weft_str_make(list.ptr, len), etag, weak))
            return true;
        list = weft_str_make(list.ptr + len, list.len - len);
        if (list.len > 0 && list.ptr[0] != ',' && list.ptr[0] != ' ' && list.ptr[0] != '\t')
            return false;
    }
    return false;
}

/* Was a date sent that reads? */
static bool date(weft_str text, uint64_t now_s, uint64_t *out_s)
{
    return text.len > 0 && weft_http_date_parse(text, now_s, out_s) == 0;
}

static bool precondition_fails(const struct weft_conditions *asked,
                               const struct weft_validators *here)
{
    uint64_t s = 0;
    if (asked->if_match.ptr != NULL)
        return !weft_etag_listed(asked->if_match, here->etag, false);
    return date(asked->if_unmodified_since, here->now_s, &s) && here->modified_s > s;
}

static bool unchanged(const struct weft_conditions *asked, const struct weft_validators *here)
{
    uint64_t s = 0;
    if (asked->if_none_match.ptr != NULL)
        return weft_etag_listed(asked->if_none_match, here->etag, true);
    return date(asked->if_modified_since, here->now_s, &s) && here->modified_s <= s;
}

enum weft_condition weft_conditions_judge(const struct weft_conditions *asked,
                                          const struct weft_validators *here)
{
    if (precondition_fails(asked, here))
        return WEFT_CONDITION_WRONG;
    return unchanged(asked, here) ? WEFT_CONDITION_SAME : WEFT_CONDITION_GO;
}

bool weft_if_range_holds(const struct weft_conditions *asked, const struct weft_validators *here)
{
    uint64_t s = 0;
    weft_str value = asked->if_range;
    if (value.ptr == NULL)
        return true;
    if (tag_len(value) == value.len && value.len > 0)
        return here->etag.len > 0 && same_tag(value, here->etag, false);
    return date(value, here->now_s, &s) && s == here->modified_s && s < here->now_s;
}
