/* parse.c - one pass over a request head, a line at a time.
 *
 * The search for a line's end is the only thing that the next line waits for: it looks for any
 * control byte, so that CR, LF, NUL and the rest cost one comparison. Everything else works inside
 * a line whose end is known to be a CR; the CR is a sentinel that stops every other scan, so those
 * carry no bounds. The vector code is SSE2, which every x86-64 has: no choice at run time. It takes
 * half of the scalar time on a browser's head (bench/parse.c); AVX2 in the search for line ends was
 * 0.95 to 1.04 times as fast, so it is not here. Both variants are one body, inlined twice, but for
 * usual_request_line(), which saves vectors the search for the first line's end.
 *
 * Refusals are found in cold functions that may look at a line again, as slowly as they like.
 */
#include "http/parse.h"
#include "http/parse_class.h"
#include "base/str.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#define PARSE_VECTOR true
#else
#define PARSE_VECTOR false
#endif

#define ALWAYS_INLINE inline __attribute__((always_inline))
#define NOINLINE      __attribute__((noinline)) /* keeps what is rare out of its caller's frame */

/* Flags of a head that stay in here: beyond the 16 bits of struct weft_head. */
enum {
    SAW_CODING = 1 << 16,         /* a Transfer-Encoding line */
    SAW_CODING_UNKNOWN = 1 << 17, /* with something else than chunked */
    SAW_UPGRADE = 1 << 18,        /* an Upgrade line */
    SAW_UPGRADE_OPTION = 1 << 19, /* Connection: upgrade */
    NEEDS_CHECK = SAW_CODING | SAW_UPGRADE | WEFT_HEAD_EXPECT_100, /* by head_check() */
};

/* Classes of bytes, computed by the compiler. */
#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_ALPHA(c) (((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z'))
#define IS_ALNUM(c) (IS_DIGIT(c) || IS_ALPHA(c))
#define IS_HEX(c)   (IS_DIGIT(c) || ((c) >= 'A' && (c) <= 'F') || ((c) >= 'a' && (c) <= 'f'))
#define IS_TOKEN(c)                                                                                \
    (IS_ALNUM(c) || (c) == '!' || ((c) >= '#' && (c) <= '\'') || (c) == '*' || (c) == '+' ||       \
     (c) == '-' || (c) == '.' || (c) == '^' || (c) == '_' || (c) == '`' || (c) == '|' ||           \
     (c) == '~')
#define IS_CONTROL(c)    (((c) < 0x20 && (c) != '\t') || (c) == 0x7f)
#define IS_QUERY_STOP(c) ((c) <= ' ' || (c) >= 0x7f || (c) == '#')
#define IS_PATH_STOP(c)  (IS_QUERY_STOP(c) || (c) == '?' || (c) == '%')
#define IS_HOST(c)                                                                                 \
    (IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~' || (c) == '!' ||          \
     (c) == '$' || ((c) >= '&' && (c) <= ',') || (c) == ';' || (c) == '=')
#define IS_QUOTED(c) (((c) >= ' ' && (c) != '"' && (c) != '\\' && (c) != 0x7f) || (c) == '\t')
#define CLASS(c)                                                                                   \
    ((IS_TOKEN(c) ? WEFT_CLASS_TOKEN : 0) | (IS_CONTROL(c) ? WEFT_CLASS_CONTROL : 0) |             \
     (IS_PATH_STOP(c) ? WEFT_CLASS_PATH_STOP : 0) |                                                \
     (IS_QUERY_STOP(c) ? WEFT_CLASS_QUERY_STOP : 0) | (IS_HEX(c) ? WEFT_CLASS_HEX : 0) |           \
     (IS_HOST(c) ? WEFT_CLASS_HOST : 0) | (IS_QUOTED(c) ? WEFT_CLASS_QUOTED : 0))
#define CLASS4(c)  CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS16(c) CLASS4(c), CLASS4((c) + 4), CLASS4((c) + 8), CLASS4((c) + 12)
#define CLASS64(c) CLASS16(c), CLASS16((c) + 16), CLASS16((c) + 32), CLASS16((c) + 48)

const uint8_t weft_parse_class[256] = {CLASS64(0), CLASS64(64), CLASS64(128), CLASS64(192)};

static const struct {
    int status;
    enum weft_counter counter;
    const char *text_z;
} error_rows[] = {
    {200, 0, "good"},
#define WEFT_PARSE_ERROR(id, status, counter, text) {status, WEFT_COUNTER_##counter, text},
#include "http/parse_errors.def"
#undef WEFT_PARSE_ERROR
};

int weft_parse_error_status(int error)
{
    weft_assert(error > 0 && error < WEFT_PARSE_ERROR_COUNT);
    return error_rows[error].status;
}

const char *weft_parse_error_text(int error)
{
    weft_assert(error > 0 && error < WEFT_PARSE_ERROR_COUNT);
    return error_rows[error].text_z;
}

enum weft_counter weft_parse_error_counter(int error)
{
    weft_assert(error > 0 && error < WEFT_PARSE_ERROR_COUNT);
    return error_rows[error].counter;
}

/* --- scanning: the only code that exists as vectors and as plain C --- */

#if PARSE_VECTOR
static ALWAYS_INLINE __m128i load16(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/** One bit per byte that is of WEFT_CLASS_CONTROL. */
static ALWAYS_INLINE unsigned control_bits(__m128i bytes)
{
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

/** One bit per byte that is not a letter, digit or '-': what all usual header names consist of. */
static ALWAYS_INLINE unsigned unusual_bits(__m128i bytes)
{
    __m128i letter = _mm_sub_epi8(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    __m128i good = _mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter);
    good = _mm_or_si128(good, _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
    good = _mm_or_si128(good, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-')));
    return (unsigned)_mm_movemask_epi8(good) ^ 0xffffu;
}

/** One bit per byte of WEFT_CLASS_PATH_STOP; bytes from 0x80 up are negative here. */
static ALWAYS_INLINE unsigned path_stop_bits(__m128i bytes)
{
    __m128i stop = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x21));
    stop = _mm_or_si128(stop, _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f)));
    stop = _mm_or_si128(stop, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('?')));
    stop = _mm_or_si128(stop, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('%')));
    stop = _mm_or_si128(stop, _mm_cmpeq_epi8(bytes, _mm_set1_epi8('#')));
    return (unsigned)_mm_movemask_epi8(stop);
}
#endif

