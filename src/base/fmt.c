/* fmt.c - one pass over the format; each conversion writes into a cursor that counts past its end.
 *
 * A conversion is a struct spec (what stands between '%' and its letter). A number becomes three
 * parts, prefix (sign, 0x), zeros and digits, laid out by one function whatever its base.
 */
#include "base/fmt.h"
#include "base/real.h"
#include "base/str.h"

#define DIGITS_BYTES   32 /* 22 octal digits; 19 + point + 9 of a double; a shortest double's 25 */
#define FRACTION_MAX   9  /* digits after the point of %f */
#define FRACTION_GUESS 6  /* C's default for %f */
#define FIXED_LIMIT    1e18

struct out {
    char *to;
    size_t room;
    size_t len; /* wanted so far; may be past room */
};

enum flag {
    FLAG_LEFT = 1,
    FLAG_ZERO = 2,
    FLAG_PLUS = 4,
    FLAG_SPACE = 8,
    FLAG_ALTERNATE = 16,
};

struct spec {
    unsigned flags;
    int width;     /* 0 when absent */
    int precision; /* -1 when absent */
    char length;   /* 0 h H(hh) l L(ll, L) z j t */
    char letter;
};

/* va_list may be an array: boxed, so that a pointer to it means the same everywhere. */
struct arguments {
    va_list list;
};

static void put(struct out *out, const char *text, size_t len)
{
    if (out->len < out->room && len > 0)
        memcpy(out->to + out->len, text, WEFT_MIN(len, out->room - out->len));
    out->len += len;
}

static void fill(struct out *out, char c, size_t len)
{
    if (out->len < out->room && len > 0)
        memset(out->to + out->len, c, WEFT_MIN(len, out->room - out->len));
    out->len += len;
}

/* A number from "*" or its digits; more than an int holds stays at its maximum. */
static const char *read_count(const char *at, struct arguments *args, int *out_count)
{
    if (*at == '*') {
        *out_count = va_arg(args->list, int);
        return at + 1;
    }
    int count = 0;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(count, 10, &count) ||
            __builtin_add_overflow(count, *at - '0', &count))
            count = INT32_MAX;
    *out_count = count;
    return at;
}

static const char *read_flags(const char *at, unsigned *out_flags)
{
    for (;; at++) {
        switch (*at) {
        case '-':
            *out_flags |= FLAG_LEFT;
            continue;
        case '0':
            *out_flags |= FLAG_ZERO;
            continue;
        case '+':
            *out_flags |= FLAG_PLUS;
            continue;
        case ' ':
            *out_flags |= FLAG_SPACE;
            continue;
        case '#':
            *out_flags |= FLAG_ALTERNATE;
            continue;
        default:
            return at;
        }
    }
}

static const char *read_length(const char *at, char *out_length)
{
    if (at[0] == 'h' || at[0] == 'l') {
        bool twice = at[1] == at[0];
        *out_length = (char)(twice ? at[0] & ~0x20 : at[0]); /* hh: H, ll: L */
        return at + 1 + twice;
    }
    if (*at == 'z' || *at == 'j' || *at == 't' || *at == 'L')
        *out_length = *at++;
    return at;
}

/* What stands between '%' and its letter, and the letter.
 *  returns  behind the letter */
static const char *read_spec(const char *at, struct arguments *args, struct spec *spec)
{
    at = read_flags(at, &spec->flags);
    at = read_count(at, args, &spec->width);
    if (spec->width < 0) {
        spec->flags |= FLAG_LEFT;
        spec->width = spec->width == INT32_MIN ? INT32_MAX : -spec->width;
    }
    if (*at == '.')
        at = read_count(at + 1, args, &spec->precision); /* a negative one counts as absent */
    at = read_length(at, &spec->length);
    spec->letter = *at;
    return *at == 0 ? at : at + 1;
}

static void put_text(struct out *out, const struct spec *spec, const char *text, size_t len)
{
    size_t width = (size_t)spec->width;
    size_t padding = width > len ? width - len : 0;
    if (!(spec->flags & FLAG_LEFT))
        fill(out, ' ', padding);
    put(out, text, len);
    if (spec->flags & FLAG_LEFT)
        fill(out, ' ', padding);
}

/* prefix, at least `zeros` zeros, digits; in the width asked for. */
static void put_number(struct out *out, const struct spec *spec, weft_str prefix, size_t zeros,
                       weft_str digits, bool zero_fill)
{
    size_t width = (size_t)spec->width;
    size_t len = prefix.len + zeros + digits.len;
    size_t padding = width > len ? width - len : 0;
    bool left = spec->flags & FLAG_LEFT;
    if (zero_fill && !left) {
        zeros += padding;
        padding = 0;
    }
    if (!left)
        fill(out, ' ', padding);
    put(out, prefix.ptr, prefix.len);
    fill(out, '0', zeros);
    put(out, digits.ptr, digits.len);
    if (left)
        fill(out, ' ', padding);
}

