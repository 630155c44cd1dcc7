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
#include "base/str.h"

typedef unsigned __int128 u128;

#define SLACK         64 /* units of 2^-64: ten times what nine truncated products can lose */
#define DIGITS_MAX    17 /* enough for any double */
#define POINT_MAX     21 /* 100000000000000000000 in full, 1e+21 not: as ECMAScript does */
#define ZEROS_MIN     -5 /* 0.000001 in full, 1e-7 not */
#define MANTISSA_BITS 52

/* m * 2^e with the top bit of m set, truncated. */
struct power {
    uint64_t hi;
    uint64_t lo;
    int e;
};

/* 10^1, 10^2, 10^4 ... 10^256, and then the same to the minus. */
static const struct power powers[2][9] = {
    {
        {0xa000000000000000u, 0x0000000000000000u, -124},
        {0xc800000000000000u, 0x0000000000000000u, -121},
        {0x9c40000000000000u, 0x0000000000000000u, -114},
        {0xbebc200000000000u, 0x0000000000000000u, -101},
        {0x8e1bc9bf04000000u, 0x0000000000000000u, -74},
        {0x9dc5ada82b70b59du, 0xf020000000000000u, -21},
        {0xc2781f49ffcfa6d5u, 0x3cbf6b71c76b25fbu, 85},
        {0x93ba47c980e98cdfu, 0xc66f336c36b10137u, 298},
        {0xaa7eebfb9df9de8du, 0xddbb901b98feeab7u, 723},
    },
    {
        {0xccccccccccccccccu, 0xccccccccccccccccu, -131},
        {0xa3d70a3d70a3d70au, 0x3d70a3d70a3d70a3u, -134},
        {0xd1b71758e219652bu, 0xd3c36113404ea4a8u, -141},
        {0xabcc77118461cefcu, 0xfdc20d2b36ba7c3du, -154},
        {0xe69594bec44de15bu, 0x4c2ebe687989a9b3u, -181},
        {0xcfb11ead453994bau, 0x67de18eda5814af2u, -234},
        {0xa87fea27a539e9a5u, 0x3f2398d747b36224u, -340},
        {0xddd0467c64bce4a0u, 0xac7cb3f6d05ddbdeu, -553},
        {0xc0314325637a1939u, 0xfa911155fefb5308u, -978},
    },
};

/* The upper 128 bits of the product; the lowest cross terms cannot matter (SLACK). */
static struct power times(struct power a, struct power b)
{
    u128 cross = (u128)a.hi * b.lo + (((u128)a.lo * b.lo) >> 64);
    u128 other = (u128)a.lo * b.hi;
    u128 top = (u128)a.hi * b.hi + (cross >> 64) + (other >> 64) +
               (((u128)(uint64_t)cross + (uint64_t)other) >> 64);
    struct power product = {.e = a.e + b.e + 128};
    if (!(top >> 127)) {
        top <<= 1;
        product.e--;
    }
    product.hi = (uint64_t)(top >> 64);
    product.lo = (uint64_t)top;
    return product;
}

static struct power ten_to(int k)
{
    const struct power *table = powers[k < 0];
    unsigned bits = (unsigned)(k < 0 ? -k : k);
    struct power product = {.hi = (uint64_t)1 << 63, .e = -127}; /* 1 */
    for (unsigned i = 0; bits != 0; i++, bits >>= 1)
        if (bits & 1)
            product = times(product, table[i]);
    return product;
}

/* value * 2^(shift) of a 128-bit mantissa, shifted right only (the caller's scale makes it fit). */
static u128 fixed(struct power p, int e)
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
    struct power v = {.hi = mantissa << shift, .e = e - shift - 64};
    /* floor(log10) from the binary exponent, at most one too low (78913 / 2^18 = log10 2). */
    int k = 16 - (((e + 63 - shift) * 78913) >> 18);
    for (;; k--) {
        struct power ten = ten_to(k);
        struct scaled s = {.value = fixed(times(v, ten), 0), .k = k};
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