/** The first byte of WEFT_CLASS_CONTROL in [p, end), or end; begin <= p is where loads may start.
 */
static ALWAYS_INLINE const char *line_end(const char *begin, const char *p, const char *end,
                                          bool vector)
{
#if PARSE_VECTOR
    if (vector && end - begin >= 16) {
        for (; end - p >= 16; p += 16) {
            unsigned bits = control_bits(load16(p));
            if (bits != 0)
                return p + __builtin_ctz(bits);
        }
        /* the last 16 bytes once more, without those before p */
        unsigned bits = control_bits(load16(end - 16)) >> (16 - (end - p));
        return bits != 0 ? p + __builtin_ctz(bits) : end;
    }
#endif
    (void)begin;
    (void)vector;
    while (p < end && !weft_byte_is(*p, WEFT_CLASS_CONTROL))
        p++;
    return p;
}

/** The first byte from p on that is no token; the line's CR stops it at the latest. */
static ALWAYS_INLINE const char *token_end(const char *p, const char *end, bool vector)
{
#if PARSE_VECTOR
    if (vector && end - p >= 16) {
        unsigned bits = unusual_bits(load16(p));
        p += bits != 0 ? __builtin_ctz(bits) : 16;
        if (WEFT_LIKELY(*p == ':'))
            return p;
    }
#endif
    (void)end;
    (void)vector;
    while (weft_byte_is(*p, WEFT_CLASS_TOKEN))
        p++;
    return p;
}

/** The first byte from p on of WEFT_CLASS_PATH_STOP; the space before the version stops it. */
static ALWAYS_INLINE const char *path_run_end(const char *p, const char *end, bool vector)
{
#if PARSE_VECTOR
    for (; vector && end - p >= 16; p += 16) {
        unsigned bits = path_stop_bits(load16(p));
        if (bits != 0)
            return p + __builtin_ctz(bits);
    }
#endif
    (void)end;
    (void)vector;
    while (!weft_byte_is(*p, WEFT_CLASS_PATH_STOP))
        p++;
    return p;
}

/** Do n bytes equal a lower-case literal but for case? Exact where no byte is a control byte: the
 *  case bit makes no other byte into a letter, digit or '-'. */
static ALWAYS_INLINE bool lower_is(const char *p, const char *lower, size_t n)
{
    if (n == 4) {
        uint32_t a, b;
        memcpy(&a, p, 4);
        memcpy(&b, lower, 4);
        return (a | 0x20202020u) == b;
    }
    unsigned differ = 0;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned)((p[i] | 0x20) ^ lower[i]);
    return differ == 0;
}

