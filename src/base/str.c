/* str.c - see str.h. Numbers are converted two digits a step: every answer has a Content-Length. */
#include "base/str.h"

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool weft_str_ieq(weft_str a, weft_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

bool weft_str_ends(weft_str s, weft_str suffix)
{
    return s.len >= suffix.len &&
           weft_str_eq(weft_str_make(s.ptr + s.len - suffix.len, suffix.len), suffix);
}

weft_str weft_str_trim(weft_str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

weft_rc weft_str_to_u64(weft_str s, uint64_t *out)
{
    if (s.len == 0)
        return WEFT_ESYNTAX;
    uint64_t value = 0;
    bool over = false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return WEFT_ESYNTAX;
        over |= __builtin_mul_overflow(value, (uint64_t)10, &value);
        over |= __builtin_add_overflow(value, (uint64_t)digit, &value);
    }
    if (over)
        return WEFT_ERANGE;
    *out = value;
    return 0;
}

weft_rc weft_str_to_i64(weft_str s, int64_t *out)
{
    bool negative = s.len > 0 && s.ptr[0] == '-';
    uint64_t size = 0;
    WEFT_TRY(weft_str_to_u64(negative ? weft_str_make(s.ptr + 1, s.len - 1) : s, &size));
    if (size > (uint64_t)INT64_MAX + (negative ? 1u : 0u))
        return WEFT_ERANGE;
    *out = negative ? (int64_t)(0 - size) : (int64_t)size;
    return 0;
}

size_t weft_u64_to_text(char *to, uint64_t value)
{
    static const char pairs[] = "0001020304050607080910111213141516171819202122232425262728293031"
                                "3233343536373839404142434445464748495051525354555657585960616263"
                                "6465666768697071727374757677787980818283848586878889909192939495"
                                "96979899";
    char text[WEFT_U64_TEXT_BYTES];
    size_t at = sizeof(text);
    while (value >= 100) {
        at -= 2;
        memcpy(text + at, pairs + 2 * (value % 100), 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(text + at, pairs + 2 * value, 2);
    } else {
        text[--at] = (char)('0' + value);
    }
    memcpy(to, text + at, sizeof(text) - at);
    return sizeof(text) - at;
}

/* Splits "12ms" into its digits and its unit, and scales. */
struct unit {
    weft_str name;
    uint64_t factor;
};

static weft_rc scaled(weft_str s, const struct unit *units, size_t unit_count, uint64_t *out)
{
    size_t digits = 0;
    while (digits < s.len && s.ptr[digits] >= '0' && s.ptr[digits] <= '9')
        digits++;
    uint64_t value = 0;
    WEFT_TRY(weft_str_to_u64(weft_str_make(s.ptr, digits), &value));
    weft_str name = weft_str_make(s.ptr + digits, s.len - digits);
    for (size_t i = 0; i < unit_count; i++) {
        if (!weft_str_ieq(name, units[i].name))
            continue;
        if (__builtin_mul_overflow(value, units[i].factor, &value))
            return WEFT_ERANGE;
        *out = value;
        return 0;
    }
    return WEFT_ESYNTAX;
}

weft_rc weft_str_to_bytes(weft_str s, uint64_t *out)
{
    const struct unit units[] = {
        {WEFT_S(""), 1},         {WEFT_S("b"), 1},         {WEFT_S("k"), 1 << 10},
        {WEFT_S("kb"), 1 << 10}, {WEFT_S("kib"), 1 << 10}, {WEFT_S("m"), 1 << 20},
        {WEFT_S("mb"), 1 << 20}, {WEFT_S("mib"), 1 << 20}, {WEFT_S("g"), 1 << 30},
        {WEFT_S("gb"), 1 << 30}, {WEFT_S("gib"), 1 << 30},
    };
    return scaled(s, units, WEFT_COUNT_OF(units), out);
}

weft_rc weft_str_to_ms(weft_str s, uint64_t *out)
{
    const struct unit units[] = {
        {WEFT_S(""), 1},      {WEFT_S("ms"), 1},      {WEFT_S("s"), 1000},
        {WEFT_S("m"), 60000}, {WEFT_S("h"), 3600000}, {WEFT_S("d"), 86400000},
    };
    return scaled(s, units, WEFT_COUNT_OF(units), out);
}
