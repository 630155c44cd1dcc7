/* chunked.c - a flat state machine over the bytes between chunks; data is skipped in one step.
 *
 * Byte by byte, because a line may arrive in any number of pieces and nothing is kept of it: a
 * trailer's name is compared with the forbidden ones as it comes in, one bit per name that still
 * fits. Extensions are checked and forgotten, as all but their senders do.
 */
#include "http/chunked.h"
#include "http/parse_class.h"

enum state {
    SIZE,           /* hex digits */
    SIZE_LF,        /* the LF of a size line */
    EXT_NAME_START, /* behind ';', white space allowed (BWS) */
    EXT_NAME,
    EXT_NAME_SPACE,  /* BWS behind a name: '=' or ';' must follow */
    EXT_VALUE_START, /* behind '=', BWS allowed */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR, /* behind a '\' */
    EXT_QUOTED_END,  /* behind the closing '"' */
    EXT_VALUE_SPACE, /* BWS behind a value: ';' must follow */
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START, /* of a line: a name, or the CR of the end */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE,
    FAILED,
};

/** What must not come behind a body: RFC 9110 6.5.1 (framing, routing, authentication, request
 *  modifiers, and what says how to read the content). */
static const char *const forbidden_z[] = {
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "max-forwards",
    "pragma",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
};
static_assert(WEFT_COUNT_OF(forbidden_z) < 32, "a bit each in suspects");
#define SUSPECTS_ALL ((1u << WEFT_COUNT_OF(forbidden_z)) - 1)