static ALWAYS_INLINE struct weft_span span_of(const char *buf, const char *from, const char *to)
{
    return (struct weft_span){(uint16_t)(from - buf), (uint16_t)(to - from)};
}

/* --- the parts of a target --- */

/** A '%' at p: 0, or why it is refused. The line's end stops the look-ahead. */
static int escape_check(const char *p)
{
    if (!weft_byte_is(p[1], WEFT_CLASS_HEX) || !weft_byte_is(p[2], WEFT_CLASS_HEX))
        return WEFT_PARSE_BAD_PATH_ESCAPE;
    return p[1] == '0' && p[2] == '0' ? WEFT_PARSE_BAD_PATH_NUL : 0;
}

/** Is s a uri-host, RFC 3986 3.2.2, with an optional port? An empty host is left to the caller. */
static NOINLINE bool authority_valid(weft_str s)
{
    const char *p = s.ptr, *end = s.ptr + s.len;
    if (p < end && *p == '[') { /* an IPv6 address; zones and IPvFuture are nobody's Host */
        for (p++; p < end && (weft_byte_is(*p, WEFT_CLASS_HEX) || *p == ':' || *p == '.'); p++)
            ;
        if (p == end || *p != ']' || p == s.ptr + 1)
            return false;
        p++;
    } else {
        for (; p < end; p++) {
            if (weft_byte_is(*p, WEFT_CLASS_HOST))
                continue;
            if (*p != '%')
                break;
            if (end - p < 3 || escape_check(p) != 0)
                return false;
            p += 2;
        }
    }
    if (p == end)
        return true;
    if (*p != ':')
        return false;
    for (p++; p < end && IS_DIGIT(*p); p++)
        ;
    return p == end;
}

/** Path and query in [p, end), *end being the space before the version. */
static ALWAYS_INLINE int path_and_query(const char *buf, const char *p, const char *end,
                                        const char *buf_end, struct weft_head *out, uint32_t *flags,
                                        bool vector)
{
    const char *path = p;
    for (;;) {
        p = path_run_end(p, buf_end, vector);
        if (WEFT_LIKELY(*p != '%'))
            break;
        int error = escape_check(p);
        if (error != 0)
            return error;
        *flags |= WEFT_HEAD_PATH_ESCAPED;
        p += 3;
    }
    out->path = span_of(buf, path, p);
    out->query = (struct weft_span){0, 0};
    if (*p == '?') {
        const char *query = ++p;
        while (!weft_byte_is(*p, WEFT_CLASS_QUERY_STOP))
            p++;
        out->query = span_of(buf, query, p);
    }
    if (WEFT_LIKELY(p == end))
        return 0;
    if (*p == '#')
        return WEFT_PARSE_BAD_TARGET_FRAGMENT;
    return *p == ' ' ? WEFT_PARSE_BAD_SPACES : WEFT_PARSE_BAD_TARGET_BYTE;
}

/** http://authority/path in [p, end), RFC 9112 3.2.2; p is behind the "://". */
static WEFT_COLD int absolute_form(const char *buf, const char *p, const char *end,
                                   const char *buf_end, struct weft_head *out, uint32_t *flags)
{
    const char *authority = p;
    while (p < end && *p != '/' && *p != '?' && *p != '#' && *p != ' ')
        if (*p++ == '@')
            return WEFT_PARSE_BAD_TARGET_USERINFO;
    weft_str host = weft_str_make(authority, (size_t)(p - authority));
    if (host.len == 0 || host.ptr[0] == ':' || !authority_valid(host))
        return WEFT_PARSE_BAD_TARGET_AUTHORITY;
    out->authority = span_of(buf, authority, p);
    *flags |= WEFT_HEAD_ABSOLUTE;
    if (*p == '/')
        return path_and_query(buf, p, end, buf_end, out, flags, false);

    if (out->method == WEFT_OPTIONS && p == end)
        *flags |= WEFT_HEAD_ASTERISK; /* RFC 9112 3.2.4: this is how a proxy forwards it */
    int error = path_and_query(buf, p, end, buf_end, out, flags, false);
    out->path = span_of(buf, authority - 1, authority); /* an empty path means "/": lend it one */
    return error;
}

