/* real_read.c - the double nearest to a decimal text, ties to even.
 *
 * Most numbers people write are exact: a whole number below 2^53 times or over a power of ten that
 * a double holds. The others are the product of two 128-bit numbers, known to within SLACK; only
 * where the halfway point between two doubles lies that near, it is compared with the text as whole
 * numbers of at most 4,096 bits. 770 digits decide any case; that some digit behind them is not 0
 * counts as a last 1.
 */
#include "base/power.h"
#include "base/real.h"

typedef unsigned __int128 u128;

#define DIGITS_IN_U64 19
#define DIGITS_KEPT   800
#define EXPONENT_MAX  ((int64_t)1 << 40) /* more than there can be digits to make up for it */
#define SLACK         ((u128)1024)
#define LIMBS         68
#define MANTISSA_BITS 53
#define LOWEST_E      -1074 /* of the last bit of a subnormal double */

/* The text taken apart: digits * 10^e is its value. */
struct decimal {
    bool negative;
    const char *digits; /* from the first that is not 0, a point among them perhaps */
    const char *end;    /* of the digits */
    int64_t count;      /* digits there */
    int64_t e;          /* of the last one */
    uint64_t head;      /* the first 19 of them */
    int64_t head_e;     /* of the head's last one */
};

static const double exact_tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

static int64_t read_exponent(const char *at, const char *end)
{
    if (at == end)
        return 0;
    at++; /* the e */
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int64_t value = 0;
    for (; at < end; at++)
        value = WEFT_MIN(value * 10 + (*at - '0'), EXPONENT_MAX);
    return negative ? -value : value;
}

static struct decimal read_decimal(weft_str text)
{
    struct decimal d = {0};
    const char *at = text.ptr, *end = text.ptr + text.len;
    d.negative = at < end && *at == '-';
    at += d.negative;
    int64_t behind_point = 0;
    bool point = false;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        behind_point += point;
        if (d.count == 0 && *at == '0')
            continue;
        if (d.count == 0)
            d.digits = at;
        if (d.count++ < DIGITS_IN_U64)
            d.head = d.head * 10 + (uint64_t)(*at - '0');
    }
    d.end = at;
    d.e = read_exponent(at, end) - behind_point;
    d.head_e = d.e + WEFT_MAX(d.count - DIGITS_IN_U64, 0);
    return d;
}

/* ---- whole numbers of many bits ---- */

struct big {
    int count; /* limbs used, the lowest first */
    uint64_t limb[LIMBS];
};

/* b * factor + more. */
static void big_mul(struct big *b, uint64_t factor, uint64_t more)
{
    for (int i = 0; i < b->count; i++) {
        u128 product = (u128)b->limb[i] * factor + more;
        b->limb[i] = (uint64_t)product;
        more = (uint64_t)(product >> 64);
    }
    if (more == 0)
        return;
    weft_assert(b->count < LIMBS); /* by the bounds on digits and exponents: at most 64 */
    b->limb[b->count++] = more;
}

static void big_mul_tens(struct big *b, int k)
{
    for (; k >= 19; k -= 19)
        big_mul(b, UINT64_C(10000000000000000000), 0);
    uint64_t rest = 1;
    for (; k > 0; k--)
        rest *= 10;
    big_mul(b, rest, 0);
}

static void big_shift(struct big *b, int bits)
{
    for (; bits >= 63; bits -= 63)
        big_mul(b, (uint64_t)1 << 63, 0);
    big_mul(b, (uint64_t)1 << bits, 0);
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (int i = a->count; i-- > 0;)
        if (a->limb[i] != b->limb[i])
            return a->limb[i] < b->limb[i] ? -1 : 1;
    return 0;
}

/* The first 800 digits as a whole number, and a 1 for whatever is not 0 behind them.
 *  returns  the power of ten that belongs to its last digit */
static int64_t big_digits(struct big *b, const struct decimal *d)
{
    int64_t kept = 0;
    bool more = false;
    b->count = 0;
    for (const char *at = d->digits; at < d->end; at++) {
        if (*at == '.')
            continue;
        if (kept == DIGITS_KEPT) {
            more |= *at != '0';
            continue;
        }
        big_mul(b, 10, (uint64_t)(*at - '0'));
        kept++;
    }
    int64_t e = d->e + d->count - kept;
    if (more)
        big_mul(b, 10, 1);
    return e - more;
}

