/* real.c - the shortest digits inside the interval of decimals that read back as the same double.
 *
 * The double v = m * 2^e is scaled by a power of ten to V in [10^16, 10^17), held with 64 bits
 * after the point. Half the distance to the next double, scaled alike, is H: every decimal nearer
 * to V than H reads back as v. So we drop digits from the right for as long as the nearest multiple
 * of 10, 100, 1000... stays within H. Powers of ten carry 128 bits: the error is below SLACK units
 * of 2^-64, and what lies that close to the edge keeps its digit, so the text is always right and
 * at worst a digit longer than it must be. No tables of hundreds of powers, no big numbers.
 */
#include "base/real.h"
#include "base/power.h"
#include "base/str.h"

typedef unsigned __int128 u128;

#define SLACK         64 /* units of 2^-64: ten times what nine truncated products can lose */
#define DIGITS_MAX    17 /* enough for any double */
#define POINT_MAX     21 /* 100000000000000000000 in full, 1e+21 not: as ECMAScript does */
#define ZEROS_MIN     -5 /* 0.000001 in full, 1e-7 not */
#define MANTISSA_BITS 52

/* value * 2^(shift) of a 128-bit mantissa, shifted right only (the caller's scale makes it fit). */
static u128 fixed(struct weft_power p, int e)
{
    u128 mantissa = ((u128)p.hi << 64) | p.lo;
    int right = -(p.e + e + 64);
    return right > 127 ? 0 : mantissa >> right;
}

/* The double as 17 digits before the point, and half a step to its neighbour on the same scale. */
struct scaled {
    u128 value; /* 64 bits after the point */
    u128 half;
    int k; /* value = v * 10^k */
};

static struct scaled scale(uint64_t mantissa, int e, bool lower_is_closer)
{
    const u128 limit = (u128)100000000000000000u << 64;
    int shift = __builtin_clzll(mantissa);
    struct weft_power v = {.hi = mantissa << shift, .e = e - shift - 64};
    /* floor(log10) from the binary exponent, at most one too low (78913 / 2^18 = log10 2). */
    int k = 16 - (((e + 63 - shift) * 78913) >> 18);
    for (;; k--) {
        struct weft_power ten = weft_power_of_ten(k);
        struct scaled s = {.value = fixed(weft_power_times(v, ten), 0), .k = k};
        if (s.value >= limit)
            continue;
        s.half = fixed(ten, e - 1 - (lower_is_closer ? 1 : 0));
        return s;
    }
}

/* Drops digits while the result stays inside the interval.
 *  returns  the digits as a number; *out_e the power of ten that belongs to it */
static uint64_t shortest(const struct scaled *s, int *out_e)
{
    uint64_t whole = (uint64_t)(s->value >> 64);
    uint64_t fraction = (uint64_t)s->value;
    uint64_t best = whole + (fraction >> 63);
    int dropped = 0;
    uint64_t ten = 1;
    for (int i = 1; i <= DIGITS_MAX; i++) {
        ten *= 10;
        u128 below = ((u128)(whole % ten) << 64) | fraction;
        u128 above = ((u128)ten << 64) - below;
        u128 distance = WEFT_MIN(below, above);
        if (distance + SLACK >= s->half)
            break;
        best = whole / ten + (below > above ? 1 : 0);
        dropped = i;
    }
    *out_e = dropped - s->k;
    return best;
}

static size_t exponent_text(char *to, int e)
{
    to[0] = 'e';
    to[1] = e < 0 ? '-' : '+';
    return 2 + weft_u64_to_text(to + 2, (uint64_t)(e < 0 ? -e : e));
}

/* digits * 10^e, `point` digits of it before the point. */
static size_t layout(char *to, const char *digits, int count, int point)
{
    if (point >= count && point <= POINT_MAX) {
        memcpy(to, digits, (size_t)count);
        memset(to + count, '0', (size_t)(point - count));
        return (size_t)point;
    }
    if (point > 0 && point <= POINT_MAX) {
        memcpy(to, digits, (size_t)point);
        to[point] = '.';
        memcpy(to + point + 1, digits + point, (size_t)(count - point));
        return (size_t)count + 1;
    }
    if (point <= 0 && point >= ZEROS_MIN) {
        to[0] = '0';
        to[1] = '.';
        memset(to + 2, '0', (size_t)-point);
        memcpy(to + 2 - point, digits, (size_t)count);
        return 2 + (size_t)-point + (size_t)count;
    }
    size_t len = 0;
    to[len++] = digits[0];
    if (count > 1) {
        to[len++] = '.';
        memcpy(to + len, digits + 1, (size_t)count - 1);
        len += (size_t)count - 1;
    }
    return len + exponent_text(to + len, point - 1);
}

size_t weft_f64_to_text(char *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint64_t mantissa = bits & (((uint64_t)1 << MANTISSA_BITS) - 1);
    int e = (int)((bits >> MANTISSA_BITS) & 0x7ff);
    weft_assert(e != 0x7ff); /* finite */

    size_t sign = bits >> 63;
    if (sign)
        to[0] = '-';
    if (e == 0 && mantissa == 0) {
        to[sign] = '0';
        return sign + 1;
    }
    bool lower_is_closer =
        mantissa == 0 && e > 1; /* a power of two: its lower neighbour is nearer */
    if (e > 0)
        mantissa |= (uint64_t)1 << MANTISSA_BITS;
    struct scaled s = scale(mantissa, WEFT_MAX(e, 1) - 1075, lower_is_closer);

    int ten_e;
    char digits[WEFT_U64_TEXT_BYTES];
    int count = (int)weft_u64_to_text(digits, shortest(&s, &ten_e));
    int point = count + ten_e;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    return sign + layout(to + sign, digits, count, point);
}