/** A target in [p, end) that does not begin with '/'. */
static WEFT_COLD int other_form(const char *buf, const char *p, const char *end,
                                const char *buf_end, struct weft_head *out, uint32_t *flags)
{
    if (*p == ' ')
        return WEFT_PARSE_BAD_SPACES;
    if (end - p > 7 && lower_is(p, "http://", 7))
        return absolute_form(buf, p + 7, end, buf_end, out, flags);
    if (end - p > 8 && lower_is(p, "https://", 8))
        return absolute_form(buf, p + 8, end, buf_end, out, flags);
    if (*p != '*' || end - p != 1)
        return WEFT_PARSE_BAD_TARGET_FORM;
    if (out->method != WEFT_OPTIONS)
        return WEFT_PARSE_BAD_TARGET_ASTERISK;
    out->path = span_of(buf, p, end);
    out->query = (struct weft_span){0, 0};
    *flags |= WEFT_HEAD_ASTERISK;
    return 0;
}

/* --- the request line --- */

/** What is wrong at the start of a request line of which [p, end) is known, RFC 9112 3; 0: nothing
 *  yet. Looks only at what no later byte can make good. */
static WEFT_COLD int request_line_start(const char *p, const char *end,
                                        const struct weft_parse_limits *limits)
{
    const char *space = p;
    while (space < end && weft_byte_is(*space, WEFT_CLASS_TOKEN))
        space++;
    if (space - p > WEFT_PARSE_METHOD_BYTES_MAX)
        return WEFT_PARSE_BAD_METHOD_LONG;
    if (space == end)
        return 0;
    if (*space != ' ' || space == p)
        return WEFT_PARSE_BAD_METHOD;
    const char *target = space + 1;
    const char *target_end = memchr(target, ' ', (size_t)(end - target));
    size_t target_bytes = (size_t)((target_end ? target_end : end) - target);
    return target_bytes > limits->target_bytes_max ? WEFT_PARSE_BAD_TARGET_LONG : 0;
}

/** Why a whole request line [p, eol) without a good version at its end is refused. */
static WEFT_COLD int request_line_bad(const char *p, const char *eol,
                                      const struct weft_parse_limits *limits)
{
    int error = request_line_start(p, eol, limits);
    if (error != 0)
        return error;
    const char *space = memchr(p, ' ', (size_t)(eol - p));
    if (!space || space + 1 == eol)
        return space || eol > p ? WEFT_PARSE_BAD_TARGET_EMPTY : WEFT_PARSE_BAD_BLANK_LINES;
    if (space[1] == ' ')
        return WEFT_PARSE_BAD_SPACES;
    space = memchr(space + 1, ' ', (size_t)(eol - space - 1));
    if (!space || space + 1 == eol)
        return WEFT_PARSE_BAD_VERSION_MISSING;
    const char *version = space + 1;
    if (*version == ' ')
        return WEFT_PARSE_BAD_SPACES;
    if (eol - version < 8 || memcmp(version, "HTTP/", 5) != 0 || !IS_DIGIT(version[5]) ||
        version[6] != '.' || !IS_DIGIT(version[7]))
        return eol[-1] != ' ' && memchr(version, ' ', (size_t)(eol - version))
                   ? WEFT_PARSE_BAD_SPACES
                   : WEFT_PARSE_BAD_VERSION;
    if (eol - version > 8)
        return version[8] == ' ' ? WEFT_PARSE_BAD_SPACES : WEFT_PARSE_BAD_VERSION;
    return version[5] == '1' ? WEFT_PARSE_BAD_VERSION : WEFT_PARSE_BAD_VERSION_MAJOR;
}

/** Why a line that ends in another byte than CRLF is refused; control_error when it is no CR or LF.
 */
static int stop_error(char stop, int control_error)
{
    if (stop == '\n')
        return WEFT_PARSE_BAD_BARE_LF;
    return stop == '\r' ? WEFT_PARSE_BAD_BARE_CR : control_error;
}

/** A request line that has no CRLF in [p, end); `stop` is its first control byte, or end. */
static WEFT_COLD int request_line_open(const char *p, const char *stop, const char *end, bool full,
                                       const struct weft_parse_limits *limits)
{
    int error = request_line_start(p, stop, limits);
    if (error != 0)
        return error;
    if (stop == end || (*stop == '\r' && stop + 1 == end))
        return !full ? WEFT_PARSE_MORE : WEFT_PARSE_BAD_TARGET_LONG;
    const char *space = memchr(p, ' ', (size_t)(stop - p));
    return stop_error(*stop, space ? WEFT_PARSE_BAD_TARGET_BYTE : WEFT_PARSE_BAD_METHOD);
}