static weft_str sign_of(const struct spec *spec, bool negative)
{
    if (negative)
        return WEFT_S("-");
    if (spec->flags & FLAG_PLUS)
        return WEFT_S("+");
    return spec->flags & FLAG_SPACE ? WEFT_S(" ") : WEFT_S("");
}

/* Digits of a power-of-two base, right-aligned in to[DIGITS_BYTES]. */
static weft_str bits_text(char *to, uint64_t value, unsigned shift, const char *alphabet)
{
    size_t at = DIGITS_BYTES;
    do {
        to[--at] = alphabet[value & ((1u << shift) - 1)];
        value >>= shift;
    } while (value != 0);
    return weft_str_make(to + at, DIGITS_BYTES - at);
}

__attribute__((noinline)) static void put_integer(struct out *out, const struct spec *spec,
                                                  uint64_t value, bool negative)
{
    char text[DIGITS_BYTES];
    weft_str digits = {text, 0};
    weft_str prefix = {"", 0};
    bool alternate = spec->flags & FLAG_ALTERNATE;
    switch (spec->letter) {
    case 'x':
    case 'X':
        digits = bits_text(text, value, 4,
                           spec->letter == 'x' ? "0123456789abcdef" : "0123456789ABCDEF");
        if (alternate && value != 0)
            prefix = spec->letter == 'x' ? WEFT_S("0x") : WEFT_S("0X");
        break;
    case 'o':
        digits = bits_text(text, value, 3, "01234567");
        break;
    case 'u':
        digits.len = weft_u64_to_text(text, value);
        break;
    default:
        digits.len = weft_u64_to_text(text, value);
        prefix = sign_of(spec, negative);
        break;
    }
    if (value == 0 && spec->precision == 0)
        digits.len = 0;
    size_t precision = spec->precision > 0 ? (size_t)spec->precision : 0;
    size_t zeros = precision > digits.len ? precision - digits.len : 0;
    if (spec->letter == 'o' && alternate && zeros == 0 && (value != 0 || digits.len == 0))
        zeros = 1;
    bool zero_fill = (spec->flags & FLAG_ZERO) && spec->precision < 0;
    put_number(out, spec, prefix, zeros, digits, zero_fill);
}

static int64_t take_signed(const struct spec *spec, struct arguments *args)
{
    switch (spec->length) {
    case 'H':
        return (signed char)va_arg(args->list, int);
    case 'h':
        return (short)va_arg(args->list, int);
    case 0:
        return va_arg(args->list, int);
    case 'l':
        return va_arg(args->list, long);
    case 'z':
        return (int64_t)va_arg(args->list, size_t);
    case 't':
        return va_arg(args->list, ptrdiff_t);
    default: /* j, ll */
        return va_arg(args->list, long long);
    }
}

static uint64_t take_unsigned(const struct spec *spec, struct arguments *args)
{
    switch (spec->length) {
    case 'H':
        return (unsigned char)va_arg(args->list, unsigned);
    case 'h':
        return (unsigned short)va_arg(args->list, unsigned);
    case 0:
        return va_arg(args->list, unsigned);
    case 'l':
        return va_arg(args->list, unsigned long);
    case 'z':
        return va_arg(args->list, size_t);
    case 't':
        return (uint64_t)va_arg(args->list, ptrdiff_t);
    default: /* j, ll */
        return va_arg(args->list, unsigned long long);
    }
}

/* Digits of value * 10^places, rounded to even on a tie, as printf does: a double's fraction is
 * m / 2^k, so m * 10^places fits 83 bits and nothing is lost. value < FIXED_LIMIT, >= 0. */
static uint64_t split_fixed(double value, unsigned places, uint64_t *out_fraction)
{
    static const uint32_t tens[] = {1,      10,      100,      1000,      10000,
                                    100000, 1000000, 10000000, 100000000, 1000000000};
    uint64_t whole = (uint64_t)value;
    double rest = value - (double)whole; /* exact: both share the exponent range of a double */
    uint64_t bits;
    memcpy(&bits, &rest, sizeof(bits));
    unsigned k = 1075 - (unsigned)((bits >> 52) & 0x7ff);
    uint64_t m = (bits & (((uint64_t)1 << 52) - 1)) | ((uint64_t)1 << 52);
    uint64_t fraction = 0;
    bool up = false;
    if (rest != 0 && k < 127) { /* a smaller one rounds to 0 */
        unsigned __int128 scaled = (unsigned __int128)m * tens[places];
        unsigned __int128 below = scaled & (((unsigned __int128)1 << k) - 1);
        unsigned __int128 half = (unsigned __int128)1 << (k - 1);
        fraction = (uint64_t)(scaled >> k);
        uint64_t last = places == 0 ? whole : fraction;
        up = below > half || (below == half && (last & 1));
    }
    fraction += up;
    if (fraction == tens[places]) {
        fraction = 0;
        whole++;
    }
    *out_fraction = fraction;
    return whole;
}