/* How the decimal compares with (2 * mantissa + 1) * 2^(e - 1), halfway to the next double. */
WEFT_COLD static int compare_halfway(const struct decimal *d, uint64_t mantissa, int e)
{
    struct big digits;
    struct big half;
    half.count = 1;
    half.limb[0] = 2 * mantissa + 1;
    int64_t ten_e = big_digits(&digits, d);
    big_mul_tens(ten_e > 0 ? &digits : &half, (int)(ten_e > 0 ? ten_e : -ten_e));
    big_shift(e > 1 ? &half : &digits, e > 1 ? e - 1 : 1 - e);
    return big_compare(&digits, &half);
}

/* ---- to a double ---- */

/* mantissa * 2^e with a mantissa of at most 53 bits, the top one set unless e is the lowest. */
static weft_rc compose(uint64_t mantissa, int e, double *out)
{
    if (mantissa >> MANTISSA_BITS) { /* rounding up made it a bit longer */
        mantissa >>= 1;
        e++;
    }
    bool normal = mantissa >> (MANTISSA_BITS - 1);
    uint64_t biased = normal ? (uint64_t)(e - LOWEST_E + 1) : 0;
    if (biased >= 0x7ff)
        return WEFT_ERANGE;
    uint64_t bits =
        biased << (MANTISSA_BITS - 1) | (mantissa & ~(UINT64_C(1) << (MANTISSA_BITS - 1)));
    memcpy(out, &bits, sizeof(*out));
    return 0;
}

static weft_rc nearest(const struct decimal *d, double *out)
{
    int shift = __builtin_clzll(d->head);
    struct weft_power head = {.hi = d->head << shift, .e = -shift - 64};
    struct weft_power p = weft_power_times(head, weft_power_of_ten((int)d->head_e));
    u128 all = (u128)p.hi << 64 | p.lo;
    /* What is behind the head is less than one of its units. */
    u128 slack = SLACK;
    if (d->count > DIGITS_IN_U64)
        slack += (u128)1 << (64 + shift + 2);
    int cut = 128 - MANTISSA_BITS; /* bits that do not fit */
    if (p.e + cut < LOWEST_E)
        cut = LOWEST_E - p.e;
    if (cut > 127) { /* at most half of the smallest double, or so near that it does not matter */
        *out = 0;
        if (cut > 129)
            return 0;
        return compare_halfway(d, 0, LOWEST_E) > 0 ? compose(1, LOWEST_E, out) : 0;
    }
    uint64_t mantissa = (uint64_t)(all >> cut);
    u128 rest = all & (((u128)1 << cut) - 1);
    u128 half = (u128)1 << (cut - 1);
    int side = rest > half ? 1 : -1;
    if ((rest > half ? rest - half : half - rest) <= slack)
        side = compare_halfway(d, mantissa, p.e + cut);
    bool up = side > 0 || (side == 0 && (mantissa & 1));
    return compose(mantissa + up, p.e + cut, out);
}

bool weft_f64_from_digits(uint64_t digits, int64_t e, double *out)
{
    const int64_t most = (int64_t)WEFT_COUNT_OF(exact_tens) - 1;
    if (digits > UINT64_C(1) << MANTISSA_BITS || e > most || e < -most)
        return false;
    *out = e < 0 ? (double)digits / exact_tens[-e] : (double)digits * exact_tens[e];
    return true;
}

weft_rc weft_f64_from_text(weft_str text, double *out)
{
    struct decimal d = read_decimal(text);
    double value = 0;
    bool all = d.count <= DIGITS_IN_U64;
    if (!all || !weft_f64_from_digits(d.head, d.head_e, &value)) {
        if (d.head_e > 400 && d.count > 0)
            return WEFT_ERANGE;
        if (d.head_e >= -400 && d.count > 0)
            WEFT_TRY(nearest(&d, &value));
    }
    *out = d.negative ? -value : value;
    return 0;
}