/** The request line [p, eol), which ends in CRLF. */
static ALWAYS_INLINE int request_line(const char *buf, const char *p, const char *eol,
                                      const char *buf_end, const struct weft_parse_limits *limits,
                                      struct weft_head *out, uint32_t *flags, bool vector)
{
    if (eol - p < 12 || memcmp(eol - 9, " HTTP/1.", 8) != 0 || !IS_DIGIT(eol[-1]))
        return request_line_bad(p, eol, limits);
    const char *target = p + 4, *target_end = eol - 9;
    out->version_minor = eol[-1] != '0';
    if (WEFT_LIKELY(memcmp(p, "GET ", 4) == 0)) {
        out->method = WEFT_GET;
        out->method_name = span_of(buf, p, p + 3);
    } else {
        const char *name_end = token_end(p, buf_end, false);
        int error = request_line_start(p, eol, limits);
        if (error != 0)
            return error;
        out->method = (uint8_t)weft_method_from(weft_str_make(p, (size_t)(name_end - p)));
        out->method_name = span_of(buf, p, name_end);
        target = name_end + 1;
    }
    if (WEFT_UNLIKELY(target >= target_end))
        return request_line_bad(p, eol, limits);
    if (WEFT_UNLIKELY((size_t)(target_end - target) > limits->target_bytes_max))
        return WEFT_PARSE_BAD_TARGET_LONG;
    if (WEFT_UNLIKELY(out->method == WEFT_CONNECT))
        return WEFT_PARSE_BAD_CONNECT;
    out->target = span_of(buf, target, target_end);
    if (WEFT_UNLIKELY(*target != '/'))
        return other_form(buf, target, target_end, buf_end, out, flags);
    return path_and_query(buf, target, target_end, buf_end, out, flags, vector);
}

/** The request line that most requests have, GET /path?query HTTP/1.1, without looking for its end
 *  first.
 *  returns  the next line's start; NULL: not that, or not all there, or to be refused */
static ALWAYS_INLINE const char *usual_request_line(const char *buf, const char *p, const char *end,
                                                    const struct weft_parse_limits *limits,
                                                    struct weft_head *out)
{
#if PARSE_VECTOR
    if (end - p < 27 || memcmp(p, "GET /", 5) != 0)
        return NULL;
    const char *target = p + 4, *query = NULL, *target_end = target;
    unsigned bits;
    while ((bits = path_stop_bits(load16(target_end))) == 0)
        if (end - (target_end += 16) < 27)
            return NULL;
    target_end += __builtin_ctz(bits);
    if (*target_end == '?') {
        query = target_end + 1;
        while (!weft_byte_is(*target_end, WEFT_CLASS_QUERY_STOP))
            if (++target_end == end)
                return NULL;
    }
    if (end - target_end < 11 || memcmp(target_end, " HTTP/1.1\r\n", 11) != 0 ||
        (size_t)(target_end - target) > limits->target_bytes_max)
        return NULL;
    out->method = WEFT_GET;
    out->version_minor = 1;
    out->method_name = span_of(buf, p, p + 3);
    out->target = span_of(buf, target, target_end);
    out->path = span_of(buf, target, query ? query - 1 : target_end);
    out->query = query ? span_of(buf, query, target_end) : (struct weft_span){0, 0};
    return target_end + 11;
#else
    (void)buf, (void)p, (void)end, (void)limits, (void)out;
    return NULL;
#endif
}

/* --- the header lines that frame the message --- */

/** Cut the next element of a comma-separated list off *rest, trimmed; false when none is left. */
static bool list_next(weft_str *rest, weft_str *out_element)
{
    if (rest->ptr == NULL)
        return false;
    const char *comma = memchr(rest->ptr, ',', rest->len);
    size_t len = comma ? (size_t)(comma - rest->ptr) : rest->len;
    *out_element = weft_str_trim(weft_str_make(rest->ptr, len));
    *rest = comma ? weft_str_make(comma + 1, rest->len - len - 1) : weft_str_make(NULL, 0);
    return true;
}

/** Most hosts are nothing but letters, digits, '-' and '.', and short: one look at the 16 bytes
 * that end with it. */