static size_t fixed_text(char *to, const struct spec *spec, double value)
{
    int asked = spec->precision < 0 ? FRACTION_GUESS : spec->precision;
    size_t places = (size_t)WEFT_MIN(asked, FRACTION_MAX);
    uint64_t fraction;
    size_t len = weft_u64_to_text(to, split_fixed(value, (unsigned)places, &fraction));
    if (places > 0 || (spec->flags & FLAG_ALTERNATE))
        to[len++] = '.';
    char text[WEFT_U64_TEXT_BYTES];
    size_t digits = weft_u64_to_text(text, fraction);
    if (places > 0) {
        memset(to + len, '0', places - digits);
        memcpy(to + len + places - digits, text, digits);
    }
    return len + places;
}

/* Not inlined: its text would be on every caller's stack. */
__attribute__((noinline)) static void put_real(struct out *out, const struct spec *spec,
                                               double value)
{
    char text[DIGITS_BYTES];
    weft_str digits = {text, 0};
    bool upper = spec->letter < 'a';
    weft_str sign = sign_of(spec, __builtin_signbit(value));
    value = __builtin_fabs(value);
    bool finite = __builtin_isfinite(value);
    if (__builtin_isnan(value)) {
        digits = upper ? WEFT_S("NAN") : WEFT_S("nan");
    } else if (!finite) {
        digits = upper ? WEFT_S("INF") : WEFT_S("inf");
    } else if ((spec->letter | 0x20) == 'f' && value < FIXED_LIMIT) {
        digits.len = fixed_text(text, spec, value);
    } else {
        digits.len = weft_f64_to_text(text, value);
    }
    put_number(out, spec, sign, 0, digits, (spec->flags & FLAG_ZERO) && finite);
}

static void put_string(struct out *out, const struct spec *spec, const char *text)
{
    bool bounded = spec->precision >= 0;
    size_t most = (size_t)WEFT_MAX(spec->precision, 0);
    if (text == NULL)
        text = bounded && most < sizeof("(null)") - 1 ? "" : "(null)"; /* whole or not at all */
    put_text(out, spec, text, bounded ? strnlen(text, most) : strlen(text));
}

static void put_pointer(struct out *out, struct spec *spec, const void *pointer)
{
    if (pointer == NULL) {
        put_text(out, spec, "(nil)", 5);
        return;
    }
    spec->letter = 'x';
    spec->flags |= FLAG_ALTERNATE;
    put_integer(out, spec, (uint64_t)(uintptr_t)pointer, false);
}

/* One conversion.
 *  returns  false when it is none that we know: its argument's type is unknown, so are all later */
static bool convert(struct out *out, struct spec *spec, struct arguments *args)
{
    bool wide = spec->length == 'l';
    switch (spec->letter) {
    case 'd':
    case 'i': {
        int64_t value = take_signed(spec, args);
        put_integer(out, spec, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, value < 0);
        return true;
    }
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        put_integer(out, spec, take_unsigned(spec, args), false);
        return true;
    case 's':
        if (wide)
            return false;
        put_string(out, spec, va_arg(args->list, const char *));
        return true;
    case 'c': {
        if (wide)
            return false;
        char c = (char)va_arg(args->list, int);
        put_text(out, spec, &c, 1);
        return true;
    }
    case 'p':
        put_pointer(out, spec, va_arg(args->list, const void *));
        return true;
    case '%':
        put(out, "%", 1);
        return true;
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
    case 'a':
    case 'A':
        put_real(out, spec,
                 spec->length == 'L' ? (double)va_arg(args->list, long double)
                                     : va_arg(args->list, double));
        return true;
    default:
        return false;
    }
}

/* %d, %u and %s with nothing in between are most of all conversions.
 *  returns  false for any other, nothing taken */
static bool put_plain(struct out *out, char letter, struct arguments *args)
{
    char text[WEFT_U64_TEXT_BYTES + 1];
    switch (letter) {
    case 's': {
        const char *string = va_arg(args->list, const char *);
        string = string == NULL ? "(null)" : string;
        put(out, string, strlen(string));
        return true;
    }
    case 'd': {
        int value = va_arg(args->list, int);
        text[0] = '-';
        size_t len = weft_u64_to_text(text + 1, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
        put(out, text + (value >= 0), len + (value < 0));
        return true;
    }
    case 'u':
        put(out, text, weft_u64_to_text(text, va_arg(args->list, unsigned)));
        return true;
    default:
        return false;
    }
}

size_t weft_vfmt(char *to, size_t room, const char *format, va_list list)
{
    struct out out = {.to = to, .room = room};
    struct arguments args;
    va_copy(args.list, list);
    for (const char *at = format; *at != 0;) {
        if (*at != '%') {
            const char *end = strchrnul(at, '%');
            put(&out, at, (size_t)(end - at));
            at = end;
            continue;
        }
        if (put_plain(&out, at[1], &args)) {
            at += 2;
            continue;
        }
        struct spec spec = {.precision = -1};
        const char *end = read_spec(at + 1, &args, &spec);
        if (!convert(&out, &spec, &args)) {
            put(&out, at, strlen(at));
            break;
        }
        at = end;
    }
    va_end(args.list);
    return out.len;
}

size_t weft_fmt(char *to, size_t room, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t len = weft_vfmt(to, room, format, args);
    va_end(args);
    return len;
}