void weft_chunked_init(struct weft_chunked *chunked)
{
    *chunked = (struct weft_chunked){.state = SIZE};
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/** A byte that stands where CR and LF have no place by themselves: name the line-end mistakes. */
static int bad(char c, int otherwise)
{
    return c == '\n' ? WEFT_PARSE_BAD_BARE_LF : otherwise;
}

/** One byte of the digits of a chunk size. */
static int size_step(struct weft_chunked *chunked, char c)
{
    if (weft_byte_is(c, WEFT_CLASS_HEX)) {
        if (chunked->digit_count == 16)
            return WEFT_PARSE_BAD_CHUNK_RANGE;
        chunked->digit_count++;
        chunked->left = chunked->left << 4 | weft_hex_value(c);
        return 0;
    }
    if (chunked->digit_count == 0 || (c != '\r' && c != ';'))
        return bad(c, WEFT_PARSE_BAD_CHUNK_SIZE);
    chunked->state = c == ';' ? EXT_NAME_START : SIZE_LF;
    return 0;
}

/** What may follow a whole extension: the next one, or the line's end. */
static int ext_end(struct weft_chunked *chunked, char c)
{
    if (c != ';' && c != '\r')
        return bad(c, WEFT_PARSE_BAD_CHUNK_EXT);
    chunked->state = c == ';' ? EXT_NAME_START : SIZE_LF;
    return 0;
}

/** One byte of chunk extensions: *( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] );
 *  the white space before the first ';' is refused with all other white space behind a size. */
static int ext_step(struct weft_chunked *chunked, char c)
{
    bool token = weft_byte_is(c, WEFT_CLASS_TOKEN);
    switch ((enum state)chunked->state) {
    case EXT_NAME_START:
    case EXT_VALUE_START:
        if (is_space(c))
            return 0;
        if (c == '"' && chunked->state == EXT_VALUE_START) {
            chunked->state = EXT_QUOTED;
            return 0;
        }
        if (!token)
            return bad(c, WEFT_PARSE_BAD_CHUNK_EXT);
        chunked->state = chunked->state == EXT_NAME_START ? EXT_NAME : EXT_VALUE;
        return 0;
    case EXT_NAME:
    case EXT_NAME_SPACE:
        if (token && chunked->state == EXT_NAME)
            return 0;
        if (is_space(c) || c == '=') {
            chunked->state = c == '=' ? EXT_VALUE_START : EXT_NAME_SPACE;
            return 0;
        }
        if (c == '\r' && chunked->state == EXT_NAME_SPACE)
            return WEFT_PARSE_BAD_CHUNK_EXT;
        return ext_end(chunked, c);
    case EXT_QUOTED:
        if (c == '"')
            chunked->state = EXT_QUOTED_END;
        else if (c == '\\')
            chunked->state = EXT_QUOTED_PAIR;
        else if (!weft_byte_is(c, WEFT_CLASS_QUOTED))
            return bad(c, WEFT_PARSE_BAD_CHUNK_EXT);
        return 0;
    case EXT_QUOTED_PAIR:
        chunked->state = EXT_QUOTED;
        return weft_byte_is(c, WEFT_CLASS_CONTROL) ? bad(c, WEFT_PARSE_BAD_CHUNK_EXT) : 0;
    default: /* EXT_VALUE, EXT_QUOTED_END, EXT_VALUE_SPACE */
        if (token && chunked->state == EXT_VALUE)
            return 0;
        if (is_space(c)) {
            chunked->state = EXT_VALUE_SPACE;
            return 0;
        }
        if (c == '\r' && chunked->state == EXT_VALUE_SPACE)
            return WEFT_PARSE_BAD_CHUNK_EXT;
        return ext_end(chunked, c);
    }
}

/** Drop the forbidden names that do not go on with c. */
static void suspects_step(struct weft_chunked *chunked, char c)
{
    char lower = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    for (uint32_t rest = chunked->suspects; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctz(rest);
        if (forbidden_z[i][chunked->name_bytes] != lower) /* the final zero is no token */
            chunked->suspects &= ~(1u << i);
    }
    chunked->name_bytes = (uint16_t)WEFT_MIN(chunked->name_bytes + 1, 255);
}

/** Is the name that has ended here a forbidden one, and not just the start of one? */
static bool name_forbidden(const struct weft_chunked *chunked)
{
    for (uint32_t rest = chunked->suspects; rest != 0; rest &= rest - 1)
        if (forbidden_z[__builtin_ctz(rest)][chunked->name_bytes] == '\0')
            return true;
    return false;
}

/** One byte of the trailer section; its lines obey the rules of header lines. */
static int trailer_step(struct weft_chunked *chunked, const struct weft_chunked_limits *limits,
                        char c)
{
    if (chunked->state == TRAILER_START) {
        if (c == '\r') {
            chunked->state = END_LF;
            return 0;
        }
        if (is_space(c))
            return WEFT_PARSE_BAD_FIELD_FOLDED;
        if (c == ':')
            return WEFT_PARSE_BAD_NAME_EMPTY;
        if (chunked->trailer_count == limits->trailer_count_max)
            return WEFT_PARSE_BAD_TRAILER_COUNT;
        chunked->trailer_count++;
        chunked->suspects = SUSPECTS_ALL;
        chunked->name_bytes = 0;
        chunked->state = TRAILER_NAME;
    }
    if (chunked->state == TRAILER_NAME) {
        if (weft_byte_is(c, WEFT_CLASS_TOKEN)) {
            suspects_step(chunked, c);
            return 0;
        }
        if (c == ':') {
            chunked->state = TRAILER_VALUE;
            return name_forbidden(chunked) ? WEFT_PARSE_BAD_TRAILER_NAME : 0;
        }
        if (c == '\r')
            return WEFT_PARSE_BAD_FIELD_COLON;
        return is_space(c) ? WEFT_PARSE_BAD_NAME_SPACE : bad(c, WEFT_PARSE_BAD_NAME_BYTE);
    }
    if (c == '\r')
        chunked->state = TRAILER_LF;
    else if (weft_byte_is(c, WEFT_CLASS_CONTROL))
        return bad(c, WEFT_PARSE_BAD_VALUE_BYTE);
    return 0;
}

/** The LF behind a size line: data follows, or behind the last chunk the trailers. */
static void size_end(struct weft_chunked *chunked)
{
    chunked->state = chunked->left > 0 ? DATA : TRAILER_START;
    chunked->line_bytes = 0;
    chunked->digit_count = 0;
}

/** One byte outside the data, within its limits. returns 0 or the error */
static int step(struct weft_chunked *chunked, const struct weft_chunked_limits *limits, char c)
{
    enum state state = chunked->state;
    if (state <= EXT_VALUE_SPACE) {
        if (chunked->line_bytes++ >= limits->line_bytes_max)
            return WEFT_PARSE_BAD_CHUNK_LINE;
        if (state >= EXT_NAME_START && chunked->ext_bytes++ >= limits->ext_total_bytes_max)
            return WEFT_PARSE_BAD_CHUNK_EXT_LONG;
    } else if (state >= TRAILER_START && (state != TRAILER_START || c != '\r') && state != END_LF &&
               chunked->trailer_bytes++ >= limits->trailer_bytes_max) {
        return WEFT_PARSE_BAD_TRAILER_LONG;
    }
    switch (state) {
    case SIZE:
        return size_step(chunked, c);
    case DATA_CR:
        chunked->state = DATA_LF;
        return c == '\r' ? 0 : WEFT_PARSE_BAD_CHUNK_END;
    case DATA_LF:
        chunked->state = SIZE;
        return c == '\n' ? 0 : WEFT_PARSE_BAD_CHUNK_END;
    case SIZE_LF:
        size_end(chunked);
        return c == '\n' ? 0 : WEFT_PARSE_BAD_BARE_CR;
    case TRAILER_LF:
        chunked->state = TRAILER_START;
        return c == '\n' ? 0 : WEFT_PARSE_BAD_BARE_CR;
    case END_LF:
        chunked->state = DONE;
        return c == '\n' ? 0 : WEFT_PARSE_BAD_BARE_CR;
    case TRAILER_START:
    case TRAILER_NAME:
    case TRAILER_VALUE:
        return trailer_step(chunked, limits, c);
    default:
        return ext_step(chunked, c);
    }
}

int weft_chunked_next(struct weft_chunked *chunked, const struct weft_chunked_limits *limits,
                      const char *buf, size_t len, size_t *out_consumed, weft_str *out_data)
{
    size_t at = 0;
    *out_consumed = 0;
    while (chunked->state < DONE) {
        if (at == len) {
            *out_consumed = at;
            return WEFT_CHUNKED_MORE;
        }
        if (chunked->state == DATA) {
            size_t n = (size_t)WEFT_MIN((uint64_t)(len - at), chunked->left);
            chunked->left -= n; /* ends as 0: what the next size starts from */
            if (chunked->left == 0)
                chunked->state = DATA_CR;
            *out_data = weft_str_make(buf + at, n);
            *out_consumed = at + n;
            return WEFT_CHUNKED_DATA;
        }
        int error = step(chunked, limits, buf[at++]);
        if (error != 0) {
            chunked->state = FAILED;
            chunked->error = (uint8_t)error;
        }
    }
    *out_consumed = at;
    return chunked->state == DONE ? WEFT_CHUNKED_DONE : chunked->error;
}

size_t weft_chunk_head(char *to, size_t size)
{
    size_t digits = 1;
    for (size_t rest = size >> 4; rest > 0; rest >>= 4)
        digits++;
    for (size_t i = digits; i-- > 0; size >>= 4)
        to[i] = "0123456789abcdef"[size & 15];
    memcpy(to + digits, "\r\n", 2);
    return digits + 2;
}