static ALWAYS_INLINE bool host_is_plain(const char *buf, struct weft_span value)
{
#if PARSE_VECTOR
    if (value.len == 0 || value.len > 16 || value.off + value.len < 16)
        return false;
    __m128i bytes = load16(buf + value.off + value.len - 16);
    unsigned dots = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('.')));
    return (unusual_bits(bytes) & ~dots) >> (16 - value.len) == 0;
#else
    (void)buf, (void)value;
    return false;
#endif
}

static int note_host(const char *buf, struct weft_span value, struct weft_head *out,
                     uint32_t *flags)
{
    if (*flags & WEFT_HEAD_HOST)
        return WEFT_PARSE_BAD_HOST_TWICE;
    weft_str host = weft_span_str(buf, value);
    if (!host_is_plain(buf, value) && host.len > 0 &&
        (host.ptr[0] == ':' || !authority_valid(host)))
        return WEFT_PARSE_BAD_HOST;
    *flags |= WEFT_HEAD_HOST;
    if (!(*flags & WEFT_HEAD_ABSOLUTE)) /* RFC 9112 3.2.2: the target's goes first */
        out->authority = value;
    return 0;
}

static NOINLINE int note_length(const char *buf, struct weft_span value, struct weft_head *out,
                                uint32_t *flags)
{
    if (*flags & WEFT_HEAD_HAS_LENGTH)
        return WEFT_PARSE_BAD_LENGTH_TWICE;
    weft_rc rc = weft_str_to_u64(weft_span_str(buf, value), &out->content_length);
    if (rc != 0)
        return rc == WEFT_ERANGE ? WEFT_PARSE_BAD_LENGTH_RANGE : WEFT_PARSE_BAD_LENGTH;
    *flags |= WEFT_HEAD_HAS_LENGTH;
    return 0;
}

/** Transfer-Encoding, RFC 9112 6.1: chunked once and last is served, others are 501. */
static NOINLINE int note_coding(weft_str value, uint32_t *flags)
{
    *flags |= SAW_CODING;
    for (weft_str coding; list_next(&value, &coding);) {
        size_t name_len = 0;
        while (name_len < coding.len && weft_byte_is(coding.ptr[name_len], WEFT_CLASS_TOKEN))
            name_len++;
        const char *behind = coding.ptr + name_len;
        bool chunked = name_len == 7 && lower_is(coding.ptr, "chunked", 7);
        if (name_len == 0 || (*flags & WEFT_HEAD_CHUNKED) || (chunked && name_len != coding.len))
            return WEFT_PARSE_BAD_CODING;
        if (name_len < coding.len && *behind != ';' && *behind != ' ' && *behind != '\t')
            return WEFT_PARSE_BAD_CODING;
        *flags |= chunked ? (uint32_t)WEFT_HEAD_CHUNKED : (uint32_t)SAW_CODING_UNKNOWN;
    }
    return 0;
}

static NOINLINE void note_connection(weft_str value, uint32_t *flags)
{
    for (weft_str option; list_next(&value, &option);) {
        if (option.len == 5 && lower_is(option.ptr, "close", 5))
            *flags |= WEFT_HEAD_CLOSE;
        else if (option.len == 10 && lower_is(option.ptr, "keep-alive", 10))
            *flags |= WEFT_HEAD_KEEP_ALIVE;
        else if (option.len == 7 && lower_is(option.ptr, "upgrade", 7))
            *flags |= SAW_UPGRADE_OPTION;
    }
}

static NOINLINE void note_te(weft_str value, uint32_t *flags)
{
    for (weft_str coding; list_next(&value, &coding);)
        if (coding.len == 8 && lower_is(coding.ptr, "trailers", 8))
            *flags |= WEFT_HEAD_TE_TRAILERS;
}

/** A header line whose name has the length and first letter of one that the parser knows. */
static int note_field(const char *buf, struct weft_field field, struct weft_head *out,
                      uint32_t *flags)
{
    const char *name = buf + field.name.off;
    weft_str value = weft_span_str(buf, field.value);
    switch (field.name.len) {
    case 2:
        if (lower_is(name, "te", 2))
            note_te(value, flags);
        break;
    case 4:
        if (lower_is(name, "host", 4))
            return note_host(buf, field.value, out, flags);
        break;
    case 6:
        if (lower_is(name, "expect", 6))
            *flags |= value.len == 12 && lower_is(value.ptr, "100-continue", 12)
                          ? WEFT_HEAD_EXPECT_100
                          : WEFT_HEAD_EXPECT_OTHER;
        break;
    case 7:
        if (lower_is(name, "upgrade", 7))
            *flags |= SAW_UPGRADE;
        break;
    case 10:
        if (lower_is(name, "connection", 10))
            note_connection(value, flags);
        break;
    case 14:
        if (lower_is(name, "content-length", 14))
            return note_length(buf, field.value, out, flags);
        break;
    case 17:
        if (lower_is(name, "transfer-encoding", 17))
            return note_coding(value, flags);
        break;
    }
    return 0;
}

/** Could this be a name that note_field() knows? One look-up by length, against the first letter.
 */
static ALWAYS_INLINE bool field_known(const char *name, size_t len)
{
    static const char first_by_len[32] = {
        [2] = 't', [4] = 'h', [6] = 'e', [7] = 'u', [10] = 'c', [14] = 'c', [17] = 't'};
    return first_by_len[len & 31] == (name[0] | 0x20);
}

/** What only the whole head can tell. */
static WEFT_COLD int head_check(struct weft_head *out, uint32_t flags)
{
    if (!(flags & WEFT_HEAD_HOST) && out->version_minor > 0)
        return WEFT_PARSE_BAD_HOST_MISSING;
    if (flags & SAW_CODING) {
        if (flags & WEFT_HEAD_HAS_LENGTH)
            return WEFT_PARSE_BAD_CODING_LENGTH;
        if (out->version_minor == 0)
            return WEFT_PARSE_BAD_CODING_VERSION;
        if (flags & SAW_CODING_UNKNOWN)
            return WEFT_PARSE_BAD_CODING_UNKNOWN;
    }
    if ((flags & SAW_UPGRADE) && (flags & SAW_UPGRADE_OPTION))
        flags |= WEFT_HEAD_UPGRADE;
    if (out->version_minor == 0) /* RFC 9110 7.8 and 10.1.1: to be ignored */
        flags &= ~(uint32_t)(WEFT_HEAD_UPGRADE | WEFT_HEAD_EXPECT_100);
    out->flags = (uint16_t)flags;
    return 0;
}

/* --- the head --- */

/** Why the header line [p, eol) is refused; its name ends at name_end, not in a colon or empty. */
static WEFT_COLD int name_error(const char *p, const char *name_end)
{
    if (*name_end == ' ' || *name_end == '\t') {
        if (name_end == p)
            return WEFT_PARSE_BAD_FIELD_FOLDED; /* RFC 9112 5.2, and 2.2 before the first line */
        while (*name_end == ' ' || *name_end == '\t')
            name_end++;
        return *name_end == ':' ? WEFT_PARSE_BAD_NAME_SPACE : WEFT_PARSE_BAD_NAME_BYTE;
    }
    if (*name_end == ':')
        return WEFT_PARSE_BAD_NAME_EMPTY;
    return *name_end == '\r' ? WEFT_PARSE_BAD_FIELD_COLON : WEFT_PARSE_BAD_NAME_BYTE;
}

/** A header line that has no CRLF in [p, end); `stop` is its first control byte, or end. */
static WEFT_COLD int field_open(const char *p, const char *stop, const char *end, bool full)
{
    if (stop == end || (*stop == '\r' && stop + 1 == end))
        return !full ? WEFT_PARSE_MORE : WEFT_PARSE_BAD_HEAD_LONG;
    bool in_name = memchr(p, ':', (size_t)(stop - p)) == NULL;
    return stop_error(*stop, in_name ? WEFT_PARSE_BAD_NAME_BYTE : WEFT_PARSE_BAD_VALUE_BYTE);
}

static ALWAYS_INLINE bool crlf_at(const char *p, const char *end)
{
    return WEFT_LIKELY(end - p >= 2) && memcmp(p, "\r\n", 2) == 0;
}

/** The header lines from p on, to behind the empty line that ends them. */
static ALWAYS_INLINE int field_lines(const char *buf, const char *p, const char *end, bool full,
                                     const struct weft_parse_limits *limits, struct weft_head *out,
                                     struct weft_field *fields, uint16_t field_room, uint32_t flags,
                                     bool vector)
{
    uint32_t count = 0;
    for (;;) {
        if (crlf_at(p, end))
            break;
        const char *eol = line_end(buf, p, end, vector);
        if (WEFT_UNLIKELY(!crlf_at(eol, end)))
            return field_open(p, eol, end, full);
        if (WEFT_UNLIKELY(count == limits->field_count_max))
            return WEFT_PARSE_BAD_FIELD_COUNT;
        const char *name_end = token_end(p, end, vector);
        if (WEFT_UNLIKELY(*name_end != ':') || WEFT_UNLIKELY(name_end == p))
            return name_error(p, name_end);

        const char *value = name_end + 1, *value_end = eol;
        while (*value == ' ' || *value == '\t') /* the CR stops it */
            value++;
        while (value_end > value && (value_end[-1] == ' ' || value_end[-1] == '\t'))
            value_end--;
        struct weft_field field = {span_of(buf, p, name_end), span_of(buf, value, value_end)};
        if (WEFT_LIKELY(count < field_room))
            fields[count] = field;
        count++;
        if (field_known(p, (size_t)(name_end - p))) {
            int error = note_field(buf, field, out, &flags);
            if (WEFT_UNLIKELY(error != 0))
                return error;
        }
        p = eol + 2;
    }
    out->field_count = (uint16_t)count;
    out->bytes = (uint16_t)(p + 2 - buf);
    out->flags = (uint16_t)flags;
    if ((flags & (WEFT_HEAD_HOST | NEEDS_CHECK)) != WEFT_HEAD_HOST) {
        int error = head_check(out, flags);
        if (error != 0)
            return error;
    }
    return WEFT_LIKELY(count <= field_room) ? 0 : WEFT_PARSE_FIELDS;
}

static ALWAYS_INLINE int head_parse(const char *buf, size_t len,
                                    const struct weft_parse_limits *limits, struct weft_head *out,
                                    struct weft_field *fields, uint16_t field_room, bool vector)
{
    size_t bytes_max = WEFT_MIN(limits->head_bytes_max, (uint32_t)WEFT_PARSE_HEAD_BYTES_MAX);
    bool full = len >= bytes_max; /* then "more" is no answer any longer */
    const char *p = buf, *end = buf + (full ? bytes_max : len);
    if (WEFT_UNLIKELY(p < end && *p == '\r') && crlf_at(p, end))
        p += 2; /* RFC 9112 2.2: one empty line may precede the request line */

    uint32_t flags = 0;
    out->content_length = 0;
    out->authority = (struct weft_span){0, 0};
    const char *lines = vector ? usual_request_line(buf, p, end, limits, out) : NULL;
    if (WEFT_UNLIKELY(!lines)) {
        const char *eol = line_end(buf, p, end, vector);
        if (WEFT_UNLIKELY(!crlf_at(eol, end)))
            return request_line_open(p, eol, end, full, limits);
        int error = request_line(buf, p, eol, end, limits, out, &flags, vector);
        if (WEFT_UNLIKELY(error != 0))
            return error;
        lines = eol + 2;
    }
    return field_lines(buf, lines, end, full, limits, out, fields, field_room, flags, vector);
}

int weft_parse_head(const char *buf, size_t len, const struct weft_parse_limits *limits,
                    struct weft_head *out, struct weft_field *fields, uint16_t field_room)
{
    return head_parse(buf, len, limits, out, fields, field_room, PARSE_VECTOR);
}

int weft_parse_head_scalar(const char *buf, size_t len, const struct weft_parse_limits *limits,
                           struct weft_head *out, struct weft_field *fields, uint16_t field_room)
{
    return head_parse(buf, len, limits, out, fields, field_room, false);
}

bool weft_parse_head_complete(const char *buf, size_t len, size_t *scanned)
{
    while (*scanned < len) {
        const char *lf = memchr(buf + *scanned, '\n', len - *scanned);
        if (!lf)
            break;
        size_t at = (size_t)(lf - buf);
        *scanned = at + 1;
        if (at == 0 || lf[-1] != '\r')
            return true; /* a bare LF: refused */
        if (at >= 3 && lf[-2] == '\n')
            return true; /* the empty line */
    }
    *scanned = len;
    return false;
}

int weft_path_decode(char *to, weft_str path, size_t *out_len)
{
    char *start = to;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (c == '%') {
            if (path.len - i < 3)
                return WEFT_PARSE_BAD_PATH_ESCAPE;
            int error = escape_check(path.ptr + i);
            if (error != 0)
                return error;
            c = (char)(weft_hex_value(path.ptr[i + 1]) << 4 | weft_hex_value(path.ptr[i + 2]));
            i += 2;
        }
        if (c == '\0')
            return WEFT_PARSE_BAD_PATH_NUL;
        *to++ = c;
    }
    *out_len = (size_t)(to - start);
    return 0;
}
